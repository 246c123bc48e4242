"""How fast co-occurrences are counted, what that takes of memory and disk, and where the time goes; writes results/cooccurrence.json.

    .venv/bin/python -m benchmarks.cooccurrence CORPUS

Each build is a process of its own with its kernels compiled and loaded; from the encoded text to an artifact that has reached the disk, one
thread and two in turns. Before a time counts: the artifact of a sample equals the slow reference cell by cell, the sum of the whole matrix
equals a count by shifted arrays, the rows of some words equal a count by their windows, and all builds gave the same bytes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.against_gensim import ROOT, plain_text
from benchmarks.memory import peak_mb
from kernels.cooccurrence import GRID, Cells, count_rows, distance_units, drop_words, index_words, partition_cells
from pipeline.building import build_artifact
from pipeline.configuration import Cluster, Cooccurrence
from pipeline.configuration_file import parse_configuration
from pipeline.declarations import COOCCURRENCE
from pipeline.environment import environment
from pipeline.matrices.cooccurrences import read_cells
from pipeline.plan import plan_step
from pipeline.run import Run
from pipeline.stage import Step
from pipeline.stages import cooccurrence
from pipeline.storage.artifact import Artifact
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.schemas import VOCABULARY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import Text
from pipeline.words.encoded import cut_text, encode_part, encode_shards
from pipeline.words.text import joined, shards_of
from pipeline.workers import DaskWorkers, InPlace
from tests.reference import cooccurrence as reference

WINDOW = 10
SAMPLE_LINES = 300
RANKS = (0, 1, 10, 100, 1_000, 5_000, 20_000)  # of words whose rows are counted anew
SETTINGS = Cooccurrence(window=WINDOW)


class Timed(DaskWorkers):
    """Notes the seconds of counting and of merging."""

    def __init__(self, threads: int) -> None:
        super().__init__(Cluster(threads=threads))
        self.seconds: list[float] = []

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any], None]) -> list[Any]:
        """See `Workers.map`."""
        started = time.perf_counter()
        results = super().map(function, items, on_done)
        self.seconds.append(time.perf_counter() - started)
        return results


def vocabulary_run(text: Path, store: Path) -> Run:
    """The text tokenized and its vocabulary made, or found in the store."""
    configuration = parse_configuration({"corpus": {"paths": [str(text)]}})
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store), workers) as run:
        for step in run.steps:
            run.perform(step)
            if step.name == "vocabulary":
                break
    return run


def build(run: Run, store: Path, workers: DaskWorkers | InPlace) -> Artifact:
    """The co-occurrences of a run's text."""
    step = Step("cooccurrence", COOCCURRENCE, SETTINGS, SETTINGS.model_dump(), {"text": "tokenize", "vocabulary": "vocabulary"})
    inputs = {name: run.made[earlier] for name, earlier in step.reads.items()}
    (wanted,) = plan_step(step, run.observed, inputs, ReadThrough(Store(store), None)).wanted
    return build_artifact(Store(store.absolute()), step, wanted, inputs, workers)


def build_timed(scratch: Path, threads: int) -> dict[str, Any]:
    """Build once in this process, the sample first, which loads the kernels and starts Dask."""
    run = vocabulary_run(scratch / "corpus.txt", scratch / "store")
    sample = vocabulary_run(scratch / "sample.txt", scratch / "store")
    with Timed(threads) as workers:
        build(sample, scratch / "warm", workers)
        before_mb = peak_mb()
        workers.seconds.clear()
        shutil.rmtree(scratch / "built", ignore_errors=True)
        started, started_cpu = time.perf_counter(), time.process_time()
        artifact = build(run, scratch / "built", workers)
        elapsed_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    return {
        "threads": threads,
        "elapsed_s": elapsed_s,
        "counting_s": workers.seconds[0],
        "merging_s": workers.seconds[1],
        "cpu_s": cpu_s,
        "peak_mb": peak_mb(),
        "before_mb": before_mb,
        "load": os.getloadavg()[0],  # more than the threads: others were at work, and only processor times tell something
        "tokens": artifact.manifest.measures["tokens"],
        "digest": artifact.manifest.digest,
    }


def whole_text(run: Run) -> tuple[Text, int]:
    """The kept words of the whole text, and the number of words of the vocabulary."""
    return joined(list(parts_of(run, 32_768))), words_of(run)


def words_of(run: Run) -> int:
    """The number of words of the vocabulary."""
    return int(run.made["vocabulary"][0].manifest.measures["words"])


def parts_of(run: Run, n_sentences: int) -> Iterator[Text]:
    """The text in ids, so many sentences at a time."""
    with tempfile.TemporaryDirectory() as directory:
        vocabulary = run.made["vocabulary"][0].path(VOCABULARY_FILE)
        shards = encode_shards(shards_of(run.made["tokenize"]), vocabulary, Path(directory), InPlace())
        for _, pieces in cut_text(shards, n_sentences):
            yield joined(list(encode_part(pieces)))


def kept_words(text: Text) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The words that stay and the numbers of their sentences, by NumPy alone."""
    sentences = np.repeat(np.arange(text.n_sentences), np.diff(text.offsets))[text.codes > 0]
    words = text.codes[text.codes > 0].astype(np.int64) - 1
    together = np.bincount(sentences, minlength=text.n_sentences)[sentences] > 1
    return words[together], sentences[together]


def validate_sample(sample: Run, artifact: Artifact) -> None:
    """Stop unless the artifact of the sample has the cells of the slow reference, in its order."""
    text, n_words = whole_text(sample)
    lists = [text.part(s, s + 1).codes.tolist() for s in range(text.n_sentences)]
    sentences, _ = reference.keep_words(lists, [-1, *range(n_words)])
    matrix = reference.count_cooccurrences(sentences, WINDOW, harmonic=True)
    for (p, q), expected in reference.cells_by_file(matrix, GRID).items():
        cells = read_cells(artifact, p, q)
        found = list(zip(cells.rows.tolist(), cells.columns.tolist(), cells.counts.tolist(), strict=True))
        if found != [(*cell, float(matrix[cell])) for cell in expected]:
            raise SystemExit(f"the cells of the sample in block ({p}, {q}) differ from the reference")


def validate_whole(run: Run, artifact: Artifact) -> None:
    """Stop unless the sum of the matrix and the rows of some words are those of counts by other means."""
    text, n_words = whole_text(run)
    words, sentences = kept_words(text)
    total = Fraction(0)
    ranks = [rank for rank in RANKS if rank < n_words]
    rows = np.zeros((len(ranks), n_words))
    for distance in range(1, WINDOW + 1):
        together = sentences[distance:] == sentences[:-distance]
        total += Fraction(2 * int(together.sum()), distance)
        left, right = words[:-distance][together], words[distance:][together]
        for i, rank in enumerate(ranks):
            rows[i] += np.bincount(right[left == rank], minlength=n_words) / distance
            rows[i] += np.bincount(left[right == rank], minlength=n_words) / distance
    weight = 0.0
    for p in range(GRID):
        for q in range(GRID):
            cells = read_cells(artifact, p, q)
            weight += 2 * cells.counts.sum() - cells.counts[cells.rows == cells.columns].sum()
            for row, rank in zip(rows, ranks, strict=True):
                here = cells.rows == rank
                row[cells.columns[here]] -= cells.counts[here]
                there = (cells.columns == rank) & ~here
                row[cells.rows[there]] -= cells.counts[there]
    if abs(weight / float(total) - 1) > 1e-12 or abs(artifact.manifest.measures["weight"] / float(total) - 1) > 1e-15:
        raise SystemExit(f"the matrix sums up to {weight}, not {float(total)}")
    if np.abs(rows).max() > 1e-6:
        raise SystemExit("rows of the matrix differ from a count by windows")


def kernel_seconds(run: Run) -> dict[str, float]:
    """Processor seconds of one thread for the parts of counting in memory, over the whole text."""
    n_words = words_of(run)
    units, _ = distance_units(WINDOW, 10**8, harmonic=True)
    room = cooccurrence.CELLS_A_RUN + 1
    cells = Cells(np.empty(room, np.uint64), np.empty(room, np.int64))
    spent = dict.fromkeys(("reading", "dropping", "indexing", "counting", "cutting"), 0.0)
    n_cells, last = 0, 0.0

    def note(name: str) -> None:
        nonlocal last
        spent[name] += time.thread_time() - last
        last = time.thread_time()

    last = time.thread_time()
    for text in parts_of(run, cooccurrence.SENTENCES_A_PART):
        note("reading")
        tokens, borders, _ = drop_words(text.codes, text.offsets)
        note("dropping")
        index = index_words(tokens, borders, n_words, WINDOW)
        note("indexing")
        word = 0
        while word < n_words:
            word, n = count_rows(tokens, index, units, word, cells)
            n_cells += n
            note("counting")
            partition_cells(Cells(cells.pairs[:n], cells.counts[:n]), 6)
            note("cutting")
    return {name: round(seconds, 3) for name, seconds in spent.items()} | {"cells_of_parts": n_cells}


def measure(scratch: Path, turns: int) -> tuple[list[dict[str, Any]], Artifact]:
    """Builds with one and with two threads in turns; the artifact is the last one's."""
    builds = []
    for _ in range(turns):
        for threads in (1, 2):
            command = [sys.executable, "-m", "benchmarks.cooccurrence", "--scratch", str(scratch), "--build", str(threads)]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            builds.append(json.loads(done.stdout))
            print(done.stdout, end="", flush=True)
    if len({found["digest"] for found in builds}) > 1:
        raise SystemExit("the builds differ")
    return builds, Store(scratch / "built").artifacts("cooccurrence")[0]


def main() -> None:
    """Measure, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?", default=ROOT / "data" / "wiki-20mb.txt.xz")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "cooccurrence")
    parser.add_argument("--build", type=int, default=0, help="build once with so many threads and print the figures")
    settings = parser.parse_args()
    if settings.build:
        print(json.dumps(build_timed(settings.scratch, settings.build)))
        return
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, settings.scratch)
    with text.open(encoding="utf-8") as lines:
        (settings.scratch / "sample.txt").write_text("".join(next(lines) for _ in range(SAMPLE_LINES)), encoding="utf-8")
    run, sample = (vocabulary_run(settings.scratch / name, settings.scratch / "store") for name in (text.name, "sample.txt"))
    validate_sample(sample, build(sample, settings.scratch / "sample", InPlace()))
    builds, artifact = measure(settings.scratch, settings.turns)
    validate_whole(run, artifact)

    def median(threads: int, name: str) -> float:
        return statistics.median(found[name] for found in builds if found["threads"] == threads)

    kernel = kernel_seconds(run)
    measures, n_tokens = artifact.manifest.measures, artifact.manifest.measures["tokens"]
    figures = {
        "window": WINDOW,
        "tokens": n_tokens,
        "words": run.made["vocabulary"][0].manifest.measures["words"],
        "cells": measures["cells"],
        "disk_mb": round(artifact.manifest.size_bytes / 1e6),
        "bytes_a_cell": round(artifact.manifest.size_bytes / measures["cells"], 2),
        "tokens_per_s_counting_kernel": round(n_tokens / sum(kernel[name] for name in ("dropping", "indexing", "counting"))),
        "kernel_s": kernel,
        "by_threads": {
            str(threads): {
                "tokens_per_s": round(n_tokens / median(threads, "elapsed_s")),
                "tokens_per_cpu_s": round(n_tokens / median(threads, "cpu_s")),
                **{name: round(median(threads, name), 2) for name in ("elapsed_s", "counting_s", "merging_s", "cpu_s")},
                **{name: round(median(threads, name)) for name in ("peak_mb", "before_mb")},
                "load": round(median(threads, "load"), 1),
            }
            for threads in (1, 2)
        },
    }
    result = {
        "benchmark": f"co-occurrences from encoded text to the artifact on disk, window {WINDOW}, harmonic; medians of processes",
        "corpus": settings.corpus.name,
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures,
        "builds": builds,
    }
    (ROOT / "benchmarks" / "results" / "cooccurrence.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(figures, indent=1))
    shutil.rmtree(settings.scratch)


if __name__ == "__main__":
    main()
