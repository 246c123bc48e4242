"""The truncated decomposition against that of NumPy and SciPy, and its bytes for any number of threads."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, sparse

from pipeline.matrices.panels import Singles, Team
from pipeline.matrices.svd import TOLERANCE, Decomposition, decompose, most_steps
from tests.reference.ppmi import truncated_svd


@dataclass(frozen=True)
class Dense:
    """A matrix that NumPy multiplies."""

    matrix: np.ndarray

    @property
    def n_rows(self) -> int:
        return len(self.matrix)

    def multiply(self, panel: Singles, product: Singles, *, transposed: bool) -> None:
        product[:] = (self.matrix.T if transposed else self.matrix) @ panel


def decomposed(matrix: np.ndarray, n_dimensions: int, n_threads: int = 1, seed: int = 1) -> Decomposition:
    steps: list[float] = []
    with Team(n_threads) as team:
        found = decompose(Dense(matrix.astype(np.float32)), n_dimensions, seed, team, steps.append)
    assert len(steps) == found.n_steps <= most_steps(len(matrix), n_dimensions)
    assert steps[-1] == found.residual
    return found


def columns(panels: Singles, n_dimensions: int) -> np.ndarray:
    """The matrix that lies in panels; what is beyond its dimensions is zero."""
    matrix = panels.transpose(1, 0, 2).reshape(panels.shape[1], -1)
    assert not matrix[:, n_dimensions:].any()
    return matrix[:, :n_dimensions]


def slowly_falling(n_rows: int, seed: int) -> np.ndarray:
    """A matrix whose singular values fall as those of the PPMI matrix of a Wikipedia do, without a gap anywhere: one, then 0.45 k^-0.3."""
    random = np.random.default_rng(seed)
    left, right = (np.linalg.qr(random.normal(size=(n_rows, n_rows)))[0] for _ in range(2))
    values = 0.45 * np.arange(1, n_rows + 1) ** -0.3
    values[0] = 1.0
    return 1000 * (left * values) @ right.T


def test_decompose__finds_the_values_and_the_spaces_of_a_dense_decomposition() -> None:
    """A matrix whose space has to grow. Single vectors turn among close values: what counts is how near M all of them come."""
    matrix, n = slowly_falling(300, 1), 15
    left, values, right = truncated_svd(matrix, n)
    found = decomposed(matrix, n)
    assert 2 < found.n_steps < most_steps(300, n)
    assert found.residual <= TOLERANCE
    np.testing.assert_allclose(found.values, values, rtol=1e-3)
    ours = columns(found.left, n), columns(found.right, n)
    for side in ours:
        np.testing.assert_allclose(side.T @ side, np.eye(n), atol=1e-5)
    best = np.linalg.norm(matrix - (left * values) @ right.T)
    assert np.linalg.norm(matrix - (ours[0] * found.values) @ ours[1].T) < best * (1 + 1e-4)
    # Half of the space is further from what was cut off, and almost exact.
    for mine, theirs in zip(ours, (left, right), strict=True):
        assert np.sin(linalg.subspace_angles(mine, theirs[:, : n // 2]).max()) < 0.02


def test_decompose__is_that_of_svds_where_values_are_apart() -> None:
    random = np.random.default_rng(2)
    (left, _), (right, _) = (np.linalg.qr(random.normal(size=(400, 400))) for _ in range(2))
    matrix = (left * 0.9 ** np.arange(400)) @ right.T
    n = 30
    theirs = sparse.linalg.svds(matrix, n, v0=np.ones(400))
    found = decomposed(matrix, n)
    np.testing.assert_allclose(found.values, theirs[1][::-1], rtol=1e-4)
    product = (columns(found.left, n) * found.values) @ columns(found.right, n).T
    np.testing.assert_allclose(product, (theirs[0] * theirs[1]) @ theirs[2], atol=1e-3)


@settings(max_examples=40)
@given(st.integers(2, 90), st.integers(1, 89), st.integers(0, 2**32 - 1), st.floats(0.05, 1.0))
def test_decompose__is_exact_for_matrices_that_fit_the_space(n_rows: int, n_dimensions: int, seed: int, density: float) -> None:
    """Any size, any number of dimensions below it, ranks below that number, and equal values."""
    n_dimensions = min(n_dimensions, n_rows - 1)
    random = np.random.default_rng(seed)
    matrix = np.where(random.random((n_rows, n_rows)) < density, random.integers(1, 4, (n_rows, n_rows)), 0)
    if not matrix.any():
        return
    _, values, _ = truncated_svd(matrix, n_dimensions)
    found = decomposed(matrix, n_dimensions)
    np.testing.assert_allclose(found.values, values, rtol=1e-3, atol=2e-5 * values[0])
    left, right = columns(found.left, n_dimensions), columns(found.right, n_dimensions)
    there = found.values > 1e-3 * found.values[0]
    for side in (left[:, there], right[:, there]):
        np.testing.assert_allclose(side.T @ side, np.eye(there.sum()), atol=2e-3)
    assert not left[:, found.values == 0].any()
    assert (left[np.abs(left).argmax(axis=0), np.arange(n_dimensions)] >= 0).all()
    # The part of M that was kept is what M does to these vectors.
    np.testing.assert_allclose(matrix @ right, left * found.values, atol=2e-5 * values[0] * n_rows**0.5)


@pytest.mark.parametrize("n_rows", [70, 300])
def test_decompose__finds_more_equal_values_than_a_panel_has_columns(n_rows: int) -> None:
    found = decomposed(3.0 * np.eye(n_rows), 50)
    np.testing.assert_allclose(found.values, 3.0, rtol=1e-5)
    left = columns(found.left, 50)
    np.testing.assert_allclose(left.T @ left, np.eye(50), atol=1e-5)
    np.testing.assert_allclose(left, columns(found.right, 50), atol=1e-5)


def test_decompose__gives_the_same_bytes_for_any_number_of_threads() -> None:
    matrix = slowly_falling(300, 3)
    one, *others = (decomposed(matrix, 40, n_threads) for n_threads in (1, 2, 4))
    for other in others:
        assert other.values.tobytes() == one.values.tobytes()
        assert other.left.tobytes() == one.left.tobytes()
        assert other.right.tobytes() == one.right.tobytes()


def test_decompose__hardly_depends_on_its_seed() -> None:
    matrix = slowly_falling(300, 4)
    one, other = (decomposed(matrix, 20, seed=seed) for seed in (1, 2))
    assert one.left.tobytes() != other.left.tobytes()
    np.testing.assert_allclose(one.values, other.values, rtol=1e-3)


def test_decompose__of_a_matrix_of_zeros_is_zero() -> None:
    found = decomposed(np.zeros((50, 50)), 5)
    assert not found.values.any()
    assert not found.left.any()
