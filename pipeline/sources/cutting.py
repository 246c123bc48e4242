"""Where a file is cut into shards, and the digests of the file and of its shards: one read from front to back."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from pipeline.choices import Format
from pipeline.sources.cuts import Cut, CutFile
from pipeline.sources.errors import unreadable
from pipeline.sources.formats import Kind
from pipeline.sources.parquet import footer_start, group_cuts
from pipeline.sources.ranges import open_file
from pipeline.storage.keys import READ_BYTES


def cut_file(location: str, kind: Kind, column: str, shard_bytes: int) -> CutFile:
    """Cut a file into shards of about `shard_bytes` bytes.

    Plain text and JSON Lines are cut behind the first line that ends at or after so many bytes. Cuts are made from the front, so lines
    appended later leave all shards but the last as they were. Parquet is cut between row groups that have so many bytes of text, and every
    shard's digest is of the footer too, without which its bytes mean nothing. Everything else is one shard.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    with open_file(location) as file:
        try:
            if kind.format is Format.PARQUET:
                return _cut_at(file, group_cuts(file, column, shard_bytes))
            if kind.compression or kind.format not in (Format.TEXT, Format.JSONL):
                return _cut_lines(file, None)
            return _cut_lines(file, max(shard_bytes, 1))
        except OSError as error:
            raise unreadable(location, error) from error


def _cut_lines(file: BinaryIO | Any, shard_bytes: int | None) -> CutFile:
    whole, part = hashlib.sha256(), hashlib.sha256()
    cuts: list[Cut] = []
    start = position = 0
    with ThreadPoolExecutor(1) as beside:
        while block := file.read(READ_BYTES):
            of_whole = beside.submit(whole.update, block)
            rest = memoryview(block)
            while shard_bytes and len(rest) >= (least := max(0, start + shard_bytes - position)):
                border = block.find(b"\n", len(block) - len(rest) + max(0, least - 1)) + 1
                if not border:
                    break
                n_bytes = border - (len(block) - len(rest))
                part.update(rest[:n_bytes])
                position += n_bytes
                cuts.append(Cut(start, position, part.hexdigest()))
                start, part, rest = position, hashlib.sha256(), rest[n_bytes:]
            part.update(rest)
            position += len(rest)
            of_whole.result()
    if position > start:
        cuts.append(Cut(start, position, part.hexdigest()))
    return CutFile(whole.hexdigest(), tuple(cuts))


def _cut_at(file: BinaryIO | Any, starts: list[int]) -> CutFile:
    """Parquet, by the first bytes of its shards. The last has the footer twice: as a part of its range, and behind it as all have."""
    size = int(file.seek(0, 2))
    whole, parts = hashlib.sha256(), []
    for start, stop in zip(starts, [*starts[1:], size], strict=True):
        parts.append(hashlib.sha256())
        for block in _blocks(file, start, stop):
            whole.update(block)
            parts[-1].update(block)
    for block in _blocks(file, footer_start(file), size):
        for part in parts:
            part.update(block)
    ranges = zip(starts, [*starts[1:], size], parts, strict=True)
    return CutFile(whole.hexdigest(), tuple(Cut(start, stop, part.hexdigest()) for start, stop, part in ranges if size))


def digest_of_groups(location: str, start: int, stop: int) -> str:
    """The digest that a shard of Parquet is known by, as the file is now.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    digest = hashlib.sha256()
    with open_file(location) as file:
        try:
            for first, last in ((start, stop), (footer_start(file), int(file.seek(0, 2)))):
                for block in _blocks(file, first, last):
                    digest.update(block)
        except OSError as error:
            raise unreadable(location, error) from error
    return digest.hexdigest()


def _blocks(file: BinaryIO | Any, start: int, stop: int) -> Iterator[bytes]:
    """The bytes of a range, as far as they are there."""
    file.seek(start)
    left = stop - start
    while left > 0 and (block := file.read(min(left, READ_BYTES))):
        yield block
        left -= len(block)
