"""Strings cut into partitions by a hash of their bytes, so that equal strings meet wherever they come from."""

import numpy as np
import numpy.typing as npt

from kernels.draws import mix64
from kernels.jit import kernel

_BASIS = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_HALF = np.uint64(32)

# n strings, P partitions


@kernel
def partition_strings(
    content: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int32], n_partitions: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The numbers of strings by partition, int64[n], in their order within each, and the borders of the partitions, int64[P + 1].

    Parameters
    ----------
    content, offsets
        uint8 bytes and int32[n + 1]: string i is content[offsets[i]:offsets[i + 1]].
    n_partitions
        P, at least 1. A string's partition depends on it and on its bytes alone, and all partitions are about equally likely.

    Notes
    -----
    FNV-1a with 64 bits (Fowler, Noll & Vo), whose last bytes reach only its lower bits, and `mix64`, which spreads them.
    """
    n = offsets.size - 1
    partitions = np.empty(n, np.int64)
    borders = np.zeros(n_partitions + 1, np.int64)
    for i in range(n):
        bits = _BASIS
        for at in range(offsets[i], offsets[i + 1]):
            bits = (bits ^ np.uint64(content[at])) * _PRIME
        partitions[i] = (mix64(bits) >> _HALF) * np.uint64(n_partitions) >> _HALF
        borders[partitions[i] + 1] += 1
    for partition in range(n_partitions):
        borders[partition + 1] += borders[partition]
    places = borders[:-1].copy()
    order = np.empty(n, np.int64)
    for i in range(n):
        place = places[partitions[i]]
        places[partitions[i]] = place + 1
        order[place] = i
    return order, borders
