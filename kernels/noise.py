"""Losses that tell the true word from noise: negative sampling (Mikolov et al. 2013) and noise-contrastive estimation (Mnih & Teh 2012).

Both are logistic regressions of s for the centre and for K noise words. NCE first takes log(K q(word)) off every score, q being the noise
distribution, so that s becomes a log-probability; without that it is negative sampling.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kernels.alias import draw_alias
from kernels.draws import uniform64
from kernels.jit import inlined
from kernels.outputs import Floats, Loss, Scratch
from kernels.text import Text, Tokens
from kernels.tiles import spread_values
from kernels.windows import MAX_CONTEXTS, all_floats, group_size, plane_floats

MAX_NEGATIVES = 64

SETS = 64  # of noise words in a batch of windows, which are SETS windows apart where they use the same; centres prepared together
USES = 8  # windows that use a set in a batch
AHEAD = 3  # centres between asking for rows and using them
_RUN_PER_PAIR = AHEAD + 1  # slots are twice as many: none is asked for before it is drawn


# V vocabulary, K negatives
class Noise(NamedTuple):
    """The distribution of noise words as an alias table from `build_alias`, and the key of its draws."""

    threshold: NDArray[np.uint32]
    other: Tokens
    key: np.uint64
    correction: Floats
    """float32 (V,): log(K q(word)), for NCE; otherwise empty."""
    uses: int
    """How many windows use a set of noise words, 1 or more; not for noise a pair."""


@functools.cache
def sampled(n_negatives: int, width: int, *, per_pair: bool, corrected: bool) -> Loss:  # noqa: C901 - short functions
    """The centre and K noise words: one part for a window, or one for each pair of a centre and a context.

    Draw k of set m is uniform64(key, m * K + k). With U uses of a set, batch b is the windows of the global centres 64 b U to
    64 (b + 1) U - 1 and has the sets 64 b to 64 b + 63; its window n has set 64 b + n % 64, which with one use is n. Of noise a pair,
    context c of centre n has set n * 128 + c.

    Notes
    -----
    As in the reference program noise equal to the centre is skipped, here in NCE too. Negatives shared by a window are Ji et al. 2016,
    "Parallelizing word2vec in shared and distributed memory": vector products become small matrix products. Sets that are used again find
    their rows in the cache: docs/decisions/0002-skip-gram-kernel.md.
    """
    n_outputs = n_negatives + 1
    run = _RUN_PER_PAIR if per_pair else SETS
    n_slots, n_parts = 2 * run, MAX_CONTEXTS if per_pair else 1
    slot_size = n_parts * n_outputs
    n_floats = all_floats(n_outputs, width)
    set_signs = _sign_setter(n_outputs, width)
    draw = _pair_drawer(n_negatives) if per_pair else _window_drawer(n_negatives)

    @inlined
    def new_scratch(_noise: Noise) -> Scratch:
        signs = np.zeros(n_floats, np.float32)
        for j in range(n_outputs):
            set_signs(signs, j, MAX_CONTEXTS, np.float32(1.0 if j == 0 else -1.0))
        rows = np.zeros(n_slots * slot_size, np.int32)
        values = np.zeros(rows.size + width if corrected else 0, np.float32)
        drawn = np.full(0 if per_pair else n_slots, -1, np.int64)
        return Scratch(rows, values, np.zeros(n_slots, np.bool_), signs, np.zeros(n_floats if corrected else 0, np.float32), drawn)

    @inlined
    def find(_scratch: Scratch, _noise: Noise, text: Text, centre: int) -> tuple[int, int]:
        return (text.base + centre) % n_slots * slot_size, int(2 * np.int64(text.radius[centre])) if per_pair else 1

    @inlined
    def correct(scratch: Scratch, noise: Noise, text: Text, i: int) -> None:
        place, n_here = find(scratch, noise, text, i)
        for j in range(place, place + n_here * n_outputs):
            scratch.values[j] = noise.correction[np.uint32(scratch.rows[j])]

    @inlined
    def prepare(scratch: Scratch, noise: Noise, text: Text, prepared: int, last: int) -> int:
        """Many centres at once, so that the cache misses of the tables overlap."""
        until = min(prepared + run, last)
        for i in range(prepared, until):
            draw(scratch, noise, text, i)
        if corrected:
            for i in range(prepared, until):
                correct(scratch, noise, text, i)
        return until

    @inlined
    def skip(scratch: Scratch, place: int, n_inputs: int, sign: np.float32) -> None:
        for j in range(1, n_outputs):
            if scratch.rows[place + j] == scratch.rows[place]:
                set_signs(scratch.signs, j, n_inputs, sign)

    @inlined
    def begin(scratch: Scratch, place: int, n_inputs: int) -> None:
        if corrected:
            spread_values(scratch.values, place, n_inputs, scratch.corrections, n_outputs, width)
        if scratch.marks[place // slot_size]:
            skip(scratch, place, n_inputs, np.float32(0.0))

    @inlined
    def end(scratch: Scratch, place: int, n_inputs: int) -> None:
        if scratch.marks[place // slot_size]:
            skip(scratch, place, n_inputs, np.float32(-1.0))

    return Loss(n_outputs, corrected, new_scratch, prepare, find, begin, end)


def _sign_setter(n_outputs: int, width: int) -> Callable[..., None]:
    """A function for kernels that sets the sign of output j for the first inputs, in place."""
    size, plane = group_size(n_outputs, width), plane_floats(n_outputs, width)

    @inlined
    def set_signs(signs: Floats, j: int, n_inputs: int, sign: np.float32) -> None:
        group = j // size
        members = min(size, n_outputs - group * size)
        for i in range(n_inputs):
            signs[group * plane + i * members + j % size] = sign

    return set_signs


def _window_drawer(n_negatives: int) -> Callable[..., None]:
    """A function for kernels that brings the noise of one centre into its slot, in place, and draws it if another set is there."""
    n_outputs, n_slots = n_negatives + 1, 2 * SETS

    @inlined
    def draw(scratch: Scratch, noise: Noise, text: Text, i: int) -> None:
        rows, word, meet = scratch.rows, text.tokens[i], False
        centre = text.base + i
        slot, number = centre % n_slots, centre // (SETS * noise.uses) * SETS + centre % SETS
        place = slot * n_outputs
        if scratch.drawn[slot] != number:
            scratch.drawn[slot] = number
            counter = np.uint64(number) * np.uint64(n_negatives)
            for k in range(n_negatives):
                rows[place + k + 1] = draw_alias(uniform64(noise.key, counter + np.uint64(k)), noise.threshold, noise.other)
        rows[place] = word
        for k in range(n_negatives):
            meet |= rows[place + k + 1] == word
        scratch.marks[slot] = meet

    return draw


def _pair_drawer(n_negatives: int) -> Callable[..., None]:
    """A function for kernels that draws the noise of all pairs that one centre can have into its slot, in place."""
    n_outputs, n_slots = n_negatives + 1, 2 * _RUN_PER_PAIR

    @inlined
    def draw(scratch: Scratch, noise: Noise, text: Text, i: int) -> None:
        rows, word, meet = scratch.rows, text.tokens[i], False
        centre = text.base + i
        slot = centre % n_slots
        place = slot * MAX_CONTEXTS * n_outputs
        counter = np.uint64(centre) * np.uint64(MAX_CONTEXTS * n_negatives)
        for _ in range(2 * np.int64(text.radius[i])):
            rows[place] = word
            for k in range(n_negatives):
                drawn = draw_alias(uniform64(noise.key, counter + np.uint64(k)), noise.threshold, noise.other)
                rows[place + k + 1] = drawn
                meet |= drawn == word
            place += n_outputs
            counter += np.uint64(n_negatives)
        scratch.marks[slot] = meet

    return draw
