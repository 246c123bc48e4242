"""The matrix of shifted positive PMI with smoothed contexts (Levy, Goldberg & Dagan 2015, sections 3.1 and 3.2), from co-occurrence cells.

PMI(w, c) = log(P(w, c) / (P(w) P_a(c))), P_a(c) = #(c)^a / sum #(c')^a, where # are the marginals of the counts; the matrix has
max(0, PMI(w, c) - log shift).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels.ppmi import Cells, Entries, Terms, add_marginals, count_entries, fill_entries, multiply, sort_entries
from pipeline.configuration import Ppmi
from pipeline.errors import StoreError
from pipeline.matrices import svd
from pipeline.matrices.panels import Singles, Team
from pipeline.storage.schemas import COOCCURRENCES
from pipeline.storage.tables import read_table

PASSES = 3  # over the files: marginals, sizes of the rows, entries
ENTRY_BYTES = 8  # a column and a value
KEPT = 0.9  # of the entries of the counts are positive in a direction; 0.80 of 100 MB of Wikipedia at window 10, 0.85 of 20 MB
N_RANGES = 256  # of rows, with as many entries each: some rows have a hundred thousand


# V words
@dataclass(frozen=True)
class PpmiMatrix:
    """The matrix, row by row, for products with panels."""

    entries: Entries
    tilt: Singles
    """float32 (V,), see `kernels.ppmi`."""
    n_counts: int
    """Entries of the counts."""
    n_positive: int
    """Entries of the matrix: those of the counts whose PMI is above log shift."""
    team: Team

    @property
    def n_rows(self) -> int:
        """V."""
        return len(self.tilt)

    def multiply(self, panel: Singles, product: Singles, *, transposed: bool) -> None:
        """Put the matrix, or its transpose, times a panel, float32 (V, W), into `product`, float32 (V, W)."""
        tilt = self.tilt if transposed else np.zeros_like(self.tilt)
        self.team.each(lambda first, last: multiply(self.entries, tilt, panel, product, first, last), _borders(self.entries))


def project_bytes(n_cells: int, n_words: int, n_dimensions: int) -> int:
    """Memory for the matrix of so many cells, unordered pairs of words, and for its decomposition."""
    return int(2 * n_cells * KEPT * ENTRY_BYTES) + 40 * n_words + svd.project_bytes(n_words, n_dimensions)


def read_matrix(files: Sequence[Path], n_words: int, settings: Ppmi, team: Team, on_file: Callable[[], None]) -> PpmiMatrix:
    """The matrix of all cells in these files; `on_file` hears of every file, PASSES times.

    The files are read three times, so that nothing but the matrix and a few files is ever in memory.

    Raises
    ------
    StoreError
        When a file is damaged, or names words that the vocabulary has not.
    """
    marginals = np.zeros(n_words)
    for found in team.stream(lambda path: _marginals(_read(path, n_words), n_words), files):
        marginals += found
        on_file()
    terms, tilt = _terms(marginals, settings)
    starts = np.zeros(n_words + 1, np.int64)
    n_counts = n_positive = 0
    for sizes, n_all, n_here in team.stream(lambda path: _sizes(_read(path, n_words), terms), files):
        starts[1:] += sizes
        n_counts, n_positive = n_counts + n_all, n_positive + n_here
        on_file()
    np.cumsum(starts, out=starts)
    entries = Entries(starts, np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.float32))
    free = starts[:-1].copy()
    for cells in team.stream(lambda path: _read(path, n_words), files):
        fill_entries(cells, terms, free, entries.columns, entries.values)
        on_file()
    team.each(lambda first, last: sort_entries(entries, first, last), _borders(entries))
    return PpmiMatrix(entries, tilt, n_counts, n_positive, team)


def _terms(marginals: npt.NDArray[np.float64], settings: Ppmi) -> tuple[Terms, Singles]:
    """What makes a PMI, less the shift, of the logarithm of a count; and the tilt. A word without counts has no entries."""
    counted = marginals > 0
    logs = np.log(marginals, out=np.zeros_like(marginals), where=counted)
    total = (marginals[counted] ** settings.context_power).sum()
    contexts = np.log(total) - settings.context_power * logs - np.log(settings.shift)
    return Terms(-logs, contexts), ((1.0 - settings.context_power) * logs).astype(np.float32)


def _marginals(cells: Cells, n_words: int) -> npt.NDArray[np.float64]:
    marginals = np.zeros(n_words)
    add_marginals(cells, marginals)
    return marginals


def _sizes(cells: Cells, terms: Terms) -> tuple[npt.NDArray[np.int64], int, int]:
    sizes = np.zeros(len(terms.word), np.int64)
    n_all, n_positive = count_entries(cells, terms, sizes)
    return sizes, n_all, n_positive


def _borders(entries: Entries) -> list[int]:
    """Ranges of rows with about as many entries each; no product or order depends on where they end."""
    wanted = np.linspace(0, len(entries.values), N_RANGES + 1)
    inner = np.searchsorted(entries.starts, wanted[1:-1]).tolist()
    return [0, *inner, len(entries.starts) - 1]


def _read(path: Path, n_words: int) -> Cells:
    table = read_table(path, COOCCURRENCES)
    cells = Cells(*(table[name].to_numpy() for name in COOCCURRENCES.names))
    if len(table) and (min(cells.rows.min(), cells.columns.min()) < 0 or max(cells.rows.max(), cells.columns.max()) >= n_words):
        raise StoreError(
            "A file of co-occurrences names words that the vocabulary has not.",
            where=str(path),
            got=f"ids up to {max(cells.rows.max(), cells.columns.max())}",
            expected=f"ids from 0 to {n_words - 1}",
            remedy="Remove the artifact's directory; the next run makes it again.",
        )
    return cells
