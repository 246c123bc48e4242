"""The train stage: what its modes promise, what its options change, and how it goes on."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.errors import TrainingError
from pipeline.run import Run
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk


class Workers(InPlace):
    """The caller, with several threads for training."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which everything up to the pairs is done already, by whoever comes first."""
    return tmp_path_factory.mktemp("train") / "store"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(300)), encoding="utf-8")
    return path


def trained(text: Path, store: Path, n_threads: int = 2, **changes: object) -> Run:
    """A run up to the vectors; nothing of it is left for the next one."""
    run = walk(configured(text, **changes), store, Workers(n_threads), "train")
    artifact = run.made["train"][0]
    run.vectors = pq.read_table(artifact.path(VECTORS_FILE))
    for path in artifact.directory.iterdir():
        path.unlink()
    artifact.directory.rmdir()
    return run


@pytest.mark.parametrize("shards", [2, 4, 7])
def test_train__gives_the_same_bytes_for_any_number_of_threads(shards: int, text: Path, store: Path) -> None:
    one, *others = (digests(trained(text, store, n, train__shards=shards), "train") for n in (1, 2, 3, 4))
    assert all(other == one for other in others)


def test_train__says_in_its_manifest_whether_it_can_be_repeated(text: Path, store: Path) -> None:
    measures = [trained(text, store, train__mode=mode).made["train"][0].manifest.measures for mode in ("reproducible", "shared")]
    assert [found["reproducible"] for found in measures] == [1, 0]
    assert [found["threads"] for found in measures] == [2, 2]


def test_train__in_shared_mode_does_not_look_at_the_shards(text: Path, store: Path) -> None:
    keys = {trained(text, store, train__mode="shared", train__shards=n).made["train"][0].manifest.key for n in (2, 4)}
    assert len(keys) == 1
    keys = {trained(text, store, train__shards=n).made["train"][0].manifest.key for n in (2, 4)}
    assert len(keys) == 2


def test_train__shared_by_one_thread_is_what_one_shard_gives(text: Path, store: Path) -> None:
    shared, one_shard = trained(text, store, 1, train__mode="shared"), trained(text, store, 3, train__shards=1)
    assert shared.vectors.equals(one_shard.vectors)


def test_train__can_draw_noise_for_every_pair(text: Path, store: Path) -> None:
    window, pair = (trained(text, store, train__noise_draws=draws) for draws in ("per_window", "per_pair"))
    losses = [run.made["train"][0].manifest.measures["loss"] for run in (window, pair)]
    assert window.vectors.column("token").equals(pair.vectors.column("token"))
    assert not window.vectors.equals(pair.vectors)
    assert losses[1] == pytest.approx(losses[0], rel=0.05)  # the same objective, other draws
    assert digests(trained(text, store, 3, train__noise_draws="per_pair"), "train") == digests(pair, "train")


@pytest.mark.parametrize("mode", ["reproducible", "shared"])
def test_train__stops_when_it_diverges(mode: str, text: Path, store: Path) -> None:
    with pytest.raises(TrainingError, match="diverged") as failure:
        trained(text, store, train__mode=mode, train__learning_rate=1.0, train__negatives=20, pairs__epochs=10)
    assert "epoch" in str(failure.value)
