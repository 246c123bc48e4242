"""Files in every format for the tests, and what is read of them."""

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.choices import Broken, Format
from pipeline.reasons import LeftOut
from pipeline.sources.account import Account
from pipeline.sources.archives import BrokenArchiveError
from pipeline.sources.cutting import cut_file
from pipeline.sources.defects import first_invalid
from pipeline.sources.formats import kind_of
from pipeline.sources.reading import Pass, read_shard
from pipeline.sources.shard import SourceShard

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def write(path, data=b"text\n"):
    """Write a file, its directories too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def packed(data, suffix):
    """Bytes as a file with this suffix has them."""
    return COMPRESS.get(suffix, bytes)(data)


def json_lines(texts, key="text"):
    """Records with some other keys, escaped or not."""
    return b"".join(
        json.dumps({"id": number, key: text, "tags": ["a", {key: 1}]}, ensure_ascii=number % 2 == 0).encode() + b"\n"
        for number, text in enumerate(texts)
    )


def table(texts, delimiter=",", column="text"):
    """A table of three columns, the text in the middle."""
    out = io.StringIO(newline="")
    if delimiter == "\t":
        rows = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_NONE, quotechar=None, lineterminator="\n")
    else:
        rows = csv.writer(out)
    rows.writerows([["id", column, "rest"], *([number, text, "é"] for number, text in enumerate(texts))])
    return out.getvalue().encode()


def write_parquet(path, texts, kind=None, column="text", **options):
    """A table with the text and its numbers."""
    values = pa.array(texts, type=kind or pa.string())
    pq.write_table(pa.table({"id": pa.array(range(len(texts))), column: values}), path, **options)
    return path


def shards_of(path: Path, shard_bytes=1 << 30, format_=Format.AUTO, column="text"):
    """The shards of a file."""
    kind = kind_of(str(path), format_)
    cut = cut_file(str(path), kind, column, shard_bytes)
    assert cut.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [one.start for one in cut.cuts] == [0, *(one.stop for one in cut.cuts)][: len(cut.cuts)]
    assert sum(one.stop - one.start for one in cut.cuts) == path.stat().st_size
    return [SourceShard(str(path), kind.format, kind.compression, column, cut.sha256, one.start, one.stop, one.sha256) for one in cut.cuts]


def read(shard, broken=Broken.SKIP, longest=1 << 24, checked=True):
    """The blocks of a shard in as many passes as it takes, and the account of the last; everything adds up."""
    this = Pass(longest, checked)
    while True:
        account = Account(shard, broken)
        try:
            blocks = list(read_shard(shard, account, this))
            break
        except BrokenArchiveError as error:
            assert this.broken is None
            this = Pass(longest, checked, error)
    assert all(blocks)
    assert all(block.endswith(b"\n") for block in blocks[:-1])
    if checked or shard.format is not Format.TEXT:
        assert all(first_invalid(block) < 0 for block in blocks)
    *on_disk, bytes_tally, records_tally = account.tallies()
    assert [tally.n_in for tally in on_disk] == ([shard.n_bytes] if shard.compression or shard.format is Format.PARQUET else [])
    assert account.n_lost == sum(n for tally in on_disk for n in tally.dropped.values())
    rows = account.quarantine().to_pylist()
    dropped = [row for row in rows if not row["kept"]]
    for tally, name in ((bytes_tally, "bytes"), (records_tally, "records")):
        assert sum(n for reason, n in tally.dropped.items() if reason not in list(LeftOut)) == sum(row[name] for row in dropped)
    assert account.n_broken == sum(row["records"] for row in rows)
    return blocks, account


def paragraphs(blocks):
    """The lines of blocks of text, without byte order marks at their starts, which belong to no token."""
    text = b"".join(blocks).decode()
    lines = text.split("\n")
    return [tidy(line) for line in (lines if lines[-1] else lines[:-1])]


def tidy(line):
    """A line as `paragraphs` has it."""
    return line.lstrip("\ufeff")
