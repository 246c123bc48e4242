"""A corpus that changes between runs: only what is new is read, and every run gives the bytes of a run into an empty store."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sources import files as files_module
from pipeline.sources.cutting import cut_file
from pipeline.sources.reading import read_shard
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk

SETTINGS = {"phrases__thresholds": [8.0], "corpus__shard_mb": 0.006}
N_FILES, N_TURNS = 6, 6


class Corpus:
    """A directory of text files, and what may happen to it from one run to the next."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory, self.draws = directory, random.Random(seed)
        self.lines = sample_lines(600)
        self.n_named = 0
        for _ in range(N_FILES):
            self.add()

    def files(self) -> list[Path]:
        """All that is there."""
        return sorted(path for path in self.directory.rglob("*") if path.is_file())

    def add(self) -> None:
        """A new file."""
        self._name().write_text(self._text(), encoding="utf-8")

    def append(self) -> None:
        """More lines at the end of a file."""
        with self._any().open("a", encoding="utf-8") as file:
            file.write(self._text())

    def rewrite(self) -> None:
        """Another text under the same name."""
        self._any().write_text(self._text(), encoding="utf-8")

    def copy(self) -> None:
        """The same text once more."""
        content = self._any().read_bytes()
        self._name().write_bytes(content)

    def rename(self) -> None:
        """Another name."""
        self._any().rename(self._name())

    def swap(self) -> None:
        """Two files under each other's names."""
        one, other, aside = self._any(), self._any(), self._name()
        one.rename(aside)
        (aside if one == other else other).rename(one)
        if one != other:
            aside.rename(other)

    def remove(self) -> None:
        """One file less."""
        self._any().unlink()

    def change(self) -> Callable[[], None]:
        """One of these."""
        return self.draws.choice((self.add, self.append, self.rewrite, self.copy, self.rename, self.swap, self.remove))

    def _any(self) -> Path:
        return self.draws.choice(self.files())

    def _name(self) -> Path:
        """A new name, sometimes in another directory."""
        self.n_named += 1
        path = self.directory / self.draws.choice(("", "deep", "deep/er")) / f"{self.draws.randrange(10**6)}-{self.n_named}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _text(self) -> str:
        return "".join(self.draws.sample(self.lines, self.draws.randint(1, 30)))


@pytest.mark.parametrize("seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.stress) for seed in range(3, 13))])
def test_run__after_any_changes_gives_the_bytes_of_a_cold_run_and_reads_only_what_is_new(seed: int, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "texts", seed)
    known: set[str] = set()
    for turn in range(N_TURNS):
        warm = walk(configured(corpus.directory, **SETTINGS), tmp_path / "store", InPlace(), "pairs")
        tokenized = next(record for record in warm.records if record.step == "tokenize")
        n_new = sum(artifact.manifest.key not in known for artifact in warm.made["tokenize"])
        assert len(tokenized.keys) - tokenized.n_reused == n_new
        known |= {artifact.manifest.key for artifact in warm.made["tokenize"]}
        cold = walk(configured(corpus.directory, **SETTINGS), tmp_path / f"cold-{turn}", InPlace(), "pairs")
        names = [step.name for step in warm.steps if step.name in warm.made]
        assert names[-1] == "pairs"
        assert digests(warm, *names) == digests(cold, *names)
        for _ in range(corpus.draws.randint(1, 3)):
            corpus.change()()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is done with which files: each is looked at for its digest once and, if its text is new, read for its tokens."""
    done: list[tuple[str, str]] = []

    def noting_cut(location: str, *rest: object) -> object:
        done.append(("hashed", location))
        return cut_file(location, *rest)

    def noting_read(shard: object, *rest: object) -> object:
        done.append(("tokenized", shard.location))
        return read_shard(shard, *rest)

    monkeypatch.setattr("pipeline.sources.cutting.cut_file", noting_cut)
    monkeypatch.setattr("pipeline.stages.tokenize.read_shard", noting_read)
    monkeypatch.setattr(files_module, "_SETTLED_NS", 100_000_000)
    return done


def test_run__of_a_hundred_files_reads_only_the_one_that_is_new(tmp_path: Path, read: list[tuple[str, str]]) -> None:
    lines = sample_lines(400)
    paths = [tmp_path / "texts" / f"{number:03d}.txt" for number in range(100)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        path.write_text("".join(lines[4 * number : 4 * number + 4]), encoding="utf-8")

    def run() -> list[tuple[str, str]]:
        """What it has read."""
        time.sleep(0.15)  # until the files are settled
        read.clear()
        walk(configured(tmp_path / "texts"), tmp_path / "store", InPlace(), "vocabulary")
        return sorted(read)

    assert run() == sorted((what, str(path)) for path in paths for what in ("hashed", "tokenized"))
    assert run() == []
    new = tmp_path / "texts" / "new.txt"
    new.write_text("A file that nobody has seen before.\n", encoding="utf-8")
    assert run() == [("hashed", str(new)), ("tokenized", str(new))]
    (tmp_path / "texts" / "deep").mkdir()
    for path in paths[:50]:
        path.rename(tmp_path / "texts" / "deep" / f"other-{path.name}")
    assert run() == []
    paths[70].unlink()
    assert run() == []
    (tmp_path / "texts" / "copy.txt").write_bytes(paths[80].read_bytes())
    assert run() == [("hashed", str(tmp_path / "texts" / "copy.txt"))]
