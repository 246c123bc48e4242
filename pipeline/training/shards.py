"""Some shards of a training run on one worker of a cluster: their replicas, a model, and the connections to the other workers.

After every round the changes of the due rows are added up along the tree of workers and the total comes back, so that all workers hold
the same model. In pieces, so that a worker needs no room for the changes of all words at once.
"""

import struct
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.block import Plan, new_counters
from kernels.exchange import add_sums, sum_changes, take_sum
from kernels.merge import Replicas
from kernels.text import Text
from kernels.trainer import N_TALLIES
from kernels.tree import Parents, build_parents, sum_below
from kernels.vectors import new_vectors
from pipeline.choices import Loss
from pipeline.environment import computing
from pipeline.training.model import Model
from pipeline.training.pair_files import Block, PairReader, empty_text
from pipeline.training.peers import Peer, PeerLost, Place, answer, call, listen
from pipeline.training.task import Task

PIECE = 8_192  # rows of each matrix that are merged in one pass along the tree
_HEADER = struct.Struct("<2q")


@dataclass(frozen=True)
class Trained:
    """What one worker did in a block."""

    tallies: npt.NDArray[np.float64]
    """Loss in nats, pairs and centres of each of its stretches, float64 (rounds, shards of this worker, 3)."""
    n_rounds: int
    exchange_s: float
    """Seconds in merges, waiting for others included."""
    exchange_bytes: int
    """Bytes sent to other workers."""


@dataclass(frozen=True)
class Answer:
    """What a method returned or raised: an exception that comes by itself is the cluster's, not ours."""

    value: Any = None
    error: Exception | None = None


class Sums:
    """Summed changes of some rows of both matrices, with room for a piece."""

    def __init__(self, n_rows: int, n_dimensions: int) -> None:
        self.n = [0, 0]
        self.rows = [np.empty(n_rows, np.int32) for _ in self.n]
        self.values = [np.empty((n_rows, n_dimensions), np.float32) for _ in self.n]

    def _buffers(self) -> list[memoryview]:
        parts = zip(self.n, self.rows, self.values, strict=True)
        return [part[:n].data.cast("B") for n, rows, values in parts for part in (rows, values) if n]

    def send(self, peer: Peer) -> None:
        """Send it whole."""
        peer.send([memoryview(_HEADER.pack(*self.n)), *self._buffers()])

    def receive(self, peer: Peer) -> None:
        """Become what the peer sends, in place."""
        header = bytearray(_HEADER.size)
        peer.receive(memoryview(header))
        self.n = list(_HEADER.unpack(header))
        for part in self._buffers():
            peer.receive(part)

    def become_sum(self, left: "Sums", right: "Sums") -> None:
        """Become left + right, in place."""
        for matrix, (i, j) in enumerate(zip(left.n, right.n, strict=True)):
            parts = (left.rows[matrix][:i], left.values[matrix][:i], right.rows[matrix][:j], right.values[matrix][:j])
            self.n[matrix] = add_sums(*parts, self.rows[matrix], self.values[matrix])


class Shards:
    """The shards of one place in the tree, trained on some threads of the process that made this."""

    def __init__(self, task: Task, place: Place, n_threads: int) -> None:
        """Nothing is read or allocated yet."""
        self.task, self.place = task, place
        self.n_shards = place.last - place.first
        self.n_threads = min(n_threads, self.n_shards)
        self.pool = ThreadPoolExecutor(self.n_threads)
        self.peers: dict[int, Peer] = {}

    def do(self, name: str, *arguments: Any) -> Answer:
        """Call another method. When it fails the connections are closed, so that the other workers hear of it."""
        try:
            if name in ("train", "save", "load") and not hasattr(self, "reader"):
                raise PeerLost("a new worker at the address of a lost one")
            return Answer(getattr(self, name)(*arguments))
        except PeerLost as error:
            self._disconnect()
            return Answer(error=error)
        except Exception as error:
            self._disconnect()
            error.add_note(f"On a worker:\n{traceback.format_exc()}")
            return Answer(error=error)

    def compile(self) -> dict[str, str]:
        """Do every computation once with next to nothing, so that Numba's cache is written; what computes here.

        Not on two workers at once: processes that write that cache together can crash (numba#4807).
        """
        self._hold(Model(self.task.settings, np.ones(2, np.int64), 1, self._smallest_tree()), np.ones((2, 2), np.float32))
        self._train_round(empty_text(0), np.zeros(self.n_shards + 1, np.int64), np.zeros((self.n_shards, N_TALLIES)), 1)
        self._sum(0, np.zeros(2, np.int64))
        self.total.become_sum(self.sums, self.sums)
        self._take(self.sums)
        return computing()

    def _smallest_tree(self) -> Parents | None:
        if self.task.settings.loss is not Loss.HIERARCHICAL_SOFTMAX:
            return None
        parents: Parents = build_parents(np.ones(2, np.int64), np.arange(2))
        sum_below(parents, np.ones(2))
        return parents

    def open(self, host: str) -> tuple[str, int]:
        """Read what there is to read, take the memory, and listen; the address for the children of this place."""
        self.schedule = self.task.schedule()
        self._hold(self.task.model(), self.schedule.scale)
        self.reader = PairReader(self.task.files())
        self.listener = listen(host)
        address: tuple[str, int] = self.listener.getsockname()[:2]
        return address

    def _hold(self, model: Model, scale: npt.NDArray[np.float32]) -> None:
        settings, shape = model.settings, (self.n_shards, *model.input.shape)
        n_rows, n_dimensions = shape[0] * shape[1], settings.dimensions
        inputs, outputs = (new_vectors(n_rows, n_dimensions).reshape(shape) for _ in range(2))
        self.model, self.replicas = model, Replicas(inputs, outputs, model.input, model.output, scale)
        self._copy_to_replicas()
        # The machine code of threads in one process, whose own merge finds nothing due here: other code could round otherwise.
        self.kernel = model.kernel(settings.shards)
        self.sums, self.received, self.total = (Sums(min(PIECE, shape[1]), n_dimensions) for _ in range(3))
        self.scratch = np.zeros((self.n_shards, n_dimensions), np.float32)

    def meet(self, parent: tuple[str, int] | None, token: bytes) -> None:
        """Connect to the parent and to the children."""
        if parent and self.place.parent is not None:
            self.peers[self.place.parent] = call(parent, token, self.place.rank)
        self.peers |= answer(self.listener, token, self.place.children)
        self.listener.close()

    def train(self, block: Block) -> Trained:
        """Train the part of a block that is due here, and merge after every round."""
        text = self.reader.text(block.file)
        borders, due_rows = self.schedule.borders(block, int(text.offsets[0])), self.schedule.due(block)
        tallies = np.zeros((len(due_rows), self.n_shards, N_TALLIES))
        sent_before = sum(peer.sent_bytes for peer in self.peers.values())
        exchange_s = 0.0
        for turn, due in enumerate(due_rows):
            first = turn * self.schedule.n_shards
            self._train_round(text, borders[first + self.place.first : first + self.place.last + 1], tallies[turn], self.n_threads)
            started = time.perf_counter()
            for piece in range(0, int(due.max()), PIECE):
                self._merge(piece, due)
            exchange_s += time.perf_counter() - started
        return Trained(tallies, len(due_rows), exchange_s, sum(peer.sent_bytes for peer in self.peers.values()) - sent_before)

    def _train_round(self, text: Text, borders: npt.NDArray[np.int64], tallies: npt.NDArray[np.float64], n_threads: int) -> None:
        plan = Plan(borders, np.zeros((1, 2), np.int64), new_counters(1, self.n_shards), n_threads)
        arguments = (text, plan, self.replicas, self.model.targets, self.model.rates, self.model.settings.dimensions, tallies)
        others = [self.pool.submit(self.kernel, *arguments) for _ in range(n_threads - 1)]
        self.kernel(*arguments)
        for other in others:
            other.result()

    def _merge(self, first: int, due: npt.NDArray[np.int64]) -> None:
        """Merge one piece of the due rows of both matrices with all other workers."""
        self._sum(first, due)
        for child in self.place.children:
            self.received.receive(self.peers[child])
            self.total.become_sum(self.sums, self.received)
            self.sums, self.total = self.total, self.sums
        if self.place.parent is not None:
            self.sums.send(self.peers[self.place.parent])
            self.sums.receive(self.peers[self.place.parent])
        for child in reversed(self.place.children):  # the largest part of the tree first
            self.sums.send(self.peers[child])
        self._take(self.sums)

    def _sum(self, first: int, due: npt.NDArray[np.int64]) -> None:
        sums = self.sums
        for matrix, (many, one) in enumerate(self._matrices()):
            last = max(first, min(first + PIECE, int(due[matrix])))
            sums.n[matrix] = sum_changes(many, one, first, last, sums.rows[matrix], sums.values[matrix], self.scratch)

    def _take(self, sums: Sums) -> None:
        for matrix, (many, one) in enumerate(self._matrices()):
            n = sums.n[matrix]
            take_sum(many, one, self.replicas.scale[matrix], sums.rows[matrix][:n], sums.values[matrix][:n])

    def _matrices(self) -> tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]:
        return (self.replicas.inputs, self.replicas.input), (self.replicas.outputs, self.replicas.output)

    def save(self, directory: Path) -> None:
        """Write the model, which is the same on all workers between two cycles."""
        self.model.save(directory)

    def load(self, directory: Path) -> None:
        """Go on from a model that was written."""
        self.model.load(directory)
        self._copy_to_replicas()

    def _copy_to_replicas(self) -> None:
        self.replicas.inputs[:] = self.model.input
        self.replicas.outputs[:] = self.model.output

    def close(self) -> None:
        """Give back connections, threads and memory."""
        self._disconnect()
        self.pool.shutdown()
        if hasattr(self, "reader"):
            self.reader.__exit__(None, None, None)
        vars(self).clear()

    def _disconnect(self) -> None:
        for peer in self.peers.values():
            peer.close()
        if hasattr(self, "listener"):
            self.listener.close()
