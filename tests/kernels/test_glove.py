"""The GloVe kernel: its reference against finite differences, itself against its reference, and what it must not touch."""

import itertools
from dataclasses import fields

import numpy as np
import pytest

from kernels.glove import (
    LOSS,
    LOSS_AT_ZERO,
    N_TALLIES,
    N_TEAMS,
    TRAINED,
    WEIGHT,
    Cells,
    Objective,
    biases_of,
    cell_trainer,
    find_unfit,
    new_words,
    shuffle,
    vectors_of,
)
from tests.reference import glove as reference

KEY = np.uint64(5)
OBJECTIVE = Objective(x_max=20.0, power=0.75, rate=0.3)  # a rate so high that an error shows
N_WORDS = 4 * N_TEAMS + 3
ALIKE, UNLIKE = (3, 3), (2, 9)


def cells_of(row_team, column_team, n_cells, n_words=N_WORDS):
    """Cells of two teams in any order, some of them more than once, some counts above x_max and some below 1."""
    rng = np.random.default_rng(3)
    rows, columns = (np.arange(team, n_words, N_TEAMS, dtype=np.int32)[rng.integers(0, 4, n_cells)] for team in (row_team, column_team))
    return Cells(rows, columns, rng.lognormal(1.5, 1.5, n_cells))


def triples(cells):
    return list(zip(*(column.tolist() for column in cells), strict=True))


def model_of(words, n_dimensions, n_words=N_WORDS):
    """The records as the reference has them."""
    learned = *vectors_of(words, 0, n_words, n_dimensions), *biases_of(words, n_words, n_dimensions)
    return reference.Parameters(*(array.astype(np.float64) for array in learned))


def squares_of(words, n_dimensions, n_words=N_WORDS):
    """Their sums of squares: where vectors and biases are, one part further on."""
    return model_of(np.roll(words, -1, axis=2), n_dimensions, n_words)


def train(words, cells, teams, width=0):
    tallies = np.zeros(N_TALLIES)
    cell_trainer(width)(cells, words[teams[0]], words[teams[1]], OBJECTIVE, tallies)
    return tallies


def test_half_gradient__is_half_of_what_finite_differences_of_the_objective_give():
    rng = np.random.default_rng(1)
    model = reference.Parameters(rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=4))
    entries = reference.both_orientations([(0, 1, 3.0), (1, 2, 50.0), (2, 2, 0.4), (0, 3, 20.0)])
    assert len(entries) == 7
    gradients = [reference.half_gradient(model, entry, 20.0, 0.75) for entry in entries]
    for field in fields(model):
        values = getattr(model, field.name)
        for place in np.ndindex(values.shape):
            around, before = [], values[place]
            for values[place] in (before - 1e-5, before + 1e-5):
                around.append(reference.objective(model, entries, 20.0, 0.75))
            values[place] = before
            expected = sum(getattr(gradient, field.name)[place] for gradient in gradients)
            assert (around[1] - around[0]) / 4e-5 == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    ("n_dimensions", "teams", "width"),
    [
        (1, ALIKE, 0),
        (14, UNLIKE, 0),
        (15, UNLIKE[::-1], 0),
        (100, ALIKE, 0),
        (100, UNLIKE, 0),
        (30, ALIKE, 4),
        (30, ALIKE, 8),
        (30, ALIKE, 16),
    ],
)
def test_train_cells__does_what_the_reference_does(n_dimensions, teams, width):
    words = new_words(N_WORDS, n_dimensions, KEY)
    model = model_of(words, n_dimensions)
    adagrad = reference.AdaGrad(squares_of(words, n_dimensions), OBJECTIVE.rate)
    cells = cells_of(*teams, 300)
    tallies = train(words, cells, teams, width)
    loss = reference.train(model, adagrad, triples(cells), OBJECTIVE.x_max, OBJECTIVE.power)
    for found, wanted in ((model_of(words, n_dimensions), model), (squares_of(words, n_dimensions), adagrad.squares)):
        for field in fields(found):
            assert np.allclose(getattr(found, field.name), getattr(wanted, field.name), rtol=1e-4, atol=1e-5), field.name
    entries = reference.both_orientations(triples(cells))
    zeros = model.like(0.0)
    assert tallies[TRAINED] == len(entries)
    assert tallies[LOSS] == pytest.approx(loss, rel=1e-5)
    assert tallies[LOSS_AT_ZERO] == pytest.approx(reference.objective(zeros, entries, OBJECTIVE.x_max, OBJECTIVE.power), rel=1e-12)
    assert tallies[WEIGHT] == pytest.approx(sum(reference.weight(x, OBJECTIVE.x_max, OBJECTIVE.power) for _, _, x in entries), rel=1e-12)


def test_train_cells__touches_only_the_words_of_its_cells_and_no_padding():
    words = new_words(N_WORDS, 12, KEY)
    before = words.copy()
    cells = cells_of(*UNLIKE, 50)
    train(words, cells, UNLIKE)
    changed = {(int(team), int(place)) for team, place in zip(*np.nonzero((words != before).any(axis=(2, 3))), strict=True)}
    assert changed == {divmod(word, N_TEAMS)[::-1] for word in {*cells.rows.tolist(), *cells.columns.tolist()}}
    assert words.shape[3] == 16
    assert (words[..., 14:] == before[..., 14:]).all()
    assert (words[:, :, 0, 13] == 1.0).all()
    assert (words[:, :, 2, 12] == 1.0).all()


def test_train_cells__gives_the_same_bytes_in_one_call_and_in_many():
    cells = cells_of(*UNLIKE, 1_500)
    results = []
    for step in (1_500, 257, 1):
        words, tallies = new_words(N_WORDS, 20, KEY), np.zeros(N_TALLIES)
        for first in range(0, 1_500, step):
            part = Cells(*(column[first : first + step] for column in cells))
            cell_trainer()(part, words[UNLIKE[0]], words[UNLIKE[1]], OBJECTIVE, tallies)
        results.append(words.tobytes() + tallies.tobytes())
    assert results[0] == results[1] == results[2]


def test_train_cells__learns_the_logarithms_of_a_matrix_that_the_dimensions_can_hold():
    """Every word of two teams with every other: 14 words, 24 dimensions."""
    rng = np.random.default_rng(8)
    ids = np.array([team + N_TEAMS * place for team in UNLIKE for place in range(7)])
    matrix = np.exp(rng.normal(2.0, 1.5, (14, 14)))
    matrix = np.sqrt(matrix * matrix.T)
    words = new_words(7 * N_TEAMS, 24, KEY)
    pairs = [(i, j) for i in range(14) for j in range(14) if ids[i] <= ids[j]]
    losses = []
    for _ in range(1_500):
        tallies = np.zeros(N_TALLIES)
        for row_team, column_team in itertools.product(UNLIKE, repeat=2):
            of_teams = [(i, j) for i, j in pairs if (ids[i] % N_TEAMS, ids[j] % N_TEAMS) == (row_team, column_team)]
            rows, columns = (np.array(side) for side in zip(*of_teams, strict=True))
            cells = Cells(ids[rows].astype(np.int32), ids[columns].astype(np.int32), matrix[rows, columns])
            cell_trainer()(cells, words[row_team], words[column_team], Objective(20.0, 0.75, 0.05), tallies)
        losses.append(tallies[LOSS] / tallies[TRAINED])
        assert tallies[TRAINED] == 14 * 14
    assert losses[-1] < 1e-5 * losses[0]
    model = model_of(words, 24, 7 * N_TEAMS)
    for i, j in itertools.product(range(14), repeat=2):
        assert reference.error(model, ids[i], ids[j], matrix[i, j]) == pytest.approx(0.0, abs=0.05)


def test_train_cells__lets_a_nan_show():
    words = new_words(N_WORDS, 8, KEY)
    words[UNLIKE[0], 0, 0, 0] = np.nan
    assert np.isnan(train(words, Cells(np.int32([UNLIKE[0]]), np.int32([UNLIKE[1]]), np.ones(1)), UNLIKE)[LOSS])


def test_new_words__start_as_the_program_does_whatever_else_there_is():
    words = new_words(1_000, 30, KEY)
    assert words.ctypes.data % 64 == 0
    model, squares = model_of(words, 30, 1_000), squares_of(words, 30, 1_000)
    values = np.concatenate([getattr(model, field.name).ravel() for field in fields(model)]) * 31
    assert -0.5 <= values.min() < -0.499
    assert 0.499 < values.max() < 0.5
    assert abs(values.mean()) < 5 * np.sqrt(1 / 12 / len(values))  # five standard errors
    assert len(np.unique(values)) > 0.99 * len(values)
    assert all((getattr(squares, field.name) == 1.0).all() for field in fields(squares))
    assert (vectors_of(new_words(500, 30, KEY), 100, 500, 30)[1] == vectors_of(words, 100, 500, 30)[1]).all()


@pytest.mark.parametrize(
    ("row", "column", "count"),
    [(-14, 9, 1.0), (2, N_TEAMS * 40 + 9, 1.0), (3, 9, 1.0), (2, 10, 1.0), (2, 9, 0.0), (2, 9, -1.0), (2, 9, np.inf), (2, 9, np.nan)],
)
def test_find_unfit__finds_the_first_cell_that_must_not_be_trained(row, column, count):
    cells = cells_of(*UNLIKE, 20)
    assert find_unfit(cells, *UNLIKE, N_WORDS) == 20
    for place in (19, 7):
        cells.rows[place], cells.columns[place], cells.counts[place] = row, column, count
        assert find_unfit(cells, *UNLIKE, N_WORDS) == place


def test_shuffle__draws_every_order_about_equally_often():
    """24 orders, 4,800 keys; the sum has 23 degrees of freedom: above 59 by chance once in 20,000 kinds of key."""
    seen = dict.fromkeys(itertools.permutations(range(4)), 0)
    for key in range(4_800):
        numbers = np.arange(4)
        shuffle(numbers, np.uint64(key * 0x9E37))
        seen[tuple(numbers.tolist())] += 1
    assert sum((n - 200) ** 2 / 200 for n in seen.values()) < 59
