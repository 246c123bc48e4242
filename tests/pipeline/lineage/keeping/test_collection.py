import json
import multiprocessing
import os
import random
import shutil
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError, UsageError
from pipeline.journal import JOURNAL
from pipeline.lineage.keeping.collection import Kind, collect, sweep
from pipeline.lineage.keeping.retention import keep, release
from pipeline.lineage.models import find_model
from pipeline.lineage.verifying.verification import verify_all
from pipeline.run import Run, evaluate_model
from pipeline.storage.artifact import MANIFEST, Artifact, Manifest
from pipeline.storage.atomic import among_processes
from pipeline.storage.locks import using
from pipeline.storage.registry import Registry
from pipeline.storage.store import CHECKPOINTS, RUNS, Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured, walk
from tests.pipeline.trainers import assert_whole

# Runs that share some of what they are made of; the first and the last are the same.
CONFIGURATIONS = [
    {"name": "a"},
    {"name": "a", "pairs__window": 2},
    {"name": "b", "train__seed": 2},
    {"name": "b", "vocabulary__max_vocabulary": 12},
    {"name": "b", "phrases__thresholds": [0.01]},
    {"name": "c", "train__model": "ppmi_svd"},
    {"name": "c", "vocabulary__min_count": 4},  # which drops no other words: its vectors are those of the first
    {"name": "a"},
]
NEWEST = (4, 6, 7)  # of each name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Run]]:
    """A store with all of these; tests change copies of it."""
    directory = tmp_path_factory.mktemp("trained")
    paths = []
    for seed in (1, 2):
        paths.append(directory / f"text-{seed}.txt")
        paths[-1].write_text(text(seed), encoding="utf-8")
    runs = []
    for changes in CONFIGURATIONS:
        name = str(changes["name"])
        configuration = configured(*paths, **{key: value for key, value in changes.items() if key != "name"})
        runs.append(walk(configuration.model_copy(update={"name": name}), directory / "store", InPlace()))
        runs[-1].finish("a test")
    return Store(directory / "store"), runs


def copy_of(store: Store, directory: Path) -> Store:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(store.root, directory)
    return Store(directory)


def needed_by(run: Run, *steps: str) -> set[Path]:
    """The directories of the artifacts of these steps of a run, or of all, and of what they were made from, below the store's."""
    needed, waiting = set(), [artifact for step in steps or run.made for artifact in run.made[step]]
    while waiting:
        artifact = waiting.pop()
        needed.add(artifact.directory.relative_to(run.store.root))
        links = [link for some in artifact.manifest.inputs.values() for link in some if not link.is_outside]
        waiting += [
            Artifact(path, Manifest.read(path / MANIFEST)) for path in (run.store.root / link.stage / link.key[:32] for link in links)
        ]
    return needed


def present(store: Store) -> set[Path]:
    return {path.parent.relative_to(store.root) for path in store.root.glob(f"[!.]*/*/{MANIFEST}")}


@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    finished=st.sets(st.integers(0, len(CONFIGURATIONS) - 1)),
    newest=st.none() | st.integers(0, 3),
    aliased=st.sets(st.sampled_from([("a", 1), ("a", 2), ("b", 1), ("b", 3), ("c", 1)]), max_size=2),
    pinned=st.sets(st.integers(0, len(CONFIGURATIONS) - 1), max_size=2),
)
def test_sweep__keeps_all_that_is_needed_and_nothing_else(
    finished: set[int], newest: int | None, aliased: set[tuple[str, int]], pinned: set[int], trained, tmp_path
) -> None:
    """Some runs have left no record, as if they had failed. The models that stay answer, and their files hash right."""
    store, runs = copy_of(trained[0], tmp_path / "store"), trained[1]
    for number in pinned:
        keep(store, runs[number].id, "")
    for name, version in aliased:
        Registry(store).move(name, "production", version, "", len(Registry(store).history(name, "production")))
    moved_to = {name: Registry(store).aliases(name)["production"] for name, _ in aliased}
    for number, run in enumerate(runs):
        if number not in finished:
            shutil.rmtree(store.root / RUNS / run.id)
    kept = {
        number
        for number in finished
        if newest is None
        or sum(runs[one].configuration.name == runs[number].configuration.name for one in finished if one > number) < newest
    }
    made_by = {version.run for version in (Registry(store).find(name, str(number)) for name, number in moved_to.items())}
    versions = [run for run in runs if run.id in made_by]  # of which a run without record has nothing but its vectors and scores
    kept |= {number for number in finished if runs[number] in versions}
    needed = set().union(*(needed_by(runs[number]) for number in kept | pinned), *(needed_by(run, "train", "evaluate") for run in versions))
    before = collect(store, newest)
    removed = sweep(store, newest)
    assert removed.going == before.going
    assert present(store) == needed
    assert_whole(store.root)
    assert not collect(store, newest).going
    for number in kept:
        assert find_model(store, runs[number].id).read().similar("king", 2)


def test_sweep__takes_what_was_made_from_others_before_those(trained, tmp_path) -> None:
    going = [leaving.place for leaving in collect(copy_of(trained[0], tmp_path / "store"), 0).going]
    assert set(going) == {str(path) for run in trained[1] for path in needed_by(run)}
    for run in trained[1]:
        for artifact in (artifact for artifacts in run.made.values() for artifact in artifacts):
            for link in (link for links in artifact.manifest.inputs.values() for link in links if not link.is_outside):
                assert going.index(place(artifact)) < going.index(f"{link.stage}/{link.key[:32]}")


def place(artifact: Artifact) -> str:
    return f"{artifact.manifest.stage}/{artifact.directory.name}"


@pytest.mark.parametrize("seed", range(8))
def test_sweep__that_is_killed_leaves_whole_artifacts_and_what_stays_and_goes_on(seed: int, trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    needed = set().union(*(needed_by(trained[1][number]) for number in NEWEST))
    killed = multiprocessing.get_context("fork").Process(target=sweep, args=(store, 1))
    killed.start()
    time.sleep(random.Random(seed).uniform(0.0, 0.1))
    killed.kill()
    killed.join()
    assert_whole(store.root)
    assert needed <= present(store)
    sweep(store, 1)
    assert present(store) == needed
    assert not list(store.root.glob("*/.*"))


def test_collect__says_which_versions_lose_their_vectors_and_finding_them_says_so_too(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    found = sweep(store, 1)
    assert {str(version) for version in found.without_vectors} == {"a@2", "b@1", "b@2", "c@1"}
    with pytest.raises(UsageError, match="no longer in the store"):
        find_model(store, "a@2")
    with pytest.raises(UsageError, match="no longer in the store"):
        keep(store, "b@1", "")
    assert len(store.records(RUNS)) == len(trained[1])
    assert [version.number for version in Registry(store).versions("b")] == [1, 2, 3]


def test_collect__keeps_the_newest_version_though_its_run_is_older(trained, tmp_path) -> None:
    """As that of a run which somebody has pulled."""
    store, older = copy_of(trained[0], tmp_path / "store"), trained[1][1]
    versions = store.root / "models" / "a" / "versions"
    first, second = (Registry(store).versions("a")[index] for index in (0, 1))
    for path in versions.iterdir():
        path.unlink()
    for version in (first, second):
        assert Registry(store).register("a", version.run, version.vectors, version.evaluation)
    assert older.id == second.run
    assert older.id in collect(store, 1).retained.runs


def test_collect__takes_an_evaluation_that_no_run_has_made(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    other = evaluate_model(store, trained[1][0].made["train"][0], configured(evaluate__similarity=["simlex999"]))
    (leaving,) = sweep(store).going
    assert (leaving.kind, leaving.place) == (Kind.ARTIFACT, place(other))


@pytest.mark.parametrize("spelt", ["store", "../{}/store", "link"])
def test_collect__keeps_an_artifact_whose_file_another_run_began_with(spelt: str, trained, tmp_path) -> None:
    """Its vectors came from outside of the chain, by a path that may be spelt in many ways."""
    store = copy_of(trained[0], tmp_path / "store")
    (tmp_path / "link").symlink_to(store.root)
    first = trained[1][2]
    path = tmp_path / spelt.format(tmp_path.name) / first.made["train"][0].directory.relative_to(first.store.root) / "vectors.parquet"
    other = walk(
        first.configuration.model_copy(
            update={"name": "later", "train": first.configuration.train.model_copy(update={"initial": str(path)})}
        ),
        store.root,
        InPlace(),
    )
    other.finish("a test")
    for run in trained[1]:
        shutil.rmtree(store.root / RUNS / run.id)
    sweep(store)
    assert present(store) == needed_by(other) | {needed for needed in needed_by(first) if needed.parts[0] not in ("snapshot", "evaluate")}


def test_keep__is_until_it_is_released(trained, tmp_path) -> None:
    store, run = copy_of(trained[0], tmp_path / "store"), trained[1][1]
    pin = keep(store, "a@2", "in the paper")
    assert keep(store, "a@2", "in two papers").place == pin.place
    assert {str(version) for version in collect(store, 0).without_vectors} == {"a@1", "a@3", "b@1", "b@2", "b@3", "c@1", "c@2"}
    with pytest.raises(UsageError, match="not kept") as caught:
        release(store, "b@1")
    assert "a@2" in str(caught.value)
    release(store, "a@2")
    assert str(run.made["train"][0].directory.name) in str(collect(store, 0).going)


def other_host(path: Path, ago_s: float) -> Path:
    path.mkdir(parents=True)
    os.utime(path, (time.time() - ago_s,) * 2)
    return path


def test_sweep__clears_away_what_dead_processes_left_and_nothing_that_may_live(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    root, host, day_s = store.root, among_processes(), 86_400
    dead = os.fork()
    if not dead:
        os._exit(0)
    os.waitpid(dead, 0)
    going = [
        other_host(root / "train" / f".{'ab' * 16}.{host}.{dead}.0123abcd", 0),
        other_host(root / "train" / f".{'ab' * 16}.elsewhere.7.0123abcd", day_s + 100),
        root / "train" / f".{'cd' * 16}.lock",
        root / CHECKPOINTS / ("ab" * 16),
        root / CHECKPOINTS / trained[1][0].made["train"][0].directory.name,
        root / RUNS / "20260101T000000-abcdef",
    ]
    staying = [
        other_host(root / "train" / f".{'ab' * 16}.{host}.{os.getpid()}.0123abcd", 0),
        other_host(root / "train" / f".{'ab' * 16}.elsewhere.7.1123abcd", day_s - 100),
        root / "train" / "README",
        root / ".prefect",
    ]
    going[2].touch()
    for path in (*going[3:], staying[3]):
        path.mkdir(parents=True)
    (going[3] / "state").write_bytes(b"x" * 1000)
    started = {"event": "RunStarted", "run": "x", "name": "a", "host": socket.gethostname()}
    store.append_line(RUNS, going[5].name, JOURNAL, json.dumps(started))
    staying[2].touch()
    before = {path for path in root.rglob("*") if not any(path.is_relative_to(one) for one in going)}
    found = sweep(store)
    assert {leaving.place for leaving in found.going} == {str(path.relative_to(root)) for path in going}
    assert [leaving.size_bytes for leaving in found.going if leaving.place.endswith("ab" * 16)] == [1000]
    assert before - set(root.rglob("*")) == {root / CHECKPOINTS}
    assert all(path.exists() for path in staying)


@pytest.mark.parametrize("host", [socket.gethostname(), "elsewhere"])
def test_sweep__waits_for_a_run_that_goes_on_and_names_it(host: str, trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    if host == "elsewhere":  # where our locks may not reach
        store.append_line(RUNS, "20260101T000000-abcdef", JOURNAL, json.dumps({"event": "RunStarted", "name": "a", "host": host}))
        with pytest.raises(StoreError, match="in use") as caught:
            sweep(store, 0, 0.2)
        assert "20260101T000000-abcdef of a" in str(caught.value)
    else:
        with Run(trained[1][0].configuration, store, InPlace()) as run:
            run.perform(run.steps[0])
            assert [unfinished.run for unfinished in collect(store, 0).at_work] == [run.id]
            with pytest.raises(StoreError, match="in use") as caught:
                sweep(store, 0, 0.2)
            assert f"run {run.id} of a" in str(caught.value)
    assert present(store) == present(trained[0])


def test_sweep__removes_nothing_while_another_command_uses_the_store(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    with using(store.root), pytest.raises(StoreError, match="in use"):
        sweep(store, 0, 0.2)
    assert present(store) == present(trained[0])


DAMAGED = ["manifest", "record", "record without steps", "version", "alias", "alias of nothing", "pin", "pin without links"]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_sweep__removes_nothing_when_it_cannot_know_what_is_needed(damaged: str, trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    run = trained[1][3]
    Registry(store).move("a", "production", 2, "", 0)
    pin = keep(store, "c@1", "")
    models = store.root / "models" / "a"
    paths = {
        "manifest": store.root / run.made["pairs"][0].directory.relative_to(run.store.root) / MANIFEST,
        "record": store.root / RUNS / run.id / "record.json",
        "version": models / "versions" / "2.json",
        "alias": models / "aliases" / "production" / "1.json",
        "pin": store.root / pin.place / "record.json",
    }
    match damaged:
        case "alias of nothing":
            paths["version"].unlink()
        case "record without steps":
            paths["record"].write_text("{}")
        case "pin without links":
            paths["pin"].write_text("{}")
        case _:
            paths[damaged].write_bytes(paths[damaged].read_bytes()[:-20])
    with pytest.raises(StoreError):
        sweep(store)
    assert present(store) == present(trained[0])


def test_sweep__takes_what_is_damaged_when_nobody_needs_it(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    needed = set().union(*(needed_by(trained[1][number]) for number in NEWEST))
    paths = [store.root / path for path in sorted(needed_by(trained[1][3]) - needed)]
    assert paths
    for path in paths:
        (path / MANIFEST).write_text("{")
    found = sweep(store, 1)
    assert len([leaving for leaving in found.going if leaving.why.startswith("damaged")]) == len(paths)
    assert not any(path.exists() for path in paths)


def test_sweep__leaves_alone_what_is_none_of_ours(trained, tmp_path) -> None:
    """Nor does it follow links: a store may be named that is a directory of something else."""
    store = copy_of(trained[0], tmp_path / "store")
    foreign = [
        "runs/tensorboard/events",
        "runs/20260101T000000-abcdef/events",
        "checkpoints/epoch-10/model",
        f"cache/{'ab' * 16}/blob",
        f"train/{'ab' * 16}/blob",
        f"Cache/{'ab' * 16}/{MANIFEST}",
        "cache/.a.lock",
        "models/weights/versions/7",
    ]
    paths = [store.root / name for name in foreign] + [tmp_path / "elsewhere" / ("cd" * 16) / MANIFEST]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (store.root / "moved").symlink_to(tmp_path / "elsewhere")
    (store.root / "train" / ("cd" * 16)).symlink_to(tmp_path / "elsewhere" / ("cd" * 16))
    sweep(store)
    store.remove_abandoned()
    assert [path for path in paths if not path.exists()] == []


def test_sweep__keeps_what_was_made_again_with_other_bytes(trained, tmp_path) -> None:
    """Nobody has used these bytes, but they stand where those that were used have been."""
    store = copy_of(trained[0], tmp_path / "store")
    run = trained[1][0]
    old = run.made["pairs"][0]
    directory = store.root / old.directory.relative_to(run.store.root)
    other = replace(old.manifest, files=(replace(old.manifest.files[0], sha256="0" * 64), *old.manifest.files[1:]))
    (directory / MANIFEST).write_text(other.to_json())
    sweep(store)
    assert directory.exists()
    assert present(store) == present(trained[0])


def test_verify__takes_what_was_swept_for_history_and_an_alias_without_vectors_for_a_mistake(trained, tmp_path) -> None:
    store = copy_of(trained[0], tmp_path / "store")
    Registry(store).move("a", "production", 2, "", 0)
    sweep(store, 0)
    found = verify_all(store)
    assert found.findings == ()
    assert found.forgotten
    store.discard(place(trained[1][1].made["evaluate"][0]))
    (finding,) = verify_all(store).findings
    assert finding.place == "models/a/aliases/production/1.json"
    assert "evaluate/" in finding.got
