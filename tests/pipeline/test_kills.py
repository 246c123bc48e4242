"""Runs that are killed, and runs beside each other on one store."""

import contextlib
import itertools
import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from pipeline.environment import environment
from pipeline.events import Event, RunWaits, listening
from pipeline.lineage.keeping.collection import sweep
from pipeline.storage.artifact import Artifact
from pipeline.storage.store import RUNS, Store
from tests.conftest import ROOT
from tests.pipeline.small_runs import configured, walk
from tests.pipeline.trainers import assert_whole, clear_by_gc, digests_of_newest, finished, last_step, names_in, new_texts, trainer

RESULTS = ROOT / "benchmarks" / "results" / "kills.json"
LONGER = {"pairs__epochs": 40, "train__dimensions": 64, "cluster__checkpoint_s": 0.001}  # training, and its checkpoints, are hit as well


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return new_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def undisturbed(texts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    finished(store, texts, **LONGER)
    return store


@pytest.mark.parametrize("n_kills", [3, pytest.param(100, marks=pytest.mark.stress)])
def test_run__killed_at_random_moments_ends_with_the_same_bytes_and_leaves_nothing(
    n_kills: int, texts: list[Path], undisturbed: Path, tmp_path: Path
) -> None:
    """All 100 write benchmarks/results/kills.json. A run that is through before its moment comes counts as one that was not hit."""
    moments, hit_in = random.Random(n_kills), Counter[str]()
    n_left = n_left_bytes = 0
    began = time.monotonic()
    finished(tmp_path / "timed", texts, **LONGER)
    whole_s = time.monotonic() - began
    for number in itertools.takewhile(lambda _: hit_in.total() < n_kills, itertools.count()):
        root = tmp_path / f"store-{number}"
        process = trainer(root, texts, **LONGER)
        time.sleep(moments.uniform(0.0, whole_s))
        process.kill()
        process.join()
        if Store(root).records(RUNS):
            continue
        hit_in[last_step(root)] += 1
        assert finished(root, texts, **LONGER) == digests_of_newest(undisturbed)
        assert_whole(root)
        n, n_bytes = clear_by_gc(root, undisturbed)
        n_left, n_left_bytes = n_left + n, n_left_bytes + n_bytes
        assert len(list((root / RUNS).iterdir())) == 1
        shutil.rmtree(root)
    if n_kills == 100:
        result = {
            "kills": n_kills,
            "hit_in": dict(sorted(hit_in.items())),  # the last step that had begun
            "other_bytes": 0,
            "artifacts_not_whole": 0,
            "left_beside_journals": n_left,
            "left_for_gc_bytes": n_left_bytes,
            "left_after_gc": 0,
            "seconds_of_a_run": round(whole_s, 2),
            "seconds": round(time.monotonic() - began, 1),
            "commit": environment()["commit"],
        }
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def n_built(root: Path) -> int:
    """How many artifacts finished runs say that they have built."""
    return sum(len(step["keys"]) - step["n_reused"] for run in Store(root).records(RUNS) for step in run["steps"])


def all_artifacts(root: Path) -> list[Artifact]:
    store = Store(root)
    return [artifact for stage in store.stages() for artifact in store.artifacts(stage)]


def n_artifacts(root: Path) -> int:
    return len(all_artifacts(root))


@pytest.mark.parametrize("n", [2, 4])
def test_runs__of_the_same_at_once_build_each_artifact_once(n: int, texts: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    processes = [trainer(root, texts, **LONGER) for _ in range(n)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * n
    assert len(Store(root).records(RUNS)) == n
    assert digests_of_newest(root) == digests_of_newest(undisturbed)
    assert_whole(root)
    assert names_in(root) == names_in(undisturbed)  # one version of the model, no lock, no checkpoint
    assert n_built(root) == n_artifacts(root)


@pytest.mark.parametrize("n", [2, 4])
def test_runs__of_different_things_at_once_share_what_is_the_same(n: int, texts: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "store"
    windows = [2, 2, 3, 3][:n]
    processes = [trainer(root, texts, pairs__window=window, train__seed=seed) for seed, window in enumerate(windows)]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * n
    assert_whole(root)
    found = {(run["configuration"]["train"]["seed"], run["steps"][-2]["digests"][0]) for run in Store(root).records(RUNS)}
    assert len({digest for _, digest in found}) == n
    alone = [finished(tmp_path / "alone", texts, pairs__window=window, train__seed=seed) for seed, window in enumerate(windows)]
    assert found == {(seed, digests["train"][0]) for seed, digests in enumerate(alone)}
    assert n_built(root) == n_artifacts(root) == n_artifacts(tmp_path / "alone")
    assert not sweep(Store(root)).going


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(3, 21))])
def test_runs__beside_one_that_is_killed_go_on_in_its_place(seed: int, texts: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "store"
    first, *others = [trainer(root, texts, **LONGER) for _ in range(3)]
    time.sleep(random.Random(seed).uniform(0.1, 1.5))
    first.kill()
    for process in (first, *others):
        process.join(120)
    assert [process.exitcode for process in others] == [0, 0]
    assert digests_of_newest(root) == digests_of_newest(undisturbed)
    assert_whole(root)
    sweep(Store(root))
    assert names_in(root) == names_in(undisturbed)


def test_run__waits_for_what_others_make_says_so_and_then_uses_it(texts: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    """What another process makes stands there when its lock is gone."""
    made = {artifact.manifest.stage: artifact for artifact in all_artifacts(undisturbed)}
    store, told = Store(tmp_path / "store"), []
    others = {stage: contextlib.ExitStack() for stage in ("tokenize", "vocabulary", "train")}
    for stage, stack in others.items():
        stack.enter_context(store.making(stage, made[stage].manifest.key, lambda: None))

    def finish_others_work(event: Event) -> None:
        if isinstance(event, RunWaits):
            stage = next(stage for stage in others if stage in event.reason)
            told.append(stage)
            shutil.copytree(made[stage].directory, store.root / stage / made[stage].directory.name)
            others[stage].close()

    with listening(finish_others_work):
        run = walk(configured(*texts, **LONGER), store.root)
    assert told == ["tokenize", "vocabulary", "train"]
    assert {record.step: len(record.keys) - record.n_reused for record in run.records} == {
        "snapshot": 1,
        "tokenize": 2,
        "vocabulary": 0,
        "pairs": 1,
        "train": 0,
        "evaluate": 1,
    }
    assert [record.reason.rpartition("; ")[2] for record in run.records if record.step in others] == ["1 made elsewhere meanwhile"] * 3
    assert not list(store.root.glob("*/.*"))


def test_run__builds_itself_what_another_has_begun_and_not_made(texts: list[Path], undisturbed: Path, tmp_path: Path) -> None:
    key = next(artifact.manifest.key for artifact in all_artifacts(undisturbed) if artifact.manifest.stage == "pairs")
    store = Store(tmp_path / "store")
    with contextlib.ExitStack() as failing:
        failing.enter_context(store.making("pairs", key, lambda: None))
        with listening(lambda event: failing.close() if isinstance(event, RunWaits) else None):
            run = walk(configured(*texts, **LONGER), store.root)
    assert [record.n_reused for record in run.records] == [0] * len(run.records)
    assert {record.step: list(record.digests) for record in run.records} == digests_of_newest(undisturbed)
