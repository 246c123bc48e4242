"""Merging replicas, slowly: in whatever float type the arrays have, every operation rounded by itself. NumPy only."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def tree_sum(parts: list[Floats]) -> Floats:
    """Neighbours are added, then the neighbours of these sums; one without a neighbour waits for the next level."""
    while len(parts) > 1:
        pairs = [a + b for a, b in zip(parts[0::2], parts[1::2], strict=False)]
        parts = pairs + parts[2 * len(pairs) :]
    return parts[0]


def merged(model: Floats, replicas: Floats, scale: Floats) -> Floats:
    """Rows of the model (V, S) after a fraction `scale` (V,) of the summed changes in replicas (R, V, S)."""
    return model + scale[:, None] * tree_sum([replica - model for replica in replicas])
