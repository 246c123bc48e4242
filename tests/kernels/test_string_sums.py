"""Strings with counts, added up, against a dictionary."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.string_sums import StringSums

# Short ones, with NULs, which are part of them; around 8 bytes, where keys become hashes; and long ones that differ at their ends only.
STRINGS = st.one_of(
    st.binary(max_size=3),
    st.text("a\0", min_size=6, max_size=10).map(str.encode),
    st.integers(0, 9).map(lambda n: b"x" * 40 + b"%d" % n),
)


def add(sums, strings, counts, lead=b""):
    """Hand on strings as Arrow's arrays hold them, perhaps with others in front."""
    offsets = np.cumsum([len(lead), *map(len, strings)]).astype(np.int32)
    sums.add(np.frombuffer(lead + b"".join(strings), np.uint8), offsets, np.array(counts, np.int64))


def result(sums):
    offsets, content, counts = sums.result()
    strings = [content[i:j].tobytes() for i, j in zip(offsets[:-1], offsets[1:], strict=True)]
    return list(zip(strings, counts.tolist(), strict=True))


@given(st.lists(st.tuples(st.lists(st.tuples(STRINGS, st.integers(0, 2**40))), st.binary(max_size=5)), max_size=4))
def test_string_sums__adds_up_each_string_by_its_first_occurrence(parts):
    sums, wanted = StringSums(), Counter()
    for rows, lead in parts:
        add(sums, [string for string, _ in rows], [count for _, count in rows], lead)
        for string, count in rows:
            if count:
                wanted[string] += count
    assert result(sums) == list(wanted.items())


def test_string_sums__grows_with_its_strings():
    sums, strings = StringSums(), [b"%d" % (n % 90_000) for n in range(200_000)]
    for first in range(0, len(strings), 70_001):
        part = strings[first : first + 70_001]
        add(sums, part, range(first, first + len(part)))
    wanted = Counter()
    for n, string in enumerate(strings):
        wanted[string] += n
    wanted += Counter()
    found = dict(result(sums))
    assert found == {string: n for string, n in wanted.items() if n}
