"""The symmetric eigenvalue problem against LAPACK."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.eigenvectors import decompose_symmetric


def check(matrix: np.ndarray) -> None:
    """The decomposition gives the matrix again, with orthonormal vectors and LAPACK's values; the matrix stays as it was."""
    kept, size, scale = matrix.copy(), len(matrix), max(np.abs(matrix).max(initial=0.0), 1e-300)
    values, vectors = decompose_symmetric(matrix, size)
    assert np.array_equal(matrix, kept)
    few = decompose_symmetric(matrix, size // 3)
    assert few[0].tobytes() == values.tobytes()
    np.testing.assert_allclose(few[1], vectors[:, size - size // 3 :], atol=1e-13)
    assert values.shape == (size,)
    assert vectors.shape == (size, size)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(size), atol=1e-13 * max(size, 10))
    np.testing.assert_allclose((vectors.T * values) @ vectors / scale, matrix / scale, atol=1e-13 * max(size, 10))
    np.testing.assert_allclose(np.sort(values) / scale, np.linalg.eigvalsh(matrix) / scale, atol=1e-13 * max(size, 10))


@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.integers(-100, 100), st.floats(0, 12))
def test_decompose_symmetric__is_that_of_lapack(size: int, seed: int, exponent: int, decades: float) -> None:
    """Matrices of any scale, whose rows may differ by many orders of magnitude, as the squares of singular values do."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(size, size))
    grades = 10.0 ** (exponent - decades * random.random(size))
    check((matrix + matrix.T) * np.sqrt(np.outer(grades, grades)))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_decompose_symmetric__takes_matrices_with_equal_eigenvalues(size: int) -> None:
    random = np.random.default_rng(size)
    basis, _ = np.linalg.qr(random.normal(size=(size, size)))
    for values in (np.zeros(size), np.ones(size), np.arange(size) // 2, -(np.arange(size) > size // 2).astype(float)):
        check(np.diag(values))
        matrix = (basis * values) @ basis.T
        check((matrix + matrix.T) / 2)
    check(np.ones((size, size)))
    check(np.ones((size, size)) - np.eye(size))


def test_decompose_symmetric__takes_a_large_matrix() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(300, 300))
    check(matrix + matrix.T)
