"""What a token and a sentence are, written down once, and the table of characters that the byte kernel looks them up in.

**Token.** A maximal run of characters of the Unicode general categories L* (letters), M* (marks) and Nd (decimal digits). An apostrophe,
U+0027 or U+2019, belongs to the run when a token character stands directly on both sides, and is always written as U+0027. Everything
else separates. Characters above U+3FFFF belong to no token.

**Lower-casing** (an option) maps each code point by its simple lower-case mapping: Python's `chr(c).lower()`, of which the first code
point counts when it gives several (U+0130 gives 'i'). No mapping looks at neighbours, so a final sigma is an ordinary one.

**Line.** A line ends with U+000A or with the text, and is a paragraph; U+000D is a separator like any other.

**Sentence.** A sentence ends at a line's end. With sentence splitting (an option) it also ends

* at a run of '.', '!' and '?', optionally followed by closing quotes or brackets (" ' ) ] } » ” ’), when white space follows;
* at once after '。', '！' and '？'.

White space (Unicode's White_Space) that directly follows such an end still belongs to the sentence that ended; when it reaches the line's
end, both ends are one. No abbreviations are known: "Mr. Smith" is two sentences. Sentences without tokens (an empty line is one) are not
emitted, but counted.

Both definitions depend on two versions: `TOKENIZER_VERSION`, raised when this text changes, and `UNICODE_VERSION`, the version of the
character database of this Python. Both belong in the key of whatever is made from tokens.

This module must not read text: it describes characters only.
"""

import unicodedata

import numpy as np
from numpy.typing import NDArray

TOKENIZER_VERSION = 1
UNICODE_VERSION = unicodedata.unidata_version
# C code points: planes 0 to 3. Above are only tags, variation selectors, private use and nothing.
TABLE_SIZE = 0x40000


def character_table(lowercase: bool) -> NDArray[np.int32]:
    """The token characters: int32[C], 0 for a separator, else the code point to write (lower-cased if asked for).

    Both apostrophes are 0 here: whether one joins depends on its neighbours, which the kernel looks at.

    Parameters
    ----------
    lowercase
        Whether each code point is replaced by its simple lower-case mapping.

    Notes
    -----
    Takes 50 to 60 ms, nearly all of it the 262,144 look-ups of a category. Only the categories Lu and Lt have lower-case mappings of
    their own among token characters; a test compares every code point, so a new Unicode version cannot change that unseen.
    """
    names = "".join(map(unicodedata.category, map(chr, range(TABLE_SIZE))))
    major, minor = np.frombuffer(names.encode("ascii"), dtype="S1").reshape(TABLE_SIZE, 2).T
    is_token = (major == b"L") | (major == b"M") | ((major == b"N") & (minor == b"d"))
    table = np.where(is_token, np.arange(TABLE_SIZE), 0).astype(np.int32)
    if lowercase:
        capitals = np.flatnonzero((major == b"L") & ((minor == b"u") | (minor == b"t")))
        table[capitals] = [ord(chr(code).lower()[0]) for code in capitals]
    return table
