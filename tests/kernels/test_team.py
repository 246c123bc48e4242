"""Threads that share counters: every number is handed out once, and nobody passes a barrier before all have come."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels.jit import kernel
from kernels.team import COUNTER_STRIDE, fetch_add, wait_for_all

N_THREADS = 8


@kernel
def claim_all(counters, index, claimed):
    """Set the places of `claimed` in place whose numbers this thread is given, until there are no more; how many."""
    n = 0
    while True:
        number = fetch_add(counters, index)
        if number >= claimed.size:
            return n
        claimed[number] = True
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
    """The results of a function in threads of its own for each tuple of arguments, which begin together."""
    begin = threading.Barrier(len(arguments))

    def call(each):
        begin.wait()
        return function(*each)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


def test_fetch_add__hands_out_every_number_once():
    """Every number is given to somebody, and as many are given as there are; again until threads did work at the same time."""
    n = 10_000_000
    claim_all(np.zeros(1, np.int64), 0, np.zeros(0, np.bool_))  # compiles, before all begin
    for _ in range(20):
        counters, claimed = np.zeros(3 * COUNTER_STRIDE, np.int64), np.zeros(n, np.bool_)
        counts = in_threads(claim_all, [(counters, COUNTER_STRIDE, claimed)] * N_THREADS)
        assert claimed.all()
        assert sum(counts) == n
        assert counters[::COUNTER_STRIDE].tolist() == [0, n + N_THREADS, 0]
        assert np.count_nonzero(counters) == 1
        if sorted(counts)[-2] > n // 20:
            break


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
