"""What a loss gives to the walk over windows: which output rows a window meets, and with which signs their scores count.

The walk of `kernels.trainer` knows no loss. It meets output rows in parts of `n_outputs`, a constant of the machine code, and asks these
functions for them. The losses are in `kernels.noise` and `kernels.tree`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Scratch(NamedTuple):
    """What a loss works with while a stretch is trained; all arrays are changed in place."""

    rows: NDArray[np.int32]
    """Numbers of output rows; a part is `n_outputs` of them one after the other."""
    values: Floats
    """A number for each of `rows`, or empty: a correction of its score, or its sign."""
    marks: NDArray[np.bool_]
    """For each slot of `rows`: whether a noise word is the centre."""
    signs: Floats
    """As `grade_window` wants them."""
    corrections: Floats
    """As `grade_window` wants them, or empty."""
    drawn: NDArray[np.int64]
    """Number of the set of noise words in each slot of `rows`, -1: none; or empty."""


class Loss(NamedTuple):
    """Functions for kernels, and constants of their machine code."""

    n_outputs: int
    """Rows in a part."""
    corrected: bool
    """Whether scores are corrected before they are graded."""
    new_scratch: Callable[[Any], Scratch]
    """(targets): of a stretch."""
    prepare: Callable[..., int]
    """(scratch, targets, text, prepared, last): make some centres from `prepared` on, before `last`, ready to be found; the first that is
    not."""
    find: Callable[..., tuple[int, int]]
    """(scratch, targets, text, centre): place of the first part in `rows`, and number of parts."""
    begin: Callable[..., None]
    """(scratch, place, n_inputs): lay out signs and corrections of the part at `place` for so many inputs."""
    end: Callable[..., None]
    """(scratch, place, n_inputs): undo what must not be left."""
