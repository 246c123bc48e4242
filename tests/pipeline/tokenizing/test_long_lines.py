"""Long lines read in parts give what they give as a whole, in less memory."""

import contextlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.tokens import TokenTable
from pipeline.tokenizing import long_lines
from pipeline.tokenizing.long_lines import InParts
from tests.kernels.test_tokens import DEFECTS, TABLES, TEXTS, words_of
from tests.reference.tokens import first_invalid, read_text

SPACED = st.lists(st.one_of(TEXTS, st.just(" "), st.sampled_from(["und", "한국", "a. B", "x 中", "»Ja!« "])), max_size=12).map(" ".join)


@contextlib.contextmanager
def in_parts(options, split, part_bytes):
    """A table that reads in parts of so many bytes, at least."""
    table = InParts(TokenTable(TABLES[options], split_sentences=split), TABLES[options])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LONG_BYTES", "PIECE_BYTES"):
            patch.setattr(long_lines, name, part_bytes)
        patch.setattr(long_lines, "_WINDOW_BYTES", 3)
        yield table


@settings(max_examples=400)
@given(SPACED, st.sampled_from(list(TABLES)), st.booleans(), st.integers(1, 30))
@example("Ende. Neu ende . neu. 'x y' z", (True, "keep", False), True, 1)
@example("a b\n c d\n\ne f", (True, "keep", False), False, 1)
@example("a\u3000b c 1 2 3 d", (False, "drop", True), False, 2)
def test_in_parts__gives_the_sentences_of_the_reference(text, options, split, part_bytes):
    with in_parts(options, split, part_bytes) as table:
        codes, offsets, n_empty, invalid = table.add(np.frombuffer(text.encode(), np.uint8))
        assert (codes.dtype, offsets.dtype, offsets[0], offsets[-1], invalid) == (np.int32, np.int64, 0, len(codes), -1)
        words = words_of(table)
        assert table.n_tokens == len(words)
        found = [[words[code] for code in codes[begin:end]] for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]
        lowercase, digits, alone = options
        assert (found, n_empty) == read_text(text, lowercase, split, digits, alone)


@settings(max_examples=200)
@given(SPACED, st.sampled_from(list(DEFECTS.values())), SPACED, st.integers(1, 30))
def test_in_parts__finds_the_first_invalid_byte(before, defect, behind, part_bytes):
    data = before.encode() + defect + behind.encode()
    with in_parts((True, "keep", False), True, part_bytes) as table:
        assert table.add(np.frombuffer(data, np.uint8))[3] == first_invalid(data)


def test_in_parts__makes_no_room_for_the_whole_line():
    """The table alone makes room of 25 times the piece."""
    text = np.frombuffer(("many words, some könnten länger sein " * 230_000).encode(), np.uint8)
    assert len(text) > 8_000_000
    table = InParts(TokenTable(TABLES[True, "keep", False], split_sentences=False), TABLES[True, "keep", False])
    table.add(text[:38])
    tracemalloc.start()
    try:
        codes, offsets, _, _ = table.add(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (len(codes), list(offsets)) == (6 * 230_000, [0, 6 * 230_000])
    assert peak < 2 * codes.nbytes + 8_000_000
