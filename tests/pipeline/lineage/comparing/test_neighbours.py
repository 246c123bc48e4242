import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import StoreError
from pipeline.lineage.comparing import neighbours
from pipeline.lineage.comparing.neighbours import NOBODY, nearest
from tests.pipeline.lineage.spaces import scattered, space


def nearest_one_by_one(matrix: np.ndarray, n_words: int, n_neighbours: int) -> np.ndarray:
    """The reference: every cosine in double precision, one word after the other."""
    matrix = np.asarray(matrix, dtype=np.float32).astype(np.float64)
    lengths = np.linalg.norm(matrix, axis=1)
    found = np.full((min(n_words, len(matrix)), n_neighbours), NOBODY)
    for word in range(len(found)):
        others = np.flatnonzero((lengths > 0) & (np.arange(len(matrix)) != word)) if lengths[word] else np.empty(0, int)
        cosines = (matrix[others] @ matrix[word] / (lengths[others] * lengths[word])).round(12)
        best = others[np.lexsort((others, -cosines))][:n_neighbours]
        found[word, : len(best)] = best
    return found


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 70), st.integers(1, 12), st.integers(1, 5))
def test_nearest__is_what_sorting_all_cosines_gives(seed: int, n: int, n_words: int, k: int, dimensions: int) -> None:
    draws = np.random.default_rng(seed)
    matrix = draws.integers(-2, 3, (n, dimensions))  # so small that many are equal, and some nothing
    assert np.array_equal(nearest(space(matrix), n_words, k), nearest_one_by_one(matrix, n_words, k))


@pytest.mark.parametrize("n", [130, 1_999, 2_003])
def test_nearest__is_the_same_in_blocks_and_groups(n: int) -> None:
    matrix = scattered(n, n)
    assert np.array_equal(nearest(space(matrix), 150, 10), nearest_one_by_one(matrix, 150, 10)[:150])


def test_nearest__takes_ties_by_row_however_many_there_are(monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "PAIRS_A_BLOCK", 1_000)  # less than one word has here
    matrix = np.ones((3_000, 5))
    found = nearest(space(matrix), 140, 3)
    assert found[0].tolist() == [1, 2, 3]
    assert (found[3:] == [0, 1, 2]).all()


def test_nearest__of_vectors_that_are_no_numbers_is_an_error() -> None:
    matrix = scattered(1)
    matrix[7, 3] = np.nan
    with pytest.raises(StoreError, match="diverged"):
        nearest(space(matrix), 10, 3)
