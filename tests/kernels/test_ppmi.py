"""The sparse PPMI matrix against dense NumPy: its marginals, its entries, and its products."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.panels import WIDTH
from kernels.ppmi import LEAST_PMI, Cells, Entries, Terms, add_marginals, count_entries, fill_entries, multiply, sort_entries
from tests.reference.ppmi import positive_pmi

Row = tuple[int, int, float]


@st.composite
def some_cells(draw: st.DrawFn) -> tuple[int, Cells]:
    """Cells in any order, some words without any, and their number of words."""
    n_words = draw(st.integers(2, 12))
    pairs = st.tuples(st.integers(0, n_words - 1), st.integers(0, n_words - 1)).map(lambda pair: (min(pair), max(pair)))
    places = draw(st.lists(pairs, min_size=1, max_size=40, unique=True))
    counts = draw(st.lists(st.floats(0.01, 1000), min_size=len(places), max_size=len(places)))
    rows, columns = (np.array(ids, np.int32) for ids in zip(*places, strict=True))
    return n_words, Cells(rows, columns, np.array(counts))


def dense_counts(n_words: int, cells: Cells) -> np.ndarray:
    counts = np.zeros((n_words, n_words))
    counts[cells.rows, cells.columns] = counts[cells.columns, cells.rows] = cells.counts
    return counts


def terms_of(counts: np.ndarray, shift: float, power: float) -> Terms:
    marginals = counts.sum(axis=1)
    logs = np.log(np.where(marginals > 0, marginals, 1.0))
    smoothed = (marginals[marginals > 0] ** power).sum()
    return Terms(-logs, np.log(smoothed) - power * logs - np.log(shift))


def entries_of(n_words: int, cells: Cells, terms: Terms) -> tuple[Entries, int, int]:
    starts = np.zeros(n_words + 1, np.int64)
    n_all, n_positive = count_entries(cells, terms, starts[1:])
    starts = np.cumsum(starts)
    entries = Entries(starts, np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.float32))
    free = starts[:-1].copy()
    fill_entries(cells, terms, free, entries.columns, entries.values)
    assert np.array_equal(free, starts[1:])
    sort_entries(entries, 0, n_words)
    return entries, n_all, n_positive


@given(some_cells())
def test_add_marginals__are_the_sums_of_the_symmetric_matrix(case: tuple[int, Cells]) -> None:
    n_words, cells = case
    marginals = np.ones(n_words)
    add_marginals(cells, marginals)
    np.testing.assert_allclose(marginals - 1, dense_counts(n_words, cells).sum(axis=0), rtol=1e-12, atol=1e-12)


@given(some_cells(), st.floats(1, 10), st.floats(0.1, 2))
def test_entries__are_those_that_are_positive_in_a_direction(case: tuple[int, Cells], shift: float, power: float) -> None:
    n_words, cells = case
    counts = dense_counts(n_words, cells)
    terms = terms_of(counts, shift, power)
    entries, n_all, n_positive = entries_of(n_words, cells, terms)
    wanted = positive_pmi(counts, shift, power)
    found = np.zeros((n_words, n_words))
    for w in range(n_words):
        mine = slice(entries.starts[w], entries.starts[w + 1])
        assert (np.diff(entries.columns[mine].astype(int)) > 0).all()
        found[w, entries.columns[mine]] = entries.values[mine]
    np.testing.assert_allclose(np.maximum(found, 0), wanted, rtol=1e-6, atol=1e-6)
    assert n_all == np.count_nonzero(counts)
    assert n_positive == np.count_nonzero(wanted > LEAST_PMI)
    assert len(entries.values) == np.count_nonzero(np.maximum(wanted, wanted.T) > LEAST_PMI)


@given(some_cells(), st.floats(1, 4), st.sampled_from([0.75, 1.0]))
def test_multiply__is_the_dense_product_in_both_directions(case: tuple[int, Cells], shift: float, power: float) -> None:
    n_words, cells = case
    counts = dense_counts(n_words, cells)
    terms = terms_of(counts, shift, power)
    entries, _, _ = entries_of(n_words, cells, terms)
    panel = np.random.default_rng(1).normal(size=(n_words, WIDTH)).astype(np.float32)
    tilt = (terms.context - terms.word).astype(np.float32)
    matrix = positive_pmi(counts, shift, power)
    for wanted, weights in ((matrix @ panel, np.zeros_like(tilt)), (matrix.T @ panel, tilt)):
        product = np.full((n_words, WIDTH), np.nan, np.float32)
        multiply(entries, weights, panel, product, 1, n_words)
        assert np.isnan(product[0]).all()
        multiply(entries, weights, panel, product, 0, 1)
        np.testing.assert_allclose(product, wanted, rtol=1e-4, atol=3e-5)


@pytest.mark.parametrize("n_entries", range(10))
def test_multiply__has_the_same_bytes_wherever_a_row_stands(n_entries: int) -> None:
    """Entries are added four at a time from the start of their row: what other rows have before them changes nothing."""
    random = np.random.default_rng(n_entries)
    columns, values = np.arange(n_entries, dtype=np.uint32), random.normal(1, 1, n_entries).astype(np.float32)
    panel, tilt = random.normal(size=(12, WIDTH)).astype(np.float32), random.normal(size=12).astype(np.float32)
    products = []
    for n_before in range(5):
        starts = np.array([0, n_before] + [n_before + n_entries] * 11)
        others = np.arange(n_before, dtype=np.uint32), np.ones(n_before, np.float32)
        entries = Entries(starts, np.append(others[0], columns), np.append(others[1], values))
        product = np.empty((12, WIDTH), np.float32)
        multiply(entries, tilt, panel, product, 0, 12)
        products.append(product[1].tobytes())
    assert len(set(products)) == 1


def test_count_entries__passes_over_counts_that_are_not_positive() -> None:
    cells = Cells(np.array([0, 0, 1], np.int32), np.array([1, 2, 2], np.int32), np.array([3.0, 0.0, 2.0]))
    counts = dense_counts(3, cells)
    entries, n_all, _ = entries_of(3, cells, terms_of(counts, 1.0, 1.0))
    assert n_all == 4
    assert np.isfinite(entries.values).all()


@pytest.mark.parametrize("n_words", [1, 255, 256, 257, 70_000])
def test_sort_entries__sorts_every_row_with_its_values(n_words: int) -> None:
    random = np.random.default_rng(n_words)
    sizes = np.minimum(random.integers(0, 300, n_words), n_words)
    sizes[20:] = 0
    starts = np.append(0, np.cumsum(sizes))
    unsorted = np.concatenate([random.choice(n_words, size, replace=False) for size in sizes[:20]]).astype(np.uint32)
    entries = Entries(starts, unsorted.copy(), unsorted.astype(np.float32) + np.float32(0.5))
    sort_entries(entries, 0, n_words)
    wanted = np.concatenate([np.sort(unsorted[begin:end]) for begin, end in pairwise(starts.tolist())])
    assert np.array_equal(entries.columns, wanted)
    assert np.array_equal(entries.values, wanted + np.float32(0.5))
