"""Draws from a fixed discrete distribution in constant time and two cache lines: Walker's alias table, built by Vose's method.

A table of noise words as long as in the reference program (10**8 entries) would miss every cache.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.tiles import select

_ONE = 4294967296.0  # 2**32


# V entries
@kernel
def build_alias(weights: NDArray[np.float64]) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """The alias table of probabilities proportional to the weights; the same weights always give the same table.

    Parameters
    ----------
    weights
        float64 (V,), not negative, finite, at least one positive; V from 1 to 2**31 - 1.

    Returns
    -------
    threshold
        uint32 (V,): entry i keeps a draw of 32 bits below threshold[i].
    other
        int32 (V,): the entry that a draw at or above the threshold gets.

    Notes
    -----
    Vose 1991, "A linear algorithm for generating random numbers with a given distribution". Probabilities are rounded to multiples of
    2**-32 / V; an entry of weight zero is never drawn.
    """
    n = weights.size
    threshold = np.zeros(n, np.uint32)
    other = np.arange(n).astype(np.int32)
    scaled = weights * (n / weights.sum())
    small, large = np.empty(n, np.int32), np.empty(n, np.int32)
    n_small, n_large = 0, 0
    for i in range(n):
        if scaled[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        n_small -= 1
        poor, rich = small[n_small], large[n_large - 1]
        threshold[poor] = np.uint32(min(scaled[poor] * _ONE, _ONE - 1.0))
        other[poor] = rich
        scaled[rich] -= 1.0 - scaled[poor]
        if scaled[rich] < 1.0:
            n_large -= 1
            small[n_small] = rich
            n_small += 1
    # What is left has probability one, but for rounding: it is its own alias, so its threshold does not matter.
    heaviest = np.int32(np.argmax(weights))
    for k in range(n_small):
        if weights[small[k]] == 0.0:
            other[small[k]] = heaviest
    return threshold, other


@inlined
def draw_alias(bits: np.uint64, threshold: NDArray[np.uint32], other: NDArray[np.int32]) -> np.int32:
    """One entry of the table from 64 uniform bits: the upper 32 choose a column, the lower 32 whether its own entry is kept."""
    column = ((bits >> np.uint64(32)) * np.uint64(threshold.size)) >> np.uint64(32)
    kept = np.uint32(bits & np.uint64(0xFFFFFFFF)) < threshold[column]
    word: np.int32 = select(kept, np.int32(column), other[column])
    return word
