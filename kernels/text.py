"""Text as kernels read it, and the learning rate at each of its centres."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel

MAX_WINDOW = 64

Tokens = NDArray[np.int32]
Radii = NDArray[np.uint8]


# S sentences, T tokens
class Text(NamedTuple):
    """Sentences to train on, and where they stand in the run."""

    tokens: Tokens
    """int32 (T,): vocabulary ids."""
    offsets: NDArray[np.int64]
    """int64 (S + 1,): sentence s is tokens[offsets[s]:offsets[s + 1]]."""
    radius: Radii
    """uint8 (T,): window radius of each position, at most 64."""
    base: int
    """The global number, over all epochs, of the centre tokens[0]: it keys the noise and sets the learning rate."""


class Rates(NamedTuple):
    """The learning rate of global centre n is max(minimum, start - (start - minimum) * n / n_centres)."""

    start: float
    minimum: float
    n_centres: int


@kernel
def learning_rate(rates: Rates, n: int) -> float:
    """The learning rate of a global centre."""
    return max(rates.minimum, rates.start - (rates.start - rates.minimum) * (n / rates.n_centres))


@inlined
def sentence_at(offsets: NDArray[np.int64], position: int) -> int:
    """The sentence that a position is in: the last one that starts at or before it."""
    low, high = 0, offsets.size - 1
    while low + 1 < high:
        middle = (low + high) // 2
        if offsets[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@inlined
def largest_radius(radius: Radii, first: int, last: int) -> int:
    """The largest radius in radius[first:last]."""
    largest = np.uint8(0)
    for position in range(first, last):
        largest = max(largest, radius[position])
    return int(largest)
