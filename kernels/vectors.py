"""The matrices of a model: where they lie in memory and what they hold at first."""

import numpy as np
from numpy.typing import NDArray

from kernels.draws import derive_key, uniform_unit
from kernels.jit import kernel
from kernels.windows import ROW_MULTIPLE


# V vocabulary, D dimension
def row_floats(n_dimensions: int) -> int:
    """Floats in a row, padding included: an odd number of cache lines, so that a column of many rows does not fall into one cache set."""
    return (-(-n_dimensions // ROW_MULTIPLE) | 1) * ROW_MULTIPLE


def new_vectors(n_rows: int, n_dimensions: int) -> NDArray[np.float32]:
    """A float32 matrix (V, row_floats(D)) of zeros whose rows start on cache lines; the columns from D on are padding and stay zero."""
    stride = row_floats(n_dimensions)
    buffer = np.zeros(n_rows * stride + ROW_MULTIPLE, np.float32)
    start = -(buffer.ctypes.data // 4) % ROW_MULTIPLE
    return buffer[start : start + n_rows * stride].reshape(n_rows, stride)


@kernel
def fill_initial(vectors: NDArray[np.float32], n_dimensions: int, reach: float, key: np.uint64) -> None:
    """Fill the first D columns in place with uniform draws from [-reach, reach) / D, each a function of (key, row, column) alone."""
    for row in range(vectors.shape[0]):
        row_key = derive_key(key, np.uint64(row))
        for column in range(n_dimensions):
            vectors[row, column] = np.float32((uniform_unit(row_key, np.uint64(column)) - 0.5) * 2.0 * reach / n_dimensions)
