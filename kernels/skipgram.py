"""Skip-gram with negative sampling over a stretch of text. The arithmetic of a window is in `kernels.tiles`.

The negatives of a centre are shared by all contexts of its window (Ji et al. 2016, "Parallelizing word2vec in shared and distributed
memory"), which turns vector products into small matrix products; or every pair draws its own, as in the reference program.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.alias import draw_alias
from kernels.draws import uniform64
from kernels.jit import inlined
from kernels.tiles import (
    MAX_CONTEXTS,
    ROW_MULTIPLE,
    address_rows,
    grade_window,
    group_size,
    plane_floats,
    prefetch_rows,
    score_window,
    update_window,
    update_window_ahead,
)

MAX_NEGATIVES = 64
MAX_WINDOW = 64
N_TALLIES = 3  # loss in nats, pairs, centres

_RUN = 64  # centres whose noise is drawn together
_AHEAD = 2  # centres between asking for rows and using them
_RING = _RUN * 2

Tokens = NDArray[np.int32]
Radii = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Lanes = NDArray[np.float32]
Layout = tuple[int, int]  # outputs in a group, floats in the plane of a group


# V vocabulary, D dimension, S sentences, T tokens, K negatives
class Text(NamedTuple):
    """Sentences to train on, and where they stand in the run."""

    tokens: Tokens
    """int32 (T,): row numbers below V."""
    offsets: NDArray[np.int64]
    """int64 (S + 1,): sentence s is tokens[offsets[s]:offsets[s + 1]]."""
    radius: Radii
    """uint8 (T,): window radius of each position, at most 64."""
    base: int
    """The global number, over all epochs, of the centre tokens[0]: it keys the noise and sets the learning rate."""


class Noise(NamedTuple):
    """The distribution of noise words as an alias table from `build_alias`, and the key of its draws."""

    threshold: NDArray[np.uint32]
    other: Tokens
    key: np.uint64


class Rates(NamedTuple):
    """The learning rate of global centre n is max(minimum, start - (start - minimum) * n / n_centres)."""

    start: float
    minimum: float
    n_centres: int


@inlined
def learning_rate(rates: Rates, n: int) -> float:
    """The learning rate of a global centre."""
    return max(rates.minimum, rates.start - (rates.start - rates.minimum) * (n / rates.n_centres))


@functools.cache
def window_trainer(n_negatives: int, width: int, constant_dimensions: int = 0) -> Callable[..., None]:
    """A function for kernels that trains the centres first..last-1 of a text, in order, in place; noise is shared by a window.

    The number of negatives, the SIMD width, and D unless it is 0 here, are constants of its machine code. Its parameters: text, first,
    last, input and output matrix from `new_vectors`, noise, rates, D, tallies float64 (3,) that it adds to. Draw k of global centre n
    is uniform64(key, n * K + k).

    Notes
    -----
    Mikolov et al. 2013, equation 4. Scores are those at the start of the window. As in the reference program the context gives the
    hidden vector, the centre is the output, and noise equal to the centre is skipped. Differs from it: negatives are shared, scores
    beyond +-6 still train, the sigmoid is no table. Stretches one after the other give the same vectors as one call.
    """
    n_outputs = n_negatives + 1
    n_soon = n_outputs + 1
    constant_blocks = -(-constant_dimensions // width)
    layout = (group_size(n_outputs, width), plane_floats(n_outputs, width))

    @inlined
    def train(
        text: Text,
        first: int,
        last: int,
        input_vectors: Vectors,
        output_vectors: Vectors,
        noise: Noise,
        rates: Rates,
        n_dimensions: int,
        tallies: NDArray[np.float64],
    ) -> None:
        tokens, offsets, radius, base = text
        contexts, outputs, soon = np.empty(MAX_CONTEXTS, np.int64), np.empty(n_outputs, np.int64), np.empty(n_soon, np.int64)
        ring, skipped = np.zeros(_RING * n_outputs, np.int32), np.zeros(_RING, np.bool_)
        signs, scores = _signs(n_outputs, layout), np.zeros((n_outputs + layout[0] - 1) // layout[0] * layout[1], np.float32)
        loss, exponents = _no_loss(width)
        n_blocks = constant_blocks or (n_dimensions + width - 1) // width
        reach = _reach(radius, first, last)
        sentence, position, drawn, n_pairs = _sentence(offsets, first), first, first, 0
        while position < last:
            start, stop = offsets[sentence], offsets[sentence + 1]
            until = min(stop, last)
            for centre in range(position, until):
                if centre + _AHEAD >= drawn and drawn < last:
                    _draw_outputs(ring, skipped, tokens, drawn, min(drawn + _RUN, last), base, noise)
                    drawn = min(drawn + _RUN, last)
                begin, end = max(start, centre - radius[centre]), min(stop, centre + radius[centre] + 1)
                n_contexts = end - begin - 1
                if n_contexts == 0:
                    continue
                slot = centre % _RING
                address_rows(tokens, input_vectors, begin, centre, contexts, 0)
                address_rows(tokens, input_vectors, centre + 1, end, contexts, centre - begin)
                address_rows(ring, output_vectors, slot * n_outputs, (slot + 1) * n_outputs, outputs, 0)
                score_window(contexts, n_contexts, outputs, scores, n_blocks, n_outputs, width)
                if skipped[slot]:
                    _skip(signs, ring[slot * n_outputs : (slot + 1) * n_outputs], n_contexts, np.float32(0.0), layout)
                rate = np.float32(learning_rate(rates, base + centre))
                grade_window(n_contexts, scores, signs, rate, loss, exponents, n_outputs, width)
                # All outputs of a coming centre, and the one context that no centre before it had.
                coming = (centre + _AHEAD) % _RING
                address_rows(ring, output_vectors, coming * n_outputs, (coming + 1) * n_outputs, soon, 0)
                newest = min(centre + _AHEAD + reach, offsets[-1] - 1)
                address_rows(tokens, input_vectors, newest, newest + 1, soon, n_outputs)
                update_window_ahead(contexts, n_contexts, outputs, scores, n_blocks, n_outputs, width, soon, n_soon)
                if skipped[slot]:
                    _skip(signs, ring[slot * n_outputs : (slot + 1) * n_outputs], n_contexts, np.float32(-1.0), layout)
                n_pairs += n_contexts
                if centre % _RUN == 0:
                    tallies[0] += _take_loss(loss, exponents, width)
            position = until
            sentence += 1
        tallies[0] += _take_loss(loss, exponents, width)
        tallies[1] += n_pairs
        tallies[2] += last - first

    return train


@functools.cache
def pair_trainer(n_negatives: int, width: int, constant_dimensions: int = 0) -> Callable[..., None]:
    """As `window_trainer`, but every pair of a centre and a context draws its own noise and is trained by itself, as in word2vec.

    Draw k of context number c of global centre n is uniform64(key, (n * 128 + c) * K + k).
    """
    n_outputs = n_negatives + 1
    constant_blocks = -(-constant_dimensions // width)
    layout = (group_size(n_outputs, width), plane_floats(n_outputs, width))

    @inlined
    def train(
        text: Text,
        first: int,
        last: int,
        input_vectors: Vectors,
        output_vectors: Vectors,
        noise: Noise,
        rates: Rates,
        n_dimensions: int,
        tallies: NDArray[np.float64],
    ) -> None:
        tokens, offsets, radius, base = text
        context, outputs = np.empty(1, np.int64), np.empty(n_outputs, np.int64)
        words = np.zeros(2 * MAX_CONTEXTS * n_outputs, np.int32)  # of this centre and of the next
        signs, scores = _signs(n_outputs, layout), np.zeros((n_outputs + layout[0] - 1) // layout[0] * layout[1], np.float32)
        loss, exponents = _no_loss(width)
        n_blocks, n_lines = constant_blocks or (n_dimensions + width - 1) // width, (n_dimensions + ROW_MULTIPLE - 1) // ROW_MULTIPLE
        reach = _reach(radius, first, last)
        sentence, position, n_pairs = _sentence(offsets, first), first, 0
        half = MAX_CONTEXTS * n_outputs
        if first < last:
            _draw_pairs(words, first % 2 * half, text, first, sentence, noise, n_outputs)
        while position < last:
            start, stop = offsets[sentence], offsets[sentence + 1]
            until = min(stop, last)
            for centre in range(position, until):
                if centre + 1 < last:
                    other = (centre + 1) % 2 * half
                    n_words = _draw_pairs(words, other, text, centre + 1, sentence, noise, n_outputs)
                    prefetch_rows(words, output_vectors, other, other + n_words, n_lines)
                newest = min(centre + _AHEAD + reach, offsets[-1] - 1)
                prefetch_rows(tokens, input_vectors, newest, newest + 1, n_lines)
                rate = np.float32(learning_rate(rates, base + centre))
                place = centre % 2 * half
                for i in range(max(start, centre - radius[centre]), min(stop, centre + radius[centre] + 1)):
                    if i == centre:
                        continue
                    drawn = words[place : place + n_outputs]
                    address_rows(tokens, input_vectors, i, i + 1, context, 0)
                    address_rows(words, output_vectors, place, place + n_outputs, outputs, 0)
                    score_window(context, 1, outputs, scores, n_blocks, n_outputs, width)
                    _skip(signs, drawn, 1, np.float32(0.0), layout)
                    grade_window(1, scores, signs, rate, loss, exponents, n_outputs, width)
                    update_window(context, 1, outputs, scores, n_blocks, n_outputs, width)
                    _skip(signs, drawn, 1, np.float32(-1.0), layout)
                    place += n_outputs
                    n_pairs += 1
                tallies[0] += _take_loss(loss, exponents, width)
            position = until
            sentence += 1
        tallies[1] += n_pairs
        tallies[2] += last - first

    return train


@inlined
def _sentence(offsets: NDArray[np.int64], position: int) -> int:
    """The sentence that a position is in: the last one that starts at or before it."""
    low, high = 0, offsets.size - 1
    while low + 1 < high:
        middle = (low + high) // 2
        if offsets[middle] <= position:
            low = middle
        else:
            high = middle
    return low


@inlined
def _reach(radius: Radii, first: int, last: int) -> int:
    """The largest radius in radius[first:last]."""
    largest = np.uint8(0)
    for position in range(first, last):
        largest = max(largest, radius[position])
    return int(largest)


@inlined
def _draw_outputs(ring: Tokens, skipped: NDArray[np.bool_], tokens: Tokens, first: int, last: int, base: int, noise: Noise) -> None:
    """Put the outputs of the centres [first, last) into the ring in place: the word itself, then its noise; and whether both meet.

    Many at once, so that the cache misses of the table overlap.
    """
    threshold, other, key = noise
    n_negatives = ring.size // _RING - 1
    for centre in range(first, last):
        slot = centre % _RING
        place = slot * (n_negatives + 1)
        ring[place] = tokens[centre]
        counter = np.uint64(base + centre) * np.uint64(n_negatives)
        meet = False
        for k in range(n_negatives):
            word = draw_alias(uniform64(key, counter + np.uint64(k)), threshold, other)
            ring[place + k + 1] = word
            meet |= word == tokens[centre]
        skipped[slot] = meet


@inlined
def _draw_pairs(words: Tokens, place: int, text: Text, centre: int, sentence: int, noise: Noise, n_outputs: int) -> int:
    """Put the outputs of all pairs of one centre, in or right after a sentence, into words[place:] in place; how many they are."""
    threshold, other, key = noise
    while text.offsets[sentence + 1] <= centre:
        sentence += 1
    reach = np.int64(text.radius[centre])
    begin, end = max(text.offsets[sentence], centre - reach), min(text.offsets[sentence + 1], centre + reach + 1)
    counter = np.uint64(text.base + centre) * np.uint64(MAX_CONTEXTS * (n_outputs - 1))
    start = place
    for _ in range(end - begin - 1):
        words[place] = text.tokens[centre]
        for k in range(1, n_outputs):
            words[place + k] = draw_alias(uniform64(key, counter), threshold, other)
            counter += np.uint64(1)
        place += n_outputs
    return place - start


@inlined
def _set_signs(signs: Lanes, j: int, n_contexts: int, n_outputs: int, sign: np.float32, layout: Layout) -> None:
    """Set the sign of output j for the first contexts, in place."""
    group = j // layout[0]
    size = min(layout[0], n_outputs - group * layout[0])
    for context in range(n_contexts):
        signs[group * layout[1] + context * size + j % layout[0]] = sign


@inlined
def _skip(signs: Lanes, words: Tokens, n_contexts: int, sign: np.float32, layout: Layout) -> None:
    """Set the sign of noise that is the centre, in place: 0 before the window is graded, -1 again after it."""
    for j in range(1, words.size):
        if words[j] == words[0]:
            _set_signs(signs, j, n_contexts, words.size, sign, layout)


@inlined
def _signs(n_outputs: int, layout: Layout) -> Lanes:
    """The signs of a window as `grade_window` wants them."""
    signs = np.zeros((n_outputs + layout[0] - 1) // layout[0] * layout[1], np.float32)
    for j in range(n_outputs):
        _set_signs(signs, j, MAX_CONTEXTS, n_outputs, np.float32(1.0 if j == 0 else -1.0), layout)
    return signs


@inlined
def _no_loss(width: int) -> tuple[Lanes, NDArray[np.int32]]:
    """Where `grade_window` gathers loss: sums and products, and the powers of two of the products."""
    loss = np.zeros(2 * width, np.float32)
    loss[width:] = 1.0
    return loss, np.zeros(width, np.int32)


@inlined
def _take_loss(loss: Lanes, exponents: NDArray[np.int32], width: int) -> float:
    """The loss gathered by `grade_window`, in nats; empties it in place."""
    total = 0.0
    for lane in range(width):
        total += loss[lane] + exponents[lane] * math.log(2.0) + math.log(loss[width + lane])
        loss[lane], loss[width + lane], exponents[lane] = 0.0, 1.0, 0
    return total
