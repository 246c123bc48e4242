"""What an artifact is and says of itself: its files, what it was made from, and where every token went.

The manifest is the last file written. Its `digest` covers the bytes of the data files and nothing else: environment and timings are
recorded, but two builds of the same thing on different days have the same digest. Its `checksum` covers the rest of the manifest too: it
shows that somebody has edited it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.errors import StoreError
from pipeline.storage.keys import digest_of

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 2
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

    @property
    def digest(self) -> str:
        """SHA-256 over the names and digests of the files."""
        return digest_of([[file.name, file.sha256] for file in sorted(self.files, key=lambda file: file.name)])

    @property
    def size_bytes(self) -> int:
        """Bytes of all data files together."""
        return sum(file.size_bytes for file in self.files)

    def to_json(self) -> str:
        """The text of `manifest.json`."""
        content = {"format": MANIFEST_FORMAT, "digest": self.digest, **asdict(self)}
        return json.dumps({**content, "checksum": _checksum(content)}, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, path: Path) -> Self:
        """The manifest in a file.

        Raises
        ------
        StoreError
            When the file cannot be read, is no manifest of this format, its digest is not that of its files, or it was edited.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if fields["format"] != MANIFEST_FORMAT:
                raise ValueError(f"format {fields['format']}, not {MANIFEST_FORMAT}")
            if fields.pop("checksum") != _checksum(fields):
                raise ValueError("it was changed after it was written: its checksum is another")
            del fields["format"]
            digest = fields.pop("digest")
            fields["files"] = tuple(FileRecord(**file) for file in fields["files"])
            fields["tallies"] = tuple(Tally(**tally) for tally in fields["tallies"])
            fields["inputs"] = {name: tuple(Link(**link) for link in links) for name, links in fields["inputs"].items()}
            manifest = cls(**fields)
            if manifest.digest != digest:
                raise ValueError("its digest is not the digest of its files")
            _refuse_impossible_names(manifest)
        except (OSError, ValueError, TypeError, KeyError, AccountingError) as error:
            raise StoreError(
                "An artifact's manifest cannot be used.",
                where=str(path),
                got=f"{type(error).__name__}: {error}",
                remedy="Remove the artifact's directory; the next run makes it again.",
            ) from error
        return manifest


def _refuse_impossible_names(manifest: Manifest) -> None:
    """Names become paths: a manifest from elsewhere must not lead out of the store."""
    if not _STAGE.fullmatch(manifest.stage) or not _SHA256.fullmatch(manifest.key):
        raise ValueError(f"no stage is called {manifest.stage!r} and has the key {manifest.key!r}")
    for file in manifest.files:
        if not _FILE_NAME.fullmatch(file.name) or not _SHA256.fullmatch(file.sha256):
            raise ValueError(f"no file is called {file.name!r} and has the digest {file.sha256!r}")


def _checksum(content: Mapping[str, Any]) -> str:
    """Of the text that JSON makes of it: what is read from a file has the one that was written."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Artifact:
    """A finished artifact: an immutable directory with a manifest."""

    directory: Path
    manifest: Manifest

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
