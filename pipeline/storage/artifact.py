"""What an artifact is and says of itself: its files, what it was made from, and where every token went.

The manifest is the last file written. Its `digest` covers the bytes of the data files and nothing else: environment and timings are
recorded, but two builds of the same thing on different days have the same digest. Its `checksum` covers the rest of the manifest too: it
shows that somebody has edited it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from pipeline.errors import StoreError
from pipeline.storage.keys import Canonical, digest_of
from pipeline.storage.sealed import checksum_of

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 2
_TOO_MANY = 1 << 63  # of anything
_STAGE = re.compile(r"[a-z][a-z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")  # no dot first: no hidden file, and no way up


@dataclass(frozen=True)
class FileRecord:
    """One data file of an artifact."""

    name: str  # path below the artifact's directory, with forward slashes
    n_rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Tally:
    """Where things went: `n_in` of them came in, and each was kept or dropped for a named reason."""

    unit: str  # what is counted: "tokens", "sentences", "questions" ...
    n_in: int
    n_kept: int
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lost = self.n_in - self.n_kept - sum(self.dropped.values())
        if lost:
            raise AccountingError(f"{lost:+} {self.unit} unaccounted for: {self.n_in} in, {self.n_kept} kept, dropped {dict(self.dropped)}")


class AccountingError(Exception):
    """A stage lost or invented something: a defect of ours, never the user's."""


@dataclass(frozen=True)
class Link:
    """An input: the key says which computation made it, the digest says which bytes came out.

    What comes from outside of the store has an origin: where it was found (`location`, and for a part of a file which), for people and for
    making things again. Where that is counts for nothing: two links are to the same bytes when stage and digest are the same.
    """

    stage: str  # or what else it is: source, vectors, phrases-table, analogies/NAME ...
    key: str  # from outside: a name, or the digest of the whole file
    digest: str
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_outside(self) -> bool:
        """Whether it is no artifact."""
        return bool(self.origin)


@dataclass(frozen=True)
class Manifest:
    """Everything that an artifact knows about itself."""

    stage: str
    stage_version: int
    key: str
    parameters: Mapping[str, Any]  # what the key is made of, beside stage, version and the digests of the inputs
    settings: Mapping[str, Any]  # the section of the configuration that the build was given
    inputs: Mapping[str, tuple[Link, ...]]
    files: tuple[FileRecord, ...]
    tallies: tuple[Tally, ...]
    measures: Mapping[str, float]  # figures of the build that are worth keeping: rows, losses, scores
    environment: Mapping[str, str]
    created: str  # ISO 8601, UTC
    elapsed_s: float

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the names and digests of the files: who compares links asks for it again and again."""
        return digest_of([[file.name, file.sha256] for file in sorted(self.files, key=lambda file: file.name)])

    @property
    def computed_key(self) -> str:
        """The key that its parameters and inputs have: its own, unless somebody has changed one of them."""
        try:
            return key_of(self.stage, self.stage_version, self.parameters, self.inputs)
        except RecursionError:  # nested some 400 deep, which JSON can read: no stage has such parameters
            return ""

    @property
    def size_bytes(self) -> int:
        """Bytes of all data files together."""
        return sum(file.size_bytes for file in self.files)

    def values(self) -> dict[str, Any]:
        """All fields and the digest, as JSON has them."""
        values = {"digest": self.digest, **vars(self)}
        values["inputs"] = {name: [vars(link) for link in links] for name, links in self.inputs.items()}
        return values | {"files": [vars(file) for file in self.files], "tallies": [vars(tally) for tally in self.tallies]}

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        content = {"format": MANIFEST_FORMAT, **self.values()}
        return json.dumps({**content, "checksum": checksum_of(content)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in a file.

        Raises
        ------
        StoreError
            When the file cannot be read, is no manifest of this format, its digest is not that of its files, or it was edited.
        """
        try:
            return cls.parse(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StoreError(
                "An artifact's manifest cannot be used.",
                where=str(path),
                got=f"{type(error).__name__}: {error}",
                remedy="Remove the artifact's directory; the next run makes it again.",
            ) from error

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """The manifest of a text that may come from anywhere.

        Raises
        ------
        ValueError
            When it is no manifest of this format, its digest is not that of its files, it was edited, or has names that lead elsewhere.
        """
        try:
            fields = json.loads(content.decode("utf-8"))
            if fields["format"] != MANIFEST_FORMAT:
                raise ValueError(f"format {fields['format']}, not {MANIFEST_FORMAT}")
            if fields.pop("checksum") != checksum_of(fields):
                raise ValueError("it was changed after it was written: its checksum is another")
            del fields["format"]
            digest = fields.pop("digest")
            fields["files"] = tuple(FileRecord(**file) for file in fields["files"])
            fields["tallies"] = tuple(Tally(**tally) for tally in fields["tallies"])
            fields["inputs"] = {name: tuple(Link(**link) for link in links) for name, links in fields["inputs"].items()}
            manifest = cls(**fields)
            if manifest.digest != digest:
                raise ValueError("its digest is not the digest of its files")
            _refuse_impossible(manifest)
        except (TypeError, KeyError, AttributeError, RecursionError, AccountingError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return manifest


def can_be_called(stage: str, key: str) -> bool:
    """Whether these can be the stage and the key of an artifact. Names become paths: none must lead out of the store."""
    return bool(_STAGE.fullmatch(stage) and _SHA256.fullmatch(key))


def key_of(stage: str, version: int, parameters: Mapping[str, Any] | Canonical, inputs: Mapping[str, Sequence["Link"]]) -> str:
    """The identity of an artifact: stage, version, parameters and the digests of what it is made from."""
    digests = {name: [[link.stage, link.digest] for link in links] for name, links in inputs.items()}
    return digest_of([stage, version, parameters, digests])


def _refuse_impossible(manifest: Manifest) -> None:
    """A manifest may come from elsewhere: its names become paths, and its values are counted with."""
    if not can_be_called(manifest.stage, manifest.key):
        raise ValueError(f"no stage is called {manifest.stage!r} and has the key {manifest.key!r}")
    for file in manifest.files:
        if not _FILE_NAME.fullmatch(file.name) or file.name == MANIFEST or not _SHA256.fullmatch(file.sha256):
            raise ValueError(f"no file is called {file.name!r} and has the digest {file.sha256!r}")
    if len({file.name for file in manifest.files}) < len(manifest.files):
        raise ValueError("a file is there twice")
    links = [link for some in manifest.inputs.values() for link in some]
    whole = [manifest.stage_version, *(n for file in manifest.files for n in (file.n_rows, file.size_bytes))]
    whole += [n for tally in manifest.tallies for n in (tally.n_in, tally.n_kept, *tally.dropped.values())]
    texts = [manifest.created, *manifest.environment.values(), *(tally.unit for tally in manifest.tallies)]
    texts += [text for link in links for text in (link.stage, link.key, link.digest)]
    figures = [manifest.elapsed_s, *manifest.measures.values()]
    if not all(type(n) is int and 0 <= n < _TOO_MANY for n in whole) or not all(isinstance(text, str) for text in texts):
        raise ValueError("a number is no whole number from 0 to 2**63 - 1, or a text is none")
    if not all(isinstance(figure, int | float) for figure in figures):
        raise ValueError("a figure is no number")
    if not all(isinstance(some, dict) for some in (manifest.parameters, manifest.settings, *(link.origin for link in links))):
        raise ValueError("parameters, settings or an origin are no object")
    for link in links:
        if not link.is_outside and not (can_be_called(link.stage, link.key) and _SHA256.fullmatch(link.digest)):
            raise ValueError(f"no artifact of a stage {link.stage!r} has the key {link.key!r} and the digest {link.digest!r}")


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: an immutable directory with a manifest."""

    directory: Path
    manifest: Manifest
    is_here: bool = True  # False: only its manifest is; the files are in the shared store

    @property
    def link(self) -> Link:
        """How later stages name this artifact among their inputs."""
        return Link(self.manifest.stage, self.manifest.key, self.manifest.digest)

    def path(self, name: str) -> Path:
        """The path of one of its files."""
        return self.directory / name

    def files(self, prefix: str = "") -> list[FileRecord]:
        """Its files whose names start with `prefix`, by name."""
        return sorted((file for file in self.manifest.files if file.name.startswith(prefix)), key=lambda file: file.name)
