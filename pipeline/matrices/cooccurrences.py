"""Reading co-occurrence counts: block by block of the matrix, each in its shuffled order, whole or a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.cooccurrence import GRID
from pipeline.errors import UsageError
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import COOCCURRENCES
from pipeline.storage.tables import count_rows, read_batches, read_table

CELLS_A_GROUP = 65_536  # rows of one Parquet row group: 1 MB


@dataclass(frozen=True)
class Cells:
    """Cells of the upper triangle, row <= column, c of them. The entry of (column, row) in the symmetric matrix is the same."""

    rows: npt.NDArray[np.int32]
    """int32 (c,): vocabulary ids."""
    columns: npt.NDArray[np.int32]
    """int32 (c,): vocabulary ids."""
    counts: npt.NDArray[np.float64]
    """float64 (c,): the entries; on the diagonal each pair of positions counts twice, once in either direction."""


def cells_file(p: int, q: int) -> str:
    """The name of the file of the cells with row % GRID == p and column % GRID == q."""
    return f"cells-{p:02d}-{q:02d}.parquet"


def count_cells(cooccurrences: Artifact, p: int, q: int) -> int:
    """The number of cells of one block, from the footer of its file.

    Raises
    ------
    UsageError
        When there is no such block.
    StoreError
        When the file is missing or its footer damaged.
    """
    return count_rows(cooccurrences.path(cells_file(p, q))) if _has_cells(cooccurrences, p, q) else 0


def read_cells(cooccurrences: Artifact, p: int, q: int) -> Cells:
    """All cells of one block: row % GRID == p, column % GRID == q; ascending mix64(row << 32 | column).

    Raises
    ------
    UsageError
        When there is no such block.
    StoreError
        When its file cannot be read.
    """
    if not _has_cells(cooccurrences, p, q):
        return _cells(COOCCURRENCES.empty_table())
    return _cells(read_table(cooccurrences.path(cells_file(p, q)), COOCCURRENCES))


def stream_cells(cooccurrences: Artifact, p: int, q: int, n_cells: int = CELLS_A_GROUP) -> Iterator[Cells]:
    """The same cells in the same order, at most `n_cells` at a time.

    Raises
    ------
    UsageError
        When there is no such block.
    StoreError
        When its file cannot be read.
    """
    if _has_cells(cooccurrences, p, q):
        for batch in read_batches(cooccurrences.path(cells_file(p, q)), COOCCURRENCES, n_cells):
            yield _cells(batch)


def _has_cells(cooccurrences: Artifact, p: int, q: int) -> bool:
    """Whether the block has a file: one without cells has none, which is no damage."""
    if not (0 <= p < GRID and 0 <= q < GRID):
        raise UsageError("There is no such block.", where=str(cooccurrences.directory), got=f"({p}, {q})", expected=f"0 to {GRID - 1} each")
    return bool(cooccurrences.files(cells_file(p, q)))


def _cells(table: pa.Table | pa.RecordBatch) -> Cells:
    return Cells(*(np.asarray(table[name]) for name in ("row", "column", "count")))
