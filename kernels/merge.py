"""Replicas of a model, each trained on its own text, become one model again: rows that changed, in a fixed order of summation.

A row of the model moves by a fraction of the sum of its changes in all replicas. The sum is a binary tree over the replicas, so that who
holds a few of them can add up that part alone, and the floats stay the same.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic
from numpy.typing import NDArray

from kernels.jit import exact
from kernels.lanes import FLOAT, INT32, INT64, Lanes, cgutils

# Numba's own annotation does not fit: an intrinsic is called without its first parameter.
intrinsic: Any = _intrinsic

INPUT, OUTPUT = 0, 1  # which matrix, where arrays have an axis for both

_WIDTH = 8  # lanes, of which a row has a multiple; the sums are the same with any

Matrix = NDArray[np.float32]


# R replicas, V rows, S floats in a row
class Replicas(NamedTuple):
    """A model and its replicas, which equal it where nothing was trained since they were merged."""

    inputs: NDArray[np.float32]
    """float32 (R, V, S)."""
    outputs: NDArray[np.float32]
    """float32 (R, V, S)."""
    input: Matrix
    """float32 (V, S), the merged model."""
    output: Matrix
    """float32 (V, S)."""
    scale: NDArray[np.float32]
    """float32 (2, V): the fraction of the summed changes of a row that the model takes, in the input (0) and output (1) matrix."""


def half(n: int) -> int:
    """How many of n >= 2 leaves are left of the root of the tree of summation: the largest power of two below n."""
    return 1 << ((n - 1).bit_length() - 1)


@functools.cache
def row_merger(n_replicas: int) -> Callable[..., None]:
    """A function for kernels that merges the rows [first, last) of one matrix, in place, into the model and every replica.

    Its parameters: replicas float32 (R, V, S), model float32 (V, S), scale float32 (V,), first, last. Replica 0 and 1, 2 and 3 ... are
    summed first, then the sums. Rows that no replica has changed are left alone: comparing costs less than marking them in training
    (40 ns a centre).
    """

    @exact
    def merge(replicas: NDArray[np.float32], model: Matrix, scale: NDArray[np.float32], first: int, last: int) -> None:
        for row in range(first, last):
            if changed(replicas, model, row):
                _merge_row(replicas, model, row, scale[row], n_replicas)

    return merge


@exact
def changed(replicas: NDArray[np.float32], model: Matrix, row: int) -> bool:
    """Whether a replica's row differs from the model's; nearly always the first number tells."""
    for r in range(replicas.shape[0]):
        if replicas[r, row, 0] != model[row, 0]:
            return True
    some: bool = _differ(replicas, model, row)
    return some


@intrinsic
def _differ(_typing: Any, replicas: Any, model: Any, row: Any) -> Any:
    """Whether a number of any replica's row differs from the model's; LLVM by itself would compare them one by one."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        mask = ir.IntType(_WIDTH)
        model_row, n_floats, n_replicas, replica_row = _rows(context, builder, signature, values)
        differences = cgutils.alloca_once_value(builder, mask(0))
        with cgutils.for_range(builder, n_replicas) as replica:
            other_row = replica_row(replica.index)
            with cgutils.for_range_slice(builder, INT64(0), n_floats, INT64(_WIDTH)) as (column, _):
                both = (builder.load(_lanes(builder, start, column), align=4) for start in (model_row, other_row))
                here = builder.bitcast(builder.fcmp_unordered("!=", *both), mask)
                builder.store(builder.or_(builder.load(differences), here), differences)
        return builder.icmp_unsigned("!=", builder.load(differences), mask(0))

    return types.boolean(replicas, model, types.int64), generate


def _rows(context: Any, builder: Any, signature: Any, values: Any) -> tuple[Any, Any, Any, Callable[[Any], Any]]:
    """Of replicas, model and row: the model's row, its floats, the number of replicas, and what gives the row of one; all arrays are C."""
    many, one = (context.make_array(kind)(context, builder, value) for kind, value in zip(signature.args[:2], values[:2], strict=True))
    n_rows, n_floats = cgutils.unpack_tuple(builder, one.shape)
    start, matrix = builder.mul(values[2], n_floats), builder.mul(n_rows, n_floats)

    def replica_row(replica: Any) -> Any:
        return builder.gep(many.data, [builder.add(start, builder.mul(matrix, replica))])

    return builder.gep(one.data, [start]), n_floats, cgutils.unpack_tuple(builder, many.shape)[0], replica_row


def _lanes(builder: Any, row: Any, column: Any) -> Any:
    """Where so many lanes of a row are, from a column on."""
    return builder.bitcast(builder.gep(row, [column]), ir.VectorType(FLOAT, _WIDTH).as_pointer())


@intrinsic(prefer_literal=True)
def _merge_row(_typing: Any, replicas: Any, model: Any, row: Any, scale: Any, n_replicas: Any) -> Any:
    """Merge one row in place; the number of replicas is a literal."""
    if not isinstance(n_replicas, types.IntegerLiteral):
        return None

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        model_row, n_floats, _, replica_row = _rows(context, builder, signature, values)
        rows = [replica_row(INT64(r)) for r in range(n_replicas.literal_value)]
        lane = builder.insert_element(ir.Constant(ir.VectorType(FLOAT, _WIDTH), ir.Undefined), values[3], INT32(0))
        fraction = Lanes(builder, builder.shuffle_vector(lane, lane, ir.Constant(ir.VectorType(INT32, _WIDTH), [0] * _WIDTH)))

        with cgutils.for_range_slice(builder, INT64(0), n_floats, INT64(_WIDTH)) as (column, _):
            before = Lanes(builder, builder.load(_lanes(builder, model_row, column), align=4))

            def changes(first: int, last: int) -> Lanes:
                if last - first == 1:
                    return Lanes(builder, builder.load(_lanes(builder, rows[first], column), align=4)) - before
                middle = first + half(last - first)
                return changes(first, middle) + changes(middle, last)

            after = before + fraction * changes(0, len(rows))
            for target in (model_row, *rows):
                builder.store(after.value, _lanes(builder, target, column), align=4)
        return context.get_dummy_value()

    return types.void(replicas, model, types.int64, types.float32, n_replicas), generate
