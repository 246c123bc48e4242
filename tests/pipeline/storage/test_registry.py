import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.storage.artifact import Link
from pipeline.storage.atomic import among_processes
from pipeline.storage.registry import Registry
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


@pytest.mark.parametrize("name", ["..", "../runs", "/etc", "a/b", "", ".hidden"])
def test_registry__names_and_aliases_never_leave_the_store(name: str, tmp_path) -> None:
    registry = Registry(Store(tmp_path / "store"))
    assert registry.versions(name) == registry.history(name, "production") == registry.history("demo", name) == []
    assert registry.find(name, "1") is None
    with pytest.raises(ValueError, match="cannot be called"):
        registry.move("demo", name, 1, "", 0)
    assert not list(tmp_path.iterdir())


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
