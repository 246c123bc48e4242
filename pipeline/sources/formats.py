"""What the name of a file says of its content: the format, and how it is compressed."""

import os.path
from dataclasses import dataclass

from pipeline.choices import Format
from pipeline.configuration import is_url

SUFFIXES = {
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".parquet": Format.PARQUET,
}
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")
# In a directory of text, a .json is more often a description of the text than text.
_AMBIGUOUS = ".json"


@dataclass(frozen=True)
class Kind:
    """How a file is to be read."""

    format: Format  # never auto
    compression: str  # suffix, empty when plain


def kind_of(name: str, configured: Format) -> Kind:
    """How to read a file: in the configured format, or as its suffix says, and plain text where that says nothing.

    Parameters
    ----------
    name
        A path, or a URL, whose options say nothing.
    configured
        The key `corpus.format`.
    """
    compression, suffix = _suffixes(name.partition("?")[0] if is_url(name) else name)
    return Kind(SUFFIXES.get(suffix, Format.TEXT) if configured is Format.AUTO else configured, compression)


def belongs(name: str, configured: Format) -> bool:
    """Whether a file with this name is meant when the directory is named that it lies in."""
    compression, suffix = _suffixes(name)
    format_ = SUFFIXES.get(suffix)
    if format_ is None or (format_ is Format.PARQUET and compression):
        return False
    return format_ is configured or (configured is Format.AUTO and suffix != _AMBIGUOUS)


def meant_suffixes(configured: Format) -> str:
    """The suffixes that count in a directory, for a message."""
    suffixes = [suffix for suffix in SUFFIXES if belongs(f"a{suffix}", configured)]
    packed = "" if configured is Format.PARQUET else f", or these and {', '.join(COMPRESSIONS)}"
    return ", ".join(suffixes) + packed


def _suffixes(name: str) -> tuple[str, str]:
    """The suffix of the compression, or nothing, and the one before it; in lower case."""
    stem, last = os.path.splitext(name)  # noqa: PTH122 (a path object takes ten times as long, and a corpus may have a million files)
    if last.lower() not in COMPRESSIONS:
        return "", last.lower()
    return last.lower(), os.path.splitext(stem)[1].lower()  # noqa: PTH122
