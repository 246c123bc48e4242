"""`push`, `pull` and a shared store behind `train`, as a person meets them."""

import json
from pathlib import Path

import pytest

from pipeline.lineage.models import find_model
from pipeline.storage.store import Store
from tests.conftest import Finished, Project, run_command
from tests.pipeline.lineage.stores import finished_run
from tests.shared_stores import Server


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return finished_run(tmp_path_factory.mktemp("sharing"))[0]


def test_push_and_pull__say_what_they_did_to_people_and_to_machines(store, s3_servers: dict[str, Server], tmp_path) -> None:
    url = s3_servers["rclone"].url("command/store")
    pushed = run_command("push", "vectors", url, "--store", store.root, cwd=tmp_path)
    assert (pushed.exit_code, pushed.err) == (0, "")
    last = pushed.out.splitlines()[-1]
    assert last.startswith("Pushed vectors@1: 7 artifacts; ")
    assert " 0 were there" in last
    pulled = run_command("pull", "vectors", "--json", "--store", "other", cwd=tmp_path, CORPUS2VEC_SHARED=url)
    assert pulled.exit_code == 0, pulled.err
    done = json.loads(pulled.out)
    assert (done["n_artifacts"], done["n_present"], done["version"]["number"], done["missing"]) == (7, 0, 1, [])
    assert find_model(Store(tmp_path / "other"), "vectors@1").run["id"] == done["run"]
    (tmp_path / "team.toml").write_text(f'[store]\npath = "other"\nshared = "{url}"\n')
    again = run_command("pull", "vectors", "--config", "team.toml", cwd=tmp_path)
    assert again.exit_code == 0, again.err
    assert " 0 files received (0 B)" in again.out
    assert "vectors@1" in again.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "part"),
    [
        (["push", "vectors"], 2, "Which shared store?"),
        (["push", "vectors", "/mnt/team"], 2, "Did you mean file:///mnt/team?"),
        (["push", "nothing", "file:///nowhere/team"], 2, "nothing that is called so"),
        (["push", "vectors", "file:///nowhere/else/team"], 1, "no such directory"),
        (["pull", "vectors", "s3://me:hidden@team/x"], 2, "holds credentials"),
        (["pull", "vectors", "s3://team/x?endpoint_override=127.0.0.1:1&scheme=http"], 1, "cannot be used"),
    ],
)
def test_push_and_pull__say_what_is_wrong(arguments: list[str], exit_code: int, part: str, store, tmp_path) -> None:
    done = run_command(*arguments, "--store", store.root, cwd=tmp_path)
    assert (done.exit_code, done.out) == (exit_code, "")
    assert part in done.err
    assert "hidden" not in done.err


def test_train__takes_over_what_a_colleague_has_pushed(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    project, finished = trained
    shared = {"CORPUS2VEC_SHARED": (tmp_path / "shared").as_uri(), "CORPUS2VEC_STORE": str(tmp_path / "mine")}
    pushed = project.run("push", finished.events[-1]["id"], shared["CORPUS2VEC_SHARED"])
    assert pushed.exit_code == 0, pushed.err
    planned = project.run("plan", "small.toml", "--json", **shared)
    assert {row["plan"] for row in json.loads(planned.out)} == {"reuse (shared)"}
    done = project.run("train", "small.toml", **shared)
    assert done.exit_code == 0, done.err
    steps = [step["step"] for step in finished.events[-1]["steps"]]
    assert [line.split()[:2] for line in done.out.splitlines()[:6]] == [[step, "shared"] for step in steps]
    assert "6 of 6 steps reused, 6 of them from the shared store" in done.out
    shown = project.run("show", "small", "--store", str(tmp_path / "mine"))
    assert shown.exit_code == 0, shown.err
    assert shown.out.count(" shared ") >= 6
    missing = shared | {"CORPUS2VEC_SHARED": (tmp_path / "no" / "where").as_uri()}
    planned = project.run("plan", "small.toml", "--json", **missing)
    assert "warning: The shared store cannot be used." in planned.err
    assert {row["step"]: row["plan"] for row in json.loads(planned.out)}["pairs"] == "may run"
