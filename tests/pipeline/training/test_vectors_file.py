"""The table of vectors that a model ends with."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import TrainingError
from pipeline.training.vectors_file import write_vectors

VOCABULARY = pa.table({"token": ["one", "two", "three"], "count": [3, 2, 1]})


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_write_vectors__refuses_what_is_no_finite_number(side: int, number: float, tmp_path: Path) -> None:
    matrices = np.zeros((2, 3, 16), np.float32)
    matrices[:, :, 5:] = number  # the pad, which nobody reads
    write_vectors(tmp_path, VOCABULARY, 5, lambda first, last: tuple(matrices[:, first:last]))
    matrices[side, 1:, 4] = number
    with pytest.raises(TrainingError, match="finite") as failure:
        write_vectors(tmp_path, VOCABULARY, 5, lambda first, last: tuple(matrices[:, first:last]))
    assert f"{'output' if side else 'input'} vector of the word 'two'" in str(failure.value)
    assert str(number) in str(failure.value)
