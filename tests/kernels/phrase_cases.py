"""Small texts of codes, and real text, for the tests of what makes phrases."""

import functools
import lzma
import re
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from tests.conftest import ROOT

# The first example may compile a kernel.

N_WORDS = 7
SENTENCES = st.lists(st.lists(st.integers(0, N_WORDS - 1), max_size=12), max_size=8)


def encode(sentences):
    codes = np.array([word for sentence in sentences for word in sentence], np.int32)
    return codes, np.cumsum([0] + [len(sentence) for sentence in sentences], dtype=np.int64)


def decode(codes, offsets):
    return [codes[first:stop].tolist() for first, stop in pairwise(offsets)]


def pack(pairs):
    return np.array([first << 32 | second for first, second in pairs], np.uint64)


@functools.cache
def sample():
    """The first 1.5 MB of the sample corpus: its sentences, the same coded, and its words in the order of their codes."""
    with lzma.open(ROOT / "data" / "wiki-20mb.txt.xz") as file:
        text = file.read(1_500_000).decode("utf-8", errors="ignore").lower()
    sentences = [re.findall("[a-z]+", line) for line in text.split("\n")]
    code_of = {}
    codes = [[code_of.setdefault(word, len(code_of)) for word in sentence] for sentence in sentences]
    return sentences, codes, list(code_of)
