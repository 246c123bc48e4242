"""The nearest neighbours of many words at once, exact where it matters: which they are does not depend on BLAS, threads or the CPU."""

# W words that are asked about, N candidates, K neighbours

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.vectors import Vectors

WORDS_A_BLOCK = 128  # against 10,000 candidates 5 MB of cosines, which stay in the cache for the passes over them
PAIRS_A_BLOCK = 1 << 15  # cosines computed again at once: 50 MB of float64 at 100 dimensions
NEAR = 1e-5  # cosines this near to the last of the K are computed again; float32 errs by some 1e-7
TIE_DECIMALS = 12  # float64 cosines equal to so many decimals are ties, which the lower row wins: rounding must not order what is equal
NOBODY = -1

Cosines = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def nearest(vectors: Vectors, n_words: int, n_neighbours: int) -> Rows:
    """int64[W, K], for each of the first W words the rows of its K nearest by cosine, the nearest first; itself is none of them.

    Where there are fewer than K others the rest is -1. A row of zeros has no direction: it has no neighbours, and is nobody's.

    Parameters
    ----------
    vectors
        The N candidates, unchanged.
    n_words, n_neighbours
        W, which counts as N when it is more, and K, at least 1.

    Raises
    ------
    StoreError
        When a vector holds NaN or an infinity.
    """
    n_words = min(n_words, len(vectors))
    nothing = vectors.norms == 0
    found = np.full((n_words, n_neighbours), NOBODY, dtype=np.int64)
    for first in range(0, n_words, WORDS_A_BLOCK):
        words = np.arange(first, min(n_words, first + WORDS_A_BLOCK))
        cosines = vectors.unit[words] @ vectors.unit.T
        cosines[:, nothing] = -np.inf
        cosines[words - first, words] = -np.inf
        cosines[nothing[words]] = -np.inf
        for rows, columns in _near_pairs(cosines, n_neighbours):
            _keep_best(found, vectors, first + rows, columns)
    return found


def _near_pairs(cosines: Cosines, n_neighbours: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows and columns of a block's cosines that can be among the K highest of their row: all pairs of some words at a time."""
    near = cosines >= np.maximum(_lowest_kept(cosines, n_neighbours) - NEAR, np.finfo(np.float32).min)[:, None]
    rows, columns = np.divmod(np.flatnonzero(near), cosines.shape[1])  # np.nonzero of two dimensions takes 20 times as long
    ends = np.searchsorted(rows, np.arange(len(cosines) + 1))
    start = 0
    for stop in range(1, len(cosines) + 1):
        if stop == len(cosines) or ends[stop + 1] - ends[start] > PAIRS_A_BLOCK:
            yield rows[ends[start] : ends[stop]], columns[ends[start] : ends[stop]]
            start = stop


def _lowest_kept(cosines: Cosines, n_neighbours: int) -> Cosines:
    """float32[rows], the K-th highest cosine of each row; the lowest there is where a row has fewer.

    Of columns in groups, the K highest are in the K groups whose own highest are the K highest: a tenth of the time of a partition.
    """
    n_rows, n_columns = cosines.shape
    n_groups = int(np.sqrt(n_columns * n_neighbours))
    size = n_columns // max(1, n_groups)
    if size < 2 or n_groups <= n_neighbours:
        return _kth_highest(cosines, n_neighbours)
    whole = cosines[:, : size * n_groups].reshape(n_rows, size, n_groups)
    groups = np.argpartition(whole.max(axis=1), -n_neighbours, axis=1)[:, -n_neighbours:]
    best = np.take_along_axis(whole, groups[:, None, :], axis=2).reshape(n_rows, -1)
    return _kth_highest(np.concatenate([best, cosines[:, size * n_groups :]], axis=1), n_neighbours)


def _kth_highest(cosines: Cosines, n_neighbours: int) -> Cosines:
    k = min(n_neighbours, cosines.shape[1])
    highest: Cosines = np.partition(cosines, -k, axis=1)[:, -k]
    return highest


def _keep_best(found: Rows, vectors: Vectors, words: Rows, others: Rows) -> None:
    """Write the nearest of some words into `found`: all that can be among them are in `others`, pair by pair, the words ascending."""
    products = np.einsum("pd,pd->p", vectors.matrix[words], vectors.matrix[others], dtype=np.float64)
    cosines = (products / (vectors.norms[words] * vectors.norms[others])).round(TIE_DECIMALS)
    order = np.lexsort((others, -cosines, words))
    words, others = words[order], others[order]
    place = np.arange(len(words)) - np.searchsorted(words, words)
    kept = place < found.shape[1]
    found[words[kept], place[kept]] = others[kept]
