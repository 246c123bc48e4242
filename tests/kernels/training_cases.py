"""Small training tasks, and the kernel and its slow reference run on them."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from kernels.alias import build_alias
from kernels.block import Plan, block_kernel, new_counters
from kernels.merge import Replicas
from kernels.noise import Noise
from kernels.text import Rates, Text
from kernels.trainer import MOVE_INPUTS, MOVE_OUTPUTS, N_TALLIES, Kind
from kernels.tree import build_parents, build_paths
from kernels.vectors import new_vectors
from tests.reference import tree as tree_reference
from tests.reference import windows as reference

NOISE_KEY = np.uint64(0xC0FFEE)
SHARED, PER_PAIR, TREE, CBOW = Kind(), Kind(per_pair=True), Kind(n_negatives=0), Kind(cbow=True)
# Each compiles anew. Every loss with every model, every way of CBOW, either side frozen, noise in two groups of outputs.
KINDS = (
    SHARED,
    PER_PAIR,
    TREE,
    CBOW,
    Kind(corrected=True),
    Kind(n_negatives=7, corrected=True, per_pair=True, moves=MOVE_INPUTS),
    Kind(n_negatives=0, moves=MOVE_OUTPUTS),
    Kind(cbow=True, divides_change=False, moves=MOVE_INPUTS),
    Kind(n_negatives=7, corrected=True, cbow=True, divides_hidden=False, divides_change=False),
    Kind(n_negatives=0, cbow=True),
)


@dataclass(frozen=True)
class Case:
    """A small training task; vectors and rates are large, so that an error shows."""

    sentence_lengths: tuple[int, ...] = (0, 1, 2, 150, 3, 0, 40)
    n_words: int = 30
    window: int = 5
    n_dimensions: int = 16
    first_centre: int = 1000
    start_rate: float = 0.1
    kind: Kind = SHARED

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

    @property
    def counts(self):
        """Of a text in which some words are much more frequent than others, and some as frequent."""
        return np.maximum(1, 1000 // np.arange(1, self.n_words + 1) ** 2)

    def targets(self):
        if self.kind.n_negatives:
            return noise_of(np.arange(1.0, self.n_words + 1) ** -0.75, self.kind)
        return build_paths(build_parents(self.counts, np.arange(self.n_words)))

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


def noise_of(weights, kind=SHARED, uses=8):
    """Noise in these proportions; a set of it is used by so many windows."""
    weights = np.asarray(weights, np.float64)
    correction = np.log(kind.n_negatives * weights / weights.sum()).astype(np.float32) if kind.corrected else np.zeros(0, np.float32)
    return Noise(*build_alias(weights), NOISE_KEY, correction, uses)


def train_centres(text, borders, matrices, targets, rates, n_dimensions, kind=SHARED, *, n_threads=1, width=0):
    """Train the stretches between the borders on one model in place, and give the tallies of all of them."""
    inputs, outputs = matrices
    model = Replicas(inputs[None], outputs[None], inputs, outputs, np.ones((2, 1), np.float32))
    plan = Plan(np.array(borders, np.int64), np.zeros((1, 2), np.int64), new_counters(1, len(borders) - 1), n_threads)
    tallies = np.zeros((len(borders) - 1, N_TALLIES))
    run_threads(block_kernel(kind, 0, width), (text, plan, model, targets, rates, n_dimensions, tallies), n_threads)
    return tallies.sum(axis=0)


def run_threads(function, arguments, n_threads):
    """Call a function with the same arguments in so many threads at once."""
    with ThreadPoolExecutor(n_threads) as pool:
        for done in [pool.submit(function, *arguments) for _ in range(n_threads)]:
            done.result()


def train(case, matrices=None, *, cuts=(), together=True, lead=0, width=0):
    """Both matrices and the tallies after training in stretches that end before the centres `cuts`, in one call or in several."""
    text = case.text(lead)
    matrices = matrices or case.vectors()
    borders = [lead, *(lead + cut for cut in cuts), lead + case.n_centres]
    settings = (matrices, case.targets(), case.rates(), case.n_dimensions, case.kind)
    calls = [borders] if together else itertools.pairwise(borders)
    tallies = sum(train_centres(text, call, *settings, width=width) for call in calls)
    return *matrices, tallies


def reference_targets(case):
    """What the slow reference aims at."""
    return case.targets() if case.kind.n_negatives else tree_reference.paths(case.counts.tolist())


def expected(case, first=0, last=None):
    """The same in float64, slowly."""
    inputs, outputs = (matrix[:, : case.n_dimensions].astype(np.float64) for matrix in case.vectors())
    last = case.n_centres if last is None else last
    tallies = reference.train(case.text(), first, last, inputs, outputs, reference_targets(case), case.rates(), case.kind)
    return inputs, outputs, np.array(tallies)
