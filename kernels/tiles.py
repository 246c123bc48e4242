"""The arithmetic of a window, as intrinsics that emit LLVM IR, because loops over arrays keep no accumulators in registers.

`kernels.windows` and `kernels.updates` emit the arithmetic itself. This file must not know what a sentence, a draw or a learning rate
schedule is.
"""

from collections.abc import Callable
from typing import Any

from numba import types
from numba.extending import intrinsic as _intrinsic

from kernels.lanes import FLOAT, INT64, cgutils, prefetch
from kernels.updates import Update
from kernels.windows import Window

intrinsic: Any = _intrinsic  # its own annotation does not fit: an intrinsic is called without its first parameter


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Pointer to the first element of a Numba array."""
    return context.make_array(kind)(context, builder, value).data


def _constants(kinds: tuple[Any, ...]) -> bool:
    return all(isinstance(kind, types.IntegerLiteral) for kind in kinds)


# C contexts, J outputs and W SIMD width (both constants when compiled), G group_size(J, W), P groups of plane_floats(J, W)
@intrinsic(prefer_literal=True)
def score_window(_typing: Any, contexts: Any, n_contexts: Any, outputs: Any, scores: Any, n_blocks: Any, n_outputs: Any, width: Any) -> Any:
    """Compute all scores of a window, in place.

    Parameters
    ----------
    contexts, outputs
        int64 (C,) and (J,): addresses of the rows, whose columns are zero from D on and fill whole cache lines.
    n_contexts, n_blocks
        C; blocks of W columns in use. A literal `n_blocks` makes the loop over columns one of constant length: 0 to 3 % faster.
    scores
        float32 (P,): receives the dot products; output j of context c is at j // G * plane_floats(J, W) + c * size + j % G, size the
        number of outputs in its group. What lies between is overwritten too.
    n_outputs, width
        J and W, literal.
    """
    if not _constants((n_outputs, width)):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = [_data(context, builder, signature.args[i], values[i]) for i in (0, 2, 3)]
        window = Window(builder, values[1], pointers[2], n_outputs.literal_value, width.literal_value)
        window.pairs(lambda members: window.score(pointers[0], pointers[1], values[4], members))
        return context.get_dummy_value()

    return types.void(contexts, types.int64, outputs, scores, types.int64, n_outputs, width), generate


@intrinsic(prefer_literal=True)
def grade_window(
    _typing: Any, n_contexts: Any, scores: Any, signs: Any, rate: Any, loss: Any, exponents: Any, n_outputs: Any, width: Any
) -> Any:
    """Replace every score of a window by rate * (label - sigma(score)), in place, and add to the loss.

    Parameters
    ----------
    n_contexts, scores, n_outputs, width
        As in `score_window`.
    signs
        float32 (P,), laid out as the scores: +1 for the true output, -1 for noise, 0 for what does not count.
    rate
        float32 learning rate.
    loss, exponents
        float32 (2 W,) and int32 (W,), added to: the sum of max(-sign * score, 0), and the product of 1 + exp(-|score|), which starts at 1,
        as mantissa and exponent: one logarithm serves many scores.
    """
    if not _constants((n_outputs, width)):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores, signs, loss, exponents = (_data(context, builder, signature.args[i], values[i]) for i in (1, 2, 4, 5))
        Window(builder, values[0], scores, n_outputs.literal_value, width.literal_value).grade(signs, values[3], loss, exponents)
        return context.get_dummy_value()

    return types.void(types.int64, scores, signs, types.float32, loss, exponents, n_outputs, width), generate


@intrinsic(prefer_literal=True)
def grade_corrected_window(
    _typing: Any,
    n_contexts: Any,
    scores: Any,
    signs: Any,
    rate: Any,
    loss: Any,
    exponents: Any,
    corrections: Any,
    n_outputs: Any,
    width: Any,
) -> Any:
    """`grade_window` of the scores minus corrections, float32 (P,), which are laid out as the scores."""
    if not _constants((n_outputs, width)):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        scores, signs, loss, exponents, corrections = (_data(context, builder, signature.args[i], values[i]) for i in (1, 2, 4, 5, 6))
        window = Window(builder, values[0], scores, n_outputs.literal_value, width.literal_value)
        window.grade(signs, values[3], loss, exponents, corrections)
        return context.get_dummy_value()

    return types.void(types.int64, scores, signs, types.float32, loss, exponents, corrections, n_outputs, width), generate


@intrinsic(prefer_literal=True)
def spread_values(_typing: Any, values: Any, first: Any, n_contexts: Any, plane: Any, n_outputs: Any, width: Any) -> Any:
    """Put values[first:first + J], float32 with W more behind them, beside the scores of every context: a plane float32 (P,), in place."""
    if not _constants((n_outputs, width)):
        return None

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        start = builder.gep(_data(context, builder, signature.args[0], given[0]), [given[1]])
        plane = _data(context, builder, signature.args[3], given[3])
        Window(builder, given[2], None, n_outputs.literal_value, width.literal_value).spread_values(start, plane)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64, plane, n_outputs, width), generate


def _with_hidden(method: str) -> Any:
    """An intrinsic that calls a method of `Window` on contexts and a pair of hidden rows."""

    def typed(_typing: Any, contexts: Any, n_contexts: Any, hidden: Any, factor: Any, n_blocks: Any, width: Any) -> Any:
        if not _constants((width,)):
            return None

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            rows, pair = (_data(context, builder, signature.args[i], values[i]) for i in (0, 2))
            getattr(Window(builder, values[1], None, 1, width.literal_value), method)(rows, pair, values[3], values[4])
            return context.get_dummy_value()

        return types.void(contexts, types.int64, hidden, types.float32, types.int64, width), generate

    return intrinsic(prefer_literal=True)(typed)


# Parameters: contexts int64 (C,), n_contexts, hidden int64 (2,), factor float32, n_blocks, width; rows by their addresses, as above.
gather_rows = _with_hidden("gather")  # sets both hidden rows to the factor times the sum of the contexts
scatter_change = _with_hidden("scatter")  # adds the factor times (first hidden row - second) to every context


@intrinsic(prefer_literal=True)
def update_window(
    _typing: Any,
    contexts: Any,
    n_contexts: Any,
    outputs: Any,
    scores: Any,
    n_blocks: Any,
    n_outputs: Any,
    width: Any,
    moves: Any,
    coming: Any,
    n_coming: Any,
) -> Any:
    """Move every row of a window by the gradients in `scores`, in place, the contexts in order, and ask for the rows of coming windows.

    Parameters
    ----------
    contexts, n_contexts, outputs, scores, n_blocks, n_outputs, width
        As in `score_window`.
    moves
        Literal: 1 to move contexts, 2 to move outputs, 3 both.
    coming, n_coming
        int64 (n_coming,), literal: addresses of rows to be read and written soon. They are asked for between the products: when
        `prefetch_rows` asks for all of them at once they fill the queue of cache misses, and this window waits (docs/roofline.md).
    """
    if not _constants((n_outputs, width, moves, n_coming)):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = [_data(context, builder, signature.args[i], values[i]) for i in (0, 2, 3, 8)]
        update = Update(builder, values[1], pointers[2], n_outputs.literal_value, width.literal_value)
        update.coming, update.n_coming = pointers[3], n_coming.literal_value
        update.moves_contexts, update.moves_outputs = bool(moves.literal_value & 1), bool(moves.literal_value & 2)
        update.all(pointers[0], pointers[1], values[4])
        return context.get_dummy_value()

    return types.void(contexts, types.int64, outputs, scores, types.int64, n_outputs, width, moves, coming, n_coming), generate


def _row_addresses(context: Any, builder: Any, kinds: Any, values: Any) -> Callable[[Any], Any]:
    """A function that emits the address of the row of matrix values[1] that number `index` of the list values[0] names."""
    words = _data(context, builder, kinds[0], values[0])
    matrix = context.make_array(kinds[1])(context, builder, values[1])
    base, stride = builder.ptrtoint(matrix.data, INT64), cgutils.unpack_tuple(builder, matrix.strides)[0]

    def address(index: Any) -> Any:
        word = builder.sext(builder.load(builder.gep(words, [index])), INT64)
        return builder.add(base, builder.mul(word, stride))

    return address


@intrinsic
def address_rows(_typing: Any, words: Any, matrix: Any, first: Any, last: Any, addresses: Any, place: Any) -> Any:
    """Put the addresses of the rows of `matrix` that words[first:last] name into addresses[place:], in place.

    An intrinsic because Numba passes every array to a function as seven numbers, more work than this loop.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _row_addresses(context, builder, signature.args, values)
        target = builder.gep(_data(context, builder, signature.args[4], values[4]), [values[5]])
        with cgutils.for_range_slice(builder, values[2], values[3], INT64(1)) as (index, _):
            builder.store(address(index), builder.gep(target, [builder.sub(index, values[2])]))
        return context.get_dummy_value()

    return types.void(words, matrix, types.int64, types.int64, addresses, types.int64), generate


@intrinsic
def keep_alive(_typing: Any, array: Any) -> Any:
    """Do nothing, with an array that is used by its address: Numba frees an array after its last use, and sees none by address."""

    def generate(context: Any, _builder: Any, _signature: Any, _values: Any) -> Any:
        return context.get_dummy_value()

    return types.void(array), generate


@intrinsic
def prefetch_rows(_typing: Any, words: Any, matrix: Any, first: Any, last: Any, n_lines: Any) -> Any:
    """Ask for the first cache lines of the rows of `matrix` that words[first:last] name, to be written soon; changes nothing."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _row_addresses(context, builder, signature.args, values)
        with cgutils.for_range_slice(builder, values[2], values[3], INT64(1)) as (index, _):
            start = address(index)
            with cgutils.for_range(builder, values[4]) as loop:
                prefetch(builder, builder.inttoptr(builder.add(start, builder.shl(loop.index, INT64(6))), FLOAT.as_pointer()))
        return context.get_dummy_value()

    return types.void(words, matrix, types.int64, types.int64, types.int64), generate


@intrinsic
def select(_typing: Any, condition: Any, yes: Any, no: Any) -> Any:
    """`yes if condition else no` without a branch, for a condition that nobody can predict; both have one type.

    Without the mark LLVM makes a branch of it, however it is written: five draws from an alias table then took 26 ns longer.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        chosen = builder.select(*values)
        chosen.set_metadata("unpredictable", builder.module.add_metadata([]))
        return chosen

    return yes(condition, yes, no), generate
