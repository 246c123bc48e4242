"""Every format, compressed or not, cut anywhere, broken in any way, gives the paragraphs of the reference, and accounts for all."""

import gzip
import itertools
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.choices import Broken
from pipeline.errors import InputError
from pipeline.reasons import Reason
from pipeline.sources.account import ROWS_EACH, Account
from pipeline.sources.archives import BrokenArchiveError
from pipeline.sources.reading import Pass, read_shard
from tests.pipeline.sources.written import (
    COMPRESS,
    json_lines,
    packed,
    paragraphs,
    read,
    shards_of,
    table,
    tidy,
    write,
    write_parquet,
)
from tests.reference import sources as reference

SUFFIXES = ("", *COMPRESS)
MARK = b"\xef\xbb\xbf"
# Line ends of every kind, quotes, characters of every width, and a word.
LETTERS = st.sampled_from(["a", "über", " ", ",", '"', "'", "\n", "\r", "\r\n", "한국", "𝔘", "\u2028", "\ufeff", "\\", "."])
TEXTS = st.lists(st.lists(LETTERS, max_size=8).map("".join), max_size=12)
SHARD_BYTES = st.sampled_from([1, 10, 50, 1 << 30])
# What may stand among the lines of a file.
ROUGH = st.lists(
    st.one_of(
        st.sampled_from([b"a b\n", b"\n", b"\r\n", b"\r", MARK, b"\0", b"\xff", b"\xc3", b"\xe2\x82", "é\n".encode(), b"x" * 30 + b"\n"]),
        st.binary(max_size=6),
    ),
    max_size=25,
).map(b"".join)
ROUGH_JSON = st.lists(
    st.sampled_from(
        [
            b'{"text": "a b"}\n',
            b'{"text": "a\\nb\\r\\nc\\rd"}\r\n',
            b'{"text": "\\ud800"}\n',
            b'{"text": "\\ud835\\udd18"}\n',
            b'{"text": "\\u0000 x"}\n',
            b'{"text": "\xff"}\n',
            b'{"text": "\0"}\n',
            b'{"text": null}\n',
            b'{"text": 3}\n',
            b'{"body": "a"}\n',
            b'["text"]\n',
            b'"text"\n',
            b'{"text": "a"\n',
            MARK + b'{"text": "marked"}\n',
            b"\n",
            b" \r\n",
            b"[" * 20_000 + b"\n",
            b'{"n": ' + b"9" * 5_000 + b', "text": "long number"}\n',
            b'{"text": "' + b"x" * 60 + b'"}\n',
        ]
    ),
    max_size=20,
).map(b"".join)


def read_all(path, broken=Broken.SKIP, longest=1 << 24, shard_bytes=1 << 30, column="text"):
    """The paragraphs of a file, read shard by shard, and the number of records that are broken."""
    found, n_broken = [], 0
    for shard in shards_of(path, shard_bytes, column=column):
        blocks, account = read(shard, broken, longest)
        found += paragraphs(blocks)
        n_broken += account.n_broken
    return found, n_broken


@settings(max_examples=200)
@given(ROUGH, SHARD_BYTES, st.sampled_from([5, 31, 1 << 24]), st.booleans(), st.sampled_from(SUFFIXES))
def test_read_shard__of_rough_text_gives_what_the_reference_gives(data, shard_bytes, longest, mend, suffix):
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / f"a.txt{suffix}", packed(data, suffix))
        found, n_broken = read_all(path, Broken.REPLACE if mend else Broken.SKIP, longest, shard_bytes)
    expected, n_expected = reference.read_text(data, longest, mend)
    # A mark that is all that a shard has is no line; as the last line of a file it is an empty one.
    assert ([line for line in found if line], n_broken) == ([tidy(line) for line in expected if tidy(line)], n_expected)


@settings(max_examples=200)
@given(ROUGH_JSON, st.booleans(), SHARD_BYTES, st.sampled_from([50, 1 << 24]), st.booleans(), st.sampled_from(SUFFIXES))
def test_read_shard__of_rough_json_lines_gives_what_the_reference_gives(data, is_cut, shard_bytes, longest, mend, suffix):
    data = data[:-3] if is_cut else data
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / f"a.jsonl{suffix}", packed(data, suffix))
        found, n_broken = read_all(path, Broken.REPLACE if mend else Broken.SKIP, longest, shard_bytes)
    expected, n_expected = reference.read_json_lines(data, "text", longest, mend)
    assert (found, n_broken) == ([tidy(line) for line in expected], n_expected)


@settings(max_examples=150)
@given(TEXTS, st.sampled_from(SUFFIXES), SHARD_BYTES, st.sampled_from(["text", "the text, quoted"]))
def test_read_shard__gives_the_same_paragraphs_from_every_format(texts, suffix, shard_bytes, column):
    expected = [tidy(paragraph) for text in texts for paragraph in reference.paragraphs(text)]
    flat = [text.replace("\n", " ").replace("\r", " ") for text in texts]
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        json_path = write(base / f"a.jsonl{suffix}", packed(json_lines(texts, column), suffix))
        csv_path = write(base / f"b.csv{suffix}", packed(MARK + table(texts, column=column), suffix))
        tsv_path = write(base / f"c.tsv{suffix}", packed(table(flat, "\t", column), suffix))
        parquet_path = write_parquet(base / "d.parquet", texts, column=column, row_group_size=3, compression="zstd")
        for path in (json_path, csv_path, parquet_path):
            assert read_all(path, Broken.FAIL, shard_bytes=shard_bytes, column=column) == (expected, 0)
        assert read_all(tsv_path, Broken.FAIL, column=column) == ([tidy(text) for text in flat], 0)
        assert [tidy(line) for line in reference.read_table(MARK + table(texts, column=column), column, ",")] == expected
        assert len(shards_of(csv_path, 1)) == len(shards_of(tsv_path, 1)) == 1


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([b"a\nb", b"", None, b"\xff a", b"nul \0", "über\r".encode(), b"x" * 40]), max_size=12),
    st.booleans(),
    SHARD_BYTES,
)
def test_read_shard__of_rough_parquet_gives_its_sound_rows(values, mend, shard_bytes):
    with tempfile.TemporaryDirectory() as directory:
        path = write_parquet(Path(directory) / "a.parquet", values, "binary", row_group_size=2)
        found, n_broken = read_all(path, Broken.REPLACE if mend else Broken.SKIP, 39, shard_bytes)
    texts = [reference.decoded(value, mend) for value in values if value is not None and len(value) < 40]
    assert found == [tidy(paragraph) for text in texts if text is not None for paragraph in reference.paragraphs(text)]
    assert n_broken == sum(value is not None and (len(value) == 40 or reference.decoded(value, False) is None) for value in values)


@settings(max_examples=100)
@given(ROUGH)
def test_read_shard__unchecked_gives_sound_lines_as_they_are(data):
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.txt", data)
        for shard in shards_of(path, 20):
            blocks, account = read(shard, checked=False)
            assert account.n_broken == 0
            assert b"".join(blocks).count(b"\n") <= account.n_records <= b"".join(blocks).count(b"\n") + 1
            if not read(shard)[1].n_broken:
                assert b"".join(read(shard)[0]) == b"".join(blocks)


# --- archives


TEXT = b"".join(b"%06d Zeile\n" % number for number in range(9_000))


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, -4, -1])
@pytest.mark.parametrize("n_whole", [0, 1])
def test_read_shard__keeps_the_whole_lines_of_a_truncated_archive(tmp_path, suffix, share, n_whole):
    stream = COMPRESS[suffix](TEXT)
    cut = stream[: int(len(stream) * share) or 1] if share >= 0 else stream[:share]
    (shard,) = shards_of(write(tmp_path / f"a.txt{suffix}", stream * n_whole + cut))
    blocks, account = read(shard)
    text = b"".join(blocks)
    assert (TEXT * 2).startswith(text)
    assert text.endswith(b"\n") or not text
    assert len(text) >= len(TEXT) * n_whole - (1 << 16 if suffix == ".zst" else 0)
    assert share < 0.5 or suffix in (".bz2", ".zst") or len(text) >= len(TEXT) * n_whole + len(TEXT) // 2
    (row,) = account.quarantine().to_pylist()
    assert (row["offset"], row["records"], row["reason"], row["kept"]) == (len(text), 1, Reason.TRUNCATED, False)
    assert row["at"] == row["offset"] + row["bytes"]
    with pytest.raises(InputError, match="truncated") as caught:
        read(shard, Broken.FAIL)
    assert caught.value.details["where"].startswith(str(shard.location))


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("n_whole", [0, 2])
@pytest.mark.parametrize("damage", ["flipped", "rubbish"])
def test_read_shard__keeps_only_sound_streams_of_a_damaged_archive(tmp_path, suffix, n_whole, damage):
    """Arrow writes zstd without a checksum, and does not say where a frame ends."""
    stream = COMPRESS[suffix](TEXT)
    bad = bytearray(stream)
    bad[len(bad) // 2] ^= 0x10
    bad = bytes(bad) if damage == "flipped" else b"plain text under a wrong name\n" * 9
    (shard,) = shards_of(write(tmp_path / f"a.txt{suffix}", stream * n_whole + bad))
    if suffix == ".zst" and damage == "flipped":
        pytest.skip("without a checksum nobody can see it")
    blocks, account = read(shard)
    n_sound = 0 if suffix == ".zst" else n_whole
    assert b"".join(blocks) == TEXT * n_sound
    (row,) = account.quarantine().to_pylist()
    assert (row["offset"], row["records"], row["bytes"], row["reason"]) == (len(TEXT) * n_sound, 1, 0, Reason.DAMAGED)
    with pytest.raises(InputError, match=r"damaged|not UTF-8|NUL"):
        read(shard, Broken.FAIL)


def test_read_shard__sees_damage_of_zstd_by_its_checksum(tmp_path):
    """Of a frame as the program `zstd` writes it."""
    frame = bytes.fromhex("28b52ffd045895000058676f6f640a6c696e65730a01004e53c50bc314f842")
    (shard,) = shards_of(write(tmp_path / "a.txt.zst", frame))
    assert b"".join(read(shard)[0]) == b"good\nlines\n" * 20
    (shard,) = shards_of(write(tmp_path / "b.txt.zst", frame.replace(b"good", b"food")))
    blocks, account = read(shard)
    assert b"".join(blocks) == b""
    (row,) = account.quarantine().to_pylist()
    assert row["reason"] == Reason.DAMAGED
    with pytest.raises(InputError, match="damaged"):
        read(shard, Broken.FAIL)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_read_shard__reads_all_streams_of_an_archive(tmp_path, suffix):
    compress = COMPRESS[suffix]
    parts = [TEXT, b"", b"begun ", b"and ended\n", TEXT * 5]  # an empty stream in the middle, a line across two
    between = b"" if suffix == ".zst" else bytes(8)
    (shard,) = shards_of(write(tmp_path / f"a.txt{suffix}", between.join(map(compress, parts)) + between * 40_000))
    assert b"".join(read(shard)[0]) == b"".join(parts)


def test_read_shard__of_a_bomb_holds_blocks_only(tmp_path):
    """40 MB of text in 40 kB, in lines that are too long."""
    line = b"word " * 4_000_000
    (shard,) = shards_of(write(tmp_path / "a.txt.gz", gzip.compress(line + b"\nshort\n" + line, 1)))
    blocks, account = read(shard, longest=1 << 20)
    assert blocks == [b"short\n"]
    assert [row["bytes"] for row in account.quarantine().to_pylist()] == [20_000_001, 20_000_000]


# --- one defect each


def broken_rows(path, broken=Broken.SKIP, **options):
    """The rows of quarantine of a file of one shard, and its text."""
    (shard,) = shards_of(path)
    blocks, account = read(shard, broken, **options)
    return account.quarantine().to_pylist(), b"".join(blocks)


CSV_HEAD = b'id,text\n1,"a\nb"\n'
DEFECTS = {
    "latin-1": ("a.txt", b"good\nxx caf\xe9 au\ngood\n", Reason.NOT_UTF8, 5, 11, ">>e9 20 61 75<<", b"good\ngood\n"),
    "utf-16": ("a.txt", "Grüße\n".encode("utf-16"), Reason.UTF16, 0, 0, ">>ff fe 47 00<<", b""),
    "nul": ("a.txt", b"good\nbad \0 line\n", Reason.NUL, 5, 9, ">>00 20 6c 69<<", b"good\n"),
    "mark": ("a.txt", MARK + b"bad\xff\ngood\n", Reason.NOT_UTF8, 3, 6, ">>ff 0a", b"good\n"),
    "long": ("a.txt", b"good\n" + b"x" * 1001 + b"\ngood\n", Reason.TOO_LONG, 5, 5, "1,002 bytes that begins with 'xxx", b"good\ngood\n"),
    "no json": ("a.jsonl", b'{"text": "good"}\n{"text": bad}\n', Reason.NOT_JSON, 17, 26, "Expecting value", b"good\n"),
    "a list": ("a.jsonl", b'["text"]\n', Reason.NOT_JSON, 0, 0, "an array", b""),
    "no key": ("a.jsonl", b'{"body": 1, "id": 2}\n', Reason.NO_COLUMN, 0, 0, "the keys 'body', 'id'", b""),
    "a number": ("a.jsonl", b'{"text": 1}\n', Reason.NOT_TEXT, 0, 0, "a number", b""),
    "surrogate": ("a.jsonl", b'{"text": "\\udc00"}\n', Reason.NOT_UTF8, 0, 0, "\\udc00", b""),
    "short row": ("a.csv", CSV_HEAD + b"2\n3,good\n", Reason.NO_COLUMN, 16, 16, "a row of 1 fields", b"a\nb\ngood\n"),
    "open quote": ("a.csv", CSV_HEAD + b'2,"good\n', Reason.NOT_CSV, 16, 16, "unexpected end of data", b"a\nb\n"),
    "stray quote": ("a.csv", CSV_HEAD + b'2,"x" y\n3,good\n', Reason.NOT_CSV, 16, 16, "expected after", b"a\nb\ngood\n"),
    "long row": ("a.csv", CSV_HEAD + b'2,"' + b"x\n" * 600 + b"3,good\n", Reason.TOO_LONG, 16, 16, "more than 1,000 bytes", b"a\nb\n"),
    "csv latin-1": ("a.csv", CSV_HEAD + b'"2\n",caf\xe9\n3,good\n', Reason.NOT_UTF8, 16, 24, ">>e9 0a<<", b"a\nb\ngood\n"),
    "no column": ("a.csv", b"id,body\n1,a\n2,b\n", Reason.NO_COLUMN, 0, 0, "the columns 'id', 'body'", b""),
    "no tsv column": ("a.tsv", b"id,text\n1,a\n", Reason.NO_COLUMN, 0, 0, "the columns 'id,text'", b""),
    "no parquet": ("a.parquet", b"id,text\n1,a\n", Reason.DAMAGED, 0, 0, "Parquet", b""),
}


@pytest.mark.parametrize("case", DEFECTS.values(), ids=DEFECTS.keys())
def test_read_shard__says_what_is_broken_and_where(case, tmp_path):
    name, data, reason, offset, at, got, text = case
    path = write(tmp_path / name, data)
    rows, found = broken_rows(path, longest=1000)
    assert found.startswith(text)
    assert (rows[0]["reason"], rows[0]["offset"], rows[0]["at"]) == (reason, offset, at)
    assert got in rows[0]["got"]
    with pytest.raises(InputError) as caught:
        broken_rows(path, Broken.FAIL, longest=1000)
    error = caught.value
    assert got in error.details["got"]
    assert error.details["where"] == f"{path}, {'row' if name.endswith('parquet') else 'byte'} {at}"
    assert error.details["expected"]
    assert f"leave {name} out" in error.details["remedy"]


def test_read_shard__takes_a_json_line_in_any_company_as_it_takes_it_alone(tmp_path):
    """Blocks without anything unusual are parsed in another way."""
    odd = {
        b'{"text": "a", "x": ' + b"[" * 3000 + b"]" * 3000 + b"}": "a",
        b'{"text": "a", "x": ' + b"9" * 6000 + b"}": "a",
        b'{"text": "a", "x": Inf}': "a",
        b'{"text": "a", "x": [NaN, -Infinity, 1e999]}': "a",
        b'{"text": "a", "x": 1, "text": "b"}': "b",
        b'{"text": "a", "x": "\\ud800"}': "a",
        b'{"text": "a", "x": {"text": 1}, "": {}}': "a",
        b'{"te\\u0078t": "a"}': "a",
        b' {"text": "a"} ': "a",
        b'{"text": "a"}{"text": "b"}': None,
        b'{"text": "a"},{"text": "b"}': None,
        b'{"text":\n"a"}': None,
        b'{"x": [{}': None,
        b'{"text": "a", "x": 01}': None,
        b'{"text": "a",}': None,
        b"{'text': 'a'}": None,
        b"{}": None,
        b"": None,
        b'{"text": "2020-01-01T00:00:00Z"}': "2020-01-01T00:00:00Z",
        b'{"text": "x\\r\\ny\\rz\\r"}': "x\ny\nz\n",
        b'{"text": "\\ud835\\udd18"}\r': "𝔘",
    }
    good = b'{"text": "good"}\n'
    for line, text in odd.items():
        expected = b"" if text is None else text.encode() + b"\n"
        for before, behind in ((b"", b""), (good, b""), (b"", good), (good, good), (b"{bad}\n", good), (good * 2, b"\xff\n" + good)):
            rows, found = broken_rows(write(tmp_path / "a.jsonl", before + line + b"\n" + behind))
            n_before, n_behind = before.count(b"good"), behind.count(b"good")
            assert found == b"good\n" * n_before + expected + b"good\n" * n_behind, line
            is_broken = text is None and bool(line)
            assert sum(row["records"] for row in rows) == is_broken * (1 + line.count(b"\n")) + (b"bad" in before) + (b"\xff" in behind)


MISFITS = {
    "ints": ([1, 2, 3], "int64", "text", Reason.NOT_TEXT, "int64"),
    "name": (["a"] * 3, "string", "body", Reason.NO_COLUMN, "'id', 'body'"),
}


@pytest.mark.parametrize("case", MISFITS.values(), ids=MISFITS.keys())
def test_read_shard__of_parquet_without_such_a_column_counts_every_row(case, tmp_path):
    values, kind, column, reason, got = case
    (shard,) = shards_of(write_parquet(tmp_path / "a.parquet", values, kind, column))
    blocks, account = read(shard)
    assert not blocks
    (row,) = account.quarantine().to_pylist()
    assert (row["reason"], row["records"]) == (reason, 3)
    assert got in row["got"]
    on_disk = account.tallies()[0]
    assert (on_disk.unit, on_disk.n_in, on_disk.n_kept, on_disk.dropped) == ("bytes on disk", shard.n_bytes, 0, {reason: shard.n_bytes})


@pytest.mark.parametrize("kind", ["string", "large_string", "binary", "large_binary", "string_view", "binary_view"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_read_shard__of_parquet_takes_every_type_of_text(kind, dictionary, tmp_path):
    values = ["über", None, "a\nb", "über"]
    values = values if "string" in kind else [value and value.encode() for value in values]
    path = write_parquet(tmp_path / "a.parquet", values, kind)
    if dictionary and "view" not in kind:
        encoded = pa.table({"text": pa.array(values, kind).dictionary_encode()})
        pq.write_table(encoded, path)
    rows, text = broken_rows(path)
    assert (rows, text) == ([], "über\na\nb\nüber\n".encode())


def test_read_shard__of_damaged_parquet_loses_the_rest_of_a_row_group(tmp_path):
    texts = [f"row {number}" for number in range(3000)]
    path = write_parquet(
        tmp_path / "a.parquet", texts, row_group_size=1000, write_page_checksum=True, use_dictionary=False, compression="none"
    )
    data = bytearray(path.read_bytes())
    data[data.index(b"row 1500")] ^= 1
    path.write_bytes(data)
    (shard,) = shards_of(path)
    blocks, account = read(shard)
    rows, text = account.quarantine().to_pylist(), b"".join(blocks)
    n_lost = 3000 - text.count(b"\n")
    assert text == b"".join(b"row %d\n" % number for number in range(3000) if not 2000 - n_lost <= number < 2000)
    assert 0 < n_lost <= 1000
    assert [(row["reason"], row["offset"], row["records"]) for row in rows] == [(Reason.DAMAGED, 2000 - n_lost, n_lost)]
    metadata = pq.read_metadata(path).row_group(1)
    assert account.tallies()[0].dropped == {Reason.DAMAGED: sum(metadata.column(i).total_compressed_size for i in (0, 1)) * n_lost // 1000}


def test_read_shard__sums_up_what_is_broken_again_and_again(tmp_path):
    path = write(tmp_path / "a.txt", b"\xff\n" * (ROWS_EACH + 50) + b"good\n" + b"x\0\n" * 7)
    rows, text = broken_rows(path)
    assert text == b"good\n"
    assert len(rows) == ROWS_EACH + 2
    assert [(row["reason"], row["offset"], row["records"], row["bytes"]) for row in rows[-2:]] == [
        (Reason.NUL, 2 * ROWS_EACH + 105, 7, 21),
        (Reason.NOT_UTF8, 2 * ROWS_EACH, 50, 100),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("later", [b"one\nTWO\n", b"one\n", b"one\ntwo\nthree\n"])
def test_read_shard__notices_a_file_that_has_changed(tmp_path, suffix, later):
    path = write(tmp_path / f"a.txt{suffix}", packed(b"one\ntwo\n", suffix))
    (shard,) = shards_of(path)
    path.write_bytes(packed(later, suffix))
    if later.startswith(b"one\ntwo") and not suffix:
        assert b"".join(read(shard)[0]) == b"one\ntwo\n"  # as it was, whatever was written behind it
        return
    with pytest.raises(InputError, match=r"changed while|became shorter"):
        read(shard)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_read_shard__notices_a_file_that_changes_between_two_blocks(tmp_path, suffix):
    rng = np.random.default_rng(1)
    lines = [b"%x\n" % n for n in rng.integers(0, 2**62, 600_000)]  # 9 MB, which do not compress well
    path = write(tmp_path / f"a.txt{suffix}", packed(b"".join(lines), suffix))
    (shard,) = shards_of(path)
    blocks = read_shard(shard, Account(shard, Broken.SKIP), Pass(1 << 24, checked=True))
    assert next(blocks)
    with path.open("r+b") as file:
        file.write(packed(b"".join(reversed(lines)), suffix)[: path.stat().st_size])
    with pytest.raises((InputError, BrokenArchiveError)):
        list(blocks)
    if suffix:  # what a broken archive is taken for, the next pass knows better
        with pytest.raises(InputError, match=r"changed while|became shorter"):
            read(shard)


def test_read_shard__notices_parquet_that_has_changed(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ["a"] * 9, row_group_size=3)
    shards = shards_of(path, 1)
    assert len(shards) == 3
    write_parquet(path, ["a"] * 9, row_group_size=3, column="body")
    for shard in shards:
        with pytest.raises(InputError, match="changed while"):
            read(shard)


def test_read_shard__gives_blocks_of_bounded_size(tmp_path):
    texts = ["word " * 200] * 12_000  # 12 MB
    for path in (
        write(tmp_path / "a.txt", "".join(text + "\n" for text in texts).encode()),
        write(tmp_path / "a.txt.zst", packed("".join(text + "\n" for text in texts).encode(), ".zst")),
        write(tmp_path / "a.jsonl", json_lines(texts)),
        write(tmp_path / "a.csv", table(texts)),
        write_parquet(tmp_path / "a.parquet", texts, use_dictionary=False),
    ):
        (shard,) = shards_of(path)
        sizes = [len(block) for block in read(shard)[0]]
        assert sum(sizes) == 12_000 * 1001
        assert max(sizes) <= (4 << 20) + 2000


def test_shard__link_tells_formats_and_columns_apart_whatever_the_path(tmp_path):
    content = json_lines(["a"])
    links = []
    for name, column in itertools.product(("a.txt", "a.jsonl", "b.jsonl", "c.csv"), ("text", "body")):
        (shard,) = shards_of(write(tmp_path / name, content), column=column if not name.endswith("txt") else "")
        links.append((shard.link.stage, shard.link.key, shard.link.digest))
    assert len(set(links)) == 5
    assert not any("a.jsonl" in part for link in links for part in link)


def test_read_shard__of_parquet_reads_again_what_failed_once(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "a.parquet", [f"row {number}" for number in range(9000)], row_group_size=5000)
    iter_batches, n_failed = pq.ParquetFile.iter_batches, []

    def failing(file, **options):
        for number, batch in enumerate(iter_batches(file, **options)):
            if number == 1 and not n_failed:
                n_failed.append(1)
                raise OSError("a time-out of the network")
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", failing)
    rows, text = broken_rows(path)
    assert n_failed
    assert (rows, text.count(b"\n")) == ([], 9000)
    assert text == b"".join(b"row %d\n" % number for number in range(9000))


def test_read_shard__of_text_with_a_defect_in_every_line_takes_linear_time(tmp_path):
    lines = b"caf\xe9 \n" * 400_000
    path = tmp_path / "latin.txt"
    path.write_bytes(lines)
    rows, text = broken_rows(path, checked=True)
    assert text == b""
    assert sum(row["records"] for row in rows) == 400_000
