"""Words joined into phrases, greedily from left to right.

What a phrase is is written as steps. From its first word each further one leads to a place, and the last one to the phrase's code: of
"new york" the one step is (new, york) -> code, of "bank of america" they are (bank, of) -> place and (place, america) -> code. A text is
`codes` (flat) and `offsets`: sentence s is codes[offsets[s]:offsets[s + 1]].
"""

import numpy as np
import numpy.typing as npt

from kernels.jit import inlined, kernel

_HALF = np.uint64(32)
_SECOND = np.uint64(0xFFFFFFFF)

# n tokens, S sentences, p steps


def join_phrases(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    steps: npt.NDArray[np.uint64],
    leads_to: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The text with each phrase as one word, joined greedily from left to right.

    A word joins one phrase: with the phrases (a, b) and (b, c), "a b c" becomes "ab c". Longer phrases come from further passes.

    Parameters
    ----------
    codes, offsets
        The text, int32[n], at least 0, and int64[S + 1], not falling.
    steps
        Packed as from << 32 | word, uint64[p], ascending, distinct. `from` is the first word of a phrase, or a place, which is no code
        that the text has. No word that leads to a place begins or ends a phrase.
    leads_to
        Where each step leads, int32[p]: the code of a phrase, or ~place.

    Returns
    -------
    codes, offsets
        The joined text, int32[n'] and int64[S + 1] from 0: as many sentences, and for each phrase joined one word instead of its own.

    Notes
    -----
    The same rule as word2phrase and gensim. The steps from a word or place are a range of the sorted array, found by an index.
    """
    origin = (steps >> _HALF).astype(np.int64)
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(origin), dtype=np.int64)])
    return _join(codes, offsets, (steps & _SECOND).astype(np.int32), leads_to, begin)


@kernel
def _join(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    words: npt.NDArray[np.int32],
    leads_to: npt.NDArray[np.int32],
    begin: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The joined text; the steps from `a` are words[begin[a]:begin[a + 1]], ascending."""
    joined = np.empty(offsets[-1] - offsets[0], np.int32)
    borders = np.empty(offsets.size, np.int64)
    borders[0] = 0
    m = 0
    for sentence in range(offsets.size - 1):
        i, stop = offsets[sentence], offsets[sentence + 1]
        while i < stop:
            word, after = codes[i], i + 1
            origin, at = np.int64(word), after
            while at < stop:
                step = _find_step(origin, codes[at], words, begin)
                if step < 0:
                    break
                at += 1
                if leads_to[step] >= 0:
                    word, after = leads_to[step], at
                    break
                origin = np.int64(~leads_to[step])
            joined[m] = word
            m += 1
            i = after
        borders[sentence + 1] = m
    return joined[:m], borders


@inlined
def _find_step(origin: np.int64, word: np.int32, words: npt.NDArray[np.int32], begin: npt.NDArray[np.int64]) -> np.int64:
    """The number of the step from a word or place by another word; -1: there is none."""
    if origin >= begin.size - 1:
        return np.int64(-1)
    low, high = begin[origin], begin[origin + 1]
    end = high
    while low < high:
        middle = (low + high) >> 1
        if words[middle] < word:
            low = middle + 1
        else:
            high = middle
    return low if low < end and words[low] == word else np.int64(-1)
