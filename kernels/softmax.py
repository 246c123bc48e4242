"""The full softmax of a batch of examples: p = softmax(V' h), E = -log p(target), with matrix products by BLAS (Rong 2014, section 1).

Examples of one batch that share a hidden vector are one row of the products: in skip-gram all pairs with the same context word. The
vocabulary is cut into blocks of columns. For each block the exponentials are taken relative to the largest score of the block, not of the
row, so that they and their product with the output vectors are made while the block is in the cache; a weight for each row and block
makes them probabilities afterwards (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax"). Blocks may be computed at the
same time; what they give is added up in their order. Nothing here starts threads.

The step of a batch is the sum of the steps of its examples, as SGD would take them; but a vector that many examples pull at would be
thrown past its optimum, and training diverge. So a step is shortened to 1 / L where the learning rate is above that: L bounds the second
derivatives of the loss in this vector. Those of an output vector are the sum of p (1 - p) h h', at most the sum of p |h|^2; those of h
are the covariance of the output vectors under p, at most its trace; and mixed ones are p - t, of which the sum of p + t is taken, by MIXED.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined, kernel
from kernels.text import Text

MOST_BLOCKS = 16  # no more threads than that are of use, and as many copies of the gradient of the hidden vectors are held
# With 0, batches of 1,024 centres diverge at a rate of 0.1 (2,000 words). 0.25 held at a rate of 1; 1 would be a bound, and learns slower.
MIXED = np.float32(0.25)
LEAST_WORDS = 192  # of a block, about: products of fewer columns are slower

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]

_LOG2_E = np.float32(1.4426950408889634)
_LEAST = np.float32(-80.0)  # exp(-80) is a normal float32
_HALF = np.float32(0.5)
# 2**f for f in [-1/2, 1/2]: the polynomial of kernels.lanes, whose intrinsics work on registers; here LLVM vectorises a plain loop.
_C0, _C1, _C2, _C3, _C4, _C5 = (
    np.float32(c) for c in (1.0, 0.6931469440460205, 0.24022120237350464, 0.05550713092088699, 0.009675541892647743, 0.001327647129073739)
)


# V vocabulary, D dimension, R rows, C contexts, N examples, B blocks, W words of a block
class Batch(NamedTuple):
    """Which words make the hidden vector of each row, and which are its targets; and for every word the rows, rising."""

    context_starts: Ints
    """int32 (R + 1,): the contexts of row r are contexts[context_starts[r]:context_starts[r + 1]]."""
    contexts: Ints
    """int32 (C,)."""
    target_starts: Ints
    """int32 (R + 1,), as context_starts. A row of skip-gram has one context and many targets, one of CBOW many contexts and one target."""
    targets: Ints
    """int32 (N,)."""
    starts_of_context: Ints
    """int32 (V + 1,): word w is a context of rows_of_context[starts_of_context[w]:starts_of_context[w + 1]]."""
    rows_of_context: Ints
    """int32 (C,)."""
    starts_of_target: Ints
    """int32 (V + 1,): word w is a target of rows_of_target[starts_of_target[w]:starts_of_target[w + 1]]."""
    rows_of_target: Ints
    """int32 (N,)."""


def column_borders(n_words: int) -> list[int]:
    """Where blocks of columns begin and end, B + 1 numbers: a function of V alone, so that threads do not change a sum."""
    n_blocks = 1
    while n_blocks < MOST_BLOCKS and n_words >= 2 * n_blocks * LEAST_WORDS:
        n_blocks *= 2
    width = -(-n_words // n_blocks // 16) * 16 if n_blocks > 1 else n_words
    return [*range(0, n_words, width), n_words]


@kernel
def read_batch(text: Text, first: int, last: int, cbow: bool, n_words: int) -> Batch:
    """The examples of the centres at positions first..last-1; a centre without contexts has none. The centre is the target.

    Skip-gram has an example for each context of each centre, and a row for each different context, in order of appearance; CBOW has an
    example and a row for each centre.
    """
    window_starts, words, centres = _windows(text, first, last)
    if cbow:
        context_starts, contexts = window_starts, words
        target_starts, targets = np.arange(centres.size + 1).astype(np.int32), centres
    else:
        contexts, rows = _distinct(words, n_words)
        context_starts = np.arange(contexts.size + 1).astype(np.int32)
        target_starts, targets = _invert(window_starts, rows, contexts.size)
        for i in range(targets.size):
            targets[i] = centres[targets[i]]
    starts_of_context, rows_of_context = _invert(context_starts, contexts, n_words)
    starts_of_target, rows_of_target = _invert(target_starts, targets, n_words)
    return Batch(context_starts, contexts, target_starts, targets, starts_of_context, rows_of_context, starts_of_target, rows_of_target)


@inlined
def _windows(text: Text, first: int, last: int) -> tuple[Ints, Ints, Ints]:
    """The n centres with contexts: where the contexts of each start, int32 (n + 1,), the words of these, and those of the centres."""
    tokens, offsets, radius, _ = text
    starts, centres = np.zeros(last - first + 1, np.int32), np.empty(last - first, np.int32)
    most = np.int64(0)
    for i in range(first, last):
        most += 2 * np.int64(radius[i])
    words = np.empty(most, np.int32)
    sentence = int(np.searchsorted(offsets, first, side="right")) - 1
    n, n_centres = 0, 0
    for i in range(first, last):
        while offsets[sentence + 1] <= i:
            sentence += 1
        reach = np.int64(radius[i])
        begin = n
        for j in range(max(offsets[sentence], i - reach), min(offsets[sentence + 1], i + reach + 1)):
            if j != i:
                words[n] = tokens[j]
                n += 1
        if n > begin:
            centres[n_centres] = tokens[i]
            n_centres += 1
            starts[n_centres] = n
    return starts[: n_centres + 1].copy(), words[:n].copy(), centres[:n_centres].copy()


@inlined
def _distinct(words: Ints, n_words: int) -> tuple[Ints, Ints]:
    """The different words, in order of appearance, and the place of every word among them."""
    place_of = np.full(n_words, -1, np.int32)
    found, places = np.empty(words.size, np.int32), np.empty(words.size, np.int32)
    n = 0
    for i in range(words.size):
        if place_of[words[i]] < 0:
            place_of[words[i]] = n
            found[n] = words[i]
            n += 1
        places[i] = place_of[words[i]]
    return found[:n].copy(), places


@inlined
def _invert(starts: Ints, values: Ints, n_values: int) -> tuple[Ints, Ints]:
    """Of lists values[starts[i]:starts[i + 1]] the lists of all i that have value v, for each v below n_values, rising."""
    starts_of = np.zeros(n_values + 1, np.int32)
    for i in range(values.size):
        starts_of[values[i] + 1] += 1
    for v in range(n_values):
        starts_of[v + 1] += starts_of[v]
    place, lists = starts_of.copy(), np.empty(values.size, np.int32)
    for i in range(starts.size - 1):
        for k in range(starts[i], starts[i + 1]):
            lists[place[values[k]]] = i
            place[values[k]] += 1
    return starts_of, lists


@kernel
def gather_hidden(inputs: Floats, batch: Batch, forward: Floats, hidden: Floats) -> None:
    """Write the hidden vectors, float32 (R, D + 1), in place: the sum of the context vectors times forward[row], then |h|^2 + MIXED."""
    n_dimensions = hidden.shape[1] - 1
    for row in range(hidden.shape[0]):
        for j in range(n_dimensions):
            hidden[row, j] = 0.0
        for i in range(batch.context_starts[row], batch.context_starts[row + 1]):
            word = batch.contexts[i]
            for j in range(n_dimensions):
                hidden[row, j] += inputs[word, j]
        square = np.float32(0.0)
        for j in range(n_dimensions):
            hidden[row, j] *= forward[row]
            square += hidden[row, j] * hidden[row, j]
        hidden[row, n_dimensions] = square + MIXED


def score_block(hidden: Floats, outputs: Floats, scores: Floats, maxima: Floats, sums: Floats, spreads: Floats, pulls: Floats) -> None:
    """The exponentials of one block of words, not normalised, and their products with the output vectors; all results in place.

    Parameters
    ----------
    hidden, outputs
        float32 (R, D + 1) and (W, D); outputs may have a stride.
    scores
        float32 (R, W): exp(h.v' - maximum of the row in this block).
    maxima, sums, spreads
        float32 (R,): the largest h.v' of each row, NaN where one is NaN, the sum of its exponentials, and the sum of exponential |v'|^2.
    pulls
        float32 (R, D): scores times outputs.
    """
    with np.errstate(all="ignore"):  # a run that diverges shows it in its loss
        np.matmul(hidden[:, :-1], outputs.T, out=scores)
        np.max(scores, axis=1, out=maxima)
        exponentiate(scores, maxima, np.einsum("wd,wd->w", outputs, outputs), sums, spreads)
        np.matmul(scores, outputs, out=pulls)


@kernel
def exponentiate(scores: Floats, maxima: Floats, squares: Floats, sums: Floats, spreads: Floats) -> None:
    """Replace scores float32 (R, W) by exp(score - maxima[row]), and write the sums of the rows, and weighted by squares (W,); in place.

    The relative error is below 3e-7 * (1 - power) for powers down to -80; lower ones count as -80.
    """
    n_rows, n_words = scores.shape
    for r in range(n_rows):
        row = scores[r]
        bits = row.view(np.int32)
        largest = maxima[r]
        for j in range(n_words):
            power = row[j] - largest
            power = power if power > _LEAST else _LEAST
            whole = np.int32(power * _LOG2_E - _HALF)
            x = power * _LOG2_E - np.float32(whole)
            square = x * x
            row[j] = (square * (_C5 * x + _C4) + (_C3 * x + _C2)) * square + (_C1 * x + _C0)
            bits[j] += whole << 23
        total, spread = np.float32(0.0), np.float32(0.0)
        for j in range(n_words):
            total += row[j]
            spread += row[j] * squares[j]
        sums[r], spreads[r] = total, spread


@kernel
def weigh_rows(
    batch: Batch,
    hidden: Floats,
    outputs: Floats,
    blocks: tuple[Floats, Floats, Floats, Floats],
    shares: tuple[Floats, Floats],
    weights: Floats,
    d_hidden: Floats,
    curvature: Floats,
) -> float:
    """Put the blocks of a batch together, before any vector moves; the loss of the batch in nats.

    Parameters
    ----------
    batch, hidden, outputs
        The rows, their hidden vectors float32 (R, D + 1), the output vectors of all words.
    blocks
        The maxima, sums, spreads and pulls of `score_block`, float32 (B, R), three times, and (B, R, D); they may have more rows.
    shares
        float32 (R,) each: what the sum of the contexts is multiplied by to be h, and how much of dE/dh each context gets.
    weights
        Written in place, float32 (B, R): what makes the exponentials of a row and block its probabilities, times the targets of the row.
    d_hidden
        Written in place, float32 (R, D): what each context of the row gets.
    curvature
        Written in place, float32 (R,): the part of L that the row gives to each of its contexts.
    """
    maxima, sums, spreads, pulls = blocks
    forward, backward = shares
    n_blocks, n_dimensions = maxima.shape[0], d_hidden.shape[1]
    loss = 0.0
    for row in range(hidden.shape[0]):
        n_contexts = batch.context_starts[row + 1] - batch.context_starts[row]
        first, last = batch.target_starts[row], batch.target_starts[row + 1]
        largest, total = _total(maxima, sums, row)
        loss += (last - first) * (largest + math.log(total))
        spread = 0.0
        pull = d_hidden[row]
        for j in range(n_dimensions):
            pull[j] = 0.0
        for b in range(n_blocks):
            weight = np.float32((last - first) * math.exp(np.float64(maxima[b, row]) - largest) / total)
            weights[b, row] = weight
            spread += np.float64(weight) * np.float64(spreads[b, row])
            for j in range(n_dimensions):
                pull[j] += weight * pulls[b, row, j]
        square = 0.0
        for j in range(n_dimensions):
            square += np.float64(pull[j]) * np.float64(pull[j])
        # If all contexts move together, h moves forward * n_contexts times as far as each.
        together = np.float64(forward[row]) * np.float64(backward[row]) * n_contexts
        n_targets = last - first
        curvature[row] = np.float32(together * (max(0.0, spread - square / n_targets) + 2.0 * np.float64(MIXED) * n_targets))
        for i in range(first, last):
            target = batch.targets[i]
            score = 0.0
            for j in range(n_dimensions):
                score += np.float64(hidden[row, j]) * np.float64(outputs[target, j])
                pull[j] -= outputs[target, j]
            loss -= score
        for j in range(n_dimensions):
            pull[j] *= backward[row]
    return loss


@inlined
def _total(maxima: Floats, sums: Floats, row: int) -> tuple[float, float]:
    """The largest score of a row, and the sum of exp(score - largest), from those of the blocks; NaN where a score is NaN."""
    largest = np.float64(maxima[0, row])
    for b in range(maxima.shape[0]):
        if maxima[b, row] > largest or maxima[b, row] != maxima[b, row]:
            largest = np.float64(maxima[b, row])
    total = 0.0
    for b in range(maxima.shape[0]):
        total += np.float64(sums[b, row]) * math.exp(np.float64(maxima[b, row]) - largest)
    return largest, total


def step_block(
    batch: Batch,
    first: int,
    scores: Floats,
    weights: Floats,
    hidden: Floats,
    d_hidden: Floats,
    curvature: Floats,
    scaled: Floats,
    slopes: Floats,
    inputs: Floats,
    outputs: Floats,
    rate: float,
) -> None:
    """Move the input and output vectors of the words of one block down the gradient of the batch, in place.

    Parameters
    ----------
    batch, first
        The rows, and the first word of the block.
    scores, weights
        Of `score_block`, float32 (R, W), and of `weigh_rows` for this block, float32 (R,).
    hidden, d_hidden, curvature
        Of the batch, float32 (R, D + 1), (R, D) and (R,).
    scaled, slopes
        Scratch, float32 (R, D + 1) and (W, D + 1).
    inputs, outputs
        float32 (V, at least D), whole.
    rate
        The learning rate of the batch.
    """
    with np.errstate(all="ignore"):
        np.multiply(hidden, weights[:, None], out=scaled)
        np.matmul(scores.T, scaled, out=slopes)
    _move(batch, first, slopes, hidden, d_hidden, curvature, inputs, outputs, np.float32(rate))


@kernel
def _move(
    batch: Batch,
    first: int,
    slopes: Floats,
    hidden: Floats,
    d_hidden: Floats,
    curvature: Floats,
    inputs: Floats,
    outputs: Floats,
    rate: np.float32,
) -> None:
    """Take the targets off the slopes, and move the vectors of the words first..first + W - 1; in place."""
    n_words, n_dimensions = slopes.shape[0], d_hidden.shape[1]
    for w in range(n_words):
        word = first + w
        for i in range(batch.starts_of_target[word], batch.starts_of_target[word + 1]):
            row = batch.rows_of_target[i]
            for j in range(n_dimensions):
                slopes[w, j] -= hidden[row, j]
        n_targets = batch.starts_of_target[word + 1] - batch.starts_of_target[word]
        step = _step(rate, slopes[w, n_dimensions] + MIXED * np.float32(n_targets))
        for j in range(n_dimensions):
            outputs[word, j] -= step * slopes[w, j]
        bound = np.float32(0.0)
        for i in range(batch.starts_of_context[word], batch.starts_of_context[word + 1]):
            bound += curvature[batch.rows_of_context[i]]
        step = _step(rate, bound)
        for i in range(batch.starts_of_context[word], batch.starts_of_context[word + 1]):
            row = batch.rows_of_context[i]
            for j in range(n_dimensions):
                inputs[word, j] -= step * d_hidden[row, j]


@inlined
def _step(rate: np.float32, bound: np.float32) -> np.float32:
    """The learning rate, or 1 / L where that is less."""
    return np.float32(1.0) / bound if rate * bound > np.float32(1.0) else rate
