"""The matrices of a model: their place in memory, and the vectors that training starts from."""

import numpy as np

from kernels.vectors import fill_initial, new_vectors, row_floats


def test_new_vectors__aligns_and_pads_rows():
    for n_dimensions in (1, 16, 100, 128, 1024):
        vectors = new_vectors(5, n_dimensions)
        n_lines = vectors.shape[1] // 16
        assert vectors.dtype == np.float32
        assert vectors.flags.c_contiguous
        assert not vectors.any()
        assert vectors.ctypes.data % 64 == 0
        assert vectors.shape == (5, row_floats(n_dimensions))
        assert vectors.shape[1] >= n_dimensions
        assert n_lines % 2 == 1


def test_fill_initial__depends_on_key_row_and_column_only():
    small, large = new_vectors(10, 20), new_vectors(500, 20)
    fill_initial(small, 20, 0.5, np.uint64(9))
    fill_initial(large, 20, 0.5, np.uint64(9))
    assert np.array_equal(small, large[:10])
    assert not large[:, 20:].any()
    values = large[:, :20].astype(np.float64) * 20
    assert values.min() >= -0.5
    assert values.max() <= 0.5
    # 10,000 uniform draws: mean 0 +- 0.0029, variance 1/12 +- 0.00075; five standard deviations, false alarm below 1e-6.
    assert abs(values.mean()) < 5 * 0.0029
    assert abs(values.var() - 1 / 12) < 5 * 0.00075
    assert len(np.unique(values)) > 9900
    fill_initial(small, 20, 2.0, np.uint64(9))
    assert np.array_equal(small, 4 * large[:10])
    fill_initial(small, 20, 0.5, np.uint64(10))
    assert not np.array_equal(small, large[:10])
