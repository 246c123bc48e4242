"""Training on workers: the bytes of threads in one process, whatever happens to the workers."""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from kernels.lanes import WIDTH_VARIABLE, simd_width
from pipeline.configuration import Cluster as ClusterSection
from pipeline.errors import StoreError, WorkerError
from pipeline.events import Event, RunWarned, StepAdvanced, StepResumed, listening
from pipeline.run import Run
from pipeline.storage.schemas import ROUNDS_FILE, VECTORS_FILE
from pipeline.storage.store import CHECKPOINTS
from pipeline.training import cluster as training
from pipeline.workers import DaskWorkers, InPlace, Workers
from tests.conftest import ROOT, sample_lines
from tests.pipeline.small_runs import configured, walk

LOCAL = {"dashboard_address": "127.0.0.1:0", "threads_per_worker": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything up to the pairs is done already, by whoever comes first."""
    return tmp_path_factory.mktemp("cluster") / "store"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(300)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def store_of_many_files(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store whose pairs lie in several files an epoch: a cycle goes over all of them, and only at its end the model is whole."""
    store = tmp_path_factory.mktemp("many") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.stages.pairs.SENTENCES_A_PART", 64)
        pairs = walk(configured(text, train__dimensions=20, pairs__epochs=6), store, last="pairs").made["pairs"][0]
    assert len(pairs.files("epoch-000/")) == 5
    return store


def train(text: Path, store: Path, workers: Workers, **changes: object) -> Run:
    """A run up to the vectors; nothing of it is left for the next one but its bytes."""
    run = walk(configured(text, **{"train__dimensions": 20, "pairs__epochs": 6} | changes), store, workers, "train")
    artifact = run.made["train"][0]
    run.bytes = {name: artifact.path(name).read_bytes() for name in (VECTORS_FILE, ROUNDS_FILE)}
    run.measures = artifact.manifest.measures
    assert sorted(path.name for path in artifact.directory.iterdir()) == ["manifest.json", ROUNDS_FILE, VECTORS_FILE]
    for path in artifact.directory.iterdir():
        path.unlink()
    artifact.directory.rmdir()
    return run


@pytest.fixture(scope="module")
def expected(text: Path, store: Path) -> dict[int, dict[str, bytes]]:
    """The bytes of threads of this process, for some numbers of shards."""
    return {shards: train(text, store, InPlace(), train__shards=shards).bytes for shards in (3, 4)}


def check_bytes(n_workers: int, cluster: LocalCluster, text: Path, store: Path, expected: dict[int, dict[str, bytes]]) -> None:
    with DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers:
        for shards, wanted in expected.items():
            run = train(text, store, workers, train__shards=shards)
            assert run.bytes == wanted, shards
            assert run.measures["workers"] == run.measures["threads"] == min(n_workers, shards)
            assert (run.measures["exchange_bytes"] > 0) == (n_workers > 1)
            assert 0 < run.measures["exchange_s"] < run.measures["training_s"]
            assert run.measures["exchange_rounds"] > 10


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_cluster__of_processes_gives_the_bytes_of_threads(n_workers: int, text: Path, store: Path, expected: dict) -> None:
    with LocalCluster(n_workers=n_workers, **LOCAL) as cluster:
        check_bytes(n_workers, cluster, text, store, expected)


@pytest.mark.parametrize("n_workers", [1, 2, 4])
def test_cluster__of_threads_gives_the_bytes_of_threads(n_workers: int, text: Path, store: Path, expected: dict) -> None:
    with LocalCluster(n_workers=n_workers, processes=False, **LOCAL) as cluster:
        check_bytes(n_workers, cluster, text, store, expected)


def test_cluster__uses_all_threads_of_its_workers_and_draws_noise_for_pairs(text: Path, store: Path) -> None:
    changes = {"train__shards": 5, "train__noise_draws": "per_pair"}
    with (
        LocalCluster(n_workers=2, processes=False, **LOCAL | {"threads_per_worker": 2}) as cluster,
        DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers,
    ):
        run = train(text, store, workers, **changes)
    assert run.measures["threads"] == 3  # four shards on two threads, one shard on one
    assert run.bytes == train(text, store, InPlace(), **changes).bytes


@pytest.mark.parametrize(("negatives", "dimensions", "simd_width"), [(20, 33, "4"), (3, 100, "8")])
def test_cluster__gives_the_bytes_of_threads_whatever_is_constant_in_the_kernel(
    negatives: int, dimensions: int, simd_width: str, text: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WIDTH_VARIABLE, simd_width)
    changes = {"train__negatives": negatives, "train__dimensions": dimensions, "pairs__epochs": 1}
    with (
        LocalCluster(n_workers=3, processes=False, **LOCAL) as cluster,
        DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers,
    ):
        run = train(text, store, workers, **changes)
    assert run.measures["workers"] == 3
    assert run.measures["simd_width"] == float(simd_width)
    assert run.bytes == train(text, store, InPlace(), **changes).bytes


@pytest.mark.parametrize(("model", "loss"), [("cbow", "hierarchical_softmax"), ("cbow", "nce"), ("skip_gram", "hierarchical_softmax")])
def test_cluster__gives_the_bytes_of_threads_for_other_models_and_losses(model: str, loss: str, text: Path, store: Path) -> None:
    changes = {"train__model": model, "train__loss": loss, "pairs__epochs": 1}
    with (
        LocalCluster(n_workers=2, processes=False, **LOCAL) as cluster,
        DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers,
    ):
        run = train(text, store, workers, **changes)
    assert run.measures["workers"] == 2
    assert run.bytes == train(text, store, InPlace(), **changes).bytes


def test_cluster__wants_processors_of_one_type(text: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalCluster(n_workers=1, **LOCAL) as cluster, DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers:
        workers.cluster_client()
        monkeypatch.setenv(WIDTH_VARIABLE, "8" if simd_width() == 16 else "16")  # here, not in the worker, which runs already
        with pytest.raises(WorkerError, match="another processor"):
            train(text, store, workers)


class Killer:
    """Kills a worker a moment after some blocks, as often as it is told to."""

    signal = signal.SIGKILL

    def __init__(self, pids: Callable[[], Iterable[int]], n_blocks: int, n_kills: int = 1, delay_s: float = 0.0) -> None:
        self.pids, self.n_blocks, self.n_kills, self.delay_s = pids, n_blocks, n_kills, delay_s
        self.done: list[int] = []
        self.warnings: list[str] = []

    def __call__(self, event: Event) -> None:
        """Hear an event of the run."""
        if isinstance(event, RunWarned):
            self.warnings.append(event.message)
        if isinstance(event, StepAdvanced) and event.step == "train":
            self.done.append(event.n_done)
            if len(self.done) % self.n_blocks == 0 and self.n_kills:
                self.n_kills -= 1
                threading.Timer(self.delay_s, os.kill, (max(self.pids()), self.signal)).start()


def pids_of(workers: DaskWorkers) -> Callable[[], Iterable[int]]:
    return lambda: workers.cluster_client().run(os.getpid).values()


def hear_every_block(patch: pytest.MonkeyPatch) -> None:
    """Every block can be heard and have its checkpoint."""
    patch.setattr("pipeline.progress.SECONDS_BETWEEN_EVENTS", 0.0)
    patch.setattr("pipeline.storage.checkpoints.LARGEST_SHARE", 1e9)


@pytest.fixture
def every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    hear_every_block(monkeypatch)


@pytest.mark.usefixtures("every_block")
def test_cluster__goes_on_from_a_checkpoint_when_a_worker_is_killed(text: Path, store: Path, expected: dict) -> None:
    with DaskWorkers(ClusterSection(processes=2, checkpoint_s=1e-6)) as workers:
        killer = Killer(pids_of(workers), n_blocks=2)  # before or while the checkpoint after the second block is written
        with listening(killer):
            run = train(text, store, workers)
    assert run.bytes == expected[4]
    assert (run.measures["workers"], killer.n_kills, len(killer.warnings)) == (2, 0, 1)
    assert killer.done[2] >= killer.done[1], "the first block was not trained again"


@pytest.mark.usefixtures("every_block")
def test_cluster__begins_again_when_a_worker_is_killed_in_a_block(text: Path, store: Path, expected: dict) -> None:
    with DaskWorkers(ClusterSection(processes=2, checkpoint_s=1e6)) as workers:
        killer = Killer(pids_of(workers), n_blocks=2, delay_s=0.01)
        with listening(killer):
            run = train(text, store, workers)
    assert run.bytes == expected[4]
    assert len(killer.warnings) == 1
    assert killer.done.count(killer.done[0]) == 2


class Signaller:
    """Sends this process a signal after so many blocks."""

    def __init__(self, number: signal.Signals, n_blocks: int) -> None:
        self.number, self.n_blocks, self.n_done = number, n_blocks, 0

    def __call__(self, event: Event) -> None:
        """Hear an event of the run."""
        if isinstance(event, StepAdvanced) and event.step == "train":
            self.n_done += 1
            if self.n_done == self.n_blocks:
                os.kill(os.getpid(), self.number)


def die_in_training(text: Path, store: Path, n_processes: int, n_blocks: int) -> None:
    """Train so many blocks by so many processes, or by threads, with every checkpoint that there can be; then kill this process."""
    with pytest.MonkeyPatch.context() as patch:
        hear_every_block(patch)
        hearing = listening(Signaller(signal.SIGKILL, n_blocks))
        with DaskWorkers(ClusterSection(processes=n_processes, checkpoint_s=1e-6)) as workers, hearing:
            train(text, store, workers)


@pytest.mark.parametrize(("killed", "going_on"), [(2, 2), (2, 0), (0, 2), (0, 0)])
def test_cluster__goes_on_where_a_killed_run_was_whoever_trained_it(
    killed: int, going_on: int, text: Path, store_of_many_files: Path
) -> None:
    """Processes or threads for processes or threads, from the end of the first cycle; killed in the second."""
    store = store_of_many_files
    expected = train(text, store, InPlace()).bytes
    process = multiprocessing.get_context("spawn").Process(target=die_in_training, args=(text, store, killed, 8))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert list((store / CHECKPOINTS).glob("*/[!.]*"))
    heard: list[Event] = []
    with DaskWorkers(ClusterSection(processes=going_on)) as workers, listening(heard.append):
        run = train(text, store, workers)
    assert run.bytes == expected
    (resumed,) = (event for event in heard if isinstance(event, StepResumed))
    assert resumed.n_done == pytest.approx(resumed.n_total / 6, rel=0.1)


@pytest.mark.usefixtures("every_block")
@pytest.mark.parametrize("n_processes", [0, 2])
def test_cluster__told_to_stop_within_a_cycle_trains_to_its_end(n_processes: int, text: Path, store_of_many_files: Path) -> None:
    store = store_of_many_files
    expected = train(text, store, InPlace()).bytes
    signaller = Signaller(signal.SIGINT, 7)
    with DaskWorkers(ClusterSection(processes=n_processes)) as workers, listening(signaller), pytest.raises(KeyboardInterrupt):
        train(text, store, workers)
    assert signaller.n_done == 10
    heard: list[Event] = []
    with listening(heard.append):
        assert train(text, store, InPlace()).bytes == expected
    (resumed,) = (event for event in heard if isinstance(event, StepResumed))
    assert resumed.n_done == pytest.approx(resumed.n_total / 3, rel=0.1)


@pytest.mark.usefixtures("every_block")
def test_cluster__leaves_interruptions_to_the_process_that_started_the_workers(text: Path, store: Path, expected: dict) -> None:
    """Ctrl-C in a terminal reaches all processes, and the workers are needed for the checkpoint."""
    with DaskWorkers(ClusterSection(processes=1)) as workers:
        killer = Killer(pids_of(workers), n_blocks=2)
        killer.signal = signal.SIGINT
        with listening(killer):
            run = train(text, store, workers)
    assert run.bytes == expected[4]
    assert (killer.n_kills, killer.warnings) == (0, [])


@contextlib.contextmanager
def lone_workers(address: str, n: int) -> Iterator[list[subprocess.Popen]]:
    """Workers that nobody replaces."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=ROOT)) for _ in range(n)]
        try:
            yield started
        finally:
            for worker in started:
                worker.kill()


@pytest.mark.usefixtures("every_block")
def test_cluster__goes_on_with_fewer_workers_until_none_is_left(
    text: Path, store: Path, expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SETTLING_S", 0.5)
    monkeypatch.setattr(training, "PATIENCE_S", 1.0)
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster,
        lone_workers(cluster.scheduler_address, 2) as processes,
        DaskWorkers(ClusterSection(address=cluster.scheduler_address)) as workers,
    ):
        workers.cluster_client().wait_for_workers(2, timeout=60)
        killer = Killer(lambda: [processes[0].pid], n_blocks=1)
        with listening(killer):
            run = train(text, store, workers)
        assert run.bytes == expected[4]
        assert (run.measures["workers"], len(killer.warnings)) == (1, 1)
        with listening(Killer(lambda: [processes[1].pid], n_blocks=1)), pytest.raises(WorkerError, match="no workers"):
            train(text, store, workers)


@pytest.mark.usefixtures("every_block")
def test_cluster__gives_up_when_workers_die_again_and_again(text: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "MAX_RESTARTS", 1)
    with DaskWorkers(ClusterSection(processes=1)) as workers:
        killer = Killer(pids_of(workers), n_blocks=1, n_kills=5)
        with listening(killer), pytest.raises(WorkerError, match="again and again"):
            train(text, store, workers)
    assert killer.n_kills == 3


def test_cluster__hears_of_damaged_pairs_from_its_workers(text: Path, tmp_path: Path) -> None:
    pairs = walk(configured(text, pairs__epochs=6), tmp_path, last="pairs").made["pairs"][0]
    path = pairs.path(pairs.files("epoch-")[0].name)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    with LocalCluster(n_workers=2, processes=False, **LOCAL) as cluster:
        workers = DaskWorkers(ClusterSection(address=cluster.scheduler_address))
        with workers, pytest.raises(StoreError, match="pairs"):
            train(text, tmp_path, workers, train__dimensions=8, pairs__epochs=6)
