"""Reproducible training on a Dask cluster: the same rounds as in `pipeline.training.threads`, with the shards on workers.

Every worker reads the files of pairs itself, and workers exchange changes among themselves. Through the client go block numbers, tallies
and addresses only. When a worker dies all begin again from the model that was saved last, on whichever workers there are then.
"""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from kernels.merge import Matrix
from pipeline.environment import computing
from pipeline.errors import WorkerError
from pipeline.training.model import INPUT_FILE, OUTPUT_FILE
from pipeline.training.pair_files import Block
from pipeline.training.peers import PeerLost, places
from pipeline.training.shards import Answer, Shards, Trained
from pipeline.training.task import Task

MAX_RESTARTS = 5  # without a block that was not trained before
PATIENCE_S = 60.0  # until there is a worker at all
SETTLING_S = 10.0  # until there are as many workers as before
_POLL_S = 1.0


class RestartedError(Exception):
    """A worker was lost and all were set up anew: the model is that of the start, and the caller loads what it saved and goes on."""


class _WorkerLost(Exception):  # noqa: N818 - it says what happened
    """A worker died, or cannot be reached."""


def ignore_interruptions_of(pid: int) -> None:
    """In a worker that this process started: leave Ctrl-C in the terminal, which all processes hear, to that process and its checkpoint."""
    if os.getppid() == pid and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Cluster:
    """A model in training on the workers of a Dask client. Use it in `with`."""

    def __init__(self, client: Any, task: Task) -> None:
        self.client, self.task = client, task
        self.schedule = task.schedule()
        self._workers: dict[str, int] = {}  # address -> threads, in the order of their places
        self._shards: dict[str, Any] = {}  # address -> actor, likewise
        self._n_restarts = 0
        self._furthest: tuple[int, int] | None = None
        self._n_rounds = 0
        self._exchange_s: list[float] = []
        self._exchange_bytes: list[int] = []

    @property
    def round_centres(self) -> int:
        """Centres in a round, of all workers together."""
        return self.schedule.round_centres

    @property
    def cycle_rounds(self) -> int:
        """Rounds after which the model is whole, at most."""
        return self.schedule.cycle_rounds

    @property
    def measures(self) -> dict[str, float]:
        """What is worth keeping about who trained, since this process began.

        `exchange_s` is the mean of the workers' seconds in merges; `exchange_bytes` is what all of them sent.
        """
        threads = [min(n, place.last - place.first) for n, place in zip(self._workers.values(), self._places(), strict=True)]
        return {
            "threads": sum(threads),
            "workers": len(self._workers),
            "exchange_s": sum(self._exchange_s),
            "exchange_bytes": sum(self._exchange_bytes),
            "exchange_rounds": self._n_rounds,
        }

    def train(self, block: Block) -> npt.NDArray[np.float64]:
        """Train one block; loss in nats, pairs and centres, float64 (3,).

        Raises
        ------
        RestartedError
            When a worker was lost; so do the methods below.
        WorkerError
            When workers are lost again and again, or none is left.
        StoreError
            When a file of pairs is damaged.
        """
        done: list[Trained] = self._call("train", block)
        self._n_rounds += done[0].n_rounds
        self._exchange_s.append(sum(one.exchange_s for one in done) / len(done))
        self._exchange_bytes.append(sum(one.exchange_bytes for one in done))
        if self._furthest is None or (block.file, block.first) > self._furthest:
            self._furthest, self._n_restarts = (block.file, block.first), 0
        # All stretches in their order, so that the sum is that of one process to the bit.
        total: npt.NDArray[np.float64] = np.concatenate([one.tallies for one in done], axis=1).reshape(-1, 3).sum(axis=0)
        return total

    def save(self, directory: Path) -> None:
        """Have the first worker write the model, which is whole between two cycles."""
        self._call("save", directory, only_first=True)

    def load(self, directory: Path) -> None:
        """Go on from a model that was written."""
        self._call("load", directory)

    def vectors(self, directory: Path) -> tuple[Matrix, Matrix]:
        """Input and output matrix, float32 (V, row_floats(D)), when all is trained; mapped from files in a directory that may not exist."""
        directory.mkdir(parents=True, exist_ok=True)
        self.save(directory)
        return np.load(directory / INPUT_FILE, mmap_mode="r", allow_pickle=False), np.load(
            directory / OUTPUT_FILE, mmap_mode="r", allow_pickle=False
        )

    def _call(self, name: str, *arguments: Any, only_first: bool = False) -> list[Any]:
        try:
            return self._together(name, [arguments] * (1 if only_first else len(self._shards)))
        except _WorkerLost as lost:
            self._restart(lost)
            raise RestartedError(str(lost)) from lost

    def _together(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Call a method on the first workers, all at the same time; what they return.

        An error of ours counts more than a lost worker, because a worker that fails takes its peers along.
        """
        answers = self._answers(name, arguments)
        errors = [answer.error for answer in answers if answer.error]
        for error in errors:
            if not isinstance(error, PeerLost | _WorkerLost):
                raise error
        if errors:
            raise next((error for error in errors if isinstance(error, _WorkerLost)), _WorkerLost(str(errors[0])))
        return [answer.value for answer in answers]

    def _answers(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Answer]:
        pairs = zip(self._shards.items(), arguments, strict=False)
        asked = [self._ask(shards, address, name, *given) for (address, shards), given in pairs]
        return [hear() for hear in asked]

    def _ask(self, shards: Any, address: str, name: str, *arguments: Any) -> Callable[[], Answer]:
        """Call a method on a worker; the function waits for the answer."""

        def lost(error: Exception) -> Answer:
            return Answer(error=error if isinstance(error, _WorkerLost) else _WorkerLost(f"{address}: {error}"))

        def hear() -> Answer:
            try:
                answer: Answer = self._result(call, address)
            except _WorkerLost as error:
                return lost(error)
            return answer

        try:
            call = shards.do(name, *arguments)
        except RuntimeError as error:  # Dask knows already that the worker is gone
            gone = lost(error)
            return lambda: gone
        return hear

    def _result(self, future: Any, address: str) -> Any:
        """What a future on a worker gives. What our code raises comes in an answer, so any exception here is the cluster's."""
        while True:
            try:
                return future.result(timeout=_POLL_S)
            except TimeoutError:
                if address not in self.client.nthreads():
                    raise _WorkerLost(f"{address} is gone") from None
            except Exception as error:
                raise _WorkerLost(f"{address}: {error}") from error

    def _places(self) -> list[Any]:
        return places(self.schedule.n_shards, len(self._workers))

    def _start(self) -> None:
        """Set the workers up: each its shards, then the connections between them."""
        self._workers = self._present(len(self._workers))
        self.client.run(ignore_interruptions_of, os.getpid(), workers=list(self._workers), on_error="ignore")
        made = [
            self.client.submit(Shards, self.task, place, n_threads, actor=True, pure=False, workers=[address], allow_other_workers=False)
            for place, (address, n_threads) in zip(self._places(), self._workers.items(), strict=True)
        ]
        self._shards = {address: self._result(future, address) for future, address in zip(made, self._workers, strict=True)}
        for address, shards in self._shards.items():
            answer = self._ask(shards, address, "compile")()
            if answer.error:
                raise answer.error
            if answer.value != computing():
                raise WorkerError(
                    "A worker computes with another processor or other versions, which round differently.",
                    where=address,
                    got=str(answer.value),
                    expected=f"{computing()}, as here",
                    remedy="Use machines of one type with the same packages.",
                )
        hosts = [urlsplit(address).hostname if address.startswith(("tcp:", "tls:")) else "127.0.0.1" for address in self._workers]
        addresses = self._together("open", [(host,) for host in hosts])
        token = secrets.token_bytes(32)
        parents = [None if place.parent is None else addresses[place.parent] for place in self._places()]
        self._together("meet", [(parent, token) for parent in parents])

    def _present(self, n_before: int) -> dict[str, int]:
        """The workers that there are, at most one for each shard; waits a while for those that are being replaced."""
        started = time.monotonic()
        while True:
            workers = dict(sorted(self.client.nthreads().items())[: self.schedule.n_shards])
            waited_s = time.monotonic() - started
            if workers and (len(workers) >= n_before or waited_s > SETTLING_S):
                return workers
            if waited_s > PATIENCE_S:
                raise WorkerError(
                    "The cluster has no workers.",
                    where=str(self.client.scheduler.address),
                    got=f"none in {PATIENCE_S:.0f} s",
                    expected="at least one",
                    remedy="Start workers (dask worker), or leave cluster.address out to work on this machine.",
                )
            time.sleep(0.1)

    def _restart(self, lost: _WorkerLost) -> None:
        """Leave what is left of the workers, and set up those that there are now."""
        while True:
            self._leave()
            self._n_restarts += 1
            if self._n_restarts > MAX_RESTARTS:
                raise WorkerError(
                    "Workers died in training again and again.",
                    where=str(self.client.scheduler.address),
                    got=f"{self._n_restarts} times without progress; the last time: {lost}",
                    expected="workers that live as long as the training",
                    remedy="Most often memory ran out: each worker needs the model and a copy for each of its shards.",
                ) from lost
            try:
                self._start()
            except _WorkerLost as again:
                lost = again
            else:
                return

    def _leave(self) -> None:
        """End what the workers do for this; the actors go when nothing refers to them."""
        self._answers("close", [()] * len(self._shards))
        self._shards = {}

    def __enter__(self) -> Self:
        try:
            self._start()
        except _WorkerLost as lost:
            self._restart(lost)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
