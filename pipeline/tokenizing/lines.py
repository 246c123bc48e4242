"""Pieces of text as Python strings, for what the byte kernel does not do: normalising, and tokenizers that are not ours.

Invalid text is found here as the kernel finds it: the first NUL or byte that is not strict UTF-8, at its place in the piece as it was read.
"""

import re
import unicodedata
from typing import Literal

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Form = Literal["NFC", "NFKC"]

# Unicode's White_Space without U+000A, which ends lines. (\s of `re` also takes U+001C to U+001F.)
_WHITE = "\\t\\v\\f\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
# Possessive, and the marks that end nothing are matched too: a long row of dots takes linear time.
_MARKS = re.compile(f"[.!?]++[\"')\\]}}»”’]*+(?P<white>[{_WHITE}]++)?|[。！？][{_WHITE}]*+")


def decoded_lines(piece: Bytes) -> tuple[list[str], int]:
    """The lines of a piece without their line feeds, and -1; or those before the first that is invalid, and the offset of its first defect.

    Parameters
    ----------
    piece
        uint8 (N): whole lines, or the last ones of a text.
    """
    content = piece.tobytes()
    nul = content.find(b"\0")
    invalid = nul
    try:
        text = content[: nul if nul >= 0 else len(content)].decode()
    except UnicodeDecodeError as error:
        invalid = error.start
    if invalid >= 0:
        text = content[: content.rfind(b"\n", 0, invalid) + 1].decode()
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines, invalid


def normalized_piece(piece: Bytes, form: Form) -> tuple[Bytes, int]:
    """A piece in a normal form, and -1; or its lines before the first that is invalid, and the offset of its first defect in the piece.

    No character composes with a line feed, so it does not matter how a text is cut into lines. Lines of ASCII are left alone; for others
    `unicodedata.normalize` has a quick check of its own.

    Parameters
    ----------
    piece
        uint8 (N): whole lines, or the last ones of a text. Not changed; what comes back may be itself.
    form
        The normal form.
    """
    if (piece - 1 < 0x7F).all():  # 0x01 to 0x7F
        return piece, -1
    lines, invalid = decoded_lines(piece)
    normal = [line if line.isascii() else unicodedata.normalize(form, line) for line in lines]
    if invalid < 0 and normal == lines:
        return piece, -1
    ends = invalid >= 0 or piece[-1] == 0x0A
    text = "\n".join(normal) + ("\n" if ends and normal else "")
    return np.frombuffer(text.encode(), np.uint8), invalid


def sentences_of_line(line: str) -> list[str]:
    """The stretches of a line (without its line feed) that are sentences, as `characters.py` defines them; an empty line is one."""
    found, start = [], 0
    for marks in _MARKS.finditer(line):
        if marks["white"] or line[marks.start()] in "。！？":
            found.append(line[start : marks.end()])
            start = marks.end()
    # What is left ends with the line, unless an end before it reached that far.
    return found if found and start == len(line) else [*found, line[start:]]
