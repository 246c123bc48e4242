"""Training pairs, one word at a time; a text is a list of sentences, a sentence a list of codes.

The random draws are written out anew in Python's integers: SplitMix64's output number `counter`, below keys that are chained.
"""

import math

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_SUBSAMPLE, _RADIUS = 1, 2


def keep_probability_program(count: int, n_tokens: int, threshold: float) -> float:
    """word2vec.c: (sqrt(count / (t T)) + 1) * (t T) / count."""
    if threshold <= 0 or count == 0:
        return 1.0
    scaled = threshold * n_tokens
    return min(1.0, (math.sqrt(count / scaled) + 1) * scaled / count)


def keep_probability_paper(count: int, n_tokens: int, threshold: float) -> float:
    """1 minus the paper's chance to be dropped, 1 - sqrt(t / f)."""
    if threshold <= 0 or count == 0:
        return 1.0
    return 1.0 - max(0.0, 1 - math.sqrt(threshold / (count / n_tokens)))


def draw_pairs(
    sentences: list[list[int]],
    ids: list[int],
    keep: list[float],
    *,
    window: int,
    dynamic: bool,
    seed: int,
    epoch: int,
    first_sentence: int,
) -> tuple[list[list[tuple[int, int]]], dict[str, int]]:
    """The (id, radius) of every word that trains, by sentence, and the tallies."""
    tallies = dict.fromkeys(["n_in", "n_rare", "n_subsampled", "n_lonely", "n_kept"], 0)
    drawn = []
    for number, sentence in enumerate(sentences, start=first_sentence):
        kept = []
        for position, code in enumerate(sentence):
            tallies["n_in"] += 1
            if ids[code] == -1:
                tallies["n_rare"] += 1
            elif (_draw(_key(seed, _SUBSAMPLE, epoch, number), position) >> 11) / 2**53 < keep[ids[code]]:
                below = (_draw(_key(seed, _RADIUS, epoch, number), position) >> 32) * window >> 32
                kept.append((ids[code], 1 + below if dynamic else window))
            else:
                tallies["n_subsampled"] += 1
        if len(kept) >= 2:
            tallies["n_kept"] += len(kept)
            drawn.append(kept)
        else:
            tallies["n_lonely"] += len(kept)
    return drawn, tallies


def expand_pairs(sentences: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Every (centre, context), for sentences of (id, radius)."""
    pairs = []
    for sentence in sentences:
        for i, (centre, radius) in enumerate(sentence):
            for j, (context, _) in enumerate(sentence):
                if i != j and abs(i - j) <= radius:
                    pairs.append((centre, context))
    return pairs


def _key(seed: int, *children: int) -> int:
    key = seed
    for child in children:
        key = _mix(_mix((key + _GOLDEN) & _MASK) ^ (child * 0xBF58476D1CE4E5B9 & _MASK))
    return key


def _draw(key: int, counter: int) -> int:
    return _mix((key + (counter + 1) * _GOLDEN) & _MASK)


def _mix(bits: int) -> int:
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31
