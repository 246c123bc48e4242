"""Training a block on replicas, slowly: round after round every replica trains its stretch, then the due rows become one again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.reference.merge import merged
from tests.reference.windows import Matrix, Noise, Path, Text, train


def train_block(
    text: Text,
    borders: NDArray[np.int64],
    due: NDArray[np.int64],
    model: tuple[Matrix, Matrix],
    replicas: list[Matrix],
    scale: Matrix,
    targets: Noise | list[Path],
    rates: tuple[float, float, int],
    kind: Any,
) -> list[tuple[float, int, int]]:
    """Model (V, D) twice and replicas (R, V, D) twice, in place; the loss, examples and centres of every stretch."""
    n_replicas = len(replicas[0])
    tallies = []
    for turn, counts in enumerate(due):
        for r in range(n_replicas):
            first, last = borders[turn * n_replicas + r : turn * n_replicas + r + 2].tolist()
            tallies.append(train(text, first, last, replicas[0][r], replicas[1][r], targets, rates, kind))
        for matrix, n_rows in enumerate(counts):
            after = merged(model[matrix][:n_rows], replicas[matrix][:, :n_rows], scale[matrix, :n_rows])
            model[matrix][:n_rows] = after
            replicas[matrix][:, :n_rows] = after
    return tallies
