"""Parquet: where the row groups of a file lie, and the texts in one of its columns."""

import itertools
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.reasons import LeftOut, Reason
from pipeline.sources.account import Account
from pipeline.sources.defects import BrokenRecordError, Defect, first_invalid, invalid_record, mended
from pipeline.sources.ranges import BLOCK_BYTES, open_file
from pipeline.sources.records import record_lines
from pipeline.sources.shard import SourceShard
from pipeline.storage.keys import READ_BYTES

_MAGIC = b"PAR1"
_MOST_ROWS = 4096  # that are held at a time, however short they seem to be
_ERRORS = (pa.ArrowException, OSError)
_ATTEMPTS = 2  # to read something: damage is there again, trouble of a network is seldom


def group_cuts(file: BinaryIO | Any, column: str, shard_bytes: int) -> list[int]:
    """The bytes of an open file at which shards start that hold whole row groups with about `shard_bytes` of text; 0 is the first.

    A file that is no Parquet, or whose row groups do not lie one behind the other, is not cut.
    """
    try:
        metadata = pq.read_metadata(file)
    except _ERRORS:
        return [0]
    begins = _group_begins(metadata)
    number = _column_number(metadata, column)
    cuts, n_bytes = [0], 0
    for group, begin in enumerate(begins):
        if n_bytes >= max(shard_bytes, 1):
            cuts.append(begin)
            n_bytes = 0
        n_bytes += metadata.row_group(group).column(number).total_uncompressed_size if number >= 0 else 0
    is_ordered = all(one < other for one, other in zip([0, *begins], begins, strict=False))
    return cuts if is_ordered else [0]


def footer_start(file: BinaryIO | Any) -> int:
    """The byte of an open file at which its footer starts; its size when it has none."""
    size = int(file.seek(0, 2))
    if size < 12:
        return size
    file.seek(size - 8)
    length, magic = file.read(4), file.read(4)
    start = size - 8 - int.from_bytes(length, "little")
    return start if magic == _MAGIC and start > 0 else size


def parquet_texts(shard: SourceShard, account: Account, longest: int) -> Iterator[bytes]:
    """The lines of the texts of all rows of a shard, in blocks.

    Rows that are null are no rows that are broken. When the file has not the column, or it holds no text, all are.

    Raises
    ------
    InputError
        When broken records end the run, or the file cannot be opened.
    """
    with open_file(shard.location) as file:
        try:
            table = _opened(file)
            groups = [n for n, begin in enumerate(_group_begins(table.metadata)) if shard.start <= begin < shard.stop]
        except MemoryError:  # Arrow's is an ArrowException too
            raise
        except _ERRORS as error:
            account.report(Defect(Reason.DAMAGED, 0, 0, 1, 0, str(error)))
            account.lose(Reason.DAMAGED, shard.n_bytes)
            return
        n_rows = sum(table.metadata.row_group(group).num_rows for group in groups)
        if wrong := _wrong_column(table.schema_arrow, shard.column):
            account.report(Defect(wrong.reason, 0, 0, n_rows, 0, wrong.got))
            account.lose(wrong.reason, shard.n_bytes)
            return
        first_row = 0
        for group in groups:
            yield from _group_texts(table, group, first_row, shard.column, longest, account)
            first_row += table.metadata.row_group(group).num_rows


def _opened(file: BinaryIO | Any) -> pq.ParquetFile:
    # With a buffer, pages are read one by one; without, whole columns of row groups.
    options = {"pre_buffer": False, "buffer_size": READ_BYTES, "page_checksum_verification": True}
    try:
        return pq.ParquetFile(file, **options)
    except _ERRORS:
        return pq.ParquetFile(file, **options)


def _group_texts(table: pq.ParquetFile, group: int, first_row: int, column: str, longest: int, account: Account) -> Iterator[bytes]:
    """The lines of the texts of one row group, whose damage spoils no other."""
    n_read = n_batches = 0
    for attempt in range(_ATTEMPTS):
        try:
            for batch in itertools.islice(_batches(table, group, column), n_batches, None):
                values = _as_bytes(batch.column(0)).to_pylist()
                n_batches += 1
                account.n_read += sum(len(value) for value in values if value is not None)
                text = _texts(values, first_row + n_read, longest, account)
                n_read += len(values)
                if text:
                    yield text
            return
        except MemoryError:
            raise
        except _ERRORS as error:
            if attempt + 1 == _ATTEMPTS:
                row, metadata = first_row + n_read, table.metadata.row_group(group)
                n_lost = metadata.num_rows - n_read
                n_bytes = sum(metadata.column(i).total_compressed_size for i in range(metadata.num_columns))
                account.report(Defect(Reason.DAMAGED, row, row, n_lost, 0, str(error)))
                account.lose(Reason.DAMAGED, n_bytes * n_lost // max(1, metadata.num_rows))  # its rows' part of the group


def _group_begins(metadata: Any) -> list[int]:
    """The first byte of every row group."""
    begins = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        columns = [group.column(i) for i in range(group.num_columns)]
        # Without a dictionary its place is None, or 0 in some files.
        begins.append(min(column.dictionary_page_offset or column.data_page_offset for column in columns))
    return begins


def _column_number(metadata: Any, column: str) -> int:
    """The number of a column among the leaves of the schema; -1 when there is none of this name."""
    names = [metadata.schema.column(number).path for number in range(metadata.num_columns)]
    return names.index(column) if column in names else -1


def _wrong_column(schema: pa.Schema, column: str) -> BrokenRecordError | None:
    """What is wrong with the column of the text, if anything."""
    if schema.names.count(column) != 1:
        return BrokenRecordError(Reason.NO_COLUMN, f"the columns {', '.join(map(ascii, schema.names[:20]))}")
    kind = schema.field(column).type
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(is_text(value) for is_text in (*kinds, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)):
        return None
    return BrokenRecordError(Reason.NOT_TEXT, f"values of the type {kind}")


def _as_bytes(values: pa.Array) -> pa.Array:
    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    return plain.cast(pa.large_binary())


def _batches(table: pq.ParquetFile, group: int, column: str) -> Iterator[pa.RecordBatch]:
    """The column in one row group, so many rows at a time that they make about a block."""
    number = _column_number(table.metadata, column)
    described = table.metadata.row_group(group)
    n_rows = BLOCK_BYTES * described.num_rows // max(1, described.column(number).total_uncompressed_size if number >= 0 else 0)
    size = max(1, min(_MOST_ROWS, n_rows))
    yield from table.iter_batches(batch_size=size, row_groups=[group], columns=[column], use_threads=False)


def _texts(values: list[bytes | None], first_row: int, longest: int, account: Account) -> bytes:
    """The lines of the texts of some rows."""
    if all(value is not None and len(value) <= longest for value in values):
        # What is valid as a whole is valid in its parts: a line feed between them completes nothing.
        text = b"".join(value + b"\n" for value in values if value is not None)
        if b"\r" not in text and first_invalid(text) < 0:
            account.keep(len(values), len(text) - len(values))
            return text
    return b"".join(_row_lines(value, row, longest, account) for row, value in enumerate(values, first_row))


def _row_lines(value: bytes | None, row: int, longest: int, account: Account) -> bytes:
    if value is None:
        account.leave_out(LeftOut.NULL, 1, 0)
        return b""
    if len(value) > longest:
        account.report(Defect(Reason.TOO_LONG, row, row, 1, len(value), f"a text of {len(value):,} bytes"))
        return b""
    return record_lines(value, (row, 0), _parse, account)


def _parse(value: bytes, mend: bool) -> str | None:
    try:
        return (mended(value) if mend else value).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_record(value) from None
