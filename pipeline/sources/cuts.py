"""Where a file is cut into shards, as values: `cutting.py` finds them out, `digests.py` remembers them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cut:
    """A range of a file, and the digest that it is known by."""

    start: int
    stop: int
    sha256: str


@dataclass(frozen=True)
class CutFile:
    """The digest of a file, and its ranges: each byte is in one of them, an empty file has none."""

    sha256: str
    cuts: tuple[Cut, ...]
