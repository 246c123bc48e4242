"""Bigrams by dictionary, one word at a time; a text is a list of sentences, a sentence a list of codes."""

import math
from collections import Counter


def count_bigrams(sentences: list[list[int]], eligible: set[int]) -> dict[tuple[int, int], int]:
    """How often each pair of eligible words stands side by side in a sentence."""
    counts: Counter[tuple[int, int]] = Counter()
    for sentence in sentences:
        for first, second in zip(sentence, sentence[1:], strict=False):
            if first in eligible and second in eligible:
                counts[first, second] += 1
    return dict(counts)


def score_by_tokens(n_ab: int, n_a: int, n_b: int, discount: float, n_tokens: int) -> float:
    return (n_ab - discount) / n_a / n_b * n_tokens


def score_by_vocabulary(n_ab: int, n_a: int, n_b: int, discount: float, n_vocabulary: int) -> float:
    return (n_ab - discount) / n_a / n_b * n_vocabulary


def score_npmi(n_ab: int, n_a: int, n_b: int, n_tokens: int) -> float:
    pointwise = math.log(n_ab) + math.log(n_tokens) - math.log(n_a) - math.log(n_b)
    return pointwise / (math.log(n_tokens) - math.log(n_ab))


def join_phrases(sentences: list[list[int]], phrases: dict[tuple[int, int], int]) -> list[list[int]]:
    """Each sentence with its phrases joined, greedily from the left; `phrases` gives the code of each."""
    joined = []
    for sentence in sentences:
        rest, words = list(sentence), []
        while rest:
            pair = tuple(rest[:2])
            if pair in phrases:
                words.append(phrases[pair])
                rest = rest[2:]
            else:
                words.append(rest.pop(0))
        joined.append(words)
    return joined
