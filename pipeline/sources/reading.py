"""The text of a shard, whatever its format: what `tokenize` reads."""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.choices import Format
from pipeline.sources.account import Account
from pipeline.sources.archives import BrokenArchiveError, decompressed
from pipeline.sources.cutting import digest_of_groups
from pipeline.sources.delimited import table_texts
from pipeline.sources.errors import changed
from pipeline.sources.json_lines import json_texts
from pipeline.sources.lines import plain_text, whole_lines
from pipeline.sources.parquet import parquet_texts
from pipeline.sources.ranges import HashedRange
from pipeline.sources.shard import SourceShard


@dataclass(frozen=True)
class Pass:
    """What a pass over a shard knows before it starts. Most shards need one pass: defects are rare, and looking for them takes time."""

    longest: int  # bytes of a record, line feed included
    checked: bool = False  # whether there are lines of plain text that are not UTF-8, or have NULs
    broken: BrokenArchiveError | None = None  # what has been found in the archive


def read_shard(shard: SourceShard, account: Account, this: Pass) -> Iterator[bytes]:
    """The text of a shard in blocks of whole lines; only the last block may lack its last line feed.

    All of it is valid UTF-8 without NULs, but plain text only in a pass that is `checked`: whoever finds a defect in another must begin
    again with one that is. Broken records are dropped or mended as the account's policy says, and reported to it.

    Parameters
    ----------
    shard
        What to read.
    account
        A new one; hears what becomes of every record and byte.
    this
        What is known of the shard.

    Raises
    ------
    BrokenArchiveError
        When text has been given that cannot be trusted: begin again with a pass that knows.
    InputError
        When broken records end the run, or the file cannot be read or is not what it was when its digest was made.
    """
    if shard.format is Format.PARQUET:
        yield from parquet_texts(shard, account, this.longest)
        if digest_of_groups(shard.location, shard.start, shard.stop) != shard.sha256:
            raise changed(shard.location)
        return
    with HashedRange(shard.location, shard.start, shard.stop) as source:
        chunks = decompressed(source, shard.compression, this.broken) if shard.compression else source.blocks()
        lines = whole_lines(account.counted(chunks), this.longest, account)
        match shard.format:
            case Format.JSONL:
                yield from json_texts(lines, shard.column, account)
            case Format.CSV | Format.TSV:
                yield from table_texts(lines, shard.column, this.longest, account)
            case _:
                yield from plain_text(lines, account, checked=this.checked)
        if source.sha256() != shard.sha256:
            raise changed(shard.location)
