"""Register-blocked pieces of the skip-gram kernel, emitted as LLVM IR, because loops over arrays keep no accumulators in registers.

A window has C contexts (inputs) and J outputs, which share one block of columns at a time. Two contexts and up to `group_size` outputs
form a tile: all of its dot products stay in registers until they are complete. Addresses of rows are bytes, as int64.
This file must not know what a sentence, a draw or a learning rate schedule is.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

# Numba's own annotations fit neither: an intrinsic is called without its first parameter, and cgutils has none.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic

MAX_CONTEXTS = 128
ROW_MULTIPLE = 16  # floats in a cache line
WIDTH_VARIABLE = "CORPUS2VEC_SIMD_WIDTH"

_FLOAT = ir.FloatType()
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

# 2**f for f in [-1/2, 1/2], degree 5, least maximal relative error (1.5e-7 once rounded to float32), lowest power first.
_EXP2 = (1.0, 0.6931469440460205, 0.24022120237350464, 0.05550713092088699, 0.009675541892647743, 0.001327647129073739)
_LOG2_E = 1.4426950408889634
_MAX_SCORE = 80.0  # exp(-80) is a normal float32
_MAX_FACTORS = 126  # factors up to 2 whose product, times a mantissa, is a finite float32


def simd_width() -> int:
    """Floats in one SIMD register of this machine: 16, 8 or 4. The variable CORPUS2VEC_SIMD_WIDTH overrides it."""
    forced = os.environ.get(WIDTH_VARIABLE, "")
    if forced in {"4", "8", "16"}:
        return int(forced)
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f", False):
        return 16
    return 8 if features.get("avx2", False) and features.get("fma", False) else 4


def group_size(n_outputs: int, width: int) -> int:
    """Outputs in one tile: as many as leave room in 16 registers (32 with AVX-512) for two rows of sums, in groups of equal size."""
    most = 12 if width == 16 else 6
    n_groups = -(-n_outputs // most)
    return -(-n_outputs // n_groups)


def plane_floats(n_outputs: int, width: int) -> int:
    """Floats of one group of outputs in the arrays of scores and signs: `group_size` for each context, and room to store past the end."""
    return MAX_CONTEXTS * group_size(n_outputs, width) + 2 * width


class _Lanes:
    """A SIMD value (or a scalar) whose operators emit instructions, so that formulas below read as formulas."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder = builder
        self.value = value

    def of(self, value: Any) -> "_Lanes":
        """Another value of the same builder."""
        return _Lanes(self.builder, value)

    def splat(self, number: float) -> "_Lanes":
        """A constant of the same shape as this value."""
        return self.of(ir.Constant(self.value.type, [number] * self.value.type.count))

    def __add__(self, other: "_Lanes") -> "_Lanes":
        return self.of(self.builder.fadd(self.value, other.value))

    def __sub__(self, other: "_Lanes") -> "_Lanes":
        return self.of(self.builder.fsub(self.value, other.value))

    def __mul__(self, other: "_Lanes") -> "_Lanes":
        return self.of(self.builder.fmul(self.value, other.value))

    def __truediv__(self, other: "_Lanes") -> "_Lanes":
        return self.of(self.builder.fdiv(self.value, other.value))

    def times_plus(self, factor: "_Lanes", addend: "_Lanes") -> "_Lanes":
        """The value times a factor plus an addend, fused where the machine can: `llvm.fma` would be a slow library call elsewhere."""
        kind = self.value.type
        name = f"llvm.fmuladd.v{kind.count}f32"
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(kind, [kind] * 3), name)
        return self.of(self.builder.call(function, [self.value, factor.value, addend.value]))

    def where(self, comparison: str, other: "_Lanes", yes: "_Lanes", no: "_Lanes", *, if_nan: bool = False) -> "_Lanes":
        """`yes` in the lanes where the comparison with `other` holds, else `no`; a NaN counts as `if_nan`."""
        compare = self.builder.fcmp_unordered if if_nan else self.builder.fcmp_ordered
        return self.of(self.builder.select(compare(comparison, self.value, other.value), yes.value, no.value))

    def bits(self) -> Any:
        """The same bits as integers."""
        return self.builder.bitcast(self.value, ir.VectorType(_INT32, self.value.type.count))

    def of_bits(self, bits: Any) -> "_Lanes":
        """Integers read as the bits of floats."""
        return self.of(self.builder.bitcast(bits, self.value.type))

    def pick(self, other: "_Lanes", lanes: list[int]) -> "_Lanes":
        """The named lanes of self followed by other."""
        mask = ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes)
        return self.of(self.builder.shuffle_vector(self.value, other.value, mask))


def _integers(like: Any, number: int) -> Any:
    return ir.Constant(ir.VectorType(_INT32, like.type.count), [number] * like.type.count)


def _exp_of_minus(magnitude: _Lanes) -> _Lanes:
    """exp(-magnitude) for magnitude in [0, 80]; relative error below 3e-7 * (1 + magnitude), so absolute error below 3e-7."""
    builder = magnitude.builder
    exponent = magnitude * magnitude.splat(-_LOG2_E)
    # Through integers: Numba lets every float operation reassociate, so adding and subtracting 1.5 * 2**23 would not round.
    whole = builder.fptosi((exponent - exponent.splat(0.5)).value, _integers(exponent.value, 0).type)
    fraction = exponent - magnitude.of(builder.sitofp(whole, exponent.value.type))
    power = fraction.splat(_EXP2[-1])
    for coefficient in reversed(_EXP2[:-1]):
        power = power.times_plus(fraction, fraction.splat(coefficient))
    return power.of_bits(builder.add(power.bits(), builder.shl(whole, _integers(whole, 23))))


def _logistic_loss(score: _Lanes, sign: _Lanes) -> tuple[_Lanes, _Lanes, _Lanes]:
    """The gradient of log sigma(sign * score) after the score, and the two parts of -log sigma(sign * score) = excess + log(factor).

    A lane of sign 0 has gradient 0, excess 0 and factor 1. A NaN goes on into the excess.
    """
    zero, one, limit = score.splat(0.0), score.splat(1.0), score.splat(_MAX_SCORE)
    margin = score * sign
    magnitude = margin.where(">=", zero, margin, zero - margin)
    decay = _exp_of_minus(magnitude.where("<", limit, magnitude, limit))
    error = margin.where(">=", zero, decay, one) / (one + decay)
    excess = margin.where("<", zero, zero - margin, zero, if_nan=True)
    return sign * error, excess, sign.where("!=", zero, one + decay, one)


def _sums(vectors: list[_Lanes], width: int) -> list[_Lanes]:
    """The sum over the lanes of each vector, in order, `width` sums to a vector, by a tree of shuffles that serves all of them at once."""
    vectors = vectors + [vectors[0].splat(0.0)] * (-len(vectors) % width)
    quads = range(0, width, 4)
    steps = [
        [[q + a + b for q in quads for b in (0, 1, width, width + 1)] for a in (0, 2)],
        [[q + a + b for q in quads for b in (0, 2, width, width + 2)] for a in (0, 1)],
    ]
    if width >= 8:
        half = width // 2
        steps.append([[*range(a, a + half), *range(width + a, width + a + half)] for a in (0, half)])
    if width == 16:
        steps.append([[a + b + c for b in (0, 8, 16, 24) for c in range(4)] for a in (0, 4)])
    for low, high in steps:
        vectors = [a.pick(b, low) + a.pick(b, high) for a, b in zip(vectors[0::2], vectors[1::2], strict=True)]
    return vectors


class _Window:
    """Emits the code of one window: what the intrinsics below need to know."""

    def __init__(self, builder: Any, n_contexts: Any, scores: Any, n_outputs: int, width: int) -> None:
        self.builder = builder
        self.n_contexts = n_contexts
        self.scores = scores
        self.n_outputs = n_outputs
        self.width = width
        self.size = group_size(n_outputs, width)
        self.vector = ir.VectorType(_FLOAT, width)

    def row(self, addresses: Any, index: Any) -> Any:
        """Pointer to the first float of row number `index` of a list of addresses."""
        address = self.builder.load(self.builder.gep(addresses, [index]))
        return self.builder.inttoptr(address, _FLOAT.as_pointer())

    def load(self, pointer: Any, index: Any) -> _Lanes:
        """One register from `pointer[index:]`; aligned rows are faster, others are not wrong."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.vector.as_pointer())
        return _Lanes(self.builder, self.builder.load(place, align=4))

    def store(self, value: _Lanes, pointer: Any, index: Any) -> None:
        """One register to `pointer[index:]`."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.vector.as_pointer())
        self.builder.store(value.value, place, align=4)

    def splat(self, number: Any) -> Any:
        """A scalar in all lanes."""
        kind = ir.VectorType(number.type, self.width)
        lane = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, _INT32(0))
        return self.builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(_INT32, self.width), [0] * self.width))

    def variables(self, number: int) -> list[Any]:
        """Places that change in a loop, zero at first; LLVM turns them into registers."""
        places = [cgutils.alloca_once(self.builder, self.vector) for _ in range(number)]
        for place in places:
            self.builder.store(ir.Constant(self.vector, [0.0] * self.width), place)
        return places

    def read(self, place: Any) -> _Lanes:
        """The register in a place of `variables`."""
        return _Lanes(self.builder, self.builder.load(place))

    def groups(self) -> list[range]:
        """The outputs of each group."""
        return [range(first, min(first + self.size, self.n_outputs)) for first in range(0, self.n_outputs, self.size)]

    def plane(self, group: int) -> Any:
        """Where the scores of a group start, which lie context by context."""
        return _INT64(group * plane_floats(self.n_outputs, self.width))

    def steps(self, stop: Any, step: int) -> Any:
        """A loop from 0 below `stop`; gives the counter of each turn."""
        return cgutils.for_range_slice(self.builder, _INT64(0), stop, _INT64(step))

    def columns(self, n_blocks: Any) -> Any:
        """A loop over the blocks of columns; gives the first column of each."""
        return self.steps(self.builder.mul(n_blocks, _INT64(self.width)), self.width)

    def pairs(self, body: Callable[[list[Any]], None]) -> None:
        """Call `body` with the numbers of two contexts, for every pair, then with that of the last, when one is left."""
        builder = self.builder
        even = builder.and_(self.n_contexts, _INT64(-2))
        with self.steps(even, 2) as (first, _):
            body([first, builder.add(first, _INT64(1))])
        with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", even, self.n_contexts)):
            body([even])

    def score(self, contexts: Any, outputs: Any, n_blocks: Any, members: list[Any]) -> None:
        """Scores of one or two contexts against all outputs: a tile for each group."""
        builder = self.builder
        rows = [self.row(contexts, c) for c in members]
        for group, numbers in enumerate(self.groups()):
            output_rows = [self.row(outputs, _INT64(j)) for j in numbers]
            sums = self.variables(len(rows) * len(output_rows))
            with self.columns(n_blocks) as (column, _):
                hidden = [self.load(row, column) for row in rows]
                for j, row in enumerate(output_rows):
                    output = self.load(row, column)
                    for c, h in enumerate(hidden):
                        place = sums[c * len(output_rows) + j]
                        builder.store(output.times_plus(h, self.read(place)).value, place)
            start = builder.add(self.plane(group), builder.mul(members[0], _INT64(len(output_rows))))
            # What the last register holds too much lies where the next contexts will be, or behind the last one.
            for i, scores in enumerate(_sums([self.read(place) for place in sums], self.width)):
                self.store(scores, self.scores, builder.add(start, _INT64(i * self.width)))

    def grade(self, signs: Any, rate: Any, loss: Any, exponents: Any) -> None:
        """Replace all scores by gradients, and add to the loss."""
        builder, width = self.builder, self.width
        linear, product = self.variables(2)
        builder.store(self.load(loss, _INT64(0)).value, linear)
        rate = _Lanes(builder, self.splat(rate))
        lanes = ir.Constant(ir.VectorType(_INT32, width), list(range(width)))
        for group, numbers in enumerate(self.groups()):
            builder.store(self.load(loss, _INT64(width)).value, product)
            count = builder.mul(self.n_contexts, _INT64(len(numbers)))
            with self.steps(count, width) as (first, _):
                place = builder.add(self.plane(group), first)
                left = self.splat(builder.trunc(builder.sub(count, first), _INT32))
                live = builder.sext(builder.icmp_signed("<", lanes, left), lanes.type)
                sign = self.load(signs, place)
                sign = sign.of_bits(builder.and_(sign.bits(), live))
                gradient, excess, factor = _logistic_loss(self.load(self.scores, place), sign)
                self.store(rate * gradient, self.scores, place)
                builder.store((self.read(linear) + excess).value, linear)
                builder.store((self.read(product) * factor).value, product)
                if MAX_CONTEXTS * self.size > _MAX_FACTORS * width:
                    self.normalise(self.read(product), loss, exponents)
                    builder.store(self.load(loss, _INT64(width)).value, product)
            self.normalise(self.read(product), loss, exponents)
        self.store(self.read(linear), loss, _INT64(0))

    def normalise(self, product: _Lanes, loss: Any, exponents: Any) -> None:
        """Keep the product in [1, 2) and count its powers of two, before it can overflow."""
        builder, width = self.builder, self.width
        place = builder.bitcast(exponents, ir.VectorType(_INT32, width).as_pointer())
        bits = product.bits()
        power = builder.sub(builder.lshr(bits, _integers(bits, 23)), _integers(bits, 127))
        builder.store(builder.add(builder.load(place, align=4), power), place, align=4)
        mantissa = builder.or_(builder.and_(bits, _integers(bits, 0x007FFFFF)), _integers(bits, 0x3F800000))
        self.store(product.of_bits(mantissa), loss, _INT64(width))

    def update(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """All blocks of columns: contexts stream by, outputs and their changes stay in registers."""

        def body(members: list[Any]) -> None:
            for c in members:
                self.move(self.row(contexts, c), c, column, values, changes)

        rows = [self.row(outputs, _INT64(j)) for j in range(self.n_outputs)]
        with self.columns(n_blocks) as (column, _):
            values = [self.load(row, column) for row in rows]
            changes = self.variables(self.n_outputs)
            self.pairs(body)
            # One after the other, from memory: a noise word drawn twice is the same row.
            for row, change in zip(rows, changes, strict=True):
                self.store(self.load(row, column) + self.read(change), row, column)

    def move(self, row: Any, context: Any, column: Any, outputs: list[_Lanes], changes: list[Any]) -> None:
        """One block of columns of one context, and what it changes in the outputs."""
        hidden = self.load(row, column)

        def gradients() -> Iterator[_Lanes]:
            for j, change in enumerate(changes):
                gradient = self.gradient(j, context)
                self.builder.store(gradient.times_plus(hidden, self.read(change)).value, change)
                yield gradient

        self.store(_weighted_sum(gradients(), outputs, hidden), row, column)

    def gradient(self, j: int, context: Any) -> _Lanes:
        """The gradient of output j and a context, in all lanes."""
        group = j // self.size
        numbers = self.groups()[group]
        index = self.builder.add(self.builder.mul(context, _INT64(len(numbers))), _INT64(j - numbers[0]))
        place = self.builder.gep(self.scores, [self.builder.add(self.plane(group), index)])
        return _Lanes(self.builder, self.splat(self.builder.load(place)))

    def update_many(self, contexts: Any, outputs: Any, n_blocks: Any) -> None:
        """`update` for more outputs than registers: first what the contexts change by, then the outputs, a dozen at a time.

        `kept` holds the changes of the contexts, which do not depend on the contexts, and then each context as it was when its turn came.
        """
        builder, most = self.builder, 20 if self.width == 16 else 9
        kept = cgutils.alloca_once(builder, _FLOAT, size=MAX_CONTEXTS * self.width)
        most = -(-self.n_outputs // -(-self.n_outputs // most))
        parts = [range(first, min(first + most, self.n_outputs)) for first in range(0, self.n_outputs, most)]
        with self.columns(n_blocks) as (column, _):
            for part in parts:
                values = [self.load(self.row(outputs, _INT64(j)), column) for j in part]
                with self.steps(self.n_contexts, 1) as (c, _):
                    place = builder.mul(c, _INT64(self.width))
                    start = self.load(kept, place) if part[0] > 0 else values[0].splat(0.0)
                    self.store(_weighted_sum((self.gradient(j, c) for j in part), values, start), kept, place)
            with self.steps(self.n_contexts, 1) as (c, _):
                row, place = self.row(contexts, c), builder.mul(c, _INT64(self.width))
                hidden = self.load(row, column)
                self.store(hidden + self.load(kept, place), row, column)
                self.store(hidden, kept, place)
            for part in parts:
                changes = self.variables(len(part))
                with self.steps(self.n_contexts, 1) as (c, _):
                    hidden = self.load(kept, builder.mul(c, _INT64(self.width)))
                    for j, change in zip(part, changes, strict=True):
                        builder.store(self.gradient(j, c).times_plus(hidden, self.read(change)).value, change)
                for j, change in zip(part, changes, strict=True):
                    row = self.row(outputs, _INT64(j))
                    self.store(self.load(row, column) + self.read(change), row, column)


def _weighted_sum(weights: Iterable[_Lanes], values: list[_Lanes], start: _Lanes) -> _Lanes:
    """Start + the sum of weights times values, in at most four chains that do not wait for each other: 3 % faster than one chain of six."""
    chains = [start] + [start.splat(0.0)] * (min(4, -(-len(values) // 3)) - 1)
    for i, (weight, value) in enumerate(zip(weights, values, strict=True)):
        chains[i % len(chains)] = weight.times_plus(value, chains[i % len(chains)])
    total = chains[0]
    for chain in chains[1:]:
        total = total + chain
    return total


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
        int64 (C,) and (J,): addresses of the rows.
    n_contexts, n_blocks
        C; blocks of W columns in use.
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
        window = _Window(builder, values[1], pointers[2], n_outputs.literal_value, width.literal_value)
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
        _Window(builder, values[0], scores, n_outputs.literal_value, width.literal_value).grade(signs, values[3], loss, exponents)
        return context.get_dummy_value()

    return types.void(types.int64, scores, signs, types.float32, loss, exponents, n_outputs, width), generate


@intrinsic(prefer_literal=True)
def update_window(
    _typing: Any, contexts: Any, n_contexts: Any, outputs: Any, scores: Any, n_blocks: Any, n_outputs: Any, width: Any
) -> Any:
    """Move every row of a window by the gradients in `scores`, in place, the contexts in order; parameters as in `score_window`."""
    if not _constants((n_outputs, width)):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointers = [_data(context, builder, signature.args[i], values[i]) for i in (0, 2, 3)]
        window = _Window(builder, values[1], pointers[2], n_outputs.literal_value, width.literal_value)
        few = window.n_outputs <= (12 if window.width == 16 else 6)
        (window.update if few else window.update_many)(pointers[0], pointers[1], values[4])
        return context.get_dummy_value()

    return types.void(contexts, types.int64, outputs, scores, types.int64, n_outputs, width), generate


def _row_addresses(context: Any, builder: Any, kinds: Any, values: Any) -> Callable[[Any], Any]:
    """A function that emits the address of the row of matrix values[1] that number `index` of the list values[0] names."""
    words = _data(context, builder, kinds[0], values[0])
    matrix = context.make_array(kinds[1])(context, builder, values[1])
    base, stride = builder.ptrtoint(matrix.data, _INT64), cgutils.unpack_tuple(builder, matrix.strides)[0]

    def address(index: Any) -> Any:
        word = builder.sext(builder.load(builder.gep(words, [index])), _INT64)
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
        with cgutils.for_range_slice(builder, values[2], values[3], _INT64(1)) as (index, _):
            builder.store(address(index), builder.gep(target, [builder.sub(index, values[2])]))
        return context.get_dummy_value()

    return types.void(words, matrix, types.int64, types.int64, addresses, types.int64), generate


@intrinsic
def prefetch_rows(_typing: Any, words: Any, matrix: Any, first: Any, last: Any, n_lines: Any) -> Any:
    """Ask for the first cache lines of the rows of `matrix` that words[first:last] name, to be written soon; changes nothing."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        address = _row_addresses(context, builder, signature.args, values)
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, values[2], values[3], _INT64(1)) as (index, _):
            start = address(index)
            with cgutils.for_range(builder, values[4]) as loop:
                place = builder.inttoptr(builder.add(start, builder.shl(loop.index, _INT64(6))), pointer)
                builder.call(function, [place, _INT32(1), _INT32(3), _INT32(1)])
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
