"""Counted bigrams, against the slow reference and against gensim on real text."""

from collections import Counter

import numpy as np
import pytest
from gensim.models.phrases import Phrases
from hypothesis import given
from hypothesis import strategies as st

from kernels.bigrams import count_bigrams, merge_counts, partition_bigrams
from tests.kernels.phrase_cases import N_WORDS, SENTENCES, encode, pack, sample
from tests.reference import bigrams as reference

PAIR = st.tuples(st.integers(0, N_WORDS - 1), st.integers(0, N_WORDS - 1))
LARGE = 1 << 40


def as_dict(counted):
    """Checks what every count promises (dtype, order, no zero), then gives {(first, second): count}."""
    packed, counts = counted
    assert packed.dtype == np.uint64
    assert counts.dtype == np.int64
    assert (packed[1:] > packed[:-1]).all()
    assert (counts > 0).all()
    return {(int(bigram) >> 32, int(bigram) & 0xFFFFFFFF): int(count) for bigram, count in zip(packed, counts, strict=True)}


def counted(sentences, most=LARGE, chunk=1000):
    return merge_counts(count_bigrams([encode(sentences)], most, chunk))


def only(sentences, eligible):
    """The text with a negative code for every word that is not eligible."""
    return [[word if word in eligible else -1 - word for word in sentence] for sentence in sentences]


def spread(found):
    """The packed counts of {(first, second): count}."""
    return pack(sorted(found)), np.array([found[pair] for pair in sorted(found)], np.int64)


@given(
    texts=st.lists(SENTENCES, max_size=4),
    eligible=st.sets(st.integers(0, N_WORDS - 1)),
    chunk=st.integers(1, 40),
    most=st.integers(1, 60),
)
def test_count_bigrams__equals_the_reference_in_chunks_and_parts_of_any_size(texts, eligible, chunk, most):
    parts = list(count_bigrams((encode(only(sentences, eligible)) for sentences in texts), most, chunk))
    assert all(0 < len(bigrams) < most + chunk for bigrams, _ in parts)
    found = Counter()
    for part in parts:
        found.update(as_dict(part))
    assert found == reference.count_bigrams([sentence for sentences in texts for sentence in sentences], eligible)


@given(sentences=SENTENCES)
def test_count_bigrams__counts_every_neighbourhood_once(sentences):
    _, counts = counted(sentences)
    assert counts.sum() == sum(max(len(sentence) - 1, 0) for sentence in sentences)


@pytest.mark.parametrize("sentences", [[], [[]], [[], [], []], [[3]], [[3], [4], [], [5]]])
def test_count_bigrams__finds_none_without_two_words_in_a_sentence(sentences):
    assert list(count_bigrams([encode(sentences)], LARGE)) == []


def test_count_bigrams__counts_overlapping_pairs():
    assert as_dict(counted([[2, 2, 2]])) == {(2, 2): 2}


def test_count_bigrams__does_not_reach_over_a_negative_code():
    assert as_dict(counted([[1, -1, 3, 1]])) == {(3, 1): 1}


def test_count_bigrams__keeps_codes_above_two_to_the_sixteen_apart():
    assert as_dict(counted([[200_000, 65_536, 200_000, 0]])) == {(200_000, 65_536): 1, (65_536, 200_000): 1, (200_000, 0): 1}


@given(sentences=SENTENCES, first=st.integers(0, 8), last=st.integers(0, 8))
def test_count_bigrams__reads_only_the_sentences_that_offsets_name(sentences, first, last):
    codes, offsets = encode(sentences)
    first, last = sorted((min(first, len(sentences)), min(last, len(sentences))))
    part = merge_counts(count_bigrams([(codes, offsets[first : last + 1])], LARGE, 5))
    assert as_dict(part) == reference.count_bigrams(sentences[first:last], set(range(N_WORDS)))


@given(parts=st.lists(st.dictionaries(PAIR, st.integers(1, 1 << 40), max_size=20), max_size=9))
def test_merge_counts__adds_up_parts_of_any_number_and_size(parts):
    expected = Counter()
    for part in parts:
        expected.update(part)
    assert as_dict(merge_counts(map(spread, parts))) == expected


@given(found=st.dictionaries(PAIR, st.integers(1, 1 << 40), max_size=40), n_partitions=st.integers(1, 9))
def test_partition_bigrams__keeps_every_count_and_the_order_in_each_partition(found, n_partitions):
    (bigrams, counts), borders = partition_bigrams(spread(found), n_partitions)
    assert (borders[0], borders[-1], len(borders)) == (0, len(found), n_partitions + 1)
    together = {}
    for first, stop in zip(borders[:-1], borders[1:], strict=True):
        together |= as_dict((bigrams[first:stop], counts[first:stop]))
    assert together == found


@given(found=st.dictionaries(PAIR, st.just(1), min_size=1, max_size=40), n_partitions=st.integers(1, 9), data=st.data())
def test_partition_bigrams__puts_a_bigram_into_the_same_partition_whatever_is_beside_it(found, n_partitions, data):
    pair = data.draw(st.sampled_from(sorted(found)))
    (bigrams, _), borders = partition_bigrams(spread(found), n_partitions)
    (place,) = np.flatnonzero(bigrams == pack([pair])[0])
    _, alone = partition_bigrams(spread({pair: 1}), n_partitions)
    assert np.searchsorted(borders, place, side="right") == np.searchsorted(alone, 0, side="right")


def test_partition_bigrams__makes_partitions_of_about_the_same_size():
    pairs = {(first, second): 1 for first in range(200) for second in range(200)}
    _, borders = partition_bigrams(spread(pairs), 16)
    # 2,500 each, with a deviation of 48 if the hash were chance; it is fixed, so this is no matter of luck.
    assert np.abs(np.diff(borders) - 2500).max() < 5 * 48


def test_count_bigrams__equals_gensim_on_wikipedia():
    sentences, codes, words = sample()
    vocabulary = Phrases(sentences, delimiter="_").vocab
    expected = {entry: count for entry, count in vocabulary.items() if "_" in entry}
    found = as_dict(counted(codes, most=20_000, chunk=30_000))
    assert len(found) > 10_000
    assert {f"{words[first]}_{words[second]}": count for (first, second), count in found.items()} == expected
