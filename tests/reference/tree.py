"""Huffman's tree with a heap: the standard library only."""

import heapq


def paths(counts: list[int]) -> list[list[tuple[int, float]]]:
    """For each word its inner nodes from the root, 0, and the branch taken: +1.0 the more frequent, -1.0 the rarer one.

    The two rarest are joined; of equal counts words come before inner nodes, later words before earlier ones, older inner nodes before
    newer. Inner nodes are numbered from the one made last.
    """
    n_words = len(counts)
    heap = [(count, 0, -word, [word]) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    found: list[list[tuple[int, float]]] = [[] for _ in counts]
    for made in range(n_words - 1):
        rarer, other = heapq.heappop(heap), heapq.heappop(heap)
        for branch, (_, _, _, words) in ((-1.0, rarer), (1.0, other)):
            for word in words:
                found[word].insert(0, (n_words - 2 - made, branch))
        heapq.heappush(heap, (rarer[0] + other[0], 1, made, rarer[3] + other[3]))
    return found
