"""Text into codes and sentences by the section `tokenize` of the configuration: the byte kernel or the user's own function, and what is
done before and after it.
"""

import unicodedata
from collections.abc import Mapping
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from kernels.sentences import keep_sentences
from kernels.tokens import TokenTable
from pipeline.choices import Digits, Normalization
from pipeline.configuration import Tokenize
from pipeline.errors import ConfigurationError
from pipeline.reasons import LeftOut
from pipeline.tokenizing.characters import character_table, replacements
from pipeline.tokenizing.function_table import FunctionTable, make_function
from pipeline.tokenizing.lines import Bytes, Form, normalized_piece
from pipeline.tokenizing.long_lines import InParts

Codes = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]
FORMS: Mapping[Normalization, Form] = {Normalization.NFC: "NFC", Normalization.NFKC: "NFKC"}


class Table(Protocol):
    """Distinct tokens with codes by first occurrence, and a reader of text into them: `kernels.tokens.TokenTable` says all of it."""

    @property
    def n_tokens(self) -> int:
        """Distinct tokens so far."""

    def add(self, piece: Bytes) -> tuple[Codes, Offsets, int, int]:
        """See `TokenTable.add`."""

    def tokens(self) -> tuple[Offsets, Bytes]:
        """See `TokenTable.tokens`."""


def new_tokenizer(settings: Tokenize) -> "Tokenizer":
    """The tokenizer of one shard of text, as configured, which has read nothing yet.

    Raises
    ------
    ConfigurationError
        When a stop word is not one token, or a tokenizer of the user's cannot be made.
    InputError
        When the file of a tokenizer is another one than when the configuration was read.
    """
    form = FORMS.get(settings.normalize)
    table = _function_table(settings, form) if settings.function else _token_table(settings, form)
    return Tokenizer(table, form, table.n_tokens, settings.min_sentence_tokens)


class Tokenizer:
    """The reader of one shard: its tokens by code, and how many it dropped.

    Parameters
    ----------
    table
        With the stop words in it, which have the codes below `n_stopped`.
    form
        What text is normalised to before it is read; None: it is left as it is.
    n_stopped
        Number of stop words.
    least
        Tokens in the shortest sentence that is kept, at least 1.
    """

    def __init__(self, table: Table, form: Form | None, n_stopped: int, least: int) -> None:
        self._table, self._form, self._n_stopped, self._least = table, form, n_stopped, least
        self._n_dropped = self._n_in_short = self._n_short = 0

    @property
    def dropped_tokens(self) -> dict[str, int]:
        """Tokens that were read and left out, by reason; only reasons that are configured."""
        dropped: dict[str, int] = {}
        if self._n_stopped:
            dropped[LeftOut.STOP_WORD] = self._n_dropped
        if self._least > 1:
            dropped[LeftOut.IN_TOO_SHORT] = self._n_in_short
        return dropped

    @property
    def dropped_sentences(self) -> dict[str, int]:
        """Sentences with tokens that were left out, by reason. Those without a token `add` counts."""
        return {LeftOut.TOO_SHORT: self._n_short} if self._least > 1 else {}

    def add(self, piece: Bytes) -> tuple[Codes, Offsets, int, int]:
        """Read one piece: the codes of its tokens, its sentences' offsets, the number of empty sentences, and where it is invalid.

        What is left out, as configured, is in `dropped_tokens` and `dropped_sentences`, but a sentence that had only stop words is empty.

        Parameters
        ----------
        piece
            uint8 (N): whole lines, or the last ones of a text. About `kernels.tokens.PIECE_BYTES` is fast; any length works.

        Returns
        -------
        codes
            int32, a new array.
        offsets
            int64 (sentences + 1), a new array: sentence i is `codes[offsets[i] : offsets[i + 1]]` and never empty.
        n_empty
            Sentences without a token, which are not among the others.
        invalid
            The byte in the piece at which the first NUL or invalid UTF-8 sequence starts, else -1. Only what stands before it was read,
            and perhaps only the lines before its line.

        Raises
        ------
        ConfigurationError
            When a tokenizer of the user's fails, or gives something that is no token.
        """
        outside = -1
        if self._form:
            piece, outside = normalized_piece(piece, self._form)
        codes, offsets, n_empty, invalid = self._table.add(piece)
        if self._n_stopped or self._least > 1:
            n_kept, n_emptied, n_short, n_dropped, n_in_short = keep_sentences(codes, offsets, self._n_stopped, self._least)
            codes, offsets = codes[: offsets[n_kept]], offsets[: n_kept + 1]
            n_empty += n_emptied
            self._n_short += n_short
            self._n_dropped += n_dropped
            self._n_in_short += n_in_short
        return codes, offsets, n_empty, max(invalid, outside)

    def tokens(self) -> tuple[Offsets, Bytes]:
        """Every token by code: int64 (tokens + 1) offsets, and uint8 bytes, token i from offsets[i] to offsets[i + 1]; new arrays.

        Tokens that only stood in sentences which were left out are among them; stop words are not.
        """
        offsets, content = self._table.tokens()
        begin = offsets[self._n_stopped]
        return offsets[self._n_stopped :] - begin, content[begin:]


def _token_table(settings: Tokenize, form: Form | None) -> InParts:
    """The byte kernel's table with the stop words in it."""
    characters = _characters(settings.lowercase, settings.digits, settings.tokenizer == "characters")
    table = InParts(TokenTable(characters, split_sentences=settings.split_sentences), characters)
    for word in sorted(set(settings.stop_words)):
        piece = np.frombuffer(word.encode(), np.uint8)
        codes = table.add(normalized_piece(piece, form)[0] if form else piece)[0]
        if len(codes) != 1:
            raise ConfigurationError(
                "A stop word is not one token.",
                where="key tokenize.stop_words",
                got=f"{word!r}, {len(codes)} tokens",
                expected="words as they are in the text once it is tokenized",
                remedy="Write each of its parts that shall be left out as a word of its own.",
            )
    return table


def _function_table(settings: Tokenize, form: Form | None) -> FunctionTable:
    """The table of the user's tokenizer with the stop words in it."""
    table = FunctionTable(
        make_function(settings), _replacements(settings.lowercase, settings.digits), split_sentences=settings.split_sentences
    )
    table.enter([unicodedata.normalize(form, word) if form else word for word in sorted(set(settings.stop_words))])
    return table


@cache
def _characters(lowercase: bool, digits: Digits, stand_alone: bool) -> npt.NDArray[np.int32]:
    """The table of characters, made once: it takes 50 ms, most of the time of a small shard. Only read from here on."""
    return character_table(lowercase, digits, stand_alone=stand_alone)


@cache
def _replacements(lowercase: bool, digits: Digits) -> dict[int, int]:
    """The same for tokenizers of the user's own."""
    return replacements(lowercase, digits)
