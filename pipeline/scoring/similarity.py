"""Word pairs that people have rated: how well cosines agree with the ratings."""

# P pairs with both words in the vocabulary, D dimension

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.scoring.evaluation import spearman_interval
from pipeline.scoring.rated_pairs import Pair
from pipeline.vectors import Vectors

TIE_DECIMALS = 12  # cosines equal to so many decimals are ties: rounding must not rank what is equal


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
