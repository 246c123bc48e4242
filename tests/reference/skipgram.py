"""Skip-gram with negative sampling in float64, slow and plain: NumPy and the standard library only.

Letters: c context, j output (0 the true word), h input vector, v output vector, s = v.h.
"""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Text = tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.uint8], int]  # tokens, offsets, radius, global number of tokens[0]
Noise = tuple[NDArray[np.uint32], NDArray[np.int32], int]  # alias table and key
MASK = (1 << 64) - 1


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


def window_loss(inputs: Matrix, outputs: Matrix, contexts: list[int], centre: int, noise: list[int]) -> float:
    """Over contexts, -log sigma(v_centre.h) - sum over noise of log sigma(-v_noise.h); noise that is the centre left out."""
    total = 0.0
    for context in contexts:
        total += softplus(-float(outputs[centre] @ inputs[context]))
        total += sum(softplus(float(outputs[word] @ inputs[context])) for word in noise if word != centre)
    return total


def window_gradients(inputs: Matrix, outputs: Matrix, contexts: list[int], centre: int, noise: list[int]) -> tuple[Matrix, Matrix]:
    """dE/d inputs and dE/d outputs of `window_loss`, everything at the start of the window: dE/ds = sigma(s) - label."""
    d_inputs, d_outputs = np.zeros_like(inputs), np.zeros_like(outputs)
    words = [(centre, 1.0)] + [(word, 0.0) for word in noise if word != centre]
    for context in contexts:
        for word, label in words:
            slope = sigma(float(outputs[word] @ inputs[context])) - label
            d_inputs[context] += slope * outputs[word]
            d_outputs[word] += slope * inputs[context]
    return d_inputs, d_outputs


def train_window(inputs: Matrix, outputs: Matrix, contexts: list[int], centre: int, noise: list[int], rate: float) -> float:
    """One step in place; the loss before it. Contexts move one after the other, and changes of outputs see them as their turn comes."""
    loss = window_loss(inputs, outputs, contexts, centre, noise)
    words = [centre, *noise]
    labels = [1.0] + [0.0] * len(noise)
    counts = [1.0] + [0.0 if word == centre else 1.0 for word in noise]
    start = outputs[words].copy()
    scores = [[float(v @ inputs[context]) for v in start] for context in contexts]
    changes = np.zeros_like(start)
    for c, context in enumerate(contexts):
        steps = [rate * n * (label - sigma(s)) for n, label, s in zip(counts, labels, scores[c], strict=True)]
        for j, step in enumerate(steps):
            changes[j] += step * inputs[context]
        inputs[context] += sum(step * v for step, v in zip(steps, start, strict=True))
    for word, change in zip(words, changes, strict=True):
        outputs[word] += change
    return loss


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
    noise: Noise,
    rates: tuple[float, float, int],
    n_negatives: int,
    *,
    per_pair: bool,
) -> tuple[float, int, int]:
    """The centres first..last-1 in order, both matrices in place; loss, pairs and centres.

    Draw k of global centre n is number n K + k; with noise of its own for every pair, that of context c is number (n 128 + c) K + k, and
    the pairs of a centre are trained one after the other.
    """
    tokens, _, _, base = text
    threshold, other, key = noise
    loss, n_pairs = 0.0, 0
    for i in range(first, last):
        n, contexts = base + i, window(text, i)
        rate = learning_rate(*rates, n)
        if per_pair:
            parts = [([context], (n * 128 + c) * n_negatives) for c, context in enumerate(contexts)]
        else:
            parts = [(contexts, n * n_negatives)]
        for part, counter in parts:
            words = draw_noise(int(key), counter, n_negatives, threshold, other)
            loss += train_window(inputs, outputs, part, int(tokens[i]), words, rate)
        n_pairs += len(contexts)
    return loss, n_pairs, last - first
