"""The temporary server: there for the run, gone with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.server import temporary_server
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_temporary_server__ends_with_its_run_however_that_ends(number: int, home: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], env=environment_of(home), stdout=subprocess.PIPE, text=True)
    with run:
        pid, url = run.stdout.readline().split()
        assert httpx.get(f"{url}/health").json() is True
        run.send_signal(number)
    wait_until_gone(int(pid))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{url}/health")


def test_temporary_server__is_none_when_a_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with temporary_server(tmp_path) as server:
        assert server is None
    assert os.environ["PREFECT_API_URL"] == "http://127.0.0.1:1/api"


def test_temporary_server__that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "prefect.db").write_bytes(b"this is no database" * 100)
    failed = subprocess.run(
        [sys.executable, "-c", HOLD, str(tmp_path)], env=environment_of(tmp_path), capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    for words in ("ServerError: The temporary Prefect server did not start.", str(tmp_path / "server.log"), "PREFECT_API_URL"):
        assert words in failed.stderr
