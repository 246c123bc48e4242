"""The text of compressed files, and what can be saved of those that are truncated or damaged."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from pipeline.reasons import Reason
from pipeline.sources.ranges import BLOCK_BYTES, HashedRange

_READ_BYTES = 1 << 18
# Of a zstd file that is cut off, what came out in the last call is lost: hence small ones.
_ZSTD_BYTES = 1 << 16


class BrokenArchiveError(Exception):
    """A compressed file is truncated or damaged; never leaves the tokenizing of its shard.

    Parameters
    ----------
    reason
        TRUNCATED or DAMAGED.
    n_trusted
        How many bytes of its text can be trusted: of a truncated file all that came out, of a damaged one those of the compressed streams
        before the damaged one, whose checksums were right. A flipped bit shows late: before it does, wrong text may have come out.
    got
        What is wrong, for people.
    n_lost
        How many bytes of the file itself gave no text that can be trusted.
    """

    def __init__(self, reason: Reason, n_trusted: int, got: str, n_lost: int = 0) -> None:
        super().__init__(got)
        self.reason, self.n_trusted, self.got, self.n_lost = reason, n_trusted, got, n_lost


def decompressed(source: HashedRange, compression: str, broken: BrokenArchiveError | None = None) -> Iterator[bytes]:
    """The text of a compressed file in chunks of at most BLOCK_BYTES. Several compressed streams in one file are one text.

    Parameters
    ----------
    source
        The whole file, not read yet.
    compression
        Its suffix in lower case.
    broken
        What an earlier reading of the same file has found: this one then ends behind the text that can be trusted.

    Raises
    ------
    BrokenArchiveError
        When the file is truncated or damaged. Then more text may have come out than can be trusted.
    InputError
        When the file cannot be read.
    """
    n_bytes = 0
    for chunk in _zstd(source) if compression == ".zst" else _streams(source, _DECOMPRESSORS[compression]):
        if broken and n_bytes + len(chunk) >= broken.n_trusted:
            yield chunk[: broken.n_trusted - n_bytes]
            raise broken
        n_bytes += len(chunk)
        yield chunk


class _Decompressor(Protocol):
    """What bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Gzip:
    """zlib's decompressor with the methods of bz2's and lzma's. It checks the header and the checksum."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        text = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # With all input taken there may be more text still, when there was no room for it.
        self.needs_input = len(text) < max_length and not self._zlib.unconsumed_tail
        return text


_DECOMPRESSORS: dict[str, Callable[[], _Decompressor]] = {".gz": _Gzip, ".bz2": bz2.BZ2Decompressor, ".xz": lzma.LZMADecompressor}


def _streams(source: HashedRange, decompressor: Callable[[], _Decompressor]) -> Iterator[bytes]:
    """The text of all streams of a file, which zero bytes may separate.

    The standard library's own files take a damaged second stream for trailing rubbish, and leave out the rest without a word.
    """
    n_text = n_trusted = n_passed = 0
    try:
        data = source.read(_READ_BYTES)
        while data:
            stream = decompressor()
            while not stream.eof:
                if stream.needs_input and not data and not (data := source.read(_READ_BYTES)):
                    raise BrokenArchiveError(Reason.TRUNCATED, n_text, "the file ends inside a compressed stream")
                text = stream.decompress(data, BLOCK_BYTES)
                data = b""
                if text:
                    n_text += len(text)
                    yield text
            n_trusted = n_text
            data = stream.unused_data.lstrip(b"\0")
            while not data and (chunk := source.read(_READ_BYTES)):
                data = chunk.lstrip(b"\0")
            n_passed = source.n_read - len(data)
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise BrokenArchiveError(Reason.DAMAGED, n_trusted, str(error), source.n_bytes - n_passed) from error


def _zstd(source: HashedRange) -> Iterator[bytes]:
    """The text of all frames of a file; where one ends, Arrow does not tell."""
    n_text = 0
    waiting: list[bytes] = []
    try:
        with pa.CompressedInputStream(pa.PythonFile(_Unclosed(source), mode="r"), "zstd") as stream:
            while text := stream.read(_ZSTD_BYTES):
                n_text += len(text)
                waiting.append(text)
                if len(waiting) == BLOCK_BYTES // _ZSTD_BYTES:
                    yield b"".join(waiting)
                    waiting = []
    except OSError as error:
        yield b"".join(waiting)
        if "truncated" in str(error).lower():
            raise BrokenArchiveError(Reason.TRUNCATED, n_text, str(error)) from error
        raise BrokenArchiveError(Reason.DAMAGED, 0, str(error), source.n_bytes) from error
    yield b"".join(waiting)


class _Unclosed:
    """A source as Arrow wants a Python file to be; closing it is not Arrow's business."""

    closed = False

    def __init__(self, source: HashedRange) -> None:
        self.read = source.read

    def close(self) -> None:
        """Nothing."""
