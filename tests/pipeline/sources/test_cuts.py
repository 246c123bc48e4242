"""Where files are cut, and the digests that shards are known by."""

import hashlib
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.choices import Format
from pipeline.errors import InputError
from pipeline.sources.cutting import cut_file
from pipeline.sources.formats import Kind, belongs, kind_of
from tests.pipeline.sources.written import COMPRESS, packed, shards_of, write, write_parquet

LINES = st.lists(st.one_of(st.just(b"\n"), st.binary(max_size=12)), max_size=30).map(b"".join)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@settings(max_examples=200)
@given(LINES, st.integers(1, 40), st.sampled_from(["a.txt", "a.jsonl"]))
def test_cut_file__covers_every_byte_once_at_line_borders(data, shard_bytes, name):
    with tempfile.TemporaryDirectory() as directory:
        shards = shards_of(write(Path(directory) / name, data), shard_bytes)
    assert b"".join(data[shard.start : shard.stop] for shard in shards) == data
    for shard in shards:
        part = data[shard.start : shard.stop]
        assert shard.sha256 == sha256(part)
        if shard is not shards[-1]:
            assert part.endswith(b"\n")
            # The first border that far: none lies between.
            assert len(part) >= shard_bytes
            assert b"\n" not in part[shard_bytes - 1 : -1]


def test_cut_file__crosses_its_blocks_and_lines_that_are_longer(tmp_path):
    data = b"a\n" + b"x" * 3_000_000 + b"\n" + b"b\n" * 700_000 + b"end"
    shards = shards_of(write(tmp_path / "a.txt", data), 1_000_000)
    assert [(shard.start, shard.stop) for shard in shards] == [(0, 3_000_003), (3_000_003, 4_000_003), (4_000_003, 4_400_006)]
    assert [shard.sha256 for shard in shards] == [sha256(data[shard.start : shard.stop]) for shard in shards]


def test_cut_file__keeps_its_cuts_when_text_is_appended(tmp_path):
    text = b"".join(b"line %d\n" % number for number in range(2000))
    before = shards_of(write(tmp_path / "a.txt", text), 1000)
    after = shards_of(write(tmp_path / "a.txt", text + text), 1000)
    assert len(before) > 10
    assert [shard.link.digest for shard in after[: len(before) - 1]] == [shard.link.digest for shard in before[:-1]]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_cut_file__takes_what_cannot_be_cut_as_one_shard(tmp_path, suffix):
    for name in (f"a.txt{suffix}", f"b.jsonl{suffix}", f"c.csv{suffix}"):
        (shard,) = shards_of(write(tmp_path / name, packed(b"some\nlines\n" * 99, suffix)), 5)
        assert shard.sha256 == shard.file_sha256
    assert len(shards_of(write(tmp_path / "c.csv", b"text\na\nb\n"), 1)) == 1


def test_cut_file__cuts_parquet_between_row_groups_by_their_text(tmp_path):
    texts = [f"{number:>99}" for number in range(100)]
    path = write_parquet(tmp_path / "a.parquet", texts, row_group_size=10, use_dictionary=False)
    assert pq.read_metadata(path).num_row_groups == 10
    assert [len(shards_of(path, shard_bytes)) for shard_bytes in (1, 1500, 3000, 1 << 30)] == [10, 5, 4, 1]
    assert len(shards_of(path, 1, column="elsewhere")) == 1
    digests = {shard.sha256 for shard in shards_of(path, 1)}
    assert len(digests) == 10
    # The same rows under another name mean something else: the footer counts.
    renamed = write_parquet(tmp_path / "b.parquet", texts, row_group_size=10, use_dictionary=False, column="body")
    assert digests.isdisjoint(shard.sha256 for shard in shards_of(renamed, 1, column="body"))
    copy = write(tmp_path / "c.parquet", path.read_bytes())
    assert {shard.sha256 for shard in shards_of(copy, 1)} == digests


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no table at all", b"PAR1" + bytes(20) + b"PAR1"])
def test_cut_file__does_not_cut_what_is_no_parquet(tmp_path, data):
    assert [(shard.start, shard.stop) for shard in shards_of(write(tmp_path / "a.parquet", data), 1)] == [(0, len(data))][: len(data)]


@pytest.mark.parametrize("format_", [Format.TEXT, Format.PARQUET])
def test_cut_file__refuses_a_missing_file(tmp_path, format_):
    with pytest.raises(InputError) as caught:
        cut_file(str(tmp_path / "a.txt"), Kind(format_, ""), "text", 100)
    assert caught.value.details["got"] == "No such file or directory"


@pytest.mark.parametrize(
    ("name", "format_", "compression"),
    [
        ("a.txt", "text", ""),
        ("a.TXT.GZ", "text", ".gz"),
        ("dir.csv/a", "text", ""),
        ("a.md", "text", ""),
        ("a.zst", "text", ".zst"),
        ("c4.00001.json.gz", "jsonl", ".gz"),
        ("a.ndjson.bz2", "jsonl", ".bz2"),
        ("a.csv.xz", "csv", ".xz"),
        ("a.tsv", "tsv", ""),
        ("a.Parquet", "parquet", ""),
        ("gz", "text", ""),
    ],
)
def test_kind_of__goes_by_the_suffixes_unless_a_format_is_named(name, format_, compression):
    assert kind_of(name, Format.AUTO) == Kind(Format(format_), compression)
    assert kind_of(name, Format.TSV) == Kind(Format.TSV, compression)


def test_belongs__leaves_json_to_those_who_ask_for_it():
    assert not belongs("dataset_info.json", Format.AUTO)
    assert belongs("a.json", Format.JSONL)
    assert not belongs("a.txt", Format.JSONL)
    assert not belongs("a.parquet.gz", Format.AUTO)
