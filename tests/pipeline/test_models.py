"""Finding trained vectors by name, run or key."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import StoreError, UsageError
from pipeline.models import find_model, models
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Four runs in one store, oldest first: king, king again with other vectors, 2026, and queen with the vectors of 2026."""
    directory = tmp_path_factory.mktemp("models")
    (directory / "text.txt").write_text("".join(sample_lines(30)), encoding="utf-8")
    made = []
    for name, seed in [("king", 1), ("king", 2), ("2026", 3), ("queen", 3)]:
        configuration = configured(directory / "text.txt", train__seed=seed).model_copy(update={"name": name})
        run = walk(configuration, directory / "store", InPlace())
        run.id = f"20260101T00000{len(made)}-abcdef"  # a second apart
        run.finish("a test")
        made.append(run)
    return made


@pytest.fixture
def store(runs: list[Run]) -> Store:
    return runs[0].store


def test_models__are_those_of_every_run_newest_first(runs: list[Run], store: Store) -> None:
    found = models(store)
    assert [model.run["id"] for model in found] == [run.id for run in reversed(runs)]
    assert [model.artifact for model in found] == [run.made["train"][0] for run in reversed(runs)]
    assert all(model.vectors_path.is_file() for model in found)


@pytest.mark.parametrize(
    ("reference", "number"),
    [("", 3), ("king", 1), ("queen", 3), ("2026", 2), ("202601", 3), ("20260101T000000-abcdef", 0), ("20260101T000001", 1)],
)
def test_find_model__by_name_then_by_run_and_the_newest_of_several(reference: str, number: int, runs: list[Run], store: Store) -> None:
    assert find_model(store, reference).run["id"] == runs[number].id


def test_find_model__by_the_beginning_of_a_key(runs: list[Run], store: Store) -> None:
    key = runs[0].made["train"][0].manifest.key
    assert find_model(store, key[:8]).run["id"] == find_model(store, key).run["id"] == runs[0].id
    with pytest.raises(UsageError, match="no such model"):
        find_model(store, key[:3])  # too short to mean one


def test_find_model__suggests_a_name(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        find_model(store, "kin")
    assert caught.value.details["remedy"] == "Did you mean king?"
    assert caught.value.details["expected"].startswith("one of queen, 2026, king, a version")


def test_find_model__in_a_store_without_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no model yet"):
        find_model(Store(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_models__leave_out_runs_whose_vectors_are_gone(runs: list[Run], store: Store, tmp_path: Path) -> None:
    copy = Store(tmp_path / "copy")
    shutil.copytree(store.root, copy.root)
    shutil.rmtree(copy.root / "train" / runs[3].made["train"][0].directory.name)
    assert [model.run["name"] for model in models(copy)] == ["king", "king"]
    assert len(copy.records(RUNS)) == 4


def test_find_model__is_not_stopped_by_another_that_is_damaged(runs: list[Run], store: Store, tmp_path: Path) -> None:
    copy = Store(tmp_path / "copy")
    shutil.copytree(store.root, copy.root)
    (copy.root / "train" / runs[1].made["train"][0].directory.name / MANIFEST).write_text("{")
    assert find_model(copy).run["name"] == "queen"
    assert [model.run["name"] for model in models(copy)] == ["queen", "2026", "king"]
    with pytest.raises(StoreError, match="manifest cannot be used"):
        find_model(copy, "king")
