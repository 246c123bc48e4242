"""Files that keys of the configuration name, looked at when it is read: from then on their content counts, and a run's record has it.

Everything here raises ValueError, which pydantic turns into an error with the path of the key.
"""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from pipeline.storage.keys import digest_of_file

# Modules of tokenizers that are shipped, and the package whose version is theirs.
SHIPPED_TOKENIZERS = {"pipeline.tokenizing.hugging_face": "tokenizers"}

# gensim 4.4, models/phrases.py: articles, prepositions, conjunctions.
ENGLISH_CONNECTOR_WORDS = ("a", "an", "the", "for", "of", "with", "without", "at", "from", "to", "in", "on", "by", "and", "or")
ENGLISH = "english"  # the name of that list


def words_of(value: object) -> object:
    """The words in a file when `value` is its path: UTF-8, one a line, empty lines skipped; anything else as it is.

    Raises
    ------
    ValueError
        When the file cannot be read.
    """
    if not isinstance(value, str):
        return value
    try:
        lines = Path(value).read_text(encoding="utf-8-sig").splitlines() if value else []
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a list of words, or a file of UTF-8 text that can be read: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def connector_words_of(value: object) -> object:
    """gensim's list when `value` is its name; else as `words_of` has it.

    Raises
    ------
    ValueError
        When a file cannot be read.
    """
    return ENGLISH_CONNECTOR_WORDS if value == ENGLISH else words_of(value)


def single_words(words: Sequence[str]) -> Sequence[str]:
    """The words, when each is one.

    Raises
    ------
    ValueError
        When one of them is empty or has white space in it.
    """
    for number, word in enumerate(words, 1):
        if word.split() != [word]:
            raise ValueError(f"one word each, in a file one a line; number {number} is {word!r}")
    return words


def digest_of_tokenizer(path: str) -> str:
    """SHA-256 of the file that a tokenizer is made from.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    try:
        return digest_of_file(Path(path))
    except OSError as error:
        raise ValueError(f"the digest of tokenizer_file, which cannot be read: {error}") from error


def version_of_tokenizer(tokenizer: str) -> str:
    """The version of a shipped module:function; empty for others.

    Raises
    ------
    ValueError
        When the package that it needs is not installed.
    """
    package = SHIPPED_TOKENIZERS.get(tokenizer.partition(":")[0])
    if not package:
        return ""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError as error:
        raise ValueError(f"the version of the package {package}, which is not installed: pip install 'corpus2vec[{package}]'") from error
