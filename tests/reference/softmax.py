"""Skip-gram and CBOW with the full softmax in float64, slow and plain: NumPy and the standard library only.

p = softmax(V' h), E = -log p(target). Letters: h hidden vector, x input vector, v output vector, s = v.h for every word.
"""

import math

import numpy as np
from numpy.typing import NDArray

from tests.reference.windows import Matrix, Text, learning_rate, window

Example = tuple[list[int], int]  # contexts, target


def examples(text: Text, first: int, last: int, kind: str | None) -> list[Example]:
    """Of the centres first..last-1, in order: a pair for each context (skip-gram, kind None), or a window (CBOW); centres are targets."""
    found: list[Example] = []
    for i in range(first, last):
        contexts, target = window(text, i), int(text[0][i])
        if kind is None:
            found += [([context], target) for context in contexts]
        elif contexts:
            found.append((contexts, target))
    return found


def hidden(inputs: Matrix, contexts: list[int], kind: str | None) -> NDArray[np.float64]:
    """h: the sum of the context vectors, or their mean; of a single context both are its vector."""
    total = inputs[contexts].sum(axis=0)
    return total / len(contexts) if kind in ("mean", "mean_word2vec") else total


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(s) / sum of exp(s), without overflow."""
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def loss(inputs: Matrix, outputs: Matrix, batch: list[Example], kind: str | None) -> float:
    """The sum over examples of -log p(target)."""
    total = []
    for contexts, target in batch:
        scores = outputs @ hidden(inputs, contexts, kind)
        largest = scores.max()
        total.append(largest + math.log(np.exp(scores - largest).sum()) - scores[target])
    return math.fsum(total)


def gradients(inputs: Matrix, outputs: Matrix, batch: list[Example], kind: str | None) -> tuple[Matrix, Matrix]:
    """dE/d inputs and dE/d outputs of `loss`: dE/ds = p - 1 at the target.

    Every context gets dE/dh dh/dx: a C-th of dE/dh when h is a mean. "mean_word2vec" gives each the whole.
    """
    d_inputs, d_outputs = np.zeros_like(inputs), np.zeros_like(outputs)
    for contexts, target in batch:
        h = hidden(inputs, contexts, kind)
        slopes = softmax(outputs @ h)
        slopes[target] -= 1.0
        d_outputs += np.outer(slopes, h)
        d_hidden = slopes @ outputs
        for context in contexts:
            d_inputs[context] += d_hidden / len(contexts) if kind == "mean" else d_hidden
    return d_inputs, d_outputs


def curvatures(inputs: Matrix, outputs: Matrix, batch: list[Example], kind: str | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How curved the loss is in each input and each output vector, at most: where 1 / that is less, it is the step.

    Output vectors: sum of p |h|^2. Hidden vectors: the trace of the covariance of the output vectors under p. Both: and a quarter of the
    sum of p + t over their mixed derivatives. What a step of its C contexts, times their share of the gradient, does to h is C times the
    weight of each in h: so much more counts for each of them.
    """
    of_inputs, of_outputs = np.zeros(len(inputs)), np.zeros(len(outputs))
    for contexts, target in batch:
        h = hidden(inputs, contexts, kind)
        p = softmax(outputs @ h)
        of_outputs += p * (h @ h) + p / 4
        of_outputs[target] += 1 / 4
        trace = p @ ((outputs - p @ outputs) ** 2).sum(axis=1)
        for context in contexts:
            of_inputs[context] += (trace + 2 / 4) * {None: 1, "mean": 1 / len(contexts), "mean_word2vec": 1, "sum": len(contexts)}[kind]
    return of_inputs, of_outputs


def steps(rate: float, bounds: NDArray[np.float64]) -> Matrix:
    """The learning rate, or 1 / bound where that is less, as a column."""
    return (rate / np.maximum(1.0, rate * bounds))[:, None]


def train(
    text: Text,
    borders: list[int],
    inputs: Matrix,
    outputs: Matrix,
    rates: tuple[float, float, int],
    kind: str | None,
) -> tuple[float, int, int]:
    """A step down the summed gradient for each batch of centres borders[b]..borders[b + 1] - 1, both matrices in place.

    The learning rate of a batch is that of its first centre; no vector goes farther than 1 / its curvature. Loss before the steps,
    examples, centres.
    """
    total, n_examples = [], 0
    for first, last in zip(borders[:-1], borders[1:], strict=True):
        batch = examples(text, first, last, kind)
        total.append(loss(inputs, outputs, batch, kind))
        d_inputs, d_outputs = gradients(inputs, outputs, batch, kind)
        rate = learning_rate(*rates, text[3] + first)
        input_steps, output_steps = (steps(rate, bounds) for bounds in curvatures(inputs, outputs, batch, kind))
        inputs -= input_steps * d_inputs
        outputs -= output_steps * d_outputs
        n_examples += len(batch)
    return math.fsum(total), n_examples, borders[-1] - borders[0]
