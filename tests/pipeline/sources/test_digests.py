"""Files that have not changed are not read again, and those that may have are."""

import os
import time
from pathlib import Path

import pytest

from pipeline.configuration import Corpus
from pipeline.sources import digests as digests_module
from pipeline.sources import files as files_module
from pipeline.sources.cutting import cut_file
from pipeline.sources.digests import DIGESTS, Digests
from pipeline.sources.files import find_files
from pipeline.sources.formats import kind_of
from pipeline.storage.store import Store
from tests.pipeline.sources.written import write


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The locations that are read, as they are."""
    locations = []

    def noting(location, *rest):
        locations.append(location)
        return cut_file(location, *rest)

    monkeypatch.setattr("pipeline.sources.cutting.cut_file", noting)
    monkeypatch.setattr(files_module, "_SETTLED_NS", 400_000_000)
    return locations


def settle(path: Path) -> None:
    """Wait until a file is old enough: its time of change cannot be set."""
    time.sleep(max(0.0, 0.45 - (time.time() - path.stat().st_ctime)))


def observe(tmp_path, *names, shard_bytes=1 << 20, **corpus):
    """The digests of some files, or of all text in a directory, remembered."""
    digests = Digests(Store(tmp_path / "store"), Corpus(**corpus))
    files = find_files(names or ["texts"], tmp_path).files
    found = [digests.cut(file, kind_of(file.location, Corpus().format), "text", shard_bytes) for file in files]
    digests.remember()
    return [cut.sha256 for cut in found]


def test_digests__reads_an_unchanged_file_once_and_a_fresh_one_again(tmp_path, read):
    path = write(tmp_path / "texts" / "a.txt", b"one\n")
    fresh = observe(tmp_path)
    assert observe(tmp_path) == fresh
    assert read == [str(path)] * 2  # it was written a moment before
    assert not (tmp_path / "store").exists()
    settle(path)
    other = write(tmp_path / "texts" / "b.txt", b"two\n")
    read.clear()
    settled = observe(tmp_path)
    assert settled[0] == fresh[0]
    assert read == [str(path), str(other)]
    read.clear()
    assert observe(tmp_path) == settled
    assert read == [str(other)]

    # Changed in place, with the same size and the old date.
    status = path.stat()
    path.write_bytes(b"ONE\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    read.clear()
    assert observe(tmp_path)[0] != settled[0]
    assert str(path) in read


def test_digests__reads_no_file_again_that_was_renamed_and_all_that_may_be_others(tmp_path, read):
    paths = [write(tmp_path / "texts" / name, name.encode() + b" text\n") for name in ("a.txt", "b.txt", "c.txt")]
    for path in paths:
        settle(path)
    expected = observe(tmp_path)
    read.clear()
    for path, name in zip(paths, ("z.txt", "deep/y.txt", "a.txt"), strict=True):
        path.with_name("deep").mkdir(exist_ok=True)
        path.rename(path.with_name(name) if "/" not in name else path.parent / name)
    assert sorted(observe(tmp_path)) == sorted(expected)
    assert read == []

    # Touched where it is: the time of change is all that tells it from one that was changed.
    here = tmp_path / "texts" / "z.txt"
    here.chmod(0o600)
    assert sorted(observe(tmp_path)) == sorted(expected)
    assert read == [str(here)]

    # A second name for one file, and a copy with the same dates.
    read.clear()
    status = (tmp_path / "texts" / "a.txt").stat()
    (tmp_path / "texts" / "copy.txt").write_bytes(b"x.txt text\n")
    os.utime(tmp_path / "texts" / "copy.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    observe(tmp_path)
    assert str(tmp_path / "texts" / "copy.txt") in read


def test_digests__are_known_in_every_corpus_of_a_store_until_long_unused(tmp_path, read, monkeypatch):
    path = write(tmp_path / "texts" / "a.txt", b"one\n")
    settle(path)
    observe(tmp_path)
    write(tmp_path / "texts" / "b.txt", b"two\n")
    read.clear()
    two = tmp_path / "texts" / "b.txt"
    observe(tmp_path, "texts/a.txt", "texts/b.txt")
    assert read == [str(two)]
    settle(two)
    observe(tmp_path, "texts/b.txt")
    read.clear()
    observe(tmp_path, "texts/a.txt")
    assert read == []
    monkeypatch.setattr(digests_module, "DAYS_KEPT", 0)
    third = write(tmp_path / "texts" / "c.txt", b"three\n")
    settle(third)
    observe(tmp_path, "texts/c.txt")
    read.clear()
    observe(tmp_path)
    assert read == [str(path), str(two)]


def test_digests__of_other_cuts_and_other_corpora_are_others(tmp_path, read):
    path = write(tmp_path / "texts" / "a.txt", b"one\n")
    settle(path)
    observe(tmp_path)
    observe(tmp_path)
    assert len(read) == 1
    observe(tmp_path, shard_mb=3)
    assert len(read) == 2


def test_digests__that_are_damaged_are_made_again(tmp_path, read):
    path = write(tmp_path / "texts" / "a.txt", b"one\n")
    settle(path)
    expected = observe(tmp_path)
    (record,) = (tmp_path / "store" / DIGESTS).rglob("record.json")
    content = record.read_bytes()
    for damaged in (b"", b"{}", b"[]", content.replace(b"0", b"1"), content.replace(expected[0].encode(), b"0" * 64), b"\xff"):
        assert damaged != content
        record.write_bytes(damaged)
        read.clear()
        assert observe(tmp_path) == expected
        assert len(read) == 1
        assert record.read_bytes() == content
