"""Word pairs that stand side by side: counted in bounded memory, added up, and cut into partitions.

Words are codes here; what they stand for and which pairs become phrases is not this module's business. A text is `codes` (flat) and
`offsets`: sentence s is codes[offsets[s]:offsets[s + 1]]. A bigram (first, second) is packed as first << 32 | second, so the order of
packed values is the order of (first, second).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from kernels.draws import mix64
from kernels.jit import inlined, kernel

Codes = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
Counted = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]
"""Distinct packed bigrams (uint64[m], ascending) and how often each was seen (int64[m])."""

# 32 MiB of packed bigrams at a time. A chunk is sorted as a whole: the shorter the chunks, the more merging afterwards.
CHUNK_TOKENS = 1 << 22
_HALF = np.uint64(32)

# n tokens, S sentences, m distinct bigrams, P partitions


def count_bigrams(texts: Iterable[tuple[Codes, Offsets]], most: int, chunk_tokens: int = CHUNK_TOKENS) -> Iterator[Counted]:
    """Every bigram inside a sentence and its exact count, in one part or, where memory asks for it, in more.

    Overlapping pairs all count: "a a a" holds (a, a) twice. A negative code is in no bigram, and separates its neighbours.

    Parameters
    ----------
    texts
        Codes [n] and sentence borders [S + 1], not falling; of each only codes[offsets[0]:offsets[S]] are read, one after the other.
    most
        A part ends at the first end of a chunk that finds so many counted, the same one perhaps twice. There are less than
        most + chunk_tokens of them, of 16 bytes each; twice that while the last are merged.
    chunk_tokens
        Bigrams that are sorted at a time, at least 1: 8 bytes each.

    Yields
    ------
    Counted
        Packed bigrams uint64[m], ascending, and counts int64[m], all at least 1; none that is empty.

    Notes
    -----
    Pack, sort, count run lengths. Measured on 3.2 M tokens with 1.1 M distinct bigrams (Zen 3, one core): this 60 to 67 ms, of which
    NumPy's SIMD sort takes 39; np.unique on the packed pairs 72 to 84 ms; two counting sorts, by second and then by first word, 65 ms;
    an open hash table of 4 M slots, sorted afterwards, 220 to 390 ms, since nearly every probe misses the cache.
    """
    chunk = np.empty(chunk_tokens, np.uint64)
    stack: list[Counted] = []
    n_packed = 0
    for codes, offsets in texts:
        start, end = int(offsets[0]), int(offsets[-1])
        while start < end:
            stop = min(end, start + chunk_tokens - n_packed)
            n_packed += _pack(codes, offsets, start, stop, chunk[n_packed:])
            start = stop
            if n_packed == chunk_tokens:
                _push(stack, _sort_and_count(chunk))
                n_packed = 0
                if sum(bigrams.size for bigrams, _ in stack) >= most:
                    yield _merge_all(stack)
    if n_packed:
        _push(stack, _sort_and_count(chunk[:n_packed]))
    if stack:
        yield _merge_all(stack)


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
        _push(stack, part)
    return _merge_all(stack)


def partition_bigrams(counted: Counted, n_partitions: int) -> tuple[Counted, Offsets]:
    """The same bigrams by partition, ascending within each, and the borders of the partitions int64[P + 1].

    Parameters
    ----------
    counted
        Packed bigrams uint64[m], ascending, and counts int64[m].
    n_partitions
        P, at least 1. A bigram's partition depends on it and on the bigram alone, and all partitions are about equally likely.
    """
    return _partition(*counted, n_partitions)


def _push(stack: list[Counted], part: Counted) -> None:
    """Put a part on a stack, in place; merging like with like keeps the work at m log(parts), the stack at twice its largest member."""
    stack.append(part)
    while len(stack) > 1 and stack[-2][0].size <= 2 * stack[-1][0].size:
        stack.append(_merge(*stack.pop(), *stack.pop()))


def _merge_all(stack: list[Counted]) -> Counted:
    """The sum of what is on a stack, which is empty afterwards."""
    while len(stack) > 1:
        stack.append(_merge(*stack.pop(), *stack.pop()))
    return stack.pop() if stack else (np.empty(0, np.uint64), np.empty(0, np.int64))


def _sort_and_count(packed: npt.NDArray[np.uint64]) -> Counted:
    """The counted bigrams of a chunk, which is sorted in place."""
    packed.sort()
    return _count_runs(packed)


@kernel
def _pack(codes: Codes, offsets: Offsets, start: int, stop: int, packed: npt.NDArray[np.uint64]) -> int:
    """The number of bigrams whose second word stands in [start, stop); writes them to `packed`, which has room for stop - start."""
    n_packed = 0
    sentence = np.searchsorted(offsets, start, side="right") - 1
    while sentence < offsets.size - 1 and offsets[sentence] < stop:
        for i in range(max(offsets[sentence] + 1, start), min(offsets[sentence + 1], stop)):
            first, second = codes[i - 1], codes[i]
            packed[n_packed] = np.uint64(first) << _HALF | np.uint64(second)
            n_packed += (first | second) >= 0
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


@inlined
def _partition_of(bigram: np.uint64, n_partitions: int) -> np.int64:
    return np.int64((mix64(bigram) >> _HALF) * np.uint64(n_partitions) >> _HALF)


@kernel
def _partition(bigrams: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64], n_partitions: int) -> tuple[Counted, Offsets]:
    borders = np.zeros(n_partitions + 1, np.int64)
    for bigram in bigrams:
        borders[_partition_of(bigram, n_partitions) + 1] += 1
    for partition in range(n_partitions):
        borders[partition + 1] += borders[partition]
    places = borders[:-1].copy()
    cut, cut_counts = np.empty_like(bigrams), np.empty_like(counts)
    for i in range(bigrams.size):
        chosen = _partition_of(bigrams[i], n_partitions)
        place = places[chosen]
        places[chosen] = place + 1
        cut[place] = bigrams[i]
        cut_counts[place] = counts[i]
    return (cut, cut_counts), borders
