"""Parquet files with a checked schema: how every stage writes and reads tables, and flat text (codes and sentence borders) above all."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import StoreError
from pipeline.storage.artifact import FileRecord
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import BIGRAMS, COOCCURRENCES, SENTENCES, list_of

SENTENCES_A_GROUP = 8192  # rows of one Parquet row group: what a reader holds at once
# Checksums of pages (CRC-32) show a flipped byte at the next read; they cost nothing that can be measured.
_ALWAYS: dict[str, object] = {"write_statistics": False, "write_page_checksum": True}


@dataclass(frozen=True)
class Text:
    """Sentences of integer codes: sentence s is `codes[offsets[s]:offsets[s + 1]]`."""

    codes: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    @property
    def n_sentences(self) -> int:
        """Number of sentences."""
        return len(self.offsets) - 1

    def part(self, first: int, last: int) -> "Text":
        """Sentences first..last-1, without copying the codes."""
        begin, end = self.offsets[first], self.offsets[last]
        return Text(self.codes[begin:end], self.offsets[first : last + 1] - begin)

    def cut(self, n_codes: int) -> Iterator["Text"]:
        """The same sentences in parts of at most so many codes, or of one sentence that is longer, without copying the codes."""
        first = 0
        while first < self.n_sentences:
            last = max(first + 1, int(np.searchsorted(self.offsets, self.offsets[first] + n_codes, side="right")) - 1)
            yield self.part(first, last)
            first = last


def write_table(directory: Path, name: str, schema: pa.Schema, batches: pa.Table | Iterable[pa.RecordBatch]) -> FileRecord:
    """Write one Parquet file of an artifact and describe it.

    Raises
    ------
    pyarrow.ArrowInvalid
        When a batch has not the declared schema: a defect of ours.
    """
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    n_rows = 0
    with pq.ParquetWriter(path, schema, **_encoding(schema)) as writer:
        for batch in batches.to_batches() if isinstance(batches, pa.Table) else batches:
            n_rows += batch.num_rows
            writer.write_batch(batch.cast(schema))
    return describe_file(directory, name, n_rows)


def _encoding(schema: pa.Schema) -> dict[str, object]:
    """zstd with split bytes for lists of int32 (1.7 bytes a token, faster than plain zstd's 2.1); vectors as they are, for fast reads.

    Lists of uint8 are split too: three of four bytes are zeros. With a dictionary they take 0.01 bytes less, and a fifth longer. Cells of
    co-occurrences, with split ids and a dictionary of counts, take 4.5 bytes, not 5.9, and are written and read in half the time. Bigrams,
    which are read once and removed, take 30 ns to write and 12 to read, not 95 and 45, at the same size.
    """
    if schema.equals(BIGRAMS):
        return _ALWAYS | {"use_dictionary": ["count"], "compression": "lz4", "column_encoding": {"bigram": "BYTE_STREAM_SPLIT"}}
    if schema.equals(COOCCURRENCES):
        split_ids = {"row": "BYTE_STREAM_SPLIT", "column": "BYTE_STREAM_SPLIT"}
        return _ALWAYS | {"use_dictionary": ["count"], "compression": "zstd", "compression_level": 1, "column_encoding": split_ids}
    options = _ALWAYS | {"use_dictionary": False}
    if any(pa.types.is_fixed_size_list(field.type) for field in schema):
        return options | {"compression": "none"}
    lists = (list_of(pa.int32()), list_of(pa.uint8()))
    split = {f"{field.name}.list.element": "BYTE_STREAM_SPLIT" for field in schema if field.type in lists}
    return options | {"compression": "zstd", "compression_level": 1, "column_encoding": split or None}


def describe_file(directory: Path, name: str, n_rows: int) -> FileRecord:
    """The record of a finished file: rows, bytes and digest."""
    path = directory / name
    return FileRecord(name, n_rows, path.stat().st_size, digest_of_file(path))


def read_table(path: Path, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """A whole Parquet file, checked against its schema.

    Raises
    ------
    StoreError
        When the file is missing, damaged, or has another schema.
    """
    with _opened(path, schema) as file:
        return file.read(columns=columns, use_threads=False)


def read_batches(path: Path, schema: pa.Schema, n_rows: int) -> Iterator[pa.RecordBatch]:
    """A Parquet file, checked against its schema, `n_rows` rows at a time.

    Raises
    ------
    StoreError
        When the file is missing, damaged, or has another schema.
    """
    with _opened(path, schema) as file:
        yield from file.iter_batches(batch_size=n_rows, use_threads=False)


def count_rows(path: Path) -> int:
    """Rows of a Parquet file, from its footer.

    Raises
    ------
    StoreError
        When the file is missing or its footer damaged.
    """
    with _explained_errors(path):
        return int(pq.read_metadata(path).num_rows)


def count_checked_rows(path: Path, schema: pa.Schema) -> int:
    """Rows of a Parquet file, from its footer, whose schema is checked.

    Raises
    ------
    StoreError
        When the file is missing, its footer damaged, or it has another schema.
    """
    with _opened(path, schema) as file:
        return int(file.metadata.num_rows)


def count_bytes(path: Path) -> int:
    """Bytes of a Parquet file's columns before they were compressed, from its footer.

    Raises
    ------
    StoreError
        When the file is missing or its footer damaged.
    """
    with _explained_errors(path):
        metadata = pq.read_metadata(path)
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


def count_elements(path: Path) -> int:
    """Elements of the first column's lists, from the footer; exact where no list is empty.

    Raises
    ------
    StoreError
        When the file is missing or its footer damaged.
    """
    with _explained_errors(path):
        metadata = pq.read_metadata(path)
    return sum(metadata.row_group(group).column(0).num_values for group in range(metadata.num_row_groups))


def read_text(path: Path, first: int = 0, last: int | None = None) -> Iterator[Text]:
    """Sentences first..last-1 of a sentences file, a row group at a time.

    Raises
    ------
    StoreError
        When the file is missing, damaged, or has another schema.
    """
    with _opened(path, SENTENCES) as file:
        begin = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            low, high = max(first, begin), end if last is None else min(last, end)
            if low < high:
                rows = file.read_row_group(group, use_threads=False)["tokens"].combine_chunks().slice(low - begin, high - low)
                yield Text(*flat_lists(rows))
            begin = end


def flat_lists(lists: pa.ListArray) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Values and offsets (from 0) of a list array, without copying the values."""
    offsets = lists.offsets.to_numpy().astype(np.int64)
    return lists.values.to_numpy()[offsets[0] : offsets[-1]], offsets - offsets[0]


def list_array(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], kind: pa.DataType) -> pa.ListArray:
    """A list column of our schemas over flat values, without copying them."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values), type=kind)


@contextlib.contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    with _explained_errors(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        if not file.schema_arrow.equals(schema):
            raise pa.ArrowInvalid(f"its columns are {file.schema_arrow.names}, not {schema.names} with the declared types")
        n_rows = sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
        if file.metadata.num_rows != n_rows:  # the one number of the footer that Arrow takes unseen
            raise pa.ArrowInvalid(f"it says that it has {file.metadata.num_rows} rows, but has {n_rows}")
        yield file


@contextlib.contextmanager
def _explained_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise StoreError(
            "A table of an artifact cannot be read.",
            where=str(path),
            got=str(error),
            remedy="Remove the artifact's directory; the next run makes it again.",
        ) from error
