"""Who asks for events, and how: the configuration, the variables of the official client, or nobody."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.openlineage.backend import require_client
from pipeline.configuration import Configuration
from pipeline.errors import ConfigurationError
from tests.flows.openlineage.runs import read_events, server, settings, walk_told


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """The client adds variables to the environment."""
    before = dict(os.environ)
    for name in [name for name in before if name.startswith("OPENLINEAGE")]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


def test_telling__is_off_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also beside a file of the client's, and then needs no client."""
    assert Configuration().lineage.openlineage == ""
    monkeypatch.setitem(sys.modules, "openlineage", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openlineage.yml").write_text("transport:\n  type: file\n  log_file_path: lineage\n  append: true\n")
    assert walk_told(settings(tmp_path), tmp_path / "store")[1] == []
    assert not (tmp_path / "lineage").exists()


def test_telling__does_what_the_variables_of_the_client_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as heard:
        monkeypatch.setenv("OPENLINEAGE_URL", heard.url)
        run, warnings = walk_told(settings(tmp_path), tmp_path / "store")
        assert (len(heard.events), warnings) == (2 + 2 * len(run.steps), [])
        monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
        for address in ("", tmp_path / "events.jsonl"):
            assert walk_told(settings(tmp_path, address), tmp_path / "store")[1] == []
        assert len(heard.events) == 2 + 2 * len(run.steps)
        assert not (tmp_path / "events.jsonl").exists()


def test_telling__does_what_a_configuration_of_the_client_says_unless_ours_says_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "client.yml").write_text(f"transport:\n  type: file\n  log_file_path: {tmp_path}/theirs\n  append: true\n")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(tmp_path / "client.yml"))
    run, warnings = walk_told(settings(tmp_path), tmp_path / "store")
    n_events = 2 + 2 * len(run.steps)
    assert (len(read_events(tmp_path / "theirs")), warnings) == (n_events, [])
    walk_told(settings(tmp_path, tmp_path / "ours"), tmp_path / "store")
    assert (len(read_events(tmp_path / "theirs")), len(read_events(tmp_path / "ours"))) == (n_events, n_events)


def test_telling__that_variables_ask_for_wrongly_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "nonsense")
    _, (warning,) = walk_told(settings(tmp_path), tmp_path / "store")
    assert "nonsense" in warning
    monkeypatch.setitem(sys.modules, "openlineage", None)
    _, (warning,) = walk_told(settings(tmp_path), tmp_path / "store")
    assert "pip install 'corpus2vec[openlineage]'" in warning


def test_require_client__refuses_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = settings(tmp_path, tmp_path / "events.jsonl")
    require_client(wanted)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    with pytest.raises(ConfigurationError, match="client is not installed") as caught:
        walk_told(wanted, tmp_path / "store")
    assert caught.value.details["where"] == "key lineage.openlineage"
    assert "pip install" in caught.value.details["remedy"]
    assert not list((tmp_path / "store").glob("[!d]*"))  # what files are like is known by then, and nothing else
    require_client(Configuration())
