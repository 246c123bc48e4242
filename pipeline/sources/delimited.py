"""CSV and TSV with a header that names the column of the text.

CSV has commas and double quotes, as in RFC 4180: a quoted field may hold commas, line feeds, and quotes written twice. TSV has no quotes: a
field is what stands between tabs, and a row is a line. A table is read from front to back: where a row of CSV starts cannot be told from
the middle of a file.
"""

import csv
import io
import sys
from collections.abc import Iterator

from pipeline.choices import Format
from pipeline.reasons import LeftOut, Reason
from pipeline.sources.account import Account
from pipeline.sources.defects import BrokenRecordError, Defect, invalid_record, mended, quoted
from pipeline.sources.lines import Lines
from pipeline.sources.ranges import BLOCK_BYTES
from pipeline.sources.records import encoded


def table_texts(every: Iterator[Lines], column: str, longest: int, account: Account) -> Iterator[bytes]:
    """The lines of the texts of all rows, in blocks.

    Rows without a field are no rows that are broken. When the header cannot be read, or has not the column, all rows are broken. So is a
    row of more than `longest` bytes, which most often has a quote too many or too few; reading goes on behind the line that made it too
    long.

    Raises
    ------
    InputError
        When broken records end the run.
    """
    rows = _Rows(every, account.shard.format, longest)
    header = next(rows, None)
    if header is None:
        return
    if header.broken is None and column not in header.fields:
        header.broken = BrokenRecordError(Reason.NO_COLUMN, f"the columns {', '.join(map(ascii, header.fields[:20]))}")
    if header.broken and not (account.mends(header.broken.reason) and column in header.fields):
        n_rows, n_bytes = 1, header.n_bytes
        for row in rows:
            n_rows, n_bytes = n_rows + 1, n_bytes + row.n_bytes
        account.report(Defect(header.broken.reason, header.offset, header.offset + header.broken.at, n_rows, n_bytes, header.broken.got))
        return
    account.leave_out(LeftOut.HEADER, 1, header.n_bytes)
    number = header.fields.index(column)
    texts, n_waiting = [], 0
    for row in rows:
        texts.append(_text_of(row, number, account))
        n_waiting += len(texts[-1])
        if n_waiting >= BLOCK_BYTES:
            yield b"".join(texts)
            texts, n_waiting = [], 0
    if n_waiting:
        yield b"".join(texts)


def _text_of(row: "_Row", number: int, account: Account) -> bytes:
    """The lines of one row's text, nothing when it has none; accounted for."""
    if not row.fields and not row.broken:
        account.leave_out(LeftOut.EMPTY_LINE, 1, row.n_bytes)
        return b""
    if not row.broken and number >= len(row.fields):
        row.broken = BrokenRecordError(Reason.NO_COLUMN, f"a row of {len(row.fields)} fields")
    mends = row.broken is not None and account.mends(row.broken.reason) and number < len(row.fields)
    if row.broken:
        at = row.offset + row.broken.at
        account.report(Defect(row.broken.reason, row.offset, at, 1, row.n_bytes, row.broken.got, kept=mends))
        if not mends:
            return b""
    account.keep(1, row.n_bytes)
    return encoded(row.fields[number], mend=True)


class _Row:
    """The fields of a row, and the bytes that they were read from."""

    def __init__(self, offset: int) -> None:
        self.offset, self.n_bytes = offset, 0
        self.fields: list[str] = []  # mended, where they were not valid
        self.broken: BrokenRecordError | None = None  # the first defect


class _TooLongError(Exception):
    """A row has more bytes than it may have."""


class _Rows:
    """The rows of a table, one after the other, those too that are broken."""

    def __init__(self, every: Iterator[Lines], format_: Format, longest: int) -> None:
        self._lines = _RowLines(every, longest)
        # Rows are limited by their length; the module has one limit of fields for all who use it.
        csv.field_size_limit(sys.maxsize)
        if format_ is Format.CSV:
            self._reader = csv.reader(self._lines, strict=True)
        else:
            self._reader = csv.reader(self._lines, delimiter="\t", quoting=csv.QUOTE_NONE)

    def __iter__(self) -> Iterator[_Row]:
        return self

    def __next__(self) -> _Row:
        self._lines.row = None
        fields: list[str] = []
        try:
            fields = next(self._reader)
            broken = None
        except _TooLongError as error:
            broken = BrokenRecordError(Reason.TOO_LONG, str(error))
        except csv.Error as error:
            broken = BrokenRecordError(Reason.NOT_CSV, f"{quoted(self._lines.begin)}: {error}")
        row = self._lines.row
        if row is None:  # a reader that has failed at the end ends once more
            raise StopIteration
        row.fields, row.broken = fields, broken or row.broken
        return row


class _RowLines:
    """Lines as text for csv.reader, which asks for as many as a row has."""

    def __init__(self, every: Iterator[Lines], longest: int) -> None:
        self._lines = _each_line(every)
        self._longest = longest
        self.row: _Row | None = None  # what was read since it was None
        self.begin = b""  # of the row, for a message

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        offset, line = next(self._lines)
        if self.row is None:
            self.row, self.begin = _Row(offset), line[:60].rstrip()
        before = self.row.n_bytes
        self.row.n_bytes += len(line)
        if self.row.n_bytes > self._longest:
            raise _TooLongError(f"a row of more than {self._longest:,} bytes that begins with {quoted(self.begin)}")
        try:
            text = line.decode("utf-8")
            if "\0" not in text:
                return text
        except UnicodeDecodeError:
            pass
        invalid = invalid_record(line)
        self.row.broken = self.row.broken or BrokenRecordError(invalid.reason, invalid.got, before + invalid.at)
        return mended(line).decode("utf-8")


def _each_line(every: Iterator[Lines]) -> Iterator[Lines]:
    for start, lines in every:
        offset = start
        for line in io.BytesIO(lines):
            yield offset, line
            offset += len(line)
