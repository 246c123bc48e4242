"""Skip-gram with negative sampling: the training loop. The arithmetic of a window is in `kernels.tiles`.

The negatives of a centre are shared by all contexts of its window (Ji et al. 2016, "Parallelizing word2vec in shared and distributed
memory"), which turns vector products into small matrix products.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernels.alias import draw_alias
from kernels.draws import derive_key, uniform64, uniform_unit
from kernels.jit import inlined, kernel
from kernels.tiles import (
    MAX_CONTEXTS,
    ROW_MULTIPLE,
    address_rows,
    grade_window,
    group_size,
    plane_floats,
    prefetch_rows,
    score_window,
    simd_width,
    update_window,
)

MAX_NEGATIVES = 64
MAX_WINDOW = 64
N_TALLIES = 3  # loss in nats, pairs, centres

_RUN = 64  # centres whose noise is drawn together
_AHEAD = 2  # centres between asking for rows and using them
_RING = _RUN * 2

Tokens = NDArray[np.int32]
Offsets = NDArray[np.int64]
Radii = NDArray[np.uint8]
Vectors = NDArray[np.float32]
Lanes = NDArray[np.float32]
Layout = tuple[int, int]  # outputs in a group, floats in the plane of a group


# V vocabulary, D dimension, S sentences, T tokens, K negatives
def new_vectors(n_rows: int, n_dimensions: int) -> NDArray[np.float32]:
    """A float32 matrix (V, stride) of zeros whose rows start on cache lines; the columns from D on are padding and stay zero.

    Notes
    -----
    The stride is an odd number of cache lines, so that the same column of many rows does not fall into one set of the cache.
    """
    n_lines = -(-n_dimensions // ROW_MULTIPLE) | 1
    stride = n_lines * ROW_MULTIPLE
    buffer = np.zeros(n_rows * stride + ROW_MULTIPLE, np.float32)
    start = -(buffer.ctypes.data // 4) % ROW_MULTIPLE
    return buffer[start : start + n_rows * stride].reshape(n_rows, stride)


@kernel
def fill_initial(vectors: NDArray[np.float32], n_dimensions: int, key: np.uint64) -> None:
    """Fill the first D columns in place with uniform draws from [-0.5, 0.5) / D, each a function of (key, row, column) alone."""
    for row in range(vectors.shape[0]):
        row_key = derive_key(key, np.uint64(row))
        for column in range(n_dimensions):
            vectors[row, column] = np.float32((uniform_unit(row_key, np.uint64(column)) - 0.5) / n_dimensions)


def train_skipgram(
    tokens: Tokens,
    offsets: Offsets,
    radius: Radii,
    first_sentence: int,
    last_sentence: int,
    first_centre: int,
    input_vectors: Vectors,
    output_vectors: Vectors,
    threshold: NDArray[np.uint32],
    other: NDArray[np.int32],
    n_dimensions: int,
    n_negatives: int,
    noise_key: np.uint64,
    start_rate: float,
    min_rate: float,
    n_centres_total: int,
    tallies: NDArray[np.float64],
) -> None:
    """Train both matrices in place on the sentences [first_sentence, last_sentence), in order, without the GIL.

    Parameters
    ----------
    first_sentence, last_sentence
        Sentence numbers, the second excluded, 0 to S. Slices one after the other give the same bytes as one call.
    tokens, radius
        int32 (T,) row numbers below V, and uint8 (T,) window radius of each position, at most 64; contiguous.
    offsets
        int64 (S + 1,), contiguous: sentence s is tokens[offsets[s]:offsets[s + 1]]. It need not start at 0.
    first_centre
        Global number of the centre tokens[offsets[0]], over all epochs: it keys the noise and sets the learning rate.
    input_vectors, output_vectors
        float32 (V, stride) from `new_vectors`, trained in place. Several threads may train the same matrices; then, and only then,
        results depend on timing.
    threshold, other
        The alias table of the noise, from `build_alias`.
    n_dimensions, n_negatives
        D, at least 1; K, 1 to 64 (each K compiles once, then comes from the cache on disk).
    noise_key
        uint64 key of the noise draws: draw k of global centre number n is uniform64(noise_key, n * K + k).
    start_rate, min_rate, n_centres_total
        The rate of a sentence is max(min_rate, start - (start - min) * n / total), n the global number of its first centre.
    tallies
        float64 (3 or more,), added to in place: loss in nats, pairs, centres.

    Notes
    -----
    Mikolov et al. 2013, equation 4. Scores are those at the start of the window. As in the reference program the context gives the
    hidden vector, the centre is the output, and noise equal to the centre is skipped. Differs from it: negatives are shared, scores
    beyond +-6 still train, the sigmoid is no table.
    """
    skipgram_kernel(int(n_negatives), simd_width())(
        tokens,
        offsets,
        radius,
        int(first_sentence),
        int(last_sentence),
        int(first_centre),
        input_vectors,
        output_vectors,
        threshold,
        other,
        int(n_dimensions),
        np.uint64(noise_key),
        float(start_rate),
        float(min_rate),
        int(n_centres_total),
        tallies,
    )


@functools.cache
def skipgram_kernel(n_negatives: int, width: int) -> Callable[..., None]:
    """The kernel for one number of negatives and one SIMD width: both are constants in its machine code. Arguments as `train_skipgram`."""
    n_outputs = n_negatives + 1
    layout = (group_size(n_outputs, width), plane_floats(n_outputs, width))

    @kernel
    def train(
        tokens: Tokens,
        offsets: Offsets,
        radius: Radii,
        first_sentence: int,
        last_sentence: int,
        first_centre: int,
        input_vectors: Vectors,
        output_vectors: Vectors,
        threshold: NDArray[np.uint32],
        other: NDArray[np.int32],
        n_dimensions: int,
        noise_key: np.uint64,
        start_rate: float,
        min_rate: float,
        n_centres_total: int,
        tallies: NDArray[np.float64],
    ) -> None:
        contexts, outputs = np.empty(MAX_CONTEXTS, np.int64), np.empty(n_outputs, np.int64)
        ring, skipped = np.zeros(_RING * n_outputs, np.int32), np.zeros(_RING, np.bool_)
        signs = _signs(n_outputs, layout)
        scores = np.zeros(signs.size, np.float32)
        loss, exponents = np.zeros(2 * width, np.float32), np.zeros(width, np.int32)
        loss[width:] = 1.0
        n_blocks, n_lines = (n_dimensions + width - 1) // width, (n_dimensions + ROW_MULTIPLE - 1) // ROW_MULTIPLE
        base, end = first_centre - offsets[0], offsets[last_sentence]
        drawn = offsets[first_sentence]
        reach = _reach(radius, drawn, end)
        for sentence in range(first_sentence, last_sentence):
            start, stop = offsets[sentence], offsets[sentence + 1]
            rate = np.float32(max(min_rate, start_rate - (start_rate - min_rate) * ((base + start) / n_centres_total)))
            n_pairs = 0
            for centre in range(start, stop):
                if centre + _AHEAD >= drawn and drawn < end:
                    _draw_outputs(ring, skipped, tokens, drawn, min(drawn + _RUN, end), base, noise_key, threshold, other)
                    drawn = min(drawn + _RUN, end)
                first, last = max(start, centre - radius[centre]), min(stop, centre + radius[centre] + 1)
                n_contexts = last - first - 1
                if n_contexts == 0:
                    continue
                slot = centre % _RING
                address_rows(tokens, input_vectors, first, centre, contexts, 0)
                address_rows(tokens, input_vectors, centre + 1, last, contexts, centre - first)
                address_rows(ring, output_vectors, slot * n_outputs, (slot + 1) * n_outputs, outputs, 0)
                score_window(contexts, n_contexts, outputs, scores, n_blocks, n_outputs, width)
                # All outputs of a coming centre, and the one context that no centre before it had.
                coming = (centre + _AHEAD) % _RING
                prefetch_rows(ring, output_vectors, coming * n_outputs, (coming + 1) * n_outputs, n_lines)
                newest = min(centre + _AHEAD + reach, end - 1)
                prefetch_rows(tokens, input_vectors, newest, newest + 1, n_lines)
                if skipped[slot]:
                    _skip(signs, ring[slot * n_outputs : (slot + 1) * n_outputs], n_contexts, np.float32(0.0), layout)
                grade_window(n_contexts, scores, signs, rate, loss, exponents, n_outputs, width)
                update_window(contexts, n_contexts, outputs, scores, n_blocks, n_outputs, width)
                if skipped[slot]:
                    _skip(signs, ring[slot * n_outputs : (slot + 1) * n_outputs], n_contexts, np.float32(-1.0), layout)
                n_pairs += n_contexts
                if (centre - start) % _RUN == _RUN - 1:
                    tallies[0] += _take_loss(loss, exponents, width)
            tallies[0] += _take_loss(loss, exponents, width)
            tallies[1] += n_pairs
            tallies[2] += stop - start

    return train


@inlined
def _reach(radius: Radii, first: int, last: int) -> int:
    """The largest radius in radius[first:last]."""
    largest = np.uint8(0)
    for position in range(first, last):
        largest = max(largest, radius[position])
    return int(largest)


@inlined
def _draw_outputs(
    ring: Tokens,
    skipped: NDArray[np.bool_],
    tokens: Tokens,
    first: int,
    last: int,
    base: int,
    noise_key: np.uint64,
    threshold: NDArray[np.uint32],
    other: NDArray[np.int32],
) -> None:
    """Put the outputs of the centres [first, last) into the ring in place: the word itself, then its noise; and whether both meet.

    Many at once, so that the cache misses of the table overlap.
    """
    n_negatives = ring.size // _RING - 1
    for centre in range(first, last):
        slot = centre % _RING
        place = slot * (n_negatives + 1)
        ring[place] = tokens[centre]
        counter = np.uint64(base + centre) * np.uint64(n_negatives)
        meet = False
        for k in range(n_negatives):
            word = draw_alias(uniform64(noise_key, counter + np.uint64(k)), threshold, other)
            ring[place + k + 1] = word
            meet |= word == tokens[centre]
        skipped[slot] = meet


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
def _take_loss(loss: Lanes, exponents: NDArray[np.int32], width: int) -> float:
    """The loss gathered by `grade_window`, in nats; empties it in place."""
    total = 0.0
    for lane in range(width):
        total += loss[lane] + exponents[lane] * math.log(2.0) + math.log(loss[width + lane])
        loss[lane], loss[width + lane], exponents[lane] = 0.0, 1.0, 0
    return total
