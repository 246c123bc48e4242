"""The largest singular values and vectors of a large sparse matrix, with the same bytes for any number of threads.

A block Lanczos method with full orthogonalisation: the Krylov space of M^T M and a random panel of columns grows by one panel a step, until
M^T M hardly turns the wanted vectors in it any more. Sources: Golub & Underwood 1977, "The block Lanczos method for computing eigenvalues";
Musco & Musco 2015, "Randomized block Krylov methods", for how few steps that takes; Stathopoulos & Wu 2002 for orthogonalising a panel by
the eigenvectors of its inner products.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from kernels.eigenvectors import decompose_symmetric
from kernels.panels import WIDTH, fill_random
from pipeline.matrices.panels import Doubles, Singles, Team, all_inner_products, combined, exact_inner_products, inner_products, subtract

TOLERANCE = 1e-2  # of the residual; its square is about the error of the values, 3e-4 of a value where that was measured
COLUMNS_A_DIMENSION = 6  # of the largest Krylov space
CHECK_GROWTH = 1.12  # of the space, from one look at the residual, which takes a while, to the next
ROUNDING = 1e-5  # times the largest: what is shorter may be rounding alone
NEW = 0.25  # the squared length that a column of length 1 keeps when it is orthogonalised again; less if rounding was all that it was


# V rows and columns, D dimensions, W WIDTH, P panels
class Multiplicand(Protocol):
    """A square matrix M that panels are multiplied by."""

    @property
    def n_rows(self) -> int:
        """V."""

    def multiply(self, panel: Singles, product: Singles, *, transposed: bool) -> None:
        """Put M, or its transpose, times a panel, float32 (V, W), into `product`, float32 (V, W)."""


@dataclass(frozen=True)
class Decomposition:
    """M is about left * values @ right.T."""

    values: Doubles
    """float64 (D,), never rising."""
    left: Singles
    """float32 (P, V, W): D orthonormal columns, the largest number of each positive; zeros where the value is 0, and beyond D."""
    right: Singles
    """float32 (P, V, W), as `left`, but for the signs."""
    residual: float
    """The largest |M^T M v - s^2 v| / (2 s^2): relatively, no value is further from a singular value of M."""
    n_steps: int
    """How often M^T M was applied to a panel."""


def most_steps(n_rows: int, n_dimensions: int) -> int:
    """Steps after which `decompose` stops in any case."""
    return min(-(-n_rows // WIDTH), -(-COLUMNS_A_DIMENSION * n_dimensions // WIDTH) + 2)


def project_bytes(n_rows: int, n_dimensions: int) -> int:
    """Memory that `decompose` needs at most, beside the matrix."""
    n_wanted = -(-n_dimensions // WIDTH)
    return 4 * WIDTH * n_rows * max(most_steps(n_rows, n_dimensions) + 5 + n_wanted, 4 * n_wanted)


def decompose(matrix: Multiplicand, n_dimensions: int, seed: int, team: Team, on_step: Callable[[float], None]) -> Decomposition:
    """The D largest singular values of M with their vectors, D below V; `on_step` hears the residual after every step."""
    space = _Space(matrix, n_dimensions, seed, team)
    while space.residual > TOLERANCE and space.n_steps < space.n_most:
        space.grow()
        on_step(space.residual)
    right = space.ritz_vectors()
    space.basis = space.basis[:0].copy()  # the memory of all of it
    left = np.empty_like(right)
    for panel, product in zip(right, left, strict=True):
        matrix.multiply(panel, product, transposed=False)
    # The squares that M^T M has lose the small values among the large ones in float32; M times the space has them all.
    values, rows = _decompose_sorted(all_inner_products(left, team))
    values = np.sqrt(np.maximum(values, 0.0))
    values[values <= ROUNDING * values[0]] = 0.0
    values[n_dimensions:] = 0.0
    there = values > 0
    right = combined(right, rows.T * there, team)
    left = combined(left, rows.T * np.divide(there, values, out=np.zeros_like(values), where=there), team)
    _fix_signs(left, right)
    return Decomposition(values[:n_dimensions], left, right, space.residual, space.n_steps)


class _Space:
    """A growing Krylov space of M^T M: an orthonormal basis, and what M^T M is in it."""

    def __init__(self, matrix: Multiplicand, n_dimensions: int, seed: int, team: Team) -> None:
        self.matrix, self.n_dimensions, self.team = matrix, n_dimensions, team
        self.seed = np.uint64(seed)
        self.n_most = most_steps(matrix.n_rows, n_dimensions)
        self.basis = np.empty((self.n_most + 1, matrix.n_rows, WIDTH), np.float32)  # becomes memory as it is filled
        self.operator = np.zeros((self.n_most * WIDTH, self.n_most * WIDTH))  # M^T M in the basis, its upper triangle
        self.next_check = 2.0 * n_dimensions  # columns; fewer never were enough
        self.n_steps = self.n_drawn = 0
        self.residual = math.inf
        self.largest = 0.0  # squared length of a column, before it was orthogonalised
        self._extend(self._random_panel(), 0)
        self.largest = 0.0  # random columns say nothing about M

    def grow(self) -> None:
        """Add M^T M times the newest panel to the space, and see how near the wanted vectors are."""
        product, panel = np.empty_like(self.basis[0]), np.empty_like(self.basis[0])
        self.matrix.multiply(self.basis[self.n_steps], product, transposed=False)
        self.matrix.multiply(product, panel, transposed=True)
        begin, end = self.n_steps * WIDTH, (self.n_steps + 1) * WIDTH
        self.n_steps += 1
        within, beyond = self._extend(panel, self.n_steps)
        self.operator[:end, begin:end] = within.reshape(end, WIDTH)
        if end >= self.next_check or self.n_steps == self.n_most:
            self.next_check = CHECK_GROWTH * end
            self.residual = self._residual(beyond)

    def _symmetric(self) -> Doubles:
        """M^T M in the space, float64 (steps W, steps W)."""
        size = self.n_steps * WIDTH
        upper = np.triu(self.operator[:size, :size])
        symmetric: Doubles = upper + np.triu(upper, 1).T
        return symmetric

    def _residual(self, beyond: Doubles) -> float:
        """How far, relatively, the wanted values are from singular values: see `Decomposition`."""
        squares, newest = _decompose_sorted(self._symmetric(), WIDTH)
        squares, newest = squares[: self.n_dimensions], newest[: self.n_dimensions]
        # What M^T M adds to a vector outside of the space comes from the newest panel alone.
        lengths = np.sqrt((np.einsum("ij,dj->di", beyond, newest) ** 2).sum(axis=1))
        return float((lengths / (2.0 * np.maximum(squares, ROUNDING * squares[0]))).max()) if squares[0] > 0 else 0.0

    def ritz_vectors(self) -> Singles:
        """The wanted vectors, float32 (P, V, W)."""
        _, rows = _decompose_sorted(self._symmetric())
        columns = np.zeros((len(rows), -(-self.n_dimensions // WIDTH) * WIDTH))
        columns[:, : self.n_dimensions] = rows[: self.n_dimensions].T
        return combined(self.basis[: self.n_steps], columns, self.team)

    def _extend(self, panel: Singles, place: int) -> tuple[Doubles, Doubles]:
        """Make panel number `place` of the basis of a panel, which is overwritten.

        Returns how the panel is made of the basis before, float64 (place, W, W), and of the new panel, float64 (W, W).
        """
        before = self.basis[:place]
        within = inner_products(before, panel, self.team)
        subtract(before, within, panel, self.team)
        inner = exact_inner_products(panel, self.team)
        self.largest = max(self.largest, float((np.diag(inner) + (within**2).sum(axis=(0, 1))).max()))
        unit, factor, _ = self._normalised(panel, inner, ROUNDING**2 * self.largest)
        # Twice is enough (Parlett): the first time rounding leaves a little of the basis in what was short.
        subtract(before, inner_products(before, unit, self.team), unit, self.team)
        self.basis[place], again, n_found = self._normalised(unit, exact_inner_products(unit, self.team), NEW)
        if n_found < WIDTH:
            self._fill_up(place, n_found)
        return within, np.einsum("ij,jk->ik", again, factor)

    def _normalised(self, panel: Singles, inner: Doubles, least: float) -> tuple[Singles, Doubles, int]:
        """Orthonormal columns, the longest first, zeros for squares up to `least`; what makes the panel of them; how many there are."""
        squares, rows = _decompose_sorted(inner)
        there = squares > least
        lengths = np.sqrt(np.where(there, squares, 1.0))
        (unit,) = combined(panel[None], rows.T * (there / lengths), self.team)
        return unit, rows * (there * lengths)[:, None], int(there.sum())

    def _fill_up(self, place: int, n_found: int) -> None:
        """Put random columns where nothing new was found: the space had all that M^T M makes of it, but perhaps not all of M^T M."""
        spare = self._random_panel()
        least = ROUNDING**2 * float((spare**2).sum(axis=0).max())
        for floor in (least, NEW):
            before = self.basis[: place + 1]
            subtract(before, inner_products(before, spare, self.team), spare, self.team)
            spare, _, n_spare = self._normalised(spare, exact_inner_products(spare, self.team), floor)
        n_spare = min(n_spare, WIDTH - n_found)
        self.basis[place, :, n_found : n_found + n_spare] = spare[:, :n_spare]

    def _random_panel(self) -> Singles:
        panel: Singles = np.empty_like(self.basis[0])
        fill_random(panel, self.seed, self.n_drawn)
        self.n_drawn += 1
        return panel


def _decompose_sorted(matrix: Doubles, n_components: int = 0) -> tuple[Doubles, Doubles]:
    """Eigenvalues, falling, and eigenvectors, one a row, or their last components."""
    values, rows = decompose_symmetric(matrix, n_components or len(matrix))
    order = np.argsort(-values, kind="stable")
    return values[order], rows[order]


def _fix_signs(left: Singles, right: Singles) -> None:
    """Make the largest number of every column of `left` positive, the first one of equals; `right` goes along."""
    for i, panel in enumerate(left):
        largest = panel[np.abs(panel).argmax(axis=0), np.arange(WIDTH)]
        signs = np.where(largest < 0, np.float32(-1.0), np.float32(1.0))
        left[i] *= signs
        right[i] *= signs
