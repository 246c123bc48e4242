"""The command as a person meets it: real processes, real Prefect, real Dask, real Parquet."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from gensim.models import KeyedVectors

from pipeline.lineage.models import find_model
from pipeline.storage.store import Store
from pipeline.vectors import read_vectors
from tests.conftest import Finished, Project, environment_of, free_port, new_project

STEPS = ["snapshot", "tokenize", "vocabulary", "pairs", "train", "evaluate"]


def finished_steps(finished: Finished) -> dict[str, bool]:
    """Step -> whether it was reused."""
    return {event["step"]: event["reused"] for event in finished.events if event["event"] == "StepFinished"}


def servers() -> set[int]:
    """Processes that are temporary servers of runs."""
    return {process.pid for process in psutil.process_iter(["cmdline"]) if "flows.server" in (process.info["cmdline"] or ())}


def test_train__runs_every_step_and_ends_with_the_record_of_the_run(trained: tuple[Project, Finished]) -> None:
    project, finished = trained
    assert finished_steps(finished) == dict.fromkeys(STEPS, False)
    record = finished.events[-1]
    assert record["event"] == "RunFinished"
    assert [step["step"] for step in record["steps"]] == STEPS
    assert record["started_by"].startswith("prefect flow run ")
    assert len(record["steps"][1]["keys"]) > 3  # the text was cut into several shards
    assert finished.err == ""
    assert list(project.store.glob("*/.*")) == []  # no unfinished build


def test_train__reports_words_loss_and_rate_while_it_trains(trained: tuple[Project, Finished]) -> None:
    advanced = [event for event in trained[1].events if event["event"] == "StepAdvanced" and event["step"] == "train"]
    assert advanced[-1]["n_done"] == advanced[-1]["n_total"] > 0
    assert 0 < advanced[-1]["figures"]["loss"] < 6 * np.log(2) + 0.01  # six terms, each log 2 at the start
    assert advanced[-1]["figures"]["words_per_s"] > 0
    assert advanced[-1]["figures"]["learning_rate"] == pytest.approx(1e-4, rel=1e-6)


def test_train__keeps_in_its_journal_what_it_printed(trained: tuple[Project, Finished]) -> None:
    project, finished = trained
    *printed, record = finished.events
    first, *lines, last = project.journal(record["id"])
    assert (first["event"], first["run"], last["event"]) == ("RunStarted", record["id"], "RunFinished")
    assert all(line.pop("time") for line in lines)
    assert lines == printed


def test_train__a_second_time_reuses_every_artifact_and_says_so(trained: tuple[Project, Finished]) -> None:
    project, first = trained
    again = project.train()
    assert again.exit_code == 0
    assert finished_steps(again) == dict.fromkeys(STEPS, True)
    assert [step["digests"] for step in again.events[-1]["steps"]] == [step["digests"] for step in first.events[-1]["steps"]]
    assert all(step["reason"] == "same parameters, same inputs" for step in again.events[-1]["steps"])


def test_train__tells_openlineage_and_says_once_when_nobody_listens(trained: tuple[Project, Finished], tmp_path: Path) -> None:
    told = trained[0].train(f"lineage.openlineage={tmp_path}/events.jsonl")
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [event["eventType"] for event in events] == ["START", *["START", "COMPLETE"] * len(STEPS), "COMPLETE"]
    (started_by,) = [tag["value"] for tag in events[0]["run"]["facets"]["tags"]["tags"] if tag["key"] == "started_by"]
    assert started_by == told.events[-1]["started_by"]
    alone = trained[0].train(f"lineage.openlineage=http://127.0.0.1:{free_port()}")
    assert (alone.exit_code, alone.err) == (0, "")
    (warning,) = [event["message"] for event in alone.events if event["event"] == "RunWarned"]
    assert warning.startswith("OpenLineage is not told ")


def test_train__with_other_training_parameters_reruns_only_training_and_evaluation(trained: tuple[Project, Finished]) -> None:
    changed = trained[0].train("train.dimensions=10")
    assert finished_steps(changed) == {name: name not in ("train", "evaluate") for name in STEPS}
    reasons = {step["step"]: step["reason"] for step in changed.events[-1]["steps"]}
    assert reasons["train"] == "dimensions changed from 20 to 10"
    assert reasons["evaluate"].startswith("other vectors")


def test_train__on_a_renamed_file_reads_nothing_again(trained: tuple[Project, Finished], tmp_path) -> None:
    project, _ = trained
    moved = tmp_path / "other-name.txt"
    moved.write_bytes((project.directory / "small.txt").read_bytes())
    assert finished_steps(project.train(f"corpus.paths={moved}")) == dict.fromkeys(STEPS, True)


def test_train__starts_a_server_of_its_own_when_none_is_named(trained: tuple[Project, Finished]) -> None:
    before = servers()
    alone = trained[0].run("train", "small.toml", "--json", PREFECT_API_URL="")
    assert alone.exit_code == 0, alone.err
    assert (alone.err, finished_steps(alone)) == ("", dict.fromkeys(STEPS, True))
    assert (trained[0].store / ".prefect" / "prefect.db").stat().st_size > 0
    assert servers() <= before


def test_train__prints_plain_lines_when_not_on_a_terminal(trained: tuple[Project, Finished]) -> None:
    plain = trained[0].run("train", "small.toml")
    assert plain.exit_code == 0
    assert "\x1b" not in plain.out
    assert [line.split()[:2] for line in plain.out.splitlines()[:6]] == [[step, "reused"] for step in STEPS]
    assert "6 of 6 steps reused" in plain.out


def test_plan__says_what_would_run_and_why_and_computes_nothing(trained: tuple[Project, Finished]) -> None:
    project, _ = trained
    before = sorted(project.store.rglob("*"))
    planned = project.run("plan", "small.toml", "--json", "--set", "pairs.window=3", "--set", "train.negatives=2")
    assert planned.exit_code == 0, planned.err
    rows = {row["step"]: row for row in json.loads(planned.out)}
    assert {name: row["plan"] for name, row in rows.items()} == {
        "snapshot": "reuse",
        "tokenize": "reuse",
        "vocabulary": "reuse",
        "pairs": "run",
        "train": "may run",
        "evaluate": "may run",
    }
    assert rows["pairs"]["why"] == "window changed from 5 to 3"
    assert rows["train"]["why"] == "pairs comes first; negatives changed from 5 to 2"
    assert all(row["rows"] > 0 and row["disk"] > 0 for row in rows.values())
    assert all(rows[name]["memory"] > 0 for name in ("pairs", "train", "evaluate"))
    assert sorted(project.store.rglob("*")) == before


def test_plan__before_anything_ran_projects_what_then_comes_out(small_text: Path, trained: tuple[Project, Finished], tmp_path) -> None:
    project, finished = trained
    planned = project.run("plan", "small.toml", "--json", "--store", str(tmp_path / "empty"))
    rows = {row["step"]: row for row in json.loads(planned.out)}
    assert not (tmp_path / "empty").exists()
    sizes = {step["step"]: step["size_bytes"] for step in finished.events[-1]["steps"]}
    for name in ("tokenize", "pairs", "train"):
        assert sizes[name] / 3 < rows[name]["disk"] < sizes[name] * 3, name


def test_similar__answers_in_three_forms(trained: tuple[Project, Finished]) -> None:
    project, _ = trained
    plain, machine = project.run("similar", "state", "-n", 3), project.run("similar", "state", "-n", 3, "--json")
    rows = json.loads(machine.out)
    assert len(rows) == 3
    assert [row["word"] for row in rows] == [line.split()[0] for line in plain.out.splitlines()[1:]]
    assert "state" not in [row["word"] for row in rows]
    frequent = json.loads(project.run("similar", "state", "--candidates", 100, "--json").out)
    assert min(row["count"] for row in frequent) >= 20


@pytest.mark.parametrize("option", ["--candidates", "--count"])
def test_similar__refuses_a_number_that_makes_no_sense(option: str, trained: tuple[Project, Finished]) -> None:
    refused = trained[0].run("similar", "state", option, -5)
    assert refused.exit_code == 2
    assert option in refused.err


def test_similar__candidates_limit_the_answers_and_not_the_question(trained: tuple[Project, Finished]) -> None:
    words = trained[0].run("similar", "state", "-n", 3000, "--json")
    rare = min(json.loads(words.out), key=lambda row: row["count"])["word"]
    rows = json.loads(trained[0].run("similar", rare, "--candidates", 50, "-n", 100, "--json").out)
    assert len(rows) == 50


def test_similar__imports_neither_prefect_nor_numba_nor_dask(trained: tuple[Project, Finished]) -> None:
    code = "import sys; from flows.command import run_command; code = run_command(['similar', 'state']); "
    code += "print([name for name in ('prefect', 'numba', 'dask', 'distributed', 'scipy') if name in sys.modules], code)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=trained[0].directory,
        env=environment_of(trained[0].directory),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_analogy__leaves_out_the_three_words(trained: tuple[Project, Finished]) -> None:
    rows = json.loads(trained[0].run("analogy", "state", "states", "year", "--json").out)
    assert len(rows) == 10
    assert {"state", "states", "year"}.isdisjoint(row["word"] for row in rows)


def test_evaluate__gives_every_section_and_its_coverage(trained: tuple[Project, Finished]) -> None:
    project, _ = trained
    evaluated = project.run("evaluate", "--json")
    assert evaluated.exit_code == 0, evaluated.err
    rows = json.loads(evaluated.out)
    sections = [row["section"] for row in rows if row["set"] == "questions-words"]
    assert (len(sections), sections[-3:]) == (17, ["semantic", "syntactic", "total"])
    assert {row["set"] for row in rows} == {"questions-words", "wordsim353", "simlex999"}
    assert all(" of " in row["asked"] for row in rows)
    assert rows[16]["asked"].endswith("of 19,544")


def test_evaluate__with_other_settings_asks_otherwise(trained: tuple[Project, Finished]) -> None:
    few = json.loads(trained[0].run("evaluate", "--set", "evaluate.candidates=500", "--set", "evaluate.similarity=[]", "--json").out)
    assert {row["set"] for row in few} == {"questions-words"}
    assert few[-1]["section"] == "total"


def test_show__lists_runs_and_shows_where_every_token_went(trained: tuple[Project, Finished]) -> None:
    project, finished = trained
    run_id = finished.events[-1]["id"]
    assert run_id in project.run("show").out
    shown = project.run("show", run_id)
    assert shown.exit_code == 0
    for words in ("below min_count", "subsampled", "alone in a sentence", "without a token", "questions-words"):
        assert words in shown.out
    assert json.loads(project.run("show", run_id, "--json").out)["id"] == run_id
    assert "No broken records" in project.run("show", run_id, "--broken").out
    assert json.loads(project.run("show", run_id, "--broken", "--json").out) == []
    assert "is of one run" in project.run("show", "--broken").err


def test_show__of_a_store_without_runs_says_how_to_make_one(tmp_path: Path, trained: tuple[Project, Finished]) -> None:
    assert "No runs yet" in trained[0].run("show", "--store", tmp_path).out


def test_phrases__lists_the_best_of_each_pass(small_text: Path, prefect_api_url: str, tmp_path: Path) -> None:
    project = new_project(tmp_path, small_text, prefect_api_url)
    assert project.train("phrases.thresholds=[20.0, 10.0]", "phrases.connector_words=english").exit_code == 0
    rows = json.loads(project.run("phrases", "--count", 5, "--json").out)
    assert [row["pass"] for row in rows] == ["phrases-1"] * 5 + ["phrases-2"] * 5
    for of_pass, threshold in ((rows[:5], 20.0), (rows[5:], 10.0)):
        scores = [row["score"] for row in of_pass]
        assert scores == sorted(scores, reverse=True)
        assert min(scores) > threshold
        assert all(5 <= row["count"] <= min(row["first_count"], row["second_count"]) for row in of_pass)
    shown = project.run("phrases", "-n", 5).out
    assert [row["first"] for row in rows if row["first"] not in shown] == []
    assert len(project.run("phrases", "-n", 10**6).out.splitlines()) > 20


def test_phrases__of_a_model_without_any_says_how_to_find_some(trained: tuple[Project, Finished]) -> None:
    project, finished = trained
    refused = project.run("phrases", "--model", finished.events[-1]["id"])
    assert refused.exit_code == 2
    assert "phrases.thresholds" in refused.err


@pytest.mark.parametrize("binary", [False, True])
def test_export__is_read_by_gensim(binary: bool, trained: tuple[Project, Finished], tmp_path) -> None:
    project, finished = trained
    path = tmp_path / "vectors.out"
    model = finished.events[-1]["id"]
    assert project.run("export", path, "--model", model, *(["--binary"] if binary else [])).exit_code == 0
    theirs = KeyedVectors.load_word2vec_format(str(path), binary=binary)
    ours = read_vectors(find_model(Store(project.store), model).vectors_path)
    assert theirs.index_to_key == ours.words.to_pylist()
    assert np.array_equal(theirs.vectors, ours.matrix)
    rows = json.loads(project.run("similar", "state", "--model", model, "--json").out)
    cosines = [row["similarity"] for row in rows]
    assert cosines == pytest.approx([cosine for _, cosine in theirs.most_similar("state")], abs=1e-5)  # near ties may change places
    assert cosines == pytest.approx([theirs.similarity("state", row["word"]) for row in rows], abs=1e-5)


def test_help__shows_every_command_and_option(trained: tuple[Project, Finished]) -> None:
    project, _ = trained
    overview = project.run("--help")
    assert overview.exit_code == 0
    for name in ("train", "plan", "similar", "analogy", "phrases", "evaluate", "show", "export"):
        assert name in overview.out
        detail = project.run(name, "--help")
        assert detail.exit_code == 0
        assert "--store" in detail.out
    assert "--set" in project.run("train", "--help").out


def test_version__is_that_of_the_package(trained: tuple[Project, Finished]) -> None:
    assert trained[0].run("--version").out.strip() == "0.1.0"
