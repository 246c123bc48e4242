"""Bytes of text to token codes, in one pass: UTF-8 decoding, character classes, lower-casing, hashing, codes and sentence borders.

What a token and a sentence are is written in `pipeline.tokenizing.characters`, which also makes the table of characters used here. The
kernel raises nothing and grows nothing: `TokenTable` sees to it that everything fits before it enters.

Notes
-----
What mattered, 20 MB of English Wikipedia (3.2 M tokens, 106 k distinct), one Zen 3 core shared with other work, MB/s:

* A loop over bytes with a branch for each, every token written to the arena before look-up: median 64-81, best 87. Now: median 96-98, best
  118 (sentence splitting: 90-93 and 115).
* Most of the gain: 8 bytes are loaded at once from a copy of the text in which ASCII separators are 0, and bit tricks find where the token
  ends, so that no branch depends on its length. The copy (one table look-up a byte) costs little.
* A token of up to 7 bytes is its own key: equal keys are equal tokens, and neither the arena nor a length is looked at. Longer ones
  have a hash with the top bit set and are compared.
* Tokens are looked up 64 at a time, after their slots have been loaded, so that cache misses overlap: side by side with one by one a third
  to two thirds faster (best 134 against 97-100).
* Without look-ups a prototype ran at 320: the rest is cache misses and mispredicted branches of the table. So it is kept small (2**18 slots
  beat 2**20 by a fifth), pieces are small (they bound the worst case that it must have room for), and keys lie by code, where the
  frequent words are together; keys beside the slots were no faster.
* Tokens with an apostrophe or with characters beyond ASCII take a loop over characters.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.string_table import AT_ONCE, SPARE, StringTable, look_up, new_found
from kernels.utf8 import closer_width, decode_utf8, encode_utf8, white_width
from kernels.words import Bytes, Integer, Words, ascii_run, key_of

PIECE_BYTES = 1 << 17
# Flags beside the code points of a table of characters.
ALONE = 1 << 24  # a token of its own
ATTACHED = 1 << 25  # belongs to such a token when it directly follows
_POINT = (1 << 21) - 1


@inlined
def _token_character(text: Bytes, at: Integer, table: NDArray[np.int32]) -> tuple[np.int64, Integer, Integer]:
    """The table's entry for the character at `text[at]` (0: no token character), its own code point, its width."""
    point, width = decode_utf8(text, at)
    return np.int64(table[point if point < table.size else 0]), point, width


@inlined
def _read_token(text: Bytes, at: Integer, table: NDArray[np.int32], out: Bytes, start: Integer) -> tuple[Integer, Integer, bool]:
    """The place behind the token at `text[at]`, the length of its bytes, written from `out[start]` on (in place), and whether another
    token begins at that place.
    """
    tail = start
    alone = np.int64(0)  # ALONE when the token's first character is
    while True:
        written, point, width = _token_character(text, at, table)
        if written == 0:
            joins = tail > start and alone == 0 and (point == 0x27 or point == 0x2019)  # noqa: PLR1714 (a tuple would be built)
            if not joins:
                return at, tail - start, False
            following = _token_character(text, at + width, table)[0]
            if following == 0 or following & ALONE:
                return at, tail - start, False
            written = np.int64(0x27)
        elif (written | alone) >= ALONE and tail > start and (written & ALONE or (alone and not written & ATTACHED)):
            return at, tail - start, True
        alone |= written & ALONE
        tail += encode_utf8(written & _POINT, out, tail)
        at += width


@inlined
def _cross_white(text: Bytes, at: Integer, n: Integer) -> tuple[Integer, int]:
    """The place behind the white space at `at`, and 1; or a place before the line's end, and 0, as that will end the sentence."""
    while at < n and text[at] != 0x0A:
        width = white_width(text, at)
        if width == 0:
            return at, 1
        at += width
    return at, 0


@inlined
def _cross_separator(text: Bytes, at: Integer, n: Integer, split: bool) -> tuple[Integer, int]:
    """The place behind the separator at `at`, and whether a sentence ends there: 1 yes, 0 no, -1 for invalid bytes, at that place."""
    byte = text[at]
    if byte == 0x0A:
        return at + 1, 1
    point, width = decode_utf8(text, at)
    if point == 0:
        return at, -1
    if not split:
        return at + width, 0
    if point in (0x3002, 0xFF01, 0xFF1F):
        return _cross_white(text, at + width, n)
    if point not in (0x2E, 0x21, 0x3F):
        return at + width, 0
    while text[at] in (0x2E, 0x21, 0x3F):
        at += 1
    width = closer_width(text, at)
    while width > 0:
        at += width
        width = closer_width(text, at)
    return _cross_white(text, at, n) if white_width(text, at) > 0 else (at, 0)


# C code points, N bytes of a piece, S slots (a power of two), T tokens there is room for
@kernel
def read_piece(
    text: Bytes, n: int, table: NDArray[np.int32], split: bool, folded: Bytes, slots: NDArray[np.int32], keys: Words,
    offsets: NDArray[np.int64], arena: Bytes, n_tokens: Integer, codes: NDArray[np.int32], borders: NDArray[np.int64],
) -> tuple[Integer, Integer, int, int, int]:  # fmt: skip
    """Read whole lines: (offset of the first invalid byte or -1, tokens in the table, codes written, sentences written, empty sentences).

    Parameters
    ----------
    text
        uint8 (N + 4 or more); `text[n : n + 4]` are line feeds, which end the last token and cut off a last character.
    n
        The number of bytes to read; they hold whole lines, and perhaps the text's last line without its end.
    table
        int32 (C): the code point to write for each token character, with ALONE or ATTACHED where that holds, beyond ASCII only; 0 for
        every other; entry 0 is 0.
    split
        Whether sentences end inside lines.
    folded
        uint8, at least 5 n / 2 + 64, a multiple of 8, 8-byte aligned: work space, overwritten.
    slots, keys, offsets, arena
        The token table, changed in place: int32 (S) codes by hash, -1 when free; uint64 (T) keys by code; int64 (T + 1) places in the
        arena; uint8 bytes of the tokens, a multiple of 8, 8-byte aligned, with 16 bytes spare. After n // 2 + 1 new tokens and 3 n / 2 new
        bytes there is room left, also among the slots. (Lower-casing makes U+023A and U+023E 3 bytes of 2; no character grows more. Two
        tokens have a separator between them, or one is a character that stands alone, of 3 bytes or more.)
    n_tokens
        Tokens in the table at entry.
    codes
        int32 (n // 2 + 1): overwritten with the tokens of the piece in order.
    borders
        int64 (n // 2 + 2): from entry 1 on overwritten with the end of each sentence in `codes`.
    """
    n_read, n_codes, n_borders, n_empty = 0, 0, 0, 0
    invalid: Integer = -1
    words, arena_words = folded.view(np.uint64), arena.view(np.uint64)
    _fold(text, n + 4, table, folded)
    found = new_found()
    at: Integer = 0
    length: Integer
    spelled: Integer = n + SPARE  # where the next token that is not as it stands in the text is written
    while at < n:
        start = at
        length, key = ascii_run(words, at)
        at += length
        byte = text[at]
        another = False
        if byte == 0x27 or byte >= 0x80:
            at, length, another = _read_token(text, start, table, folded, spelled)
            start = spelled
            byte = text[at]
            if length > 0:
                key = key_of(words, start, length)
                spelled += length
        if length > 0:
            i = n_read - n_codes
            found.keys[i] = key
            found.starts[i] = start
            found.lengths[i] = length
            n_read += 1
            if i == AT_ONCE - 1:
                n_tokens = look_up(found, AT_ONCE, words, slots, keys, offsets, arena, arena_words, n_tokens, codes, n_codes)
                n_codes = n_read
        if byte == 0x20:
            at += 1
        elif at < n and not another:
            at, ends = _cross_separator(text, at, n, split)
            if ends < 0:
                invalid = at
                break
            if ends > 0:
                n_borders, n_empty = _end_sentence(n_read, borders, n_borders, n_empty)
    n_tokens = look_up(found, n_read - n_codes, words, slots, keys, offsets, arena, arena_words, n_tokens, codes, n_codes)
    if invalid < 0 and n > 0 and text[n - 1] != 0x0A:
        n_borders, n_empty = _end_sentence(n_read, borders, n_borders, n_empty)
    return invalid, n_tokens, n_read, n_borders, n_empty


@inlined
def _fold(text: Bytes, n: int, table: NDArray[np.int32], folded: Bytes) -> None:
    """Copy n bytes into `folded` (in place): ASCII token characters as they are written, other ASCII as 0, all else as it is."""
    fold = np.empty(256, np.uint8)
    for i in range(256):
        fold[i] = table[i] if i < 0x80 else i
    for i in range(n):
        folded[i] = fold[text[i]]


@inlined
def _end_sentence(n_codes: int, borders: NDArray[np.int64], n_borders: int, n_empty: int) -> tuple[int, int]:
    """The numbers of sentences and of empty ones after one more; `borders` gains the end of a sentence with tokens (in place)."""
    if n_codes == borders[n_borders]:
        return n_borders, n_empty + 1
    borders[n_borders + 1] = n_codes
    return n_borders + 1, n_empty


class TokenTable:
    """The distinct tokens of one shard in order of first occurrence, and the reader that gives them codes 0, 1, 2 and so on.

    Parameters
    ----------
    table
        int32 (C), as `pipeline.tokenizing.characters.character_table` makes it.
    split_sentences
        Whether sentences end inside lines too.
    """

    def __init__(self, table: NDArray[np.int32], *, split_sentences: bool) -> None:
        # One array type, writable, means one compiled kernel.
        self._table = np.require(table, np.int32, ["C", "W"])
        self._split = split_sentences
        self._strings = StringTable()
        self._text = self._folded = np.zeros(0, np.uint8)
        self._codes = np.zeros(0, np.int32)
        self._borders = np.zeros(0, np.int64)

    @property
    def n_tokens(self) -> int:
        """Distinct tokens so far."""
        return self._strings.n_strings

    def add(self, piece: Bytes) -> tuple[NDArray[np.int32], NDArray[np.int64], int, int]:
        """Read one piece: the codes of its tokens, its sentences' offsets, the number of empty sentences, and where it is invalid.

        Parameters
        ----------
        piece
            uint8 (N): whole lines, or the last ones of a text. About PIECE_BYTES is fast; any length works.

        Returns
        -------
        codes
            int32, a new array.
        offsets
            int64 (sentences + 1), a new array: sentence i is `codes[offsets[i] : offsets[i + 1]]` and never empty.
        n_empty
            Sentences without a token, which are not among the others.
        invalid
            The byte in the piece at which the first NUL or invalid UTF-8 sequence starts; the rest of the piece was not read. Else -1.
        """
        n = len(piece)
        self._make_room(n)
        self._text[:n] = piece
        self._text[n : n + 4] = 0x0A
        known = self._strings
        invalid, n_tokens, n_codes, n_sentences, n_empty = read_piece(
            self._text, n, self._table, self._split, self._folded, known.slots, known.keys,
            known.offsets, known.arena, known.n_strings, self._codes, self._borders,
        )  # fmt: skip
        known.n_strings = int(n_tokens)
        return self._codes[:n_codes].copy(), self._borders[: n_sentences + 1].copy(), n_empty, int(invalid)

    def tokens(self) -> tuple[NDArray[np.int64], Bytes]:
        """Every token by code: int64 (n_tokens + 1) offsets, and uint8 bytes, token i from offsets[i] to offsets[i + 1]; new arrays."""
        offsets, content = self._strings.strings()
        return offsets.copy(), content.copy()

    def _make_room(self, n: int) -> None:
        """Let the worst piece of n bytes fit."""
        if len(self._text) < n + SPARE:
            self._text = np.zeros(n + SPARE, np.uint8)
            self._folded = np.zeros((5 * n // 2 + 64 + 7) // 8, np.uint64).view(np.uint8)
            self._codes = np.zeros(n // 2 + 1, np.int32)
            self._borders = np.zeros(n // 2 + 2, np.int64)
        self._strings.make_room(n // 2 + 1, 3 * n // 2)
