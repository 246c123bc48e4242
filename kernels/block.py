"""Train a block of text on many threads, all inside compiled code: claim stretches, train them, and merge replicas after every round.

A block is cut into rounds and a round into stretches of centres. With replicas, stretch s of a round trains replica s, and after the
round the most frequent rows become one again; how many, the plan says. Nothing then depends on which thread did what. Without,
all stretches train one model at the same time, and results depend on timing unless there is one thread.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel
from kernels.lanes import simd_width
from kernels.merge import INPUT, OUTPUT, Replicas, row_merger
from kernels.team import COUNTER_STRIDE, fetch_add, wait_for_all
from kernels.text import Rates, Text
from kernels.trainer import Kind, trainer

MAX_REPLICAS = 64

_ROWS_A_CLAIM = 64
_COUNTERS = 3  # of a round, after those of its stretches: threads that have trained, ranges of rows claimed, threads that have merged


# R rounds, N stretches in a round
class Plan(NamedTuple):
    """How a block is cut, and where its threads meet."""

    borders: NDArray[np.int64]
    """int64 (R * N + 1,): stretch i is the centres borders[i]..borders[i + 1] - 1."""
    due: NDArray[np.int64]
    """int64 (R, 2): how many of the most frequent rows of the input and output matrix are merged after each round."""
    counters: NDArray[np.int64]
    """Zeros from `new_counters`; a block uses them up."""
    n_threads: int


def new_counters(n_rounds: int, n_stretches: int) -> NDArray[np.int64]:
    """The counters of a block of so many rounds, each of so many stretches."""
    return np.zeros((1 + n_rounds * (n_stretches + _COUNTERS)) * COUNTER_STRIDE, np.int64)


@functools.cache
def block_kernel(kind: Kind, n_replicas: int, width: int = 0) -> Callable[..., None]:
    """The kernel of one kind for one SIMD width (0: that of this machine), both constants of its machine code.

    Every thread of the plan calls it with the same arguments: text, plan, replicas, targets, rates, D, tallies float64 (R * N, 3), where
    stretch i adds its loss in nats, examples and centres to row i. Works in place. Stretch s of a round trains replica s modulo their
    number. With n_replicas up to 1 nothing is merged: the one "replica" is the model itself, or someone else merges them.
    """
    replicated = n_replicas > 1
    merge = row_merger(n_replicas)
    train = trainer(kind, width or simd_width())

    @kernel
    def train_block(
        text: Text, plan: Plan, replicas: Replicas, targets: Any, rates: Rates, n_dimensions: int, tallies: NDArray[np.float64]
    ) -> None:
        borders, due, counters, n_threads = plan
        n_rounds = due.shape[0]
        n_stretches = (borders.size - 1) // n_rounds
        # Every thread begins with the same shards in every round, whose frequent rows are in the cache of its core, then helps others.
        home = fetch_add(counters, counters.size - COUNTER_STRIDE) * n_stretches // n_threads
        for turn in range(n_rounds):
            first_counter = turn * (n_stretches + _COUNTERS) * COUNTER_STRIDE
            for j in range(n_stretches):
                stretch = (home + j) % n_stretches
                if fetch_add(counters, first_counter + stretch * COUNTER_STRIDE):
                    continue
                i = turn * n_stretches + stretch
                r = stretch % replicas.inputs.shape[0]
                inputs, outputs = replicas.inputs[r], replicas.outputs[r]
                train(text, borders[i], borders[i + 1], inputs, outputs, targets, rates, n_dimensions, tallies[i])
            counter = first_counter + n_stretches * COUNTER_STRIDE
            if replicated:
                wait_for_all(counters, counter, n_threads)
                n_inputs = (due[turn, INPUT] + _ROWS_A_CLAIM - 1) // _ROWS_A_CLAIM
                n_claims = n_inputs + (due[turn, OUTPUT] + _ROWS_A_CLAIM - 1) // _ROWS_A_CLAIM
                while True:
                    claim = fetch_add(counters, counter + COUNTER_STRIDE)
                    if claim >= n_claims:
                        break
                    matrix = INPUT if claim < n_inputs else OUTPUT
                    first = (claim if claim < n_inputs else claim - n_inputs) * _ROWS_A_CLAIM
                    last = min(first + _ROWS_A_CLAIM, due[turn, matrix])
                    many, one = (replicas.inputs, replicas.input) if matrix == INPUT else (replicas.outputs, replicas.output)
                    merge(many, one, replicas.scale[matrix], first, last)
                wait_for_all(counters, counter + 2 * COUNTER_STRIDE, n_threads)

    return train_block
