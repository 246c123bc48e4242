"""Bytes to token codes: equal to the reference on any text, at any cut, and exact about invalid bytes."""

import lzma
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernels.tokens import PIECE_BYTES, TokenTable
from kernels.words import key_of
from pipeline.choices import Digits
from pipeline.tokenizing.characters import character_table
from tests.reference.tokens import first_invalid, read_text

TABLES = {
    (lowercase, digits, alone): character_table(lowercase, digits, stand_alone=alone)
    for lowercase, digits, alone in ((False, "keep", False), (True, "keep", False), (True, "map", True), (False, "drop", True))
    for digits in [Digits(digits)]
}
PLAIN = TABLES[True, Digits.KEEP, False]
WIKI = Path(__file__).parents[2] / "data" / "wiki-20mb.txt.xz"

BY_CATEGORY = defaultdict(list)
for code in range(1, 0x30000):
    BY_CATEGORY[unicodedata.category(chr(code))].append(chr(code))
del BY_CATEGORY["Cs"]  # UTF-8 cannot hold them
CHARACTERS = st.one_of(
    st.sampled_from("aZé0' ’.!?\n\r\t \"')]}»”。！？한ḉ\u3000\u00a0\u2028ȺȾİΣßẞK٣中々はカー\u3099\u302a\ufe00𠀀"),
    st.sampled_from("abcdefgh"),
    # Twenty of each category, first and last included.
    st.sampled_from([group[i * (len(group) - 1) // 19] for group in BY_CATEGORY.values() for i in range(20)]),
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
)
TEXTS = st.lists(CHARACTERS, max_size=60).map("".join)
DEFECTS = {
    "stray continuation": b"\x80",
    "overlong, two bytes": b"\xc0\xaf",
    "overlong, two bytes, at the border": b"\xc1\xbf",
    "overlong, three bytes": b"\xe0\x9f\xbf",
    "overlong, four bytes": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "lead byte F5": b"\xf5\x80\x80\x80",
    "lead byte F8": b"\xf8\x88\x80\x80\x80",
    "byte FE": b"\xfe",
    "byte FF": b"\xff",
    "two bytes cut to one": b"\xc3",
    "three bytes cut to one": b"\xe2",
    "three bytes cut to two": b"\xe2\x80",
    "four bytes cut to one": b"\xf0",
    "four bytes cut to two": b"\xf0\x9f",
    "four bytes cut to three": b"\xf0\x9f\x98",
    "NUL": b"\0",
    "Latin-1": b"\xe9t\xe9",
    "UTF-16": "\ufeffab".encode("utf-16-le"),
}


def words_of(table):
    """The tokens of a table as strings, by code."""
    offsets, content = table.tokens()
    return [bytes(content[begin:end]).decode() for begin, end in zip(offsets[:-1], offsets[1:], strict=True)]


def read(pieces, lowercase=True, split=False, digits="keep", alone=False):
    """The sentences as lists of strings, the number of empty ones, the codes of everything, and the words by code."""
    table = TokenTable(TABLES[lowercase, digits, alone], split_sentences=split)
    codes, lengths, n_empty = [], [], 0
    for piece in pieces:
        some, offsets, empty, invalid = table.add(np.frombuffer(piece, np.uint8))
        assert invalid == -1
        assert (some.dtype, offsets.dtype) == (np.int32, np.int64)
        assert (offsets[0], offsets[-1]) == (0, len(some))
        codes += some.tolist()
        lengths += np.diff(offsets).tolist()
        n_empty += empty
    words = words_of(table)
    assert table.n_tokens == len(words)
    ends = np.cumsum([0, *lengths])
    return [[words[code] for code in codes[ends[i] : ends[i + 1]]] for i in range(len(lengths))], n_empty, codes, words


def cut(data, n_bytes):
    """Cut at the first line border after each `n_bytes`."""
    start = 0
    while start < len(data):
        stop = data.find(b"\n", min(start + n_bytes, len(data))) + 1 or len(data)
        yield data[start:stop]
        start = stop


@settings(max_examples=400)
@given(TEXTS, st.booleans(), st.booleans())
@example("don't rock'n'roll ’tis dogs' a''b a’b 'a' x'\ny", True, True)
@example("'\n’\na'", True, False)
@example('"Ende." (Ja!) Nein?! 3.14 e.g. U.S.\r\n\r\n. \n  \n!!!', True, True)
@example("他说。”好！”\n吗？ \n。。", True, True)
@example("İSTANBUL Straẞe ΣΑΣ Å ⅷ ² Ⅷ ㎏ \U000e0100 \U0003ffff", True, False)
def test_token_table__equals_the_reference(text, lowercase, split):
    assert read([text.encode()], lowercase, split)[:2] == read_text(text, lowercase, split)


@settings(max_examples=400)
@given(TEXTS, st.sampled_from([options for options in TABLES if options[2]]), st.booleans())
@example("中文abc中'a a'中 中’々 カタカナ中はがは\u3099は\u3099\u3099'a ー々\u302a。中", (True, "map", True), True)
@example("b2b 3'a 1990's ٣٤ 年10月 a1'1b", (False, "drop", True), False)
@example("b2b 3'a 1990's ٣٤ 年10月 a1'1b", (True, "map", True), False)
@example("あ𠀀い\n。は 中", (True, "map", True), True)
def test_token_table__equals_the_reference_with_characters_that_stand_alone_and_other_digits(text, options, split):
    lowercase, digits, alone = options
    found = read([text.encode()], lowercase, split, digits, alone)
    assert found[:2] == read_text(text, lowercase, split, digits, alone)
    assert len(set(found[3])) == len(found[3])


@pytest.mark.parametrize("text", ["中" * 5_000, "a中" * 5_000, "a中'a" * 3_000, "a𠀀 中\u3099b\n" * 2_000])
def test_token_table__has_room_for_tokens_without_separators(text):
    assert read([text.encode()], True, False, "map", True)[:2] == read_text(text, True, False, "map", True)


def test_token_table__knows_characters_of_every_block():
    # The test of the table itself looks at all of them.
    codes = [*range(1, 0x3000), *range(0x3000, 0x40000, 5), 0x3FFFF, 0x40000, 0xE0100, 0xF0000, 0x10FFFF]
    text = "\n".join(f"x{chr(code)}y" for code in codes if not 0xD800 <= code < 0xE000)
    assert read([text.encode()])[:2] == read_text(text, True, False)


@settings(max_examples=100)
@given(TEXTS, st.integers(1, 40), st.booleans())
def test_token_table__does_not_depend_on_how_lines_are_cut(text, n_bytes, split):
    data = text.encode()
    assert read(cut(data, n_bytes), split=split) == read([data], split=split)


def test_token_table__codes_count_up_by_first_occurrence():
    _, _, codes, words = read([b"b a b\nc a\n"])
    assert (codes, words) == ([0, 1, 0, 2, 1], ["b", "a", "c"])


@pytest.mark.parametrize("length", [*range(1, 34), 255, 4097])
def test_token_table__tells_tokens_of_one_length_apart(length):
    token = ("abcdefgh" * (length // 8 + 1))[:length]
    others = [token[:i] + "x" + token[i + 1 :] for i in {0, length // 2, length - 1}] + [token + "x", token[:-1] or "y"]
    text = " ".join([token, *others, token, *others])
    assert read([text.encode()])[0] == read_text(text, True, False)[0]
    # The same tokens by the path for characters beyond ASCII, which must find the same keys.
    joined = " ".join(f"{word}’s {word}'s" for word in [token, *others])
    assert read([joined.encode()])[0] == read_text(joined, True, False)[0]
    assert len(read([joined.encode()])[3]) == len(set(joined.replace("’", "'").split()))


def test_token_table__tells_tokens_with_one_hash_apart():
    # Found by search: their first 16 bytes lead the hash to one state, the last 8 are equal.
    one, other = "rs18bf38apapeaaasamehere", "ylbgnvfe93j9z2h0samehere"
    words = np.frombuffer(f"{one}{other}{' ' * 16}".encode(), np.uint64)
    assert key_of(words, 0, 24) == key_of(words, 24, 24)
    assert read([f"{one} {other} {one} {other}".encode()])[2] == [0, 1, 0, 1]


def test_token_table__knows_every_white_space_and_closing_character():
    characters = [chr(code) for code in range(1, 0x3100) if code != 0x0A]
    text = "".join(f"a.{character}b\na?{character} b\n。{character}\n" for character in characters)
    assert read([text.encode()], split=True)[:2] == read_text(text, True, True)


def test_token_table__grows():
    text = "\n".join(" ".join(f"w{i * 7919 % 100_003:x}" for i in range(line, line + 50)) for line in range(0, 150_000, 50))
    sentences, _, codes, words = read(cut(text.encode(), 20_000))
    assert sentences == [line.split(" ") for line in text.split("\n")]
    assert len(words) == len(set(words)) == 100_003
    assert max(codes) == 100_002


@pytest.mark.parametrize("character", ["Ⱥ", "Ⱦ", "İ", "’", "\U0001e900"])
def test_token_table__has_room_for_characters_that_change_their_width(character):
    text = f"{character}x" * 40_000 + "\n" + f"{character}x " * 40_000
    assert read([text.encode()])[:2] == read_text(text, True, False)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 4_096, 70_001])
def test_token_table__has_room_for_one_letter_lines(n):
    sentences, n_empty, _, _ = read([b"a\n" * n + b"b"])
    assert (len(sentences), n_empty) == (n + 1, 0)
    text = "".join(chr(0x4E00 + i % 20_000) + " " for i in range(n))
    assert read([text.encode()])[:2] == read_text(text, True, False)


@pytest.mark.parametrize("data", [b"", b"\n", b"a", b"A", b"'", b" ", "é".encode(), b"\n\n\n", b".", b". ", b"a.\n"])
@pytest.mark.parametrize("split", [False, True])
def test_token_table__reads_tiny_texts(data, split):
    assert read([data], split=split)[:2] == read_text(data.decode(), True, split)


def test_token_table__reads_a_line_far_longer_than_a_piece():
    text = "word " * PIECE_BYTES + "a" * 3 * PIECE_BYTES
    sentences, n_empty, _, words = read([text.encode()])
    assert (len(sentences), len(sentences[0]), n_empty) == (1, PIECE_BYTES + 1, 0)
    assert words == ["word", "a" * 3 * PIECE_BYTES]


def test_token_table__reads_crlf_as_it_reads_lf():
    text = 'First. "Second!"\n\nThird line\n. \n'
    for split in (False, True):
        assert read([text.encode()], split=split) == read([text.replace("\n", "\r\n").encode()], split=split)


def test_token_table__takes_a_byte_order_mark_inside_as_a_separator():
    assert read(["a\ufeffb\n".encode()])[0] == [["a", "b"]]


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS.keys())
@pytest.mark.parametrize(
    "before", ["", "a", "longer than a word ", "é", "abcdefg", "abcdefgh", "it'", "it’", "wow.", "wow!”", "。", ". ", "\n"]
)
@pytest.mark.parametrize("split", [False, True])
def test_token_table__finds_the_first_invalid_byte(defect, before, split):
    for after in (b"", b"a", b"\n", b" more \xff\n", "é".encode()):
        data = before.encode() + defect + after
        expected = first_invalid(data)
        assert expected >= 0
        table = TokenTable(PLAIN, split_sentences=split)
        assert table.add(np.frombuffer(data, np.uint8))[3] == expected


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(min_size=1, max_size=4), TEXTS.map(str.encode)), max_size=6).map(b"".join), st.booleans())
def test_token_table__agrees_with_pythons_decoder_on_any_bytes(data, split):
    table = TokenTable(PLAIN, split_sentences=split)
    invalid = table.add(np.frombuffer(data, np.uint8))[3]
    assert invalid == first_invalid(data)


def test_token_table__is_whole_after_invalid_bytes():
    table = TokenTable(PLAIN, split_sentences=False)
    codes, offsets, _, invalid = table.add(np.frombuffer(b"one two\nthree \xff four", np.uint8))
    assert (codes.tolist(), offsets.tolist(), invalid) == ([0, 1, 2], [0, 2], 14)
    assert table.add(np.frombuffer(b"four three", np.uint8))[0].tolist() == [3, 2]
    assert words_of(table) == ["one", "two", "three", "four"]


def test_token_table__hands_out_arrays_that_do_not_change():
    table = TokenTable(PLAIN, split_sentences=False)
    codes, offsets, _, _ = table.add(np.frombuffer(b"a b\nc", np.uint8))
    before = table.tokens()
    table.add(np.frombuffer(b"d e f g\nh\ni", np.uint8))
    assert (codes.tolist(), offsets.tolist()) == ([0, 1, 2], [0, 2, 3])
    assert (before[0].tolist(), before[1].tobytes()) == ([0, 1, 2, 3], b"abc")


@pytest.mark.parametrize(("lowercase", "split"), [(True, False), (False, True)])
def test_token_table__equals_the_reference_on_wikipedia(lowercase, split):
    with lzma.open(WIKI) as file:
        data = file.read(1_000_000)
    data = data[: data.rindex(b"\n") + 1]
    sentences, n_empty, _, words = read(cut(data, PIECE_BYTES), lowercase, split)
    assert (sentences, n_empty) == read_text(data.decode(), lowercase, split)
    assert words == list(dict.fromkeys(word for sentence in sentences for word in sentence))
