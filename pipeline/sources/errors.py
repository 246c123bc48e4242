"""What is said about files of the corpus that cannot be used, or of which something cannot."""

from pipeline.choices import Format
from pipeline.errors import InputError
from pipeline.reasons import Reason
from pipeline.sources.defects import Defect
from pipeline.sources.formats import COMPRESSIONS
from pipeline.sources.shard import SourceShard

_WHAT = {
    Reason.UTF16: "A file of the corpus is UTF-16, not UTF-8.",
    Reason.NOT_UTF8: "A file of the corpus is not UTF-8.",
    Reason.NUL: "A file of the corpus is not text: it has NUL bytes.",
    Reason.TOO_LONG: "A line of the corpus is too long.",
    Reason.TRUNCATED: "A compressed file of the corpus is truncated.",
    Reason.DAMAGED: "A file of the corpus is damaged.",
    Reason.NOT_JSON: "A line of the corpus is no JSON object.",
    Reason.NOT_CSV: "A file of the corpus has a row that cannot be read.",
    Reason.NO_COLUMN: "A file of the corpus has not the column of the text.",
    Reason.NOT_TEXT: "The column of the text holds something else.",
}


def unreadable(location: str, error: Exception) -> InputError:
    """The error for a file that cannot be opened, looked at or read."""
    return InputError(
        "A file of the corpus cannot be read.",
        where=location,
        got=(error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0],
        expected="a file that this user may read",
        remedy="Check that it is there, and its permissions (ls -l), or leave it out of the corpus.",
    )


def shortened(location: str, n_bytes: int) -> InputError:
    """The error for a file that has ended before the shard did; `n_bytes` of the shard were not there."""
    return InputError(
        "A file of the corpus became shorter while it was in use.",
        where=location,
        got=f"{n_bytes:,} bytes less",
        expected="the bytes that were there when the run began",
        remedy="Run the same command again when nothing writes to it.",
    )


def changed(location: str) -> InputError:
    """The error for a file that is no longer what its key stands for."""
    return InputError(
        "A file of the corpus changed while it was used.",
        where=location,
        expected="the bytes that were there when the run began",
        remedy="Run the same command again when the file is complete.",
    )


def defect_error(shard: SourceShard, defect: Defect) -> InputError:
    """The error for a broken record of a shard: what its file seems to be instead, and how to mend it."""
    return InputError(
        _WHAT[defect.reason],
        where=place_of(shard, defect),
        got=defect.got,
        expected=_expected(shard, defect.reason),
        remedy=_remedy(shard, defect.reason),
    )


def place_of(shard: SourceShard, defect: Defect) -> str:
    """The file and the place in it."""
    if shard.format is Format.PARQUET:
        return f"{shard.location}, row {defect.at}" + (f" of those from byte {shard.start} on" if shard.start else "")
    return f"{shard.location}, byte {shard.start + defect.at}" + (" of its decompressed text" if shard.compression else "")


def _expected(shard: SourceShard, reason: Reason) -> str:
    match reason:
        case Reason.UTF16 | Reason.NOT_UTF8 | Reason.NUL:
            return "UTF-8 text without NUL bytes"
        case Reason.TOO_LONG:
            return "at most corpus.max_line_mb"
        case Reason.TRUNCATED | Reason.DAMAGED:
            return f"a whole {shard.compression or shard.format} file"
        case Reason.NOT_JSON:
            return "one JSON object a line"
        case Reason.NOT_CSV:
            return f"{shard.format.upper()} with a header" + (", quotes as in RFC 4180" if shard.format is Format.CSV else "")
        case Reason.NO_COLUMN | Reason.NOT_TEXT:
            return f"text in the column {shard.column!r}"


def _remedy(shard: SourceShard, reason: Reason) -> str:
    name = shard.name
    plain = name[: -len(shard.compression)] if name.lower().endswith(COMPRESSIONS) else name
    match reason:
        case Reason.UTF16:
            remedy = f"Convert it: iconv -f UTF-16 -t UTF-8 {plain} > utf-8-{plain};"
        case Reason.NOT_UTF8:
            remedy = f"If it is Latin-1 or Windows text: iconv -f WINDOWS-1252 -t UTF-8 {plain} > utf-8-{plain};"
        case Reason.NUL:
            remedy = f"If it is text in which a few NULs got lost: tr -d '\\000' < {plain} > clean-{plain};"
        case Reason.TOO_LONG:
            remedy = f"If {plain} is one long line by intention, raise corpus.max_line_mb: reading takes 6 times as much memory;"
        case Reason.TRUNCATED | Reason.DAMAGED:
            remedy = "Fetch it again, or make it again (of a compressed file its tool's option -t tells);"
        case Reason.NOT_JSON:
            remedy = "Write every record on a line of its own (jq -c does), or name another corpus.format;"
        case Reason.NOT_CSV:
            remedy = "Mend the row: fields with commas, quotes or line feeds stand in quotes;"
        case Reason.NO_COLUMN | Reason.NOT_TEXT:
            remedy = "Name the right one in corpus.column;"
    return f"{remedy} or leave {plain} out of the corpus."
