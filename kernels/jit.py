"""The one place that compiles: `kernel` for what Python calls, `inlined` for what kernels call.

Numba's own cache looks only at the file of the compiled function, so an edited callee in another file would go on living in old
machine code. Here the cache directory carries a digest of every source file of this package: an edit anywhere compiles anew.
"""

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

# No nnan and ninf: a diverging run must be able to see its NaN. Reassociation lets reductions vectorise.
FASTMATH = {"arcp", "contract", "nsz", "reassoc"}


P = ParamSpec("P")
R = TypeVar("R")


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """A function compiled on its first call, cached on disk, that runs without the GIL."""
    outer = numba.config.CACHE_DIR  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(_cache_directory(outer))  # type: ignore[attr-defined]
    try:
        compiled: Callable[P, R] = numba.njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")(function)
    finally:
        numba.config.CACHE_DIR = outer  # type: ignore[attr-defined]
    return compiled


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A small function that LLVM folds into the kernels that call it; it has no cache entry of its own."""
    compiled: Callable[P, R] = numba.njit(nogil=True, fastmath=FASTMATH, error_model="numpy")(function)
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
