"""The text of one record as lines of UTF-8, or the reason why it cannot be used: what all formats with a column of text share."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.reasons import LeftOut, Reason
from pipeline.sources.account import Account
from pipeline.sources.defects import BrokenRecordError, Defect, describe_invalid

Parse = Callable[[bytes, bool], str | None]
"""The text of a record, None when it has none. The second argument: whether what is invalid is to be mended instead of being an error."""


def record_lines(record: bytes, place: tuple[int, int], parse: Parse, account: Account) -> bytes:
    """The lines of a record's text, each with a line feed; nothing when it has none or is broken. The account hears which.

    Parameters
    ----------
    record
        Its bytes.
    place
        Where it starts, and how much of that a byte of the record is: 1, but 0 where rows are counted.
    parse
        Knows the format; may raise BrokenRecordError.
    account
        Of the shard.

    Raises
    ------
    InputError
        When broken records end the run.
    """
    start, step = place
    try:
        lines = _lines(record, parse, mend=False)
    except BrokenRecordError as error:
        lines, defect = b"", Defect(error.reason, start, start + step * error.at, 1, len(record), error.got)
        if account.mends(error.reason):
            try:
                lines, defect = _lines(record, parse, mend=True) or b"", replace(defect, kept=True)
            except BrokenRecordError as worse:
                defect = replace(defect, reason=worse.reason, at=start + step * worse.at, got=worse.got)
        account.report(defect)
        if defect.kept:
            account.keep(1, len(record))
        return lines
    if lines is None:
        account.leave_out(LeftOut.NULL, 1, len(record))
        return b""
    account.keep(1, len(record))
    return lines


def _lines(record: bytes, parse: Parse, *, mend: bool) -> bytes | None:
    text = parse(record, mend)
    return None if text is None else encoded(text, mend=mend)


def encoded(text: str, *, mend: bool) -> bytes:
    """Text in UTF-8, with a line feed at the end of every line.

    Raises
    ------
    BrokenRecordError
        When it has NULs or halves of surrogate pairs that are not to be mended: JSON can spell both.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        if not mend:
            start = text.index("\0")
            before = text[max(0, start - 20) : start].encode("utf-8", "replace")
            raise BrokenRecordError(*describe_invalid(before + text[start : start + 20].encode("utf-8", "replace"), len(before)))
        text = text.replace("\0", "\ufffd")
    try:
        return text.encode("utf-8") + b"\n"
    except UnicodeEncodeError as error:
        if not mend:
            raise BrokenRecordError(Reason.NOT_UTF8, f"half of a surrogate pair: {text[error.start]!a}") from None
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode("utf-8") + b"\n"
