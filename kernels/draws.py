"""Random numbers as a pure function of what they are for: a counter-based generator, the only one in the project.

A draw is `uniform64(key, counter)`. The key says who draws (seed, purpose, epoch, sentence ...), the counter says which of its draws this
is, so no draw depends on what else was drawn before, by whom, or on which thread.

Notes
-----
`uniform64` is output number `counter` of SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", with the
finaliser that they call variant 13) started at `key`: its state is a counter, so any output can be computed at once.
"""

from enum import IntEnum

import numpy as np

from kernels.jit import inlined, kernel

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TO_UNIT = 1.0 / (1 << 53)


class Purpose(IntEnum):
    """What a stream of draws is for; the numbers are part of every result and never change."""

    SUBSAMPLE = 1
    RADIUS = 2
    NOISE = 3
    INITIAL = 4
    MATCHES = 5


@inlined
def mix64(bits: np.uint64) -> np.uint64:
    """A bijection of 64 bits in which every input bit changes every output bit with probability about one half."""
    bits = (bits ^ (bits >> np.uint64(30))) * _MIX_1
    bits = (bits ^ (bits >> np.uint64(27))) * _MIX_2
    return bits ^ (bits >> np.uint64(31))


@kernel
def derive_key(parent: np.uint64, child: np.uint64) -> np.uint64:
    """The key of one branch below `parent`: chain it, as in seed -> purpose -> epoch -> sentence."""
    return mix64(mix64(parent + GOLDEN) ^ (child * _MIX_1))


@inlined
def uniform64(key: np.uint64, counter: np.uint64) -> np.uint64:
    """Draw number `counter` (from 0) of the stream `key`: 64 uniform bits."""
    return mix64(key + (counter + np.uint64(1)) * GOLDEN)


@inlined
def uniform_unit(key: np.uint64, counter: np.uint64) -> float:
    """Draw number `counter` of the stream `key` as a float64 in [0, 1) with 53 random bits."""
    return np.float64(uniform64(key, counter) >> np.uint64(11)) * _TO_UNIT


@inlined
def uniform_below(key: np.uint64, counter: np.uint64, bound: np.uint64) -> np.uint64:
    """Draw number `counter` of the stream `key` as an integer in [0, bound), bound at most 2**32.

    Multiply and shift (Lemire 2019) on the upper 32 bits, without rejection: the bias is below bound / 2**32.
    """
    return ((uniform64(key, counter) >> np.uint64(32)) * bound) >> np.uint64(32)
