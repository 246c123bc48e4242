"""What a token and a sentence are, written down once, and the table of characters that the byte kernel looks them up in.

**Normalising** (an option) comes before everything else: the text is brought to Unicode's form NFC or NFKC (Unicode Standard Annex #15).

**Token.** A maximal run of characters of the Unicode general categories L* (letters), M* (marks) and Nd (decimal digits). An apostrophe,
U+0027 or U+2019, belongs to the run when a token character stands directly on both sides, and is always written as U+0027. Everything
else separates. Characters above U+3FFFF belong to no token.

**Characters as tokens** (an option, for text without spaces between words). A letter (L*) in the ranges of `STANDING_ALONE`, which are
Chinese ideographs and hiragana, is a token of its own, together with the marks that directly follow it; it belongs to no run, so no
apostrophe joins it to one. Everything else is as above: katakana and hangul stay in runs, as in the default word boundaries of
Unicode Standard Annex #29, because they are words there. Thai, Lao, Khmer and Burmese have no spaces either, but their single
characters are parts of syllables and mean nothing: such text needs a tokenizer of its own.

**Lower-casing** (an option) maps each code point by its simple lower-case mapping: Python's `chr(c).lower()`, of which the first code
point counts when it gives several (U+0130 gives 'i'). No mapping looks at neighbours, so a final sigma is an ordinary one.

**Digits** (Nd) are kept; or dropped, which makes each a separator, as the scripts that came with word2vec and fastText do it
(`tr 0-9 " "`); or mapped, each to U+0030, so that 1984 and 2001 are both 0000.

**Line.** A line ends with U+000A or with the text, and is a paragraph; U+000D is a separator like any other.

**Sentence.** A sentence ends at a line's end. With sentence splitting (an option) it also ends

* at a run of '.', '!' and '?', optionally followed by closing quotes or brackets (" ' ) ] } » ” ’), when white space follows;
* at once after '。', '！' and '？'.

White space (Unicode's White_Space) that directly follows such an end still belongs to the sentence that ended; when it reaches the line's
end, both ends are one. No abbreviations are known: "Mr. Smith" is two sentences. Sentences without tokens (an empty line is one) are not
emitted, but counted.

**Stop words** (an option) are left out of their sentences; a sentence that had nothing else counts as one without tokens. After that,
sentences with fewer tokens than an option says are left out.

Both definitions depend on two versions: `versions.TOKENIZER_VERSION`, raised when the same text and options would give other tokens or
sentences, and `versions.UNICODE_VERSION`, the version of the character database of this Python. Both belong in the key of whatever is made
from tokens.

This module must not read text: it describes characters only.
"""

import unicodedata

import numpy as np
from numpy.typing import NDArray

from kernels.tokens import ALONE, ATTACHED
from pipeline.choices import Digits

# C code points: planes 0 to 3. Above are only tags, variation selectors, private use and nothing.
TABLE_SIZE = 0x40000
# First and last code point.
STANDING_ALONE = (
    (0x3005, 0x3006),  # iteration and closing mark of ideographs
    (0x303B, 0x303B),  # vertical iteration mark
    (0x3041, 0x309F),  # hiragana
    (0x3400, 0x4DBF),  # ideographs, extension A
    (0x4E00, 0x9FFF),  # ideographs
    (0xF900, 0xFAFF),  # compatibility ideographs
    (0x1B001, 0x1B11F),  # old hiragana
    (0x1B132, 0x1B132),  # small hiragana
    (0x1B150, 0x1B152),
    (0x20000, 0x3FFFF),  # the planes of ideographs
)


def character_table(lowercase: bool, digits: Digits = Digits.KEEP, *, stand_alone: bool = False) -> NDArray[np.int32]:
    """The token characters: int32[C], 0 for a separator, else the code point to write (lower-cased if asked for), with flags.

    Both apostrophes are 0 here: whether one joins depends on its neighbours, which the kernel looks at.

    Parameters
    ----------
    lowercase
        Whether each code point is replaced by its simple lower-case mapping.
    digits
        What becomes of decimal digits.
    stand_alone
        Whether the characters of `STANDING_ALONE` are tokens of their own: they have the flag ALONE, and marks have ATTACHED.

    Notes
    -----
    Takes 50 to 60 ms, nearly all of it the 262,144 look-ups of a category. Only the categories Lu and Lt have lower-case mappings of
    their own among token characters; a test compares every code point, so a new Unicode version cannot change that unseen.
    """
    names = "".join(map(unicodedata.category, map(chr, range(TABLE_SIZE))))
    major, minor = np.frombuffer(names.encode("ascii"), dtype="S1").reshape(TABLE_SIZE, 2).T
    is_digit = (major == b"N") & (minor == b"d")
    table = np.where((major == b"L") | (major == b"M") | is_digit, np.arange(TABLE_SIZE), 0).astype(np.int32)
    if lowercase:
        capitals = np.flatnonzero((major == b"L") & ((minor == b"u") | (minor == b"t")))
        table[capitals] = [ord(chr(code).lower()[0]) for code in capitals]
    if digits is not Digits.KEEP:
        table[is_digit] = ord("0") if digits is Digits.MAP else 0
    if stand_alone:
        table[major == b"M"] |= ATTACHED
        for first, last in STANDING_ALONE:
            letters = np.flatnonzero(major[first : last + 1] == b"L") + first
            table[letters] |= ALONE
    return table


def replacements(lowercase: bool, digits: Digits) -> dict[int, int]:
    """What `str.translate` needs to prepare text for a tokenizer that is not ours: lower-casing and digits as `character_table` has them.

    A digit that is dropped becomes a space.
    """
    table = character_table(lowercase, digits)
    changed = np.flatnonzero((table != np.arange(TABLE_SIZE)) & (table > 0))
    found = dict(zip(changed.tolist(), table[changed].tolist(), strict=True))
    if digits is Digits.DROP:
        found |= {code: ord(" ") for code in np.flatnonzero((table == 0) & (character_table(lowercase) > 0)).tolist()}
    return found
