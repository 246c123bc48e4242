"""Ranges of files, here or in an object store, as streams that are hashed while they are read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import pyarrow as pa

from pipeline.configuration import is_url
from pipeline.sources.errors import shortened, unreadable
from pipeline.sources.remote import open_url
from pipeline.storage.keys import READ_BYTES

BLOCK_BYTES = 4 << 20  # text that is read and handed on at a time


def open_file(location: str) -> BinaryIO | Any:
    """A file to be read anywhere, by its path or URL: unbuffered, or an object of pyarrow with the same methods.

    Raises
    ------
    InputError
        When it cannot be opened.
    """
    if is_url(location):
        return open_url(location)
    try:
        return Path(location).open("rb", buffering=0)
    except OSError as error:
        raise unreadable(location, error) from error


class HashedRange:
    """The bytes start..stop-1 of a file, to be read once, in order. Use it in `with`.

    Raises
    ------
    InputError
        When the file cannot be opened or read, or ends before `stop`.
    """

    def __init__(self, location: str, start: int, stop: int) -> None:
        self._location, self.n_bytes, self.n_read = location, stop - start, 0
        self._file = open_file(location)
        try:
            self._file.seek(start)
            # One request of an object store for many reads.
            self._stream = pa.BufferedInputStream(self._file, BLOCK_BYTES) if isinstance(self._file, pa.NativeFile) else self._file
        except OSError as error:
            self._file.close()
            raise unreadable(location, error) from error
        self._digest = hashlib.sha256()

    def read(self, n_bytes: int) -> bytes:
        """The next bytes, at most `n_bytes`; none at the end."""
        try:
            data: bytes = self._stream.read(min(n_bytes, self.n_bytes - self.n_read))
        except OSError as error:
            raise unreadable(self._location, error) from error
        if not data and self.n_read < self.n_bytes and n_bytes:
            raise shortened(self._location, self.n_bytes - self.n_read)
        self.n_read += len(data)
        self._digest.update(data)
        return data

    def blocks(self) -> Iterator[bytes]:
        """What is left in blocks of at most BLOCK_BYTES."""
        return iter(lambda: self.read(BLOCK_BYTES), b"")

    def sha256(self) -> str:
        """The digest of the whole range; reads what has not been read."""
        while self.read(READ_BYTES):
            pass
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
