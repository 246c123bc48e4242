"""A hash table of strings: each has a number, 0, 1, 2 and so on by first occurrence, and its bytes lie in one arena.

Kernels look strings up many at a time, so that cache misses overlap. They raise nothing and grow nothing: `StringTable` sees to it that
everything fits before they enter.
"""

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.words import LONG_KEY, MULTIPLIER, Bytes, Integer, Words, same_bytes

AT_ONCE = 64  # strings that are looked up together
SPARE = 16  # zero bytes that may be read behind the end of a buffer
_FIRST_SLOTS = 1 << 12

Kind = TypeVar("Kind", bound=np.generic)


# B AT_ONCE
class Found(NamedTuple):
    """Strings that have been read and not been looked up yet."""

    keys: Words
    """uint64 (B): equal for equal strings; below LONG_KEY only for them."""
    starts: NDArray[np.int64]
    """int64 (B): where their bytes are."""
    lengths: NDArray[np.int64]
    """int64 (B)."""


@inlined
def new_found() -> Found:
    """Room for strings that are looked up together."""
    return Found(np.empty(AT_ONCE, np.uint64), np.empty(AT_ONCE, np.int64), np.empty(AT_ONCE, np.int64))


# S slots (a power of two), T strings there is room for
@inlined
def look_up(
    found: Found, n_found: int, words: Words, slots: NDArray[np.int32], keys: Words, offsets: NDArray[np.int64],
    arena: Bytes, arena_words: Words, n_strings: Integer, codes: NDArray[np.int32], n_codes: int,
) -> Integer:  # fmt: skip
    """Write the numbers of some strings, behind the first `n_codes`; how many strings are in the table, which changes in place.

    Parameters
    ----------
    found, n_found, words
        The first so many of these, and where their bytes are.
    slots, keys, offsets, arena, arena_words
        The table: int32 (S) numbers by hash, -1 when free; uint64 (T) keys by number; int64 (T + 1) places in the arena; uint8 bytes of the
        strings, a multiple of 8, 8-byte aligned, with 16 bytes spare, and the same as uint64.
    n_strings
        Strings in the table at entry.
    codes, n_codes
        int32, written from entry `n_codes` on.
    """
    mask = slots.size - 1
    for i in range(n_found):
        codes[n_codes + i] = slots[_slot(found.keys[i], mask)]
    for i in range(n_found):
        key, start, length = found.keys[i], found.starts[i], found.lengths[i]
        code: Integer = np.int64(codes[n_codes + i])
        if code < 0 or keys[code] != key or key >= LONG_KEY:
            code = _find_or_insert(key, words, start, length, n_strings, slots, keys, offsets, arena_words)
            codes[n_codes + i] = code
            if code == n_strings:
                n_strings += 1
                _append(words.view(np.uint8), start, length, arena, offsets, n_strings)
    return n_strings


@inlined
def _slot(key: np.uint64, mask: int) -> np.int64:
    """Where a key is looked for first: the upper half of the product depends on every bit of the key."""
    return np.int64(((key ^ key >> np.uint64(32)) * MULTIPLIER) >> np.uint64(32)) & mask


@inlined
def _find_or_insert(
    key: np.uint64, words: Words, start: Integer, length: Integer, n_strings: Integer, slots: NDArray[np.int32], keys: Words,
    offsets: NDArray[np.int64], arena: Words,
) -> Integer:  # fmt: skip
    """The number of a string; `n_strings` when it is new, and then its slot and key are set (in place), but not its bytes."""
    mask = slots.size - 1
    slot = _slot(key, mask)
    while True:
        code = np.int64(slots[slot])
        if code < 0:
            slots[slot] = n_strings
            keys[n_strings] = key
            return n_strings
        if keys[code] == key:
            begin = offsets[code]
            if key < LONG_KEY or (offsets[code + 1] - begin == length and same_bytes(words, start, arena, begin, length)):
                return code
        slot = (slot + 1) & mask


@inlined
def _append(source: Bytes, start: Integer, length: Integer, arena: Bytes, offsets: NDArray[np.int64], n_strings: Integer) -> None:
    """Copy the bytes of the newest string, now one of `n_strings`, behind the others; `arena` and `offsets` change in place."""
    tail = offsets[n_strings - 1]
    for i in range(length):
        arena[tail + i] = source[start + i]
    offsets[n_strings] = tail + length


@kernel
def _fill_slots(slots: NDArray[np.int32], keys: Words, n_strings: int) -> None:
    """Make `slots` (int32 (S), all -1, changed in place) find the first `n_strings` of `keys` (uint64, all of different strings)."""
    mask = slots.size - 1
    for code in range(n_strings):
        slot = _slot(keys[code], mask)
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = code


class StringTable:
    """Distinct strings in order of first occurrence. Its arrays are those of `look_up`, whose result is its new number of strings."""

    def __init__(self) -> None:
        self.n_strings = 0
        self.slots = np.full(_FIRST_SLOTS, -1, np.int32)
        self.keys = np.zeros(0, np.uint64)
        self.offsets = np.zeros(1, np.int64)
        self.arena = np.zeros(0, np.uint8)

    def make_room(self, n_strings: int, n_bytes: int) -> None:
        """Let so many more strings fit, of so many bytes together."""
        n_strings += self.n_strings
        if len(self.keys) < n_strings:
            self.keys = grown(self.keys, n_strings)
            self.offsets = grown(self.offsets, n_strings + 1)
        n_bytes += int(self.offsets[self.n_strings]) + 2 * SPARE
        if len(self.arena) < n_bytes:
            self.arena = grown(self.arena.view(np.uint64), n_bytes // 8 + 1).view(np.uint8)
        # At most three quarters full in the worst case, seldom more than half.
        if 3 * len(self.slots) < 4 * n_strings:
            self.slots = np.full(1 << (4 * n_strings // 3).bit_length(), -1, np.int32)
            _fill_slots(self.slots, self.keys, self.n_strings)

    def strings(self) -> tuple[NDArray[np.int64], Bytes]:
        """Every string by number: int64 (n_strings + 1) offsets, uint8 bytes, string i from offsets[i] to offsets[i + 1]; own arrays."""
        offsets = self.offsets[: self.n_strings + 1]
        return offsets, self.arena[: offsets[-1]]


def grown(array: NDArray[Kind], least: int) -> NDArray[Kind]:
    """A copy with room for `least` items, at least twice as many as before, the new ones zeros."""
    larger = np.zeros(max(least, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger
