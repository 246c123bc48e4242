"""Co-occurrences counted by rows, cut into buckets and merged, against the slow reference in fractions."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.cooccurrence import (
    GRID,
    MAX_WINDOW,
    Cells,
    count_distances,
    count_rows,
    distance_units,
    drop_words,
    index_words,
    merge_cells,
    partition_cells,
)
from tests.reference import cooccurrence as reference

# The first example may compile a kernel.

# Words that are met in few windows are counted by another loop than those that have more windows than there are words before them.
N_WORDS = 3000
WORDS = st.sampled_from([0, 1, 2, 17, 300, 301, 2998, 2999])
TEXTS = st.lists(st.lists(WORDS, min_size=2, max_size=20), max_size=8)
WINDOWS = st.integers(1, MAX_WINDOW)
CELLS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([0, 1, 15, 16, 700_000, 2**31 - 2]), st.integers(1, 2**40)), max_size=40)


def encode(sentences):
    codes = np.array([word for sentence in sentences for word in sentence], np.int32)
    return codes, np.cumsum([0] + [len(sentence) for sentence in sentences], dtype=np.int64)


def count(sentences, window, harmonic, room=N_WORDS + 2):
    """Units by (row, column), the unit, and how many times the room was used up; no cell may come twice."""
    tokens, borders = encode(sentences)
    index = index_words(tokens, borders, N_WORDS, window)
    units, unit = distance_units(window, len(tokens), harmonic=harmonic)
    found, word, n_runs = {}, 0, 0
    while word < N_WORDS:
        cells = Cells(np.zeros(room, np.uint64), np.zeros(room, np.int64))
        before = word
        word, n = count_rows(tokens, index, units, before, cells)
        assert word > before
        for pair, units_of_it in zip(cells.pairs[:n].tolist(), cells.counts[:n].tolist(), strict=True):
            cell = (pair >> 32, pair & 0xFFFFFFFF)
            assert cell not in found
            assert before <= cell[1] < word
            found[cell] = units_of_it
        n_runs += 1
    return found, unit, n_runs


# --- units


@pytest.mark.parametrize(("n_tokens", "exact_to"), [(0, 42), (1, 42), (17_000_000, 26), (1_900_000_000, 22), (10**13, 12)])
def test_distance_units__are_as_exact_as_sums_over_the_text_allow(n_tokens, exact_to):
    for window in range(1, MAX_WINDOW + 1):
        units, unit = distance_units(window, n_tokens, harmonic=True)
        assert units.dtype == np.int64
        assert units[0] == 0
        assert 2 * n_tokens * sum(units.tolist()) <= 2**62
        errors = [abs(Fraction(got, unit) * d - 1) for d, got in enumerate(units.tolist()) if d]
        assert (max(errors) == 0) == (window <= exact_to)
        assert max(errors) <= Fraction(640 * max(1, n_tokens), 2**62)


def test_distance_units__are_one_when_the_weighting_is_flat():
    units, unit = distance_units(5, 10**12, harmonic=False)
    assert (units.tolist(), unit) == ([0, 1, 1, 1, 1, 1], 1)


# --- words out


@given(sentences=st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=10), begin=st.integers(0, 3))
def test_drop_words__equals_the_reference(sentences, begin):
    codes, offsets = encode(sentences)
    tokens, borders, fates = drop_words(codes, offsets[begin:] if begin < len(offsets) else offsets[-1:])
    expected, expected_fates = reference.keep_words(sentences[begin:], [-1, 0, 1, 2])
    assert (tokens.dtype, borders.dtype) == (np.int32, np.int64)
    assert [tokens[first:stop].tolist() for first, stop in pairwise(borders)] == expected
    assert fates._asdict() == expected_fates
    assert fates.n_in == fates.n_rare + fates.n_lonely + fates.n_kept


# --- counting


@given(sentences=TEXTS, window=WINDOWS, harmonic=st.booleans())
@settings(max_examples=200)
def test_count_rows__equals_the_reference(sentences, window, harmonic):
    found, unit, _ = count(sentences, window, harmonic)
    matrix = reference.count_cooccurrences(sentences, window, harmonic=harmonic)
    expected = {cell: total for cell, total in matrix.items() if cell[0] <= cell[1]}
    assert found.keys() == expected.keys()
    for cell, total in expected.items():
        error = abs(Fraction(found[cell], unit) / total - 1)
        assert error <= (Fraction(640 * 160, 2**62) if harmonic and window > 22 else 0)


@pytest.mark.parametrize("harmonic", [False, True])
def test_count_rows__equals_the_reference_where_most_words_are_rare(harmonic):
    rng = np.random.default_rng(1)
    sentences = [rng.integers(0, N_WORDS, 40).tolist() for _ in range(60)]
    found, unit, _ = count(sentences, 4, harmonic)
    matrix = reference.count_cooccurrences(sentences, 4, harmonic=harmonic)
    assert {cell: Fraction(n, unit) for cell, n in found.items()} == {cell: total for cell, total in matrix.items() if cell[0] <= cell[1]}


@given(sentences=TEXTS, window=st.integers(1, 6), more=st.integers(0, 30))
def test_count_rows__gives_the_same_cells_in_little_room(sentences, window, more):
    n_visits = max(Counter(word for sentence in sentences for word in sentence).values(), default=0) * (2 * window + 1)
    whole, unit, n_runs = count(sentences, window, harmonic=True, room=200 * (2 * window + 1))
    assert n_runs == 1
    assert count(sentences, window, True, room=min(N_WORDS, n_visits) + 1 + more)[:2] == (whole, unit)


def test_count_rows__spills_when_its_room_is_full():
    sentences = [[0, 1, 2, 3, 4, 5] * 20]
    assert count(sentences, 5, harmonic=True, room=7)[2] > 2


@pytest.mark.parametrize(("sentence", "diagonal"), [([7, 7], 2), ([7, 7, 7], 5), ([7, 1, 7], 1), ([7, 1, 1, 7], 0)])
def test_count_rows__counts_both_directions_of_a_pair_of_the_same_word(sentence, diagonal):
    found, unit, _ = count([sentence], 2, harmonic=True)
    assert found.get((7, 7), 0) == diagonal * unit


@given(sentences=TEXTS, window=WINDOWS)
def test_count_distances__predicts_the_sum_of_the_whole_matrix(sentences, window):
    found, _, _ = count(sentences, window, harmonic=True)
    units, _ = distance_units(window, sum(map(len, sentences)), harmonic=True)
    total = sum(n * (1 if row == column else 2) for (row, column), n in found.items())
    assert total == 2 * int(count_distances(encode(sentences)[1], window) @ units)


# --- buckets and merging


def cells_of(rows):
    pairs = [min(row, column) << 32 | max(row, column) for row, column, _ in rows]
    return Cells(np.array(pairs, np.uint64), np.array([n for *_, n in rows], np.int64))


@given(runs=st.lists(CELLS, max_size=4), n_bits=st.sampled_from([0, 1, 7, 8, 9, 11]))
def test_merge_cells__of_all_buckets_gives_each_cell_once_in_the_order_of_the_reference(runs, n_bits):
    parts = [[] for _ in range(1 << n_bits)]
    for run in runs:
        (pairs, counts), borders = partition_cells(cells_of(run), n_bits)
        for part, (first, stop) in zip(parts, pairwise(borders), strict=True):
            part.append(Cells(pairs[first:stop], counts[first:stop]))
    merged = [merge_cells(part, n_bits) for part in parts if sum(len(run.pairs) for run in part)]

    total = Counter()
    for run in runs:
        for row, column, n in run:
            total[min(row, column), max(row, column)] += n
    expected = reference.cells_by_file(dict(total), GRID)
    found = {}
    for (pairs, counts), borders in merged:
        assert borders[-1] == len(pairs) == len(counts)
        for file, (first, stop) in enumerate(pairwise(borders)):
            cells = [
                (pair >> 32, pair & 0xFFFFFFFF, n) for pair, n in zip(pairs[first:stop].tolist(), counts[first:stop].tolist(), strict=True)
            ]
            found.setdefault(divmod(file, GRID), []).extend(cells)
    assert {file: cells for file, cells in found.items() if cells} == {
        file: [(*cell, total[cell]) for cell in cells] for file, cells in expected.items()
    }


def test_merge_cells__of_nothing_is_nothing():
    (pairs, counts), borders = merge_cells([], 3)
    assert len(pairs) == len(counts) == 0
    assert borders.tolist() == [0] * (GRID * GRID + 1)


def test_merge_cells__of_one_cell_in_many_runs_adds_up():
    run = Cells(np.array([5 << 32 | 6] * 3, np.uint64), np.array([1, 2, 4]))
    (pairs, counts), _ = merge_cells([run] * 1000, 0)
    assert (pairs.tolist(), counts.tolist()) == ([5 << 32 | 6], [7000])


def test_merge_cells__shuffles_rows_and_columns_within_a_file():
    rows, columns = np.meshgrid(np.arange(0, 1600, 16), np.arange(0, 1600, 16), indexing="ij")
    pairs = (rows.ravel() << 32 | columns.ravel()).astype(np.uint64)
    (merged, _), borders = merge_cells([Cells(pairs, np.ones(len(pairs), np.int64))], 0)
    assert borders[1] == len(merged) == 10_000
    for numbers in (merged >> np.uint64(32), merged & np.uint64(0xFFFFFFFF)):
        # Ranks of 10,000 random draws are correlated with the order by 0.01; 0.05 has a chance of 6e-7.
        assert abs(np.corrcoef(np.arange(10_000), numbers.astype(float))[0, 1]) < 0.05
