"""Pieces as strings: where they are invalid, what normalising does to them, and where their sentences end."""

import unicodedata
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.tokenizing.lines import decoded_lines, normalized_piece, sentences_of_line
from tests.kernels.test_tokens import DEFECTS, TEXTS
from tests.reference.tokens import first_invalid, lines_of
from tests.reference.tokens import sentences_of_line as reference_sentences

# Characters that compose, decompose, change their order or grow, and some that look as if they did.
CHANGING = st.sampled_from("aeé\u0301\u0323\u0308ÅÅ\u1e9b\u0323ﬁ½ＡﷺΩ\u0344カ\u3099ｶﾞ가\u1100\u1161\u11a8豈\u2126\u00a0\u2024\n. ")
MIXED = st.lists(st.one_of(CHANGING, st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=40).map("".join)
BYTES = st.lists(st.one_of(st.binary(min_size=1, max_size=4), TEXTS.map(str.encode)), max_size=6).map(b"".join)


def array_of(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


@settings(max_examples=300)
@given(MIXED, st.sampled_from(["NFC", "NFKC"]))
def test_normalized_piece__is_the_whole_text_normalized(text: str, form: str) -> None:
    found, invalid = normalized_piece(array_of(text.encode()), form)
    assert (found.tobytes().decode(), invalid) == (unicodedata.normalize(form, text), -1)
    again, _ = normalized_piece(found, form)
    assert again.tobytes() == found.tobytes()


def test_normalized_piece__cuts_a_text_anywhere_between_lines() -> None:
    text = "".join(f"{chr(code)}\n" for code in range(1, 0x30000) if not 0xD800 <= code < 0xE000)
    for form in ("NFC", "NFKC"):
        found, _ = normalized_piece(array_of(text.encode()), form)
        assert found.tobytes().decode() == unicodedata.normalize(form, text)
        assert found.tobytes().count(b"\n") == text.count("\n")  # no character becomes a line feed, or a NUL
        assert b"\0" not in found.tobytes()


@settings(max_examples=300)
@given(BYTES)
@example(b"ab\n\xc3\n\0")
@example(b"ab\n\0\xff")
@example(b"\xe2\0")
@example("é\n\n".encode())
def test_decoded_lines__agrees_with_pythons_decoder_on_any_bytes(content: bytes) -> None:
    lines, invalid = decoded_lines(array_of(content))
    assert invalid == first_invalid(content)
    valid = content if invalid < 0 else content[: content.rfind(b"\n", 0, invalid) + 1]
    assert lines == lines_of(valid.decode())


def defective() -> Iterator[tuple[bytes, bytes]]:
    for before in (b"", b"ascii\n", "e\u0301\nＡ".encode(), b"a\n\nb"):
        for defect in DEFECTS.values():
            yield before, before + defect + b"\nmore e\xcc\x81\n"


@pytest.mark.parametrize(("before", "content"), list(defective()))
def test_normalized_piece__finds_the_first_invalid_byte_of_the_text_as_it_was_read(before: bytes, content: bytes) -> None:
    found, invalid = normalized_piece(array_of(content), "NFKC")
    assert invalid == first_invalid(content) >= len(before)
    whole = content[: content.rfind(b"\n", 0, invalid) + 1]
    assert found.tobytes().decode() == unicodedata.normalize("NFKC", whole.decode())


@settings(max_examples=500)
@given(TEXTS.map(lambda text: text.replace("\n", "\r")))
@example("Mr. Smith? ”Yes!”  No...")
@example("a.b. c.”) d。e！ f？")
@example("a. ")
@example("")
@example("。")
def test_sentences_of_line__equals_the_reference(line: str) -> None:
    assert sentences_of_line(line) == reference_sentences(line, split=True)


def test_sentences_of_line__knows_every_white_space_and_no_other() -> None:
    for code in range(1, 0x30000):
        if code != 0x0A and not 0xD800 <= code < 0xE000:
            line = f"a.{chr(code)}b"
            assert sentences_of_line(line) == reference_sentences(line, split=True), hex(code)


def test_sentences_of_line__takes_linear_time_on_rows_of_marks() -> None:
    # With backtracking 2 million dots would take hours.
    line = "." * 1_000_000 + "'" * 1_000_000 + "a. b"
    assert sentences_of_line(line) == [line[:-1], "b"]
