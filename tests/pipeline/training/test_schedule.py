"""The schedule of merges against its bounds and a slow definition of what is due."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.merge import INPUT, OUTPUT
from pipeline.choices import NoiseDraws
from pipeline.configuration import Train
from pipeline.training.pair_files import Block
from pipeline.training.schedule import CYCLE_WORK, MAX_CYCLE, PAIR_WORK, ROUND, merge_schedule

COUNTS = st.lists(st.integers(1, 10**7), min_size=1, max_size=60).map(lambda counts: np.sort(counts)[::-1].astype(np.float64))
SHARDS = st.integers(1, 64)


def schedule_of(counts, n_shards, *, n_negatives=5, n_contexts=6.0, per_pair=False, rate=0.025, n_dimensions=1):
    noise = counts**0.75
    draws = NoiseDraws.PER_PAIR if per_pair else NoiseDraws.PER_WINDOW
    settings = Train(negatives=n_negatives, shards=n_shards, noise_draws=draws, learning_rate=rate, dimensions=n_dimensions)
    share = counts / counts.sum()
    return merge_schedule(share, share + n_negatives * noise / noise.sum(), settings, n_contexts)


def updates_of(counts, n_negatives, n_contexts, per_pair, power=0.75):
    """Updates of six terms by all shards in a round: a context has one from each output of a window, an output one from each context."""
    share, noise = counts / counts.sum(), counts**power / (counts**power).sum()
    drawn = n_negatives * n_contexts * noise  # terms: by windows as many as by pairs
    return [ROUND * n_contexts * (n_negatives + 1) * share / 6, ROUND * (n_contexts * share + drawn) / 6]


def bound_of(n_shards):
    """Updates by all shards of which 64 are not a shard's own; one alone has blocks as if there were others."""
    return 64 * n_shards / max(1, n_shards - 1)


def zipf(n_words):
    return np.floor(1e8 / np.arange(1.0, n_words + 1))


@settings(max_examples=200)
@given(COUNTS, SHARDS, st.integers(1, 64), st.floats(1, 128), st.booleans())
def test_merge_schedule__merges_as_seldom_as_its_bound_allows(counts, n_shards, n_negatives, n_contexts, per_pair):
    """Powers of two that do not fall: at most 64 by others in a period, unless it is 1; more in two, unless these are too long a cycle."""
    bound = bound_of(n_shards)
    schedule = schedule_of(counts, n_shards, n_negatives=n_negatives, n_contexts=n_contexts, per_pair=per_pair)
    for matrix, updates in zip((INPUT, OUTPUT), updates_of(counts, n_negatives, n_contexts, per_pair), strict=True):
        period = schedule.period[matrix]
        assert period.dtype == np.int64
        assert set(period.tolist()) <= {2**i for i in range(11)}
        assert period.min() >= 1
        assert period.max() <= schedule.cycle_rounds
        assert (np.diff(period) >= 0).all()
        assert (updates[period > 1] * period[period > 1] <= bound * (1 + 1e-9)).all()
        work = (1 + n_negatives) * n_contexts * (PAIR_WORK if per_pair else 1)
        too_long = (2 * period > MAX_CYCLE) | (2 * period * work > CYCLE_WORK * (1 - 1e-9))
        assert ((updates * 2 * period > bound * (1 - 1e-9)) | too_long).all()


@settings(max_examples=100)
@given(st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=60), SHARDS)
def test_merge_schedule__keeps_its_bound_where_rows_behind_are_met_more_often(meetings, n_shards):
    """As inner nodes are, which lie in the order of counts that were not subsampled."""
    share = np.full(len(meetings), 1 / len(meetings))
    schedule = merge_schedule(share, np.array(meetings), Train(shards=n_shards), 6.0)
    period, updates = schedule.period[OUTPUT], ROUND * 6.0 * np.array(meetings) / 6
    assert (np.diff(period) >= 0).all()
    assert (updates[period > 1] * period[period > 1] <= bound_of(n_shards) * (1 + 1e-9)).all()


@settings(max_examples=100)
@given(COUNTS, SHARDS, st.integers(1, 300), st.integers(0, 300), st.booleans(), st.integers(1, ROUND))
def test_due__is_the_prefix_of_rows_whose_period_divides_the_round(counts, n_shards, n_rounds, n_before, ends_cycle, n_in_last):
    schedule = schedule_of(counts, n_shards)
    due = schedule.due(Block(0, 5, 5 + (n_rounds - 1) * schedule.round_centres + n_in_last, n_before, ends_cycle))
    assert due.shape == (n_rounds, 2)
    assert due.dtype == np.int64
    for turn in range(n_rounds):
        for matrix in (INPUT, OUTPUT):
            everything = ends_cycle and turn == n_rounds - 1
            rows = [everything or (n_before + turn + 1) % period == 0 for period in schedule.period[matrix].tolist()]
            wanted = sum(rows)
            assert all(rows[:wanted])
            assert due[turn, matrix] == wanted


def test_due__merges_every_row_once_in_each_of_its_periods():
    schedule = schedule_of(zipf(70_000), 4)
    due = schedule.due(Block(0, 0, schedule.cycle_rounds * schedule.round_centres, 0, ends_cycle=True))
    for matrix in (INPUT, OUTPUT):
        for row in (0, 1, 10, 100, 1_000, 10_000, 69_999):
            assert (due[:, matrix] > row).sum() == schedule.cycle_rounds // schedule.period[matrix, row]


@settings(max_examples=200)
@given(COUNTS, SHARDS)
def test_scale__lies_between_the_mean_and_the_sum(counts, n_shards):
    schedule = schedule_of(counts, n_shards)
    assert schedule.scale.shape == (2, counts.size)
    assert schedule.scale.dtype == np.float32
    assert (schedule.scale <= 1).all()
    assert (schedule.scale >= np.float32(1 / n_shards) * (1 - 1e-6)).all()


@pytest.mark.parametrize(("n_shards", "excess"), [(2, 1e-6), (4, 1e-6), (8, 1e-4), (64, 0.4)])
def test_scale__is_the_sum_for_rare_rows_and_near_the_mean_for_the_most_frequent(n_shards, excess):
    """Each of 64 shards updates a row so seldom, even the most frequent one, that its own change is no longer near the full one."""
    rare = schedule_of(zipf(70_000), n_shards)
    assert (rare.scale[:, 10_000:] == 1).all()
    frequent = schedule_of(np.ones(1), n_shards)  # one word is all there is
    np.testing.assert_allclose(frequent.scale, 1 / n_shards, rtol=excess)
    assert (np.diff(rare.scale[:, :100]) >= 0).all()


@settings(max_examples=50)
@given(COUNTS)
def test_scale__of_one_shard_is_one(counts):
    assert (schedule_of(counts, 1).scale == 1).all()


@given(COUNTS, SHARDS)
def test_merge_schedule__divides_rounds_among_the_shards(counts, n_shards):
    schedule = schedule_of(counts, n_shards)
    assert schedule.period.max() <= schedule.cycle_rounds
    assert 0 <= schedule.stretch * n_shards - ROUND < n_shards
    assert schedule.round_centres == schedule.stretch * n_shards


@given(SHARDS, st.integers(1, 5 * ROUND), st.integers(0, 9), st.integers(0, 9))
def test_borders__cut_a_block_into_stretches_of_all_shards(n_shards, n_centres, first, start):
    schedule = schedule_of(np.ones(3), n_shards)
    block = Block(0, first, first + n_centres, 0, ends_cycle=False)
    borders = schedule.borders(block, start)
    assert len(borders) == len(schedule.due(block)) * n_shards + 1
    assert (borders[0], borders[-1]) == (start + first, start + first + n_centres)
    lengths = np.diff(borders)
    n_whole = n_centres // schedule.stretch
    assert (lengths[:n_whole] == schedule.stretch).all()
    assert not lengths[n_whole + 1 :].any()


def test_merge_schedule__counts_terms_so_that_who_draws_noise_does_not_matter():
    shared, own = (schedule_of(zipf(70_000), 4, per_pair=per_pair) for per_pair in (False, True))
    assert np.array_equal(shared.period, own.period)
    assert np.array_equal(shared.scale, own.scale)


def test_merge_schedule__merges_more_often_at_a_higher_learning_rate():
    low, usual, high = (schedule_of(zipf(70_000), 4, rate=rate).period for rate in (0.01, 0.025, 0.1))
    assert np.array_equal(low, usual)
    assert (high <= usual).all()
    assert (high[:, 1_000:10_000] < usual[:, 1_000:10_000]).any()


def test_merge_schedule__makes_shorter_cycles_where_a_centre_takes_longer():
    cases = ((100, 5), (300, 5), (300, 20), (1024, 64))
    for per_pair, wanted in ((False, [1024, 512, 128, 8]), (True, [512, 128, 32, 4])):
        schedules = [schedule_of(zipf(70_000), 4, n_dimensions=d, n_negatives=k, per_pair=per_pair) for d, k in cases]
        assert [schedule.cycle_rounds for schedule in schedules] == wanted


def test_merge_schedule__merges_cbow_more_seldom_for_it_moves_its_rows_less() -> None:
    share = zipf(70_000) / zipf(70_000).sum()
    skip_gram, mean, total = (
        merge_schedule(share, 6 * share, Train(dimensions=1, model=model, cbow_hidden=hidden, learning_rate=0.025), 6.0).period
        for model, hidden in (("skip_gram", "mean"), ("cbow", "mean"), ("cbow", "sum"))
    )
    assert (mean >= skip_gram).all()
    assert (mean[:, 100:1_000] > skip_gram[:, 100:1_000]).all()
    assert np.array_equal(total[INPUT], skip_gram[INPUT])
    assert np.array_equal(total[OUTPUT], mean[OUTPUT])


def test_merge_schedule__merges_words_seldom_that_are_never_seen():
    schedule = merge_schedule(np.array([1.0, 0.0]), np.array([1.0, 0.0]), Train(dimensions=1), 6.0)
    assert schedule.period.tolist() == [[1, MAX_CYCLE]] * 2
    assert (schedule.scale[:, 1] == 1).all()
