"""No clock and no time zone decides what comes out, or what is the newest."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.lineage.keeping.collection import sweep
from pipeline.lineage.models import find_model
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST, Manifest
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace
from tests.pipeline.small_runs import configured, digests, walk
from tests.pipeline.trainers import digests_of_newest, finished, new_texts

FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
STEPS = ("snapshot", "tokenize", "vocabulary", "pairs", "train", "evaluate")


@pytest.fixture
def texts(tmp_path: Path) -> list[Path]:
    return new_texts(tmp_path)


def test_run__gives_the_same_bytes_in_every_time_zone_and_reuses_what_another_zone_made(texts: list[Path], tmp_path: Path) -> None:
    """Between these two zones it is another day at any moment."""
    here, there = (
        finished(tmp_path / name, texts, "Pacific/Kiritimati" if name == "east" else "America/Adak") for name in ("east", "west")
    )
    assert here == there
    manifests = {
        name: [Manifest.read(path).created for path in sorted((tmp_path / name).glob(f"[!.]*/*/{MANIFEST}"))] for name in ("east", "west")
    }
    for created in (*manifests["east"], *manifests["west"]):
        assert abs((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()) < 600
    assert finished(tmp_path / "west", texts, "Pacific/Kiritimati") == there
    first, second = Store(tmp_path / "west").records(RUNS)
    assert all(step["n_reused"] == len(step["keys"]) for step in second["steps"])
    assert first["id"] < second["id"]


def test_run__on_files_of_times_to_come_gives_the_same_bytes(texts: list[Path], tmp_path: Path) -> None:
    now = walk(configured(*texts), tmp_path / "now", InPlace())
    for path in texts:
        os.utime(path, (FUTURE.timestamp(),) * 2)
    later = walk(configured(*texts), tmp_path / "later", InPlace())
    again = walk(configured(*texts), tmp_path / "now", InPlace())
    assert digests(now, *STEPS) == digests(later, *STEPS)
    assert all(record.n_reused == len(record.keys) for record in again.records)


def test_run__on_a_file_that_keeps_its_time_to_come_is_read_again_when_it_changes(texts: list[Path], tmp_path: Path) -> None:
    """What is not yet settled by the clock is never taken from memory."""
    os.utime(texts[0], (FUTURE.timestamp(),) * 2)
    before = walk(configured(*texts), tmp_path / "store", InPlace(), "tokenize")
    texts[0].write_text(texts[0].read_text().replace("king", "ring"))
    os.utime(texts[0], (FUTURE.timestamp(),) * 2)
    after = walk(configured(*texts), tmp_path / "store", InPlace(), "tokenize")
    assert len(set(digests(before, "tokenize")) & set(digests(after, "tokenize"))) == 2


def run_at(moment: datetime, seed: int, texts: list[Path], store: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run that takes `moment` for the present."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return moment

    with monkeypatch.context() as patched:
        for module in ("pipeline.run", "pipeline.building", "pipeline.journal", "pipeline.storage.registry"):
            patched.setattr(f"{module}.datetime", Clock)
        run = walk(configured(*texts, train__seed=seed), store, InPlace())
        run.finish("a test")
    return run


def test_newest__is_what_ran_last_whatever_the_clock_said(texts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is right, then far ahead, then set back, twice."""
    store = tmp_path / "store"
    for seed, year in enumerate((2026, 2100, 2026, 1970)):
        run = run_at(datetime(year, 6, 1, tzinfo=UTC), seed, texts, store, monkeypatch)
        assert find_model(Store(store)).run["id"] == run.id
        assert find_model(Store(store), "vectors").artifact == run.made["train"][0]
        assert run.store.records(RUNS)[-1]["elapsed_s"] >= 0
    assert [record["configuration"]["train"]["seed"] for record in Store(store).records(RUNS)] == [0, 1, 2, 3]
    found = sweep(Store(store), 1)
    assert found.retained.runs == (run.id,)
    assert find_model(Store(store), "vectors@4").artifact == run.made["train"][0]


def test_run__on_a_store_with_artifacts_of_times_to_come_reuses_them(
    texts: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run_at(FUTURE, 1, texts, tmp_path / "store", monkeypatch)
    again = walk(configured(*texts, train__seed=1), tmp_path / "store", InPlace())
    assert all(record.n_reused == len(record.keys) for record in again.records)
    assert digests(again, *STEPS) == digests(made, *STEPS)
    assert digests_of_newest(tmp_path / "store")["train"] == digests(made, "train")
