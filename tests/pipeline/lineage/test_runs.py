"""Records of runs: one that is damaged, or of another form, stops only who asks for it, and says so."""

import copy
import io
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.showing import run_meant, show_run, show_runs
from pipeline.configuration_file import load_configuration
from pipeline.errors import Corpus2VecError, StoreError, UsageError
from pipeline.lineage.ancestry import ancestry
from pipeline.lineage.card import card
from pipeline.lineage.comparing.comparison import difference
from pipeline.lineage.models import configuration_of, find_model
from pipeline.lineage.references import resolve
from pipeline.lineage.runs import newest_run, run_record, run_records
from pipeline.lineage.verifying.verification import verify
from pipeline.run import Run
from pipeline.storage.records import RECORD
from pipeline.storage.sealed import sealed
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import configured, walk

JUNK: tuple[Any, ...] = (None, 7, -1, 1.5, "", "text", "../..", [], [1], [[]], {}, {"a": 1}, [{}], ...)  # ...: leave it out


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, list[Run]]:
    """Two runs of one model, with other vectors."""
    directory = tmp_path_factory.mktemp("runs")
    store, first = finished_run(directory)
    second = walk(configured(*sorted(directory.glob("*.txt")), train__seed=2), store.root, InPlace())
    second.finish("a test")
    return store, [first, second]


@pytest.fixture
def store(finished, tmp_path) -> Store:
    shutil.copytree(finished[0].root, tmp_path / "store")
    return Store(tmp_path / "store")


def record_path(store: Store, run: Run) -> Path:
    return store.root / RUNS / run.id / RECORD


def shown(store: Store, reference: str) -> tuple[str, list[StoreError]]:
    out, unusable = io.StringIO(), []
    console = Console(file=out, width=250)
    referent = resolve(store, reference) if reference else None
    if referent:
        show_run(store, run_meant(store, referent), console, referent.version, unusable.append)
    else:
        show_runs(store, console, unusable.append)
    return out.getvalue(), unusable


def test_records__one_that_is_flipped_is_left_out_of_lists_and_stops_no_other_question(finished, store: Store) -> None:
    first, second = finished[1]
    path = record_path(store, first)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    text, unusable = shown(store, "")
    assert first.id not in text
    assert second.id in text
    assert [error.details["where"] for error in unusable] == [str(path)]
    assert newest_run(store)["id"] == second.id
    for reference in ("vectors", "vectors@2", second.id):
        assert resolve(store, reference).run["id"] == second.id
        assert verify(store, reference).findings == ()
    assert find_model(store, "vectors@1").artifact.link == first.made["train"][0].link
    for ask in (run_record, resolve, shown, verify):
        with pytest.raises(StoreError, match="record"):
            ask(store, first.id)
    path = record_path(store, second)
    path.write_text("{")
    assert run_records(store, lambda error: None) == []
    with pytest.raises(StoreError, match="record"):
        find_model(store)  # the newest is not known, and an older one would be another


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a value, the first item standing for all of a list."""
    yield path
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ():
        yield from paths_of(inner, (*path, name))


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    found = copy.deepcopy(record)
    inner: Any = found
    for name in path[:-1]:
        inner = inner[name]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return found


def questions(store: Store, first: Run) -> None:
    """What asks for the record of a run, of what it needs of it."""
    shown(store, first.id)
    shown(store, "")
    model = find_model(store, first.id)
    load_configuration(None, [], of_run=configuration_of(store, model))
    referent = resolve(store, "vectors@1")
    card(store, referent)
    ancestry(store, referent)
    difference(store, referent, resolve(store, "vectors@2"), 1, 5)


def test_records__of_another_form_with_a_valid_seal_make_errors_that_say_so(finished, store: Store) -> None:
    first = finished[1][0]
    path = record_path(store, first)
    whole = store.read_record(path)
    places = [place for place in paths_of(whole) if place and (place[0] != "configuration" or len(place) < 3)]
    assert ("steps", 0, "keys", 0) in places
    cases = [(place, value) for place in places for value in JUNK]
    n_refused = 0
    for place, value in random.Random(1).sample(cases, 250):
        path.write_text(sealed(changed(whole, place, value), store.place_of(path)), encoding="utf-8")
        try:
            questions(store, first)
        except Corpus2VecError:
            n_refused += 1
    assert n_refused > 125
    path.write_text(sealed(whole, store.place_of(path)), encoding="utf-8")
    questions(store, first)


def test_show__of_a_run_whose_vectors_were_removed_says_what_is_known(finished, store: Store) -> None:
    run = finished[1][0]
    for step in ("train", "evaluate", "tokenize"):
        for artifact in run.made[step]:
            shutil.rmtree(store.root / step / artifact.directory.name)
    text, unusable = shown(store, run.id)
    assert unusable == []
    assert "Its vectors are no longer in the store. Gone, or there with other bytes than this run left: tokenize, train, evaluate." in text
    for step in run.records:
        assert step.keys[0][:12] in text
    assert f"{run.made['evaluate'][0].manifest.measures['wordsim353']:.3f}" in text
    assert shown(store, "vectors@1")[0].splitlines()[1:] == text.splitlines()[1:]


def test_show__of_a_version_shows_its_own_run(finished, store: Store) -> None:
    """Trained, asked otherwise, and as at first once more: a version each, of which the first and the last are the same."""
    paths = sorted(finished[0].root.parent.glob("*.txt"))
    for candidates in (20, 30_000):
        run = walk(configured(*paths, evaluate__candidates=candidates), store.root, InPlace())
        run.finish("a test")
    for number, identity in ((1, finished[1][0].id), (4, run.id)):
        assert shown(store, f"vectors@{number}")[0].startswith(f"vectors@{number}  run {identity},")
        assert finished[1][0].made["evaluate"][0].manifest.key[:12] in shown(store, f"vectors@{number}")[0]
    assert finished[1][0].made["evaluate"][0].manifest.key[:12] not in shown(store, "vectors@3")[0]


def test_show__of_something_without_a_run_says_where_to_look(finished, store: Store) -> None:
    with pytest.raises(UsageError, match="No run of this is known here") as caught:
        shown(store, finished[1][0].made["pairs"][0].manifest.key)
    assert "corpus2vec lineage pairs/" in caught.value.details["remedy"]
