"""The one place that compiles: `kernel` for what Python calls, `inlined` for what kernels call.

Numba's own cache looks only at the file of the compiled function, so an edited callee in another file would go on living in old
machine code. Here the cache directory carries a digest of every source file of this package: an edit anywhere compiles anew. It also
compares pickled closures, which for a closure over another kernel differ in every process; here a kernel counts as its own closure.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher

# No nnan and ninf: a diverging run must be able to see its NaN. Reassociation lets reductions vectorise.
FASTMATH = {"arcp", "contract", "nsz", "reassoc"}


P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """A function compiled on its first call, cached on disk, that runs without the GIL."""
    _name_after_constants(function)
    return _cached(numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy")(function), function)


def exact_kernel(function: Callable[P, R]) -> Callable[P, R]:
    """As `kernel`, with the floats of `exact`."""
    _name_after_constants(function)
    return _cached(numba.njit(nogil=True, fastmath=False, error_model="numpy")(function), function)


def _cached(compiled: Callable[P, R], function: Callable[P, R]) -> Callable[P, R]:
    outer = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(_cache_directory(outer))  # type: ignore[attr-defined]
    try:
        vars(compiled)["_cache"] = _Cache(function)  # type: ignore[no-untyped-call]
    finally:
        numba.config.CACHE_DIR = outer  # type: ignore[attr-defined]
    return compiled


def _name_after_constants(function: Any) -> None:
    """Tell closures over different constants apart by their names too.

    Numba names machine code after the function and a number that starts anew in every process. Of two closures that two processes compiled
    and a third loads from the cache, LLVM would take the first for both.
    """
    if function.__closure__:
        function.__qualname__ += "_" + hashlib.sha256(repr(_closure(function)).encode()).hexdigest()[:12]


class _Cache(FunctionCache):
    """Machine code on disk, known by signature, processor and the constants that the function was made with."""

    def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        return (signature, codegen.magic_tuple(), self._py_func.__code__.co_code, _closure(self._py_func))


def _closure(function: Any) -> tuple[Any, ...]:
    """The constants in the closure of a function and of the compiled functions in it; all code is in the digest of the sources."""
    values = (cell.cell_contents for cell in function.__closure__ or ())
    return tuple((v.py_func.__qualname__, _closure(v.py_func)) if isinstance(v, Dispatcher) else v for v in values)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A function that LLVM copies into the kernels that call it; it has no cache entry of its own.

    Left to itself LLVM calls the larger ones, and every call counts references to every array, in atomic steps: half as much time as
    the whole of a window of skip-gram.
    """
    _name_after_constants(function)
    compiled: Callable[P, R] = numba.njit(nogil=True, forceinline=True, fastmath=FASTMATH, error_model="numpy")(function)
    return compiled


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """As `inlined`, but every float operation is done as it is written: for sums that several kernels must agree on to the bit."""
    _name_after_constants(function)
    # An option that is not given is taken from the caller, which would fuse and reorder.
    compiled: Callable[P, R] = numba.njit(nogil=True, forceinline=True, fastmath=False, error_model="numpy")(function)
    return compiled


@functools.cache
def _cache_directory(chosen: str) -> Path:
    """The directory of compiled code for exactly these sources: in NUMBA_CACHE_DIR, beside them, or where a user may write."""
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in sorted(here.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    beside = here / "__pycache__"
    writable = os.access(beside if beside.exists() else here, os.W_OK)
    root = Path(chosen) if chosen else beside if writable else Path.home() / ".cache" / "corpus2vec"
    return root / f"numba-{digest.hexdigest()[:16]}"
