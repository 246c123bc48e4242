"""cooccurrence: how often words stand near each other. Rare words out, pairs counted in parts of the text, the parts merged by bucket.

A part counts in bounded memory and spills runs of cells, each cut into the same buckets. A bucket is a stretch of the order in which the
artifact has its cells: some of its files, or of a large corpus a part of one. Every file is then made of its buckets by one task. All
counts are integers until the last division, so neither parts, nor runs, nor buckets, nor workers change a byte.

Runs are plain arrays, not Parquet: a bucket is found by its offset, where every merge would read footers as long as there are buckets.
"""

import itertools
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.cooccurrence import (
    GRID,
    Cells,
    Fates,
    count_distances,
    count_rows,
    distance_units,
    drop_words,
    index_words,
    merge_cells,
    partition_cells,
)
from pipeline.choices import Weighting
from pipeline.configuration import Cooccurrence
from pipeline.errors import ConfigurationError
from pipeline.matrices.cooccurrences import CELLS_A_GROUP, cells_file
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.atomic import scratch
from pipeline.storage.schemas import COOCCURRENCES, VOCABULARY_FILE
from pipeline.storage.tables import write_table
from pipeline.words.encoded import Piece, cut_text, encode_part, encode_shards
from pipeline.words.text import count_tokens, joined, shards_of

SENTENCES_A_PART = 32_768
CELLS_A_RUN = 4_194_304  # that a part counts before it spills: twice 64 MiB
CELLS_A_BUCKET = 4_194_304  # if every pair of positions had a cell of its own; merging takes 64 bytes for each cell of a run
N_FILES = GRID * GRID
LOW, HIGH = np.uint64(0xFFFFFFFF), np.uint64(32)


@dataclass(frozen=True)
class Plan:
    """How the work is cut and what a pair counts; the same for all tasks."""

    n_words: int
    directory: Path
    runs: Path  # where the runs of cells are, until all are merged
    units: tuple[int, ...]  # by distance
    unit: int  # so many are a weight of 1
    bucket_bits: int


@dataclass(frozen=True)
class Part:
    """One task: a range of sentences of the whole text."""

    plan: Plan
    number: int
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Merge:
    """One task: files of the artifact, and the buckets that they are made of. One of both is a single one."""

    plan: Plan
    files: range
    buckets: range


@dataclass(frozen=True)
class Merged:
    """What a merge wrote."""

    files: tuple[FileRecord, ...]
    n_units: int  # of the whole matrix, its lower triangle too


def build(job: Job[Cooccurrence]) -> Outcome:
    """Count all pairs of words within the window.

    Raises
    ------
    ConfigurationError
        When no sentence keeps two words.
    """
    n_tokens = count_tokens(job.inputs["text"])
    (vocabulary,) = job.inputs["vocabulary"]
    units, unit = distance_units(job.settings.window, n_tokens, harmonic=job.settings.weighting is Weighting.HARMONIC)
    n_words, bucket_bits = int(vocabulary.manifest.measures["words"]), _bucket_bits(n_tokens * job.settings.window)
    with scratch(job.directory) as directory:
        plan = Plan(n_words, job.directory, directory / "runs", tuple(units.tolist()), unit, bucket_bits)
        merges = _merges(plan)
        plan.runs.mkdir()
        shards = encode_shards(shards_of(job.inputs["text"]), vocabulary.path(VOCABULARY_FILE), directory, job.workers)
        parts = [Part(plan, number, pieces) for number, (_, pieces) in enumerate(cut_text(shards, SENTENCES_A_PART))]
        progress = Progress(job.step, len(parts) + len(merges), "parts")
        counted = job.workers.map(_count_part, parts, lambda part: progress.advance(1, part[0].n_in))
        n_rare, n_lonely, n_kept = (sum(getattr(fates, name) for fates, _ in counted) for name in ("n_rare", "n_lonely", "n_kept"))
        if not n_kept:
            raise ConfigurationError(
                "No two words are left to count together: no sentence keeps two words.",
                where="key vocabulary.min_count",
                got=f"of {n_tokens:,} tokens {n_rare:,} are below min_count, {n_lonely:,} were left alone",
                expected="at least two words that stay in one sentence",
                remedy="Lower vocabulary.min_count, or give more text.",
            )
        merged = job.workers.map(_merge_files, merges, lambda _: progress.advance(1, 0))
    files = tuple(file for done in merged for file in done.files)
    n_units = sum(done.n_units for done in merged)
    return Outcome(
        files,
        (
            Tally("tokens", n_tokens, n_kept, {"below min_count": n_rare, "alone in a sentence": n_lonely}),
            # What the sentences' lengths say that there is to count, and what the files hold.
            Tally("units of weight", sum(found for _, found in counted), n_units),
        ),
        {"cells": sum(file.n_rows for file in files), "tokens": n_tokens, "weight": n_units / unit},
    )


def _bucket_bits(n_rows: int) -> int:
    """Of how many bits the number of a bucket is, so that of at most so many rows of runs it gets its CELLS_A_BUCKET."""
    return math.ceil(math.log2(max(1.0, n_rows / CELLS_A_BUCKET)))


def _merges(plan: Plan) -> list[Merge]:
    """All files, in order, by tasks of one bucket or of one file."""
    n_buckets = 1 << plan.bucket_bits
    n_merges = min(n_buckets, N_FILES)
    a_merge = N_FILES // n_merges, n_buckets // n_merges
    return [Merge(plan, *(range(number * n, number * n + n) for n in a_merge)) for number in range(n_merges)]


def _count_part(part: Part) -> tuple[Fates, int]:
    """Spill the cells of one part; where its words went, and the units that the whole matrix gets from it."""
    plan = part.plan
    text = joined(list(encode_part(part.pieces)))
    tokens, borders, fates = drop_words(text.codes, text.offsets)
    units = np.array(plan.units)
    window, n_words = len(units) - 1, plan.n_words
    index = index_words(tokens, borders, n_words, window)
    # Room for a column of any word, and the one place that is left free.
    most = len(tokens) * (2 * window + 1)
    room = min(max(CELLS_A_RUN, n_words), most) + 1
    cells = Cells(np.empty(room, np.uint64), np.empty(room, np.int64))
    word = 0
    for number in itertools.count():
        if word == n_words:
            break
        word, n_cells = count_rows(tokens, index, units, word, cells)
        _spill(plan.runs / f"{part.number:06d}-{number:06d}", _stretch(cells, 0, n_cells), plan.bucket_bits)
    distances = count_distances(borders, window).tolist()
    return fates, 2 * sum(n * unit for n, unit in zip(distances, plan.units, strict=True))


def _spill(path: Path, cells: Cells, bucket_bits: int) -> None:
    """Write a run of cells: the borders of its buckets, then all pairs, then all counts."""
    cut, borders = partition_cells(cells, bucket_bits)
    with path.open("wb") as file:
        for array in (borders, *cut):
            file.write(array.data)


def _read_run(path: Path, plan: Plan, bucket: int) -> Cells:
    """One bucket of a run."""
    with path.open("rb") as file:
        head = 8 * ((1 << plan.bucket_bits) + 1)
        n_cells = (file.seek(0, os.SEEK_END) - head) // 16
        file.seek(8 * bucket)
        first, stop = np.fromfile(file, np.int64, 2).tolist()
        file.seek(head + 8 * first)
        pairs = np.fromfile(file, np.uint64, stop - first)
        file.seek(head + 8 * (n_cells + first))
        return Cells(pairs, np.fromfile(file, np.int64, stop - first))


def _merge_files(merge: Merge) -> Merged:
    """Write the files of a merge, of those that have cells."""
    if len(merge.buckets) == 1:
        cells, borders = _merge_bucket(merge.plan, merge.buckets[0])
        written = [_write_file(merge.plan, file, [_stretch(cells, borders[file], borders[file + 1])]) for file in merge.files]
    else:
        (file,) = merge.files
        written = [_write_file(merge.plan, file, (_merge_bucket(merge.plan, bucket)[0] for bucket in merge.buckets))]
    return Merged(tuple(record for record, _ in written if record), sum(n_units for _, n_units in written))


def _merge_bucket(plan: Plan, bucket: int) -> tuple[Cells, npt.NDArray[np.int64]]:
    """The cells of a bucket, and where in them each file begins. Its runs stay: a task may be done again when a worker is lost."""
    return merge_cells([_read_run(path, plan, bucket) for path in sorted(plan.runs.iterdir())], plan.bucket_bits)


def _write_file(plan: Plan, file: int, pieces: Iterable[Cells]) -> tuple[FileRecord | None, int]:
    """Write one file of the artifact unless it would be empty; and the units that the whole matrix gets from it."""
    n_units = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal n_units
        for pairs, counts in _regrouped(pieces):
            rows, columns = (pairs >> HIGH).astype(np.int32), (pairs & LOW).astype(np.int32)
            n_units += 2 * int(counts.sum()) - int(counts[rows == columns].sum())
            yield pa.record_batch([rows, columns, counts / np.float64(plan.unit)], schema=COOCCURRENCES)

    made = batches()
    first = next(made, None)
    if first is None:
        return None, 0
    p, q = divmod(file, GRID)
    return write_table(plan.directory, cells_file(p, q), COOCCURRENCES, itertools.chain([first], made)), n_units


def _regrouped(pieces: Iterable[Cells]) -> Iterator[Cells]:
    """The same cells, CELLS_A_GROUP at a time (the last may be fewer): row groups do not show what a file was made of."""
    rest = Cells(np.empty(0, np.uint64), np.empty(0, np.int64))
    for piece in pieces:
        rest = Cells(*(np.concatenate(columns) for columns in zip(rest, piece, strict=True)))
        n_whole = len(rest.pairs) // CELLS_A_GROUP * CELLS_A_GROUP
        for first in range(0, n_whole, CELLS_A_GROUP):
            yield _stretch(rest, first, first + CELLS_A_GROUP)
        rest = _stretch(rest, n_whole, None)
    if len(rest.pairs):
        yield rest


def _stretch(cells: Cells, first: int, stop: int | None) -> Cells:
    return Cells(cells.pairs[first:stop], cells.counts[first:stop])
