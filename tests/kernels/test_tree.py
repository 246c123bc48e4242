"""Huffman's tree against its code in strings, and hierarchical softmax as a distribution over words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.tree import PART, build_parents, build_paths, code_lengths, sum_below
from tests.reference import tree as reference
from tests.reference import windows

COUNT = st.integers(1, 50) | st.integers(0, 40).map(lambda power: 2**power)  # many ties, and long paths
COUNTS = st.lists(COUNT, min_size=2, max_size=60).map(lambda counts: sorted(counts, reverse=True))


def parents_of(counts, order=None):
    return build_parents(np.array(counts, np.int64), np.array(order or range(len(counts)), np.int64))


def tree_of(counts, order=None):
    return build_paths(parents_of(counts, order))


def path_of(tree, word):
    """The nodes of a word and its branches, without what fills up the last part."""
    nodes, signs = (values[tree.offsets[word] : tree.offsets[word + 1]] for values in (tree.nodes, tree.signs))
    return [(int(node), float(sign)) for node, sign in zip(nodes, signs, strict=True) if sign]


@given(COUNTS.flatmap(lambda counts: st.tuples(st.just(counts), st.permutations(range(len(counts))))))
def test_build_paths__equals_the_reference_in_any_order_with_many_ties(case):
    counts, order = case
    tree = tree_of(counts, order)
    assert [path_of(tree, word) for word in range(len(counts))] == reference.paths(counts, order)


@given(COUNTS)
def test_code_lengths__equal_the_reference(counts):
    assert code_lengths(np.array(counts, np.int64)).tolist() == reference.code_lengths(counts)


def test_build_paths__of_words_that_follow_in_the_order_share_their_nodes():
    """Of eight equally frequent words those at 0 and 1, 2 and 3 ... differ in the last branch only."""
    order = [3, 6, 0, 5, 7, 1, 2, 4]
    tree = tree_of([9] * 8, order)
    for one, other in zip(order[::2], order[1::2], strict=True):
        *start, (node, first) = path_of(tree, one)
        assert path_of(tree, other) == [*start, (node, -first)]


@given(COUNTS)
def test_build_paths__are_whole_parts_filled_up_with_a_row_that_is_no_node(counts):
    tree = tree_of(counts)
    assert (np.diff(tree.offsets) % PART == 0).all()
    filling = tree.signs[: len(tree.nodes)] == 0
    assert (tree.nodes[filling] == len(counts) - 1).all()
    assert tree.nodes[~filling].max() < len(counts) - 1
    assert windows.NODES_A_PART == PART


@given(COUNTS)
def test_build_parents__are_before_their_children_and_more_frequent(counts):
    made = parents_of(counts)
    parents = np.where(made.of_nodes < 0, ~made.of_nodes, made.of_nodes)
    assert (parents[1:] < np.arange(1, len(parents))).all()
    below = sum_below(made, np.array(counts, np.float64))
    assert below[0] == sum(counts)
    assert (np.diff(below[:-1]) <= 0).all()


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
