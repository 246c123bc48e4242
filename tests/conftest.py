"""Real text and a real store, made once for all tests that only read them."""

import contextlib
import itertools
import json
import lzma
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dask.config
import httpx
import hypothesis
import pytest

from pipeline.journal import JOURNAL
from pipeline.storage.store import RUNS
from pipeline.workers import NO_PROFILER
from tests.shared_stores import KINDS, Server, free_port, servers

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("corpus2vec")

dask.config.set(NO_PROFILER)  # the clusters that tests start themselves
hypothesis.settings.register_profile("untimed", deadline=None)  # the first example of a kernel compiles it, and machines are noisy
hypothesis.settings.load_profile("untimed")


def sample_lines(n_lines: int, name: str = "wiki-20mb.txt.xz") -> list[str]:
    """The first paragraphs of a shipped sample."""
    with lzma.open(ROOT / "data" / name, "rt", encoding="utf-8") as lines:
        return list(itertools.islice(lines, n_lines))


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict]:
        """The JSON lines that it printed."""
        return [json.loads(line) for line in self.out.splitlines()]


def environment_of(home: Path) -> dict[str, str]:
    """An environment in which nothing of the person who runs the tests is set."""
    ours = ("PREFECT", "DASK", "CORPUS2VEC", "COLUMNS", "OPENLINEAGE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"HOME": str(home), "COLUMNS": "160"}


def run_command(*arguments: object, cwd: Path, timeout_s: float = 240.0, **environ: str) -> Finished:
    """The real command in a process of its own."""
    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)],
        cwd=cwd,
        env=environment_of(cwd) | environ,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def small_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 400 kB of real text."""
    path = tmp_path_factory.mktemp("text") / "small.txt"
    path.write_text("".join(sample_lines(800)), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Project:
    """A directory with a configuration, its text, and a store."""

    directory: Path
    prefect_api_url: str  # of a running server; empty: Prefect starts one for the run

    @property
    def store(self) -> Path:
        """Where its artifacts are."""
        return self.directory / "store"

    def run(self, *arguments: object, **environ: str) -> Finished:
        """A command in this directory, with the project's Prefect server."""
        return run_command(*arguments, cwd=self.directory, **({"PREFECT_API_URL": self.prefect_api_url} | environ))

    def train(self, *overrides: str) -> Finished:
        """`corpus2vec train` with JSON lines."""
        return self.run("train", "small.toml", "--json", *(f"--set={override}" for override in overrides))

    def journal(self, run: str) -> list[dict]:
        """The lines of the journal of a run."""
        lines = (self.store / RUNS / run / JOURNAL).read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]


SMALL = """
name = "small"
[corpus]
paths = ["small.txt"]
shard_mb = 0.1
[vocabulary]
min_count = 3
[pairs]
subsample = 1e-3
epochs = 2
[train]
dimensions = 20
[cluster]
threads = 2
"""


def new_project(directory: Path, text: Path, prefect_api_url: str) -> Project:
    """A project over a small text, nothing trained yet."""
    (directory / "small.txt").write_bytes(text.read_bytes())
    (directory / "small.toml").write_text(SMALL)
    return Project(directory, prefect_api_url)


@pytest.fixture(scope="session")
def prefect_api_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real, running Prefect server."""
    home = tmp_path_factory.mktemp("prefect")
    environ = environment_of(home) | {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    port = free_port()
    arguments = [str(COMMAND.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (home / "log").open("w") as log, subprocess.Popen(arguments, env=environ, stdout=log, stderr=log) as server:
        try:
            url = f"http://127.0.0.1:{port}/api"
            for _ in range(600):
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/health").status_code == 200:
                        break
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.2)
            yield url
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def trained(small_text: Path, prefect_api_url: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Finished]:
    """A project that has been trained once by the real command; tests must not change it."""
    project = new_project(tmp_path_factory.mktemp("trained"), small_text, prefect_api_url)
    finished = project.train()
    assert finished.exit_code == 0, finished.err
    return project, finished


@pytest.fixture(scope="session")
def s3_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Two real S3 servers, by name."""
    with servers(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(params=KINDS)
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a place that can be shared, with nothing in it; of each kind one."""
    if request.param == "directory":
        return (tmp_path / "shared").as_uri()
    running: dict[str, Server] = request.getfixturevalue("s3_servers")
    return running[request.param].url(f"{tmp_path.name}/store")
