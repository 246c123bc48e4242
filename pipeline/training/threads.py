"""Training on threads of this process: replicas that are merged, with the same bytes for any number of threads, or one shared model."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from threading import Barrier
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from kernels.block import Plan, new_counters
from kernels.merge import Matrix, Replicas
from kernels.text import Text
from kernels.trainer import N_TALLIES
from kernels.vectors import new_vectors
from pipeline.training.model import Model
from pipeline.training.pair_files import Block, PairFile, PairReader, empty_text
from pipeline.training.schedule import MergeSchedule

SECONDS_TO_START = 60.0
SHARED_STRETCH = 2_048  # centres that a thread takes at a time from a shared model's block


class Threads:
    """A model and the threads that train it. Use it in `with`."""

    def __init__(self, model: Model, schedule: MergeSchedule, files: Sequence[PairFile], n_threads: int, *, shared: bool = False) -> None:
        """Shared, the threads change the model without locks: with more than one, results depend on their timing."""
        self.model, self.schedule, self.shared = model, schedule, shared
        n_words = len(model.input)
        n_replicas = schedule.n_shards if schedule.n_shards > 1 and not shared else 0
        self.kernel = model.kernel(n_replicas)
        if n_replicas:
            shape = (n_replicas, *model.input.shape)
            self.replicas = Replicas(
                new_vectors(n_replicas * n_words, model.settings.dimensions).reshape(shape),
                new_vectors(n_replicas * n_words, model.settings.dimensions).reshape(shape),
                model.input,
                model.output,
                schedule.scale,
            )
        else:
            one = np.ones((2, 1), np.float32)
            self.replicas = Replicas(model.input[None], model.output[None], model.input, model.output, one)
        self._copy_to_replicas()
        # More threads than shards would find nothing to do; one shard is trained in order by one.
        self.n_threads = n_threads if shared else min(n_threads, schedule.n_shards)
        self._pool = ThreadPoolExecutor(self.n_threads)
        # All threads begin now: a block whose last thread could not begin would wait for it for ever.
        everyone = Barrier(self.n_threads)
        for started in [self._pool.submit(everyone.wait, SECONDS_TO_START) for _ in range(self.n_threads)]:
            started.result()
        # Compiles, or loads what is compiled; on one thread, for where that fails the others would wait for it for ever.
        self._run(empty_text(0), np.zeros(n_replicas + 1, np.int64), np.zeros((1, 2), np.int64), 1)
        self._reader = PairReader(files)

    @property
    def round_centres(self) -> int:
        """Centres in a round, of all threads together."""
        return self.schedule.round_centres

    @property
    def cycle_rounds(self) -> int:
        """Rounds after which the model is whole, at most; a shared model always is."""
        return self.schedule.cycle_rounds

    def save(self, directory: Path) -> None:
        """Write the model, which is whole between two cycles."""
        self.model.save(directory)

    def load(self, directory: Path) -> None:
        """Go on from a model that was written."""
        self.model.load(directory)
        self._copy_to_replicas()

    def vectors(self, directory: Path) -> tuple[Matrix, Matrix]:
        """Input and output matrix, float32 (V, row_floats(D)), when all is trained."""
        return self.model.input, self.model.output

    @property
    def measures(self) -> dict[str, float]:
        """What is worth keeping about who trained."""
        return {"threads": self.n_threads}

    def _copy_to_replicas(self) -> None:
        if self.replicas.inputs.shape[0] > 1:
            self.replicas.inputs[:] = self.model.input
            self.replicas.outputs[:] = self.model.output

    def train(self, block: Block) -> npt.NDArray[np.float64]:
        """Train one block; loss in nats, pairs and centres, float64 (3,).

        Raises
        ------
        StoreError
            When a file of pairs is damaged.
        """
        text = self._reader.text(block.file)
        start = int(text.offsets[0])
        if self.shared:
            borders = np.append(np.arange(start + block.first, start + block.last, SHARED_STRETCH), start + block.last)
            due = np.zeros((1, 2), np.int64)
        else:
            borders, due = self.schedule.borders(block, start), self.schedule.due(block)
        total: npt.NDArray[np.float64] = self._run(text, borders, due, self.n_threads).sum(axis=0)
        return total

    def _run(self, text: Text, borders: npt.NDArray[np.int64], due: npt.NDArray[np.int64], n_threads: int) -> npt.NDArray[np.float64]:
        """Train the stretches of some rounds; the tallies of each."""
        n_rounds, n_stretches = len(due), (len(borders) - 1) // len(due)
        plan = Plan(borders, due, new_counters(n_rounds, n_stretches), n_threads)
        tallies = np.zeros((len(borders) - 1, N_TALLIES))
        arguments = (text, plan, self.replicas, self.model.targets, self.model.rates, self.model.settings.dimensions, tallies)
        threads = [self._pool.submit(self.kernel, *arguments) for _ in range(n_threads)]
        wait(threads)
        for thread in threads:
            thread.result()
        return tallies

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        self._reader.__exit__(kind, error, trace)
