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
    ROW_MULTIPLE,
    group_size,
    group_stride,
    prefetch_row,
    row_address,
    score_window,
    simd_width,
    tile_floats,
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
Layout = tuple[int, int, int]  # outputs in a group, floats of a group, floats of a tile


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
    layout = (group_size(n_outputs, width), group_stride(n_outputs, width), tile_floats(n_outputs, width))

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
        contexts, outputs = np.empty(2 * MAX_WINDOW, np.int64), np.empty(n_outputs, np.int64)
        ring = np.empty((_RING, n_outputs), np.int32)
        signs, gradients = _signs(n_outputs, layout), np.empty(MAX_WINDOW * layout[2], np.float32)
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
                    _draw_outputs(ring, tokens, drawn, min(drawn + _RUN, end), base, noise_key, threshold, other)
                    drawn = min(drawn + _RUN, end)
                _prefetch(tokens, input_vectors, output_vectors, ring, centre + _AHEAD, reach, end, n_lines)
                first, last = max(start, centre - radius[centre]), min(stop, centre + radius[centre] + 1)
                n_contexts = _address_contexts(contexts, tokens, input_vectors, first, centre, last)
                if n_contexts == 0:
                    continue
                n_skipped = _address_outputs(outputs, signs, ring[centre % _RING], output_vectors, layout)
                score_window(contexts, n_contexts, outputs, signs, rate, gradients, loss, exponents, n_blocks, n_outputs, width)
                update_window(contexts, n_contexts, outputs, gradients, n_blocks, n_outputs, width)
                n_pairs += n_contexts
                if n_skipped > 0:
                    _reset_signs(signs, n_outputs, layout)
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
    ring: NDArray[np.int32],
    tokens: Tokens,
    first: int,
    last: int,
    base: int,
    noise_key: np.uint64,
    threshold: NDArray[np.uint32],
    other: NDArray[np.int32],
) -> None:
    """Put the outputs of the centres [first, last) into the ring in place: the word itself, then its noise.

    Many at once, so that the cache misses of the table overlap.
    """
    n_negatives = ring.shape[1] - 1
    for centre in range(first, last):
        slot = centre % _RING
        ring[slot, 0] = tokens[centre]
        counter = np.uint64(base + centre) * np.uint64(n_negatives)
        for k in range(n_negatives):
            ring[slot, k + 1] = draw_alias(uniform64(noise_key, counter + np.uint64(k)), threshold, other)


@inlined
def _prefetch(
    tokens: Tokens,
    input_vectors: Vectors,
    output_vectors: Vectors,
    ring: NDArray[np.int32],
    centre: int,
    reach: int,
    end: int,
    n_lines: int,
) -> None:
    """Ask for the rows that a coming centre will use: all of its outputs, and the one context that no centre before it had."""
    if centre + reach < end:
        prefetch_row(row_address(input_vectors, np.int64(tokens[centre + reach])), n_lines)
    if centre < end:
        for word in ring[centre % _RING]:
            prefetch_row(row_address(output_vectors, np.int64(word)), n_lines)


@inlined
def _address_contexts(contexts: Offsets, tokens: Tokens, input_vectors: Vectors, first: int, centre: int, last: int) -> int:
    """Put the addresses of the rows of all tokens in [first, last) but the centre into `contexts` in place; their number."""
    count = 0
    for position in range(first, centre):
        contexts[count] = row_address(input_vectors, np.int64(tokens[position]))
        count += 1
    for position in range(centre + 1, last):
        contexts[count] = row_address(input_vectors, np.int64(tokens[position]))
        count += 1
    return count


@inlined
def _address_outputs(outputs: Offsets, signs: Lanes, words: Tokens, output_vectors: Vectors, layout: Layout) -> int:
    """Put the addresses of the rows of the words into `outputs` in place, and zero the signs of noise that is the centre; how many were."""
    n_skipped = 0
    for j in range(words.size):
        outputs[j] = row_address(output_vectors, np.int64(words[j]))
        if j > 0 and words[j] == words[0]:
            n_skipped += 1
            _set_sign(signs, j, np.float32(0.0), layout)
    return n_skipped


@inlined
def _set_sign(signs: Lanes, j: int, sign: np.float32, layout: Layout) -> None:
    """Set the sign of output j in place, where tiles of two contexts and of one look for it."""
    size, stride, floats = layout
    lane = j // size * stride
    signs[lane + j % size * 2] = sign
    signs[lane + j % size * 2 + 1] = sign
    signs[floats + lane + j % size] = sign


@inlined
def _reset_signs(signs: Lanes, n_outputs: int, layout: Layout) -> None:
    """Set the signs of a window in place: +1 for the true output, -1 for noise."""
    for j in range(n_outputs):
        _set_sign(signs, j, np.float32(1.0 if j == 0 else -1.0), layout)


@inlined
def _signs(n_outputs: int, layout: Layout) -> Lanes:
    """The signs of a window, and 0 for lanes that hold nothing."""
    signs = np.zeros(2 * layout[2], np.float32)
    _reset_signs(signs, n_outputs, layout)
    return signs


@inlined
def _take_loss(loss: Lanes, exponents: NDArray[np.int32], width: int) -> float:
    """The loss gathered by `score_window`, in nats; empties it in place."""
    total = 0.0
    for lane in range(width):
        total += loss[lane] + exponents[lane] * math.log(2.0) + math.log(loss[width + lane])
        loss[lane], loss[width + lane], exponents[lane] = 0.0, 1.0, 0
    return total
