"""Real text and a real store, made once for all tests that only read them."""

import itertools
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).with_name("corpus2vec")


def sample_lines(n_lines: int) -> list[str]:
    """The first paragraphs of the shipped sample."""
    with lzma.open(ROOT / "data" / "wiki-20mb.txt.xz", "rt", encoding="utf-8") as lines:
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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "DASK", "CORPUS2VEC", "COLUMNS"))}
    return kept | {"HOME": str(home), "COLUMNS": "160"}


def run_command(*arguments: object, cwd: Path, timeout_s: float = 240.0, **environ: str) -> Finished:
    """The real command in a process of its own."""
    done = subprocess.run(
        [str(COMMAND), *map(str, arguments)], cwd=cwd, env=environment_of(cwd) | environ, capture_output=True, text=True, timeout=timeout_s
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

    @property
    def store(self) -> Path:
        """Where its artifacts are."""
        return self.directory / "store"

    def run(self, *arguments: object, **environ: str) -> Finished:
        """A command in this directory."""
        return run_command(*arguments, cwd=self.directory, **environ)

    def train(self, *overrides: str) -> Finished:
        """`corpus2vec train` with JSON lines."""
        return self.run("train", "small.toml", "--json", *(f"--set={override}" for override in overrides))


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


def new_project(directory: Path, text: Path, extra: Sequence[str] = ()) -> Project:
    """A project over a small text, nothing trained yet."""
    (directory / "small.txt").write_bytes(text.read_bytes())
    (directory / "small.toml").write_text(SMALL + "\n".join(extra))
    return Project(directory)


@pytest.fixture(scope="session")
def trained(small_text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Finished]:
    """A project that has been trained once by the real command; tests must not change it."""
    project = new_project(tmp_path_factory.mktemp("trained"), small_text)
    finished = project.train()
    assert finished.exit_code == 0, finished.err
    return project, finished
