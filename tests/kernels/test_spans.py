"""Counted words with connectors between them, against the slow reference."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.spans import Spans
from tests.kernels.phrase_cases import N_WORDS, SENTENCES, decode, encode
from tests.reference import bigrams as reference


def mask(connectors):
    return np.isin(np.arange(N_WORDS), list(connectors))


def taken(spans):
    codes, offsets, counts = spans.take()
    found = dict(zip(map(tuple, decode(codes, offsets)), counts.tolist(), strict=True))
    assert len(found) == len(counts)
    assert spans.n_entries == 0
    return found


def expected(sentences, connectors):
    return {words: count for words, count in reference.count_candidates(sentences, connectors).items() if len(words) > 2}


@given(texts=st.lists(SENTENCES, max_size=4), connectors=st.sets(st.integers(0, N_WORDS - 1)), take_at=st.sets(st.integers(0, 3)))
def test_spans__equal_the_reference_wherever_they_are_taken(texts, connectors, take_at):
    spans = Spans(mask(connectors))
    found = Counter()
    for number, sentences in enumerate(texts):
        spans.add(*encode(sentences))
        if number in take_at:
            found.update(taken(spans))
    found.update(taken(spans))
    assert found == expected([sentence for sentences in texts for sentence in sentences], connectors)


def test_spans__grow_with_their_text():
    rng = np.random.default_rng(1)
    is_connector = np.arange(3000) < 40
    spans, sentences = (
        Spans(is_connector),
        [rng.integers(0, 60, 30).tolist() if n % 2 else rng.integers(0, 3000, 30).tolist() for n in range(2000)],
    )
    for start in range(0, len(sentences), 100):
        spans.add(*encode(sentences[start : start + 100]))
    assert spans.n_entries > 5000  # the first slots were 4,096
    found = taken(spans)
    assert found == expected(sentences, set(range(40)))
    assert len(found) > 3000


@pytest.mark.parametrize("sentences", [[], [[]], [[5]], [[5, 6, 5]], [[0, 5, 6], [1, 2]], [[5, 6, 0], [0, 1]]])
def test_spans__need_a_word_at_either_end_in_one_sentence(sentences):
    spans = Spans(mask({5, 6}))
    spans.add(*encode(sentences))
    assert taken(spans) == {}


def test_spans__may_share_their_words():
    spans = Spans(mask({5}))
    spans.add(*encode([[0, 5, 0, 5, 5, 1, 2], [0, 5, 0]]))
    assert taken(spans) == {(0, 5, 0): 2, (0, 5, 5, 1): 1}
