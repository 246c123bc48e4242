"""Who does many small tasks: a Dask cluster (threads of this process, local processes, or a scheduler at an address), or the caller itself.

Tasks get paths and return small records; no data passes through here.
"""

import math
import os
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from pipeline.configuration import Cluster
from pipeline.errors import ConfigurationError, WorkerError
from pipeline.memory import give_back_memory

T = TypeVar("T")
R = TypeVar("R")


# Every 10 ms Dask's profiler of workers lists the frames of all threads, in which CPython 3.11 can deadlock (python/cpython#106883).
NO_PROFILER = {"distributed.worker.profile.enabled": False}
# From here to the scheduler. Dask's own 0.01 (which a connection that is made anew has again) is what all workers wait for new tasks.
SECONDS_BETWEEN_MESSAGES = 0.001


class Workers(Protocol):
    """Something that applies a function to many items."""

    @property
    def n_threads(self) -> int:
        """Threads that a computation in this process may use."""

    @property
    def checkpoint_s(self) -> float:
        """Seconds between two checkpoints of a long computation."""

    @property
    def counting_bytes(self) -> int:
        """Bytes of memory that counting may take in one process, all its tasks together."""

    @property
    def task_bytes(self) -> int:
        """The share of them that one task of `map` may take."""

    def map(self, function: Callable[[T], R], items: Sequence[T], on_done: Callable[[R], None]) -> list[R]:
        """The results in the order of the items; `on_done` hears each as it comes.

        The first error of a task is raised, and no further task is started. Otherwise memory that tasks in this process have freed goes
        back to the system.
        """

    def cluster_client(self) -> Any:
        """The Dask client of workers that are processes of their own, for one long computation on all of them; None: there are none."""


class InPlace:
    """One task after the other, here: on a worker, whose build is itself one of many tasks."""

    n_threads = 1
    checkpoint_s = math.inf
    counting_bytes = task_bytes = int(Cluster().counting_mb * 1e6)

    def map(self, function: Callable[[T], R], items: Sequence[T], on_done: Callable[[R], None]) -> list[R]:
        """See `Workers.map`."""
        results = []
        for item in items:
            results.append(function(item))
            on_done(results[-1])
        give_back_memory()
        return results

    def cluster_client(self) -> Any:
        """See `Workers.cluster_client`."""
        return None


class DaskWorkers:
    """A Dask client that starts with the first task, so that a run that reuses everything starts nothing. Use it in `with`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._client: Any = None

    @property
    def n_threads(self) -> int:
        """The configured number, or one for each core that this process may use."""
        return self.cluster.threads or len(os.sched_getaffinity(0))

    @property
    def checkpoint_s(self) -> float:
        """The configured number."""
        return self.cluster.checkpoint_s

    @property
    def counting_bytes(self) -> int:
        """The configured number."""
        return int(self.cluster.counting_mb * 1e6)

    @property
    def task_bytes(self) -> int:
        """A share for each thread of a worker; a local process has one."""
        if self.cluster.address:
            return self.counting_bytes // max(self._started().nthreads().values(), default=1)
        return self.counting_bytes // (1 if self.cluster.processes else self.n_threads)

    def map(self, function: Callable[[T], R], items: Sequence[T], on_done: Callable[[R], None]) -> list[R]:
        """See `Workers.map`."""
        from distributed import KilledWorker, as_completed  # 0.6 s: only when there is work

        client = self._started()
        here = items[: self._n_here()]
        results = InPlace().map(function, here, on_done) if here else []
        futures = client.map(function, items[len(here) :], pure=False)
        places = {future.key: place for place, future in enumerate(futures)}
        found: dict[int, R] = {}
        try:
            for future in as_completed(futures):
                result = found[places[future.key]] = future.result()
                # The scheduler forgets it: what is still wanted of a worker that dies would be done again.
                future.release()
                on_done(result)
        except KilledWorker as error:
            raise WorkerError(
                "Workers died over a task again and again.",
                where=self.cluster.address or f"{self.cluster.processes} local processes",
                got=str(error),
                expected="workers that live as long as a task",
                remedy="Most often memory ran out: lower corpus.shard_mb or cluster.counting_mb, or take fewer workers.",
            ) from error
        finally:
            client.cancel(futures)
        give_back_memory()
        return results + [found[place] for place in range(len(futures))]

    def cluster_client(self) -> Any:
        """See `Workers.cluster_client`."""
        return self._started() if self.cluster.address or self.cluster.processes else None

    def _n_here(self) -> int:
        """Tasks to do in this process first: one where workers are processes, so that Numba's cache is written before they all read it.

        Processes that write that cache at once can crash (numba#4807).
        """
        return 1 if self.cluster.address or self.cluster.processes else 0

    def _started(self) -> Any:
        if self._client is None:
            import dask.config
            from distributed import Client

            dask.config.set(NO_PROFILER)
            # Any free port, of this machine only: Dask opens 8787 to the world even without its dashboard, and warns when that is taken.
            local = {"dashboard_address": "127.0.0.1:0"}
            if self.cluster.address:
                self._client = self._connected()
            elif self.cluster.processes:
                self._client = Client(n_workers=self.cluster.processes, threads_per_worker=1, **local)
            else:
                self._client = Client(processes=False, n_workers=1, threads_per_worker=self.n_threads, **local)
            self._client.scheduler_comm.interval = SECONDS_BETWEEN_MESSAGES
        return self._client

    def _connected(self) -> Any:
        from distributed import Client

        try:
            return Client(self.cluster.address)
        except (OSError, ValueError) as error:  # a time-out is an OSError
            raise ConfigurationError(
                "The Dask scheduler cannot be reached.",
                where="key cluster.address",
                got=f"{self.cluster.address}: {error}",
                expected="the address of a running scheduler, such as tcp://host:8786",
                remedy="Start it (dask scheduler), or leave the key out to work on this machine.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._client is not None:
            cluster = self._client.cluster
            self._client.close()
            if cluster is not None:
                cluster.close()
