"""What one task reads: a range of a file."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from pipeline.choices import Format
from pipeline.storage.artifact import Link


@dataclass(frozen=True)
class SourceShard:
    """A range of a file between line borders, or between row groups of Parquet; or a whole file, where it cannot be cut."""

    location: str  # absolute path, or URL
    format: Format
    compression: str  # suffix, empty when plain
    column: str  # that holds the text; empty for plain text
    file_sha256: str
    start: int
    stop: int
    sha256: str  # of the bytes of the range; of Parquet, of these and of the footer

    @classmethod
    def of(cls, link: Link) -> Self:
        """The shard that a link names, where its origin says."""
        origin = link.origin
        return cls(
            origin["location"],
            Format(origin["format"]),
            origin["compression"],
            origin["column"],
            link.key,
            origin["start"],
            origin["stop"],
            link.digest,
        )

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return self.stop - self.start

    @property
    def name(self) -> str:
        """The last part of the location."""
        return self.location.partition("?")[0].rpartition("/")[2]

    @cached_property
    def link(self) -> Link:
        """How the tokenized shard names its source: its content and how that is read."""
        how = "" if self.format is Format.TEXT else f".{self.format}[{self.column}]"
        origin = {
            "location": self.location,
            "format": self.format,
            "compression": self.compression,
            "column": self.column,
            "start": self.start,
            "stop": self.stop,
        }
        return Link(f"source{how}{self.compression}", self.file_sha256, self.sha256, origin)
