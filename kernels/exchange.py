"""The merge of `kernels.merge` when replicas lie in several processes: changes of some replicas, sums of changes, and taking them in.

Whoever holds the replicas of one node of the tree of summation adds up its changes; the sums are sent along the tree and added in its
order. Only rows that some replica has changed are in a sum. The floats are those of the merge in one process, to the bit: a row that one
of two sums lacks counts as zeros.
"""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import exact_kernel
from kernels.merge import Matrix, changed

Rows = NDArray[np.int32]


# R replicas, V rows, S floats in a row, D of them in use, N rows in a sum
@exact_kernel
def sum_changes(replicas: NDArray[np.float32], model: Matrix, first: int, last: int, rows: Rows, sums: Matrix, scratch: Matrix) -> int:
    """Write the rows of [first, last) that a replica has changed, rising, and their summed changes into rows and sums; how many there are.

    Replicas float32 (R, V, S), model float32 (V, S). In place: rows int32 (at least last - first,), sums float32 (as many, D), scratch
    float32 (R, D).
    """
    n_replicas, n_columns = scratch.shape
    n = 0
    for row in range(first, last):
        if not changed(replicas, model, row):
            continue
        rows[n] = row
        if n_replicas == 1:
            for j in range(n_columns):
                sums[n, j] = replicas[0, row, j] - model[row, j]
        else:
            for r in range(n_replicas):
                for j in range(n_columns):
                    scratch[r, j] = replicas[r, row, j] - model[row, j]
            # Neighbours first, then neighbours of those; one that is left over waits: the tree of kernels.merge.half.
            step = 1
            while 2 * step < n_replicas:
                for r in range(0, n_replicas - step, 2 * step):
                    for j in range(n_columns):
                        scratch[r, j] += scratch[r + step, j]
                step *= 2
            for j in range(n_columns):
                sums[n, j] = scratch[0, j] + scratch[step, j]
        n += 1
    return n


@exact_kernel
def add_sums(rows: Rows, sums: Matrix, other_rows: Rows, other_sums: Matrix, total_rows: Rows, total: Matrix) -> int:
    """Write the sum of two sums, the first being left in the tree, into total_rows and total in place; how many rows it has.

    Rows int32 (N,), rising; sums float32 (N, D). The total has room for both.
    """
    zero = np.float32(0.0)  # added to what stands alone: -0.0 becomes 0.0, as it would beside a replica without a change
    n_columns = total.shape[1]
    i = j = n = 0
    while i < rows.size or j < other_rows.size:
        if j == other_rows.size or (i < rows.size and rows[i] < other_rows[j]):
            total_rows[n] = rows[i]
            for k in range(n_columns):
                total[n, k] = sums[i, k] + zero
            i += 1
        elif i == rows.size or other_rows[j] < rows[i]:
            total_rows[n] = other_rows[j]
            for k in range(n_columns):
                total[n, k] = other_sums[j, k] + zero
            j += 1
        else:
            total_rows[n] = rows[i]
            for k in range(n_columns):
                total[n, k] = sums[i, k] + other_sums[j, k]
            i += 1
            j += 1
        n += 1
    return n


@exact_kernel
def take_sum(replicas: NDArray[np.float32], model: Matrix, scale: NDArray[np.float32], rows: Rows, sums: Matrix) -> None:
    """Move the rows of the model by their fraction of the sum, and set those of every replica to them, in place.

    Replicas float32 (R, V, S), model float32 (V, S), scale float32 (V,), rows int32 (N,), sums float32 (N, D).
    """
    n_columns = sums.shape[1]
    for i in range(rows.size):
        row = rows[i]
        fraction = scale[row]
        for j in range(n_columns):
            model[row, j] += fraction * sums[i, j]
        for r in range(replicas.shape[0]):
            for j in range(n_columns):
                replicas[r, row, j] = model[row, j]
