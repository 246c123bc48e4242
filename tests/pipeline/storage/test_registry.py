import itertools
import json
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.storage.artifact import Link
from pipeline.storage.atomic import among_processes
from pipeline.storage.registry import Registry
from pipeline.storage.sealed import sealed
from pipeline.storage.store import Store

SCORES = Link("evaluate", "ee" * 32, "ef" * 32)


def vectors(letter: str) -> Link:
    return Link("train", letter * 64, letter * 64)


def test_registry__numbers_new_vectors_and_knows_old_ones(tmp_path) -> None:
    registry = Registry(Store(tmp_path))
    assert registry.names() == registry.versions("demo") == []
    first = registry.register("demo", "run-1", vectors("a"), SCORES)
    assert registry.register("demo", "run-2", vectors("a"), SCORES) == first  # the same vectors: nothing new
    second = registry.register("demo", "run-3", vectors("b"), SCORES)
    back = registry.register("demo", "run-4", vectors("a"), SCORES)  # what was before the newest is new again
    assert [str(version) for version in registry.versions("demo")] == ["demo@1", "demo@2", "demo@3"]
    assert (first.run, second.run, back.run) == ("run-1", "run-3", "run-4")
    assert registry.register("demo", "run-3", vectors("b"), SCORES) == second  # a run has one version, however often it is brought
    assert registry.newest("demo") == back
    assert registry.newest("other") is None
    assert registry.find("demo", "2") == second
    assert registry.find("demo", "4") is registry.find("other", "1") is None
    assert registry.names() == ["demo"]


def test_registry__many_writers_get_a_number_each(tmp_path) -> None:
    registry = Registry(Store(tmp_path))
    with ThreadPoolExecutor(8) as threads:
        made = list(
            threads.map(lambda n: registry.register("demo", f"run-{n}", vectors(f"{n:02x}"[1]), Link("evaluate", f"{n}", "")), range(40))
        )
    assert sorted(version.number for version in made) == list(range(1, 41))
    assert sorted(version.run for version in registry.versions("demo")) == sorted(f"run-{n}" for n in range(40))


def test_registry__an_alias_moves_and_remembers(tmp_path) -> None:
    registry = Registry(Store(tmp_path))
    for letter in "ab":
        registry.register("demo", f"run-{letter}", vectors(letter), SCORES)
    assert registry.move("demo", "production", 1, "first", 0)
    assert registry.move("demo", "production", 2, "late", 0) is None  # somebody else was first
    assert registry.move("demo", "production", 2, "better", 1)
    assert [(move.number, move.version, move.reason) for move in registry.history("demo", "production")] == [
        (1, 1, "first"),
        (2, 2, "better"),
    ]
    assert registry.aliases("demo") == {"production": 2}
    assert registry.find("demo", "production") == registry.versions("demo")[1]


@pytest.mark.parametrize("name", ["..", "../runs", "/etc", "a/b", "", ".hidden", "a" * 300])
def test_registry__names_and_aliases_never_leave_the_store(name: str, tmp_path) -> None:
    registry = Registry(Store(tmp_path / "store"))
    assert registry.versions(name) == registry.history(name, "production") == registry.history("demo", name) == []
    assert registry.find(name, "1") is None
    with pytest.raises(ValueError, match="cannot be called"):
        registry.move("demo", name, 1, "", 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", ["1" * 5000, "0", "-1", "²", "٢", "a" * 300, ""])
def test_find__of_what_is_no_number_and_no_alias_is_nothing(which: str, tmp_path) -> None:
    registry = Registry(Store(tmp_path))
    for letter in "ab":
        registry.register("demo", f"run-{letter}", vectors(letter), SCORES)
    assert registry.find("demo", which) is None


def two_versions_and_an_alias(root: Path) -> Registry:
    registry = Registry(Store(root))
    for letter in "ab":
        registry.register("demo", f"run-{letter}", vectors(letter), SCORES)
    for after in range(2):
        registry.move("demo", "production", after + 1, "a reason", after)
    return registry


def test_registry__one_record_that_is_broken_stops_only_who_asks_for_it(tmp_path) -> None:
    registry = two_versions_and_an_alias(tmp_path)
    second = registry.newest("demo")
    for place in ("versions", "aliases/production"):
        path = tmp_path / "models/demo" / place / "1.json"
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(content)
    assert registry.newest("demo") == registry.find("demo", "2") == registry.find("demo", "production") == second
    assert registry.aliases("demo") == {"production": 2}
    for ask in (lambda: registry.find("demo", "1"), lambda: registry.versions("demo"), lambda: registry.history("demo", "production")):
        with pytest.raises(StoreError):
            ask()
    unusable: list[StoreError] = []
    assert registry.versions("demo", unusable.append) == [second]
    assert [move.number for move in registry.history("demo", "production", unusable.append)] == [2]
    assert [error.details["where"].rpartition("demo/")[2] for error in unusable] == ["versions/1.json", "aliases/production/1.json"]
    assert registry.register("demo", "run-c", vectors("c"), SCORES).number == 3


JUNK = (None, 7, -1, 1.5, True, "", "text", [], [1], {}, {"stage": 1, "key": [], "digest": None})


@pytest.mark.parametrize("place", ["versions", "aliases/production"])
def test_registry__a_record_of_another_form_with_a_valid_seal_is_named(place: str, tmp_path) -> None:
    registry = two_versions_and_an_alias(tmp_path)
    path = tmp_path / "models/demo" / place / "2.json"
    whole = registry.store.read_record(path)
    refused = []
    for field, value in itertools.product([*whole, "another"], [*JUNK, ...]):
        changed = {name: old for name, old in whole.items() if name != field} | ({} if value is ... else {field: value})
        path.write_text(sealed(changed, registry.store.place_of(path)))
        try:  # whatever it is read as, the form is ours
            found = (registry.newest("demo"), *registry.history("demo", "production"), registry.find("demo", "production"))
            json.dumps([asdict(one) for one in found if one])
            hash(tuple((one.vectors.key, one.run, one.created) for one in (found[0], found[-1]) if one))
        except StoreError as error:
            refused.append(error.details["where"])
    assert len(refused) > 20
    assert set(refused) == {str(path)}


def test_register__killed_leaves_nothing_that_the_next_run_does_not_clear_away(tmp_path) -> None:
    store = Store(tmp_path)
    Registry(store).register("demo", "a run", vectors("a"), SCORES)
    Registry(store).move("demo", "production", 1, "a reason", 0)
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    child.start()
    child.join()
    for place in ("versions", "aliases/production"):
        (tmp_path / "models" / "demo" / place / f".1.json.{among_processes()}.{child.pid}.0123abcd").write_text("half")
    store.remove_abandoned()
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["models/demo/aliases/production/1.json", "models/demo/versions/1.json"]
