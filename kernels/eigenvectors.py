"""Eigenvalues and eigenvectors of small symmetric matrices.

LAPACK is faster for large ones, but its last bits depend on whose BLAS it is given, and on how many threads that has.
"""

import math

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel

_MOST_STEPS = 60  # for one eigenvalue; two or three are usual
_EPSILON = 2.0**-53


# M rows, N components
@kernel
def decompose_symmetric(matrix: NDArray[np.float64], n_components: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues, float64 (M,), in no order, and the last components of their eigenvectors, one a row, float64 (M, N).

    The matrix is float64 (M, M), finite and symmetric; M components are all, and a few take a quarter of the time.

    Notes
    -----
    Householder reflections to a tridiagonal matrix, then QL steps with implicit shifts: Golub & Van Loan, Matrix Computations, sections
    8.3.1 to 8.3.3; tred2 and imtql2 of EISPACK. Differs from these: all inner loops go along rows.
    """
    size = matrix.shape[0]
    rest = matrix.copy()
    values, beside = np.zeros(size), np.zeros(size)
    vectors = np.zeros((size, n_components))
    for i in range(n_components):
        vectors[size - n_components + i, i] = 1.0
    for k in range(size - 2):
        beside[k] = _reflect(rest, k, vectors)
    for k in range(size):
        values[k] = rest[k, k]
    if size > 1:
        beside[size - 2] = rest[size - 2, size - 1]
    _diagonalise(values, beside, vectors)
    return values, vectors


@inlined
def _reflect(rest: NDArray[np.float64], k: int, vectors: NDArray[np.float64]) -> float:
    """Reflect what is below and right of row k so that column k keeps one number under the diagonal, which is returned; `vectors` too."""
    size = rest.shape[0]
    length = 0.0
    for i in range(k + 1, size):
        length += rest[k, i] * rest[k, i]
    length = math.sqrt(length)
    if length == 0.0:
        return 0.0
    head = rest[k, k + 1]
    reflector, change, moved = rest[k].copy(), np.zeros(size), np.zeros(vectors.shape[1])
    reflector[k + 1] += math.copysign(length, head)  # the sign that does not cancel
    scale = 1.0 / (length * (length + abs(head)))
    mixed = 0.0
    for i in range(k + 1, size):
        product = 0.0
        for j in range(k + 1, size):
            product += rest[i, j] * reflector[j]
        change[i] = scale * product
        mixed += change[i] * reflector[i]
    for i in range(k + 1, size):
        change[i] -= 0.5 * scale * mixed * reflector[i]
    for i in range(k + 1, size):
        a, b = reflector[i], change[i]
        for j in range(k + 1, size):
            rest[i, j] -= a * change[j] + b * reflector[j]
    for i in range(k + 1, size):
        for j in range(vectors.shape[1]):
            moved[j] += reflector[i] * vectors[i, j]
    for i in range(k + 1, size):
        a = scale * reflector[i]
        for j in range(vectors.shape[1]):
            vectors[i, j] -= a * moved[j]
    return -math.copysign(length, head)


@inlined
def _diagonalise(values: NDArray[np.float64], beside: NDArray[np.float64], vectors: NDArray[np.float64]) -> None:
    """Turn a tridiagonal matrix, `values` and `beside` it, into its eigenvalues, and rotate the rows of `vectors` along, all in place."""
    size = values.size
    for low in range(size):
        for _ in range(_MOST_STEPS):
            high = low
            while high + 1 < size and abs(beside[high]) > _EPSILON * (abs(values[high]) + abs(values[high + 1])):
                high += 1
            if high == low:
                break
            _step(values, beside, vectors, low, high)


@inlined
def _step(values: NDArray[np.float64], beside: NDArray[np.float64], vectors: NDArray[np.float64], low: int, high: int) -> None:
    """One QL step with Wilkinson's shift on rows low..high, which nothing couples to others."""
    shift = (values[low + 1] - values[low]) / (2.0 * beside[low])
    across = values[high] - values[low] + beside[low] / (shift + math.copysign(math.hypot(shift, 1.0), shift))
    sine, cosine, carried = 1.0, 1.0, 0.0
    for i in range(high - 1, low - 1, -1):
        far, near = sine * beside[i], cosine * beside[i]
        length = math.hypot(far, across)
        beside[i + 1] = length
        if length == 0.0:  # the matrix has fallen in two
            values[i + 1] -= carried
            beside[high] = 0.0
            return
        sine, cosine = far / length, across / length
        across = values[i + 1] - carried
        length = (values[i] - across) * sine + 2.0 * cosine * near
        carried = sine * length
        values[i + 1] = across + carried
        across = cosine * length - near
        for j in range(vectors.shape[1]):
            a, b = vectors[i, j], vectors[i + 1, j]
            vectors[i + 1, j] = sine * a + cosine * b
            vectors[i, j] = cosine * a - sine * b
    values[low] -= carried
    beside[low] = across
    beside[high] = 0.0
