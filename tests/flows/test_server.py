"""The temporary server: there for the run, gone with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.quiet import prepare_environment
from flows.server import ServerError, temporary_server
from tests.conftest import environment_of

HOLD = """
import sys, time
from pathlib import Path
from flows.quiet import prepare_environment
from flows.server import temporary_server
prepare_environment(Path(sys.argv[1]))
with temporary_server(Path(sys.argv[1])) as server:
    server.wait()
    print(server.process.pid, server.url, flush=True)
    time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    for _ in range(200):
        if not is_running(pid):
            return
        time.sleep(0.1)
    raise AssertionError(f"process {pid} still runs")


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [name for name in os.environ if name.startswith("PREFECT")]:
        monkeypatch.delenv(name)
    for name in ("PREFECT_HOME", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "")  # so that monkeypatch takes away what the code under test sets
        monkeypatch.delenv(name)
    return tmp_path


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_temporary_server__ends_with_its_run_however_that_ends(number: int, tmp_path: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], env=environment_of(tmp_path), stdout=subprocess.PIPE, text=True)
    with run:
        pid, url = run.stdout.readline().split()
        assert httpx.get(f"{url}/health").json() is True
        run.send_signal(number)
    wait_until_gone(int(pid))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")


def test_temporary_server__is_none_when_a_server_is_named(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with temporary_server(clean_environment) as server:
        assert server is None
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:1/api"


def test_temporary_server__that_cannot_start_says_why(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_HOME", "DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "DASK_LOGGING__DISTRIBUTED"):
        monkeypatch.delenv(name, raising=False)
    (clean_environment / "prefect.db").write_bytes(b"this is no database" * 100)
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", os.environ.copy())
        prepare_environment(clean_environment)
        with temporary_server(clean_environment) as server, pytest.raises(ServerError, match="did not start") as caught:
            server.wait()
    assert str(clean_environment) in str(caught.value)
    assert "PREFECT_API_URL" in str(caught.value)
