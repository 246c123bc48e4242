"""Co-occurrence cells that the GloVe kernel trains in a second, by one thread and by two; writes results/glove.json.

    .venv/bin/python -m benchmarks.glove

Cells are those of a made-up text whose words have Zipf's frequencies. A cell is stored once and trained in both orientations, which counts
as two. Two threads train two matches that have no team in common; times are processor time, and the rates of both are added up. Before a
time counts, the kernel gives the reference's vectors.
"""

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np

from kernels.glove import N_TALLIES, N_TEAMS, TRAINED, Cells, Objective, biases_of, cell_trainer, new_words, vectors_of
from pipeline.environment import environment
from tests.reference import glove as reference

WORDS = {"in the second cache": 2_000, "20 MB of Wikipedia": 24_000, "100 MB of Wikipedia": 70_000, "a large text": 400_000}
CASES = [(name, 100) for name in WORDS] + [("100 MB of Wikipedia", 300)]
MATCHES = ((1, 6), (12, 3))
N_PAIRS = 600_000  # drawn for a match; with many words a third of them are cells
N_CELLS = 200_000  # trained at least in a run, by several passes where there are fewer
REPEATS = 7
KEY = np.uint64(9)
OBJECTIVE = Objective(x_max=100.0, power=0.75, rate=0.05)


def cells_of(match: tuple[int, int], n_words: int) -> Cells:
    """The cells of two teams, in a random order."""
    rng = np.random.default_rng(match)
    sides = []
    for team in match:
        ids = np.arange(team, n_words, N_TEAMS)
        frequency = 1.0 / (ids + 2.7)
        sides.append(ids[rng.choice(len(ids), N_PAIRS, p=frequency / frequency.sum())])
    pairs, counts = np.unique(np.stack(sides), axis=1, return_counts=True)
    order = rng.permutation(len(counts))
    rows, columns = pairs[:, order].astype(np.int32)
    return Cells(rows, columns, counts[order] * rng.uniform(0.2, 1.0, len(order)))


def validate() -> None:
    """Stop unless the kernel gives the reference's vectors."""
    n_words, n_dimensions, match = 160, 100, MATCHES[0]
    words = new_words(n_words, n_dimensions, KEY)
    start = *vectors_of(words, 0, n_words, n_dimensions), *biases_of(words, n_words, n_dimensions)
    model = reference.Parameters(*(array.astype(np.float64) for array in start))
    rows, columns, counts = cells_of(match, n_words)
    cells = Cells(rows[:2_000], columns[:2_000], counts[:2_000])
    cell_trainer()(cells, words[match[0]], words[match[1]], OBJECTIVE, np.zeros(N_TALLIES))
    triples = list(zip(*(column.tolist() for column in cells), strict=True))
    reference.train(model, reference.AdaGrad(model.like(1.0), OBJECTIVE.rate), triples, OBJECTIVE.x_max, OBJECTIVE.power)
    for found, wanted in zip(vectors_of(words, 0, n_words, n_dimensions), (model.w, model.u), strict=True):
        if not np.allclose(found, wanted, rtol=1e-4, atol=1e-5):
            raise SystemExit("the kernel differs from the reference")


def rate(words: np.ndarray[Any, Any], matches: list[Cells], pool: ThreadPoolExecutor) -> float:
    """Examples that as many threads as there are matches train in a second."""
    together = Barrier(len(matches))

    def train(number: int) -> float:
        one, other = MATCHES[number]
        tallies = np.zeros(N_TALLIES)
        n_passes = -(-N_CELLS // len(matches[number].rows))
        together.wait()
        started = time.thread_time()
        for _ in range(n_passes):
            cell_trainer()(matches[number], words[one], words[other], OBJECTIVE, tallies)
        return float(tallies[TRAINED] / (time.thread_time() - started))

    rates = list(pool.map(train, range(len(matches))))
    if not np.isfinite(words).all():
        raise SystemExit("training diverged")
    return sum(rates)


def measure(name: str, n_dimensions: int) -> dict[str, Any]:
    """Medians of runs with one and with two threads, one after the other."""
    n_words = WORDS[name]
    matches = [cells_of(match, n_words) for match in MATCHES]
    words = new_words(n_words, n_dimensions, KEY)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ThreadPoolExecutor(2) as pool:
        for _ in range(REPEATS):
            for n_threads, found in rates.items():
                found.append(rate(words, matches[:n_threads], pool))
    return {
        "words": n_words,
        "dimensions": n_dimensions,
        "cells": [len(cells.rows) for cells in matches],
        "examples_per_s": {str(n_threads): round(statistics.median(found)) for n_threads, found in rates.items()},
    }


def main() -> None:
    """Measure all cases and write the file."""
    validate()
    result = {
        "benchmark": "examples that the GloVe kernel trains in a second, two for a stored cell, by threads; processor time, medians",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": environment(),
        "cases": {f"{name}, D {n_dimensions}": measure(name, n_dimensions) for name, n_dimensions in CASES},
    }
    path = Path(__file__).parent / "results" / "glove.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
