"""Tokenizers of the user's own: finding them, calling them, and giving their tokens codes."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.configuration import Tokenize
from pipeline.errors import ConfigurationError, Corpus2VecError, InputError
from pipeline.storage.keys import digest_of_file
from pipeline.tokenizing.lines import Bytes, decoded_lines, sentences_of_line

Function = Callable[[str], Iterable[str]]
KEY = "key tokenize.tokenizer"


def make_function(settings: Tokenize) -> Function:
    """Call the configured module:function with its argument: what it returns gets lines, or sentences, and gives their tokens.

    Raises
    ------
    ConfigurationError
        When it cannot be imported or called.
    InputError
        When the configured file is not the one that the configuration was read with.
    """
    module, name = settings.function or ("", "")
    argument = settings.tokenizer_argument
    if settings.tokenizer_file:
        _check_file(settings)
        argument = settings.tokenizer_file
    try:
        function: Function = getattr(import_module(module), name)(argument)
    except Corpus2VecError:
        raise
    except Exception as error:
        raise ConfigurationError(
            "The tokenizer cannot be made.",
            where=KEY,
            got=f"{settings.tokenizer}({argument!r}): {type(error).__name__}: {error}",
            expected="a module that can be imported, installed or on PYTHONPATH, and a function in it that takes one string",
            remedy="Try it: python -c " + f"\"from {module} import {name}; print(list({name}({argument!r})('some text')))\"",
        ) from error
    return function


def _check_file(settings: Tokenize) -> None:
    path = Path(settings.tokenizer_file)
    found = digest_of_file(path) if path.is_file() else "no file"
    if found != settings.tokenizer_sha256:
        raise InputError(
            "The tokenizer's file is another one than when the configuration was read.",
            where=f"{path}, key tokenize.tokenizer_file",
            got=found,
            expected=settings.tokenizer_sha256,
            remedy="Bring the file back, or leave out tokenize.tokenizer_sha256 and start the run again.",
        )


class FunctionTable:
    """As `kernels.tokens.TokenTable`, with tokens that a function finds.

    Parameters
    ----------
    function
        Gives the tokens of a line, or sentence: any iterable of str.
    replacements
        For `str.translate`, applied to every line or sentence before.
    split_sentences
        Whether sentences end inside lines too.
    """

    def __init__(self, function: Function, replacements: dict[int, int], *, split_sentences: bool) -> None:
        self._function = function
        self._replacements = replacements
        self._split = split_sentences
        self._codes: dict[str, int] = {}

    @property
    def n_tokens(self) -> int:
        """Distinct tokens so far."""
        return len(self._codes)

    def enter(self, words: Sequence[str]) -> None:
        """Give words the next codes, as tokens, but prepared like text."""
        for word in words:
            self._codes.setdefault(word.translate(self._replacements), len(self._codes))

    def add(self, piece: Bytes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int, int]:
        """See `TokenTable.add`; of a piece that is invalid, the lines before the invalid one are read.

        Raises
        ------
        ConfigurationError
            When the function fails, or gives something that is no token.
        """
        lines, invalid = decoded_lines(piece)
        codes: list[int] = []
        ends = [0]
        n_empty = 0
        for line in lines:
            for sentence in sentences_of_line(line) if self._split else (line,):
                codes += self._tokenized(sentence.translate(self._replacements) if self._replacements else sentence)
                if len(codes) > ends[-1]:
                    ends.append(len(codes))
                else:
                    n_empty += 1
        return np.array(codes, np.int32), np.array(ends, np.int64), n_empty, invalid

    def tokens(self) -> tuple[npt.NDArray[np.int64], Bytes]:
        """See `TokenTable.tokens`."""
        encoded = [token.encode() for token in self._codes]
        offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        return offsets, np.frombuffer(b"".join(encoded), np.uint8)

    def _tokenized(self, sentence: str) -> list[int]:
        try:
            tokens = list(self._function(sentence))
        except Exception as error:
            raise ConfigurationError(
                "The tokenizer failed.",
                where=KEY,
                got=f"{type(error).__name__}: {error}",
                expected=f"the tokens of {sentence[:60]!r}",
                remedy="Mend the function, and change tokenize.tokenizer_version.",
            ) from error
        codes = self._codes
        try:
            return [codes[token] for token in tokens]
        except (KeyError, TypeError):  # not all known, or not all strings
            return [codes[token] if isinstance(token, str) and token in codes else self._entered(token, sentence) for token in tokens]

    def _entered(self, token: str, sentence: str) -> int:
        """The code of a token that is new."""
        if not isinstance(token, str) or token.split() != [token] or not _is_text(token):
            raise ConfigurationError(
                "The tokenizer gave something that is no token.",
                where=KEY,
                got=f"{token!r} in {sentence[:60]!r}",
                expected="strings that are not empty, without white space",
                remedy="Leave such out in the function, and change tokenize.tokenizer_version.",
            )
        return self._codes.setdefault(token, len(self._codes))


def _is_text(token: str) -> bool:
    """Whether UTF-8 can hold it: no half of a surrogate pair."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in token
