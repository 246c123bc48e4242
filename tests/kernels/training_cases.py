"""Small training tasks, and the kernel and its slow reference run on them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kernels.alias import build_alias
from kernels.block import Plan, block_kernel, new_counters
from kernels.merge import Replicas
from kernels.skipgram import N_TALLIES, Noise, Rates, Text
from kernels.vectors import new_vectors
from tests.reference import skipgram as reference

NOISE_KEY = np.uint64(0xC0FFEE)


@dataclass(frozen=True)
class Case:
    """A small training task; vectors and rates are large, so that an error shows."""

    sentence_lengths: tuple[int, ...] = (0, 1, 2, 150, 3, 0, 40)
    n_words: int = 30
    window: int = 5
    n_dimensions: int = 16
    n_negatives: int = 5
    first_centre: int = 1000
    start_rate: float = 0.1
    per_pair: bool = False

    @property
    def n_centres(self):
        return sum(self.sentence_lengths)

    def text(self, lead=0):
        """With `lead` positions of other sentences before."""
        rng = np.random.default_rng(11)
        offsets = lead + np.concatenate([[0], np.cumsum(self.sentence_lengths)]).astype(np.int64)
        tokens = np.empty(lead + self.n_centres, np.int32)
        tokens[:lead] = 0
        tokens[lead:] = np.minimum(rng.geometric(0.15, self.n_centres) - 1, self.n_words - 1)
        radius = np.ones(lead + self.n_centres, np.uint8)
        radius[lead:] = rng.integers(0, self.window + 1, self.n_centres)
        return Text(tokens, offsets, radius, self.first_centre - lead)

    def noise(self):
        return noise_of(np.arange(1.0, self.n_words + 1) ** -0.75)

    def vectors(self):
        rng = np.random.default_rng(12)
        matrices = []
        for _ in range(2):
            matrix = new_vectors(self.n_words, self.n_dimensions)
            matrix[:, : self.n_dimensions] = rng.normal(0, 1.5 * self.n_dimensions**-0.25, (self.n_words, self.n_dimensions))
            matrices.append(matrix)
        return matrices

    def rates(self):
        return Rates(self.start_rate, 0.01, self.first_centre + 2 * self.n_centres)


def noise_of(weights):
    """Noise in these proportions."""
    return Noise(*build_alias(np.asarray(weights, np.float64)), NOISE_KEY)


def train_centres(text, borders, matrices, noise, rates, n_dimensions, n_negatives, *, per_pair=False, n_threads=1, **constants):
    """Train the stretches between the borders on one model in place, and give the tallies of all of them."""
    inputs, outputs = matrices
    model = Replicas(inputs[None], outputs[None], inputs, outputs, np.ones((2, 1), np.float32))
    plan = Plan(np.array(borders, np.int64), np.zeros((1, 2), np.int64), new_counters(1, len(borders) - 1), n_threads)
    tallies = np.zeros((len(borders) - 1, N_TALLIES))
    run_threads(block_kernel(n_negatives, per_pair, 0, **constants), (text, plan, model, noise, rates, n_dimensions, tallies), n_threads)
    return tallies.sum(axis=0)


def run_threads(function, arguments, n_threads):
    """Call a function with the same arguments in so many threads at once."""
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(function, *arguments) for _ in range(n_threads)]:
            done.result()


def train(case, matrices=None, *, cuts=(), together=True, lead=0, **constants):
    """Both matrices and the tallies after training in stretches that end before the centres `cuts`, in one call or in several."""
    text = case.text(lead)
    matrices = matrices or case.vectors()
    borders = [lead, *(lead + cut for cut in cuts), lead + case.n_centres]
    settings = (matrices, case.noise(), case.rates(), case.n_dimensions, case.n_negatives)
    calls = [borders] if together else itertools.pairwise(borders)
    tallies = sum(train_centres(text, call, *settings, per_pair=case.per_pair, **constants) for call in calls)
    return *matrices, tallies


def expected(case):
    """The same in float64, slowly."""
    inputs, outputs = (matrix[:, : case.n_dimensions].astype(np.float64) for matrix in case.vectors())
    settings = (case.noise(), case.rates(), case.n_negatives)
    tallies = reference.train(case.text(), 0, case.n_centres, inputs, outputs, *settings, per_pair=case.per_pair)
    return inputs, outputs, np.array(tallies)
