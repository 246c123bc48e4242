"""Records and the lines beside them, as they lie in a real directory."""

import multiprocessing
import os

import pytest

from pipeline.errors import StoreError
from pipeline.storage.atomic import among_processes
from pipeline.storage.store import Store
from tests.pipeline.storage.test_store import all_files


def test_records__are_whole_and_in_order(tmp_path) -> None:
    store = Store(tmp_path / "store")
    for name in ("b", "a"):
        store.write_record("runs", name, {"id": name, "word": "čaj"})
    assert [record["id"] for record in store.records("runs")] == ["a", "b"]
    assert store.records("runs")[0]["word"] == "čaj"
    assert all_files(store.root) == ["runs/a/record.json", "runs/b/record.json"]


def test_records__lines_are_added_beside_a_record_that_is_not_there_yet(tmp_path) -> None:
    store = Store(tmp_path / "store")
    for line in ("one", "čaj \udc80"):
        store.append_line("runs", "a", "lines", line)
    assert (store.root / "runs" / "a" / "lines").read_bytes() == "one\nčaj \\udc80\n".encode()
    assert store.records("runs") == []
    assert store.without_record("runs") == [store.root / "runs" / "a"]
    store.write_record("runs", "a", {"id": "a"})
    assert (store.records("runs"), store.without_record("runs")) == ([{"id": "a"}], [])


def test_records__says_that_a_line_found_no_room(tmp_path) -> None:
    store = Store(tmp_path / "store")
    (store.root / "runs" / "a").mkdir(parents=True)
    (store.root / "runs" / "a" / "lines").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="no room left"):
        store.append_line("runs", "a", "lines", "one")


def test_records__one_that_cannot_be_written_leaves_nothing_and_a_killed_writers_is_cleared_away(tmp_path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(UnicodeEncodeError):
        store.write_record("runs", "a", {"word": "\ud800"})
    assert all_files(store.root) == []
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    child.start()
    child.join()
    store.append_line("runs", "b", "lines", "one")
    for pid in (child.pid, os.getpid()):
        (store.root / "runs" / "b" / f".record.json.{among_processes()}.{pid}.0123abcd").write_text("half")
    store.remove_abandoned()
    assert all_files(store.root) == [f"runs/b/.record.json.{among_processes()}.{os.getpid()}.0123abcd", "runs/b/lines"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text().replace('"a"', '"b"')),
        lambda path: path.write_text(path.read_text().replace("checksum", "checksam")),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("[]"),
        lambda path: path.replace(path.parents[1] / "b" / "record.json"),
        lambda path: (path.rename(path.parents[2] / "x"), path.symlink_to(path.parents[2] / "x")),
    ],
    ids=["edited", "no seal", "too deep", "no object", "in another's place", "a link"],
)
def test_records__one_that_is_not_as_it_was_written_is_refused(damage, tmp_path) -> None:
    store = Store(tmp_path)
    for name in ("a", "b"):
        store.write_record("runs", name, {"id": name, "list": [1, 2.5, None]})
    damage(tmp_path / "runs" / "a" / "record.json")
    with pytest.raises(StoreError):
        store.records("runs")
