"""Why something of the text is not among the tokens: one set of words for the tallies of files, bytes, records, sentences and tokens.

What is broken is in quarantine too, record by record; what is left out for another reason is counted only.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a record is broken."""

    UTF16 = "UTF-16, not UTF-8"
    NOT_UTF8 = "not UTF-8"
    NUL = "NUL bytes"
    TOO_LONG = "too long"
    TRUNCATED = "truncated archive"
    DAMAGED = "damaged file"
    NOT_JSON = "not a JSON object"
    NOT_CSV = "not a row of the table"
    NO_COLUMN = "without the column"
    NOT_TEXT = "no text in the column"


MENDABLE = (Reason.UTF16, Reason.NOT_UTF8, Reason.NUL)  # by U+FFFD in the place of what is invalid


class LeftOut(StrEnum):
    """Why something that is not broken was left out."""

    OTHER_SUFFIX = "another suffix"
    LINK = "link to a directory"
    SAME_FILE = "the same file again"
    EMPTY_FILE = "empty"
    MARK = "byte order mark"
    HEADER = "header"
    EMPTY_LINE = "empty line"
    NULL = "null"
    WORDLESS = "without a token"
    TOO_SHORT = "too short"
    IN_TOO_SHORT = "in sentences that are too short"
    STOP_WORD = "stop words"
