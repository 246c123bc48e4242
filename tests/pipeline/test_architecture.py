"""Rules of the house that a linter does not know, read from the syntax trees of the three packages.

That flows may import pipeline and pipeline kernels, never the other way round, is a contract of import-linter in pyproject.toml.
"""

import ast
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from pipeline import declarations
from pipeline.stage import Stage
from tests.conftest import ROOT

PACKAGES = ("kernels", "pipeline", "flows")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MOVERS = {"rename", "renames", "replace", "unlink", "rmdir", "removedirs", "rmtree", "move", "remove", "symlink_to", "hardlink_to", "touch"}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports, and of all names that it imports from them."""
    found = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)} has a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def imports_package(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports(path))


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """The last name of everything that is called."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name, node


def public_definitions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Public functions, classes and methods, wherever they are reachable by name."""

    def inside(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from inside(node.body, f"{prefix}{node.name}.")

    return inside(tree_of(path).body, "")


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline" / "stages").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_stages__never_import_each_other(path: Path) -> None:
    assert not imports_package(path, "pipeline.stages")


def test_stages__are_imported_by_nothing_that_they_use() -> None:
    importers = {named(path) for path in SOURCES if imports_package(path, "pipeline.stages")}
    assert importers == {"pipeline/projection.py"}


def test_stages__are_all_declared_with_builds_that_exist() -> None:
    stages = [stage for stage in vars(declarations).values() if isinstance(stage, Stage)]
    stages.append(declarations.frozen_phrases(0))
    functions = [one for stage in stages for one in vars(stage).values() if isinstance(one, declarations.Deferred)]
    assert all(callable(getattr(import_module(one.module), one.function)) for one in functions)
    assert [stage.build.module for stage in stages] == [f"pipeline.stages.{stage.name}" for stage in stages]
    assert {stage.name for stage in stages} == {path.stem for path in (ROOT / "pipeline" / "stages").glob("[!_]*.py")}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_store__and_its_checkpoints_are_all_that_renames_or_removes(path: Path) -> None:
    # `replace` also names methods of str and dataclasses.replace; on a path it has one positional argument and no keyword.
    used = {
        name
        for name, call in calls(path)
        if name in MOVERS and (name != "replace" or (len(call.args) == 1 and not call.keywords)) and not _on_a_container(call)
    }
    if named(path) in ("pipeline/storage/store.py", "pipeline/storage/checkpoints.py", "pipeline/storage/atomic.py"):
        assert used >= {"rmtree"}
    elif named(path) == "pipeline/storage/locks.py":
        assert used == {"unlink"}  # the files of locks
    elif named(path) == "pipeline/storage/incoming.py":
        assert used == {"unlink"}  # what has become an artifact
    elif named(path) == "pipeline/storage/records.py":
        assert used == {"unlink"}  # a second name of what has become a record
    elif named(path) == "pipeline/export.py":
        assert used <= {"replace", "unlink"}  # a file of the user's, outside every store
    else:
        assert not used


def _on_a_container(call: ast.Call) -> bool:
    """Whether this is `some_list.remove(x)` or a method `move` of ours: of these two only the functions of os and shutil are meant."""
    match call.func:
        case ast.Attribute(attr="remove" | "move", value=ast.Name(id=name)):
            return name not in ("os", "shutil")
        case ast.Attribute(attr="remove" | "move"):
            return True
    return False


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_prefect__is_known_to_flows_only(path: Path) -> None:
    assert not imports_package(path, "prefect") or named(path) in (
        "flows/training.py",
        "flows/artifacts.py",
        "flows/assets.py",
        "flows/server.py",
    )


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_numba__is_known_to_the_compiler_and_the_emitters_only(path: Path) -> None:
    known = imports_package(path, "numba") or imports_package(path, "llvmlite")
    assert known == (named(path) in {f"kernels/{name}.py" for name in ("jit", "cells", "lanes", "merge", "team", "tiles", "windows")})


UNPICKLERS = ("pickle", "_pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle", "jsonpickle", "pandas", "yaml", "torch", "dbm")


@pytest.mark.parametrize("path", [path for path in SOURCES if named(path).startswith(("pipeline/", "flows/"))], ids=named)
def test_store__is_never_unpickled(path: Path) -> None:
    """Whoever can write into a store must not be able to have code of theirs run by who reads it."""
    assert not [name for name in UNPICKLERS if imports_package(path, name)]
    assert not imports_package(path, "distributed.protocol")
    for name, call in calls(path):
        assert name not in ("eval", "exec", "__import__", "read_pickle", "deserialize", "loads_pickle"), f"{named(path)}:{call.lineno}"
        if name == "load" and isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in ("np", "numpy"):
            allowed = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
            assert allowed.get("allow_pickle") == "False", f"{named(path)}:{call.lineno}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_consoles__are_those_that_show_no_command_of_anybody_elses(path: Path) -> None:
    made = [call.lineno for name, call in calls(path) if name == "Console"]
    assert not made, f"{named(path)}: flows.terminal.Terminal"
    if path.parent == ROOT / "flows" / "commands":
        assert not [call.lineno for name, call in calls(path) if name == "dumps" and not _is_of_configuration(call)]


def _is_of_configuration(call: ast.Call) -> bool:
    """A value of TOML, which is not printed."""
    return ast.unparse(call) == "json.dumps(str(path))"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_print__is_for_the_commands_only(path: Path) -> None:
    printed = [call.lineno for name, call in calls(path) if name == "print" and isinstance(call.func, ast.Name)]
    if path.parent != ROOT / "flows" / "commands":  # whose output it is
        assert not printed
    assert not imports_package(path, "logging")


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_docstrings__are_everywhere_and_short_enough_to_start_with_a_sentence(path: Path) -> None:
    module = ast.get_docstring(tree_of(path))
    assert module, named(path)
    for name, node in public_definitions(path):
        text = ast.get_docstring(node)
        assert text, f"{named(path)}: {name} has no docstring"
        assert len(text.splitlines()[0]) < 200, f"{named(path)}: {name}"


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_modules__have_names_of_things(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "core", "common", "misc", "base"}


def test_import_linter__has_the_contract_of_the_three_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    assert settings["root_packages"] == list(PACKAGES)
    (contract,) = [contract for contract in settings["contracts"] if contract["type"] == "layers"]
    assert contract["layers"] == ["flows", "pipeline", "kernels"]
    assert not contract.get("ignore_imports")
    assert "lint-imports" in (ROOT / "Makefile").read_text(encoding="utf-8")
