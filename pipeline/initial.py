"""Vectors that training begins with: a `vectors.parquet` of an earlier run, known by its content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.choices import Loss
from pipeline.configuration import Train
from pipeline.errors import ConfigurationError, InputError, StoreError
from pipeline.storage.artifact import MANIFEST, Link, Manifest
from pipeline.storage.keys import digest_of_file
from pipeline.vectors import Side, read_vectors

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class InitialVectors:
    """A file of vectors."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, link: Link) -> Self:
        """The file that a link names, where its origin says."""
        return cls(Path(link.origin["location"]), link.digest)

    @property
    def link(self) -> Link:
        """How training names this input: by content."""
        return Link("vectors", self.path.name, self.sha256, {"location": str(self.path)})


def find_initial(settings: Train) -> InitialVectors | None:
    """The file that `train.initial` names, if any.

    Raises
    ------
    ConfigurationError
        When it does not exist, or its vectors have another length.
    StoreError
        When it holds no vectors.
    """
    if not settings.initial:
        return None
    path = Path(settings.initial)
    if not path.is_file():
        raise ConfigurationError(
            "The first vectors do not exist.",
            where="key train.initial",
            got=settings.initial,
            expected="a vectors.parquet, such as store/train/KEY/vectors.parquet",
            remedy="corpus2vec show RUN names the keys of a run.",
        )
    sha256, n_dimensions = digest_of_file(path), read_vectors(path).matrix.shape[1]
    if n_dimensions != settings.dimensions:
        raise ConfigurationError(
            "The first vectors have another length.",
            where="keys train.initial, train.dimensions",
            got=f"{n_dimensions} in {path}",
            expected=str(settings.dimensions),
            remedy=f"Set train.dimensions to {n_dimensions}.",
        )
    manifest = path.with_name(MANIFEST)
    if manifest.exists() and Manifest.read(manifest).parameters.get("loss") == Loss.HIERARCHICAL_SOFTMAX:
        raise ConfigurationError(
            "The first vectors are of a run with hierarchical softmax, whose outputs are inner nodes of its tree, not words.",
            where="key train.initial",
            got=settings.initial,
            expected="vectors of a run with another loss",
            remedy="Train them anew with train.loss = negative_sampling.",
        )
    return InitialVectors(path.absolute(), sha256)


def begin_with(initial: InitialVectors, words: pa.ChunkedArray, inputs: Matrix, outputs: Matrix) -> int:
    """Set the rows of words that a file knows to its vectors, both matrices float32 (V, at least D) in place; how many they are.

    Raises
    ------
    InputError
        When the file has been changed since the run began.
    StoreError
        When it cannot be read, or its vectors are not finite.
    """
    path = initial.path
    if digest_of_file(path) != initial.sha256:
        raise InputError(
            "The first vectors changed while they were used.",
            where=str(path),
            expected="the bytes that were there when the run began",
            remedy="Run the same command again when the file is complete.",
        )
    known = read_vectors(path)
    rows = pc.index_in(words, value_set=known.words).to_numpy(zero_copy_only=False)
    found = np.flatnonzero(~np.isnan(rows.astype(np.float64)))
    places = rows[found].astype(np.int64)
    for matrix, side in ((inputs, Side.INPUT), (outputs, Side.OUTPUT)):
        first = known.matrix if side is Side.INPUT else read_vectors(path, side).matrix
        if not np.isfinite(first).all():
            raise StoreError(
                "The first vectors are not all finite numbers.",
                where=f"{path}, column {side}",
                expected="finite vectors",
                remedy="Take those of another run.",
            )
        matrix[found, : first.shape[1]] = first[places]
    return len(found)
