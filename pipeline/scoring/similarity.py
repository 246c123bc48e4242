"""Word pairs that people have rated: reading them, and how well cosines agree with the ratings."""

# P pairs with both words in the vocabulary, D dimension

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import InputError
from pipeline.scoring.evaluation import read_lines, spearman_interval
from pipeline.vectors import Vectors

TIE_DECIMALS = 12  # cosines equal to so many decimals are ties: rounding must not rank what is equal


@dataclass(frozen=True)
class Pair:
    """Two words and how similar people find them."""

    first: str
    second: str
    rating: float
    """Mean over people; only its order counts."""


@dataclass(frozen=True)
class SimilarityScore:
    """How well the order of the cosines agrees with the order of the ratings."""

    n_pairs: int
    """Pairs in the file."""
    n_scored: int
    """Pairs with both words in the vocabulary; the others are left out."""
    rho: float | None
    """Spearman's rank correlation; None for fewer than two pairs, or when all cosines or all ratings are equal."""
    low: float
    """Lower end of rho's 95 % interval; -1 when unknown."""
    high: float
    """Upper end; 1 when unknown."""

    @property
    def n_skipped(self) -> int:
        """Pairs with a word outside the vocabulary."""
        return self.n_pairs - self.n_scored


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


def score_similarity(vectors: Vectors, pairs: tuple[Pair, ...], lowercase: bool = True) -> SimilarityScore:
    """Spearman's rho (average ranks in ties) between the pairs' cosines and their ratings, with its 95 % interval.

    Parameters
    ----------
    vectors
        V words, unchanged; any of them may be asked for.
    pairs
        As read from a file.
    lowercase
        Whether the pairs are turned to lower case first, as the vectors' words should be then.

    Raises
    ------
    StoreError
        When a vector holds NaN or an infinity.
    """
    words = pa.array([word for pair in pairs for word in (pair.first, pair.second)], pa.string())
    rows = vectors.find(pc.utf8_lower(words) if lowercase else words).reshape(-1, 2)
    known = np.logical_and.reduce(rows >= 0, axis=1)
    ratings = np.array([pair.rating for pair in pairs], dtype=np.float64)[known]
    cosines = (vectors.directions(rows[known, 0]) * vectors.directions(rows[known, 1])).sum(axis=1).round(TIE_DECIMALS)
    if len(ratings) < 2 or np.ptp(cosines) == 0 or np.ptp(ratings) == 0:
        return SimilarityScore(len(pairs), len(ratings), None, -1.0, 1.0)
    from scipy.stats import spearmanr  # 1.1 s to import: not at the start of a run that reuses everything

    rho = round(float(spearmanr(cosines, ratings).statistic), TIE_DECIMALS)  # perfect order is 1, not 0.9999999999999999
    return SimilarityScore(len(pairs), len(ratings), rho, *spearman_interval(rho, len(ratings)))
