"""Huffman's tree against a heap, and hierarchical softmax as a distribution over words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.tree import PART, Tree, build_parents, build_paths
from tests.reference import tree as reference
from tests.reference import windows

COUNTS = st.lists(st.integers(1, 50), min_size=2, max_size=60).map(lambda counts: sorted(counts, reverse=True))


def tree_of(counts):
    return Tree(*build_paths(*build_parents(np.array(counts, np.int64))))


def path_of(tree, word):
    """The nodes of a word and its branches, without what fills up the last part."""
    nodes, signs = (values[tree.offsets[word] : tree.offsets[word + 1]] for values in (tree.nodes, tree.signs))
    return [(int(node), float(sign)) for node, sign in zip(nodes, signs, strict=True) if sign]


@settings(deadline=None)
@given(COUNTS)
def test_build_paths__equals_the_reference_with_many_ties(counts):
    tree = tree_of(counts)
    assert [path_of(tree, word) for word in range(len(counts))] == reference.paths(counts)


@settings(deadline=None)
@given(COUNTS)
def test_build_paths__are_whole_parts_filled_up_with_a_row_that_is_no_node(counts):
    tree = tree_of(counts)
    assert (np.diff(tree.offsets) % PART == 0).all()
    filling = tree.signs[: len(tree.nodes)] == 0
    assert (tree.nodes[filling] == len(counts) - 1).all()
    assert tree.nodes[~filling].max() < len(counts) - 1
    assert windows.NODES_A_PART == PART


@settings(deadline=None)
@given(COUNTS)
def test_build_parents__are_before_their_children_and_more_frequent(counts):
    _, of_nodes = build_parents(np.array(counts, np.int64))
    parents = np.where(of_nodes < 0, ~of_nodes, of_nodes)
    assert (parents[1:] < np.arange(1, len(parents))).all()


def test_build_paths__of_one_word_is_empty():
    assert tree_of([7]).offsets.tolist() == [0, 0]


@pytest.mark.parametrize("counts", [[5, 5], [9, 3, 3, 2, 1, 1, 1], [1000 // rank for rank in range(1, 200)]])
def test_hierarchical__probabilities_of_all_words_sum_to_one(counts):
    rng = np.random.default_rng(1)
    nodes, hidden = rng.normal(0, 1, (len(counts), 8)), rng.normal(0, 1, 8)
    tree = tree_of(counts)
    losses = [windows.loss_of([hidden], nodes, [(node, d, 0.0) for node, d in path_of(tree, word)]) for word in range(len(counts))]
    assert math.fsum(math.exp(-loss) for loss in losses) == pytest.approx(1.0, abs=1e-12)


def test_build_paths__are_as_short_as_the_entropy_allows():
    """Huffman's code is within one node of the entropy."""
    counts = np.array([10**6 // rank for rank in range(1, 5000)])
    share = counts / counts.sum()
    tree = tree_of(counts)
    mean = sum(p * len(path_of(tree, word)) for word, p in enumerate(share))
    entropy = float(-(share * np.log2(share)).sum())
    assert entropy <= mean < entropy + 1
