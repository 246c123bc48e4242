"""Skip-gram and CBOW with negative sampling, NCE and hierarchical softmax in float64, slow and plain: NumPy and the standard library only.

Letters: h hidden vector, v output vector, s = v.h, d = +1 or -1: which answer is right, 0: not asked, b what a score is corrected by.
A part is a list of (row, d, b): the rows of the output matrix that are met at once.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Text = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8], int]  # tokens, offsets, radius, global number of tokens[0]
Noise = tuple[NDArray[np.uint32], NDArray[np.int32], int, NDArray[np.float32], int]  # alias table, key, correction of each word, uses
Part = list[tuple[int, float, float]]
Path = list[tuple[int, float]]  # nodes from the root, and which branch is taken
MASK = (1 << 64) - 1
NODES_A_PART = 4


def splitmix64(key: int, counter: int) -> int:
    """Output number `counter` (from 0) of SplitMix64 started at `key`."""
    bits = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def draw_noise(key: int, counter: int, n_negatives: int, threshold: NDArray[np.uint32], other: NDArray[np.int32]) -> list[int]:
    """The noise words of the draws counter, counter + 1 ..."""
    words = []
    for k in range(n_negatives):
        bits = splitmix64(key, counter + k)
        column = ((bits >> 32) * len(threshold)) >> 32
        words.append(column if (bits & 0xFFFFFFFF) < int(threshold[column]) else int(other[column]))
    return words


def learning_rate(start: float, minimum: float, n_centres: int, n: int) -> float:
    """The rate of global centre n: falls in a line that would end at `minimum`, and stays there."""
    return max(minimum, start - (start - minimum) * n / n_centres)


def sigma(score: float) -> float:
    """The logistic function, without overflow."""
    return 1.0 / (1.0 + math.exp(-score)) if score >= 0 else math.exp(score) / (1.0 + math.exp(score))


def softplus(score: float) -> float:
    """log(1 + exp(score)) = -log sigma(-score), without overflow."""
    return max(score, 0.0) + math.log1p(math.exp(-abs(score)))


def noise_part(centre: int, noise: list[int], correction: NDArray[Any] | None) -> Part:
    """The centre, and noise that is not the centre."""
    words = [(centre, 1.0)] + [(word, 0.0 if word == centre else -1.0) for word in noise]
    return [(word, d, float(correction[word]) if correction is not None else 0.0) for word, d in words]


def path_parts(path: Path) -> list[Part]:
    """A path in parts, trained one after the other."""
    whole = [(node, d, 0.0) for node, d in path]
    return [whole[i : i + NODES_A_PART] for i in range(0, len(whole), NODES_A_PART)]


def loss_of(hidden: list[Matrix], outputs: Matrix, part: Part) -> float:
    """-log sigma(d (s - b)), summed over hidden vectors and the rows that are asked."""
    return sum(softplus(-d * (float(outputs[row] @ h) - b)) for h in hidden for row, d, b in part if d)


def hidden_of(inputs: Matrix, contexts: list[int], kind: Any) -> list[Matrix]:
    """The hidden vectors of a window, as views where they are rows."""
    if not kind.cbow:
        return [inputs[context] for context in contexts]
    return [inputs[contexts].sum(axis=0) / (len(contexts) if kind.divides_hidden else 1)]


def gradients(inputs: Matrix, outputs: Matrix, contexts: list[int], part: Part, kind: Any) -> tuple[Matrix, Matrix]:
    """dE/d inputs and dE/d outputs of `loss_of` one part: dE/ds = sigma(s - b) - 1 for d = 1, sigma(s - b) for d = -1."""
    d_inputs, d_outputs = np.zeros_like(inputs), np.zeros_like(outputs)
    of_hidden = np.zeros((len(contexts), inputs.shape[1]))
    for i, h in enumerate(hidden_of(inputs, contexts, kind)):
        for row, d, b in part:
            slope = (sigma(float(outputs[row] @ h) - b) - (d > 0)) if d else 0.0
            of_hidden[i] += slope * outputs[row]
            d_outputs[row] += slope * h
    for i, context in enumerate(contexts):
        d_inputs[context] += of_hidden[0] / (len(contexts) if kind.divides_hidden else 1) if kind.cbow else of_hidden[i]
    return d_inputs, d_outputs


def train_part(hidden: list[Matrix], outputs: Matrix, part: Part, rate: float, moves: int) -> float:
    """One step in place; the loss before it. Hidden vectors move in turn, and changes of outputs see them as their turn comes."""
    loss = loss_of(hidden, outputs, part)
    start = [outputs[row].copy() for row, _, _ in part]
    changes = [np.zeros_like(v) for v in start]
    steps = [[rate * abs(d) * ((d > 0) - sigma(float(v @ h) - b)) for v, (_, d, b) in zip(start, part, strict=True)] for h in hidden]
    for h, of_h in zip(hidden, steps, strict=True):
        for j, step in enumerate(of_h):
            changes[j] += step * h
        if moves & 1:
            h[:] = h + sum(step * v for step, v in zip(of_h, start, strict=True))
    for (row, _, _), change in zip(part, changes, strict=True):
        if moves & 2:
            outputs[row] += change
    return loss


def train_window(inputs: Matrix, outputs: Matrix, contexts: list[int], parts: list[Part], rate: float, kind: Any) -> float:
    """One window in place, part by part; the sum of their losses. CBOW's contexts get what the hidden vector has moved, or their share."""
    if kind.cbow:
        (hidden,) = hidden_of(inputs, contexts, kind)
        before = hidden.copy()
        loss = sum(train_part([hidden], outputs, part, rate, kind.moves) for part in parts)
        for context in contexts if kind.moves & 1 else []:
            inputs[context] += (hidden - before) / (len(contexts) if kind.divides_change else 1)
        return loss
    return sum(train_part([inputs[context] for context in contexts], outputs, part, rate, kind.moves) for part in parts)


def window(text: Text, i: int) -> list[int]:
    """The contexts of position i, from left to right."""
    tokens, offsets, radius, _ = text
    start, stop = next((a, b) for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True) if a <= i < b)
    reach = int(radius[i])
    return [int(tokens[p]) for p in range(max(start, i - reach), min(stop, i + reach + 1)) if p != i]


def train(
    text: Text,
    first: int,
    last: int,
    inputs: Matrix,
    outputs: Matrix,
    targets: Noise | list[Path],
    rates: tuple[float, float, int],
    kind: Any,
) -> tuple[float, int, int]:
    """The centres first..last-1 in order, both matrices in place; loss, examples and centres.

    Targets are noise, or the paths of all words. Draw k of set m of noise words is number m K + k. Batches of 64 U windows have 64 sets,
    each for U windows that are 64 apart: with U 1, window n has set n. With noise of its own for every pair, context c of centre n has set
    n 128 + c, and the pairs of a centre are trained one after the other.
    """
    tokens, _, _, base = text
    loss, n_examples = 0.0, 0
    for i in range(first, last):
        n, contexts, centre = base + i, window(text, i), int(tokens[i])
        rate = learning_rate(*rates, n)
        examples = [([context], (n * 128 + c)) for c, context in enumerate(contexts)] if kind.per_pair else [(contexts, None)]
        for part_of_window, own in examples if contexts else []:
            if isinstance(targets, list):
                parts = path_parts(targets[centre])
            else:
                threshold, other, key, correction, uses = targets
                number = n // (64 * uses) * 64 + n % 64 if own is None else own
                words = draw_noise(int(key), number * kind.n_negatives, kind.n_negatives, threshold, other)
                parts = [noise_part(centre, words, correction if kind.corrected else None)]
            loss += train_window(inputs, outputs, part_of_window, parts, rate, kind)
        n_examples += (1 if contexts else 0) if kind.cbow else len(contexts)
    return loss, n_examples, last - first
