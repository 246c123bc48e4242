"""Files of word pairs that people have rated: read and checked. Imports nothing heavy: that is done before anything else."""

import math
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import InputError
from pipeline.scoring.evaluation import read_lines


@dataclass(frozen=True)
class Pair:
    """Two words and how similar people find them."""

    first: str
    second: str
    rating: float
    """Mean over people; only its order counts."""


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """The pairs of a file with tab-separated lines "word, word, rating"; lines that begin with "#" are comments.

    Raises
    ------
    InputError
        When the file cannot be read or holds no pair; with the line's number when a line is not of the format.
    """
    pairs = []
    for number, line in read_lines(path):
        if line.startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t")]
        rating = _rating(fields[-1])
        if len(fields) != 3 or not all(fields) or rating is None:
            raise InputError(
                "A line of the rated word pairs is wrong.",
                where=f"{path}, line {number}",
                got=line[:120],
                expected="two words and a finite number, separated by tabs",
                remedy="Correct the line, or turn it into a comment with '#'.",
            )
        pairs.append(Pair(fields[0], fields[1], rating))
    if not pairs:
        raise InputError("A file of rated word pairs holds none.", where=str(path), expected='lines "word, word, rating"')
    return tuple(pairs)


def _rating(text: str) -> float | None:
    """A finite number, or None."""
    try:
        rating = float(text)
    except ValueError:
        return None
    return rating if math.isfinite(rating) else None
