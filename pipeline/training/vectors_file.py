"""The table of finished vectors, as every stage that makes vectors writes it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from kernels.merge import Matrix
from pipeline.errors import TrainingError
from pipeline.storage.artifact import FileRecord
from pipeline.storage.schemas import VECTORS_FILE, vectors_schema
from pipeline.storage.tables import write_table

ROWS_A_BATCH = 65_536


# V words, D dimensions
def write_vectors(
    directory: Path, vocabulary: pa.Table, n_dimensions: int, vectors: Callable[[int, int], tuple[Matrix, Matrix]]
) -> FileRecord:
    """Write the vectors of all words in the order of the vocabulary.

    `vectors(first, last)` gives the input and output vectors of the words first..last-1, float32, whose columns from D on are left out: a
    model need not be copied as a whole.

    Raises
    ------
    TrainingError
        When a number is not finite.
    """
    schema = vectors_schema(n_dimensions)

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, len(vocabulary), ROWS_A_BATCH):
            words = vocabulary.slice(first, ROWS_A_BATCH).combine_chunks()
            columns = []
            for name, matrix in zip(("input", "output"), vectors(first, first + len(words)), strict=True):
                numbers = matrix[:, :n_dimensions]
                _refuse_what_is_not_finite(numbers, words["token"], name)
                columns.append(pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), type=schema.field(name).type))
            yield pa.record_batch([words["token"].chunk(0), words["count"].chunk(0), *columns], schema=schema)

    return write_table(directory, VECTORS_FILE, schema, batches())


def _refuse_what_is_not_finite(numbers: Matrix, words: pa.ChunkedArray, name: str) -> None:
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise TrainingError(
            "The vectors of some words are no finite numbers.",
            where=f"{name} vector of the word {words[bad[0]].as_py()!r}",
            got=str(numbers[bad[0]][~np.isfinite(numbers[bad[0]])][0]),
            remedy="Where the model has a learning rate, lower it.",
        )
