"""Tokenizers as users write them, for the tests of `tokenize.tokenizer`."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.reference.tokens import tokens


def by_reference(argument: str) -> Callable[[str], list[str]]:
    """Our own definition, as if it were somebody else's."""
    assert argument == "our own"
    return lambda line: tokens(line, lowercase=False)


def pairs_of_letters(path: str) -> Callable[[str], Iterator[str]]:
    """Each letter of a file, and the one behind it."""
    letters = Path(path).read_text(encoding="utf-8")

    def tokenize(line: str) -> Iterator[str]:
        for i in range(len(line) - 1):
            if line[i] in letters and not line[i + 1].isspace():
                yield line[i : i + 2]

    return tokenize


def broken(argument: str) -> Callable[[str], object]:
    """Whatever is wrong: the argument says what."""
    if argument == "unmade":
        raise RuntimeError("no dictionary")
    results: dict[str, object] = {
        "white": ["a", "b c"],
        "empty": [""],
        "number": [3],
        "list": [["a"]],
        "surrogate": ["\ud800"],
        "nothing": None,
    }
    return lambda line: results[argument]


def commanding(argument: str) -> Callable[[str], list[str]]:
    """Words that would recolour a terminal, with what makes bold of text in Markdown, and a tag of HTML."""
    return lambda line: [f"\x1b[31m{word}\x9b[b]<script>" for word in line.split()]
