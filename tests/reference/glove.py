"""GloVe in float64, slow and plain: NumPy and the standard library only.

Letters: w input vectors, u output vectors, b and c their biases, x a count, f its weight; e = w_i.u_j + b_i + c_j - log x the error.
"""

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Cell = tuple[int, int, float]  # row, column, count


@dataclass
class Parameters:
    """What is learned, or one number for each of that."""

    w: Array  # (V, D)
    u: Array  # (V, D)
    b: Array  # (V,)
    c: Array  # (V,)

    def like(self, number: float) -> "Parameters":
        """The same shapes, filled with a number."""
        return Parameters(*(np.full_like(getattr(self, field.name), number) for field in fields(self)))


@dataclass
class AdaGrad:
    """Sums of squared steps, which start at 1, and the rate."""

    squares: Parameters
    rate: float


def weight(x: float, x_max: float, power: float) -> float:
    """f(x) of eq. 9."""
    return (x / x_max) ** power if x < x_max else 1.0


def both_orientations(cells: list[Cell]) -> list[Cell]:
    """Every nonzero entry of the symmetric matrix, of which each unordered pair is given once; each beside its mirror image."""
    return [entry for i, j, x in cells for entry in ([(i, j, x)] if i == j else [(i, j, x), (j, i, x)])]


def error(model: Parameters, i: int, j: int, x: float) -> float:
    """How far the model is from log x."""
    return float(model.w[i] @ model.u[j] + model.b[i] + model.c[j]) - math.log(x)


def objective(model: Parameters, entries: list[Cell], x_max: float, power: float) -> float:
    """J of eq. 8."""
    return math.fsum(weight(x, x_max, power) * error(model, i, j, x) ** 2 for i, j, x in entries)


def half_gradient(model: Parameters, entry: Cell, x_max: float, power: float) -> Parameters:
    """Half the derivative of one term of J after all parameters."""
    i, j, x = entry
    slope = weight(x, x_max, power) * error(model, i, j, x)
    gradient = model.like(0.0)
    gradient.w[i] = slope * model.u[j]
    gradient.u[j] = slope * model.w[i]
    gradient.b[i] = gradient.c[j] = slope
    return gradient


def train_entry(model: Parameters, adagrad: AdaGrad, entry: Cell, x_max: float, power: float) -> float:
    """One step in place; the term of J before it."""
    loss = objective(model, [entry], x_max, power)
    gradient = half_gradient(model, entry, x_max, power)
    for field in fields(model):
        step = adagrad.rate * getattr(gradient, field.name)
        squares = getattr(adagrad.squares, field.name)
        getattr(model, field.name)[...] -= step / np.sqrt(squares)
        squares += step**2
    return loss


def train(model: Parameters, adagrad: AdaGrad, cells: list[Cell], x_max: float, power: float) -> float:
    """Every cell in both orientations, in order, in place; the sum of the losses."""
    return math.fsum(train_entry(model, adagrad, entry, x_max, power) for entry in both_orientations(cells))
