"""Progress artifacts on a real Prefect server: one that answers, one that hangs, one that has lost an artifact, and one that is gone."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import environment_of

PROGRAM = """
import json, os, signal, sys, threading, time
from pathlib import Path
from flows.quiet import prepare_environment
from flows.server import temporary_server

home = Path("home")
home.mkdir()
prepare_environment(home)

with temporary_server(home) as server:
    server.wait()
    from prefect import flow, task
    from prefect.artifacts import Artifact, create_progress_artifact, update_progress_artifact
    from prefect.client.orchestration import get_client
    from flows.artifacts import ProgressArtifacts
    from pipeline.events import RunWarned, StepAdvanced, StepFinished, StepStarted, emit, listening

    found, events, posts, said = {}, [], [], []
    codes = {function.__wrapped__.__code__ for function in (create_progress_artifact, update_progress_artifact)}
    threading.setprofile(lambda frame, event, _: posts.append(1) if event == "call" and frame.f_code in codes else None)

    def advance(step, n_done):
        emit(StepAdvanced(step, n_done, 200, "centres", {"words": 1e6 * n_done, "words_per_s": 3e6, "left_s": 2.6, "loss": 2.5,
            "learning_rate": 0.025}))

    def finish(step):
        emit(StepFinished(step, reused=False, elapsed_s=1.25, size_bytes=1, summary=""))

    def read(step):
        artifact = Artifact.get(f"{step}-progress")
        return artifact and [artifact.type, artifact.data, artifact.description]

    def wait_for(step):
        while not (seen := read(step)):
            time.sleep(0.05)
        return seen

    @flow
    def answers():
        with ProgressArtifacts() as progress, listening(progress):
            emit(StepStarted("train", "new"))
            started = time.monotonic()
            advance("train", 1)
            found["first"] = wait_for("train")
            while time.monotonic() < started + 1:
                advance("train", 100)
                time.sleep(0.01)
            finish("train")
            finish("reused")
            emit(StepAdvanced("tokenize", 1, 3, "shards"))
        found["posts"], found["seconds"] = len(posts), time.monotonic() - started
        found["last"], found["reused"], found["failed"] = read("train"), read("reused"), read("tokenize")

    @flow
    def hangs():
        with ProgressArtifacts() as progress, listening(progress):
            server.process.send_signal(signal.SIGSTOP)
            try:
                for n_done in range(1, 101):
                    advance("hung", n_done)
                finish("hung")
            finally:
                server.process.send_signal(signal.SIGCONT)
        found["hung"] = read("hung")

    @flow
    def loses():
        with ProgressArtifacts() as progress, listening(progress):
            advance("lost", 1)
            wait_for("lost")
            with get_client(sync_client=True) as client:
                client.delete_artifact(Artifact.get("lost-progress").id)
            advance("lost", 100)
            finish("lost")

    @flow
    def is_gone():
        with ProgressArtifacts() as progress, listening(progress):
            server.process.kill()
            server.process.wait()
            advance("gone", 100)
            finish("gone")
        said.append(sum(isinstance(event, RunWarned) for event in events))
        print(json.dumps({"found": found, "said": said, "warnings": [event.message for event in events if isinstance(event, RunWarned)]}))
        sys.stdout.flush()
        os._exit(0)  # the flow cannot tell a server that is gone that it ended

    with listening(events.append):
        for run in (answers, hangs, loses, is_gone):
            run()
            said.append(sum(isinstance(event, RunWarned) for event in events))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    directory = tmp_path_factory.mktemp("artifacts")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=directory,
        env=environment_of(directory),
        capture_output=True,
        text=True,
        timeout=100,  # Prefect's client waits longer for a server that hangs
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_progress_artifacts__say_how_far_a_step_is(seen: dict[str, Any]) -> None:
    figures = "1.00 M words, 3.00 M words/s, loss 2.5000, rate 0.02500, 3 s left"
    assert seen["found"]["first"] == ["progress", 0.5, figures]


def test_progress_artifacts__of_a_finished_step_are_at_100_and_of_a_failed_one_are_not(seen: dict[str, Any]) -> None:
    figures = "100.00 M words, 3.00 M words/s, loss 2.5000, rate 0.02500, finished in 1.2 s"
    assert seen["found"]["last"] == ["progress", 100.0, figures]
    assert seen["found"]["failed"] == ["progress", pytest.approx(100 / 3), "1 of 3 shards"]
    assert seen["found"]["reused"] is None


def test_progress_artifacts__are_posted_every_two_seconds_at_most(seen: dict[str, Any]) -> None:
    """And once more at the end, for each of two steps."""
    assert 3 <= seen["found"]["posts"] <= 3 + seen["found"]["seconds"] / 2


def test_progress_artifacts__do_not_wait_for_a_server_that_hangs(seen: dict[str, Any]) -> None:
    assert seen["found"]["hung"][:2] == ["progress", 100.0]


def test_progress_artifacts__of_a_server_that_fails_warn_once_and_stop_no_run(seen: dict[str, Any]) -> None:
    assert seen["said"] == [0, 0, 1, 2]
    lost, gone = seen["warnings"]
    assert lost.startswith("Prefect does not show all progress of this run: ")
    assert "Artifact not found" in lost
    assert gone == "Prefect does not show all progress of this run: no answer in 5 s"
