"""Vectors in the formats of the word2vec program, text and binary, which gensim and most other programs read.

Both files begin with a line "V D". Then comes, for each word, the word, a space and its D numbers: as decimals with a space between them,
or as little-endian float32; a line feed ends each word. Counts are not part of the format.
"""

# V vocabulary, D dimension

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.vectors import Vectors

FLOATS_A_CHUNK = 1 << 20  # numbers formatted at once: about 15 MB of text


def write_word2vec_text(vectors: Vectors, path: Path) -> None:
    """Write `vectors` as word2vec text; the file appears whole or not at all.

    Every number has the fewest digits that name the same float32, so reading gives the same bits back. Formatting in Arrow takes
    0.1 s a million numbers, `repr` in Python seven times that.

    Raises
    ------
    UsageError
        When a word is empty or holds white space, which the format cannot express, or `path` cannot be written.
    """
    _write(vectors, path, _text_lines)


def write_word2vec_binary(vectors: Vectors, path: Path) -> None:
    """Write `vectors` as word2vec binary; the file appears whole or not at all.

    Raises
    ------
    UsageError
        When a word is empty or holds white space, which the format cannot express, or `path` cannot be written.
    """
    _write(vectors, path, _binary_lines)


def _write(vectors: Vectors, path: Path, lines: Callable[[pa.StringArray, npt.NDArray[np.float32]], pa.Array]) -> None:
    """Write the head and, a chunk of words at a time, what `lines` makes of them: one array element a word."""
    _check_words(vectors.words, path)
    n_words, n_dimensions = vectors.matrix.shape
    words_a_chunk = max(1, FLOATS_A_CHUNK // n_dimensions)
    with _replacing(path) as file:
        file.write(f"{n_words} {n_dimensions}\n".encode())
        for first in range(0, n_words, words_a_chunk):
            chunk = lines(vectors.words.slice(first, words_a_chunk), vectors.matrix[first : first + words_a_chunk])
            whole = pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)
            file.write(pc.binary_join(whole, b"\n")[0].as_buffer())
            file.write(b"\n")


def _text_lines(words: pa.StringArray, matrix: npt.NDArray[np.float32]) -> pa.Array:
    """One byte string a word: the word and its numbers, a space between them."""
    numbers = pc.cast(pa.array(matrix.ravel()), pa.string())
    starts = np.arange(0, matrix.size + 1, matrix.shape[1], dtype=np.int32)
    return pc.binary_join_element_wise(words, pc.binary_join(pa.ListArray.from_arrays(pa.array(starts), numbers), " "), " ").cast(
        pa.binary()
    )


def _binary_lines(words: pa.StringArray, matrix: npt.NDArray[np.float32]) -> pa.Array:
    """One byte string a word: the word, a space and its numbers."""
    kind = pa.binary(4 * matrix.shape[1])
    rows = pa.Array.from_buffers(kind, len(matrix), [None, pa.py_buffer(np.ascontiguousarray(matrix, dtype="<f4"))])
    return pc.binary_join_element_wise(words.cast(pa.binary()), rows.cast(pa.binary()), b" ")


def _check_words(words: pa.StringArray, path: Path) -> None:
    """Raise UsageError when a word would be read back as another."""
    broken = words.filter(pc.match_substring_regex(words, r"^$|[ \t\n\v\f\r]"))
    if len(broken):
        raise UsageError(
            "The word2vec format cannot hold words that are empty or contain white space.",
            where=str(path),
            got=f"{len(broken):,} such words, {broken[0].as_py()!r} first",
            remedy="Use the Parquet file of the vectors, which holds any word.",
        )


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place when the block ends well, and is removed when it does not."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise UsageError(
            "The vectors cannot be written there.",
            where=str(path),
            got=error.strerror or str(error),
            expected="a file in a directory that exists, that this user may write, with room for it",
            remedy="Choose another path.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    """Wait until a directory's entries are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
