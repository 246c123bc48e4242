"""Hierarchical softmax (Morin & Bengio 2005; Rong 2014, section 3.1): the probability of a word is a product of binary decisions in a tree.

p(word | h) is the product of sigma(d s) over the inner nodes on its path, d being +1 or -1 by branch, so all words sum to one. The tree is
Huffman's over counts: frequent words have short paths. It leaves open which of the words with equally long paths share nodes: here those
that stand side by side in an order of the caller's.
"""

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.outputs import Floats, Loss, Scratch
from kernels.text import Text, Tokens
from kernels.tiles import spread_values
from kernels.windows import all_floats

PART = 4  # nodes in a part of a path


# V words
class Tree(NamedTuple):
    """The paths of all words from the root, each filled up to whole parts by row V - 1, which is no node, with sign 0."""

    offsets: NDArray[np.int64]
    """int64 (V + 1,): the path of word w is nodes[offsets[w]:offsets[w + 1]]."""
    nodes: Tokens
    """int32: rows of the output matrix; the root is row 0, and more frequent nodes come first."""
    signs: Floats
    """float32, for each of `nodes`, and room behind them: +1 or -1, 0 where there is no node."""


class Parents(NamedTuple):
    """A tree from below. A negative number ~p says that p is the parent and that the branch is its second one.

    Inner nodes are numbered from the root, 0, in falling order of their counts; the root is its own parent.
    """

    of_words: NDArray[np.int32]
    """int32 (V,)."""
    of_nodes: NDArray[np.int32]
    """int32 (V - 1,), or (1,) where there is no node."""


@kernel
def code_lengths(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many inner nodes Huffman's tree over counts int64 (V,) that never rise has above each word, int64 (V,).

    Notes
    -----
    Huffman 1952. The two rarest are joined; of equal counts words come before inner nodes, which keeps the longest path short, later words
    before earlier ones, and older inner nodes before newer ones.
    """
    n_words = counts.size
    parents = np.zeros(2 * n_words, np.int64)  # of words, and behind them of inner nodes in order of making
    sums = np.zeros(n_words, np.int64)
    word, oldest = n_words - 1, 0
    for made in range(n_words - 1):
        for _ in range(2):
            if word >= 0 and (oldest == made or counts[word] <= sums[oldest]):
                sums[made] += counts[word]
                parents[word] = n_words + made
                word -= 1
            else:
                sums[made] += sums[oldest]
                parents[n_words + oldest] = n_words + made
                oldest += 1
    lengths = np.zeros(2 * n_words, np.int64)
    for child in range(2 * n_words - 3, -1, -1):  # parents come behind their children
        lengths[child] = lengths[parents[child]] + 1
    return lengths[:n_words].copy()


@kernel
def build_parents(counts: NDArray[np.int64], order: NDArray[np.int64]) -> Parents:
    """Huffman's tree.

    Parameters
    ----------
    counts
        int64 (V,), never rising, V at least 1.
    order
        int64 (V,), a permutation of 0..V-1: of words with paths of one length, neighbours here are neighbours in the tree.

    Notes
    -----
    The canonical form of Huffman's code (Schwartz & Kallick 1964): on each level words come first, and then inner nodes, which are joined
    two by two. No tree with these lengths joins more pairs of words.
    """
    n_words = counts.size
    lengths = code_lengths(counts)
    leaves = order[np.argsort(lengths[order], kind="mergesort")]  # level by level
    starts = np.searchsorted(lengths[leaves], np.arange(lengths.max() + 2))  # where the words of each level begin
    of_words, of_nodes = np.zeros(n_words, np.int32), np.zeros(max(1, n_words - 1), np.int32)
    sums = np.zeros(of_nodes.size, np.int64)  # in order of making, from the lowest level
    made = below = 0  # nodes so far, and those below the level that is joined last
    for level in range(starts.size - 2, 0, -1):
        n_leaves = starts[level + 1] - starts[level]
        n_children = n_leaves + made - below
        for place in range(n_children):
            parent = made + place // 2
            branch = np.int32(parent if place % 2 == 0 else ~parent)
            if place < n_leaves:
                word = leaves[starts[level] + place]
                sums[parent] += counts[word]
                of_words[word] = branch
            else:
                node = below + place - n_leaves
                sums[parent] += sums[node]
                of_nodes[node] = branch
        below, made = made, made + n_children // 2
    return _numbered_by_count(of_words, of_nodes, sums)


@inlined
def _numbered_by_count(of_words: NDArray[np.int32], of_nodes: NDArray[np.int32], sums: NDArray[np.int64]) -> Parents:
    """The same tree with other numbers of its nodes. A parent was made after its children, so of equal counts the later comes first."""
    by_count = of_nodes.size - 1 - np.argsort(-sums[::-1], kind="mergesort")
    rows = np.empty(of_nodes.size, np.int32)
    rows[by_count] = np.arange(of_nodes.size).astype(np.int32)
    numbered = np.zeros(of_nodes.size, np.int32)
    for node in range(of_nodes.size - 1):
        numbered[rows[node]] = _renumbered(of_nodes[node], rows)
    for word in range(of_words.size):
        of_words[word] = _renumbered(of_words[word], rows)
    return Parents(of_words, numbered)


@inlined
def _renumbered(branch: np.int32, rows: NDArray[np.int32]) -> np.int32:
    row: np.int32 = rows[_parent(branch)]
    return ~row if branch < 0 else row


@kernel
def sum_below(parents: Parents, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of values float64 (V,) over all words below each inner node, float64 (V,); the last row is no node."""
    sums = np.zeros(values.size)
    for word in range(values.size):
        sums[_parent(parents.of_words[word])] += values[word]
    for node in range(values.size - 2, 0, -1):  # parents come first
        sums[_parent(parents.of_nodes[node])] += sums[node]
    return sums


@kernel
def build_paths(parents: Parents) -> Tree:
    """The paths of a tree from the root."""
    of_words, of_nodes = parents
    n_words = of_words.size
    depth = np.zeros(of_nodes.size, np.int64)  # of inner nodes; parents come first
    for node in range(1, n_words - 1):
        depth[node] = depth[_parent(of_nodes[node])] + 1
    offsets = np.zeros(n_words + 1, np.int64)
    for word in range(n_words):
        length = depth[_parent(of_words[word])] + 1 if n_words > 1 else 0
        offsets[word + 1] = offsets[word] + (length + PART - 1) // PART * PART
    nodes = np.full(offsets[n_words], n_words - 1, np.int32)
    signs = np.zeros(offsets[n_words] + 16, np.float32)
    for word in range(n_words if n_words > 1 else 0):
        branch = of_words[word]
        for place in range(offsets[word] + depth[_parent(branch)], offsets[word] - 1, -1):
            nodes[place] = _parent(branch)
            signs[place] = np.float32(-1.0 if branch < 0 else 1.0)
            branch = of_nodes[nodes[place]]
    return Tree(offsets, nodes, signs)


@inlined
def _parent(branch: np.int32) -> np.int32:
    return ~branch if branch < 0 else branch


@functools.cache
def hierarchical(width: int) -> Loss:
    """The path of the centre, in parts from the root; each part is trained with the vectors as the part before has left them."""
    n_floats = all_floats(PART, width)

    @inlined
    def new_scratch(tree: Tree) -> Scratch:
        nothing = np.zeros(0, np.float32)
        return Scratch(tree.nodes, tree.signs, np.zeros(0, np.bool_), np.zeros(n_floats, np.float32), nothing, np.zeros(0, np.int64))

    @inlined
    def prepare(_scratch: Scratch, _tree: Tree, _text: Text, _prepared: int, last: int) -> int:
        return last

    @inlined
    def find(_scratch: Scratch, tree: Tree, text: Text, centre: int) -> tuple[int, int]:
        word = text.tokens[centre]
        return tree.offsets[word], (tree.offsets[word + 1] - tree.offsets[word]) // PART

    @inlined
    def begin(scratch: Scratch, place: int, n_inputs: int) -> None:
        spread_values(scratch.values, place, n_inputs, scratch.signs, PART, width)

    @inlined
    def end(_scratch: Scratch, _place: int, _n_inputs: int) -> None:
        pass

    return Loss(PART, False, new_scratch, prepare, find, begin, end)
