"""Products of tall dense matrices, cut into panels of a few columns, so that the small matrix between two panels stays in the L1 cache.

Rows are worked on in ranges that the caller fixes: what several threads do to different ranges has the bytes of what one does, and
needs no BLAS, whose sums depend on its number of threads.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.draws import Purpose, derive_key, uniform_unit
from kernels.jit import kernel

WIDTH = 32  # columns of a panel: 16 read the sparse matrix more often, 64 fit the cache worse

Floats = NDArray[np.float32] | NDArray[np.float64]

_INITIAL = int(Purpose.INITIAL)
_ROWS_A_SUM = 256  # that are summed before their sum goes into float64


# V rows, P panels, W WIDTH
@kernel
def add_inner_products(panels: Floats, panel: Floats, first: int, last: int, products: NDArray[np.float64]) -> None:
    """Add every panel of `panels`, (P, V, W), transposed, times `panel`, (V, W), to `products`, float64 (P, W, W), in place.

    Only rows first..last-1 are looked at. Both are float32 or both float64, which is what is summed in.
    """
    sums = np.empty((WIDTH, WIDTH), panel.dtype)
    for p in range(panels.shape[0]):
        for begin in range(first, last, _ROWS_A_SUM):
            end = min(begin + _ROWS_A_SUM, last)
            sums[:] = 0
            row = begin
            while row + 4 <= end:
                for i in range(WIDTH):
                    a, b, c, d = panels[p, row, i], panels[p, row + 1, i], panels[p, row + 2, i], panels[p, row + 3, i]
                    for j in range(WIDTH):
                        sums[i, j] += a * panel[row, j] + b * panel[row + 1, j] + c * panel[row + 2, j] + d * panel[row + 3, j]
                row += 4
            while row < end:
                for i in range(WIDTH):
                    a = panels[p, row, i]
                    for j in range(WIDTH):
                        sums[i, j] += a * panel[row, j]
                row += 1
            for i in range(WIDTH):
                for j in range(WIDTH):
                    products[p, i, j] += sums[i, j]


@kernel
def add_combination(
    panels: NDArray[np.float32], coefficients: NDArray[np.float32], panel: NDArray[np.float32], first: int, last: int
) -> None:
    """Add `panels`, float32 (P, V, W), times `coefficients`, float32 (P, W, W), to `panel`, float32 (V, W), in place.

    Only rows first..last-1 are changed.
    """
    for p in range(panels.shape[0]):
        for row in range(first, last):
            for i in range(0, WIDTH, 4):
                a, b, c, d = panels[p, row, i], panels[p, row, i + 1], panels[p, row, i + 2], panels[p, row, i + 3]
                for j in range(WIDTH):
                    panel[row, j] += (
                        a * coefficients[p, i, j]
                        + b * coefficients[p, i + 1, j]
                        + c * coefficients[p, i + 2, j]
                        + d * coefficients[p, i + 3, j]
                    )


@kernel
def fill_random(panel: NDArray[np.float32], seed: np.uint64, number: int) -> None:
    """Fill a panel, float32 (V, W), in place with uniform draws from [-0.5, 0.5): a function of (seed, number, row, column) alone."""
    key = derive_key(derive_key(seed, np.uint64(_INITIAL)), np.uint64(number))
    for row in range(panel.shape[0]):
        row_key = derive_key(key, np.uint64(row))
        for column in range(WIDTH):
            panel[row, column] = np.float32(uniform_unit(row_key, np.uint64(column)) - 0.5)
