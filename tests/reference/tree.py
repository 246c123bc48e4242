"""Huffman's code with a heap, in canonical form: the standard library only."""

import heapq
from collections import Counter


def code_lengths(counts: list[int]) -> list[int]:
    """For each word how often it is joined when always the two rarest are.

    Of equal counts words come before inner nodes, later words before earlier ones, older inner nodes before newer.
    """
    lengths = [0] * len(counts)
    heap = [(count, 0, -word, [word]) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    for made in range(len(counts) - 1):
        rarer, other = heapq.heappop(heap), heapq.heappop(heap)
        joined = rarer[3] + other[3]
        for word in joined:
            lengths[word] += 1
        heapq.heappush(heap, (rarer[0] + other[0], 1, made, joined))
    return lengths


def paths(counts: list[int], order: list[int] | None = None) -> list[list[tuple[int, float]]]:
    """For each word its inner nodes from the root, 0, and the branch taken: +1.0 the first, -1.0 the second.

    Codes of equal length count upwards in the given order of words. Inner nodes, which are the beginnings of codes, are numbered by falling
    counts; of equal ones the shorter comes first, and of equally long ones the one that is further to the right.
    """
    lengths = code_lengths(counts)
    words = sorted(order or range(len(counts)), key=lambda word: lengths[word])
    codes, code = {}, ""
    for word in words:
        if code:
            code = format(int(code, 2) + 1, f"0{len(code)}b")
        code = codes[word] = code.ljust(lengths[word], "0")
    below = Counter({})
    for word, code in codes.items():
        for depth in range(len(code)):
            below[code[:depth]] += counts[word]
    numbered = sorted(below, key=lambda start: (-below[start], len(start), -int(start or "0", 2)))
    rows = {start: row for row, start in enumerate(numbered)}
    return [[(rows[code[:depth]], 1.0 if code[depth] == "0" else -1.0) for depth in range(len(code))] for _, code in sorted(codes.items())]
