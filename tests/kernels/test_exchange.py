"""Sums of changes that travel: to the bit what the merge in one process does, however the replicas are divided."""

import numpy as np
import pytest

from kernels.exchange import add_sums, sum_changes, take_sum
from kernels.jit import kernel
from kernels.merge import half, row_merger
from kernels.vectors import new_vectors

N_WORDS, N_DIMENSIONS = 60, 21


def replicas_of(n_replicas: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Replicas, the model and the scale: rows that nobody, one, some and all have changed, changes that cancel, zeros of both signs."""
    random = np.random.default_rng(seed)
    model = new_vectors(N_WORDS, N_DIMENSIONS)
    model[:, :N_DIMENSIONS] = random.normal(size=(N_WORDS, N_DIMENSIONS))
    model[:, 3] = random.choice([0.0, -0.0, 1e-42], N_WORDS)
    replicas = np.stack([model] * n_replicas)
    for row in range(N_WORDS):
        for r in np.flatnonzero(random.random(n_replicas) < random.choice([0.0, 0.2, 0.6, 1.0])):
            replicas[r, row, 1:N_DIMENSIONS] += random.normal(size=N_DIMENSIONS - 1).astype(np.float32) * 10.0 ** random.integers(-8, 8)
            replicas[r, row, 3] = random.choice([0.0, -0.0, 1e-42, 1.0])
    if n_replicas > 1:
        replicas[:, 7] = model[7]
        replicas[0, 7, 5], replicas[1, 7, 5], model[7, 5] = 2.0, -2.0, 0.0
        replicas[2:, 7, 5] = 0.0
    return replicas, model, random.random(N_WORDS).astype(np.float32)


def sum_of(replicas: np.ndarray, model: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    rows, sums = np.full(N_WORDS, -1, np.int32), np.full((N_WORDS, N_DIMENSIONS), np.nan, np.float32)
    n = sum_changes(replicas, model, first, last, rows, sums, np.zeros((len(replicas), N_DIMENSIONS), np.float32))
    return rows[:n], sums[:n]


def sum_along_the_tree(replicas: np.ndarray, model: np.ndarray, depth: int, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """As workers do: nodes at some depth of the tree each add up their replicas, and their sums are added."""
    n = len(replicas)
    if n == 1 or depth == 0:
        return sum_of(replicas, model, first, last)
    parts = [sum_along_the_tree(part, model, depth - 1, first, last) for part in (replicas[: half(n)], replicas[half(n) :])]
    rows, sums = np.full(N_WORDS, -1, np.int32), np.full((N_WORDS, N_DIMENSIONS), np.nan, np.float32)
    n_rows = add_sums(*parts[0], *parts[1], rows, sums)
    return rows[:n_rows], sums[:n_rows]


def bits(array: np.ndarray) -> list[int]:
    return array.view(np.int32).ravel().tolist()


def merger(n_replicas: int):
    merge = row_merger(n_replicas)

    @kernel
    def merge_rows(replicas: np.ndarray, model: np.ndarray, scale: np.ndarray, first: int, last: int) -> None:
        merge(replicas, model, scale, first, last)

    return merge_rows


@pytest.mark.parametrize("n_replicas", [2, 3, 4, 7])
def test_exchange__gives_the_bits_of_the_merge_in_one_process(n_replicas: int) -> None:
    for seed in range(20):
        replicas, model, scale = replicas_of(n_replicas, seed)
        expected, merged = replicas.copy(), model.copy()
        merger(n_replicas)(expected, merged, scale, 2, N_WORDS - 3)
        for depth in range(4):
            after, moved = replicas.copy(), model.copy()
            take_sum(after, moved, scale, *sum_along_the_tree(replicas, model, depth, 2, N_WORDS - 3))
            assert bits(moved) == bits(merged), (seed, depth)
            assert bits(after) == bits(expected), (seed, depth)
