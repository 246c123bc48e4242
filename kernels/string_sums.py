"""Strings with counts, added up: each string once, with the sum of its counts."""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.string_table import AT_ONCE, SPARE, StringTable, grown, look_up, new_found
from kernels.words import Bytes, Integer, Words, first_bytes, key_of, load_word


class StringSums:
    """Distinct strings, each with the sum of its counts."""

    def __init__(self) -> None:
        self._table = StringTable()
        self._sums = np.zeros(0, np.int64)

    def add(self, content: Bytes, offsets: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
        """Add strings, of which some may be equal; those with a count of 0 are left out.

        Parameters
        ----------
        content, offsets
            uint8 bytes and int32 (n + 1): string i is content[offsets[i] : offsets[i + 1]].
        counts
            int64 (n).
        """
        begin, n_bytes = int(offsets[0]), int(offsets[-1] - offsets[0])
        words = np.zeros(n_bytes // 8 + 2 + SPARE // 8, np.uint64)
        words.view(np.uint8)[:n_bytes] = content[begin : begin + n_bytes]
        table = self._table
        table.make_room(len(counts), n_bytes)
        if len(self._sums) < len(table.keys):
            self._sums = grown(self._sums, len(table.keys))
        # Copies: of one array type, writable, so that there is one compiled kernel.
        borders, amounts = np.subtract(offsets, begin, dtype=np.int64), np.array(counts, np.int64)
        arrays = table.slots, table.keys, table.offsets, table.arena
        table.n_strings = int(_add(words, borders, amounts, *arrays, table.n_strings, self._sums))

    def result(self) -> tuple[NDArray[np.int64], Bytes, NDArray[np.int64]]:
        """As `StringTable.strings`, and their sums, int64 (n_strings,)."""
        return *self._table.strings(), self._sums[: self._table.n_strings]


@kernel
def _add(
    words: Words, borders: NDArray[np.int64], counts: NDArray[np.int64], slots: NDArray[np.int32], keys: Words, offsets: NDArray[np.int64],
    arena: Bytes, n_strings: int, sums: NDArray[np.int64],
) -> Integer:  # fmt: skip
    """Look up all strings that have a count and add it to the sum of each, in place; how many strings are in the table."""
    found, codes, amounts = new_found(), np.empty(AT_ONCE, np.int32), np.empty(AT_ONCE, np.int64)
    arena_words = arena.view(np.uint64)
    n_total: Integer = n_strings
    n_found = 0
    for i in range(counts.size):
        if counts[i]:
            start, length = borders[i], borders[i + 1] - borders[i]
            found.starts[n_found], found.lengths[n_found], found.keys[n_found] = start, length, _key(words, start, length)
            amounts[n_found] = counts[i]
            n_found += 1
        if n_found == AT_ONCE or i == counts.size - 1:
            n_total = look_up(found, n_found, words, slots, keys, offsets, arena, arena_words, n_total, codes, 0)
            for j in range(n_found):
                sums[codes[j]] += amounts[j]
            n_found = 0
    return n_total


@inlined
def _key(words: Words, start: Integer, length: Integer) -> np.uint64:
    """The key of any string: of up to 7 bytes these and their number, which tells NULs from nothing; else a hash with the top bit set."""
    if length >= 8:
        return key_of(words, start, length)
    short = load_word(words, start) & first_bytes(length) if length else np.uint64(0)
    return short | np.uint64(length) << np.uint64(56)
