"""Made-up vectors, for the tests of what is near to what."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipeline.vectors import Vectors


def named(n_words: int) -> list[str]:
    """So many different words."""
    return [f"w{number}" for number in range(n_words)]


def space(matrix: np.ndarray, words: Sequence[str] | None = None) -> Vectors:
    """Vectors of these words, the first the most frequent."""
    matrix = np.ascontiguousarray(matrix, dtype=np.float32)
    return Vectors(pa.array(words or named(len(matrix)), pa.string()), np.arange(len(matrix), 0, -1, dtype=np.int64), matrix)


def scattered(seed: int, n_words: int = 1_000, n_dimensions: int = 20) -> np.ndarray:
    """Directions without any order."""
    return np.random.default_rng(seed).normal(size=(n_words, n_dimensions))
