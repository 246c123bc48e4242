"""Register-blocked pieces of the skip-gram kernel, emitted as LLVM IR, because loops over arrays keep no accumulators in registers.

A window has C contexts (inputs) and J outputs, which share one block of columns at a time. Two contexts and up to `group_size` outputs
form a tile: all of its dot products stay in registers until they are complete. Addresses of rows are bytes, as int64.
This file must not know what a sentence, a draw or a learning rate schedule is.
"""

import os
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

# Numba's own annotations fit neither: an intrinsic is called without its first parameter, and cgutils has none.
cgutils: Any = _cgutils
intrinsic: Any = _intrinsic

MAX_OUTPUTS = 65
ROW_MULTIPLE = 16  # floats in a cache line
WIDTH_VARIABLE = "CORPUS2VEC_SIMD_WIDTH"

_FLOAT = ir.FloatType()
_INT32 = ir.IntType(32)
_INT64 = ir.IntType(64)

# 2**f for f in [-1/2, 1/2], degree 5, least maximal relative error (1.5e-7 once rounded to float32), lowest power first.
_EXP2 = (1.0, 0.6931469440460205, 0.24022120237350464, 0.05550713092088699, 0.009675541892647743, 0.001327647129073739)
_LOG2_E = 1.4426950408889634
_MAX_SCORE = 80.0  # exp(-80) is a normal float32


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


def group_stride(n_outputs: int, width: int) -> int:
    """Floats that one tile occupies in the array of gradients: two for each output, up to a whole register."""
    return -(-2 * group_size(n_outputs, width) // width) * width


def tile_floats(n_outputs: int, width: int) -> int:
    """Floats that the tiles of all groups of outputs occupy for two contexts."""
    return -(-n_outputs // group_size(n_outputs, width)) * group_stride(n_outputs, width)


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

    def from_bits(self, bits: Any) -> "_Lanes":
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
    return power.from_bits(builder.add(power.bits(), builder.shl(whole, _integers(whole, 23))))


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
    """Emits the code of one window: what both intrinsics need to know."""

    def __init__(self, builder: Any, contexts: Any, outputs: Any, gradients: Any, n_blocks: Any, n_outputs: int, width: int) -> None:
        self.builder = builder
        self.contexts = contexts
        self.outputs = outputs
        self.gradients = gradients
        self.n_blocks = n_blocks
        self.n_outputs = n_outputs
        self.width = width
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

    def broadcast(self, pointer: Any, index: Any) -> _Lanes:
        """The float `pointer[index]` in all lanes."""
        number = self.builder.load(self.builder.gep(pointer, [index]))
        lane = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, _INT32(0))
        return _Lanes(self.builder, lane).pick(_Lanes(self.builder, lane), [0] * self.width)

    def variables(self, number: int) -> list[Any]:
        """Places for registers that change in a loop; LLVM turns them into registers."""
        return [cgutils.alloca_once(self.builder, self.vector) for _ in range(number)]

    def group(self, first: int) -> range:
        """The outputs of the group that starts with output number `first`."""
        return range(first, min(first + group_size(self.n_outputs, self.width), self.n_outputs))

    def lane(self, output: int, n_contexts: int, context: int) -> int:
        """Where a tile of one or two contexts keeps what belongs to one output and context."""
        size = group_size(self.n_outputs, self.width)
        return output // size * group_stride(self.n_outputs, self.width) + output % size * n_contexts + context

    def blocks(self) -> Any:
        """A loop over the blocks of columns; gives the first column of each."""
        return cgutils.for_range_slice(self.builder, _INT64(0), self.builder.mul(self.n_blocks, _INT64(self.width)), _INT64(self.width))

    def dot_products(self, rows: list[Any], outputs: range) -> list[_Lanes]:
        """All dot products of one tile, the contexts of an output side by side, `width` to a register."""
        places = self.variables(len(rows) * len(outputs))
        output_rows = [self.row(self.outputs, _INT64(j)) for j in outputs]
        for place in places:
            self.builder.store(ir.Constant(self.vector, [0.0] * self.width), place)
        with self.blocks() as (column, _):
            hidden = [self.load(row, column) for row in rows]
            for number, row in enumerate(output_rows):
                output = self.load(row, column)
                for c, h in enumerate(hidden):
                    place = places[number * len(rows) + c]
                    total = output.times_plus(h, _Lanes(self.builder, self.builder.load(place)))
                    self.builder.store(total.value, place)
        return _sums([_Lanes(self.builder, self.builder.load(place)) for place in places], self.width)

    def score_tile(self, first: Any, n_contexts: int, signs: Any, rate: _Lanes, loss: Any, exponents: Any) -> None:
        """Gradients and loss of one or two contexts against all outputs."""
        builder, width = self.builder, self.width
        rows = [self.row(self.contexts, builder.add(first, _INT64(c))) for c in range(n_contexts)]
        floats = tile_floats(self.n_outputs, width)
        tile = builder.mul(builder.lshr(first, _INT64(1)), _INT64(floats))
        linear, product = self.load(loss, _INT64(0)), self.load(loss, _INT64(width))
        one, zero, limit = linear.splat(1.0), linear.splat(0.0), linear.splat(_MAX_SCORE)
        for start in range(0, self.n_outputs, group_size(self.n_outputs, width)):
            lane = self.lane(start, n_contexts, 0)
            for score in self.dot_products(rows, self.group(start)):
                sign = self.load(signs, _INT64(lane + (2 - n_contexts) * floats))
                margin = score * sign
                magnitude = margin.where(">=", zero, margin, zero - margin)
                decay = _exp_of_minus(magnitude.where("<", limit, magnitude, limit))
                error = margin.where(">=", zero, decay, one) / (one + decay)
                self.store(rate * sign * error, self.gradients, builder.add(tile, _INT64(lane)))
                # softplus(-margin) = max(-margin, 0) + log(1 + decay): the factors are multiplied, their logarithm comes later
                linear = linear + margin.where("<", zero, zero - margin, zero, if_nan=True)
                product = product * sign.where("!=", zero, one + decay, one)
                lane += width
        self.store(linear, loss, _INT64(0))
        self._normalise(product, loss, exponents)

    def _normalise(self, product: _Lanes, loss: Any, exponents: Any) -> None:
        """Keep the product in [1, 2) and count its powers of two, so that it never overflows."""
        builder, width = self.builder, self.width
        place = builder.bitcast(exponents, ir.VectorType(_INT32, width).as_pointer())
        bits = product.bits()
        power = builder.sub(builder.lshr(bits, _integers(bits, 23)), _integers(bits, 127))
        builder.store(builder.add(builder.load(place, align=4), power), place, align=4)
        mantissa = builder.or_(builder.and_(bits, _integers(bits, 0x007FFFFF)), _integers(bits, 0x3F800000))
        self.store(product.from_bits(mantissa), loss, _INT64(width))

    def update_contexts(self, first: Any, n_contexts: int, column: Any, outputs: list[_Lanes], changes: list[Any]) -> None:
        """One block of columns of one or two contexts, one after the other: both may be the same row."""
        builder = self.builder
        tile = builder.mul(builder.lshr(first, _INT64(1)), _INT64(tile_floats(self.n_outputs, self.width)))
        for c in range(n_contexts):
            row = self.row(self.contexts, builder.add(first, _INT64(c)))
            hidden = self.load(row, column)
            # Chains of fused additions that do not wait for each other: with 65 outputs one chain would take 260 cycles.
            chains = [hidden] + [hidden.splat(0.0)] * (min(4, -(-self.n_outputs // 8)) - 1)
            for j, output in enumerate(outputs):
                gradient = self.broadcast(self.gradients, builder.add(tile, _INT64(self.lane(j, n_contexts, c))))
                change = gradient.times_plus(hidden, _Lanes(builder, builder.load(changes[j])))
                builder.store(change.value, changes[j])
                chains[j % len(chains)] = gradient.times_plus(output, chains[j % len(chains)])
            total = chains[0]
            for chain in chains[1:]:
                total = total + chain
            self.store(total, row, column)

    def update(self, n_contexts: Any) -> None:
        """All blocks of columns: contexts stream by, outputs and their changes stay in registers."""
        builder = self.builder
        rows = [self.row(self.outputs, _INT64(j)) for j in range(self.n_outputs)]
        changes = self.variables(self.n_outputs)
        with self.blocks() as (column, _):
            outputs = [self.load(row, column) for row in rows]
            for change in changes:
                builder.store(ir.Constant(self.vector, [0.0] * self.width), change)
            self.pairs(n_contexts, lambda first, number: self.update_contexts(first, number, column, outputs, changes))
            # One after the other, from memory: a noise word drawn twice is the same row.
            for row, change in zip(rows, changes, strict=True):
                self.store(self.load(row, column) + _Lanes(builder, builder.load(change)), row, column)

    def pairs(self, n_contexts: Any, body: Callable[[Any, int], None]) -> None:
        """Call `body(first context, 2)` for every pair of contexts, then `body(last, 1)` when one is left."""
        even = self.builder.and_(n_contexts, _INT64(-2))
        with cgutils.for_range_slice(self.builder, _INT64(0), even, _INT64(2)) as (first, _):
            body(first, 2)
        odd = self.builder.icmp_unsigned("!=", even, n_contexts)
        with cgutils.if_unlikely(self.builder, odd):
            body(even, 1)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Pointer to the first element of a Numba array."""
    return context.make_array(kind)(context, builder, value).data


# C contexts, J outputs (a constant when compiled), W SIMD width (the same), F = tile_floats(J, W)
@intrinsic(prefer_literal=True)
def score_window(_typing: Any, contexts: Any, n_contexts, outputs, signs, rate, gradients, loss, exponents, n_blocks, n_outputs, width):  # type: ignore[no-untyped-def]
    """Compute every gradient of a window and add to its loss; no row changes.

    Parameters
    ----------
    contexts, outputs
        int64 (C,) and (J,): addresses of the rows.
    n_contexts, n_blocks
        C; blocks of W columns in use.
    signs
        float32 (2 F,): +1 for the true output, -1 for noise, 0 for what does not count; laid out by `lay_out_sign`.
    rate
        float32 learning rate.
    gradients
        float32 (at least (C + 1) // 2 * F): receives rate * (label - sigma(score)).
    loss, exponents
        float32 (2 W,) and int32 (W,), added to: the sum of max(-margin, 0), and the product of 1 + exp(-|margin|) as mantissa and exponent.
    n_outputs, width
        J and W, literal.
    """
    if not all(isinstance(kind, types.IntegerLiteral) for kind in (n_outputs, width)):
        return None
    arguments = (contexts, types.int64, outputs, signs, types.float32, gradients, loss, exponents, types.int64, n_outputs, width)
    signature = types.void(*arguments)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        data = [_data(context, builder, kinds[i], values[i]) if isinstance(kinds[i], types.Array) else values[i] for i in range(9)]
        window = _Window(builder, data[0], data[2], data[5], data[8], n_outputs.literal_value, width.literal_value)
        lane = builder.insert_element(ir.Constant(window.vector, ir.Undefined), data[4], _INT32(0))
        rate = _Lanes(builder, lane).pick(_Lanes(builder, lane), [0] * window.width)
        window.pairs(data[1], lambda first, number: window.score_tile(first, number, data[3], rate, data[6], data[7]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic(prefer_literal=True)
def update_window(_typing, contexts, n_contexts, outputs, gradients, n_blocks, n_outputs, width):  # type: ignore[no-untyped-def]
    """Move every row of a window by its gradients, in place; parameters as in `score_window`."""
    if not all(isinstance(kind, types.IntegerLiteral) for kind in (n_outputs, width)):
        return None
    signature = types.void(contexts, types.int64, outputs, gradients, types.int64, n_outputs, width)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        data = [_data(context, builder, kinds[i], values[i]) if isinstance(kinds[i], types.Array) else values[i] for i in range(5)]
        _Window(builder, data[0], data[2], data[3], data[4], n_outputs.literal_value, width.literal_value).update(data[1])
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def row_address(_typing, matrix, row):  # type: ignore[no-untyped-def]
    """Address in bytes of a row of a contiguous float32 matrix, as int64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        stride = cgutils.unpack_tuple(builder, array.strides)[0]
        return builder.add(builder.ptrtoint(array.data, _INT64), builder.mul(values[1], stride))

    return types.int64(matrix, types.int64), generate


@intrinsic
def prefetch_row(_typing, address, n_lines):  # type: ignore[no-untyped-def]
    """Ask for the cache lines of a row that will be written soon; changes nothing."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range(builder, values[1]) as loop:
            place = builder.inttoptr(builder.add(values[0], builder.shl(loop.index, _INT64(6))), pointer)
            builder.call(function, [place, _INT32(1), _INT32(3), _INT32(1)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
