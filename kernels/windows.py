"""The code of one window as LLVM IR: its layout in memory, its scores, and its gradients.

A window has C contexts (inputs) and J outputs, which share one block of columns at a time. Two contexts and up to `group_size` outputs
form a tile: all of its dot products stay in registers until they are complete. Addresses of rows are bytes, as int64.
"""

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

from llvmlite import ir

from kernels.lanes import FLOAT, INT32, INT64, Lanes, cgutils, integers, lane_sums, logistic_loss

MAX_CONTEXTS = 128
ROW_MULTIPLE = 16  # floats in a cache line

_TILE = 7  # blocks of columns of a hidden vector in registers
_MAX_FACTORS = 126  # factors up to 2 whose product, times a mantissa, is a finite float32


def group_size(n_outputs: int, width: int) -> int:
    """Outputs in one tile: as many as leave room in 16 registers (32 with AVX-512) for two rows of sums, in groups of equal size."""
    most = 12 if width == 16 else 6
    n_groups = -(-n_outputs // most)
    return -(-n_outputs // n_groups)


def plane_floats(n_outputs: int, width: int) -> int:
    """Floats of one group of outputs in the arrays of scores and signs: `group_size` for each context, and room to store past the end."""
    return MAX_CONTEXTS * group_size(n_outputs, width) + 2 * width


def all_floats(n_outputs: int, width: int) -> int:
    """Floats in the arrays of scores and signs, all groups."""
    return -(-n_outputs // group_size(n_outputs, width)) * plane_floats(n_outputs, width)


class Window:
    """Emits the code of one window: what the intrinsics of `kernels.tiles` need to know."""

    def __init__(self, builder: Any, n_contexts: Any, scores: Any, n_outputs: int, width: int) -> None:
        self.builder = builder
        self.n_contexts = n_contexts
        self.scores = scores
        self.n_outputs = n_outputs
        self.width = width
        self.size = group_size(n_outputs, width)
        self.vector = ir.VectorType(FLOAT, width)

    def row(self, addresses: Any, index: Any) -> Any:
        """Pointer to the first float of row number `index` of a list of addresses."""
        address = self.builder.load(self.builder.gep(addresses, [index]))
        return self.builder.inttoptr(address, FLOAT.as_pointer())

    def load(self, pointer: Any, index: Any) -> Lanes:
        """One register from `pointer[index:]`; aligned rows are faster, others are not wrong."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.vector.as_pointer())
        return Lanes(self.builder, self.builder.load(place, align=4))

    def store(self, value: Lanes, pointer: Any, index: Any) -> None:
        """One register to `pointer[index:]`."""
        place = self.builder.bitcast(self.builder.gep(pointer, [index]), self.vector.as_pointer())
        self.builder.store(value.value, place, align=4)

    def splat(self, number: Any) -> Any:
        """A scalar in all lanes."""
        kind = ir.VectorType(number.type, self.width)
        lane = self.builder.insert_element(ir.Constant(kind, ir.Undefined), number, INT32(0))
        return self.builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(INT32, self.width), [0] * self.width))

    def variables(self, number: int) -> list[Any]:
        """Places that change in a loop, zero at first; LLVM turns them into registers."""
        places = [cgutils.alloca_once(self.builder, self.vector) for _ in range(number)]
        for place in places:
            self.builder.store(ir.Constant(self.vector, [0.0] * self.width), place)
        return places

    def read(self, place: Any) -> Lanes:
        """The register in a place of `variables`."""
        return Lanes(self.builder, self.builder.load(place))

    def add_product(self, place: Any, one: Lanes, other: Lanes) -> None:
        """Add a product to a place of `variables`."""
        self.builder.store(one.times_plus(other, self.read(place)).value, place)

    def groups(self) -> list[range]:
        """The outputs of each group."""
        return [range(first, min(first + self.size, self.n_outputs)) for first in range(0, self.n_outputs, self.size)]

    def plane(self, group: int) -> Any:
        """Where the scores of a group start, which lie context by context."""
        return INT64(group * plane_floats(self.n_outputs, self.width))

    def steps(self, stop: Any, step: int) -> Any:
        """A loop from 0 below `stop`; gives the counter of each turn."""
        return cgutils.for_range_slice(self.builder, INT64(0), stop, INT64(step))

    def columns(self, n_blocks: Any) -> Any:
        """A loop over the blocks of columns; gives the first column of each."""
        return self.steps(self.builder.mul(n_blocks, INT64(self.width)), self.width)

    def pairs(self, body: Callable[[list[Any]], None]) -> None:
        """Call `body` with the numbers of two contexts, for every pair, then with that of the last, when one is left."""
        builder = self.builder
        even = builder.and_(self.n_contexts, INT64(-2))
        with self.steps(even, 2) as (first, _):
            body([first, builder.add(first, INT64(1))])
        with cgutils.if_unlikely(builder, builder.icmp_unsigned("!=", even, self.n_contexts)):
            body([even])

    def score(self, contexts: Any, outputs: Any, n_blocks: Any, members: list[Any]) -> None:
        """Scores of one or two contexts against all outputs: a tile for each group."""
        builder, width = self.builder, self.width
        rows = [self.row(contexts, c) for c in members]
        # One context has too few sums to keep two multipliers busy: its odd and even blocks are added up apart.
        n_parts = 2 if len(rows) == 1 and 2 * width <= ROW_MULTIPLE else 1
        for group, numbers in enumerate(self.groups()):
            output_rows = [self.row(outputs, INT64(j)) for j in numbers]
            parts = [self.variables(len(rows) * len(output_rows)) for _ in range(n_parts)]
            with self.steps(builder.mul(n_blocks, INT64(width)), n_parts * width) as (first, _):
                for part, sums in enumerate(parts):
                    column = builder.add(first, INT64(part * width))
                    hidden = [self.load(row, column) for row in rows]
                    for j, row in enumerate(output_rows):
                        output = self.load(row, column)
                        for c, h in enumerate(hidden):
                            self.add_product(sums[c * len(output_rows) + j], output, h)
            start = builder.add(self.plane(group), builder.mul(members[0], INT64(len(output_rows))))
            sums = [functools.reduce(operator.add, map(self.read, places)) for places in zip(*parts, strict=True)]
            # What the last register holds too much lies where the next contexts will be, or behind the last one.
            for i, scores in enumerate(lane_sums(sums, width)):
                self.store(scores, self.scores, builder.add(start, INT64(i * width)))

    def spread_values(self, values: Any, plane: Any) -> None:
        """Put the values of all outputs beside the scores of every context."""
        builder, width = self.builder, self.width
        for group, numbers in enumerate(self.groups()):
            size = len(numbers)
            registers = [self.load(values, INT64(numbers[0] + i)) for i in range(0, size, width)]
            # What a register holds too much lies where the next context will be, or behind the last one.
            with self.steps(self.n_contexts, 1) as (context, _):
                start = builder.add(self.plane(group), builder.mul(context, INT64(size)))
                for i, register in enumerate(registers):
                    self.store(register, plane, builder.add(start, INT64(i * width)))

    def grade(self, signs: Any, rate: Any, loss: Any, exponents: Any, corrections: Any = None) -> None:
        """Replace all scores by gradients, and add to the loss."""
        builder, width = self.builder, self.width
        linear, product = self.variables(2)
        builder.store(self.load(loss, INT64(0)).value, linear)
        rate = Lanes(builder, self.splat(rate))
        lanes = ir.Constant(ir.VectorType(INT32, width), list(range(width)))
        for group, numbers in enumerate(self.groups()):
            builder.store(self.load(loss, INT64(width)).value, product)
            count = builder.mul(self.n_contexts, INT64(len(numbers)))
            with self.steps(count, width) as (first, _):
                place = builder.add(self.plane(group), first)
                left = self.splat(builder.trunc(builder.sub(count, first), INT32))
                live = builder.sext(builder.icmp_signed("<", lanes, left), lanes.type)
                sign = self.load(signs, place)
                sign = sign.of_bits(builder.and_(sign.bits(), live))
                score = self.load(self.scores, place)
                if corrections is not None:
                    score = score - self.load(corrections, place)
                gradient, excess, factor = logistic_loss(score, sign)
                self.store(rate * gradient, self.scores, place)
                builder.store((self.read(linear) + excess).value, linear)
                builder.store((self.read(product) * factor).value, product)
                if MAX_CONTEXTS * self.size > _MAX_FACTORS * width:
                    self.normalise(self.read(product), loss, exponents)
                    builder.store(self.load(loss, INT64(width)).value, product)
            self.normalise(self.read(product), loss, exponents)
        self.store(self.read(linear), loss, INT64(0))

    def tiles(self, n_blocks: Any, most: int) -> Iterator[list[Any]]:
        """Loops over all blocks of columns, at most so many at a time; gives the first column of each."""
        done = INT64(0)
        for size in (most, 1):
            stop = self.builder.mul(self.builder.udiv(n_blocks, INT64(size)), INT64(size))
            first, last = (self.builder.mul(block, INT64(self.width)) for block in (done, stop))
            with cgutils.for_range_slice(self.builder, first, last, INT64(size * self.width)) as (column, _):
                yield [self.builder.add(column, INT64(i * self.width)) for i in range(size)]
            done = stop

    def gather(self, contexts: Any, hidden: Any, factor: Any, n_blocks: Any) -> None:
        """Set both hidden rows to the factor times the sum of the contexts."""
        rows = [self.row(hidden, INT64(i)) for i in range(2)]
        scale = Lanes(self.builder, self.splat(factor))
        for columns in self.tiles(n_blocks, _TILE):
            totals = self.variables(len(columns))
            with self.steps(self.n_contexts, 1) as (context, _):
                row = self.row(contexts, context)
                for total, column in zip(totals, columns, strict=True):
                    self.builder.store((self.read(total) + self.load(row, column)).value, total)
            for total, column in zip(totals, columns, strict=True):
                mean = scale * self.read(total)
                for row in rows:
                    self.store(mean, row, column)

    def scatter(self, contexts: Any, hidden: Any, factor: Any, n_blocks: Any) -> None:
        """Add the factor times what the first hidden row has changed to every context."""
        now, before = (self.row(hidden, INT64(i)) for i in range(2))
        scale = Lanes(self.builder, self.splat(factor))
        for columns in self.tiles(n_blocks, _TILE):
            changes = [scale * (self.load(now, column) - self.load(before, column)) for column in columns]
            with self.steps(self.n_contexts, 1) as (context, _):
                row = self.row(contexts, context)
                for change, column in zip(changes, columns, strict=True):
                    self.store(self.load(row, column) + change, row, column)

    def normalise(self, product: Lanes, loss: Any, exponents: Any) -> None:
        """Keep the product in [1, 2) and count its powers of two, before it can overflow."""
        builder, width = self.builder, self.width
        place = builder.bitcast(exponents, ir.VectorType(INT32, width).as_pointer())
        bits = product.bits()
        power = builder.sub(builder.lshr(bits, integers(bits, 23)), integers(bits, 127))
        builder.store(builder.add(builder.load(place, align=4), power), place, align=4)
        mantissa = builder.or_(builder.and_(bits, integers(bits, 0x007FFFFF)), integers(bits, 0x3F800000))
        self.store(product.of_bits(mantissa), loss, INT64(width))
