"""How far vectors moved between two trainings: by the company that words keep, which needs no alignment of the two spaces."""

# W words that are compared, N candidates, K neighbours

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.lineage.comparing.neighbours import NOBODY, Rows, nearest
from pipeline.vectors import Vectors

N_WORDS = 2_000  # that are compared: the mean over them is known to 0.005
N_CANDIDATES = 10_000  # that can be neighbours: with both bounds the time is the same for any vocabulary
N_NEIGHBOURS = 10


@dataclass(frozen=True)
class MovedWord:
    """A word in both spaces."""

    word: str
    counts: tuple[int, int]  # occurrences in the text of each
    overlap: float  # share of its neighbours that are the same
    before: tuple[str, ...]  # its neighbours, the nearest first
    after: tuple[str, ...]


@dataclass(frozen=True)
class Movement:
    """How alike the neighbourhoods of two spaces are, and by how many words that was measured."""

    overlap: float  # mean over the words compared, 0 to 1
    n_words: int
    n_candidates: int
    n_neighbours: int
    moved: tuple[MovedWord, ...]  # those that moved most; the more frequent first in ties

    @property
    def drift(self) -> float:
        """How far the vectors moved: 0, every word has the neighbours it had, to 1, none has any of them."""
        return 1 - self.overlap


def movement(
    before: Vectors, after: Vectors, n_shown: int = 10, n_words: int = N_WORDS, n_candidates: int = N_CANDIDATES
) -> Movement | None:
    """How far the words that both know moved; None when these are fewer than three.

    A word's neighbours are looked for among the most frequent words that both know, so a word that came or went moves nobody. Of few words
    at most half count as neighbours: of all others, everybody is a neighbour.

    Parameters
    ----------
    before, after
        Of any dimensions, which may differ; unchanged.
    n_shown
        How many words of those that moved most are named.
    n_words, n_candidates
        How many of the most frequent common words are compared, and can be their neighbours; at least as many as are compared.

    Raises
    ------
    StoreError
        When a vector holds NaN or an infinity.

    Notes
    -----
    Gonen, Jawahar, Seddah & Goldberg 2020, "Simple, Interpretable and Stable Method for Detecting Words with Usage Change Across Corpora".
    Differs from the source: the share of K = 10 neighbours, not the number of 1,000, so that people can read them; neighbours are taken
    from the most frequent common words instead of those above a count. Two trainings with different seeds alone do not have an overlap
    of 1: see benchmarks/results/lineage_diff.json for how much of it is chance.
    """
    rows = _common_rows(before, after)[:, : max(n_words, n_candidates)]
    n_found = rows.shape[1]
    n_neighbours = min(N_NEIGHBOURS, (n_found - 1) // 2)
    if n_neighbours < 1:
        return None
    spaces = [
        Vectors(space.words.take(pa.array(of)), space.counts[of], space.matrix[of]) for space, of in ((before, rows[0]), (after, rows[1]))
    ]
    old, new = (nearest(space, n_words, n_neighbours) for space in spaces)
    shares = _shares(old, new)
    order = np.argsort(shares, kind="stable")[:n_shown]
    words = spaces[0].words.to_pylist()
    moved = tuple(
        MovedWord(
            words[row],
            (int(spaces[0].counts[row]), int(spaces[1].counts[row])),
            float(shares[row]),
            *(tuple(words[other] for other in found[row] if other != NOBODY) for found in (old, new)),
        )
        for row in order.tolist()
        if shares[row] < 1
    )
    return Movement(float(shares.mean()), len(shares), n_found, n_neighbours, moved)


def _common_rows(before: Vectors, after: Vectors) -> Rows:
    """int64[2, n], the rows of the words that both know: the most frequent first, by the rarer of a word's two places."""
    found = after.find(before.words)
    in_before = np.flatnonzero(found >= 0)
    in_after = found[in_before]
    # The words themselves are the last key, so that nothing depends on which of the two is before.
    keys = pa.table(
        {
            "place": np.maximum(in_before, in_after),
            "other": np.minimum(in_before, in_after),
            "word": before.words.take(pa.array(in_before)),
        }
    )
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names]).to_numpy()
    return np.stack([in_before[order], in_after[order]])


def _shares(old: Rows, new: Rows) -> npt.NDArray[np.float64]:
    """float64[W], the share of neighbours that are the same; 1 for a word that has none in either space."""
    same = ((old[:, :, None] == new[:, None, :]) & (old != NOBODY)[:, :, None]).sum(axis=(1, 2))
    most = np.maximum((old != NOBODY).sum(axis=1), (new != NOBODY).sum(axis=1))
    shares: npt.NDArray[np.float64] = np.where(most > 0, same / np.maximum(most, 1), 1.0)
    return shares
