"""A store that people share, at a URL: artifacts by their content, so that no order of writers and no interruption can harm it.

    <url>/objects/<first two>/<sha256>              a file of an artifact
    <url>/manifests/<stage>/<key>/<digest>.json     a manifest, written after all of its objects
    <url>/runs/<run>.json                           the record of a run, written after all of its manifests

Two machines can make other bytes under one key (floats differ between types of CPUs): their manifests lie side by side. Nothing that comes
from there is trusted: names are checked, manifests are compared with their keys, files with their digests.
"""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from pipeline.credentials import refuse_credentials
from pipeline.errors import SharedStoreError, StoreError
from pipeline.storage.artifact import Artifact, FileRecord, Link, Manifest
from pipeline.storage.keys import READ_BYTES, digest_of_range
from pipeline.storage.places import PLACE_ERRORS, place_of
from pipeline.storage.store import NO_STAGES

AT_ONCE = 16  # requests: an object store keeps each waiting for some 50 ms, whatever the others do
LARGEST_JSON = 256_000_000  # bytes of a manifest or a record; a run over 100,000 shards has 50 MB
# Of Arrow's messages; servers that get no credentials may call that a bad request.
_REFUSALS = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY",
    "INVALID_CLIENT_TOKEN",
    "SIGNATURE",
    "HTTP status 400",
    "HTTP status 401",
    "HTTP status 403",
)
_MANIFEST = re.compile(r"manifests/([a-z][a-z0-9_]*)/([0-9a-f]{64})/([0-9a-f]{64})\.json")
_RUN = re.compile(r"runs/(\d{8}T\d{6}-[0-9a-f]{6})\.json")

T = TypeVar("T")
R = TypeVar("R")


class SharedStore:
    """The shared store at a URL. Making one asks nothing over the network.

    Raises
    ------
    ConfigurationError
        When it is no URL of a place that can be shared, or holds credentials.
    """

    def __init__(self, url: str, where: str = "key store.shared") -> None:
        refuse_credentials(url, where)
        self.url = url
        self._place = place_of(url, where)

    def check(self) -> None:
        """Find out whether it answers.

        Raises
        ------
        SharedStoreError
            When it does not, or there is no such bucket.
        """
        with self._explained(""):
            self._place.check()

    def artifacts(self, stage: str = "") -> list[Link]:
        """The artifacts of a stage, or of all, by one listing; of a key with other bytes there are several.

        Raises
        ------
        SharedStoreError
            When it cannot be listed.
        """
        with self._explained("manifests"):
            names = self._place.names(f"manifests/{stage}".rstrip("/"))
        found = [match.groups() for name in names if (match := _MANIFEST.fullmatch(name))]
        return [Link(stage, key, digest) for stage, key, digest in found if stage not in NO_STAGES]

    def manifest(self, link: Link) -> Manifest | None:
        """The manifest of an artifact; None when there is none.

        Raises
        ------
        SharedStoreError
            When it cannot be read, or is not of this artifact.
        """
        name = _manifest_name(link)
        if not _MANIFEST.fullmatch(name) or link.stage in NO_STAGES:
            return None
        content = self._read(name)
        if content is None:
            return None
        try:
            manifest = Manifest.parse(content)
            manifest.to_json().encode()  # JSON has characters that no file can have
            found = Link(manifest.stage, manifest.key, manifest.digest)
            if found != Link(link.stage, link.key, link.digest):
                raise ValueError(f"it is of {found.stage}/{found.key} with the digest {found.digest}")
            if manifest.computed_key != manifest.key:  # else a run here would take it for what it asks for
                raise ValueError("its key is not that of its parameters and inputs")
        except ValueError as error:
            raise self._wrong(name, str(error)) from error
        return manifest

    def has(self, file: FileRecord) -> bool:
        """Whether the object of a file is there, with its size.

        Raises
        ------
        SharedStoreError
            When it cannot be asked.
        """
        name = _object_name(file)
        with self._explained(name):
            return self._place.size(name) == file.size_bytes

    def send(self, artifact: Artifact, file: FileRecord, stopped: threading.Event) -> None:
        """Send a file of an artifact that is here; it is read twice, because what has begun to appear in a bucket must be right.

        When this ends with an error a part of it may be there, which `has` does not take for the file.

        Raises
        ------
        StoreError
            When the file here is not what its manifest says.
        SharedStoreError
            When the shared store cannot be written.
        InterruptedError
            When it was stopped.
        """
        path = artifact.path(file.name)

        def go_on(n_bytes: int) -> None:
            if stopped.is_set():
                raise InterruptedError(f"{path} was not sent to its end")

        def blocks() -> Iterator[bytes]:
            with path.open("rb", buffering=0) as content:
                while block := content.read(READ_BYTES):
                    go_on(len(block))
                    yield block

        found = digest_of_range(path, 0, path.stat().st_size, go_on) if path.is_file() else "no file"
        if found != file.sha256:
            raise StoreError(
                "A file of an artifact is not what its manifest says.",
                where=str(path),
                got=found,
                expected=f"SHA-256 {file.sha256}",
                remedy=f"Remove {artifact.directory}; the next run makes it again. Then push again.",
            )
        name = _object_name(file)
        with self._explained(name):
            self._place.write(name, blocks())

    def send_manifest(self, manifest: Manifest) -> bool:
        """Send the manifest of an artifact whose objects are there; whether it was missing, or not to be read.

        Raises
        ------
        SharedStoreError
            When the shared store cannot be asked or written.
        """
        link = Link(manifest.stage, manifest.key, manifest.digest)
        name = _manifest_name(link)
        with contextlib.suppress(WrongContentError):
            if self.manifest(link):
                return False
        with self._explained(name):
            self._place.write(name, [manifest.to_json().encode()])
        return True

    def blocks(self, file: FileRecord) -> Iterator[bytes]:
        """The content of a file, piece by piece; after the last one it is known to be right.

        Raises
        ------
        SharedStoreError
            When it cannot be read, or has other bytes than its name says.
        """
        name, digest, n_bytes = _object_name(file), hashlib.sha256(), 0
        with self._explained(name):
            blocks = self._place.blocks(name)
        while True:
            with self._explained(name):
                try:
                    block = next(blocks, b"")
                except FileNotFoundError:
                    raise self._wrong(name, "nothing") from None
            if not block:
                break
            n_bytes += len(block)
            if n_bytes > file.size_bytes:
                raise self._wrong(name, f"more than {file.size_bytes:,} bytes")
            digest.update(block)
            yield block
        if digest.hexdigest() != file.sha256:
            raise self._wrong(name, f"{n_bytes:,} bytes with SHA-256 {digest.hexdigest()}")

    def runs(self) -> list[str]:
        """The runs whose records are there, newest first.

        Raises
        ------
        SharedStoreError
            When they cannot be listed.
        """
        with self._explained("runs"):
            names = self._place.names("runs")
        return sorted((match[1] for name in names if (match := _RUN.fullmatch(name))), reverse=True)

    def run(self, run: str) -> dict[str, Any]:
        """The record of a run, of which nothing but the id is looked at.

        Raises
        ------
        SharedStoreError
            When it cannot be read, or is none of this run.
        """
        name = f"runs/{run}.json"
        content = self._read(name) if _RUN.fullmatch(name) else None
        try:
            record = json.loads(content.decode()) if content is not None else None
            if not isinstance(record, dict) or record.get("id") != run:
                raise ValueError("no record of this run")
        except (ValueError, RecursionError) as error:
            raise self._wrong(name, str(error)) from error
        return record

    def send_run(self, record: Mapping[str, Any]) -> bool:
        """Send the record of a run; whether it was missing.

        Raises
        ------
        SharedStoreError
            When the shared store cannot be asked or written.
        """
        name = f"runs/{record['id']}.json"
        with self._explained(name):
            if self._place.size(name) is not None:
                return False
            self._place.write(name, [(json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode()])
        return True

    def _read(self, name: str) -> bytes | None:
        parts, n_bytes = [], 0
        with self._explained(name):
            try:
                for block in self._place.blocks(name):
                    parts.append(block)
                    n_bytes += len(block)
                    if n_bytes > LARGEST_JSON:
                        raise self._wrong(name, f"more than {LARGEST_JSON:,} bytes")
            except FileNotFoundError:
                return None
        return b"".join(parts)

    def _wrong(self, name: str, got: str) -> "WrongContentError":
        return WrongContentError(
            "Something in the shared store is not what it is called.",
            where=f"{self.url}, {name}",
            got=got,
            expected="what was once pushed under that name",
            remedy="Nothing of it was taken. Whoever has it in a store can remove the object and push it again.",
        )

    @contextlib.contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except PLACE_ERRORS as error:
            text = ((error.strerror if isinstance(error, OSError) else None) or str(error)).partition("\n")[0]
            is_refused = any(sign in text for sign in _REFUSALS)
            raise SharedStoreError(
                "The shared store refuses you, or does not know who you are." if is_refused else "The shared store cannot be used.",
                where=self.url + (f", {name}" if name else ""),
                got=text,
                expected="a bucket or a directory that answers, and that this user may use",
                remedy="Check the address, the network, and the environment that says who you are: for S3 AWS_PROFILE, or "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for servers other than Amazon's.",
            ) from error


class WrongContentError(SharedStoreError):
    """There is an answer, but not what was asked for."""


def _object_name(file: FileRecord) -> str:
    return f"objects/{file.sha256[:2]}/{file.sha256}"


def _manifest_name(link: Link) -> str:
    return f"manifests/{link.stage}/{link.key}/{link.digest}.json"


def in_parallel(
    function: Callable[[T], R],
    items: Sequence[T],
    on_done: Callable[[T, R], None] = lambda item, result: None,
    stopped: threading.Event | None = None,
) -> list[R]:
    """The results in the order of the items, many at a time; `on_done` hears each in this thread.

    The first error ends it. Then `stopped` is set, so that calls which go on can hear of it, and they are waited for.
    """
    results: list[R] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        futures: list[Future[R]] = [threads.submit(function, item) for item in items]
        try:
            for item, future in zip(items, futures, strict=True):
                results.append(future.result())
                on_done(item, results[-1])
        except BaseException:
            if stopped:
                stopped.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return results
