"""The alias table: the probabilities that it stands for are the ones asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from kernels.alias import build_alias, draw_alias
from kernels.draws import uniform64
from kernels.jit import kernel


@kernel
def draw_many(bits, threshold, other, words):
    """Fill `words` in place with one draw for each number of 64 bits."""
    for i in range(bits.size):
        words[i] = draw_alias(bits[i], threshold, other)


@kernel
def draw_keyed(key, threshold, other, words):
    """Fill `words` in place with draws 0, 1, 2 ... of one key, as training does."""
    for i in range(words.size):
        words[i] = draw_alias(uniform64(key, np.uint64(i)), threshold, other)


def probabilities(threshold, other):
    """What each entry is drawn with, by adding up the columns of the table."""
    n = len(threshold)
    kept = threshold.astype(np.float64) / 2**32
    total = np.zeros(n)
    np.add.at(total, np.arange(n), kept / n)
    np.add.at(total, other, (1.0 - kept) / n)
    return total


@settings(max_examples=200)
@given(st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e9)), min_size=1, max_size=50).filter(any))
def test_build_alias__stands_for_the_weights(weights):
    weights = np.array(weights)
    table = build_alias(weights)
    # Every column rounds to 2**-32; the running remainders round in float64.
    np.testing.assert_allclose(probabilities(*table), weights / weights.sum(), rtol=0, atol=1e-9)
    assert not probabilities(*table)[weights == 0].any()


def test_build_alias__stands_for_zipf_weights_of_a_large_vocabulary():
    weights = np.arange(1.0, 70_001) ** -0.75
    threshold, other = build_alias(weights)
    assert threshold.dtype == np.uint32
    assert other.dtype == np.int32
    np.testing.assert_allclose(probabilities(threshold, other), weights / weights.sum(), rtol=1e-8)


def test_build_alias__is_deterministic_and_leaves_the_weights_alone():
    weights = np.random.default_rng(1).random(1000)
    kept = weights.copy()
    first, second = build_alias(weights), build_alias(weights)
    assert np.array_equal(weights, kept)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("weights", [[3.0], [1.0, 1.0, 1.0], [0.0, 5.0, 0.0]])
def test_draw_alias__stays_inside_and_never_draws_weight_zero(weights):
    table = build_alias(np.array(weights))
    ends = np.array([0, 1, 2**32 - 1, 2**32, 2**63, 2**64 - 2**32, 2**64 - 1], np.uint64)
    words = np.empty(len(ends), np.int32)
    draw_many(ends, *table, words)
    assert all(weights[word] > 0 for word in words)


def test_draw_alias__chooses_the_column_by_high_bits_and_keeps_it_by_low_bits():
    threshold, other = np.array([2**31, 0], np.uint32), np.array([1, 0], np.int32)
    bits = np.array([0, 2**31 - 1, 2**31, 2**63, 2**64 - 1], np.uint64)
    words = np.empty(5, np.int32)
    draw_many(bits, threshold, other, words)
    assert words.tolist() == [0, 0, 1, 0, 0]


def test_draw_alias__follows_the_noise_distribution_of_counts():
    """Chi-square over 2,000 words and a million draws of the generator itself; false alarms: one seed in a million."""
    counts = np.arange(2_000, 0, -1).astype(np.float64) ** 2
    weights = counts**0.75
    threshold, other = build_alias(weights)
    n_draws = 1_000_000
    words = np.zeros(n_draws, np.int32)
    draw_keyed(np.uint64(12345), threshold, other, words)
    expected = weights / weights.sum() * n_draws
    often = expected >= 5
    seen = np.bincount(words, minlength=len(weights))
    statistic = ((seen - expected)[often] ** 2 / expected[often]).sum()
    rest_seen, rest_expected = seen[~often].sum(), expected[~often].sum()
    statistic += (rest_seen - rest_expected) ** 2 / max(rest_expected, 1e-9) if rest_expected else 0.0
    assert chi2.sf(statistic, often.sum()) > 1e-6
