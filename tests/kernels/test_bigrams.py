"""Counted, scored and joined bigrams, against the slow reference and against gensim on real text."""

import lzma
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gensim.models.phrases import Phrases, npmi_scorer, original_scorer
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.bigrams import count_bigrams, join_phrases, merge_counts, score_by_tokens, score_by_vocabulary, score_npmi
from tests.reference import bigrams as reference

# The first example may compile a kernel.
untimed = settings(deadline=None)

N_WORDS = 7
SENTENCES = st.lists(st.lists(st.integers(0, N_WORDS - 1), max_size=12), max_size=8)
PAIR = st.tuples(st.integers(0, N_WORDS - 1), st.integers(0, N_WORDS - 1))
SAMPLE = Path(__file__).parents[2] / "data" / "wiki-20mb.txt.xz"


def encode(sentences):
    codes = np.array([word for sentence in sentences for word in sentence], np.int32)
    return codes, np.cumsum([0] + [len(sentence) for sentence in sentences], dtype=np.int64)


def decode(codes, offsets):
    return [codes[first:stop].tolist() for first, stop in pairwise(offsets)]


def as_dict(counted):
    """Checks what every count promises (dtype, order, no zero), then gives {(first, second): count}."""
    packed, counts = counted
    assert packed.dtype == np.uint64
    assert counts.dtype == np.int64
    assert (packed[1:] > packed[:-1]).all()
    assert (counts > 0).all()
    return {(int(bigram) >> 32, int(bigram) & 0xFFFFFFFF): int(count) for bigram, count in zip(packed, counts, strict=True)}


def pack(pairs):
    return np.array([first << 32 | second for first, second in pairs], np.uint64)


def mask(eligible, n_words=N_WORDS):
    return np.isin(np.arange(n_words), list(eligible))


@given(sentences=SENTENCES, eligible=st.sets(st.integers(0, N_WORDS - 1)), chunk=st.integers(1, 40))
@untimed
def test_count_bigrams__equals_the_reference_in_chunks_of_any_size(sentences, eligible, chunk):
    codes, offsets = encode(sentences)
    assert as_dict(count_bigrams(codes, offsets, mask(eligible), chunk)) == reference.count_bigrams(sentences, eligible)


@given(sentences=SENTENCES)
@untimed
def test_count_bigrams__counts_every_neighbourhood_once(sentences):
    _, counts = count_bigrams(*encode(sentences), mask(range(N_WORDS)))
    assert counts.sum() == sum(max(len(sentence) - 1, 0) for sentence in sentences)


@pytest.mark.parametrize("sentences", [[], [[]], [[], [], []], [[3]], [[3], [4], [], [5]]])
def test_count_bigrams__finds_none_without_two_words_in_a_sentence(sentences):
    assert as_dict(count_bigrams(*encode(sentences), mask(range(N_WORDS)))) == {}


def test_count_bigrams__counts_overlapping_pairs():
    assert as_dict(count_bigrams(*encode([[2, 2, 2]]), mask([2]))) == {(2, 2): 2}


def test_count_bigrams__does_not_reach_over_an_ineligible_word():
    assert as_dict(count_bigrams(*encode([[1, 2, 3, 1]]), mask([1, 3]))) == {(3, 1): 1}


def test_count_bigrams__keeps_codes_above_two_to_the_sixteen_apart():
    eligible = np.ones(200_001, np.bool_)
    assert as_dict(count_bigrams(*encode([[200_000, 65_536, 200_000, 0]]), eligible)) == {
        (200_000, 65_536): 1,
        (65_536, 200_000): 1,
        (200_000, 0): 1,
    }


@given(sentences=SENTENCES, first=st.integers(0, 8), last=st.integers(0, 8))
@untimed
def test_count_bigrams__reads_only_the_sentences_that_offsets_name(sentences, first, last):
    codes, offsets = encode(sentences)
    first, last = sorted((min(first, len(sentences)), min(last, len(sentences))))
    part = count_bigrams(codes, offsets[first : last + 1], mask(range(N_WORDS)))
    assert as_dict(part) == reference.count_bigrams(sentences[first:last], set(range(N_WORDS)))


@given(parts=st.lists(st.dictionaries(PAIR, st.integers(1, 1 << 40), max_size=20), max_size=9))
@untimed
def test_merge_counts__adds_up_parts_of_any_number_and_size(parts):
    expected = Counter()
    for part in parts:
        expected.update(part)
    made = [(pack(sorted(part)), np.array([part[pair] for pair in sorted(part)], np.int64)) for part in parts]
    assert as_dict(merge_counts(made)) == expected


@given(sentences=SENTENCES, cut=st.integers(0, 8))
@untimed
def test_merge_counts__of_two_halves_is_the_count_of_the_whole(sentences, cut):
    halves = [count_bigrams(*encode(part), mask(range(N_WORDS))) for part in (sentences[:cut], sentences[cut:])]
    assert as_dict(merge_counts(halves)) == as_dict(count_bigrams(*encode(sentences), mask(range(N_WORDS))))


COUNT = st.integers(1, 4_000_000_000)


@given(n_a=COUNT, n_b=COUNT, data=st.data(), discount=st.floats(0, 100))
@untimed
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


def join(sentences, phrases):
    pairs = sorted(phrases)
    return decode(*join_phrases(*encode(sentences), pack(pairs), np.array([phrases[pair] for pair in pairs], np.int32)))


@given(sentences=SENTENCES, pairs=st.lists(PAIR, max_size=20, unique=True), order=st.randoms(use_true_random=False))
@untimed
def test_join_phrases__equals_the_reference(sentences, pairs, order):
    codes = list(range(100, 100 + len(pairs)))
    order.shuffle(codes)
    phrases = dict(zip(pairs, codes, strict=True))
    assert join(sentences, phrases) == reference.join_phrases(sentences, phrases)


@given(sentences=SENTENCES, pairs=st.lists(PAIR, max_size=20, unique=True))
@untimed
def test_join_phrases__loses_and_moves_no_word(sentences, pairs):
    parts = {100 + i: pair for i, pair in enumerate(sorted(pairs))}
    joined = join(sentences, {pair: code for code, pair in parts.items()})
    assert [[part for word in sentence for part in parts.get(word, (word,))] for sentence in joined] == sentences


def test_join_phrases__gives_a_word_to_one_phrase():
    assert join([[0, 1, 2]], {(0, 1): 7, (1, 2): 8}) == [[7, 2]]
    assert join([[2, 2, 2], [2, 2, 2, 2]], {(2, 2): 9}) == [[9, 2], [9, 9]]


def test_join_phrases__does_not_cross_a_sentence_border():
    assert join([[0], [1], [], [0, 1]], {(0, 1): 7}) == [[0], [1], [], [7]]


@pytest.mark.parametrize("sentences", [[], [[]], [[3]], [[3, 4], [4, 3, 6]]])
def test_join_phrases__without_phrases_gives_the_text_back(sentences):
    assert join(sentences, {}) == sentences


@given(sentences=SENTENCES, pairs=st.lists(PAIR, max_size=20, unique=True), first=st.integers(0, 8), last=st.integers(0, 8))
@settings(untimed, max_examples=50)
def test_join_phrases__of_a_slice_of_sentences_starts_its_borders_at_nought(sentences, pairs, first, last):
    codes, offsets = encode(sentences)
    first, last = sorted((min(first, len(sentences)), min(last, len(sentences))))
    new = np.arange(100, 100 + len(pairs), dtype=np.int32)
    whole = decode(*join_phrases(codes, offsets, pack(sorted(pairs)), new))
    joined, borders = join_phrases(codes, offsets[first : last + 1], pack(sorted(pairs)), new)
    assert borders[0] == 0
    assert decode(joined, borders) == whole[first:last]


@pytest.fixture(scope="module")
def sample():
    """The first 1.5 MB of the sample corpus: its sentences, the same coded, and its words in the order of their codes."""
    with lzma.open(SAMPLE) as file:
        text = file.read(1_500_000).decode("utf-8", errors="ignore").lower()
    sentences = [re.findall("[a-z]+", line) for line in text.split("\n")]
    code_of = {}
    codes = [[code_of.setdefault(word, len(code_of)) for word in sentence] for sentence in sentences]
    return sentences, codes, list(code_of)


@pytest.fixture(scope="module")
def gensim_counts(sample):
    """gensim's dictionary of words and bigrams, exact: it starts to drop entries only above 40 million."""
    return Phrases(sample[0], delimiter="_").vocab


@pytest.mark.parametrize("min_count", [1, 5])
def test_count_bigrams__equals_gensim_on_wikipedia(sample, gensim_counts, min_count):
    _, sentences, words = sample
    codes, offsets = encode(sentences)
    # gensim asks no min-count of the words: leave out its bigrams with a rarer one.
    expected = {}
    for entry, count in gensim_counts.items():
        parts = entry.split("_")
        if len(parts) == 2 and all(gensim_counts[part] >= min_count for part in parts):
            expected[entry] = count
    found = as_dict(count_bigrams(codes, offsets, np.bincount(codes) >= min_count))
    assert len(found) > 10_000
    assert {f"{words[first]}_{words[second]}": count for (first, second), count in found.items()} == expected


def test_scores__equal_gensim_on_wikipedia(sample, gensim_counts):
    codes, offsets = encode(sample[1])
    n_word = np.bincount(codes)
    packed, n_ab = count_bigrams(codes, offsets, n_word >= 1)
    n_a, n_b = n_word[packed >> np.uint64(32)], n_word[packed & np.uint64(0xFFFFFFFF)]
    rows = list(zip(n_a.tolist(), n_b.tolist(), n_ab.tolist(), strict=True))
    original = [original_scorer(a, b, ab, len(gensim_counts), 5, codes.size) for a, b, ab in rows]
    npmi = [npmi_scorer(a, b, ab, len(gensim_counts), 1, codes.size) for a, b, ab in rows]
    n_vocabulary = n_word.size + packed.size
    assert n_vocabulary == len(gensim_counts)
    assert score_by_vocabulary(n_ab, n_a, n_b, discount=5, n_vocabulary=n_vocabulary).tolist() == original
    # NumPy's vectorised logarithm and the C library's differ in the last bit.
    np.testing.assert_allclose(score_npmi(n_ab, n_a, n_b, n_tokens=codes.size), npmi, rtol=1e-13, atol=1e-15)


def test_join_phrases__equals_gensim_on_wikipedia(sample):
    sentences, coded, words = sample
    codes, offsets = encode(coded)
    n_word = np.bincount(codes)
    packed, n_ab = count_bigrams(codes, offsets, n_word >= 1)
    first, second = packed >> np.uint64(32), packed & np.uint64(0xFFFFFFFF)
    scores = score_by_vocabulary(n_ab, n_word[first], n_word[second], discount=5, n_vocabulary=n_word.size + packed.size)
    chosen = scores > 10
    spelled = words + [f"{words[a]}_{words[b]}" for a, b in zip(first[chosen], second[chosen], strict=True)]
    phrase_code = np.arange(len(words), len(spelled), dtype=np.int32)
    joined = decode(*join_phrases(codes, offsets, packed[chosen], phrase_code))
    gensim_phrases = Phrases(sentences, min_count=5, threshold=10, delimiter="_")
    assert chosen.sum() > 500
    assert [[spelled[code] for code in sentence] for sentence in joined] == [gensim_phrases[sentence] for sentence in sentences]
