"""Word pairs that stand side by side: counted, scored, and joined into phrases.

Words are codes here; spelling a phrase is not this module's business, nor is deciding which scorer and threshold are used. A text is
`codes` (flat) and `offsets`: sentence s is codes[offsets[s]:offsets[s + 1]]. A bigram (first, second) is packed as
first << 32 | second, so the order of packed values is the order of (first, second).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel

Counted = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Distinct packed bigrams (uint64[m], ascending) and how often each was seen (int64[m])."""

# 32 MiB of packed bigrams at a time. A chunk is sorted as a whole: the shorter the chunks, the more merging afterwards.
CHUNK_TOKENS = 1 << 22
_SECOND = np.uint64(0xFFFFFFFF)

# n tokens, S sentences, W words (codes), m distinct bigrams, p phrases


def count_bigrams(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    eligible: npt.NDArray[np.bool_],
    chunk_tokens: int = CHUNK_TOKENS,
) -> Counted:
    """Every bigram of two eligible words inside a sentence, and its exact count.

    Overlapping pairs all count: "a a a" holds (a, a) twice. An ineligible word between two others separates them.

    Parameters
    ----------
    codes
        The text, [n], each in [0, W).
    offsets
        Sentence borders, [S + 1], not falling; only codes[offsets[0]:offsets[S]] are read.
    eligible
        Which words may be part of a bigram, [W].
    chunk_tokens
        Tokens that are sorted at a time, at least 1. It bounds the working memory (8 bytes a token, and the distinct bigrams of the
        chunks that are not merged yet) and changes nothing else.

    Returns
    -------
    Counted
        Packed bigrams uint64[m], ascending, and counts int64[m], all at least 1.

    Notes
    -----
    Pack, sort, count run lengths. Measured on 3.2 M tokens with 1.1 M distinct bigrams (Zen 3, one core): this 60 to 67 ms, of which
    NumPy's SIMD sort takes 39; np.unique on the packed pairs 72 to 84 ms; two counting sorts, by second and then by first word, 65 ms;
    an open hash table of 4 M slots, sorted afterwards, 220 to 390 ms, since nearly every probe misses the cache.
    """
    buffer = np.empty(min(chunk_tokens, max(int(offsets[-1] - offsets[0]), 0)), np.uint64)
    starts = range(int(offsets[0]), int(offsets[-1]), chunk_tokens)
    return merge_counts(_count_chunk(codes, offsets, eligible, start, buffer) for start in starts)


def merge_counts(parts: Iterable[Counted]) -> Counted:
    """The sum of several counts: the union of their bigrams, each with its counts added up.

    Parameters
    ----------
    parts
        Counts as `count_bigrams` gives them, in any order and number; taken one by one, so they may be made as they are needed.

    Returns
    -------
    Counted
        Packed bigrams uint64[m], ascending, and counts int64[m]; with a single part, that part itself.
    """
    stack: list[Counted] = []
    for part in parts:
        stack.append(part)
        # Merging like with like keeps the work at m log(parts) and the stack at about twice its largest member.
        while len(stack) > 1 and stack[-2][0].size <= 2 * stack[-1][0].size:
            stack.append(_merge(*stack.pop(), *stack.pop()))
    while len(stack) > 1:
        stack.append(_merge(*stack.pop(), *stack.pop()))
    return stack[0] if stack else (np.empty(0, np.uint64), np.empty(0, np.int64))


def score_by_tokens(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, discount: float, n_tokens: int
) -> npt.NDArray[np.float64]:
    """Scores float64[m] as word2phrase gives them: (n_ab - discount) / (n_a n_b) * n_tokens; its threshold is 100.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; n_a and n_b at least 1.
    discount
        Taken off n_ab, so that pairs of rare words do not win; word2phrase takes its min-count, 5.
    n_tokens
        All tokens of the text, rare words included.

    Notes
    -----
    Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality", eq. 6, which has no factor.
    Differs from word2phrase: float64 instead of float32. A bigram is a phrase when its score is above the threshold, not at it;
    word2phrase also wants both words to reach min-count, which `eligible` of `count_bigrams` sees to.
    """
    return _score_ratio(n_ab, n_a, n_b, discount) * float(n_tokens)


def score_by_vocabulary(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, discount: float, n_vocabulary: int
) -> npt.NDArray[np.float64]:
    """Scores float64[m] as gensim's `original_scorer` gives them: (n_ab - discount) / (n_a n_b) * n_vocabulary; its threshold is 10.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; n_a and n_b at least 1.
    discount
        Taken off n_ab; gensim takes its min_count, 5.
    n_vocabulary
        Entries of the vocabulary.

    Notes
    -----
    gensim 4.4, models/phrases.py. The same: the formula, its order of operations in float64 and so every bit, and "above the threshold".
    What to know: gensim's `len_vocab` is the length of one dictionary that holds the distinct words *and* the distinct bigrams it has
    seen, rare ones included, not the words alone as its documentation says; give that sum as `n_vocabulary` for gensim's scores.
    Differs: gensim asks no min-count of the two words (all are eligible), drops the rarest entries once there are more than
    `max_vocab_size` of them, and passes over connector words; here counts are exact and words are only neighbours.
    """
    return _score_ratio(n_ab, n_a, n_b, discount) * float(n_vocabulary)


def score_npmi(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, n_tokens: int
) -> npt.NDArray[np.float64]:
    """Normalised pointwise mutual information float64[m], ln(p_ab / (p_a p_b)) / -ln p_ab, each p a count over n_tokens.

    1 for words that only occur together, 0 for independent ones, towards -1 for words that avoid each other.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; 1 <= n_ab < n_tokens, n_a and n_b at least 1.
    n_tokens
        All tokens of the text, rare words included.

    Notes
    -----
    Bouma 2009, "Normalized (pointwise) mutual information in collocation extraction". gensim's `npmi_scorer` is the same, but also gives
    -inf to bigrams seen fewer than min_count times; here the caller leaves those out.
    """
    total = float(n_tokens)
    p_ab = n_ab / total
    scores: npt.NDArray[np.float64] = np.log(p_ab / ((n_a / total) * (n_b / total))) / -np.log(p_ab)
    return scores


def join_phrases(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    phrases: npt.NDArray[np.uint64],
    phrase_code: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The text with each phrase as one word, joined greedily from left to right.

    A word joins one phrase: with the phrases (a, b) and (b, c), "a b c" becomes "ab c". Longer phrases come from further passes.

    Parameters
    ----------
    codes, offsets
        The text, [n] and [S + 1], as in `count_bigrams`; codes at least 0.
    phrases
        Packed bigrams that are phrases, [p], ascending, distinct.
    phrase_code
        The code of each phrase, [p].

    Returns
    -------
    codes, offsets
        The joined text, int32[n'] and int64[S + 1] from 0: as many sentences, one word fewer for each phrase joined.

    Notes
    -----
    The same rule as word2phrase and gensim. A word's phrases are a range of the sorted array, found by an index over first words.
    """
    first = (phrases >> np.uint64(32)).astype(np.int64)
    begin = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.bincount(first), dtype=np.int64)])
    return _join(codes, offsets, (phrases & _SECOND).astype(np.int32), phrase_code, begin)


def _score_ratio(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], discount: float
) -> npt.NDArray[np.float64]:
    # The product of two counts can pass 2**63; as floats it is still the exact product, rounded once.
    ratio: npt.NDArray[np.float64] = (n_ab - discount) / (n_a.astype(np.float64) * n_b.astype(np.float64))
    return ratio


def _count_chunk(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    eligible: npt.NDArray[np.bool_],
    start: int,
    buffer: npt.NDArray[np.uint64],
) -> Counted:
    """The counted bigrams whose second word stands in [start, start + buffer.size); overwrites `buffer`."""
    packed = buffer[: _pack(codes, offsets, eligible, start, buffer)]
    packed.sort()
    return _count_runs(packed)


@kernel
def _pack(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    eligible: npt.NDArray[np.bool_],
    start: int,
    packed: npt.NDArray[np.uint64],
) -> int:
    """The number of bigrams whose second word stands in [start, start + packed.size); writes them to `packed`."""
    stop = start + packed.size
    n_packed = 0
    sentence = np.searchsorted(offsets, start, side="right") - 1
    while sentence < offsets.size - 1 and offsets[sentence] < stop:
        for i in range(max(offsets[sentence] + 1, start), min(offsets[sentence + 1], stop)):
            first, second = codes[i - 1], codes[i]
            packed[n_packed] = np.uint64(first) << np.uint64(32) | np.uint64(second)
            n_packed += eligible[first] & eligible[second]
        sentence += 1
    return n_packed


@kernel
def _count_runs(ordered: npt.NDArray[np.uint64]) -> Counted:
    """The distinct values of an ascending uint64[n] and the length of each one's run."""
    n_distinct = 0
    for i in range(ordered.size):
        n_distinct += i == 0 or ordered[i] != ordered[i - 1]
    bigrams = np.empty(n_distinct, np.uint64)
    counts = np.empty(n_distinct, np.int64)
    run, begin = -1, 0
    for i in range(ordered.size):
        if i == 0 or ordered[i] != ordered[i - 1]:
            if run >= 0:
                counts[run] = i - begin
            run, begin = run + 1, i
            bigrams[run] = ordered[i]
    if run >= 0:
        counts[run] = ordered.size - begin
    return bigrams, counts


@kernel
def _merge(
    bigrams_a: npt.NDArray[np.uint64], counts_a: npt.NDArray[np.int64], bigrams_b: npt.NDArray[np.uint64], counts_b: npt.NDArray[np.int64]
) -> Counted:
    """The union of two ascending lists, with the counts of common bigrams added; without branches that depend on the data."""
    i = j = n_common = 0
    while i < bigrams_a.size and j < bigrams_b.size:
        x, y = bigrams_a[i], bigrams_b[j]
        n_common += x == y
        i += x <= y
        j += y <= x
    bigrams = np.empty(bigrams_a.size + bigrams_b.size - n_common, np.uint64)
    counts = np.empty(bigrams.size, np.int64)
    i = j = m = 0
    while i < bigrams_a.size and j < bigrams_b.size:
        x, y = bigrams_a[i], bigrams_b[j]
        bigrams[m] = min(x, y)
        counts[m] = counts_a[i] * (x <= y) + counts_b[j] * (y <= x)
        i += x <= y
        j += y <= x
        m += 1
    rest_a = m + bigrams_a.size - i
    bigrams[m:rest_a] = bigrams_a[i:]
    counts[m:rest_a] = counts_a[i:]
    bigrams[rest_a:] = bigrams_b[j:]
    counts[rest_a:] = counts_b[j:]
    return bigrams, counts


@kernel
def _join(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    seconds: npt.NDArray[np.int32],
    phrase_code: npt.NDArray[np.int32],
    begin: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The joined text; the second words of the phrases that begin with `a` are seconds[begin[a]:begin[a + 1]], ascending."""
    joined = np.empty(offsets[-1] - offsets[0], np.int32)
    borders = np.empty(offsets.size, np.int64)
    borders[0] = 0
    n_first = begin.size - 1
    m = 0
    for sentence in range(offsets.size - 1):
        i, stop = offsets[sentence], offsets[sentence + 1]
        while i < stop:
            word = codes[i]
            i += 1
            if i < stop and word < n_first and begin[word] < begin[word + 1]:
                second = codes[i]
                low, high = begin[word], begin[word + 1]
                while low < high:
                    middle = (low + high) >> 1
                    if seconds[middle] < second:
                        low = middle + 1
                    else:
                        high = middle
                if low < begin[word + 1] and seconds[low] == second:
                    word = phrase_code[low]
                    i += 1
            joined[m] = word
            m += 1
        borders[sentence + 1] = m
    return joined[:m], borders
