"""Bigrams, and longer candidates with connectors, by dictionary, one word at a time; a text is a list of sentences of codes."""

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


def first_candidate(words: list[int], connectors: set[int]) -> tuple[int, ...]:
    """What could be a phrase at the very beginning: a word, connectors, and the next word; () when there is none."""
    for place in range(1, len(words)):
        if words[place] not in connectors:
            return () if words[0] in connectors else tuple(words[: place + 1])
    return ()


def count_candidates(sentences: list[list[int]], connectors: set[int]) -> dict[tuple[int, ...], int]:
    """How often each candidate is in the text."""
    counts = Counter(first_candidate(sentence[place:], connectors) for sentence in sentences for place in range(len(sentence)))
    del counts[()]
    return dict(counts)


def join_phrases(sentences: list[list[int]], phrases: dict[tuple[int, ...], int], connectors: set[int] = frozenset()) -> list[list[int]]:
    """Each sentence with its phrases joined, greedily from the left; `phrases` gives the code of each, known by its words."""
    joined = []
    for sentence in sentences:
        rest, words = list(sentence), []
        while rest:
            candidate = first_candidate(rest, connectors)
            if candidate in phrases:
                words.append(phrases[candidate])
                rest = rest[len(candidate) :]
            else:
                words.append(rest.pop(0))
        joined.append(words)
    return joined
