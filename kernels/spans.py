"""Two words with connectors between them (bank of america), counted: with bigrams, what can become a phrase when connectors are given.

A span is a word, one or more connectors and the next word, all in one sentence; words and connectors are codes. Spans are kept as a tree:
from a word each connector leads to an entry, and so does the word at the end, whose entry has the count.
"""

import numpy as np
import numpy.typing as npt

from kernels.draws import mix64
from kernels.jit import inlined, kernel

Codes = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

_FIRST_SLOTS = 1 << 12
_HALF = np.uint64(32)
_SECOND = np.uint64(0xFFFFFFFF)

# n tokens, S sentences, W codes, E entries, m distinct spans, L words in all of them


class Spans:
    """The distinct spans of texts, and how often each was seen.

    Parameters
    ----------
    is_connector
        bool[W]: which codes are connectors.
    """

    def __init__(self, is_connector: npt.NDArray[np.bool_]) -> None:
        self._is_connector = is_connector
        self.n_entries = 0
        """The entries of the tree: each takes some 30 bytes."""
        self._clear()

    def add(self, codes: Codes, offsets: Offsets) -> None:
        """Count the spans of a text: codes [n] in [0, W), sentence borders [S + 1].

        Room is made for an entry of each token, and new memory takes longer than counting in it: add long texts in parts.
        """
        self._make_room(int(offsets[-1] - offsets[0]))
        self.n_entries = _count(codes, offsets, self._is_connector, self._slots, self._keys, self._counts, self.n_entries)

    def take(self) -> tuple[Codes, Offsets, npt.NDArray[np.int64]]:
        """All spans in order of first occurrence, int32[L] words with borders int64[m + 1], and counts int64[m]; none is left here."""
        codes, offsets = _words_of(self._keys[: self.n_entries], self._counts, len(self._is_connector))
        counts = self._counts[: self.n_entries]
        found = codes, offsets, counts[counts > 0]
        self._clear()
        return found

    def _clear(self) -> None:
        self.n_entries = 0
        self._slots = np.full(_FIRST_SLOTS, -1, np.int32)
        self._keys = np.zeros(0, np.uint64)
        self._counts = np.zeros(0, np.int64)

    def _make_room(self, n_tokens: int) -> None:
        """Let the worst text of so many tokens fit, every one of which makes an entry."""
        n = self.n_entries + n_tokens
        if len(self._keys) < n:
            room = max(n, 2 * len(self._keys))
            self._keys = np.concatenate([self._keys, np.zeros(room - len(self._keys), np.uint64)])
            self._counts = np.concatenate([self._counts, np.zeros(room - len(self._counts), np.int64)])
        if len(self._slots) < 2 * n:
            self._slots = np.full(1 << (2 * n).bit_length(), -1, np.int32)
            _fill_slots(self._slots, self._keys, self.n_entries)


@inlined
def _find_or_insert(origin: np.int64, code: np.int32, slots: Codes, keys: Keys, n_entries: int) -> np.int64:
    """The number of the entry that a code leads to; `n_entries` when it is new, and then its slot and key are set (in place)."""
    key = np.uint64(origin) << _HALF | np.uint64(code)
    mask = slots.size - 1
    slot = np.int64(mix64(key)) & mask
    while True:
        entry = np.int64(slots[slot])
        if entry < 0:
            slots[slot] = n_entries
            keys[n_entries] = key
            return np.int64(n_entries)
        if keys[entry] == key:
            return entry
        slot = (slot + 1) & mask


@kernel
def _count(
    codes: Codes, offsets: Offsets, is_connector: npt.NDArray[np.bool_], slots: Codes, keys: Keys, counts: npt.NDArray[np.int64],
    n_entries: int,
) -> int:  # fmt: skip
    """Count spans; the number of entries then. `slots` (int32, -1 when free), `keys` and `counts` (for every entry) change in place.

    The origin of an entry, in the upper half of its key, is the word that the span begins with, or W + the number of the entry before.
    """
    n_codes = is_connector.size
    for sentence in range(offsets.size - 1):
        origin = np.int64(-1)
        for i in range(offsets[sentence], offsets[sentence + 1]):
            code = codes[i]
            if is_connector[code]:
                if origin >= 0:
                    entry = _find_or_insert(origin, code, slots, keys, n_entries)
                    n_entries += entry == n_entries
                    origin = n_codes + entry
            else:
                if origin >= n_codes:
                    entry = _find_or_insert(origin, code, slots, keys, n_entries)
                    n_entries += entry == n_entries
                    counts[entry] += 1
                origin = np.int64(code)
    return n_entries


@kernel
def _fill_slots(slots: Codes, keys: Keys, n_entries: int) -> None:
    """Make `slots`, all -1, find the first `n_entries` of `keys`; in place."""
    mask = slots.size - 1
    for entry in range(n_entries):
        slot = np.int64(mix64(keys[entry])) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = entry


@kernel
def _words_of(keys: Keys, counts: npt.NDArray[np.int64], n_codes: int) -> tuple[Codes, Offsets]:
    """The words of every entry that has a count, one after the other, and their borders."""
    # An entry comes after the one that it goes on from.
    lengths = np.empty(keys.size, np.int64)
    n_spans, n_words = 0, 0
    for entry in range(keys.size):
        before = np.int64(keys[entry] >> _HALF) - n_codes
        lengths[entry] = 2 if before < 0 else lengths[before] + 1
        if counts[entry] > 0:
            n_spans += 1
            n_words += lengths[entry]
    words = np.empty(n_words, np.int32)
    borders = np.zeros(n_spans + 1, np.int64)
    span = 0
    for entry in range(keys.size):
        if counts[entry] > 0:
            borders[span + 1] = borders[span] + lengths[entry]
            place, at = borders[span + 1] - 1, np.int64(entry)
            while at >= 0:
                words[place] = np.int32(keys[at] & _SECOND)
                before = np.int64(keys[at] >> _HALF)
                place, at = place - 1, before - n_codes
            words[place] = np.int32(before)
            span += 1
    return words, borders
