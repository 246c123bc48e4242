import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.lineage.comparing.movement import Movement, movement
from pipeline.vectors import Vectors
from tests.pipeline.lineage.spaces import named, scattered, space


def moved(before: Vectors, after: Vectors, **bounds: int) -> Movement:
    found = movement(before, after, **bounds)
    assert found
    return found


def test_movement__of_vectors_against_themselves_is_none() -> None:
    found = moved(space(scattered(1)), space(scattered(1)))
    assert (found.overlap, found.drift, found.moved) == (1.0, 0.0, ())
    assert (found.n_words, found.n_candidates, found.n_neighbours) == (1_000, 1_000, 10)


@given(st.integers(0, 2**32), st.floats(0.01, 100))
@settings(max_examples=20)
def test_movement__sees_no_rotation_reflection_or_scale(seed: int, scale: float) -> None:
    matrix = scattered(seed, 300)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(20, 20)))
    assert moved(space(matrix), space(scale * matrix @ rotation)).overlap > 0.999  # float32 may turn a near tie


def test_movement__into_other_dimensions_that_keep_all_angles_is_none() -> None:
    matrix = scattered(1)
    assert moved(space(matrix), space(np.hstack([matrix, np.zeros((1_000, 7))]))).overlap == 1


def test_movement__between_unrelated_vectors_is_that_of_chance() -> None:
    # Each of 10 neighbours among 4,999 others is the same by chance with 0.002; over 2,000 words the mean has a deviation of 0.0003.
    found = moved(space(scattered(1, 5_000)), space(scattered(2, 5_000)), n_shown=3)
    assert 0 <= found.overlap < 0.005
    assert [word.overlap for word in found.moved] == [0, 0, 0]


@given(st.integers(0, 2**32), st.integers(0, 299))
@settings(max_examples=20)
def test_movement__puts_a_word_that_was_moved_on_top(seed: int, planted: int) -> None:
    before = scattered(seed, 300)
    after = before.copy()
    after[planted] = -before[planted]  # its neighbours are now its opposites
    found = moved(space(before), space(after), n_shown=1)
    (top,) = found.moved
    assert (top.word, top.overlap) == (f"w{planted}", 0)
    assert len(top.before) == len(top.after) == 10
    assert set(top.before).isdisjoint(top.after)
    assert 0 < found.drift < 0.2


def test_movement__is_the_same_in_both_directions() -> None:
    before, after = scattered(1, 2_000), scattered(1, 2_000) + 0.3 * scattered(2, 2_000)
    places = np.random.default_rng(3).permutation(2_000)
    old, new = space(before), space(after[places], [named(2_000)[place] for place in places])
    bounds = {"n_words": 300, "n_candidates": 700, "n_shown": 0}
    there, back = moved(old, new, **bounds), moved(new, old, **bounds)
    assert there == back
    assert 0.2 < there.overlap < 0.95


def test_movement__is_made_by_no_word_that_came_or_went() -> None:
    matrix, words = scattered(1), named(1_000)
    half = slice(None, None, 2)
    found = moved(space(matrix, words), space(matrix[half], words[half]))
    assert (found.overlap, found.n_words) == (1, 500)


def test_movement__compares_the_words_that_are_frequent_in_both() -> None:
    before, after = scattered(1), scattered(1)
    after[500:] = scattered(2)[500:]  # the rarer half has moved
    assert moved(space(before), space(after), n_words=500, n_candidates=500).overlap == 1
    assert moved(space(before), space(after), n_words=500).overlap < 0.7


@pytest.mark.parametrize(("n", "n_neighbours"), [(0, None), (2, None), (3, 1), (17, 8), (21, 10), (500, 10)])
def test_movement__of_few_words_looks_at_few_neighbours(n: int, n_neighbours: int | None) -> None:
    found = movement(space(scattered(1, n)), space(scattered(1, n)))
    assert (found and found.n_neighbours) == n_neighbours


def test_movement__of_a_word_without_direction_counts_it_as_lost() -> None:
    before, after = scattered(1, 300), scattered(1, 300)
    after[5] = 0
    found = moved(space(before), space(after), n_shown=1)
    assert (found.moved[0].word, found.moved[0].after) == ("w5", ())
    assert moved(space(after), space(after)).overlap == 1
