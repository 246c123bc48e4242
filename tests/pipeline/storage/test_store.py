import errno
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.storage.artifact import MANIFEST, FileRecord
from pipeline.storage.keys import digest_of_file
from pipeline.storage.store import Store
from tests.pipeline.storage.test_artifact import MANIFEST as EXAMPLE

KEY = "ab" * 32


def build(store: Store, content: bytes = b"content", key: str = KEY, pause_s: float = 0.0):
    with store.building("vocabulary", key) as directory:
        (directory / "inner").mkdir()
        path = directory / "inner" / "data"
        path.write_bytes(content)
        time.sleep(pause_s)
        record = FileRecord("inner/data", 1, len(content), digest_of_file(path))
        return store.commit(directory, replace(EXAMPLE, stage="vocabulary", key=key, files=(record,)))


def all_files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_store__finds_what_was_committed(tmp_path) -> None:
    store = Store(tmp_path / "store")
    assert store.find("vocabulary", KEY) is None
    made = build(store)
    found = store.find("vocabulary", KEY)
    assert found == made
    assert found.path("inner/data").read_bytes() == b"content"
    assert all_files(store.root) == [f"vocabulary/{KEY[:32]}/inner/data", f"vocabulary/{KEY[:32]}/{MANIFEST}"]


def fail_halfway(store: Store) -> None:
    with store.building("vocabulary", KEY) as directory:
        (directory / "half").write_bytes(b"half")
        raise ZeroDivisionError


def test_store__a_failed_build_leaves_nothing(tmp_path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(ZeroDivisionError):
        fail_halfway(store)
    assert all_files(store.root) == []
    assert store.find("vocabulary", KEY) is None


def test_store__an_artifact_without_a_manifest_does_not_exist(tmp_path) -> None:
    store = Store(tmp_path / "store")
    made = build(store)
    (made.directory / MANIFEST).unlink()
    assert store.find("vocabulary", KEY) is None
    assert store.artifacts("vocabulary") == []


def test_store__the_first_of_two_writers_wins_and_both_get_a_whole_artifact(tmp_path) -> None:
    store = Store(tmp_path / "store")
    with store.building("vocabulary", KEY) as late:
        first = build(store)
        (late / "data").write_bytes(b"content")
        second = store.commit(late, replace(EXAMPLE, stage="vocabulary", key=KEY, files=()))
    assert second == first
    assert len(all_files(store.root)) == 2


def test_store__processes_that_write_one_key_at_once_leave_one_whole_artifact(tmp_path) -> None:
    store = Store(tmp_path / "store")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=build, args=(store, b"content" * 1000, KEY, 0.05)) for _ in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 6
    assert store.find("vocabulary", KEY).path("inner/data").read_bytes() == b"content" * 1000
    assert len(all_files(store.root)) == 2


def test_store__a_killed_build_leaves_no_artifact_and_the_next_build_clears_it_away(tmp_path) -> None:
    store = Store(tmp_path / "store")
    child = multiprocessing.get_context("fork").Process(target=build, args=(store, b"content", KEY, 60.0))
    child.start()
    while not all_files(store.root):
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert store.find("vocabulary", KEY) is None
    assert store.artifacts("vocabulary") == []
    assert len(all_files(store.root)) == 1
    build(store, key="cd" * 32)
    assert all_files(store.root) == [f"vocabulary/{'cd' * 16}/inner/data", f"vocabulary/{'cd' * 16}/{MANIFEST}"]


def test_store__does_not_clear_away_what_a_living_process_builds(tmp_path) -> None:
    store = Store(tmp_path / "store")
    with store.building("vocabulary", KEY) as directory:
        build(store, key="cd" * 32)
        assert directory.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_store__says_that_there_is_no_room(number: int, tmp_path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(StoreError, match="no room left") as caught, store.building("vocabulary", KEY):
        raise OSError(number, os.strerror(number))
    assert "Free some space" in str(caught.value)
    assert all_files(store.root) == []


def test_store__that_is_a_file_cannot_be_written(tmp_path) -> None:
    (tmp_path / "store").write_text("I am a file")
    with pytest.raises(StoreError, match="cannot be written") as caught, Store(tmp_path / "store").building("vocabulary", KEY):
        pass
    assert "store.path" in str(caught.value)


def test_store__lists_artifacts_newest_first(tmp_path) -> None:
    store = Store(tmp_path / "store")
    for hour, key in enumerate(("11" * 32, "22" * 32, "00" * 32)):
        with store.building("train", key) as directory:
            store.commit(directory, replace(EXAMPLE, stage="train", key=key, files=(), created=f"2026-01-01T0{hour}"))
    assert [artifact.manifest.key[:2] for artifact in store.artifacts("train")] == ["00", "22", "11"]


@pytest.mark.parametrize("damage", ["gone", "shorter"])
def test_store__does_not_take_an_artifact_whose_files_are_not_those_of_its_manifest(damage: str, tmp_path) -> None:
    store = Store(tmp_path / "store")
    path = build(store).path("inner/data")
    path.unlink() if damage == "gone" else path.write_bytes(b"conten")
    with pytest.raises(StoreError, match="not what its manifest says") as caught:
        store.find("vocabulary", KEY)
    assert str(path) in str(caught.value)
    assert "Remove" in str(caught.value)


def test_store__a_manifest_that_cannot_be_used_stops_only_who_asks_for_it(tmp_path) -> None:
    store = Store(tmp_path / "store")
    whole, damaged = (build(store, key=key) for key in (KEY, "ac" * 32))
    (damaged.directory / MANIFEST).write_text("{")
    assert store.artifacts("vocabulary") == [whole]
    assert store.beginning("a") == [whole]
    for ask in (lambda: store.beginning("ac"), lambda: store.find("vocabulary", "ac" * 32)):
        with pytest.raises(StoreError, match="manifest cannot be used") as caught:
            ask()
        assert str(damaged.directory) in str(caught.value)


def test_store__another_artifact_in_an_artifacts_place_is_not_taken_for_it(tmp_path) -> None:
    store = Store(tmp_path / "store")
    first, second = (build(store, key=key) for key in (KEY, "ac" * 32))
    aside = first.directory.with_name("aside")
    for here, there in ((first.directory, aside), (second.directory, first.directory), (aside, second.directory)):
        here.rename(there)
    assert store.artifacts("vocabulary") == store.beginning("a") == []
    with pytest.raises(StoreError, match="Another artifact lies") as caught:
        store.find("vocabulary", KEY)
    assert caught.value.details["got"] == f"vocabulary/{'ac' * 32}"


@pytest.mark.parametrize("place", ["", "vocabulary", f"vocabulary/{KEY[:32]}", "file", "inner", "inner/data"])
def test_store__links_in_it_are_not_followed(place: str, tmp_path) -> None:
    """What they lead to is whole, and right; only the store itself may be elsewhere."""
    store = Store(tmp_path / "store")
    made = build(store)
    path = {"file": made.directory / MANIFEST, "inner": made.path("inner"), "inner/data": made.path("inner/data")}.get(
        place, store.root / place
    )
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    if not place:
        assert store.find("vocabulary", KEY) == made
        return
    with pytest.raises(StoreError, match="symbolic link lies in the store") as caught:
        store.find("vocabulary", KEY)
    assert caught.value.details["where"] == str(path)


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        ("..", KEY),
        ("../vocabulary", KEY),
        ("/etc", KEY),
        ("a\x1b[31m", KEY),
        ("vocabulary", "../" * 20 + "aa"),
        ("vocabulary", ""),
        ("", ""),
    ],
)
def test_store__names_never_lead_out_of_it(stage: str, key: str, tmp_path) -> None:
    made = build(Store(tmp_path))
    store = Store(made.directory)  # what lies around it are the files of a store
    before = all_files(tmp_path)
    assert store.find(stage, key) is store.described(stage, key) is None
    with pytest.raises(ValueError, match="no stage is called"), store.building(stage, key):
        pass
    assert all_files(tmp_path) == before
