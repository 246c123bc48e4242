"""Who does the tasks: order, errors, and how little is started."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
from pathlib import Path

import dask.config
import pyarrow as pa
import pytest
from distributed import LocalCluster, Worker

from pipeline.configuration import Cluster
from pipeline.errors import ConfigurationError, Corpus2VecError, InputError, StoreError, TrainingError, UsageError, WorkerError
from pipeline.workers import DaskWorkers, InPlace, Workers

KINDS = {"in place": None, "threads": Cluster(threads=2), "processes": Cluster(threads=1, processes=2)}


def double(number: int) -> int:
    time.sleep(0.02 * (number % 3))  # so that later ones are often finished first
    return 2 * number


def fail(path: Path) -> None:
    raise InputError("A file is bad.", where=str(path), got="this", expected="that", remedy="Do something.")


def allocator(_: int) -> tuple[int, str]:
    return os.getpid(), pa.default_memory_pool().backend_name


def note_and_fail_first(task: tuple[int, Path]) -> int:
    number, directory = task
    if number == 0:
        raise StoreError("the first", where="here")
    time.sleep(0.1)
    (directory / str(number)).touch()
    return number


def started(kind: str) -> Workers:
    cluster = KINDS[kind]
    return InPlace() if cluster is None else DaskWorkers(cluster)


def close(workers: Workers) -> None:
    if isinstance(workers, DaskWorkers):
        workers.__exit__(None, None, None)


@pytest.fixture(scope="module", params=KINDS)
def workers(request: pytest.FixtureRequest):
    made = started(request.param)
    yield made
    close(made)


def test_map__gives_results_in_the_order_of_the_items_and_counts_them(workers: Workers) -> None:
    heard: list[int] = []
    assert workers.map(double, range(20), heard.append) == [2 * number for number in range(20)]
    assert sorted(heard) == [2 * number for number in range(20)]
    assert workers.map(double, [], heard.append) == []


def test_map__does_the_same_item_as_often_as_it_is_there(workers: Workers) -> None:
    assert workers.map(double, [3, 3, 3], lambda n: None) == [6, 6, 6]


def test_map__brings_our_errors_back_with_all_their_parts(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        workers.map(fail, [tmp_path], lambda n: None)
    assert (caught.value.what, caught.value.exit_code) == ("A file is bad.", 1)
    assert caught.value.details == {"where": str(tmp_path), "got": "this", "expected": "that", "remedy": "Do something."}
    assert workers.map(double, [4], lambda n: None) == [8]  # and they go on working


def test_map__raises_the_first_error_and_starts_no_further_task(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the first"):
        workers.map(note_and_fail_first, [(number, tmp_path) for number in range(200)], lambda n: None)
    time.sleep(0.5)
    at_once = len(list(tmp_path.iterdir()))
    time.sleep(0.5)
    assert len(list(tmp_path.iterdir())) == at_once < 100


@pytest.mark.parametrize("kind", [Corpus2VecError, UsageError, ConfigurationError, InputError, StoreError, TrainingError])
def test_errors__survive_pickling(kind: type[Corpus2VecError]) -> None:
    error = kind("what", where="where", got="got", expected="expected", remedy="remedy")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.what, again.details, str(again)) == (kind, error.what, error.details, str(error))


def test_dask_workers__start_nothing_until_there_is_work() -> None:
    before = threading.active_count()
    with DaskWorkers(Cluster(address="tcp://127.0.0.1:1")) as nobody_there:  # to connect would fail
        assert nobody_there.n_threads == len(os.sched_getaffinity(0))
    assert threading.active_count() == before


@pytest.mark.parametrize(("threads", "expected"), [(0, len(os.sched_getaffinity(0))), (1, 1), (7, 7)])
def test_dask_workers__have_as_many_threads_as_configured(threads: int, expected: int) -> None:
    assert DaskWorkers(Cluster(threads=threads)).n_threads == expected


def pid(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def test_dask_workers__run_where_they_are_configured() -> None:
    here, there = started("threads"), started("processes")
    try:
        assert set(here.map(pid, range(4), lambda n: None)) == {os.getpid()}
        pids = set(there.map(pid, range(8), lambda n: None))
        assert len(pids) == 3  # the first task was done here, so that Numba's cache is written by one process
        pids.remove(os.getpid())
    finally:
        close(here)
        close(there)
    for process in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_dask_workers__leave_a_borrowed_cluster_running() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        for _ in range(2):
            with DaskWorkers(Cluster(address=cluster.scheduler_address)) as workers:
                assert workers.map(double, [1], lambda n: None) == [2]


def profiled(dask_worker: Worker) -> bool:
    return "profile" in dask_worker.periodic_callbacks


@pytest.mark.parametrize("processes", [0, 1])
def test_dask_workers__are_not_profiled(processes: int) -> None:
    with dask.config.set({"distributed.worker.profile.enabled": True}), DaskWorkers(Cluster(processes=processes, threads=1)) as workers:
        workers.map(double, [1], lambda n: None)
        assert [*workers._client.run(profiled).values()] == [False]
    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        assert [profiled(worker) for worker in cluster.workers.values()] == [False]  # of the tests neither: see conftest


def test_in_place__has_one_thread_and_is_this_thread() -> None:
    assert InPlace.n_threads == 1
    assert InPlace().map(lambda _: threading.get_ident(), [1], lambda n: None) == [threading.get_ident()]


def test_dask_workers__say_that_no_scheduler_answers() -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        DaskWorkers(Cluster(address="tcp://127.0.0.1:1")) as nobody_there,
        pytest.raises(ConfigurationError, match="cannot be reached") as caught,
    ):
        nobody_there.map(double, [1], lambda n: None)
    assert "tcp://127.0.0.1:1" in caught.value.details["got"]


def die(_: int) -> None:
    if multiprocessing.parent_process():
        os._exit(1)


def test_dask_workers__say_that_workers_die_over_a_task() -> None:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        DaskWorkers(Cluster(processes=1)) as workers,
        pytest.raises(WorkerError, match="again and again"),
    ):
        workers.map(die, [1, 2], lambda n: None)


def note(task: tuple[int, Path]) -> int:
    """Leaves a file for every time that it is done, with the process that did it."""
    number, directory = task
    time.sleep(0.05)
    (directory / f"{number}-{os.getpid()}-{time.time_ns()}").touch()
    return number


def note_or_die(task: tuple[int, Path]) -> int:
    if task[0] == 1:
        os._exit(1)
    return note(task)


def test_map__starts_no_further_task_when_workers_die_over_one(tmp_path: Path) -> None:
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), DaskWorkers(Cluster(processes=2)) as workers:
        with pytest.raises(WorkerError, match="again and again"):
            workers.map(note_or_die, [(number, tmp_path) for number in range(100)], lambda n: None)
        time.sleep(0.2)  # for what was under way
        n_done = len(list(tmp_path.iterdir()))
        time.sleep(0.5)
        assert len(list(tmp_path.iterdir())) == n_done < 60


def test_map__does_nothing_again_that_had_come_back_when_a_worker_died(tmp_path: Path) -> None:
    heard: list[int] = []

    with DaskWorkers(Cluster(processes=2)) as workers:
        _, pid = workers.map(pid_of, [0, 1], lambda n: None)

        def listen(number: int) -> None:
            heard.append(number)
            if len(heard) == 20:
                os.kill(pid, signal.SIGKILL)

        assert workers.map(note, [(number, tmp_path) for number in range(60)], listen) == list(range(60))
    assert sorted(heard) == list(range(60))
    runs: dict[int, list[tuple[str, int]]] = {number: [] for number in range(60)}
    for path in tmp_path.iterdir():
        number, process, done_ns = path.name.split("-")
        runs[int(number)].append((done_ns, int(process)))
    assert min(map(len, runs.values())) == 1
    # Done again is only what the dead worker had done and nobody had asked for yet; what it was at had left no file.
    again = {number for number, some in runs.items() if len(some) > 1}
    assert not again & set(heard[:20])
    assert {min(runs[number])[1] for number in again} <= {pid}
    assert len(again) < 10


def pid_of(_: int) -> int:
    return os.getpid()


def test_workers__that_are_processes_take_arrows_memory_from_malloc() -> None:
    with DaskWorkers(Cluster(processes=1)) as workers:
        found = workers.map(allocator, range(3), lambda _: None)
    assert {backend for process, backend in found if process != os.getpid()} == {"system"}
