"""Text eight bytes at a time: a token's end, its key and its equality without a branch for each byte.

Words are loaded with the first byte lowest, as on every little-endian machine.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Integer = int | np.int64

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
LONG_KEY = np.uint64(1 << 63)
_ONES = np.uint64(0x0101010101010101)
_HIGHS = np.uint64(0x8080808080808080)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONE = np.uint64(1)


@inlined
def load_word(words: Words, at: Integer) -> np.uint64:
    """The 8 bytes from byte `at` on, aligned or not."""
    index, shift = at >> 3, np.uint64((at & 7) << 3)
    loaded: np.uint64 = words[index] >> shift | (words[index + 1] << _ONE) << (np.uint64(63) - shift)
    return loaded


@inlined
def before_stop(word: np.uint64) -> np.uint64:
    """A mask of the bytes below the lowest one that is 0 or not ASCII; all bits when there is none."""
    # A borrow can only raise bytes above the first 0, so the lowest flag is always right.
    stops = ((word - _ONES) | word) & _HIGHS
    return ((stops & (~stops + _ONE)) >> np.uint64(7)) - _ONE


@inlined
def count_bytes(mask: np.uint64) -> np.int64:
    """The number of bytes of a mask of whole bytes."""
    return np.int64(((mask & _ONES) * _ONES) >> np.uint64(56))


@inlined
def first_bytes(length: Integer) -> np.uint64:
    """A mask of the first 1 to 8 bytes."""
    return _ALL >> np.uint64((8 - length) << 3)


@inlined
def key_of(words: Words, at: Integer, length: Integer) -> np.uint64:
    """The bytes themselves when there are at most 7 (no token holds a NUL), else a hash of them with the top bit set."""
    if length < 8:
        return load_word(words, at) & first_bytes(length)
    key = np.uint64(length)
    while length > 8:
        key = (key ^ load_word(words, at)) * MULTIPLIER
        key ^= key >> np.uint64(32)
        at += 8
        length -= 8
    return (key ^ (load_word(words, at) & first_bytes(length))) * MULTIPLIER | LONG_KEY


@inlined
def ascii_run(words: Words, at: Integer) -> tuple[Integer, np.uint64]:
    """The length of the run of ASCII token characters from byte `at` on, and its key."""
    word = load_word(words, at)
    mask = before_stop(word)
    length = count_bytes(mask)
    if length < 8:
        return length, word & mask
    while mask == _ALL:
        mask = before_stop(load_word(words, at + length))
        length += count_bytes(mask)
    return length, key_of(words, at, length)


@inlined
def same_bytes(one: Words, at: Integer, other: Words, start: Integer, length: Integer) -> bool:
    """Whether `length` bytes from `at` in `one` are those from `start` in `other`."""
    while length > 8:
        if load_word(one, at) != load_word(other, start):
            return False
        at += 8
        start += 8
        length -= 8
    return bool(((load_word(one, at) ^ load_word(other, start)) & first_bytes(length)) == np.uint64(0))
