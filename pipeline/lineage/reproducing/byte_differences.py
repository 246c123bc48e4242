"""What differs between two builds of one artifact: which files, and of a table the first row and column, and how far numbers are apart."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.storage.artifact import Artifact, FileRecord
from pipeline.storage.keys import digest_of_file

ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Cell:
    """The first place at which two tables differ."""

    row: int  # from 0
    column: str  # with the place in a list: input[3]
    then: str  # as Python writes it; empty where there is no such row
    now: str


@dataclass(frozen=True)
class FileDifference:
    """A file of an artifact that has other bytes, or is in one build only."""

    name: str
    then: FileRecord | None
    now: FileRecord | None
    cell: Cell | None = None
    largest: float | None = None  # difference between two numbers of the column of that cell, in rows that both have
    unknown: str = ""  # why it cannot be said how they differ


def differences(then: Artifact, now: Artifact) -> tuple[FileDifference, ...]:
    """The files that differ by the two manifests; those of the first build are looked into where they are still as its manifest says."""
    before, after = ({record.name: record for record in artifact.manifest.files} for artifact in (then, now))
    names = [name for name in sorted({*before, *after}) if name not in before or name not in after or before[name] != after[name]]
    return tuple(_difference(then, now, FileDifference(name, before.get(name), after.get(name))) for name in names)


def is_whole(artifact: Artifact) -> bool:
    """Whether every file has the bytes that the manifest says."""
    return all(_is_as_recorded(artifact.path(record.name), record) for record in artifact.manifest.files)


def _is_as_recorded(path: Path, record: FileRecord) -> bool:
    try:
        return path.stat().st_size == record.size_bytes and digest_of_file(path) == record.sha256
    except OSError:
        return False


def _difference(then: Artifact, now: Artifact, found: FileDifference) -> FileDifference:
    if found.then is None or found.now is None:
        return replace(found, unknown="only one of both has it")
    if not _is_as_recorded(then.path(found.name), found.then):
        return replace(found, unknown="the file of that time is not in the store as it was")
    if not found.name.endswith(".parquet"):
        return replace(found, unknown="it is no table")
    try:
        cell, largest = compare_tables(then.path(found.name), now.path(found.name))
    except (OSError, pa.ArrowException) as error:
        return replace(found, unknown=f"it cannot be read as a table: {error}")
    return replace(found, cell=cell, largest=largest)


def compare_tables(then: Path, now: Path) -> tuple[Cell | None, float | None]:
    """The first cell that differs, by row and then by column, and the largest difference in its column where that holds floats.

    Floats are the same when their bits are: NaN is the same as NaN, 0.0 another than -0.0. Rows are read some at a time.
    """
    with pq.ParquetFile(then) as left, pq.ParquetFile(now) as right:
        if not left.schema_arrow.equals(right.schema_arrow):
            return Cell(0, "columns", str(left.schema_arrow.names), str(right.schema_arrow.names)), None
        row, cell, largest = 0, None, None
        for a, b in _together(left, right):
            cell = cell or _first_cell(a, b, row)
            if cell:
                far = _largest(*(batch.column(cell.column.partition("[")[0]) for batch in (a, b)))
                largest = far if largest is None or far is None else max(largest, far)
            row += len(a)
        n_then, n_now = left.metadata.num_rows, right.metadata.num_rows
        if cell is None and n_then != n_now:
            cell = Cell(row, "", "" if n_then < n_now else "a row", "" if n_now < n_then else "a row")
        return cell, largest


def _together(left: pq.ParquetFile, right: pq.ParquetFile) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """The rows that both have, in batches of the same rows, wherever row groups end."""
    streams = [file.iter_batches(ROWS_AT_ONCE, use_threads=False) for file in (left, right)]
    batches: list[Any] = [None, None]  # what is left of the last of each
    while True:
        for side in (0, 1):
            while batches[side] is None or not len(batches[side]):
                batches[side] = next(streams[side], None)
                if batches[side] is None:
                    return
        n_rows = min(map(len, batches))
        yield batches[0].slice(0, n_rows), batches[1].slice(0, n_rows)
        batches = [batch.slice(n_rows) for batch in batches]


def _first_cell(left: pa.RecordBatch, right: pa.RecordBatch, first_row: int) -> Cell | None:
    rows = [_first_row(_bits(a), _bits(b)) for a, b in zip(left.columns, right.columns, strict=True)]
    differing = [(row, number) for number, row in enumerate(rows) if row is not None]
    if not differing:
        return None
    row, number = min(differing)
    name = left.schema.names[number]
    a, b = left.column(number)[row].as_py(), right.column(number)[row].as_py()
    if isinstance(a, list) and isinstance(b, list):
        bits = [_bits(column.slice(row, 1))[0].as_py() for column in (left.column(number), right.column(number))]
        place = next((i for i, (x, y) in enumerate(zip(*bits, strict=False)) if x != y), min(map(len, bits)))
        name, a, b = f"{name}[{place}]", *("" if place >= len(values) else values[place] for values in (a, b))
    return Cell(first_row + row, name, _readable(a), _readable(b))


def _readable(value: Any) -> str:
    return "" if value == "" else f"{value:.9g}" if isinstance(value, float) else repr(value)[:80]


def _first_row(left: pa.Array, right: pa.Array) -> int | None:
    """The first row at which two columns of the same length differ, by halves."""
    if left.equals(right):
        return None
    low, high = 0, len(left)
    while high - low > 1:
        middle = (low + high) // 2
        if left.slice(low, middle - low).equals(right.slice(low, middle - low)):
            low = middle
        else:
            high = middle
    return low


def _bits(column: pa.Array) -> pa.Array:
    """The same column with the bits of floats as integers."""
    kind = column.type
    if pa.types.is_floating(kind):
        return column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    if pa.types.is_fixed_size_list(kind) and pa.types.is_floating(kind.value_type):
        return pa.FixedSizeListArray.from_arrays(_bits(column.flatten()), kind.list_size)
    return column


def _largest(left: pa.Array, right: pa.Array) -> float | None:
    """The largest difference between floats of two columns; NaN where only one of them is a number."""
    if pa.types.is_fixed_size_list(left.type):
        left, right = left.flatten(), right.flatten()
    if not pa.types.is_floating(left.type):
        return None
    a, b = (column.to_numpy().astype(np.float64) for column in (left, right))
    apart = np.abs(a - b)[~((a == b) | (np.isnan(a) & np.isnan(b)))]
    return float(apart.max(initial=0.0))
