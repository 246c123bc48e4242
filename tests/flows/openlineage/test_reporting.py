"""Servers that listen, refuse, hang or are not there: the run does the same with each."""

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from openlineage.client import OpenLineageClient
from openlineage.client.transport.file import FileConfig, FileTransport

from flows.openlineage import reporting
from pipeline.events import RunWarned, listening
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.conftest import free_port
from tests.flows.openlineage.runs import Heard, read_events, server, settings, walk_told
from tests.flows.openlineage.specification import validate
from tests.pipeline.small_runs import digests

STEPS = ("tokenize", "vocabulary", "pairs", "train", "evaluate")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("undisturbed")
    run, warnings = walk_told(settings(directory), directory / "store")
    assert warnings == []
    return digests(run, *STEPS)


@pytest.mark.parametrize(("path", "endpoint"), [("", "/api/v1/lineage"), ("/", "/api/v1/lineage"), ("/of/mine", "/of/mine")])
def test_report__reaches_a_server(
    path: str, endpoint: str, undisturbed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "k3y")
    with server() as heard:
        run, warnings = walk_told(settings(tmp_path, heard.url + path), tmp_path / "store")
    assert warnings == []
    assert [event["eventType"] for event in heard.events] == ["START", *["START", "COMPLETE"] * len(run.steps), "COMPLETE"]
    assert set(heard.requests) == {(endpoint, "Bearer k3y")}
    for event in heard.events:
        validate(event)
    assert digests(run, *STEPS) == undisturbed


@contextlib.contextmanager
def hanging() -> Iterator[Heard]:
    with server(wait=threading.Event()) as heard:
        yield heard


@contextlib.contextmanager
def nobody() -> Iterator[Heard]:
    yield Heard(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize(
    ("kind", "why"),
    [("refuses", "403 Client Error"), ("fails", "HTTP"), ("hangs", "no answer in|Read timed out"), ("is gone", "Connection|refused")],
)
def test_report__to_a_server_that_does_not_listen_is_one_warning(kind: str, why: str, undisturbed: list[str], tmp_path: Path) -> None:
    there = {"refuses": server(403), "fails": server(500), "hangs": hanging(), "is gone": nobody()}[kind]
    with there as heard:
        run, warnings = walk_told(settings(tmp_path, heard.url), tmp_path / "store")
        if kind == "hangs":
            assert heard.n_answers == 0  # the run has ended before the client gave its first event up
    (warning,) = warnings
    assert warning.startswith("OpenLineage is not told ")
    assert re.search(why, warning)
    assert digests(run, *STEPS) == undisturbed
    if kind == "refuses":
        assert len(heard.events) == reporting.FAILURES_TO_GIVE_UP


def test_report__to_a_file_that_cannot_be_written_is_one_warning(undisturbed: list[str], tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    run, (warning,) = walk_told(settings(tmp_path, tmp_path / "events.jsonl"), tmp_path / "store")
    assert "Is a directory" in warning
    (tmp_path / "file").touch()
    _, (warning,) = walk_told(settings(tmp_path, tmp_path / "file" / "events.jsonl"), tmp_path / "store")
    assert warning.startswith("OpenLineage is told nothing of this run: ")
    assert digests(run, *STEPS) == undisturbed


def client(path: Path, closes: bool = True) -> OpenLineageClient:
    """The official client, which writes to a file, and cannot always end that."""

    class Transport(FileTransport):
        def close(self, timeout: float = -1) -> bool:
            if not closes:
                raise OSError(28, "No space left on device")
            return super().close(timeout)

    return OpenLineageClient(transport=Transport(FileConfig(log_file_path=str(path), append=True)))


def test_report__tells_what_steps_had_made_when_they_ended(tmp_path: Path) -> None:
    """Whenever it comes to that: a run that loses its shared store forgets what it has, and begins anew."""
    path = tmp_path / "events.jsonl"
    with Run(settings(tmp_path), Store(tmp_path / "store"), InPlace()) as run:
        report = reporting.Report(client(path), run, "a test")
        with listening(report):
            for step in run.steps:
                run.perform(step)
        made, run.made = run.made, {}
        with report:
            pass
    ended = [event for event in read_events(path) if event["eventType"] == "COMPLETE" and event["outputs"]]
    assert [[output["name"].partition("/")[2] for output in event["outputs"]] for event in ended] == [
        list(dict.fromkeys(artifact.directory.name for artifact in artifacts)) for artifacts in made.values()
    ]


def test_report__of_a_client_that_cannot_end_is_one_warning(tmp_path: Path) -> None:
    heard: list[str] = []
    with (
        listening(lambda event: heard.append(event.message) if isinstance(event, RunWarned) else None),
        Run(settings(tmp_path), Store(tmp_path / "store"), InPlace()) as run,
        reporting.Report(client(tmp_path / "events.jsonl", closes=False), run, "a test"),
    ):
        pass
    (warning,) = heard
    assert "may not be told all" in warning
    assert "No space left" in warning
