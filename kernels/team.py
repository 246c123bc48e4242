"""Threads that work on one thing inside compiled code: they claim pieces by an atomic counter and wait for each other at a barrier.

Which thread does which piece depends on timing, so pieces must not care who does them. Waiting spins, because a round is too short
for Python's locks, and yields after a while, because there may be more threads than cores.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from kernels.jit import inlined
from kernels.lanes import INT32, INT64, cgutils

# Numba's own annotation does not fit: an intrinsic is called without its first parameter.
intrinsic: Any = _intrinsic

COUNTER_STRIDE = 8  # int64 numbers in a cache line: two counters in one line would be fought over

_SPINS = 2000  # some microseconds


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@intrinsic
def fetch_add(_typing: Any, counters: Any, index: Any) -> Any:
    """The value of counters[index], which goes up by one in the same instant, in place."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], values[0], values[1])
        return builder.atomic_rmw("add", place, INT64(1), "seq_cst")

    return types.int64(counters, types.int64), generate


@intrinsic
def _read(_typing: Any, counters: Any, index: Any) -> Any:
    """counters[index] as other threads left it; what they wrote before is visible after."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_place(context, builder, signature.args[0], values[0], values[1]), "seq_cst", 8)

    return types.int64(counters, types.int64), generate


@intrinsic
def _yield(_typing: Any) -> Any:
    """Let another thread have this core."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT32, []), "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


@inlined
def wait_for_all(counters: Any, index: int, n_threads: int) -> None:
    """Return when all threads have called this for the same counter, which was zero before."""
    fetch_add(counters, index)
    spins = 0
    while _read(counters, index) < n_threads:
        spins += 1
        if spins > _SPINS:
            _yield()
