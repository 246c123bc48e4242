"""The walk over the windows of a text: skip-gram or CBOW, with any loss of `kernels.outputs`.

A model says what the hidden vectors of a window are and where their changes go; a loss says which output rows they meet. The
arithmetic where both meet is in `kernels.tiles`.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.jit import inlined
from kernels.noise import AHEAD, sampled
from kernels.outputs import Floats
from kernels.text import Rates, Text, largest_radius, learning_rate, sentence_at
from kernels.tiles import (
    address_rows,
    gather_rows,
    grade_corrected_window,
    grade_window,
    keep_alive,
    scatter_change,
    score_window,
    update_window,
)
from kernels.tree import hierarchical
from kernels.windows import MAX_CONTEXTS, all_floats

N_TALLIES = 3  # loss in nats, examples, centres
MOVE_INPUTS, MOVE_OUTPUTS = 1, 2  # which rows a window may change: their sum

Vectors = NDArray[np.float32]


# V vocabulary, D dimension, K negatives
class Kind(NamedTuple):
    """What is constant in the machine code of a trainer."""

    n_negatives: int = 5
    """Noise words for every true one; 0: hierarchical softmax."""
    per_pair: bool = False
    """Whether each pair of a centre and a context draws noise of its own."""
    corrected: bool = False
    """Whether the loss is NCE, not negative sampling."""
    cbow: bool = False
    """Whether the hidden vector is made of all contexts, and not each of them one (skip-gram)."""
    divides_hidden: bool = True
    """Of CBOW: the mean of the contexts, not their sum."""
    divides_change: bool = True
    """Of CBOW: each context gets its share of the change of the hidden vector, not all of it."""
    moves: int = MOVE_INPUTS + MOVE_OUTPUTS
    """Which matrices are trained; the other one is frozen."""
    n_dimensions: int = 0
    """D, or 0: any."""


@functools.cache
def trainer(kind: Kind, width: int) -> Callable[..., None]:  # noqa: PLR0915 - one loop: parts of it would pass all of its arrays
    """A function for kernels that trains the centres first..last-1 of a text, in order, in place.

    Its parameters: text, first, last, input and output matrix from `new_vectors`, targets (`Noise`, or `Tree` where K is 0), rates, D,
    tallies float64 (3,) that it adds to: loss in nats, examples, centres. An example is a hidden vector and a centre.

    Notes
    -----
    Mikolov et al. 2013, equation 4; Rong 2014. As in the reference program the context gives the hidden vector and the centre is the
    output. Scores are those at the start of a part. Differs from it: scores beyond +-6 still train, the sigmoid is no table. Stretches one
    after the other give the same vectors as one call.
    """
    per_pair, cbow, divides_hidden, divides_change, moves = kind.per_pair, kind.cbow, kind.divides_hidden, kind.divides_change, kind.moves
    loss = sampled(kind.n_negatives, width, per_pair=per_pair, corrected=kind.corrected) if kind.n_negatives else hierarchical(width)
    n_outputs, corrected, new_scratch, prepare, find, begin, end = loss
    n_soon = n_outputs + 1
    n_floats = all_floats(n_outputs, width)
    constant_blocks = -(-kind.n_dimensions // width)
    one_input = cbow or per_pair

    @inlined
    def train(  # noqa: PLR0915
        text: Text,
        first: int,
        last: int,
        input_vectors: Vectors,
        output_vectors: Vectors,
        targets: Any,
        rates: Rates,
        n_dimensions: int,
        tallies: NDArray[np.float64],
    ) -> None:
        tokens, offsets, radius, base = text
        scratch = new_scratch(targets)
        contexts, outputs, soon = np.empty(MAX_CONTEXTS, np.int64), np.empty(n_outputs, np.int64), np.empty(n_soon, np.int64)
        scores = np.zeros(n_floats, np.float32)
        made = np.zeros((2, input_vectors.shape[1]), np.float32)  # a hidden vector, and as it was at first
        hidden = np.empty(2, np.int64)
        address_rows(np.arange(2).astype(np.int32), made, 0, 2, hidden, 0)
        total, exponents = no_loss(width)
        n_blocks = constant_blocks or (n_dimensions + width - 1) // width
        reach = largest_radius(radius, first, last)
        sentence, position, prepared, n_examples = sentence_at(offsets, first), first, first, 0
        while position < last:
            start, stop = offsets[sentence], offsets[sentence + 1]
            until = min(stop, last)
            for centre in range(position, until):
                if prepared <= centre + AHEAD and prepared < last:
                    prepared = prepare(scratch, targets, text, prepared, last)
                left, right = max(start, centre - radius[centre]), min(stop, centre + radius[centre] + 1)
                n_contexts = right - left - 1
                if n_contexts == 0:
                    continue
                address_rows(tokens, input_vectors, left, centre, contexts, 0)
                address_rows(tokens, input_vectors, centre + 1, right, contexts, centre - left)
                share = np.float32(1.0) / np.float32(n_contexts)
                if cbow:
                    gather_rows(contexts, n_contexts, hidden, share if divides_hidden else np.float32(1.0), n_blocks, width)
                n_inputs = 1 if one_input else n_contexts
                inputs = hidden if one_input else contexts
                rate = np.float32(learning_rate(rates, base + centre))
                place, n_parts = find(scratch, targets, text, centre)
                next_place, n_next = find(scratch, targets, text, min(centre + AHEAD, offsets[-1] - 1))
                newest = min(centre + AHEAD + reach, offsets[-1] - 1)
                for part in range(n_contexts if per_pair else n_parts):
                    if per_pair:
                        inputs[0] = contexts[part]
                    address_rows(scratch.rows, output_vectors, place, place + n_outputs, outputs, 0)
                    score_window(inputs, n_inputs, outputs, scores, n_blocks, n_outputs, width)
                    begin(scratch, place, n_inputs)
                    if corrected:
                        grade_corrected_window(
                            n_inputs, scores, scratch.signs, rate, total, exponents, scratch.corrections, n_outputs, width
                        )
                    else:
                        grade_window(n_inputs, scores, scratch.signs, rate, total, exponents, n_outputs, width)
                    # A part of a coming centre, the last first, and the one context that no centre before it had.
                    next_part = next_place + max(0, n_next - 1 - part) * n_outputs
                    address_rows(scratch.rows, output_vectors, next_part, next_part + n_outputs, soon, 0)
                    address_rows(tokens, input_vectors, newest, newest + 1, soon, n_outputs)
                    update_window(inputs, n_inputs, outputs, scores, n_blocks, n_outputs, width, moves, soon, n_soon)
                    end(scratch, place, n_inputs)
                    place += n_outputs
                if cbow and moves & MOVE_INPUTS:
                    scatter_change(contexts, n_contexts, hidden, share if divides_change else np.float32(1.0), n_blocks, width)
                n_examples += 1 if cbow else n_contexts
                if centre % 64 == 0:
                    tallies[0] += take_loss(total, exponents, width)
            position = until
            sentence += 1
        keep_alive(made)
        tallies[0] += take_loss(total, exponents, width)
        tallies[1] += n_examples
        tallies[2] += last - first

    return train


@inlined
def no_loss(width: int) -> tuple[Floats, NDArray[np.int32]]:
    """Where `grade_window` gathers loss: sums and products, and the powers of two of the products."""
    loss = np.zeros(2 * width, np.float32)
    loss[width:] = 1.0
    return loss, np.zeros(width, np.int32)


@inlined
def take_loss(loss: Floats, exponents: NDArray[np.int32], width: int) -> float:
    """The loss gathered by `grade_window`, in nats; empties it in place."""
    total = 0.0
    for lane in range(width):
        total += loss[lane] + exponents[lane] * math.log(2.0) + math.log(loss[width + lane])
        loss[lane], loss[width + lane], exponents[lane] = 0.0, 1.0, 0
    return total
