"""GloVe (Pennington, Socher & Manning 2014): co-occurrence cells train word vectors and biases by AdaGrad, one cell after the other.

Words are divided into teams by id. The cells of two teams change nothing but these teams, so pairs of teams without a common one can be
trained at the same time, and give what training them one after the other would. Who meets whom when is not known here.

Notes
-----
The objective is that of the paper, eq. 8: the sum over all nonzero X_ij of f(X_ij) (w_i.u_j + b_i + c_j - log X_ij)**2. Where the paper is
silent this follows the authors' program of 2014 (glove.c of GloVe 1.0):

* a step goes along f (w_i.u_j + b_i + c_j - log X_ij) w_i and so on: half the gradient of the objective;
* AdaGrad adds up the squares of *steps*, that is, of gradients times the rate, and they start at 1; a step is divided by the square root
  of the sum before it is added;
* vectors and biases start uniformly in [-0.5, 0.5) / (D + 1), and biases have sums of squares of their own;
* gradients are not clipped (later versions of the program clip at 100).

Different from the program: float32 instead of float64; cells of both orientations are trained one right after the other; the program prints
half of the loss that is reported here.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.cells import INPUT, N_PARTS, OUTPUT, train_cell
from kernels.cooccurrence import GRID
from kernels.draws import derive_key, uniform_below, uniform_unit
from kernels.jit import inlined, kernel
from kernels.lanes import simd_width
from kernels.tiles import address_rows
from kernels.windows import ROW_MULTIPLE

N_TEAMS = GRID  # so that the cells of two teams are whole files
TRAINED, LOSS, LOSS_AT_ZERO, WEIGHT = range(4)  # columns of tallies
N_TALLIES = 4

_HELD = np.float32(1e38)  # as a sum of squares: what it belongs to does not move. Infinity would turn an estimate of 1 / sqrt into NaN.
_CHUNK = 256  # cells whose logarithms are taken at once
_AHEAD = 2  # cells: records are asked for so long before they are needed; 1 and 3 were within noise of it


# N cells, V words, T = N_TEAMS, R = ceil(V / T) places in a team, D dimension, F floats in a part: D + 2 in whole cache lines
class Cells(NamedTuple):
    """Entries of a symmetric matrix, of which each is stored once."""

    rows: NDArray[np.int32]
    """int32 (N,): word ids."""
    columns: NDArray[np.int32]
    """int32 (N,): word ids."""
    counts: NDArray[np.float64]
    """float64 (N,): above 0 and finite."""


class Objective(NamedTuple):
    """What is minimised, and how fast."""

    x_max: float
    """Counts from here on weigh 1."""
    power: float
    """A count x below x_max weighs (x / x_max) ** power."""
    rate: float
    """Learning rate of AdaGrad."""


def new_words(n_words: int, n_dimensions: int, key: np.uint64) -> NDArray[np.float32]:
    """The records of all words as they are before training, float32 (T, R, 4, F); word i is at [i % T, i // T].

    A record is one piece of memory that starts on a cache line: input vector w, its sums of squares, output vector u, its sums of squares.
    Column D of w is the bias of the word and column D + 1 is 1; for u it is the other way round, so that the sum over all columns of
    w_i * u_j is w_i.u_j + b_i + c_j, and a bias is trained as any other column.
    """
    n_places = -(-n_words // N_TEAMS)
    n_floats = -(-(n_dimensions + 2) // ROW_MULTIPLE) * ROW_MULTIPLE
    size = N_TEAMS * n_places * N_PARTS * n_floats
    buffer = np.zeros(size + ROW_MULTIPLE, np.float32)
    start = -(buffer.ctypes.data // 4) % ROW_MULTIPLE
    words = buffer[start : start + size].reshape(N_TEAMS, n_places, N_PARTS, n_floats)
    fill_words(words, n_dimensions, key)
    return words


@kernel
def fill_words(words: NDArray[np.float32], n_dimensions: int, key: np.uint64) -> None:
    """Fill the records of `new_words` in place, each number a function of (key, word, part, column) alone."""
    n_teams, n_places, _, _ = words.shape
    for team in range(n_teams):
        for place in range(n_places):
            for side in range(2):
                vector, squares = words[team, place, 2 * side], words[team, place, 2 * side + 1]
                bias, one = n_dimensions + side, n_dimensions + 1 - side
                vector[:] = 0.0
                squares[:] = 1.0
                row_key = derive_key(key, np.uint64(2 * (place * n_teams + team) + side))
                for column in range(n_dimensions + 1):
                    value = (uniform_unit(row_key, np.uint64(column)) - 0.5) / (n_dimensions + 1)
                    vector[bias if column == n_dimensions else column] = np.float32(value)
                vector[one] = 1.0
                squares[one] = _HELD


def vectors_of(words: NDArray[np.float32], first: int, last: int, n_dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Input and output vectors of the words first..last-1, float32 (last - first, D), copied out of the records."""
    ids = np.arange(first, last)
    teams, places = ids % N_TEAMS, ids // N_TEAMS
    return words[teams, places, INPUT, :n_dimensions], words[teams, places, OUTPUT, :n_dimensions]


def biases_of(words: NDArray[np.float32], n_words: int, n_dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Biases of all words, of their input and of their output vectors (b and c), float32 (V,), copied out of the records."""
    ids = np.arange(n_words)
    teams, places = ids % N_TEAMS, ids // N_TEAMS
    return words[teams, places, INPUT, n_dimensions], words[teams, places, OUTPUT, n_dimensions + 1]


@kernel
def shuffle(numbers: NDArray[np.int64], key: np.uint64) -> None:
    """Put at most 2**32 numbers, int64, into an order that is drawn by the key, in place (Fisher & Yates)."""
    for i in range(numbers.size - 1, 0, -1):
        j = np.int64(uniform_below(key, np.uint64(i), np.uint64(i + 1)))
        numbers[i], numbers[j] = numbers[j], numbers[i]


@inlined
def _is_fit(row: np.int32, column: np.int32, count: np.float64, row_team: int, column_team: int, n_words: int) -> bool:
    bounded = (row >= 0) & (row < n_words) & (column >= 0) & (column < n_words)
    of_teams = (row % N_TEAMS == row_team) & (column % N_TEAMS == column_team)
    return bool(bounded & of_teams & (count > 0.0) & (count < np.inf))


@kernel
def find_unfit(cells: Cells, row_team: int, column_team: int, n_words: int) -> int:
    """The number of the first cell that cannot be trained by these two teams, or N: an id out of bounds or of another team, or a count."""
    rows, columns, counts = cells
    for first in range(0, rows.size, _CHUNK):
        last = min(first + _CHUNK, rows.size)
        n_fit = 0
        for k in range(first, last):  # without a way out it becomes SIMD: 2 ns a cell, not 8
            n_fit += _is_fit(rows[k], columns[k], counts[k], row_team, column_team, n_words)
        if n_fit < last - first:
            for k in range(first, last):
                if not _is_fit(rows[k], columns[k], counts[k], row_team, column_team, n_words):
                    return k
    return rows.size


@functools.cache
def cell_trainer(simd: int = 0) -> Callable[..., None]:
    """The kernel for one SIMD width (0: that of this machine), a constant of its machine code.

    It trains cells in their order, in place: (row, column), then (column, row), each cell of the diagonal once. Its arguments are

    cells
        `Cells` in which every row is of one team and every column of the other; `find_unfit` finds none.
    ones, others
        The records of the two teams, float32 (R, 4, F), of `new_words`; one and the same array when a team meets itself.
    objective
        What is minimised.
    tallies
        float64 (4,), added to: examples trained, and over them the sums of the loss f (w.u + b + c - log x)**2 before the step, of
        f (log x)**2, which is the loss of zeros, and of f.
    """
    width = simd or simd_width()

    @kernel
    def train_cells(
        cells: Cells, ones: NDArray[np.float32], others: NDArray[np.float32], objective: Objective, tallies: NDArray[np.float64]
    ) -> None:
        rows, columns, counts = cells
        n_cells, n_places, n_floats = rows.size, ones.shape[0], ones.shape[2]
        flat_ones, flat_others = ones.reshape(n_places, N_PARTS * n_floats), others.reshape(n_places, N_PARTS * n_floats)
        log_max = math.log(objective.x_max)
        row_places, column_places = np.empty(_CHUNK + _AHEAD, np.int32), np.empty(_CHUNK + _AHEAD, np.int32)
        row_records, column_records = np.empty(_CHUNK + _AHEAD, np.int64), np.empty(_CHUNK + _AHEAD, np.int64)
        logs, weights = np.empty(_CHUNK), np.empty(_CHUNK)
        for first in range(0, n_cells, _CHUNK):
            n_here = min(_CHUNK, n_cells - first)
            for k in range(n_here + _AHEAD):
                i = min(first + k, n_cells - 1)
                row_places[k], column_places[k] = rows[i] // N_TEAMS, columns[i] // N_TEAMS
            address_rows(row_places, flat_ones, 0, n_here + _AHEAD, row_records, 0)
            address_rows(column_places, flat_others, 0, n_here + _AHEAD, column_records, 0)
            for k in range(n_here):
                logs[k] = math.log(counts[first + k])
                weights[k] = math.exp(objective.power * min(logs[k] - log_max, 0.0))
            for k in range(n_here):
                one, other, coming_one, coming_other = (
                    row_records[k],
                    column_records[k],
                    row_records[k + _AHEAD],
                    column_records[k + _AHEAD],
                )
                target, scale = np.float32(logs[k]), np.float32(objective.rate * weights[k])
                if one != other:
                    errors, n_trained = train_cell(one, other, target, scale, n_floats, coming_one, coming_other, 1, width), 2.0
                else:
                    errors, n_trained = train_cell(one, other, target, scale, n_floats, coming_one, coming_other, 0, width), 1.0
                tallies[TRAINED] += n_trained
                tallies[LOSS] += weights[k] * (np.float64(errors[0]) ** 2 + np.float64(errors[1]) ** 2)
                tallies[LOSS_AT_ZERO] += n_trained * weights[k] * logs[k] * logs[k]
                tallies[WEIGHT] += n_trained * weights[k]

    return train_cells
