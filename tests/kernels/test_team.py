"""Threads that share counters: every number is handed out once, and nobody passes a barrier before all have come."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels.jit import kernel
from kernels.team import COUNTER_STRIDE, fetch_add, wait_for_all

N_THREADS = 8


@kernel
def claim_all(counters, index, last, claims, n_threads):
    """Wait for all of the team, then claim numbers below `last` into `claims` in place until there are no more; how many."""
    n = 0
    wait_for_all(counters, 0, n_threads)
    while True:
        number = fetch_add(counters, index)
        if number >= last:
            return n
        claims[n] = number
        n += 1


@kernel
def take_turns(counters, turns, thread, n_turns, n_expected):
    """Say that this thread has come to turn 1, 2 ... and wait for all; how often one of the others was not at the same turn or the next."""
    n_wrong = 0
    for turn in range(1, n_turns + 1):
        turns[thread * COUNTER_STRIDE] = turn
        wait_for_all(counters, turn * COUNTER_STRIDE, n_expected)
        for other in range(turns.size // COUNTER_STRIDE):
            found = turns[other * COUNTER_STRIDE]
            n_wrong += found < turn or found > turn + 1
    return n_wrong


def in_threads(function, arguments):
    """The results of a function in threads of its own for each tuple of arguments."""
    with ThreadPoolExecutor(len(arguments)) as pool:
        return [done.result() for done in [pool.submit(function, *each) for each in arguments]]


def test_fetch_add__hands_out_every_number_once():
    n = 2_000_000
    counters = np.zeros(3 * COUNTER_STRIDE, np.int64)
    claims = [np.full(n, -1) for _ in range(N_THREADS)]
    counts = in_threads(claim_all, [(counters, COUNTER_STRIDE, n, mine, N_THREADS) for mine in claims])
    taken = np.concatenate([mine[:count] for mine, count in zip(claims, counts, strict=True)])
    assert np.array_equal(np.sort(taken), np.arange(n))
    assert all((np.diff(mine[:count]) > 0).all() for mine, count in zip(claims, counts, strict=True))
    assert counters[::COUNTER_STRIDE].tolist() == [N_THREADS, n + N_THREADS, 0]
    assert np.count_nonzero(counters) == 2


def turns_of(n_threads, n_turns, n_expected):
    """Arguments of `take_turns` for every thread."""
    counters = np.zeros((n_turns + 1) * COUNTER_STRIDE, np.int64)
    turns = np.zeros(n_threads * COUNTER_STRIDE, np.int64)
    return [(counters, turns, thread, n_turns, n_expected) for thread in range(n_threads)]


@pytest.mark.parametrize("n_threads", [1, 2, N_THREADS])
def test_wait_for_all__lets_nobody_pass_before_all_have_come(n_threads):
    """More threads than cores, too."""
    assert in_threads(take_turns, turns_of(n_threads, 2000, n_threads)) == [0] * n_threads


def test_take_turns__notices_a_barrier_that_waits_for_nobody():
    """Else the test above would prove nothing: threads one after the other, with a barrier for one."""
    assert [take_turns(*arguments) > 0 for arguments in turns_of(3, 50, 1)] == [True, True, True]
