"""Servers that listen, refuse, hang or are not there: the run does the same with each."""

import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.openlineage import reporting
from tests.conftest import free_port
from tests.flows.openlineage.runs import Heard, server, settings, walk_told
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
def test_report__to_a_server_that_does_not_listen_is_one_warning(
    kind: str, why: str, undisturbed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "hangs":
        monkeypatch.setattr(reporting, "SECONDS_TO_END", 0.2)
    there = {"refuses": server(403), "fails": server(500), "hangs": hanging(), "is gone": nobody()}[kind]
    with there as heard:
        run, warnings = walk_told(settings(tmp_path, heard.url), tmp_path / "store")
        if kind == "hangs":
            assert heard.n_answers == 0  # the run has ended, and the first event is still on its way
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
