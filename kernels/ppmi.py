"""The sparse matrix of positive PMI: marginals, which entries there are, and its products with a panel of columns.

PMI(w, c) = log X[w, c] + word[w] + context[c] is not symmetric when contexts are smoothed, but the counts X are. So one matrix of rows
holds every entry that is positive in one of its two directions, as PMI(w, c), and PMI(c, w) = PMI(w, c) + tilt[w] - tilt[c] with
tilt = context - word. Both products then go through rows, which do not depend on each other: any number of threads gives the same bytes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import exact_kernel, inlined, kernel
from kernels.panels import WIDTH

LEAST_PMI = 1e-9  # of an entry: where the PMI is 0, its rounding error has either sign

_DIGIT_BITS = 8
_DIGITS = 1 << _DIGIT_BITS
_AT_ONCE = 4  # rows of a panel that are added in one pass over their sum


# V words, N entries, C cells (unordered pairs of words), W panel width
class Cells(NamedTuple):
    """Some cells of the counts: the entries (row, column) and (column, row) of X."""

    rows: NDArray[np.int32]
    """int32 (C,), ids below V."""
    columns: NDArray[np.int32]
    """int32 (C,), ids below V."""
    counts: NDArray[np.float64]
    """float64 (C,); those that are not positive are passed over."""


class Terms(NamedTuple):
    """What is added to the logarithm of a count to make it a PMI."""

    word: NDArray[np.float64]
    """float64 (V,), finite."""
    context: NDArray[np.float64]
    """float64 (V,), finite."""


class Entries(NamedTuple):
    """The matrix: entry i, in the row w with starts[w] <= i < starts[w + 1], is PMI(w, columns[i])."""

    starts: NDArray[np.int64]
    """int64 (V + 1,)."""
    columns: NDArray[np.uint32]
    """uint32 (N,), rising in every row; unsigned, because Numba looks whether a signed index is negative."""
    values: NDArray[np.float32]
    """float32 (N,); a negative one stands for 0 here and for its other direction there."""


@exact_kernel
def add_marginals(cells: Cells, marginals: NDArray[np.float64]) -> None:
    """Add the counts of both words of every cell to `marginals`, float64 (V,), in place and in order; a word with itself counts once."""
    rows, columns, counts = cells
    for i in range(rows.size):
        if counts[i] > 0:
            marginals[rows[i]] += counts[i]
            if rows[i] != columns[i]:
                marginals[columns[i]] += counts[i]


@exact_kernel
def count_entries(cells: Cells, terms: Terms, n_entries: NDArray[np.int64]) -> tuple[int, int]:
    """Add how many entries each row has to `n_entries`, int64 (V,), in place; also the entries of X and how many have a positive PMI."""
    rows, columns, counts = cells
    word, context = terms
    n_all = n_positive = 0
    for i in range(rows.size):
        if counts[i] <= 0:
            continue
        w, c = rows[i], columns[i]
        logarithm = np.log(counts[i])
        there = logarithm + word[w] + context[c] > LEAST_PMI
        back = logarithm + word[c] + context[w] > LEAST_PMI
        n_all += 1 if w == c else 2
        n_positive += int(there) if w == c else int(there) + int(back)
        if there or back:
            n_entries[w] += 1
            if w != c:
                n_entries[c] += 1
    return n_all, n_positive


@exact_kernel
def fill_entries(cells: Cells, terms: Terms, free: NDArray[np.int64], columns_out: NDArray[np.uint32], values: NDArray[np.float32]) -> None:
    """Put the entries of these cells where `free`, int64 (V,), says that the next one of each row goes; all three in place."""
    rows, columns, counts = cells
    word, context = terms
    for i in range(rows.size):
        if counts[i] <= 0:
            continue
        w, c = rows[i], columns[i]
        logarithm = np.log(counts[i])
        there, back = logarithm + word[w] + context[c], logarithm + word[c] + context[w]
        if there > LEAST_PMI or back > LEAST_PMI:
            columns_out[free[w]], values[free[w]] = c, there
            free[w] += 1
            if w != c:
                columns_out[free[c]], values[free[c]] = w, back
                free[c] += 1


@exact_kernel
def sort_entries(entries: Entries, first: int, last: int) -> None:
    """Sort the entries of the rows first..last-1 by column, in place: digit after digit, in a sixth of the time of a quicksort."""
    starts, columns, values = entries
    longest = 0
    for row in range(first, last):
        longest = max(longest, starts[row + 1] - starts[row])
    some_columns, some_values = np.empty(longest, np.uint32), np.empty(longest, np.float32)
    places = np.empty(_DIGITS + 1, np.int64)
    for row in range(first, last):
        begin, end = starts[row], starts[row + 1]
        shift = 0
        while starts.size - 1 >> shift > 0:
            places[:] = 0
            for i in range(begin, end):
                places[_digit(columns[i], shift) + 1] += 1
            for digit in range(_DIGITS):
                places[digit + 1] += places[digit]
            for i in range(begin, end):
                digit = _digit(columns[i], shift)
                some_columns[places[digit]], some_values[places[digit]] = columns[i], values[i]
                places[digit] += 1
            for i in range(end - begin):
                columns[begin + i], values[begin + i] = some_columns[i], some_values[i]
            shift += _DIGIT_BITS


@inlined
def _digit(column: np.uint32, shift: int) -> int:
    return int((column >> np.uint32(shift)) & np.uint32(_DIGITS - 1))


@kernel
def multiply(
    entries: Entries, tilt: NDArray[np.float32], panel: NDArray[np.float32], product: NDArray[np.float32], first: int, last: int
) -> None:
    """Rows first..last-1 of the positive PMI matrix times a panel, float32 (V, W), into `product`, float32 (V, W).

    `tilt`, float32 (V,): zeros for the matrix, or the tilt of the contexts for its transpose.
    """
    starts, columns, values = entries
    zero = np.float32(0.0)
    for row in range(first, last):
        end = starts[row + 1]
        for j in range(WIDTH):
            product[row, j] = zero
        i = starts[row]
        while i + _AT_ONCE <= end:
            a, b, c, d = columns[i], columns[i + 1], columns[i + 2], columns[i + 3]
            x = max(zero, values[i] + (tilt[row] - tilt[a]))
            y = max(zero, values[i + 1] + (tilt[row] - tilt[b]))
            z = max(zero, values[i + 2] + (tilt[row] - tilt[c]))
            u = max(zero, values[i + 3] + (tilt[row] - tilt[d]))
            for j in range(WIDTH):
                product[row, j] += x * panel[a, j] + y * panel[b, j] + z * panel[c, j] + u * panel[d, j]
            i += _AT_ONCE
        while i < end:
            a = columns[i]
            x = max(zero, values[i] + (tilt[row] - tilt[a]))
            for j in range(WIDTH):
                product[row, j] += x * panel[a, j]
            i += 1
