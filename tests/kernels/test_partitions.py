"""Strings by partition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.partitions import partition_strings

STRINGS = st.lists(st.binary(max_size=12), max_size=40)


def partitioned(strings, n_partitions):
    offsets = np.cumsum([0] + [len(string) for string in strings]).astype(np.int32)
    order, borders = partition_strings(np.frombuffer(b"".join(strings), np.uint8), np.frombuffer(offsets.tobytes(), np.int32), n_partitions)
    return [order[first:stop].tolist() for first, stop in zip(borders[:-1], borders[1:], strict=True)]


@given(strings=STRINGS, n_partitions=st.integers(1, 9))
def test_partition_strings__gives_every_string_one_place_and_equal_ones_the_same_partition(strings, n_partitions):
    parts = partitioned(strings, n_partitions)
    assert len(parts) == n_partitions
    assert sorted(number for part in parts for number in part) == list(range(len(strings)))
    assert all(part == sorted(part) for part in parts)
    found = [{strings[number] for number in part} for part in parts]
    assert sum(map(len, found)) == len(set(strings))


@given(strings=STRINGS, n_partitions=st.integers(1, 9), data=st.data())
def test_partition_strings__does_not_look_at_what_is_beside_a_string(strings, n_partitions, data):
    string = data.draw(st.binary(max_size=12))
    (alone,) = [number for number, part in enumerate(partitioned([string], n_partitions)) if part]
    assert len(strings) in partitioned([*strings, string], n_partitions)[alone]


def test_partition_strings__makes_partitions_of_about_the_same_size():
    for strings in ([f"word{n}" for n in range(40_000)], [f"{n:08d}suffix" for n in range(40_000)]):
        sizes = [len(part) for part in partitioned([string.encode() for string in strings], 16)]
        # 2,500 each, with a deviation of 48 if the hash were chance; it is fixed, so this is no matter of luck.
        assert max(abs(size - 2500) for size in sizes) < 5 * 48
