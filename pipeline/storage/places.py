"""Where the objects of a shared store lie: in a directory (`file://`) or in a bucket (`s3://` and what Arrow knows beside it).

A place keeps objects by name, each whole or absent, and knows nothing of what is in them. In a bucket an object appears when it is
complete; in a directory it is written beside its place first. Of a bucket nothing needs renames, directory markers or conditional puts.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import ConfigurationError
from pipeline.storage.atomic import remove_abandoned, write_whole

BLOCK_BYTES = 1 << 20
PLACE_ERRORS = (OSError, pa.ArrowException)
OBJECT_STORES = ("s3", "gs", "gcs", "abfs", "abfss")
_S3_OPTIONS = {"region", "scheme", "endpoint_override", "tls_ca_file_path"}
# A server that is not there is known after seconds: of attempts, to connect, without a byte.
_ATTEMPTS, _CONNECT_S, _SILENT_S = 3, 3.0, 8.0


class Place(Protocol):
    """Objects by name: relative, with forward slashes. Everything raises one of `PLACE_ERRORS` when the place cannot be used."""

    def check(self) -> None:
        """Raise when there is no such place, or it does not answer."""

    def size(self, name: str) -> int | None:
        """Bytes of an object; None: there is none."""

    def names(self, prefix: str) -> list[str]:
        """The names of all objects below a directory, sorted; hidden ones left out."""

    def blocks(self, name: str) -> Iterator[bytes]:
        """The content of an object, piece by piece; FileNotFoundError when there is none."""

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """Write an object; one that is there already is replaced. When the blocks end with an error it may be there, cut off."""


def place_of(url: str, where: str) -> Place:
    """The place of a URL, which stands `where`. Nothing is asked over the network yet.

    Raises
    ------
    ConfigurationError
        When it is no URL of a directory or an object store.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and len(parts.path) > 1:
        return Directory(Path(unquote(parts.path)))
    if parts.scheme in OBJECT_STORES and parts.netloc:
        unknown = sorted({name for name, _ in parse_qsl(parts.query)} - _S3_OPTIONS) if parts.scheme == "s3" else []
        if not unknown:
            return Bucket(url)
        raise ConfigurationError(
            "The URL of a shared store has an unknown option.",
            where=where,
            got=unknown[0],
            expected="one of " + ", ".join(sorted(_S3_OPTIONS)),
            remedy="For example s3://bucket/store?endpoint_override=localhost:9000&scheme=http",
        )
    raise ConfigurationError(
        "This is not the URL of a shared store.",
        where=where,
        got=url,
        expected="s3://BUCKET/PATH, another object store (gs://, abfs://), or file:///DIRECTORY",
        remedy=f"Did you mean file://{Path(url).absolute()}?" if not parts.scheme else "",
    )


class Directory:
    """A directory that several machines see."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check(self) -> None:
        """See `Place.check`. A directory is made with the first object, but not its parents: a mount that is missing shows."""
        if not (self.root if self.root.exists() else self.root.parent).is_dir():
            raise NotADirectoryError(20, "no such directory", str(self.root.parent))

    def size(self, name: str) -> int | None:
        """See `Place.size`."""
        path = self.root / name
        return path.stat().st_size if path.is_file() else None

    def names(self, prefix: str) -> list[str]:
        """See `Place.names`."""
        found = []
        for directory, _, files in os.walk(self.root / prefix):
            inside = Path(directory).relative_to(self.root)
            found += [(inside / file).as_posix() for file in files if not file.startswith(".")]
        return sorted(found)

    def blocks(self, name: str) -> Iterator[bytes]:
        """See `Place.blocks`."""
        with (self.root / name).open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                yield block

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """See `Place.write`."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        write_whole(target, blocks)


class Bucket:
    """A directory of an object store."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.url, self.bucket = url, parts.netloc
        self.root = unquote(parts.path).strip("/")

    @cached_property
    def _located(self) -> tuple[Any, str]:
        """The file system and the path in it; asks where the bucket is when nothing else says it."""
        parts = urlsplit(self.url)
        if parts.scheme != "s3":
            filesystem, root = fs.FileSystem.from_uri(f"{parts.scheme}://{parts.netloc}/" + (f"?{parts.query}" if parts.query else ""))
            return filesystem, str(PurePosixPath(root) / self.root)
        options = dict(parse_qsl(parts.query))
        if "endpoint_override" not in options and (endpoint := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")):
            options["endpoint_override"] = endpoint.rstrip("/")
        if "region" not in options:
            known = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
            options["region"] = known or ("us-east-1" if "endpoint_override" in options else fs.resolve_s3_region(self.bucket))
        filesystem = fs.S3FileSystem(
            **options,
            connect_timeout=_CONNECT_S,
            request_timeout=_SILENT_S,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
            allow_delayed_open=True,
            # Else whole files wait in memory to be sent, as fast as the disk gives them, and no interruption is heard until they are.
            # One file then has one connection: of 100 MB, at 10 MB/s a connection, 12 s and not 3 s; many files have many all the same.
            background_writes=False,
        )
        return filesystem, f"{self.bucket}/{self.root}".rstrip("/")

    def _path(self, name: str) -> str:
        return f"{self._located[1]}/{name}"

    def check(self) -> None:
        """See `Place.check`. A listing too, because some servers say that a bucket is there to people who may not read it."""
        filesystem, root = self._located
        if filesystem.get_file_info(root.partition("/")[0]).type == fs.FileType.NotFound:
            raise FileNotFoundError(2, f"there is no bucket {self.bucket}")
        filesystem.get_file_info(fs.FileSelector(self._path("manifests"), allow_not_found=True))

    def size(self, name: str) -> int | None:
        """See `Place.size`."""
        info = self._located[0].get_file_info(self._path(name))
        return int(info.size) if info.type == fs.FileType.File else None

    def names(self, prefix: str) -> list[str]:
        """See `Place.names`."""
        filesystem, root = self._located
        infos = filesystem.get_file_info(fs.FileSelector(self._path(prefix), recursive=True, allow_not_found=True))
        paths = [PurePosixPath(info.path[len(root) + 1 :]) for info in infos if info.type == fs.FileType.File]
        return sorted(str(path) for path in paths if not path.name.startswith("."))

    def blocks(self, name: str) -> Iterator[bytes]:
        """See `Place.blocks`."""
        with self._located[0].open_input_stream(self._path(name), compression=None) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block

    def write(self, name: str, blocks: Iterable[bytes]) -> None:
        """See `Place.write`. Arrow can end an upload, but not give it up; to remove it could hit what somebody else has finished since."""
        stream = self._located[0].open_output_stream(self._path(name), compression=None)
        try:
            for block in blocks:
                stream.write(block)
        except BaseException:
            with contextlib.suppress(*PLACE_ERRORS):
                stream.close()
            raise
        stream.close()
