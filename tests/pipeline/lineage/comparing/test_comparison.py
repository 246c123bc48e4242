import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.lineage.comparing.comparison import Difference, difference
from pipeline.lineage.corpora import Change
from pipeline.lineage.references import resolve
from pipeline.run import Run
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import WORDS, finished_run, text
from tests.pipeline.small_runs import configured, walk


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, Store, Run]:
    directory = tmp_path_factory.mktemp("differences")
    store, run = finished_run(directory)
    return directory, store, run


def trained(store: Store, *paths: Path, **changes: object) -> Run:
    run = walk(configured(*paths, **changes), store.root)
    run.finish("a test")
    return run


def between(store: Store, before: Run, after: Run) -> Difference:
    return difference(store, resolve(store, before.id), resolve(store, after.id))


def inputs(directory: Path) -> list[Path]:
    return [directory / "text-1.txt", directory / "text-2.txt"]


def test_difference__of_the_same_bytes_is_said_at_once(first) -> None:
    directory, store, run = first
    found = between(store, run, trained(store, *inputs(directory)))
    assert found.same_bytes
    assert found.parameters == found.stages == found.files == found.other_inputs == found.scores == found.missing == ()
    assert found.vocabulary is found.movement is None


def test_difference__names_parameters_as_the_configuration_does(first) -> None:
    directory, store, run = first
    changes = {"pairs__window": 2, "train__seed": 5, "train__dimensions": 9, "tokenize__digits": "map", "corpus__broken": "fail"}
    found = between(store, run, trained(store, *inputs(directory), **changes))
    assert {(one.name, one.before, one.after) for one in found.parameters} == {
        ("pairs.window", 4, 2),
        ("train.seed", 1, 5),
        ("train.dimensions", 8, 9),
        ("tokenize.digits", "keep", "map"),
        ("corpus.broken", "skip", "fail"),
    }
    assert not found.same_bytes
    assert found.files == found.stages == found.other_inputs == found.environment == found.missing == ()
    assert found.movement.n_candidates == len(WORDS)
    assert (found.vocabulary.n_common, found.vocabulary.new, found.vocabulary.gone) == (len(WORDS), (), ())


def test_difference__between_models_of_other_kinds_leaves_out_what_only_one_has(first) -> None:
    directory, store, run = first
    other = trained(store, *inputs(directory), train__model="glove", phrases__thresholds=(0.5,), phrases__min_count=4)
    found = between(store, run, other)
    assert {one.name: (one.before, one.after) for one in found.parameters} == {
        "train.model": ("skip_gram", "glove"),
        "phrases.thresholds": ([], [0.5]),
        "phrases.min_count": (5, 4),
    }
    by_artifacts = difference(store, *(resolve(store, vectors_of(one)) for one in (run, other)))
    assert {one.name for one in by_artifacts.parameters} >= {"train.model", "phrases.thresholds", "phrases.min_count"}
    assert not [one.name for one in by_artifacts.parameters if one.name.startswith(("pairs.", "glove.", "cooccurrence."))]
    assert {one.name: (one.before, one.after) for one in found.stages} == {
        "pairs": (str(run.made["pairs"][0].manifest.stage_version), None),
        "train": (str(run.made["train"][0].manifest.stage_version), None),
        "cooccurrence": (None, "1"),
        "glove": (None, "1"),
        "phrases": (None, "2"),
    }
    assert found.movement
    assert len(found.scores) == 1


def test_difference__names_files_that_came_went_and_changed_with_their_tokens(first, tmp_path) -> None:
    directory, store, run = first
    renamed, added = tmp_path / "other-name.txt", tmp_path / "added.txt"
    shutil.copyfile(directory / "text-1.txt", renamed)
    added.write_text(text(3, 50) + "a word nobody knew before\n" * 9)
    found = between(store, run, trained(store, renamed, added))
    (new, gone) = found.files
    assert (new.change, new.location, new.before, new.after.n_tokens) == (Change.ADDED, str(added), None, 50 * 12 + 5 * 9)
    assert new.after.size_bytes == added.stat().st_size
    assert (gone.change, gone.location, gone.after, gone.before.n_tokens) == (
        Change.REMOVED,
        str(directory / "text-2.txt"),
        None,
        120 * 12,
    )
    assert found.n_files == (2, 2)
    assert set(found.vocabulary.new) == {"word", "nobody", "knew", "before"}
    assert found.parameters == ()


def test_difference__knows_a_file_that_has_grown_by_its_place(first, tmp_path) -> None:
    _, store, _ = first
    path = tmp_path / "grows.txt"
    runs = []
    for n_lines in (9_000, 12_000):  # the first of their shards is the same, and was read as part of the shorter file
        path.write_text(text(7, n_lines))
        runs.append(trained(store, path, corpus__shard_mb=0.3))
    found = between(store, *runs)
    (change,) = found.files
    assert (change.change, change.location) == (Change.CHANGED, str(path))
    assert (change.before.n_tokens, change.after.n_tokens) == (9_000 * 12, 12_000 * 12)
    assert change.after.size_bytes == path.stat().st_size
    assert len(set(runs[0].records[1].keys) & set(runs[1].records[1].keys)) >= 1


def test_difference__sees_another_copy_of_a_file(first, tmp_path) -> None:
    directory, store, run = first
    copy = tmp_path / "copy.txt"
    shutil.copyfile(directory / "text-1.txt", copy)
    other = trained(store, *inputs(directory), copy)
    found = between(store, run, other)
    ((change, location, tokens),) = [(one.change, one.location, one.after.n_tokens) for one in found.files]
    assert (change, location, tokens) == (Change.ADDED, str(copy), 1440)
    by_artifacts = difference(store, *(resolve(store, vectors_of(one)) for one in (run, other)))
    assert [one.change for one in by_artifacts.files] == [Change.ADDED]  # artifacts know no name of it, but how often it was read


def vectors_of(run: Run) -> str:
    return f"{run.made['train'][0].manifest.stage}/{run.made['train'][0].manifest.key[:12]}"


def test_difference__between_artifacts_needs_no_record_of_a_run(first, tmp_path) -> None:
    directory, store, run = first
    other = trained(store, *inputs(directory), vocabulary__min_count=150)
    keys = [vectors_of(one) for one in (run, other)]
    found = difference(store, *(resolve(store, key) for key in keys))
    assert (found.before, found.after) == tuple(keys)
    assert [(one.name, one.before, one.after) for one in found.parameters] == [("vocabulary.min_count", 3, 150)]
    assert [score.set for score in found.scores] == ["wordsim353"]  # of the evaluations in the store
    vocabularies = [resolve(store, one.made["vocabulary"][0].manifest.key) for one in (run, other)]
    found = difference(store, *vocabularies)
    assert [one.name for one in found.parameters] == ["vocabulary.min_count"]
    assert (found.scores, found.movement) == ((), None)


def test_difference__says_what_it_cannot_know(tmp_path) -> None:
    store, run = finished_run(tmp_path)
    other = trained(store, *inputs(tmp_path), pairs__window=2)
    pairs = other.made["pairs"][0]
    shutil.rmtree(pairs.directory)
    found = between(store, run, other)
    assert found.missing == (f"pairs/{pairs.manifest.key[:12]}",)
    assert found.movement  # which needs only the vectors
    shutil.rmtree(other.made["train"][0].directory)
    assert between(store, run, other).movement is None


def test_difference__of_environments_is_that_of_the_vectors(tmp_path) -> None:
    store, run = finished_run(tmp_path)
    other = trained(store, *inputs(tmp_path), train__seed=2)
    artifact = other.made["train"][0]
    changed = replace(artifact.manifest, environment={**artifact.manifest.environment, "numba": "0.1", "gpu": "none"})
    (artifact.directory / "manifest.json").write_text(changed.to_json())
    found = between(store, run, other)
    assert {one.name: one.after for one in found.environment} == {"numba": "0.1", "gpu": "none"}
