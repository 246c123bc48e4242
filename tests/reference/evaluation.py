"""Slow evaluation of vectors, one number at a time: cosines, the two analogy rules, Spearman's rho with average ranks."""

import math
from collections.abc import Sequence

DECIMALS = 12  # scores that agree so far are ties


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    lengths = math.sqrt(math.fsum(x * x for x in first)) * math.sqrt(math.fsum(y * y for y in second))
    return math.fsum(x * y for x, y in zip(first, second, strict=True)) / lengths if lengths else 0.0


def analogy_scores(vectors: Sequence[Sequence[float]], a: int, b: int, c: int, multiply: bool) -> list[float]:
    """The score of every vector as the answer; minus infinity for the three of the question."""
    scores = []
    for row, vector in enumerate(vectors):
        to_a, to_b, to_c = (cosine(vector, vectors[word]) for word in (a, b, c))
        if row in (a, b, c):
            scores.append(-math.inf)
        elif multiply:
            scores.append(round((to_b + 1) / 2 * ((to_c + 1) / 2) / ((to_a + 1) / 2 + 0.001), DECIMALS))
        else:
            scores.append(round(to_b - to_a + to_c, DECIMALS))
    return scores


def answer(vectors: Sequence[Sequence[float]], a: int, b: int, c: int, multiply: bool) -> int:
    """The lowest row with the highest score; -1 when only the question's words are there."""
    scores = analogy_scores(vectors, a, b, c, multiply)
    best = max(scores)
    return -1 if best == -math.inf else scores.index(best)


def average_ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    return [1 + sum(other < value for other in values) + (sum(other == value for other in values) - 1) / 2 for value in values]


def spearman(first: Sequence[float], second: Sequence[float]) -> float:
    """Pearson's correlation of the average ranks; neither side may be constant."""
    ranks = average_ranks(first), average_ranks(second)
    centred = [[rank - math.fsum(side) / len(side) for rank in side] for side in ranks]
    return cosine(*centred)
