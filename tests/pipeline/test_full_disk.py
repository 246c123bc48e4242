"""Runs whose disk is full, at any moment: they fail with one of our errors, leave whole artifacts, and go on when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.trainers import FAILED, assert_whole, digests_of_newest, finished, names_in, new_texts, trainer

MB = 1_000_000
PAGE = 4096  # of the small disk: files take whole ones, directories none


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return new_texts(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="module")
def undisturbed(texts: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    finished(store, texts)
    return store


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def resize(self, **limits: int) -> None:
        """Give it so many bytes (`size`) or files (`nr_inodes`)."""
        options = ",".join(f"{name}={value}" for name, value in {"size": 64 * MB, "nr_inodes": 100_000, **limits}.items())
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"remount,{options}", "tmpfs", str(self.path)], check=True)

    def holds_run(self, texts: list[Path]) -> bool:
        """Run once; whether it came to its end. It may fail only as we say that things fail."""
        process = trainer(self.path / "store", texts)
        process.join(120)
        assert process.exitcode in (0, FAILED)
        if (self.path / "store").exists():
            assert_whole(self.path / "store")
            assert not list((self.path / "store").glob("*/.*"))
        return process.exitcode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "disk")], capture_output=True, check=False).returncode:
        pytest.skip("only who may mount can have a small disk; tests/flows/test_failures.py limits the size of files")
    try:
        yield Disk(tmp_path / "disk")
    finally:
        subprocess.run(["umount", str(tmp_path / "disk")], check=True)


@pytest.mark.parametrize("limit", ["size", "nr_inodes"])
def test_run__on_a_full_disk_fails_cleanly_and_with_room_again_ends_with_the_same_bytes(
    limit: str, disk: Disk, texts: list[Path], undisturbed: Path
) -> None:
    paths = list(undisturbed.rglob("*"))
    pages = [-(-path.stat().st_size // PAGE) * PAGE for path in paths if path.is_file()]
    whole = sum(pages) if limit == "size" else len(paths)
    n_failed = 0
    for share in (0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95):
        disk.resize(**{limit: max(2, int(whole * share))})
        n_failed += not disk.holds_run(texts)
    assert n_failed >= 6
    disk.resize()
    assert finished(disk.path / "store", texts) == digests_of_newest(undisturbed)
    assert_whole(disk.path / "store")
    assert names_in(disk.path / "store") == names_in(undisturbed)
