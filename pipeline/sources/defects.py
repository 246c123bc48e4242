"""What can be wrong with a record, and what is said about it. Nothing here knows where the record came from."""

from codecs import utf_8_decode
from dataclasses import dataclass

from pipeline.reasons import Reason

EXCERPT_BYTES = 20  # shown on each side of a defect


@dataclass(frozen=True)
class Defect:
    """A broken record, or several that are broken in the same way."""

    reason: Reason
    offset: int  # byte of the shard's (decompressed) text at which the record starts; of Parquet the row
    at: int  # where the defect itself is
    n_records: int
    n_bytes: int  # of the record
    got: str  # what is there, for people
    kept: bool = False  # whether the record was mended and kept


class BrokenRecordError(Exception):
    """A record that cannot be used, for the reader of its format to report; never leaves the reader.

    Parameters
    ----------
    reason, got
        As in `Defect`.
    at
        Byte of the record at which the defect is.
    """

    def __init__(self, reason: Reason, got: str, at: int = 0) -> None:
        super().__init__(got)
        self.reason, self.got, self.at = reason, got, at


def first_invalid(text: bytes, start: int = 0, stop: int | None = None) -> int:
    """The first byte of start..stop-1, both borders of characters, at which a NUL or an invalid UTF-8 sequence starts; -1: none."""
    nul = text.find(b"\0", start, stop)
    try:
        utf_8_decode(memoryview(text)[start : nul if nul >= 0 else stop], "strict", True)
    except UnicodeDecodeError as error:
        return start + error.start
    return nul


def describe_invalid(text: bytes, at: int) -> tuple[Reason, str]:
    """What text seems to be that has its first defect at byte `at`, and that place with some bytes before and behind it."""
    first = max(0, at - EXCERPT_BYTES)
    around, place = text[first : at + EXCERPT_BYTES], at - first
    before = around[:place].decode("utf-8", "ignore") if first else around[:place].decode("utf-8", "backslashreplace")
    shown = f"{repr(before) if before else ''} >>{around[place : place + 4].hex(' ')}<< {quoted(around[place + 4 :])}".strip()
    if _is_utf16(around, place):
        return Reason.UTF16, shown
    return Reason.NUL if around[place] == 0 else Reason.NOT_UTF8, shown


def invalid_record(text: bytes) -> BrokenRecordError:
    """The error of a record whose bytes are not valid."""
    at = first_invalid(text)
    reason, shown = describe_invalid(text, at)
    return BrokenRecordError(reason, shown, at)


def mended(text: bytes) -> bytes:
    """The same text with U+FFFD in the place of every NUL and invalid sequence, as Python's decoder puts them."""
    return text.decode("utf-8", "replace").replace("\0", "\ufffd").encode("utf-8")


def quoted(part: bytes) -> str:
    """Bytes as text in quotation marks, for a message; nothing for nothing."""
    return repr(part.decode("utf-8", "backslashreplace")) if part else ""


def _is_utf16(around: bytes, at: int) -> bool:
    """Whether there is a UTF-16 byte order mark, or every other byte, and no byte between, is mostly NUL, as in text of a Latin script."""
    halves = sorted((around[first::2].count(0), len(around[first::2])) for first in (0, 1))
    return around[at : at + 2] in (b"\xff\xfe", b"\xfe\xff") or (halves[0][0] == 0 and 2 * halves[1][0] > halves[1][1] > 2)
