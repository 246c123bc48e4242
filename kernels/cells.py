"""The arithmetic of one co-occurrence cell as LLVM IR: (row, column) and (column, row) at once, which have no row of a matrix in common.

Plain loops train an example in 112 ns where this takes 75 (100 dimensions, 70,000 words): LLVM vectorises them, but trains one orientation
after the other, behind a check that its four rows do not overlap. This file must not know where cells come from, nor what weighs them.
"""

import functools
import itertools
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from kernels.lanes import FLOAT, INT32, INT64, Lanes, cgutils, lane_sums, prefetch
from kernels.windows import ROW_MULTIPLE

intrinsic: Any = _intrinsic  # its own annotation does not fit: an intrinsic is called without its first parameter

INPUT, INPUT_SQUARES, OUTPUT, OUTPUT_SQUARES = range(4)  # the parts of a word's record
N_PARTS = 4


class Cell:
    """Emits the code of one cell. A record is given by pointers to its parts; all have `n_floats` floats, in whole cache lines."""

    def __init__(self, builder: Any, n_floats: Any, width: int) -> None:
        self.builder, self.n_floats, self.width = builder, n_floats, width
        self.vector = ir.VectorType(FLOAT, width)

    def record(self, address: Any) -> list[Any]:
        """Pointers to the parts of the record at an address in bytes."""
        start = self.builder.inttoptr(address, FLOAT.as_pointer())
        return [self.builder.gep(start, [self.builder.mul(self.n_floats, INT64(part))]) for part in range(N_PARTS)]

    def load(self, pointer: Any, column: Any) -> Lanes:
        """One register of a part."""
        place = self.builder.bitcast(self.builder.gep(pointer, [column]), self.vector.as_pointer())
        return Lanes(self.builder, self.builder.load(place, align=4))

    def store(self, value: Lanes, pointer: Any, column: Any) -> None:
        """One register to a part."""
        place = self.builder.bitcast(self.builder.gep(pointer, [column]), self.vector.as_pointer())
        self.builder.store(value.value, place, align=4)

    def splat(self, number: Any) -> Lanes:
        """A float in all lanes."""
        lane = self.builder.insert_element(ir.Constant(self.vector, ir.Undefined), number, INT32(0))
        lanes = ir.Constant(ir.VectorType(INT32, self.width), [0] * self.width)
        return Lanes(self.builder, self.builder.shuffle_vector(lane, lane, lanes))

    def root(self, value: Lanes) -> Lanes:
        """Square roots; to divide by one, LLVM refines the processor's estimate of 1 / sqrt once (relative error below 1e-6)."""
        kind = ir.FunctionType(self.vector, [self.vector])
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.sqrt.v{self.width}f32")
        return value.of(self.builder.call(function, [value.value]))

    def lines(self) -> Any:
        """A loop over the cache lines of a part; gives the first column of each."""
        return cgutils.for_range_slice(self.builder, INT64(0), self.n_floats, INT64(ROW_MULTIPLE))

    def columns(self, first: Any) -> list[Any]:
        """The registers of a cache line."""
        return [self.builder.add(first, INT64(i)) for i in range(0, ROW_MULTIPLE, self.width)]

    def scores(self, pairs: list[tuple[Any, Any]]) -> list[Any]:
        """The product of the word's input and the context's output vector, for each pair of records."""
        builder, n_columns = self.builder, ROW_MULTIPLE // self.width
        places = [[cgutils.alloca_once(builder, self.vector) for _ in range(n_columns)] for _ in pairs]
        for place in itertools.chain(*places):
            builder.store(ir.Constant(self.vector, [0.0] * self.width), place)
        with self.lines() as (first, _):
            for i, column in enumerate(self.columns(first)):
                for (word, context), sums in zip(pairs, places, strict=True):
                    before = Lanes(builder, builder.load(sums[i]))
                    after = self.load(word[INPUT], column).times_plus(self.load(context[OUTPUT], column), before)
                    builder.store(after.value, sums[i])
        totals = [functools.reduce(operator.add, [Lanes(builder, builder.load(place)) for place in sums]) for sums in places]
        scores = lane_sums(totals, self.width)[0]
        return [builder.extract_element(scores.value, INT32(i)) for i in range(len(pairs))]

    def update(self, pairs: list[tuple[Any, Any]], steps: list[Any], coming: list[Any]) -> None:
        """Move both vectors of each pair by a step times the other; ask for the `coming` records, a line of each part at a time."""
        factors = [self.splat(step) for step in steps]
        with self.lines() as (first, _):
            for part in itertools.chain(*coming):
                prefetch(self.builder, self.builder.gep(part, [first]))
            for column in self.columns(first):
                for (word, context), factor in zip(pairs, factors, strict=True):
                    w, u = self.load(word[INPUT], column), self.load(context[OUTPUT], column)
                    self.move(word[INPUT], word[INPUT_SQUARES], column, w, factor * u)
                    self.move(context[OUTPUT], context[OUTPUT_SQUARES], column, u, factor * w)

    def move(self, vector: Any, squares: Any, column: Any, value: Lanes, step: Lanes) -> None:
        """AdaGrad in one register."""
        before = self.load(squares, column)
        self.store(value - step / self.root(before), vector, column)
        self.store(step.times_plus(step, before), squares, column)


# F floats in a part, W SIMD width
@intrinsic(prefer_literal=True)
def train_cell(
    _typing: Any,
    one: Any,
    other: Any,
    target: Any,
    scale: Any,
    n_floats: Any,
    coming_one: Any,
    coming_other: Any,
    both: Any,
    width: Any,
) -> Any:
    """Train one cell in place; float32 errors score - target of both orientations before the step.

    Parameters
    ----------
    one, other
        int64 addresses of the records of the row's and the column's word, float32 (4, F) each: input vector, its sums of squares, output
        vector, its sums of squares. The input vector of the one meets the output vector of the other.
    target, scale
        float32: what the score should be; the learning rate times the weight of the cell.
    n_floats
        F, a multiple of 16.
    coming_one, coming_other
        int64 addresses of records that will be needed soon.
    both
        Literal 1: the input vector of `other` meets the output vector of `one`, too. They must not be the same word then. Literal 0: not,
        and the second error is 0.
    width
        W, literal.
    """
    if not (isinstance(both, types.IntegerLiteral) and isinstance(width, types.IntegerLiteral)):
        return None
    errors_kind = types.UniTuple(types.float32, 2)  # type: ignore[no-untyped-call]

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        cell = Cell(builder, values[4], width.literal_value)
        first, second, *coming = [cell.record(values[i]) for i in (0, 1, 5, 6)]
        pairs = [(first, second), (second, first)][: 1 + both.literal_value]
        errors = [builder.fsub(score, values[2]) for score in cell.scores(pairs)]
        cell.update(pairs, [builder.fmul(values[3], error) for error in errors], coming)
        return context.make_tuple(builder, errors_kind, [*errors, FLOAT(0.0)][:2])

    address, number = types.int64, types.float32
    return errors_kind(address, address, number, number, types.int64, address, address, both, width), generate
