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

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.draws import derive_key, uniform_below, uniform_unit
from kernels.jit import inlined, kernel
from kernels.tiles import ROW_MULTIPLE, prefetch_rows

N_TEAMS = 16
TRAINED, LOSS, LOSS_AT_ZERO, WEIGHT = range(4)  # columns of tallies
N_TALLIES = 4

_INPUT, _INPUT_SQUARES, _OUTPUT, _OUTPUT_SQUARES = range(4)  # the parts of a word's record
_HELD = np.float32(1e38)  # as a sum of squares: what it belongs to does not move. Infinity would turn an estimate of 1 / sqrt into NaN.
_CHUNK = 256  # cells whose logarithms are taken at once
_AHEAD = 2  # cells: rows are asked for so long before they are needed


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
    size = N_TEAMS * n_places * 4 * n_floats
    buffer = np.zeros(size + ROW_MULTIPLE, np.float32)
    start = -(buffer.ctypes.data // 4) % ROW_MULTIPLE
    words = buffer[start : start + size].reshape(N_TEAMS, n_places, 4, n_floats)
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
    return words[teams, places, _INPUT, :n_dimensions], words[teams, places, _OUTPUT, :n_dimensions]


def biases_of(words: NDArray[np.float32], n_words: int, n_dimensions: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Biases of all words, of their input and of their output vectors (b and c), float32 (V,), copied out of the records."""
    ids = np.arange(n_words)
    teams, places = ids % N_TEAMS, ids // N_TEAMS
    return words[teams, places, _INPUT, n_dimensions], words[teams, places, _OUTPUT, n_dimensions + 1]


@kernel
def shuffle(numbers: NDArray[np.int64], key: np.uint64) -> None:
    """Put at most 2**32 numbers, int64, into an order that is drawn by the key, in place (Fisher & Yates)."""
    for i in range(numbers.size - 1, 0, -1):
        j = np.int64(uniform_below(key, np.uint64(i), np.uint64(i + 1)))
        numbers[i], numbers[j] = numbers[j], numbers[i]


@kernel
def find_unfit(cells: Cells, row_team: int, column_team: int, n_words: int) -> int:
    """The number of the first cell that cannot be trained by these two teams, or N: an id out of bounds or of another team, or a count."""
    rows, columns, counts = cells
    for k in range(rows.size):
        low, high = min(rows[k], columns[k]), max(rows[k], columns[k])
        of_teams = rows[k] % N_TEAMS == row_team and columns[k] % N_TEAMS == column_team
        if not (low >= 0 and high < n_words and of_teams and counts[k] > 0.0 and counts[k] < np.inf):
            return k
    return rows.size


@inlined
def _train_pair(word: NDArray[np.float32], context: NDArray[np.float32], target: np.float32, scale: np.float32) -> np.float32:
    """One step of a word, whose input vector moves, and a context, whose output vector moves; both float32 (4, F), in place.

    The result is the error before the step, w.u + b + c - target; `scale` is rate * f.
    """
    w, w_squares, u, u_squares = word[_INPUT], word[_INPUT_SQUARES], context[_OUTPUT], context[_OUTPUT_SQUARES]
    score = np.float32(0.0)
    for f in range(w.size):
        score += w[f] * u[f]
    error = score - target
    step = scale * error
    for f in range(w.size):
        w_step, u_step = step * u[f], step * w[f]
        w[f] -= w_step / math.sqrt(w_squares[f])
        u[f] -= u_step / math.sqrt(u_squares[f])
        w_squares[f] += w_step * w_step
        u_squares[f] += u_step * u_step
    return error


@kernel
def train_cells(
    cells: Cells, ones: NDArray[np.float32], others: NDArray[np.float32], objective: Objective, tallies: NDArray[np.float64]
) -> None:
    """Train cells in their order, in place: (row, column), then (column, row), each cell of the diagonal once.

    Parameters
    ----------
    cells
        All of them in which the row is of one team and the column of the other; `find_unfit` finds none.
    ones, others
        The records of the two teams, float32 (R, 4, F), of `new_words`; one and the same array when a team meets itself.
    objective
        What is minimised.
    tallies
        float64 (4,), added to: examples trained, and over them the sums of the loss f (w.u + b + c - log x)**2 before the step, of
        f (log x)**2, which is the loss of zeros, and of f.
    """
    rows, columns, counts = cells
    n_cells = rows.size
    n_floats = ones.shape[2]
    flat_ones, flat_others = ones.reshape(ones.shape[0], 4 * n_floats), others.reshape(others.shape[0], 4 * n_floats)
    n_lines = 4 * n_floats // ROW_MULTIPLE
    log_max = math.log(objective.x_max)
    places_1, places_2 = np.empty(_CHUNK + _AHEAD, np.int32), np.empty(_CHUNK + _AHEAD, np.int32)
    logs, weights = np.empty(_CHUNK), np.empty(_CHUNK)
    for first in range(0, n_cells, _CHUNK):
        n_known = min(_CHUNK + _AHEAD, n_cells - first)
        n_here = min(_CHUNK, n_known)
        for k in range(n_known):
            places_1[k], places_2[k] = rows[first + k] // N_TEAMS, columns[first + k] // N_TEAMS
        for k in range(n_here):
            logs[k] = math.log(counts[first + k])
            weights[k] = math.exp(objective.power * min(logs[k] - log_max, 0.0))
        for k in range(n_here):
            if k + _AHEAD < n_known:
                prefetch_rows(places_1, flat_ones, k + _AHEAD, k + _AHEAD + 1, n_lines)
                prefetch_rows(places_2, flat_others, k + _AHEAD, k + _AHEAD + 1, n_lines)
            one, other = ones[places_1[k]], others[places_2[k]]
            target, scale = np.float32(logs[k]), np.float32(objective.rate * weights[k])
            error = np.float64(_train_pair(one, other, target, scale))
            squares, n_trained = error * error, 1.0
            if rows[first + k] != columns[first + k]:
                error = np.float64(_train_pair(other, one, target, scale))
                squares, n_trained = squares + error * error, 2.0
            tallies[TRAINED] += n_trained
            tallies[LOSS] += weights[k] * squares
            tallies[LOSS_AT_ZERO] += n_trained * weights[k] * logs[k] * logs[k]
            tallies[WEIGHT] += n_trained * weights[k]
