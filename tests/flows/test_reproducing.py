"""`corpus2vec reproduce` as a person meets it."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from flows.interruption import INTERRUPTED
from flows.reproducing import file_text, printable
from kernels.lanes import WIDTH_VARIABLE, simd_width
from pipeline.lineage.reproducing.byte_differences import Cell, FileDifference
from pipeline.storage.artifact import FileRecord
from tests.conftest import COMMAND, Finished, Project, environment_of

OTHER_WIDTH = "8" if simd_width() == 4 else "4"


def leftovers(directory: Path) -> list[Path]:
    return list(directory.glob("corpus2vec-*"))


def test_reproduce__says_that_all_is_the_same_and_leaves_nothing(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    project, finished = trained
    record = finished.events[-1]
    before = sorted(project.store.rglob("*"))
    done = project.run("reproduce", record["id"], TMPDIR=str(tmp_path))
    assert (done.exit_code, done.err) == (0, "")
    n_artifacts = sum(len(step["keys"]) for step in record["steps"] if step["step"] != "snapshot")
    *_, verdict = done.out.splitlines()
    assert verdict == f"The same bytes: all {n_artifacts} artifacts of run {record['id']}."
    table = [line.split()[:3] for line in done.out.splitlines() if line.split()[2:3] == ["same"]]
    assert [row[0] for row in table] == ["tokenize", "vocabulary", "pairs", "train", "evaluate"]
    assert leftovers(tmp_path) == []
    assert sorted(project.store.rglob("*")) == before


def test_reproduce__on_another_processor_names_the_first_difference_and_why(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    project, finished = trained
    done = project.run("reproduce", finished.events[-1]["id"], "--into", tmp_path / "kept", "--json", **{WIDTH_VARIABLE: OTHER_WIDTH})
    assert done.exit_code == 1
    (key,) = finished.events[-1]["steps"][-2]["keys"]
    for part in (f"train/{key[:12]} has other bytes", "vectors.parquet", "first in row", "apart", "simd_width was"):
        assert part in done.err
    last = done.events[-1]
    assert (last["event"], last["same"], last["first"]) == ("Reproduced", False, f"train/{key[:12]}")
    assert {one["stage"] for one in last["artifacts"] if one["result"] != "same"} == {"train"}
    (train,) = [one for one in last["artifacts"] if one["stage"] == "train"]
    assert [found["name"] for found in train["environment"] if found["decides"]] == ["simd_width"]
    assert (tmp_path / "kept" / "train" / key[:32] / "vectors.parquet").is_file()


@pytest.mark.parametrize("keep", [False, True])
def test_reproduce__interrupted_ends_in_order(keep: bool, trained: tuple[Project, Finished], tmp_path: Path) -> None:
    project, finished = trained
    arguments = ["reproduce", finished.events[-1]["id"], "--json", *(["--into", str(tmp_path / "kept")] if keep else [])]
    environ = environment_of(project.directory) | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [str(COMMAND), *arguments], cwd=project.directory, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line)
            if (event["event"], event["step"]) == ("StepStarted", "train"):
                process.send_signal(signal.SIGINT)
                break
        rest, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED, err
    assert "Reproduced" not in rest
    assert err.startswith("Interrupted. " + ("Finished steps are kept" if keep else "Nothing is kept"))
    assert len(err.splitlines()) == 1
    assert leftovers(tmp_path) == []
    assert (tmp_path / "kept" / "pairs").exists() == keep


def test_file_text__shows_what_differs_and_no_control_characters() -> None:
    then, now = FileRecord("a.parquet", 3, 1000, "0" * 64), FileRecord("a.parquet", 4, 1000, "1" * 64)
    cell = Cell(2, "token", repr("\x1b[31m"), "'b'")
    assert file_text(FileDifference("a.parquet", then, now, cell)) == (
        "a.parquet: 3 rows, 1 kB then, 4 rows, 1 kB now; first in row 2, token: '\\x1b[31m' then, 'b' now"
    )
    assert file_text(FileDifference("a.parquet", then, then)).endswith("all rows are the same, they are only written otherwise")
    assert printable("a\x1b[2J\nb") == "a\\x1b[2J\\nb"
