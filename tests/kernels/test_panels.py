"""Products of panels against NumPy in float64, for any range of rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kernels.panels import WIDTH, add_combination, add_inner_products, fill_random

shapes = st.tuples(st.integers(0, 4), st.integers(0, 700), st.integers(0, 2**32 - 1))


@given(shapes, st.data())
def test_add_inner_products__look_at_their_rows_only(shape: tuple[int, int, int], data: st.DataObject) -> None:
    n_panels, n_rows, seed = shape
    first = data.draw(st.integers(0, n_rows))
    last = data.draw(st.integers(first, n_rows))
    random = np.random.default_rng(seed)
    panels = random.normal(size=(n_panels, n_rows, WIDTH))
    panel = random.normal(size=(n_rows, WIDTH))
    for kind, tolerance in ((np.float32, 1e-4), (np.float64, 1e-12)):
        products = np.ones((n_panels, WIDTH, WIDTH))
        add_inner_products(panels.astype(kind), panel.astype(kind), first, last, products)
        wanted = 1 + np.einsum("pvi,vj->pij", panels[:, first:last], panel[first:last])
        np.testing.assert_allclose(products, wanted, rtol=tolerance, atol=40 * tolerance)


@given(shapes, st.data())
def test_add_combination__changes_its_rows_only(shape: tuple[int, int, int], data: st.DataObject) -> None:
    n_panels, n_rows, seed = shape
    first = data.draw(st.integers(0, n_rows))
    last = data.draw(st.integers(first, n_rows))
    random = np.random.default_rng(seed)
    panels = random.normal(size=(n_panels, n_rows, WIDTH)).astype(np.float32)
    factors = random.normal(size=(n_panels, WIDTH, WIDTH)).astype(np.float32)
    panel = random.normal(size=(n_rows, WIDTH)).astype(np.float32)
    wanted = panel.copy()
    wanted[first:last] += np.einsum("pvi,pij->vj", panels[:, first:last].astype(np.float64), factors)
    add_combination(panels, factors, panel, first, last)
    np.testing.assert_allclose(panel, wanted, rtol=1e-4, atol=1e-4)
    outside = np.r_[0:first, last:n_rows]
    assert panel[outside].tobytes() == wanted[outside].tobytes()


def test_fill_random__depends_on_seed_number_row_and_column_only() -> None:
    few, many, others, seeded = (np.empty((n_rows, WIDTH), np.float32) for n_rows in (10, 400, 400, 400))
    fill_random(few, np.uint64(2**63), 3)
    fill_random(many, np.uint64(2**63), 3)
    fill_random(others, np.uint64(2**63), 4)
    fill_random(seeded, np.uint64(1), 3)
    assert few.tobytes() == many[:10].tobytes()
    # 12,800 uniform draws each: the mean of a product of two has the standard deviation 0.00074; seven of them, false alarm below 1e-11.
    draws = np.stack([panel.ravel() for panel in (many, others, seeded)]).astype(np.float64)
    assert -0.5 <= draws.min() < draws.max() <= 0.5
    np.testing.assert_allclose(draws @ draws.T / draws.shape[1], np.eye(3) / 12, atol=7 * 0.00074)
