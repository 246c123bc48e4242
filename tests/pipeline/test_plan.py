"""What the plan says before a run, and that saying it changes nothing."""

from pathlib import Path

import pytest

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.plan import StepPlan, explain, plan
from pipeline.projection import project
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk

SAME = "same parameters, same inputs"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(100)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run; its store must stay as it is."""
    return walk(configured(text, corpus__shard_mb=0.02, train__seed=5), tmp_path_factory.mktemp("done"), InPlace())


def planned(configuration: Configuration, store: Store) -> dict[str, StepPlan]:
    """The plan by step; checks that the store is the same after it."""
    before = contents(store.root)
    plans = {one.step.name: one for one in plan(configuration, store)}
    assert contents(store.root) == before
    return plans


def contents(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}


def reasons(configuration: Configuration, store: Store) -> dict[str, str]:
    return {name: one.reason for name, one in planned(configuration, store).items()}


def test_plan__of_an_empty_store_runs_everything_and_creates_nothing(text: Path, tmp_path: Path) -> None:
    plans = planned(configured(text), Store(tmp_path / "none"))
    assert not (tmp_path / "none").exists()
    assert not any(one.reused for one in plans.values())
    assert [bool(one.wanted) for one in plans.values()] == [True, True, False, False, False, False]
    assert plans["tokenize"].reason == "nothing like it in the store yet"
    assert plans["train"].reason == "pairs comes first; nothing like it in the store yet"


def test_plan__of_a_finished_run_reuses_everything(done: Run) -> None:
    plans = planned(done.configuration, done.store)
    assert {one.reason for one in plans.values()} == {SAME}
    assert {name: one.artifacts for name, one in plans.items()} == done.made


def test_plan__agrees_with_what_the_run_then_does(text: Path, done: Run, tmp_path: Path) -> None:
    configuration = configured(text, corpus__shard_mb=0.02, train__seed=5, pairs__window=2)
    before = planned(configuration, done.store)
    assert [name for name, one in before.items() if not one.wanted] == ["train", "evaluate"]  # these may run
    run = walk(configuration, done.store.root, InPlace())
    for record in run.records:
        one = before[record.step]
        assert not one.wanted or (one.reused, one.reason) == (record.n_reused == len(record.keys), record.reason)


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        ({"train__seed": 6}, "train", "seed changed from 5 to 6"),
        ({"train__seed": 6, "train__negatives": 9}, "train", "negatives changed from 5 to 9; seed changed from 5 to 6"),
        ({"train__learning_rate": 0.05}, "train", "learning_rate changed from 0.025 to 0.05"),
        ({"vocabulary__min_count": 2}, "vocabulary", "min_count changed from 3 to 2"),
        ({"vocabulary__min_count": 2}, "pairs", "vocabulary comes first"),
        ({"tokenize__lowercase": False}, "vocabulary", "tokenize comes first"),
        ({"evaluate__method": "3cosmul"}, "evaluate", "method changed from 3cosadd to 3cosmul"),
        ({"evaluate__similarity": ["simlex999"]}, "evaluate", "other sets"),
        ({"evaluate__similarity": ["simlex999", "wordsim353"]}, "evaluate", "other sets"),
    ],
    ids=str,
)
def test_plan__says_what_changed(change: dict[str, object], step: str, reason: str, text: Path, done: Run) -> None:
    base: dict[str, object] = {"corpus__shard_mb": 0.02, "train__seed": 5}
    assert reasons(configured(text, **(base | change)), done.store)[step] == reason


def test_plan__says_how_many_shards_are_new(text: Path, done: Run, tmp_path: Path) -> None:
    grown = tmp_path / "grown.txt"
    grown.write_text(text.read_text(encoding="utf-8") + "one more line\n", encoding="utf-8")
    n = len(done.made["tokenize"])
    plans = planned(configured(grown, corpus__shard_mb=0.02, train__seed=5), done.store)
    assert plans["tokenize"].reason == f"1 of {n} are not in the store: other source"
    assert sum(one.found is None for one in plans["tokenize"].wanted) == 1
    assert plans["snapshot"].reason == f"other files; other shards: 1 new, 1 gone, {n - 1} the same"


def test_plan__compares_with_the_most_similar_artifact_not_the_newest(text: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    walk(configured(text, train__dimensions=6), tmp_path, InPlace(), "train")
    walk(configured(text, train__dimensions=4, train__negatives=3, train__seed=9), tmp_path, InPlace(), "train")
    assert reasons(configured(text, train__dimensions=6, train__seed=2), store)["train"] == "seed changed from 1 to 2"
    assert reasons(configured(text, train__dimensions=4, train__negatives=3), store)["train"] == "seed changed from 9 to 1"


def test_plan__says_that_the_same_text_is_there_a_different_number_of_times(text: Path, done: Run, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_bytes(text.read_bytes())
    found = reasons(configured(tmp_path, corpus__shard_mb=0.02, train__seed=5), done.store)
    n = len(done.made["tokenize"])
    assert found["tokenize"] == SAME
    assert found["snapshot"] == f"other files; other shards: {n} new, 0 gone, {n} the same"
    assert found["vocabulary"] == f"other text: {n} new, 0 gone, {n} the same"


def test_explain__says_when_only_the_order_differs(text: Path, done: Run) -> None:
    (one,) = [one for one in plan(done.configuration, done.store) if one.step.name == "vocabulary"]
    unit = type(one.wanted[0].unit)({"text": one.wanted[0].unit.inputs["text"][::-1]})
    assert explain(one.step, unit, done.store) == "text in another order"


def test_explain__says_that_an_artifact_is_gone(text: Path, tmp_path: Path) -> None:
    """As it looks between two steps: the reason is asked for when `find` has not found it."""
    run = walk(configured(text), tmp_path, InPlace(), "vocabulary")
    (one,) = [one for one in plan(run.configuration, run.store) if one.step.name == "vocabulary"]
    assert explain(one.step, one.wanted[0].unit, run.store) == "it was removed from the store"
    assert explain(one.step, None, run.store) == ""


def test_plan__hears_of_a_new_version_of_a_stage(done: Run) -> None:
    step = next(step for step in chain(done.configuration) if step.name == "train")
    newer = type(step)(step.name, type(step.stage)("train", step.stage.version + 1, step.stage.build), step.settings, step.parameters, {})
    assert explain(newer, None, done.store) == f"the stage itself changed from version {step.stage.version} to {step.stage.version + 1}"


def test_project__measures_what_is_there_and_estimates_the_rest(text: Path, done: Run) -> None:
    configuration = configured(text, corpus__shard_mb=0.02, train__seed=77)
    plans = plan(configuration, done.store)
    projections = dict(zip((one.step.name for one in plans), project(configuration, plans), strict=True))
    for name, projection in projections.items():
        if name not in ("train", "evaluate"):
            sizes = [artifact.manifest.size_bytes for artifact in done.made[name]]
            assert (projection.disk_bytes, projection.memory_bytes) == (sum(sizes), 0)
    assert projections["tokenize"].n_rows == sum(read.manifest.tallies[2].n_kept for read in done.made["tokenize"])
    n_words = done.made["vocabulary"][0].manifest.measures["words"]
    assert projections["train"].n_rows == n_words
    trained = sum(file.size_bytes for file in done.made["train"][0].manifest.files)
    assert trained / 2 < projections["train"].disk_bytes < trained * 2
    assert projections["train"].memory_bytes > 100_000_000


@pytest.mark.parametrize("suffix", [".gz", ".GZ", ".bz2", ".xz", ".zst"])
def test_project__knows_every_compression(suffix: str, text: Path, tmp_path: Path) -> None:
    (tmp_path / f"text.txt{suffix}").write_bytes(text.read_bytes())  # a plan looks at sizes, not into archives
    configuration = configured(tmp_path / f"text.txt{suffix}", phrases__thresholds=[8.0], pairs__subsample=0.0)
    projections = project(configuration, plan(configuration, Store(tmp_path / "store")))
    assert len(projections) == 7
    assert all(projection.n_rows > 0 and projection.disk_bytes > 0 for projection in projections)


def test_project__knows_what_limits_words_and_their_counting(text: Path, tmp_path: Path) -> None:
    found = []
    for changes in ({}, {"vocabulary__max_vocabulary": 50, "cluster__counting_mb": 0.01}):
        configuration = configured(text, phrases__thresholds=[8.0], **changes)
        plans = plan(configuration, Store(tmp_path / "store"))
        found.append(dict(zip((one.step.name for one in plans), project(configuration, plans), strict=True)))
    whole, little = found
    assert whole["vocabulary"].n_rows > little["vocabulary"].n_rows == 50
    for step in ("phrases-1", "vocabulary"):
        assert whole[step].memory_bytes > little[step].memory_bytes + 10_000


def test_project__knows_that_long_sentences_make_large_parts(tmp_path: Path) -> None:
    """Once it has seen them: a part is 32,768 sentences, and training holds two, of 5 bytes a token."""
    memory = []
    for n_words in (2, 60):
        path = tmp_path / f"{n_words}.txt"
        path.write_text(("one two " * (n_words // 2) + "\n") * 40_000, encoding="utf-8")
        walk(configured(path), tmp_path / "store", InPlace(), "vocabulary")
        plans = plan(configured(path), Store(tmp_path / "store"))
        memory.append(dict(zip((one.step.name for one in plans), project(configured(path), plans), strict=True))["train"].memory_bytes)
    assert memory[1] - memory[0] == pytest.approx(2 * 5 * 32_768 * (60 - 2))
