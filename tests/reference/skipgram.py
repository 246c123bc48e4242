"""Skip-gram with negative sampling in float64, slow and plain: NumPy and the standard library only.

Letters: c context, j output (0 the true word), h input vector, v output vector, s = v.h.
"""

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
MASK = (1 << 64) - 1


def splitmix64(key: int, counter: int) -> int:
    """Output number `counter` (from 0) of SplitMix64 started at `key`."""
    bits = (key + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & MASK
    return bits ^ (bits >> 31)


def draw_noise(key: int, centre_number: int, n_negatives: int, threshold: NDArray[np.uint32], other: NDArray[np.int32]) -> list[int]:
    """The noise words of one centre."""
    words = []
    for k in range(n_negatives):
        bits = splitmix64(key, centre_number * n_negatives + k)
        column = ((bits >> 32) * len(threshold)) >> 32
        words.append(column if (bits & 0xFFFFFFFF) < int(threshold[column]) else int(other[column]))
    return words


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


def train(
    tokens: NDArray[np.int32],
    offsets: NDArray[np.int64],
    radius: NDArray[np.uint8],
    first_centre: int,
    inputs: Matrix,
    outputs: Matrix,
    threshold: NDArray[np.uint32],
    other: NDArray[np.int32],
    n_negatives: int,
    noise_key: int,
    start_rate: float,
    min_rate: float,
    n_centres_total: int,
) -> tuple[float, int, int]:
    """All sentences in order, both matrices in place; loss, pairs and centres."""
    loss, n_pairs, n_centres = 0.0, 0, 0
    for start, stop in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
        number = first_centre + start - int(offsets[0])
        rate = max(min_rate, start_rate - (start_rate - min_rate) * number / n_centres_total)
        for i in range(start, stop):
            reach = int(radius[i])
            contexts = [int(tokens[p]) for p in range(max(start, i - reach), min(stop, i + reach + 1)) if p != i]
            noise = draw_noise(noise_key, first_centre + i - int(offsets[0]), n_negatives, threshold, other)
            loss += train_window(inputs, outputs, contexts, int(tokens[i]), noise, rate)
            n_pairs += len(contexts)
            n_centres += 1
    return loss, n_pairs, n_centres
