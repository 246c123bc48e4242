"""Stop words and short sentences left out of codes: equal to the reference on any text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.sentences import keep_sentences
from tests.reference.tokens import leave_out

SENTENCES = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=12)


@settings(max_examples=300)
@given(SENTENCES, st.integers(0, 10), st.integers(1, 5))
def test_keep_sentences__equals_the_reference(sentences, n_stopped, least):
    codes = np.array([code for sentence in sentences for code in sentence], np.int32)
    offsets = np.cumsum([0, *map(len, sentences)], dtype=np.int64)
    n_kept, n_emptied, n_short, n_dropped, n_in_short = keep_sentences(codes, offsets, n_stopped, least)
    kept = [(codes[offsets[i] : offsets[i + 1]] + n_stopped).tolist() for i in range(n_kept)]
    expected, n = leave_out(sentences, set(range(n_stopped)), least)
    assert kept == expected
    assert offsets[0] == 0
    assert n == {"stopped": n_dropped, "emptied": n_emptied, "short": n_short, "in_short": n_in_short}
    assert n_kept + n_emptied + n_short == len(sentences)
