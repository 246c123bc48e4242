"""Exact counts of strings at any size: added up at once when that fits into the memory for it, else by partitions that go through files.

The strings come in files of (token, count), as lexicons are. Workers cut them by a hash of their bytes, so that equal strings meet in one
partition, and add the partitions up one by one. What is seen too seldom is only counted there: it never comes together in one place.
What counts are for is not this module's business.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kernels.partitions import partition_strings
from kernels.string_sums import StringSums
from pipeline.storage.schemas import LEXICON
from pipeline.storage.tables import count_bytes, read_batches, read_table, write_table
from pipeline.workers import Workers

T = TypeVar("T")

# Adding up takes so many times the bytes of the tables at most, where these have nothing in common: hash table, result, order.
MEMORY_FACTOR = 10.0
ROWS_AT_ONCE = 65_536
LARGEST_STRINGS = 1 << 30  # bytes of tables that are added up: Arrow's strings end at twice that


@dataclass(frozen=True)
class Counted:
    """What was counted: how many strings, and files of those that were seen often."""

    files: tuple[Path, ...]
    """Of (token, count): seen at least min_count times, of these only the `most` of each file; most frequent first, ties by bytes."""
    most: int
    """How many of them together are of interest; 0: all."""
    n_distinct: int
    n_seen: int
    """Occurrences of all of them."""
    n_often: int
    """Strings that were seen at least min_count times."""
    n_often_seen: int
    """Their occurrences."""
    largest: int
    """The largest count."""
    rare: Path | None = None
    """Of (token, count): those that were seen less often, in no order; None unless they were asked for, and are few."""

    def table(self) -> pa.Table:
        """Of the strings that were seen often the `most` most frequent, in the order of the files; in one chunk."""
        best = LEXICON.empty_table()
        for number, path in enumerate(self.files):
            best = pa.concat_tables([best, read_table(path, LEXICON)])
            if number and (number == len(self.files) - 1 or (self.most and len(best) > 2 * self.most)):
                best = _most_frequent(best, self.most)
        return best.combine_chunks()


@dataclass(frozen=True)
class _Cut:
    """One task: some of the files, cut into partitions."""

    number: int
    files: tuple[Path, ...]
    n_partitions: int
    bytes_at_once: int
    directory: Path


@dataclass(frozen=True)
class _Sum:
    """One task: the strings of some files added up."""

    number: int
    files: tuple[Path, ...]
    min_count: int
    most: int
    directory: Path
    rare_bytes: float = 0.0


def count_strings(
    files: Sequence[Path], directory: Path, workers: Workers, min_count: int, most: int = 0, *, keep_rare: bool = False
) -> Counted:
    """Add up the counts of (token, count) over files of the schema LEXICON.

    Parameters
    ----------
    files
        A token may be in many of them, and often in one; those with a count of 0 are not there.
    directory
        Where partitions and results are written; the results are to be read from there.
    workers
        Who cuts and adds up, each task in its share of the memory. What fits into all of it is added up here.
    min_count
        How often a token must have been seen to be in the result.
    most
        How many tokens are of interest at most, the most frequent; 0: all.
    keep_rare
        Whether the others are written as well, if each task has room for all.

    Raises
    ------
    StoreError
        When a file cannot be read.
    """
    directory.mkdir(exist_ok=True)
    sizes = [count_bytes(path) for path in files]
    if sum(sizes) <= min(workers.counting_bytes / MEMORY_FACTOR, LARGEST_STRINGS):
        rare_bytes = workers.task_bytes / MEMORY_FACTOR / 2 if keep_rare else 0.0
        return _add_up(_Sum(0, tuple(files), min_count, most, directory, rare_bytes), _read_ahead if workers.n_threads > 1 else _read)
    bytes_at_once = max(1, int(min(workers.task_bytes / MEMORY_FACTOR, LARGEST_STRINGS)))
    n_partitions = math.ceil(sum(sizes) / bytes_at_once)
    groups = cut_groups(files, sizes, bytes_at_once)
    cuts = [_Cut(number, group, n_partitions, bytes_at_once, directory) for number, group in enumerate(groups)]
    workers.map(_cut, cuts, lambda _: None)
    # Of a partition that nothing fell into there is no directory.
    parts = [tuple(sorted(_partition(directory, number).glob("*"))) for number in range(n_partitions)]
    sums = [_Sum(number, part, min_count, most, directory) for number, part in enumerate(parts)]
    added = workers.map(_add_up, sums, lambda _: None)
    return Counted(
        tuple(path for part in added for path in part.files),
        most,
        sum(part.n_distinct for part in added),
        sum(part.n_seen for part in added),
        sum(part.n_often for part in added),
        sum(part.n_often_seen for part in added),
        max(part.largest for part in added),
    )


def cut_groups(items: Sequence[T], sizes: Sequence[int], most: int) -> list[tuple[T, ...]]:
    """Neighbouring items together, as many as are not larger than `most`; a larger one by itself."""
    groups: list[list[T]] = []
    size = 0
    for item, more in zip(items, sizes, strict=True):
        if not groups or size + more > most:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += more
    return [tuple(group) for group in groups]


def one_array(column: pa.ChunkedArray) -> pa.Array:
    """A column without its chunks."""
    combined = column.combine_chunks()
    return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)


def _partition(directory: Path, number: int) -> Path:
    return directory / f"part-{number:06d}"


def _cut(task: _Cut) -> None:
    """Add up as much as fits, cut it, write it, and go on."""
    waiting: list[pa.Table] = []
    n_bytes = n_runs = 0
    for path in task.files:
        for batch in read_batches(path, LEXICON, ROWS_AT_ONCE):
            waiting.append(pa.Table.from_batches([batch]))
            n_bytes += batch.nbytes
            if n_bytes >= task.bytes_at_once:
                _write_run(task, n_runs, waiting)
                waiting, n_bytes, n_runs = [], 0, n_runs + 1
    if waiting:
        _write_run(task, n_runs, waiting)


def _write_run(task: _Cut, number: int, tables: list[pa.Table]) -> None:
    table = _added_up(tables)
    if not len(table):
        return
    tokens = one_array(table["token"])
    order, borders = partition_strings(*_bytes_of(tokens), task.n_partitions)
    table = table.take(pa.array(order))
    for partition in range(task.n_partitions):
        part = table.slice(borders[partition], borders[partition + 1] - borders[partition])
        if len(part):
            write_table(_partition(task.directory, partition), f"{task.number:06d}-{number:06d}.parquet", LEXICON, part)


def _bytes_of(strings: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The bytes of one or more strings, uint8, and where each begins, int32 (n + 1)."""
    _, offsets, content = strings.buffers()
    borders = np.frombuffer(offsets, np.int32)[strings.offset : strings.offset + len(strings) + 1]
    return np.frombuffer(content or b"", np.uint8), borders


def _read(files: Iterable[Path]) -> Iterator[pa.Table]:
    return (read_table(path, LEXICON) for path in files)


def _read_ahead(files: Iterable[Path]) -> Iterator[pa.Table]:
    """As `_read`, but a file is read while the one before is added up."""
    with ThreadPoolExecutor(1) as beside:
        reads: deque[Future[pa.Table]] = deque()
        for path in files:
            reads.append(beside.submit(read_table, path, LEXICON))
            if len(reads) > 1:
                yield reads.popleft().result()
        while reads:
            yield reads.popleft().result()


def _add_up(task: _Sum, read: Callable[[Iterable[Path]], Iterator[pa.Table]] = _read) -> Counted:
    """Add up files, and write what was seen often."""
    table = _added_up(read(task.files))
    is_often = pc.greater_equal(table["count"], task.min_count)
    often = table.filter(is_often)
    rare = task.directory / f"rare-{task.number:06d}.parquet" if 0 < table.nbytes <= task.rare_bytes else None
    if rare:
        write_table(task.directory, rare.name, LEXICON, table.filter(pc.invert(is_often)))
    target = f"sum-{task.number:06d}.parquet"
    write_table(task.directory, target, LEXICON, _most_frequent(often, task.most))
    seen, often_seen, largest = (pc.sum(table["count"]), pc.sum(often["count"]), pc.max(table["count"]))
    return Counted(
        (task.directory / target,),
        task.most,
        len(table),
        seen.as_py() or 0,
        len(often),
        often_seen.as_py() or 0,
        largest.as_py() or 0,
        rare,
    )


def _added_up(tables: Iterable[pa.Table]) -> pa.Table:
    """Each token once with the sum of its counts, by first occurrence; those with a count of 0 are left out."""
    sums = StringSums()
    for table in tables:
        for batch in table.to_batches():
            sums.add(*_bytes_of(batch["token"]), batch["count"].to_numpy())
    offsets, content, counts = sums.result()
    tokens = pa.LargeStringArray.from_buffers(len(counts), pa.py_buffer(offsets), pa.py_buffer(content)).cast(pa.string())
    return pa.table([tokens, pa.array(counts)], schema=LEXICON)


def _most_frequent(table: pa.Table, most: int) -> pa.Table:
    """The `most` most frequent, or all, in order; ties by bytes."""
    table = table.sort_by([("count", "descending"), ("token", "ascending")])
    return table.slice(0, most) if most else table
