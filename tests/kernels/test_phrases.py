"""Joined phrases, against the slow reference; against gensim they are compared in tests/pipeline/test_phrases.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.phrases import join_phrases
from tests.kernels.phrase_cases import N_WORDS, SENTENCES, decode, encode, pack
from tests.reference import bigrams as reference

CONNECTORS = {5, 6}  # of the words 0 to 6
WORD = st.integers(0, 4)
PHRASES = st.lists(st.tuples(WORD, st.lists(st.sampled_from(sorted(CONNECTORS)), max_size=3), WORD), max_size=25)


def steps_of(phrases):
    """The steps of {words: code}: a tree, its places numbered as they are found."""
    steps = {}
    n_places = N_WORDS
    for words, code in phrases.items():
        origin, *inside, last = words
        for word in inside:
            if (origin, word) not in steps:
                steps[origin, word] = ~n_places
                n_places += 1
            origin = ~steps[origin, word]
        steps[origin, last] = code
    return steps


def join(sentences, phrases, first=0, last=None):
    steps = steps_of(phrases)
    codes, offsets = encode(sentences)
    leads_to = np.array([steps[pair] for pair in sorted(steps)], np.int32)
    joined, borders = join_phrases(codes, offsets[first : None if last is None else last + 1], pack(sorted(steps)), leads_to)
    assert borders[0] == 0
    return decode(joined, borders)


def coded(phrases, order):
    """A code for each distinct phrase, in any order."""
    words = sorted({(first, *inside, last) for first, inside, last in phrases})
    codes = list(range(100, 100 + len(words)))
    order.shuffle(codes)
    return dict(zip(words, codes, strict=True))


@given(sentences=SENTENCES, phrases=PHRASES, order=st.randoms(use_true_random=False))
def test_join_phrases__equals_the_reference_with_connectors_and_without(sentences, phrases, order):
    phrases = coded(phrases, order)
    assert join(sentences, phrases) == reference.join_phrases(sentences, phrases, CONNECTORS)
    pairs = {words: code for words, code in phrases.items() if len(words) == 2}
    assert join(sentences, pairs) == reference.join_phrases(sentences, pairs)


@given(sentences=SENTENCES, phrases=PHRASES, order=st.randoms(use_true_random=False))
def test_join_phrases__loses_and_moves_no_word(sentences, phrases, order):
    phrases = coded(phrases, order)
    parts = {code: words for words, code in phrases.items()}
    assert [[part for word in sentence for part in parts.get(word, (word,))] for sentence in join(sentences, phrases)] == sentences


@given(sentences=SENTENCES, phrases=PHRASES, order=st.randoms(use_true_random=False), first=st.integers(0, 8), last=st.integers(0, 8))
@settings(max_examples=50)
def test_join_phrases__of_a_slice_of_sentences_is_that_slice(sentences, phrases, order, first, last):
    phrases = coded(phrases, order)
    first, last = sorted((min(first, len(sentences)), min(last, len(sentences))))
    assert join(sentences, phrases, first, last) == join(sentences, phrases)[first:last]


def test_join_phrases__gives_a_word_to_one_phrase():
    assert join([[0, 1, 2]], {(0, 1): 7, (1, 2): 8}) == [[7, 2]]
    assert join([[2, 2, 2], [2, 2, 2, 2]], {(2, 2): 9}) == [[9, 2], [9, 9]]


def test_join_phrases__takes_exactly_the_connectors_of_the_phrase():
    bank_of_america = {(0, 5, 1): 9}
    assert join([[0, 5, 1], [0, 1], [0, 6, 1], [0, 5, 6, 1], [0, 5, 5, 1]], bank_of_america) == [
        [9],
        [0, 1],
        [0, 6, 1],
        [0, 5, 6, 1],
        [0, 5, 5, 1],
    ]


def test_join_phrases__begins_anew_with_the_word_that_broke_a_phrase_off():
    assert join([[0, 5, 2, 1]], {(0, 5, 1): 9, (2, 1): 8}) == [[0, 5, 8]]
    assert join([[0, 5, 0, 5, 1]], {(0, 5, 1): 9}) == [[0, 5, 9]]


def test_join_phrases__does_not_cross_a_sentence_border():
    assert join([[0], [1], [], [0, 1], [0, 5], [1]], {(0, 1): 7, (0, 5, 1): 8}) == [[0], [1], [], [7], [0, 5], [1]]


@pytest.mark.parametrize("sentences", [[], [[]], [[3]], [[3, 4], [4, 3, 6]]])
def test_join_phrases__without_phrases_gives_the_text_back(sentences):
    assert join(sentences, {}) == sentences
