"""How often codes occur, counted without the GIL: NumPy's bincount keeps all other threads waiting."""

import numpy as np
import numpy.typing as npt

from kernels.jit import kernel


@kernel
def add_counts(codes: npt.NDArray[np.int32], counts: npt.NDArray[np.int64]) -> None:
    """Add to `counts` [W], in place, how often each of 0..W-1 is among `codes` [n], which are all below W."""
    for code in codes:
        counts[code] += 1
