"""The model of a training run in memory: two matrices, the noise, the learning rates."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kernels.alias import build_alias
from kernels.block import block_kernel
from kernels.draws import Purpose, derive_key
from kernels.skipgram import Noise, Rates
from kernels.vectors import fill_initial, new_vectors
from pipeline.configuration import NoiseDraws, Train

INPUT_FILE, OUTPUT_FILE = "input.npy", "output.npy"
COMMON_DIMENSIONS = (50, 100, 128, 200, 256, 300)  # have machine code of their own, 4 % faster at 100; all others share one


class Model:
    """Word vectors in training. V words, D dimensions."""

    def __init__(self, settings: Train, counts: npt.NDArray[np.int64], n_centres: int) -> None:
        """A new model for words with these counts, int64 (V,), that will see so many centres over all epochs."""
        self.settings = settings
        self.input = new_vectors(len(counts), settings.dimensions)
        self.output = new_vectors(len(counts), settings.dimensions)
        seed = np.uint64(settings.seed)
        # Numba returns a Python int, and takes one for signed after a small one was seen: half of all keys would not fit.
        initial_key, noise_key = (np.uint64(derive_key(seed, np.uint64(purpose))) for purpose in (Purpose.INITIAL, Purpose.NOISE))
        fill_initial(self.input, settings.dimensions, initial_key)
        self.noise = Noise(*build_alias(noise_weights(settings, counts)), noise_key)
        self.rates = Rates(settings.learning_rate, settings.min_learning_rate, n_centres)

    def kernel(self, n_replicas: int) -> Callable[..., None]:
        """The kernel that trains it."""
        settings = self.settings
        constant = settings.dimensions if settings.dimensions in COMMON_DIMENSIONS else 0
        return block_kernel(settings.negatives, settings.noise_draws is NoiseDraws.PER_PAIR, n_replicas, constant_dimensions=constant)

    def save(self, directory: Path) -> None:
        """Write both matrices, padding included."""
        np.save(directory / INPUT_FILE, self.input)
        np.save(directory / OUTPUT_FILE, self.output)

    def load(self, directory: Path) -> None:
        """Read both matrices in place."""
        self.input[:] = np.load(directory / INPUT_FILE, mmap_mode="r")
        self.output[:] = np.load(directory / OUTPUT_FILE, mmap_mode="r")


def noise_weights(settings: Train, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How often each word is drawn as noise, not normalised, float64 (V,)."""
    return counts.astype(np.float64) ** settings.noise_power
