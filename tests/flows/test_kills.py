"""The real command with a Prefect server of its own: killed at any moment of a whole run, and several at once on a new store."""

import json
import random
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from pipeline.environment import environment
from pipeline.storage.store import RUNS, Store
from tests.conftest import COMMAND, ROOT, Project, environment_of, new_project
from tests.pipeline.trainers import assert_whole, clear_by_gc, digests_of_newest, last_step

RESULTS = ROOT / "benchmarks" / "results" / "kills-command.json"
SETTINGS = ("phrases.thresholds=[10.0]", "pairs.epochs=10", "train.dimensions=64", "cluster.checkpoint_s=0.001")
WAYS = ("cluster.processes=0", "cluster.processes=2")  # workers as threads, and as processes
SECONDS_TO_GO = 30.0
SAID = "said.txt"
N_KILLS = 20


def started(project: Project, *overrides: str) -> subprocess.Popen[bytes]:
    """`corpus2vec train`, on its way; what it says goes to a file."""
    arguments = ["train", "small.toml", *(f"--set={override}" for override in (*SETTINGS, *overrides))]
    with (project.directory / SAID).open("ab") as said:
        return subprocess.Popen(
            [str(COMMAND), *arguments], cwd=project.directory, env=environment_of(project.directory), stdout=said, stderr=said
        )


def ended(project: Project, *commands: subprocess.Popen[bytes]) -> None:
    """Wait until all have ended well."""
    codes = [command.wait(240) for command in commands]
    assert codes == [0] * len(commands), (project.directory / SAID).read_text(encoding="utf-8")


def running(project: Project) -> list[str]:
    """Processes of this project."""
    found = [process.info for process in psutil.process_iter(["cwd", "cmdline"])]
    return [" ".join(info["cmdline"] or ()) for info in found if info["cwd"] == str(project.directory)]


def left_running(project: Project) -> list[str]:
    """The same, when they had time to end: Prefect's server, workers of Dask."""
    deadline = time.monotonic() + SECONDS_TO_GO
    while running(project) and time.monotonic() < deadline:
        time.sleep(0.1)
    return running(project)


def project_in(directory: Path, text: Path) -> Project:
    directory.mkdir()
    return new_project(directory, text, "")


@pytest.mark.stress
def test_train__killed_at_any_moment_ends_with_the_same_bytes_and_leaves_nothing(small_text: Path, tmp_path: Path) -> None:
    """From the first import to the last line, the start of Prefect's server and its database included; writes kills-command.json.

    `tests/pipeline/test_kills.py` kills more often, what takes less long.
    """
    undisturbed = project_in(tmp_path / "undisturbed", small_text)
    ended(undisturbed, started(undisturbed))  # compiles what is not compiled
    shutil.rmtree(undisturbed.store)
    began = time.monotonic()
    ended(undisturbed, started(undisturbed))
    whole_s = time.monotonic() - began
    wanted = digests_of_newest(undisturbed.store)
    moments, hit_in = random.Random(N_KILLS), Counter[str]()
    n_left = n_left_bytes = number = 0
    while hit_in.total() < N_KILLS:
        project, way = project_in(tmp_path / str(number), small_text), WAYS[number % len(WAYS)]
        number += 1
        process = started(project, way)
        time.sleep(moments.uniform(0.0, whole_s))
        process.kill()
        if process.wait() == 0:  # it was through before its moment came
            shutil.rmtree(project.directory)
            continue
        hit_in[last_step(project.store)] += 1
        assert left_running(project) == []
        ended(project, started(project, way))
        assert digests_of_newest(project.store) == wanted
        assert left_running(project) == []
        assert_whole(project.store)
        n, n_bytes = clear_by_gc(project.store, undisturbed.store)
        n_left, n_left_bytes = n_left + n, n_left_bytes + n_bytes
        shutil.rmtree(project.directory)
    result = {
        "command": "corpus2vec train, with a Prefect server of its own, every second one with two worker processes",
        "kills": N_KILLS,
        "hit_in": dict(sorted(hit_in.items())),  # the last step that had begun
        "other_bytes": 0,
        "artifacts_not_whole": 0,
        "left_beside_journals": n_left,
        "left_for_gc_bytes": n_left_bytes,
        "left_after_gc": 0,
        "processes_left": 0,
        "seconds_of_a_run": round(whole_s, 2),
        "seconds": round(time.monotonic() - began, 1),
        "commit": environment()["commit"],
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("n", [2, pytest.param(4, marks=pytest.mark.stress)])
def test_train__several_at_once_on_a_new_store_all_end_well(n: int, small_text: Path, tmp_path: Path) -> None:
    """Each starts a server of its own over one new database; two train the same, the others something else."""
    project = project_in(tmp_path / "project", small_text)
    commands = [started(project, f"train.seed={max(1, number)}", "cluster.threads=1") for number in range(n)]
    while not any("flows.server" in line for line in running(project)):
        assert any(command.poll() is None for command in commands)
        time.sleep(0.05)
    ended(project, *commands)
    records = Store(project.store).records(RUNS)
    assert sorted(record["configuration"]["train"]["seed"] for record in records) == sorted(max(1, number) for number in range(n))
    n_built = sum(len(step["keys"]) - step["n_reused"] for record in records for step in record["steps"])
    assert n_built == sum(len(Store(project.store).artifacts(stage)) for stage in Store(project.store).stages())
    assert_whole(project.store)
    assert left_running(project) == []
