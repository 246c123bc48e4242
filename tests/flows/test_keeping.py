"""`corpus2vec gc` and `keep` as a person meets them."""

import json
import shutil
from pathlib import Path

import pytest

from flows.tables import readable_bytes
from pipeline.configuration_file import parse_configuration
from pipeline.lineage.references import resolve
from pipeline.lineage.sharing.transfer import push
from pipeline.storage.registry import Registry
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import Store
from tests.conftest import run_command
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import walk


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a store of two models of one name; the first is in production."""
    directory = tmp_path_factory.mktemp("finished")
    store, first = finished_run(directory)
    train = first.configuration.train.model_copy(update={"seed": 2})
    walk(first.configuration.model_copy(update={"train": train}), store.root).finish("a test")
    Registry(store).move("vectors", "production", 1, "for the test", 0)
    return directory


@pytest.fixture
def project(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished / "store", tmp_path / "store")
    return tmp_path


def test_gc__removes_only_when_told_and_then_what_it_listed(project: Path) -> None:
    store = Store(project / "store")
    Registry(store).move("vectors", "production", 2, "for the test", 1)
    before = sorted(project.rglob("*"))
    listed = run_command("gc", "--runs", 1, cwd=project)
    assert (listed.exit_code, listed.err) == (0, "")
    assert [line.split()[:2] for line in listed.out.splitlines()[1:3]] == [["evaluate", "1"], ["train", "1"]]
    for words in ("only runs that are not kept need it", "Would go: 2 artifacts", "for 1 run, 1 aliased version, 0 pins", "vectors@1"):
        assert words in listed.out
    assert "corpus2vec gc --runs 1 --delete" in listed.out.splitlines()[-1]
    assert sorted(project.rglob("*")) == before
    machine = json.loads(run_command("gc", "--runs", 1, "--delete", "--json", cwd=project).out)
    assert machine["deleted"] is True
    assert [one["stage"] for one in machine["going"]] == ["evaluate", "train"]
    assert not any((project / "store" / one["place"]).exists() for one in machine["going"])
    assert "Would go: nothing." in run_command("gc", "--runs", 1, cwd=project).out


def test_gc__keeps_what_is_kept_until_it_is_not(project: Path) -> None:
    kept = run_command("keep", "vectors@2", "--note", "[red]paper[/]", cwd=project)
    assert kept.exit_code == 0, kept.err
    assert kept.out.splitlines()[1].split()[:2] == ["vectors@2", "6"]  # two shards, vocabulary, pairs, vectors, scores
    assert json.loads(run_command("gc", "--runs", 0, "--json", cwd=project).out)["going"] == []
    listed = run_command("keep", cwd=project)
    assert "[red]paper[/]" in listed.out
    assert json.loads(run_command("keep", "--json", cwd=project).out)[0]["name"] == "vectors@2"
    assert run_command("keep", "vectors@2", "--remove", cwd=project).out == "Kept no longer: vectors@2\n"
    assert "Nothing is kept" in run_command("keep", cwd=project).out
    assert "vectors@2" in run_command("gc", "--runs", 0, cwd=project).out


def test_gc_and_keep__count_only_what_is_here(finished: Path, tmp_path: Path) -> None:
    """Of what was reused from a shared store only vectors and scores are."""
    store, shared = Store(finished / "store"), SharedStore((tmp_path / "shared").as_uri())
    push(store, shared, resolve(store, "vectors@1"))
    values = resolve(store, "vectors@1").run["configuration"]
    values["store"]["shared"] = shared.url
    walk(parse_configuration(values), tmp_path / "store").finish("a test")
    size = sum(path.stat().st_size for path in tmp_path.glob("store/[et]*/*/*.parquet"))
    kept = json.loads(run_command("gc", "--json", cwd=tmp_path).out)["kept"]
    assert (kept["artifacts"], kept["size_bytes"], kept["elsewhere"]) == (2, size, 5)  # of these snapshot, vocabulary, pairs, two shards
    listed = run_command("gc", cwd=tmp_path).out
    assert f"Stays: 2 artifacts, {readable_bytes(size)}, for 1 run" in listed
    assert "Of 5 more artifacts only the manifests are here" in listed
    kept = run_command("keep", "vectors", cwd=tmp_path).out
    assert kept.splitlines()[1].split()[:4] == ["vectors@1", "2", *readable_bytes(size).split()]
    gone = run_command("gc", "--runs", "0", cwd=tmp_path).out
    assert "manifest of a shared artifact" in gone


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["gc", "--store", "nowhere"], 2, ("There is no store", "nowhere", "--store")),
        (["gc", "--runs", "-1"], 2, ("--runs", "-1")),
        (["keep", "vektors"], 2, ("Did you mean vectors",)),
        (["keep", "vectors@9"], 2, ("no such version", "production")),
        (["keep", "vectors@2", "--remove"], 2, ("not kept",)),
        (["keep", "--note", "why"], 2, ("Keep what?",)),
    ],
)
def test_keeping__says_what_is_wrong(arguments: list[str], exit_code: int, words: tuple[str, ...], project: Path) -> None:
    before = sorted(project.rglob("*"))
    done = run_command(*arguments, cwd=project)
    assert done.exit_code == exit_code
    assert done.err.startswith("error: ")
    for word in words:
        assert word in done.err
    assert sorted(project.rglob("*")) == before
