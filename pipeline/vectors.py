"""Trained vectors in use: read from Parquet, look words up, find neighbours and solve analogies.

The command that answers one question about one word imports this file, so it needs NumPy and pyarrow only: nothing here may import
Numba, SciPy, Dask or Prefect.
"""

# V vocabulary, D dimension

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import StoreError, UsageError

SPELLINGS_COMPARED = 20_000  # words compared letter by letter with an unknown one: about 0.1 s, whatever V is
SPELLINGS_OFFERED = 3
REBUILD = "Remove the artifact's directory; the next run makes it again."


USUAL = "usual"  # the side of a model that users mean by its vectors


class Side(StrEnum):
    """Which of a word's two vectors is used."""

    INPUT = "input"
    OUTPUT = "output"
    SUM = "sum"
    MEAN = "mean"


@dataclass(frozen=True)
class Neighbour:
    """A word near to what was asked."""

    word: str
    similarity: float
    """Cosine, -1 to 1."""
    count: int
    """Occurrences in the training text."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector a word; the row number is the word's rank by count."""

    words: pa.StringArray
    """Distinct words, length V, most frequent first."""
    counts: npt.NDArray[np.int64]
    """int64[V], occurrences in the training text, never rising."""
    matrix: npt.NDArray[np.float32]
    """float32[V, D], as trained; may be read-only."""

    def __len__(self) -> int:
        return len(self.words)

    def head(self, n_words: int) -> "Vectors":
        """The `n_words` most frequent words (all of them when there are fewer), without copying."""
        return Vectors(self.words.slice(0, n_words), self.counts[:n_words], self.matrix[:n_words])

    @cached_property
    def norms(self) -> npt.NDArray[np.float64]:
        """float64[V], Euclidean lengths; summed in double precision, so that no float32 overflows or vanishes when squared.

        Raises
        ------
        StoreError
            When a vector holds NaN or an infinity.
        """
        norms: npt.NDArray[np.float64] = np.sqrt(np.einsum("vd,vd->v", self.matrix, self.matrix, dtype=np.float64))
        finite = np.isfinite(norms)
        if not finite.all():
            raise StoreError(
                "The vectors hold values that are not numbers: their training diverged.",
                got=f"{np.count_nonzero(~finite):,} of {len(self):,} words, {self.words[int(finite.argmin())].as_py()!r} first",
                expected="finite values",
                remedy="Train again with a lower learning rate.",
            )
        return norms

    @cached_property
    def unit(self) -> npt.NDArray[np.float32]:
        """float32[V, D], every row scaled to length 1; zero rows stay zero.

        Raises
        ------
        StoreError
            When a vector holds NaN or an infinity.
        """
        return np.divide(self.matrix, self._divisors[:, None], out=np.empty_like(self.matrix), casting="same_kind")

    def directions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """float64[len(rows), D], these rows scaled to length 1 in double precision; zero rows stay zero.

        Raises
        ------
        StoreError
            When a vector holds NaN or an infinity.
        """
        directions: npt.NDArray[np.float64] = self.matrix[rows] / self._divisors[rows, None]
        return directions

    def find(self, words: Iterable[str] | pa.StringArray) -> npt.NDArray[np.int64]:
        """int64[n], the row of each word, -1 where it is unknown.

        The table is built of the words asked and the vocabulary runs past it: 18 ms for two words among 3 M, where a table of the
        vocabulary takes 650 ms.
        """
        asked = pa.array(words, pa.string()).dictionary_encode()
        places = pc.index_in(self.words, value_set=asked.dictionary)
        rows = np.flatnonzero(places.is_valid().to_numpy(zero_copy_only=False))
        row_of = np.full(len(asked.dictionary), -1, dtype=np.int64)
        row_of[places.drop_null().to_numpy()] = rows
        found: npt.NDArray[np.int64] = row_of[asked.indices.to_numpy()]
        return found

    def similar(self, words: str | Sequence[str], n: int = 10, n_candidates: int | None = None) -> list[Neighbour]:
        """The `n` words with the highest cosine to the mean direction of `words`, which are left out; the more frequent first in ties.

        With `n_candidates`, only so many most frequent words can be answers.

        Raises
        ------
        UsageError
            When no word is given, or one is unknown.
        StoreError
            When a vector holds NaN or an infinity.
        """
        rows = self._known([words] if isinstance(words, str) else list(words))
        return self._nearest(self.directions(rows).sum(axis=0), rows, n, n_candidates)

    def analogy(self, a: str, b: str, c: str, n: int = 10, n_candidates: int | None = None) -> list[Neighbour]:
        """The `n` best words x for "a is to b as c is to x": the highest cosine to b - a + c (3CosAdd), without a, b and c.

        Raises
        ------
        UsageError
            When a word is unknown.
        StoreError
            When a vector holds NaN or an infinity.
        """
        rows = self._known([a, b, c])
        from_a, to_b, from_c = self.directions(rows)
        return self._nearest(to_b - from_a + from_c, rows, n, n_candidates)

    def closest_spellings(self, word: str) -> list[str]:
        """Up to three known words that look like an unknown one: other cases of it first, then by matching letters.

        Only the most frequent words whose length differs by two letters at most are compared, so the time is bounded for any V.
        """
        cases = list(dict.fromkeys([word.lower(), word.capitalize(), word.upper()]))
        known = [case for case, row in zip(cases, self.find(cases), strict=True) if row >= 0]
        lengths = pc.utf8_length(self.words).to_numpy()
        rows = np.flatnonzero(abs(lengths - len(word)) <= 2)[:SPELLINGS_COMPARED]
        alike = difflib.get_close_matches(word.lower(), self.words.take(pa.array(rows)).to_pylist(), n=SPELLINGS_OFFERED)
        return list(dict.fromkeys([*known, *alike]))[:SPELLINGS_OFFERED]

    @cached_property
    def _divisors(self) -> npt.NDArray[np.float64]:
        """The lengths, with 1 in place of 0."""
        return np.where(self.norms > 0, self.norms, 1.0)

    def _known(self, words: list[str]) -> npt.NDArray[np.int64]:
        """The rows of words that must be known."""
        if not words:
            raise UsageError("No word was given.", expected="one or more words of the vocabulary")
        rows = self.find(words)
        unknown = list(dict.fromkeys(word for word, row in zip(words, rows, strict=True) if row < 0))
        if unknown:
            raise UsageError(
                f"The vectors do not know {_quoted(unknown)}.",
                got=" ".join(words),
                expected=f"words among the {len(self):,} of the vocabulary",
                remedy=" ".join(self._advice(word) for word in unknown),
            )
        return rows

    def _advice(self, word: str) -> str:
        close = self.closest_spellings(word)
        if close:
            return f'Close to "{word}": {_quoted(close)}.'
        return f'No known word looks like "{word}"; the most frequent are {_quoted(self.words.slice(0, SPELLINGS_OFFERED).to_pylist())}.'

    def _nearest(
        self, query: npt.NDArray[np.float64], excluded: npt.NDArray[np.int64], n: int, n_candidates: int | None
    ) -> list[Neighbour]:
        """The `n` rows outside `excluded` with the highest cosine to query float64[D]; the lowest row first in ties.

        One einsum over the stored matrix: against a BLAS product with a normalised copy it is as fast (2.3 ms for 71,290 x 100),
        copies nothing, and gives equal rows equal scores.
        """
        length = float(np.sqrt((query * query).sum()))
        pointer = (query / (length or 1.0)).astype(np.float32)
        scores = np.einsum("vd,d->v", self.matrix, pointer) / self._divisors
        scores[excluded] = -np.inf
        scores[len(self) if n_candidates is None else n_candidates :] = -np.inf
        n_kept = min(max(n, 0), int(np.isfinite(scores).sum()))
        if n_kept == 0:
            return []
        threshold = np.partition(scores, -n_kept)[-n_kept]
        rows = np.flatnonzero(scores >= threshold)
        rows = rows[np.argsort(-scores[rows], kind="stable")][:n_kept]
        return [Neighbour(self.words[int(row)].as_py(), float(np.clip(scores[row], -1.0, 1.0)), int(self.counts[row])) for row in rows]


def read_words(path: Path) -> pa.StringArray:
    """The words of a file of vectors, most frequent first.

    Raises
    ------
    StoreError
        When the file is missing, damaged, or has no such column.
    """
    try:
        words = pq.read_table(path, columns=["token"], use_threads=False, page_checksum_verification=True)["token"].combine_chunks()
    except (OSError, KeyError, pa.ArrowException) as error:
        raise StoreError("A table of vectors cannot be read.", where=str(path), got=str(error), remedy=REBUILD) from error
    return words if isinstance(words, pa.Array) else words.chunk(0)


def read_vectors(path: Path, side: Side = Side.INPUT, n_words: int | None = None) -> Vectors:
    """The vectors of one Parquet file: token string, count int64, input and output fixed_size_list<float32>[D].

    Only the columns that `side` needs are read, and with `n_words` only so many of the most frequent words. A file of one row group becomes
    the matrix without a copy (35 ms for 71,290 x 100).

    Raises
    ------
    StoreError
        When the file is missing, damaged, has other columns or nulls, or is not ordered by count.
    """
    sides = [side.value] if side in (Side.INPUT, Side.OUTPUT) else [Side.INPUT.value, Side.OUTPUT.value]
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(path, file.schema_arrow, sides)
            table = _first_rows(file, ["token", "count", *sides], n_words)
        words, counts = table["token"].combine_chunks(), table["count"].to_numpy()
        matrices = [_matrix(table[name]) for name in sides]
    except (OSError, pa.ArrowException) as error:
        raise StoreError("A table of vectors cannot be read.", where=str(path), got=str(error), remedy=REBUILD) from error
    if words.null_count or table["count"].null_count:
        raise StoreError("A table of vectors has words or counts that are missing.", where=str(path), remedy=REBUILD)
    if (counts[1:] > counts[:-1]).any():
        raise StoreError(
            "A table of vectors is not ordered by count.", where=str(path), expected="the most frequent word first", remedy=REBUILD
        )
    if side in (Side.INPUT, Side.OUTPUT):
        return Vectors(words, counts, matrices[0])
    total = matrices[0] + matrices[1]
    return Vectors(words, counts, total if side is Side.SUM else total * np.float32(0.5))


def _first_rows(file: pq.ParquetFile, columns: list[str], n_rows: int | None) -> pa.Table:
    """All rows of a file, or the first ones, whose pages alone are read then."""
    if n_rows is None or n_rows >= file.metadata.num_rows:
        return file.read(columns=columns, use_threads=False)
    batches, n_read = [], 0
    for batch in file.iter_batches(batch_size=n_rows, columns=columns, use_threads=False):
        batches.append(batch.slice(0, n_rows - n_read))
        n_read += len(batches[-1])
        if n_read == n_rows:
            break
    return pa.Table.from_batches(batches)


def _check_columns(path: Path, schema: pa.Schema, sides: list[str]) -> None:
    """Raise StoreError unless the columns needed are there, with their types."""
    found = {field.name: field.type for field in schema}
    shapes = {found[name] for name in sides if name in found}
    fitting = (
        found.get("token") == pa.string()
        and found.get("count") == pa.int64()
        and all(name in found for name in sides)
        and all(pa.types.is_fixed_size_list(shape) and shape.value_type == pa.float32() and shape.list_size > 0 for shape in shapes)
        and len(shapes) == 1
    )
    if not fitting:
        raise StoreError(
            "A Parquet file does not hold vectors.",
            where=str(path),
            got=", ".join(f"{name}: {kind}" for name, kind in found.items()),
            expected=f"token: string, count: int64, {' and '.join(sides)}: fixed_size_list of float32",
            remedy="Give the vectors of a finished training; files of other programs are not read.",
        )


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[np.float32]:
    """float32[V, D] of a column of fixed-size lists; a view of Arrow's memory when it is one chunk."""
    size = column.type.list_size
    if column.null_count:
        raise pa.ArrowInvalid("a vector is null")
    parts = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, size) for chunk in column.chunks]
    if not parts:
        return np.empty((0, size), dtype=np.float32)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _quoted(words: list[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
