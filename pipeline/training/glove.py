"""GloVe in training: the records of all words, and the threads that train the matches of a round.

Two matches of a round have no word in common, so any thread may train any match: the bytes are those of one thread.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from kernels.draws import Purpose, derive_key
from kernels.glove import N_TALLIES, N_TEAMS, Objective, cell_trainer, new_words, vectors_of
from kernels.merge import Matrix
from pipeline.configuration import GloveSettings
from pipeline.training.cell_files import BATCH, CellFile, CellReader, no_cells
from pipeline.training.tournament import Match

WORDS_FILE = "words.npy"
MAX_THREADS = N_TEAMS // 2  # matches of most rounds
LOOK_S = 0.1  # seconds between two looks at how far the threads are


def memory_bytes(n_words: int, n_dimensions: int, n_threads: int) -> int:
    """Bytes that training takes: 4 F float32 numbers a word, F = D + 2 in whole cache lines, and three batches of cells for each thread.

    A batch is counted twice, as it is decoded; one is trained on, the next is read, and that of the next match. The number of cells
    does not matter.
    """
    n_floats = -(-(n_dimensions + 2) // 16) * 16
    return 16 * n_floats * n_words + 3 * n_threads * 2 * 16 * BATCH


@dataclass
class RoundState:
    """How far a round has come; M matches. Threads write to different rows."""

    matches: Sequence[Match]
    n_done: npt.NDArray[np.int64]
    """int64 (M,): cells of each match that were trained."""
    tallies: npt.NDArray[np.float64]
    """float64 (M, N_TALLIES): the tallies of `cell_trainer` over them."""

    @classmethod
    def start(cls, matches: Sequence[Match]) -> Self:
        """Nothing is trained yet."""
        return cls(matches, np.zeros(len(matches), np.int64), np.zeros((len(matches), N_TALLIES)))


class GloveThreads:
    """A model and the threads that train it. Use it in `with`."""

    def __init__(self, settings: GloveSettings, n_words: int, files: Sequence[CellFile], n_threads: int) -> None:
        self.dimensions = settings.dimensions
        key = np.uint64(derive_key(np.uint64(settings.seed), np.uint64(Purpose.INITIAL)))
        self.words = new_words(n_words, settings.dimensions, key)
        self.objective = Objective(settings.x_max, settings.power, settings.learning_rate)
        self.n_threads = min(n_threads, MAX_THREADS)
        self._stopped = Event()
        self.kernel = cell_trainer()
        self.kernel(no_cells(), self.words[0], self.words[1], self.objective, np.zeros(N_TALLIES))  # compiles, or loads what is compiled
        self._pool = ThreadPoolExecutor(self.n_threads)
        self.reader = CellReader(files, n_words, self.n_threads)

    def train(self, state: RoundState, coming: Sequence[Match], look: Callable[[], bool]) -> bool:
        """Train a round, in place; whether it is finished.

        `look` is called a few times a second; when it returns True the threads stop at the next border of two batches, and the round can go
        on from its state, in this process or another. The first cells of the `coming` matches are read meanwhile.

        Raises
        ------
        StoreError
            When a file of cells is damaged. Whatever `look` raises.
        """
        sizes = self.sizes(state.matches)
        # The largest first, so that no thread begins one when the others have nothing left.
        order = sorted(np.flatnonzero(state.n_done < sizes).tolist(), key=lambda number: -sizes[number])
        waiting = deque(order)
        ahead = deque([(state.matches[number], int(state.n_done[number])) for number in order])
        ahead += [(match, 0) for match in coming if self.reader.n_cells(match)]
        for _ in range(self.n_threads):
            self._announce(ahead)
        self._stopped.clear()
        threads = [self._pool.submit(self._work, state, sizes, waiting, ahead) for _ in range(self.n_threads)]
        try:
            while True:
                ended, running = wait(threads, LOOK_S, FIRST_EXCEPTION)
                if not running or any(thread.exception() for thread in ended) or look():
                    break
        finally:
            self._stopped.set()
            wait(threads)
        for thread in threads:
            thread.result()
        return bool((state.n_done == sizes).all())

    def sizes(self, matches: Sequence[Match]) -> npt.NDArray[np.int64]:
        """Cells of each match, int64 (M,)."""
        return np.array([self.reader.n_cells(match) for match in matches], np.int64)

    def _work(self, state: RoundState, sizes: npt.NDArray[np.int64], waiting: deque[int], ahead: deque[tuple[Match, int]]) -> None:
        """Train one match after the other, whichever is next."""
        while not self._stopped.is_set():
            try:
                number = waiting.popleft()
            except IndexError:
                return
            self._announce(ahead)
            match, tallies = state.matches[number], state.tallies[number]
            while state.n_done[number] < sizes[number] and not self._stopped.is_set():
                batch = self.reader.batch(match, int(state.n_done[number]))
                rows, columns = self.words[batch.file.row_team], self.words[batch.file.column_team]
                self.kernel(batch.cells, rows, columns, self.objective, tallies)
                state.n_done[number] += len(batch.cells.rows)

    def _announce(self, ahead: deque[tuple[Match, int]]) -> None:
        with contextlib.suppress(IndexError):  # nothing is left
            self.reader.announce(*ahead.popleft())

    def save(self, directory: Path) -> None:
        """Write the records of all words."""
        np.save(directory / WORDS_FILE, self.words)

    def load(self, directory: Path) -> None:
        """Read the records in place."""
        self.words[:] = np.load(directory / WORDS_FILE, mmap_mode="r", allow_pickle=False)

    def vectors(self, first: int, last: int) -> tuple[Matrix, Matrix]:
        """Input and output vectors of the words first..last-1, float32 (last - first, D)."""
        return vectors_of(self.words, first, last, self.dimensions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        self.reader.__exit__(kind, error, trace)
