"""Scores of phrases, against the slow reference and, bit by bit, against gensim on real text."""

import numpy as np
import pytest
from gensim.models.phrases import npmi_scorer, original_scorer
from hypothesis import given
from hypothesis import strategies as st

from kernels.phrase_scores import score_by_tokens, score_by_vocabulary, score_npmi
from tests.kernels.phrase_cases import sample
from tests.reference import bigrams as reference

COUNT = st.integers(1, 4_000_000_000)


@given(n_a=COUNT, n_b=COUNT, data=st.data(), discount=st.floats(0, 100))
def test_scores__equal_the_reference_up_to_billions(n_a, n_b, data, discount):
    n_ab = data.draw(st.integers(1, min(n_a, n_b)))
    n_tokens = n_a + n_b
    counts = [np.array([n], np.int64) for n in (n_ab, n_a, n_b)]
    by_tokens = score_by_tokens(*counts, discount=discount, n_tokens=n_tokens)
    by_vocabulary = score_by_vocabulary(*counts, discount=discount, n_vocabulary=12_345)
    assert by_tokens == pytest.approx([reference.score_by_tokens(n_ab, n_a, n_b, discount, n_tokens)], rel=1e-12)
    assert by_vocabulary == pytest.approx([reference.score_by_vocabulary(n_ab, n_a, n_b, discount, 12_345)], rel=1e-12)
    # The logarithms of the reference are some 20 in size and cancel: an error of some 1e-15 of that, over -ln p_ab of at least 0.69.
    assert score_npmi(*counts, n_tokens=n_tokens) == pytest.approx([reference.score_npmi(n_ab, n_a, n_b, n_tokens)], rel=1e-12, abs=1e-12)


def test_score_by_tokens__of_a_worked_example():
    # (25 - 5) / (100 * 40) * 10,000
    score = score_by_tokens(np.array([25]), np.array([100]), np.array([40]), discount=5, n_tokens=10_000)
    assert score == pytest.approx([50.0], rel=1e-15)


def test_score_npmi__is_one_for_words_always_together_and_nought_for_independent_ones():
    scores = score_npmi(np.array([10, 4]), np.array([10, 20]), np.array([10, 20]), n_tokens=100)
    assert scores == pytest.approx([1.0, 0.0], abs=1e-15)


def test_scores__of_no_bigrams_are_empty():
    none = np.empty(0, np.int64)
    assert score_by_tokens(none, none, none, discount=5, n_tokens=10).shape == (0,)
    assert score_by_vocabulary(none, none, none, discount=5, n_vocabulary=10).shape == (0,)
    assert score_npmi(none, none, none, n_tokens=10).shape == (0,)


def test_scores__equal_gensim_on_wikipedia():
    _, sentences, words = sample()
    n_tokens = sum(map(len, sentences))
    bigrams = reference.count_bigrams(sentences, set(range(len(words))))
    n_word = np.bincount([word for sentence in sentences for word in sentence])
    n_vocabulary = len(words) + len(bigrams)
    n_ab = np.array(list(bigrams.values()))
    n_a, n_b = (n_word[list(side)] for side in zip(*bigrams, strict=True))
    rows = list(zip(n_a.tolist(), n_b.tolist(), n_ab.tolist(), strict=True))
    original = [original_scorer(a, b, ab, n_vocabulary, 5, n_tokens) for a, b, ab in rows]
    npmi = [npmi_scorer(a, b, ab, n_vocabulary, 1, n_tokens) for a, b, ab in rows]
    assert score_by_vocabulary(n_ab, n_a, n_b, discount=5, n_vocabulary=n_vocabulary).tolist() == original
    # NumPy's vectorised logarithm and the C library's differ in the last bit.
    np.testing.assert_allclose(score_npmi(n_ab, n_a, n_b, n_tokens=n_tokens), npmi, rtol=1e-13, atol=1e-15)
