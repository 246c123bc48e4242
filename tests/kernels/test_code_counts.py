import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.code_counts import add_counts


@given(st.lists(st.lists(st.integers(0, 30), max_size=50), max_size=4))
def test_add_counts__adds_up_what_bincount_counts(parts: list[list[int]]) -> None:
    counts = np.zeros(31, np.int64)
    for part in parts:
        add_counts(np.array(part, np.int32), counts)
    assert counts.tolist() == np.bincount([code for part in parts for code in part], minlength=31).tolist()
