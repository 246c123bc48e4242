"""Hierarchical softmax (Morin & Bengio 2005; Rong 2014, section 3.1): the probability of a word is a product of binary decisions in a tree.

p(word | h) is the product of sigma(d s) over the inner nodes on its path, d being +1 or -1 by branch, so all words sum to one. The tree is
Huffman's over counts: frequent words have short paths.
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


@kernel
def build_parents(counts: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Huffman's tree over counts int64 (V,) that never rise: the parents of words int32 (V,) and of inner nodes int32 (V - 1,).

    Inner nodes are numbered from the root, 0, in falling order of their counts; the root is its own parent. A negative number ~p says that
    p is the parent and that the branch is the rarer one.

    Notes
    -----
    Huffman 1952. The two rarest are joined; of equal counts words come before inner nodes, later words before earlier ones, and older
    inner nodes before newer ones: the same counts always give the same tree.
    """
    n_words = counts.size
    of_words, of_nodes = np.zeros(n_words, np.int32), np.zeros(max(1, n_words - 1), np.int32)
    sums = np.zeros(max(1, n_words - 1), np.int64)  # in order of making
    word, oldest = n_words - 1, 0
    for made in range(n_words - 1):
        row = np.int32(n_words - 2 - made)
        for branch in range(2):
            parent = ~row if branch == 0 else row
            if word >= 0 and (oldest == made or counts[word] <= sums[oldest]):
                sums[made] += counts[word]
                of_words[word] = parent
                word -= 1
            else:
                sums[made] += sums[oldest]
                of_nodes[n_words - 2 - oldest] = parent
                oldest += 1
    return of_words, of_nodes


@kernel
def build_paths(of_words: NDArray[np.int32], of_nodes: NDArray[np.int32]) -> tuple[NDArray[np.int64], Tokens, Floats]:
    """The fields of a `Tree` from what `build_parents` gives."""
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
    return offsets, nodes, signs


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
        return Scratch(tree.nodes, tree.signs, np.zeros(0, np.bool_), np.zeros(n_floats, np.float32), nothing)

    @inlined
    def prepare(_scratch: Scratch, _tree: Tree, _text: Text, _prepared: int, _centre: int, last: int) -> int:
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
