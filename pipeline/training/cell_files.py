"""The files of co-occurrence cells, read a batch at a time and ahead of the kernel: memory does not grow with their number."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from kernels.glove import N_TEAMS, Cells, find_unfit
from pipeline.errors import StoreError
from pipeline.matrices.cooccurrences import cells_file
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import COOCCURRENCES
from pipeline.storage.tables import read_batches
from pipeline.training.tournament import Match

BATCH = 262_144  # cells that are read at once: a tenth of a second of training, 4 MB


@dataclass(frozen=True)
class CellFile:
    """The cells whose row is a word of one team and whose column is one of another, or of the same."""

    path: Path
    row_team: int
    column_team: int
    n_cells: int


def cell_files(cooccurrences: Artifact) -> list[CellFile]:
    """The files of an artifact that hold any cells, by row team and column team."""
    n_rows = {record.name: record.n_rows for record in cooccurrences.files()}
    named = [(cells_file(p, q), p, q) for p, q in itertools.product(range(N_TEAMS), repeat=2)]
    return [CellFile(cooccurrences.path(name), p, q, n_rows[name]) for name, p, q in named if n_rows.get(name)]


@dataclass(frozen=True)
class Batch:
    """Some cells of a file, in its order."""

    cells: Cells
    file: CellFile


class CellReader:
    """Gives the cells of matches batch after batch, to several threads, and reads the next ones meanwhile. Use it in `with`."""

    def __init__(self, files: Sequence[CellFile], n_words: int, n_threads: int) -> None:
        self.n_words = n_words
        self._files: dict[Match, list[CellFile]] = {}
        for file in files:
            match = (min(file.row_team, file.column_team), max(file.row_team, file.column_team))
            self._files.setdefault(match, []).append(file)
        self._pool = ThreadPoolExecutor(n_threads)
        self._lock = Lock()
        self._streams: dict[Match, tuple[int, Iterator[Batch], Future[Batch]]] = {}  # the future batch, and its first cell

    def n_cells(self, match: Match) -> int:
        """Cells of a match, all its files together."""
        return sum(file.n_cells for file in self._files.get(match, []))

    def announce(self, match: Match, first: int) -> None:
        """Begin to read the cells of a match from number `first` on, unless these are just what is read."""
        with self._lock:
            self._begin(match, first)

    def _begin(self, match: Match, first: int) -> None:
        if match not in self._streams or self._streams[match][0] != first:
            batches = _read(self._files[match], first, self.n_words)
            self._streams[match] = first, batches, self._pool.submit(next, batches)

    def batch(self, match: Match, first: int) -> Batch:
        """The batch of a match that begins with cell number `first`, which must exist. The one after it is read meanwhile.

        Raises
        ------
        StoreError
            When a file is damaged, or holds what cannot be trained.
        """
        with self._lock:  # for both: another thread may announce the match from its beginning
            self._begin(match, first)
            _, batches, future = self._streams[match]
        batch = future.result()
        with self._lock:
            self._streams[match] = first + len(batch.cells.rows), batches, self._pool.submit(next, batches)
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._streams = {}


def _read(files: Sequence[CellFile], first: int, n_words: int) -> Iterator[Batch]:
    """Batches of all cells of these files, one file after the other, from number `first` on."""
    for file in files:
        if first < file.n_cells:
            yield from _read_file(file, first, n_words)
        first = max(0, first - file.n_cells)


def _read_file(file: CellFile, first: int, n_words: int) -> Iterator[Batch]:
    begin = 0
    for batch in read_batches(file.path, COOCCURRENCES, BATCH):
        end = begin + batch.num_rows
        if first < end <= file.n_cells:
            yield _checked(file, batch.slice(max(0, first - begin)), max(first, begin), n_words)
        begin = end
    if begin != file.n_cells:
        raise _unfit(file, f"{begin:,} cells", f"{file.n_cells:,}, as its manifest says")


def _checked(file: CellFile, batch: pa.RecordBatch, first: int, n_words: int) -> Batch:
    cells = Cells(*(batch[name].to_numpy() for name in COOCCURRENCES.names))
    unfit = find_unfit(cells, file.row_team, file.column_team, n_words)
    if unfit < len(cells.rows):
        got = f"cell {first + unfit:,} is ({cells.rows[unfit]}, {cells.columns[unfit]}), count {cells.counts[unfit]:g}"
        teams = f"row {file.row_team} and column {file.column_team} modulo {N_TEAMS}"
        raise _unfit(file, got, f"word ids from 0 to {n_words - 1}, {teams}, and a finite count above 0")
    return Batch(cells, file)


def _unfit(file: CellFile, got: str, expected: str) -> StoreError:
    return StoreError(
        "A file of co-occurrences cannot be trained on.",
        where=str(file.path),
        got=got,
        expected=expected,
        remedy="Remove the artifact's directory; the next run makes it again.",
    )


def no_cells() -> Cells:
    """No cells, of the same types as those that are read: for any other, kernels would be compiled anew."""
    rows, columns, counts = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)
    for array in (rows, columns, counts):
        array.flags.writeable = False
    return Cells(rows, columns, counts)
