"""Training by the full softmax: minibatches of centres one after the other, each on all threads; and what that costs.

The step of a batch is the sum of the steps of its examples, all taken at the vectors before it, except where that would overshoot
(`kernels.softmax`). Blocks of words, as many as the vocabulary asks for, are computed by whichever thread is free, each product by one
thread of BLAS, and added up in order: the bytes are the same for any number of threads.
"""

import ctypes
import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kernels.merge import Matrix
from kernels.softmax import Batch, column_borders, gather_hidden, read_batch, score_block, step_block, weigh_rows
from kernels.text import MAX_WINDOW, Text, learning_rate
from pipeline.choices import CbowHidden
from pipeline.events import RunWarned, emit
from pipeline.training.model import Model
from pipeline.training.pair_files import Block, PairFile, PairReader, empty_text

BATCH_CENTRES = 256  # at most
LARGEST_SCORES = 2**24  # floats that hold the scores of a batch, about
CYCLE_FLOPS = 4e10  # about a second of one core
MORE_CONTEXTS = 2 * MAX_WINDOW  # of a batch, beside its centres: the words before the first and after the last


def batch_centres(n_words: int) -> int:
    """Centres in a batch: a constant, or fewer where the scores of a large vocabulary would not fit."""
    return max(1, min(BATCH_CENTRES, LARGEST_SCORES // n_words // 16 * 16))


def flops(n_examples: int, n_words: int, n_dimensions: int) -> float:
    """Floating-point operations of the three matrix products for so many rows: scores, gradients of hidden and of output vectors.

    CBOW has a row for each centre. Skip-gram has one for each different context word of a batch, never more than its centres and a window:
    the number of centres is an upper bound for both models, not the number of pairs.
    """
    return 6.0 * n_examples * n_words * n_dimensions


def memory_bytes(n_words: int, n_dimensions: int, n_threads: int) -> int:
    """Bytes that training holds at most beside the two matrices of the model and the text."""
    borders = column_borders(n_words)
    n_blocks, n_rows = len(borders) - 1, batch_centres(n_words) + MORE_CONTEXTS
    rows = n_rows * (n_words + 4 * n_blocks + (n_blocks + 2) * n_dimensions + 2)
    threads = min(n_threads, n_blocks) * (n_rows + borders[1]) * (n_dimensions + 1)
    return 4 * (rows + threads)


class FullSoftmax:
    """A model and the threads that train it. Use it in `with`: meanwhile BLAS computes on one thread, in the whole process."""

    def __init__(self, model: Model, hidden: CbowHidden | None, files: Sequence[PairFile], n_threads: int, n_batch: int = 0) -> None:
        """For skip-gram (hidden None) or CBOW; with batches of so many centres, or as many as are right for the vocabulary (0)."""
        self.model, self.hidden = model, hidden
        n_words, n_dimensions = len(model.input), model.settings.dimensions
        self.batch_centres = n_batch or batch_centres(n_words)
        self.borders = column_borders(n_words)
        n_blocks, n_rows = len(self.borders) - 1, self.batch_centres + MORE_CONTEXTS
        self.n_threads = min(n_threads, n_blocks)
        widths = np.diff(self.borders)
        self._scores = [np.empty(n_rows * width, np.float32) for width in widths]
        self._maxima, self._sums, self._spreads, self._weights = (np.empty((n_blocks, n_rows), np.float32) for _ in range(4))
        self._pulls = np.empty((n_blocks, n_rows, n_dimensions), np.float32)
        self._hidden, self._d_hidden = (np.empty((n_rows, n), np.float32) for n in (n_dimensions + 1, n_dimensions))
        self._curvature = np.empty(n_rows, np.float32)
        self._scaled = [np.empty((n_rows, n_dimensions + 1), np.float32) for _ in range(self.n_threads)]
        self._slopes = [np.empty((widths.max(), n_dimensions + 1), np.float32) for _ in range(self.n_threads)]
        self._pool = ThreadPoolExecutor(self.n_threads)
        self._blas = SingleThreadedBlas()
        self._reader = PairReader(files)
        self._train_batch(empty_text(0), 0, 0)  # compiles, or loads what is compiled

    @property
    def round_centres(self) -> int:
        """Centres in a batch."""
        return self.batch_centres

    @property
    def cycle_rounds(self) -> int:
        """Batches after which a checkpoint can be written: about a second at most."""
        cost = flops(self.batch_centres, len(self.model.input), self.model.settings.dimensions)
        return min(1024, max(1, int(CYCLE_FLOPS / cost)))

    @property
    def measures(self) -> dict[str, float]:
        """What is worth keeping about who trained."""
        repeats = self._blas.n_threads is not None  # else its sums may depend on its threads
        return {"threads": self.n_threads, "batch_centres": self.batch_centres, "reproducible": int(repeats)}

    def save(self, directory: Path) -> None:
        """Write the model."""
        self.model.save(directory)

    def load(self, directory: Path) -> None:
        """Go on from a model that was written."""
        self.model.load(directory)

    def vectors(self, directory: Path) -> tuple[Matrix, Matrix]:
        """Input and output matrix, float32 (V, row_floats(D))."""
        return self.model.input, self.model.output

    def train(self, block: Block) -> npt.NDArray[np.float64]:
        """Train one block; loss in nats, examples and centres, float64 (3,).

        An example is a pair in skip-gram, a window in CBOW. The learning rate of a batch is that of its first centre.

        Raises
        ------
        StoreError
            When a file of pairs is damaged.
        """
        text = self._reader.text(block.file)
        start, stop = (int(text.offsets[0]) + centre for centre in (block.first, block.last))
        tallies = np.zeros(3)
        for first in range(start, stop, self.batch_centres):
            last = min(stop, first + self.batch_centres)
            loss, n_examples = self._train_batch(text, first, last)
            tallies += (loss, n_examples, last - first)
        return tallies

    def _train_batch(self, text: Text, first: int, last: int) -> tuple[float, int]:
        """One step for the centres at positions first..last-1; loss before it, and examples."""
        model = self.model
        batch = read_batch(text, first, last, self.hidden is not None, len(model.input))
        n_rows = len(batch.context_starts) - 1
        shares = self._shares(batch)
        hidden, d_hidden, curvature = self._hidden[:n_rows], self._d_hidden[:n_rows], self._curvature[:n_rows]
        rate = learning_rate(model.rates, text.base + first)
        outputs = model.output[:, : model.settings.dimensions]
        blocks = self._maxima, self._sums, self._spreads, self._pulls
        gather_hidden(model.input, batch, shares[0], hidden)

        def score(_: int, block: int, words: slice) -> None:
            own = (results[block, :n_rows] for results in blocks)
            score_block(hidden, outputs[words], self._scores_of(block, n_rows), *own)

        def step(thread: int, block: int, words: slice) -> None:
            n_words = words.stop - words.start
            own = self._scores_of(block, n_rows), self._weights[block, :n_rows]
            scratch = self._scaled[thread][:n_rows], self._slopes[thread][:n_words]
            step_block(batch, words.start, *own, hidden, d_hidden, curvature, *scratch, model.input, model.output, rate)

        self._on_all_threads(score)
        loss = weigh_rows(batch, hidden, model.output, blocks, shares, self._weights, d_hidden, curvature)
        self._on_all_threads(step)
        return loss, len(batch.targets)

    def _shares(self, batch: Batch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """What the sum of the contexts of each row is multiplied by, and what each of them gets of dE/dh; float32 (R,)."""
        n_contexts = batch.context_starts[1:] - batch.context_starts[:-1]
        one = np.ones(len(n_contexts), np.float32)
        mean = np.reciprocal(n_contexts.astype(np.float32))
        means = (CbowHidden.MEAN, CbowHidden.MEAN_WORD2VEC)
        return mean if self.hidden in means else one, mean if self.hidden is CbowHidden.MEAN else one

    def _scores_of(self, block: int, n_rows: int) -> Matrix:
        """The scores of a block of words, float32 (R, W), without gaps."""
        width = self.borders[block + 1] - self.borders[block]
        return self._scores[block][: n_rows * width].reshape(n_rows, width)

    def _on_all_threads(self, work: Callable[[int, int, slice], None]) -> None:
        """Call work(thread, block, words) once for each block of words, the first blocks first: their words are the most frequent."""
        turns = iter(range(len(self.borders) - 1))  # taking the next number is one step of the interpreter

        def take_turns(thread: int) -> None:
            for block in turns:
                work(thread, block, slice(self.borders[block], self.borders[block + 1]))

        others = [self._pool.submit(take_turns, thread) for thread in range(1, self.n_threads)]
        take_turns(0)
        for other in others:
            other.result()

    def __enter__(self) -> Self:
        self._blas.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        self._reader.__exit__(kind, error, trace)
        self._blas.__exit__(kind, error, trace)


class SingleThreadedBlas:
    """The BLAS of NumPy computes on the thread that calls it, in the whole process, while in `with`.

    Many threads that call a BLAS with threads of its own would wait for each other, and its sums would depend on how many it has.
    """

    def __init__(self) -> None:
        # What is found in an extension is looked for in the libraries that it was linked with too.
        library: Any = ctypes.CDLL(importlib.import_module("numpy._core._multiarray_umath").__file__)
        # The names of OpenBLAS in NumPy's own packages come first.
        names = [f"{prefix}openblas_{{}}_num_threads{suffix}" for prefix in ("scipy_", "") for suffix in ("64_", "")]
        found = [(getattr(library, name.format("get"), None), getattr(library, name.format("set"), None)) for name in names]
        self._get, self._set = next((pair for pair in found if all(pair)), (None, None))
        self._before = 0

    @property
    def n_threads(self) -> int | None:
        """Threads that BLAS uses now; None: this one cannot tell."""
        return int(self._get()) if self._get else None

    def __enter__(self) -> Self:
        if self._get and self._set:
            self._before = self._get()
            self._set(1)
        else:
            emit(RunWarned("NumPy has a BLAS other than OpenBLAS here: set it to one thread, or vectors may depend on how many it has."))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._set:
            self._set(self._before)
