"""Trained vectors by what a person calls them: always those that `resolve` means, with their bytes."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import pytest

from pipeline.errors import StoreError, UsageError
from pipeline.lineage.models import configuration_of, find_model, run_of
from pipeline.lineage.references import Referent, resolve
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST, Manifest
from pipeline.storage.records import RECORD
from pipeline.storage.registry import Registry
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk

MODELS = [("king", 1), ("king", 2), ("2026", 3), ("queen", 3)]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Four runs in one store, oldest first: king, king again with other vectors, 2026, and queen with the vectors of 2026.

    A fifth is king@1 once more, asked otherwise: king@3.
    """
    directory = tmp_path_factory.mktemp("models")
    (directory / "text.txt").write_text("".join(sample_lines(30)), encoding="utf-8")
    made = []
    for name, seed, candidates in [*((*model, 30_000) for model in MODELS), ("king", 1, 50)]:
        configuration = configured(directory / "text.txt", train__seed=seed, evaluate__candidates=candidates)
        run = walk(configuration.model_copy(update={"name": name}), directory / "store", InPlace())
        run.id = f"20260101T00000{len(made)}-abcdef"  # a second apart
        run.finish("a test")
        made.append(run)
    Registry(made[0].store).move("king", "production", 2, "for the test", 0)
    return made


@pytest.fixture
def copy(runs: list[Run], tmp_path: Path) -> Store:
    shutil.copytree(runs[0].store.root, tmp_path / "copy")
    return Store(tmp_path / "copy")


REFERENCES = {  # to the number of the run
    "king": 4,
    "king@1": 0,
    "king@2": 1,
    "king@3": 4,
    "king@production": 1,
    "2026": 2,
    "queen": 3,
    "20260101T000000-abcdef": 0,
    "20260101T000003": 3,
}


@pytest.mark.parametrize(("reference", "number"), [("", 4), *REFERENCES.items()])
def test_find_model__means_a_version_and_its_own_run(reference: str, number: int, runs: list[Run]) -> None:
    found = find_model(runs[0].store, reference)
    assert (found.run["id"], found.artifact) == (runs[number].id, runs[number].made["train"][0])
    assert configuration_of(runs[0].store, found)["evaluate"]["candidates"] == runs[number].configuration.evaluate.candidates
    if reference:
        assert resolve(runs[0].store, reference).vectors == found.artifact.link


def test_find_model__by_a_key_needs_no_run(runs: list[Run], copy: Store) -> None:
    artifact = runs[2].made["train"][0]
    key = artifact.manifest.key
    for reference in (key, key[:12], f"train/{key[:12]}"):
        found = find_model(copy, reference)
        assert (found.name, found.artifact.link, found.run) == (f"train/{key[:12]}", artifact.link, None)
        assert run_of(copy, resolve(copy, reference))["id"] == runs[3].id  # of two that made a version of them, the newer
    for place in (RUNS, "models"):
        shutil.rmtree(copy.root / place)
    found = find_model(copy, key[:12])
    assert found.read().similar("king", 1) == find_model(runs[0].store, "queen").read().similar("king", 1)
    assert run_of(copy, resolve(copy, key)) is None
    assert configuration_of(copy, found) == {"tokenize": runs[2].configuration.tokenize.model_dump(mode="json")}


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("kin", "Did you mean king?"),
        ("20260101", "Give more letters"),
        ("king@7", "no such version"),
        ("king@" + "1" * 5000, "no such version"),
        ("king@" + "a" * 300, "no such version"),
        ("a" * 300, "nothing that is called so"),
        ("a" * 300 + "@1", "nothing that is called so"),
        ("a/" * 300, "nothing that is called so"),
        ("\0", "nothing that is called so"),
        ("a\0b@1", "nothing that is called so"),
    ],
)
def test_find_model__of_what_is_none_says_what_there_is(reference: str, part: str, runs: list[Run]) -> None:
    for ask in (find_model, resolve):
        with pytest.raises(UsageError) as caught:
            ask(runs[0].store, reference)
        assert part in str(caught.value)


def test_find_model__of_something_else_says_what_it_is(runs: list[Run]) -> None:
    key = runs[0].made["pairs"][0].manifest.key
    with pytest.raises(UsageError, match="These are no vectors"):
        find_model(runs[0].store, key)


def test_find_model__in_a_store_without_models(tmp_path: Path) -> None:
    for reference in ("", "king"):
        with pytest.raises(UsageError, match="There is no model yet"):
            find_model(Store(tmp_path / "none"), reference)
    assert not (tmp_path / "none").exists()


def test_find_model__whose_vectors_are_gone_says_so_and_without_a_name_means_the_newest_that_are_here(runs: list[Run], copy: Store) -> None:
    shutil.rmtree(copy.root / "train" / runs[0].made["train"][0].directory.name)  # of king@1 and king@3
    for reference in ("king", "king@1", runs[0].id, runs[4].id):
        with pytest.raises(UsageError, match="no longer in the store"):
            find_model(copy, reference)
    assert find_model(copy).run["id"] == runs[3].id
    shutil.rmtree(copy.root / "train")
    with pytest.raises(UsageError, match="No run has its vectors"):
        find_model(copy)


def test_find_model__never_serves_other_bytes_than_were_meant(runs: list[Run], copy: Store) -> None:
    """As after gc and training again on another type of processor: the same key, and other bytes."""
    path = copy.root / "train" / runs[1].made["train"][0].directory.name / MANIFEST
    manifest = Manifest.read(path)
    file = manifest.files[0]
    (path.parent / file.name).write_bytes(bytes(file.size_bytes))
    files = (dataclasses.replace(file, sha256="0" * 64), *manifest.files[1:])
    path.write_text(dataclasses.replace(manifest, files=files).to_json(), encoding="utf-8")
    for reference in ("king@2", "king@production", runs[1].id):
        with pytest.raises(StoreError, match="other bytes"):
            find_model(copy, reference)
    assert find_model(copy, manifest.key).artifact.directory == path.parent  # by its key it is what is there


@pytest.mark.parametrize("where", [MANIFEST, RECORD])
def test_find_model__is_not_stopped_by_another_that_is_damaged(where: str, runs: list[Run], copy: Store) -> None:
    damaged = runs[1].made["train"][0].directory.name if where == MANIFEST else runs[1].id
    path = copy.root / ("train" if where == MANIFEST else RUNS) / damaged / where
    path.write_text("{")
    of_run = {"king@2", "king@production"}
    for reference, number in REFERENCES.items():
        if reference not in of_run:
            assert find_model(copy, reference).run == resolve(copy, reference).run
            assert find_model(copy, reference).run["id"] == runs[number].id
    assert find_model(copy).run["id"] == runs[4].id
    if where == MANIFEST:
        with pytest.raises(StoreError, match="manifest cannot be used"):
            find_model(copy, "king@2")
    else:  # the vectors are as they were
        assert find_model(copy, "king@2").run is None
        with pytest.raises(StoreError, match="record"):
            resolve(copy, "king@2")
        with pytest.raises(StoreError, match="record"):
            find_model(copy, runs[1].id)


def test_resolve__reads_the_record_that_is_meant_and_no_other(runs: list[Run], copy: Store, monkeypatch) -> None:
    read = []
    whole = Store.read_record
    monkeypatch.setattr(Store, "read_record", lambda store, path: read.append(store.place_of(path)) or whole(store, path))
    expected = {
        "king@2": [f"runs/{runs[1].id}/record.json", "models/king/versions/2.json"],
        "king": [f"runs/{runs[4].id}/record.json", "models/king/versions/3.json"],
        runs[0].id: [f"runs/{runs[0].id}/record.json"],
        runs[0].made["train"][0].manifest.key: [],
        "": [f"runs/{runs[4].id}/record.json"],
    }
    for (reference, places), ask in itertools.product(expected.items(), (find_model, resolve)):
        if reference or ask is find_model:
            ask(copy, reference)
            assert sorted(read) == sorted(places)
            read.clear()


def test_run_of__a_version_whose_record_is_gone_is_another_run_with_its_vectors(runs: list[Run], copy: Store) -> None:
    shutil.rmtree(copy.root / RUNS / runs[3].id)
    assert run_of(copy, resolve(copy, "queen"))["id"] == runs[2].id
    assert run_of(copy, Referent("nothing", ())) is None
