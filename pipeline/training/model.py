"""The model of a training run in memory: two matrices, what its loss aims at, the learning rates."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels.alias import build_alias
from kernels.block import block_kernel
from kernels.draws import Purpose, derive_key
from kernels.noise import USES, Noise
from kernels.text import Rates
from kernels.trainer import MOVE_INPUTS, MOVE_OUTPUTS, Kind
from kernels.tree import Parents, Tree, build_paths, code_lengths, sum_below
from kernels.vectors import fill_initial, new_vectors
from pipeline.choices import CbowHidden, Frozen, Loss, NoiseDraws, NoiseWords
from pipeline.choices import Model as ModelName
from pipeline.configuration import Train

INPUT_FILE, OUTPUT_FILE = "input.npy", "output.npy"
COMMON_DIMENSIONS = (50, 100, 128, 200, 256, 300)  # have machine code of their own, some per cent faster at 100; all others share one


# How far from 0 the numbers of the first input vectors may be, times D: as in word2vec, and where a window is a mean (docs/decisions/0004).
REACH, MEAN_REACH = 0.5, 4.0


# V words, D dimensions
class Model:
    """Word vectors in training."""

    def __init__(self, settings: Train, counts: npt.NDArray[np.int64], n_centres: int, parents: Parents | None = None) -> None:
        """A new model for words with these counts, int64 (V,), that will see so many centres over all epochs.

        Of hierarchical softmax with its tree.
        """
        self.settings = settings
        self.input = new_vectors(len(counts), settings.dimensions)
        self.output = new_vectors(len(counts), settings.dimensions)
        seed = np.uint64(settings.seed)
        # Numba returns a Python int, and takes one for signed after a small one was seen: half of all keys would not fit.
        initial_key, noise_key = (np.uint64(derive_key(seed, np.uint64(purpose))) for purpose in (Purpose.INITIAL, Purpose.NOISE))
        what = kind(settings)
        reach = MEAN_REACH if what.cbow and what.divides_hidden and what.n_negatives else REACH
        fill_initial(self.input, settings.dimensions, reach, initial_key)
        self.targets = targets(settings, counts, parents, noise_key)
        self.rates = Rates(settings.start_rate, settings.min_learning_rate, n_centres)

    def kernel(self, n_replicas: int) -> Callable[..., None]:
        """The kernel that trains it."""
        return block_kernel(kind(self.settings), n_replicas)

    def save(self, directory: Path) -> None:
        """Write both matrices, padding included."""
        np.save(directory / INPUT_FILE, self.input)
        np.save(directory / OUTPUT_FILE, self.output)

    def load(self, directory: Path) -> None:
        """Read both matrices in place."""
        self.input[:] = np.load(directory / INPUT_FILE, mmap_mode="r", allow_pickle=False)
        self.output[:] = np.load(directory / OUTPUT_FILE, mmap_mode="r", allow_pickle=False)


def kind(settings: Train) -> Kind:
    """What the settings make constant in the machine code."""
    moves = {Frozen.NONE: MOVE_INPUTS + MOVE_OUTPUTS, Frozen.INPUT: MOVE_OUTPUTS, Frozen.OUTPUT: MOVE_INPUTS}
    of_noise = settings.loss in (Loss.NEGATIVE_SAMPLING, Loss.NCE)
    return Kind(
        n_negatives=settings.negatives if of_noise else 0,
        per_pair=of_noise and settings.noise_draws is NoiseDraws.PER_PAIR,
        corrected=settings.loss is Loss.NCE,
        cbow=settings.model is ModelName.CBOW,
        divides_hidden=settings.cbow_hidden is not CbowHidden.SUM,
        divides_change=settings.cbow_hidden is CbowHidden.MEAN,
        moves=moves[settings.frozen],
        n_dimensions=settings.dimensions if settings.dimensions in COMMON_DIMENSIONS else 0,
    )


def targets(settings: Train, counts: npt.NDArray[np.int64], parents: Parents | None, noise_key: np.uint64) -> Noise | Tree:
    """What the loss aims at, for words with these counts, int64 (V,)."""
    if settings.loss is Loss.HIERARCHICAL_SOFTMAX:
        tree: Tree = build_paths(_given(parents))
        return tree
    weights = noise_weights(settings, counts)
    correction = np.zeros(0, np.float32)
    if settings.loss is Loss.NCE:
        correction = np.log(settings.negatives * weights / weights.sum()).astype(np.float32)
    uses = USES if settings.noise_draws is NoiseDraws.PER_BATCH else 1
    return Noise(*build_alias(weights), noise_key, correction, uses)


def noise_weights(settings: Train, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How often each word is drawn as noise, not normalised, float64 (V,)."""
    if settings.noise is NoiseWords.LOG_UNIFORM:
        by_rank: npt.NDArray[np.float64] = np.log1p(1.0 / np.arange(1.0, len(counts) + 1))
        return by_rank
    by_count: npt.NDArray[np.float64] = counts.astype(np.float64) ** settings.noise_power
    return by_count


def meetings(
    settings: Train, counts: npt.NDArray[np.int64], share: npt.NDArray[np.float64], parents: Parents | None = None
) -> npt.NDArray[np.float64]:
    """How often an example meets each output row, float64 (V,); a word's share of the centres is float64 (V,).

    Of hierarchical softmax with its tree.
    """
    if settings.loss is not Loss.HIERARCHICAL_SOFTMAX:
        weights = noise_weights(settings, counts)
        of_noise: npt.NDArray[np.float64] = settings.negatives * weights / weights.sum()
        return share + of_noise
    below: npt.NDArray[np.float64] = sum_below(_given(parents), share)
    return below


def loss_at_zero(settings: Train, counts: npt.NDArray[np.int64]) -> float:
    """The mean objective of an example where all vectors are zero, in nats: what a model that knows nothing costs."""
    share = counts / counts.sum()
    if settings.loss is Loss.FULL_SOFTMAX:
        return math.log(len(counts))
    if settings.loss is Loss.HIERARCHICAL_SOFTMAX:
        return float(share @ code_lengths(counts)) * math.log(2.0)
    if settings.loss is Loss.NEGATIVE_SAMPLING:
        return (settings.negatives + 1) * math.log(2.0)
    weights = noise_weights(settings, counts)
    expected = settings.negatives * weights / weights.sum()  # K q
    return float(share @ np.log1p(expected) + expected @ np.log1p(1.0 / expected))


def _given(parents: Parents | None) -> Parents:
    if parents is None:
        raise ValueError("hierarchical softmax needs its tree")
    return parents
