"""From configured paths to blocks of whole lines: which files, which bytes, and what is said about the ones that cannot be used."""

import bz2
import gzip
import lzma
import os
import random
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigurationError, InputError
from pipeline.sources import BLOCK_BYTES, find_text_files, invalid_text_error, is_compressed, line_cuts, read_blocks

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}
# About 200 kB that compress by half, so that archives have a middle.
TEXT = "".join(f"{number:x} Zeile {i}\n" for i, number in enumerate(random.Random(1).choices(range(1 << 60), k=7_000))).encode()
LINES = st.lists(st.one_of(st.just(b"\n"), st.binary(max_size=12)), max_size=30).map(b"".join)


def write(path, data=b"text\n"):
    """Write a file, its directories too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refused(kind, call):
    """The error of a call, which has all that a user needs."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.what
    assert error.details["remedy"]
    assert error.details["expected"]
    return error


# --- which files


def test_find_text_files__takes_text_below_a_directory(tmp_path):
    taken = ["a.txt", "b.text", "deep/er/c.txt.gz", "d.TXT", "e.text.bz2", "f.txt.xz", "g.txt.zst", "two words.txt"]
    for name in [*taken, "x.md", "x.gz", "x.txt.zip", "x.txt.bak", "txt", ".hidden.txt", ".git/a.txt", "deep/.cache/b.txt"]:
        write(tmp_path / "corpus" / name)
    assert find_text_files(["corpus"], tmp_path) == sorted(tmp_path / "corpus" / name for name in taken)


def test_find_text_files__takes_a_named_file_whatever_its_name(tmp_path):
    named = [write(tmp_path / name) for name in ("book.md", ".hidden", "odd[1].txt")]
    assert find_text_files(["book.md", ".hidden", "odd[1].txt"], tmp_path) == sorted(named)


def test_find_text_files__expands_globs_to_files(tmp_path):
    for name in ("a/1.txt", "a/2.md", "a/b/3.txt", "a/.4.txt"):
        write(tmp_path / name)
    assert find_text_files(["a/*"], tmp_path) == [tmp_path / "a/1.txt", tmp_path / "a/2.md"]
    assert find_text_files(["a/**/*.txt"], tmp_path) == [tmp_path / "a/1.txt", tmp_path / "a/b/3.txt"]
    assert find_text_files([f"{tmp_path}/a/[1].txt"], Path("/")) == [tmp_path / "a/1.txt"]


def test_find_text_files__names_each_file_once_in_order(tmp_path):
    first, second = write(tmp_path / "a.txt"), write(tmp_path / "b" / "c.txt")
    (tmp_path / "z.txt").symlink_to(first)
    paths = ["b/c.txt", "*.txt", ".", "b/../a.txt", str(second), "b"]
    assert find_text_files(paths, tmp_path) == [first, second]
    assert find_text_files(paths[::-1], tmp_path) == [first, second]


def test_find_text_files__does_not_follow_links_to_directories(tmp_path):
    file = write(tmp_path / "a" / "b.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert find_text_files(["a"], tmp_path) == [file]


def test_find_text_files__refuses_no_paths(tmp_path):
    refused(ConfigurationError, lambda: find_text_files([], tmp_path))


@pytest.mark.parametrize("name", ["missing.txt", "a.txt/b.txt", "missing/*.txt", "dir*"])
def test_find_text_files__refuses_a_path_that_means_nothing(tmp_path, name):
    write(tmp_path / "a.txt")
    (tmp_path / "directory").mkdir()
    error = refused(InputError, lambda: find_text_files(["a.txt", name], tmp_path))
    assert error.details["where"] == name
    assert str(tmp_path) in error.details["got"]
    assert ("glob" in error.what) == ("*" in name)


def test_find_text_files__says_which_suffixes_count(tmp_path):
    write(tmp_path / "corpus" / "page.html")
    error = refused(InputError, lambda: find_text_files(["corpus"], tmp_path))
    assert all(suffix in error.details["expected"] for suffix in (".txt", ".text", ".gz", ".bz2", ".xz", ".zst"))


@pytest.mark.parametrize("name", ["corpus", "corpus/*", "corpus/broken.txt"])
def test_find_text_files__refuses_a_broken_link(tmp_path, name):
    write(tmp_path / "corpus" / "a.txt")
    (tmp_path / "corpus" / "broken.txt").symlink_to("nowhere")
    error = refused(InputError, lambda: find_text_files([name], tmp_path))
    assert "broken.txt" in error.details["where"]


def test_find_text_files__refuses_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "regular" in refused(InputError, lambda: find_text_files(["pipe.txt"], tmp_path)).what


@pytest.mark.parametrize("closed", ["secret/a.txt", "secret"])
@pytest.mark.parametrize("name", ["secret", "secret/a.txt"])
def test_find_text_files__refuses_what_it_may_not_read(closed, name):
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        write(base / "secret" / "a.txt")
        base.chmod(0o755)
        (base / closed).chmod(0)
        if is_root:
            os.seteuid(65534)
        try:
            error = refused(InputError, lambda: find_text_files([name], base))
        finally:
            if is_root:
                os.seteuid(0)
            (base / closed).chmod(0o700)
    assert error.details["got"] == "Permission denied"
    assert "secret" in error.details["where"]


@pytest.mark.parametrize(("name", "expected"), [("a.txt", False), ("a.txt.gz", True), ("a.XZ", True), ("a.zst", True), ("gz", False)])
def test_is_compressed__goes_by_the_suffix(name, expected):
    assert is_compressed(Path(name)) is expected


# --- cuts


@settings(max_examples=200, deadline=None)
@given(LINES, st.integers(1, 40))
def test_line_cuts__covers_every_byte_once_at_line_borders(data, shard_bytes):
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.txt", data)
        cuts = line_cuts(path, shard_bytes)
        assert b"".join(data[start:stop] for start, stop in cuts) == data
        assert [start for start, _ in cuts] == [0, *(stop for _, stop in cuts)][: len(cuts)]
        for start, stop in cuts[:-1]:
            assert data[stop - 1 : stop] == b"\n"
            # The first border that far: none lies between.
            assert stop - start >= shard_bytes
            assert b"\n" not in data[start + shard_bytes - 1 : stop - 1]
        assert b"".join(block for start, stop in cuts for block in read_blocks(path, start, stop, 7)) == data.removeprefix(b"\xef\xbb\xbf")


def test_line_cuts__keeps_its_cuts_when_text_is_appended(tmp_path):
    before = line_cuts(write(tmp_path / "a.txt", TEXT), 10_000)
    after = line_cuts(write(tmp_path / "a.txt", TEXT + TEXT), 10_000)
    assert len(before) > 10
    assert after[: len(before) - 1] == before[:-1]


def test_line_cuts__crosses_lines_longer_than_a_shard_and_a_scan(tmp_path):
    data = b"a\n" + b"x" * 200_000 + b"\n" + b"b\n"
    assert line_cuts(write(tmp_path / "a.txt", data), 100) == [(0, 200_003), (200_003, 200_005)]


def test_line_cuts__has_none_for_an_empty_file(tmp_path):
    assert line_cuts(write(tmp_path / "a.txt", b""), 100) == []


def test_line_cuts__refuses_a_missing_file(tmp_path):
    refused(InputError, lambda: line_cuts(tmp_path / "a.txt", 100))


# --- blocks


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
@pytest.mark.parametrize("block_bytes", [1, 100, 4_096, BLOCK_BYTES])
def test_read_blocks__gives_whole_lines_and_every_byte(tmp_path, suffix, block_bytes):
    text = TEXT[:3_001] if block_bytes == 1 else TEXT
    path = write(tmp_path / f"a.txt{suffix}", COMPRESS.get(suffix, bytes)(text))
    blocks = list(read_blocks(path, block_bytes=block_bytes))
    assert b"".join(blocks) == text
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    assert all(blocks)
    # A block is what was read and the line begun before it.
    assert max(map(len, blocks)) <= block_bytes + max(map(len, text.splitlines(keepends=True)))
    assert len(blocks) > 1 or block_bytes > len(text)


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_read_blocks__reads_a_line_longer_than_a_block(tmp_path, suffix):
    text = b"first\n" + b"x" * 10_000 + b"\nlast, without an end"
    path = write(tmp_path / f"a.txt{suffix}", COMPRESS.get(suffix, bytes)(text))
    blocks = list(read_blocks(path, block_bytes=64))
    assert b"".join(blocks) == text
    assert max(map(len, blocks)) >= 10_001


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
@pytest.mark.parametrize("block_bytes", [1, 2, 1_000])
def test_read_blocks__leaves_out_a_byte_order_mark_at_the_start_only(tmp_path, suffix, block_bytes):
    mark = b"\xef\xbb\xbf"
    for text, expected in [(mark + b"a\n" + mark + b"b\n", b"a\n" + mark + b"b\n"), (mark, b""), (mark * 2, mark), (mark[:2], mark[:2])]:
        path = write(tmp_path / f"a.txt{suffix}", COMPRESS.get(suffix, bytes)(text))
        blocks = list(read_blocks(path, block_bytes=block_bytes))
        assert b"".join(blocks) == expected
        assert all(blocks)


def test_read_blocks__keeps_a_byte_order_mark_at_the_start_of_a_later_range(tmp_path):
    path = write(tmp_path / "a.txt", b"a\n\xef\xbb\xbfb\n")
    assert list(read_blocks(path, 2)) == [b"\xef\xbb\xbfb\n"]


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_read_blocks__gives_nothing_for_an_empty_text(tmp_path, suffix):
    assert list(read_blocks(write(tmp_path / f"a.txt{suffix}", COMPRESS.get(suffix, bytes)(b"")))) == []


def test_read_blocks__reads_a_range(tmp_path):
    path = write(tmp_path / "a.txt", b"one\ntwo\nthree\nfour\n")
    assert list(read_blocks(path, 4, 14)) == [b"two\nthree\n"]
    assert list(read_blocks(path, 14)) == [b"four\n"]
    assert list(read_blocks(path, 4, 4)) == []


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("block_bytes", [1_000, BLOCK_BYTES])
def test_read_blocks__reads_all_streams_of_an_archive(tmp_path, suffix, block_bytes):
    compress = COMPRESS[suffix]
    # An empty stream in the middle, a line across two.
    parts = [TEXT, b"", b"begun ", b"and ended\n", TEXT * 5]
    path = write(tmp_path / f"a.txt{suffix}", b"".join(map(compress, parts)))
    assert b"".join(read_blocks(path, block_bytes=block_bytes)) == b"".join(parts)


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_read_blocks__allows_zero_bytes_between_and_after_streams(tmp_path, suffix):
    stream = COMPRESS[suffix](TEXT)
    path = write(tmp_path / f"a.txt{suffix}", stream + bytes(8) + stream + bytes(300_000))
    assert b"".join(read_blocks(path)) == TEXT * 2


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kept", [0, 1, 3, 20, 0.5, -4, -1])
@pytest.mark.parametrize("whole", [0, 1])
def test_read_blocks__refuses_a_truncated_archive(tmp_path, suffix, kept, whole):
    stream = COMPRESS[suffix](TEXT)
    cut = stream[: int(len(stream) * kept) if kept == 0.5 else kept]
    if whole and not cut:
        cut = b"\x01"  # nothing cut off: a stray byte instead
    path = write(tmp_path / f"a.txt{suffix}", stream * whole + cut)
    error = refused(InputError, lambda: list(read_blocks(path)))
    assert error.details["where"] == str(path)
    assert error.details["got"]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("whole", [0, 1])
def test_read_blocks__refuses_what_is_no_archive(tmp_path, suffix, whole):
    path = write(tmp_path / f"a.txt{suffix}", COMPRESS[suffix](TEXT) * whole + b"plain text under a wrong name\n" * 9)
    assert "truncated or damaged" in refused(InputError, lambda: list(read_blocks(path))).what


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])  # pyarrow writes zstd without a checksum
def test_read_blocks__refuses_a_flipped_byte(tmp_path, suffix):
    stream = bytearray(COMPRESS[suffix](TEXT))
    stream[len(stream) // 2] ^= 0x10
    path = write(tmp_path / f"a.txt{suffix}", bytes(stream))
    refused(InputError, lambda: list(read_blocks(path)))


@pytest.mark.parametrize("suffix", ["", *COMPRESS])
def test_read_blocks__refuses_a_missing_file(tmp_path, suffix):
    error = refused(InputError, lambda: list(read_blocks(tmp_path / f"a.txt{suffix}")))
    assert error.details["got"] == "No such file or directory"


def test_read_blocks__refuses_a_file_that_became_shorter(tmp_path):
    path = write(tmp_path / "a.txt", b"one\ntwo\n")
    assert refused(InputError, lambda: list(read_blocks(path, 4, 12))).details["got"] == "8 bytes"


# --- invalid text

INVALID = {
    "Latin-1": ("Grüße aus Köln".encode("latin-1"), "not UTF-8", "WINDOWS-1252", ">>fc df 65 20<<"),
    "cut": ("a Straße".encode()[:7], "not UTF-8", "WINDOWS-1252", ">>c3<<"),
    "UTF-16 with a mark": ("Grüße".encode("utf-16"), "is UTF-16", "UTF-16", ">>ff fe 47 00<<"),
    "Chinese UTF-16 with a mark": ("汉字".encode("utf-16"), "is UTF-16", "UTF-16", ">>ff fe"),
    "UTF-16 without a mark": ("A text in Latin".encode("utf-16-be"), "is UTF-16", "UTF-16", ">>00 41 00 20<<"),
    "binary": (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0>\0\x01\0\0\0", "not text", "tr -d", ">>00 00 00 00<<"),
    "one NUL": ("über".encode() + b"\0 text", "not text", "tr -d", ">>00 20 74 65<<"),
}


@pytest.mark.parametrize("case", INVALID.values(), ids=INVALID.keys())
def test_invalid_text_error__says_what_the_file_seems_to_be(case):
    data, what, tool, shown = case
    nul = data.find(0)
    try:
        data.decode()
        offset = nul
    except UnicodeDecodeError as error:
        offset = error.start if nul < 0 else min(nul, error.start)
    # In UTF-16 nothing valid goes before.
    for before in [b""] if "UTF-16" in what else [b"", "Anfang, äö ".encode()]:
        error = invalid_text_error(Path("corpus/book.txt"), 1000 + offset, (before + data)[:40])
        assert what in error.what
        assert error.details["where"] == f"corpus/book.txt, byte {1000 + offset}"
        assert shown in error.details["got"]
        assert tool in error.details["remedy"]
        assert "leave book.txt out" in error.details["remedy"]


@pytest.mark.parametrize("skipped", [0, 1, 2])
def test_invalid_text_error__shows_the_defect_though_a_character_is_cut_before_it(skipped):
    around = ("한국 text".encode() + b"\xff more")[skipped:]
    assert ">>ff 20 6d 6f<<" in invalid_text_error(Path("a.txt"), 500, around).details["got"]


def test_invalid_text_error__shows_a_stray_continuation_byte_at_the_start():
    assert ">>80 61 ff" in invalid_text_error(Path("a.txt"), 0, b"\x80a\xff").details["got"]


def test_invalid_text_error__counts_in_the_decompressed_text():
    error = invalid_text_error(Path("corpus/book.txt.gz"), 7, b"\xff")
    assert error.details["where"] == "corpus/book.txt.gz, byte 7 of its decompressed text"
    assert "UTF-8 book.txt >" in error.details["remedy"]
