"""The flow itself, on a real ephemeral Prefect server, and what a running server knows of a run of the command."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Finished, Project, environment_of

STEPS = ["snapshot", "tokenize", "phrases-1", "vocabulary", "pairs", "train", "evaluate"]

PROGRAM = """
import json, sys
from pathlib import Path
from flows.quiet import prepare_environment

home = Path("home")
home.mkdir()
prepare_environment(home)

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from flows.training import train_word_vectors
from pipeline.configuration_file import load_configuration
from pipeline.events import listening

events = []
with listening(events.append):
    states = [train_word_vectors(load_configuration(Path("small.toml")), return_state=True) for _ in range(2)]
record = states[0].result()
with get_client(sync_client=True) as client:
    (flow,) = client.read_flows()
    runs = [client.read_flow_run(state.state_details.flow_run_id) for state in states]
    tasks = [[task for task in client.read_task_runs() if task.flow_run_id == run.id] for run in runs]
    of_first = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[runs[0].id]))
    artifacts = client.read_artifacts(artifact_filter=of_first)
print(json.dumps({
    "flow": flow.name,
    "states": [run.state.type.value for run in runs],
    "parameters": runs[0].parameters,
    "states_of_tasks": [sorted({task.state.name for task in some}) for some in tasks],
    "tasks": [[[task.name, task.task_key, task.state.type.value, task.task_inputs == {}, task.cache_key] for task in
        sorted(some, key=lambda task: task.start_time)] for some in tasks],
    "artifacts": {artifact.key: [artifact.type, artifact.data, artifact.description] for artifact in artifacts},
    "n_of_task": sum(artifact.type == "progress" and artifact.task_run_id in {task.id for task in tasks[0]} for artifact in artifacts),
    "record": record,
    "reused": [record["n_reused"] for record in states[1].result()["steps"]],
    "persisted": [str(path) for path in home.rglob("storage/*")],
    "n_events": len(events),
}))
"""


@pytest.fixture(scope="module")
def seen(small_text: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Prefect's client reads back after two runs of the flow in one process, which has a server of its own."""
    directory = tmp_path_factory.mktemp("flow")
    (directory / "small.toml").write_text(
        f"""
        name = "small"
        corpus.paths = ["{small_text}"]
        phrases.thresholds = [8.0]
        pairs.epochs = 1
        train.dimensions = 8
        cluster.threads = 1
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=directory, env=environment_of(directory), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_flow__is_completed_with_one_task_run_for_each_step(seen: dict[str, Any]) -> None:
    assert (seen["flow"], seen["states"]) == ("train-word-vectors", ["COMPLETED", "COMPLETED"])
    for tasks in seen["tasks"]:
        assert [task[0] for task in tasks] == STEPS
        assert all(task[2] == "COMPLETED" for task in tasks)


def test_flow__has_the_typed_configuration_as_its_parameter(seen: dict[str, Any]) -> None:
    assert seen["parameters"] == {"configuration": seen["record"]["configuration"]}
    assert seen["parameters"]["configuration"]["train"]["dimensions"] == 8


def test_flow__leaves_freshness_to_the_store_alone(seen: dict[str, Any]) -> None:
    """The second run reaches every task, no task has a cache key or inputs, and Prefect keeps no results."""
    assert seen["reused"] == [1] * 7
    assert seen["states_of_tasks"] == [["Completed"], ["Cached"]]
    assert seen["n_events"] > 2 * len(STEPS)
    assert all(without_inputs and cache_key is None for tasks in seen["tasks"] for _, _, _, without_inputs, cache_key in tasks)
    assert seen["persisted"] == []


def test_flow__makes_a_table_of_the_scores(seen: dict[str, Any]) -> None:
    kind, data, description = seen["artifacts"]["scores"]
    rows = json.loads(data)
    assert kind == "table"
    assert {row["set"] for row in rows} == {"questions-words", "wordsim353", "simlex999"}
    (total,) = [row for row in rows if row["section"] == "total"]
    assert total["asked"].endswith("of 19,544")
    rho = next(row for row in rows if row["set"] == "wordsim353")["score"]
    assert float(rho) == pytest.approx(seen["record"]["scores"]["wordsim353"], abs=5e-4)
    assert seen["record"]["id"] in description


def test_flow__shows_the_progress_of_every_step_that_computes_for_a_while(seen: dict[str, Any]) -> None:
    progress = {key: artifact for key, artifact in seen["artifacts"].items() if key.endswith("-progress")}
    assert set(progress) == {f"{step}-progress" for step in ("tokenize", "phrases-1", "pairs", "train")}
    assert all((kind, percent) == ("progress", 100.0) for kind, percent, _ in progress.values())
    assert seen["n_of_task"] == len(progress)
    for words in ("M words, ", "M words/s, ", "loss ", "rate 0.00010", "finished in "):
        assert words in progress["train-progress"][2]


def test_flow__makes_a_report_of_the_run(seen: dict[str, Any]) -> None:
    kind, text, _ = seen["artifacts"]["run"]
    record = seen["record"]
    assert kind == "markdown"
    assert text.startswith(f"# small\n\nRun `{record['id']}`")
    assert record["started_by"] in text
    lines = text.splitlines()
    for step in STEPS:
        assert any(line.startswith(f"| {step} | computed | nothing like it in the store yet |") for line in lines), step
    assert f"| wordsim353 | {record['scores']['wordsim353']:.4f} |" in lines


def test_command__makes_assets_with_the_keys_and_digests_of_the_store(trained: tuple[Project, Finished], prefect_api_url: str) -> None:
    """The first run made all of them; runs that reused everything made none."""
    project, finished = trained
    project.train()
    record, steps = finished.events[-1], [name for name in STEPS if name != "phrases-1"]
    # The server gives fifty events at a time, and other tests make some too.
    since = {"occurred": {"since": record["started"]}, "order": "ASC"}
    wanted = {"filter": {"event": {"name": ["prefect.asset.materialization.succeeded"]}, **since}}
    for _ in range(300):  # the server takes events in by and by
        found = httpx.post(f"{prefect_api_url}/events/filter", json=wanted).json()["events"]
        made = [event for event in found if event["payload"]["run"] == record["id"]]
        if len(made) == len(steps):
            break
        time.sleep(0.1)
    assert {event["resource"]["prefect.resource.id"] for event in made} == {f"corpus2vec://small/{step}" for step in steps}
    events = {event["resource"]["prefect.resource.id"].rpartition("/")[2]: event for event in made}
    for step in record["steps"]:
        payload = events[step["step"]]["payload"]
        assert payload["keys"] == [f"{step['stage']}/{key}" for key in step["keys"]]
        assert payload["digests"] == step["digests"]
        assert (payload["bytes"], payload["store"]) == (step["size_bytes"], str(project.store))
        assert payload["rows"] > 0
    related = [one["prefect.resource.id"] for one in events["train"]["related"] if one["prefect.resource.role"] == "asset"]
    assert sorted(related) == ["corpus2vec://small/pairs", "corpus2vec://small/vocabulary"]
    runs = [json.loads(path.read_text())["id"] for path in project.store.glob("runs/*/record.json")]
    reused = {run for run in runs if all(line["reused"] for line in project.journal(run) if line["event"] == "StepFinished")}
    assert reused
    assert not [event for event in found if event["payload"]["run"] in reused]


def test_command__is_found_on_the_running_server_with_its_task_runs(trained: tuple[Project, Finished], prefect_api_url: str) -> None:
    record = trained[1].events[-1]
    run_id = record["started_by"].removeprefix("prefect flow run ")
    run = httpx.get(f"{prefect_api_url}/flow_runs/{run_id}").json()
    assert (run["state_type"], run["parameters"]) == ("COMPLETED", {"configuration": record["configuration"]})
    of_run = {"flow_runs": {"id": {"any_": [run_id]}}}
    tasks = httpx.post(f"{prefect_api_url}/task_runs/filter", json=of_run).json()
    assert sorted(task["name"] for task in tasks) == sorted(name for name in STEPS if name != "phrases-1")
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    artifacts = httpx.post(f"{prefect_api_url}/artifacts/filter", json=of_run).json()
    assert {artifact["key"] for artifact in artifacts} == {"scores", "run", "tokenize-progress", "pairs-progress", "train-progress"}
