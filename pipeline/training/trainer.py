"""What the train stage needs of whoever trains."""

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from kernels.merge import Matrix
from pipeline.training.pair_files import Block


class Trainer(Protocol):
    """A model in training, in a `with`. It is whole between two cycles of blocks; only then it may be saved."""

    @property
    def round_centres(self) -> int:
        """Centres in a round, of which a block has whole ones."""

    @property
    def cycle_rounds(self) -> int:
        """Rounds after which the model is whole, at most."""

    @property
    def measures(self) -> dict[str, float]:
        """What is worth keeping about who trained."""

    def train(self, block: Block) -> npt.NDArray[np.float64]:
        """Train one block; loss in nats, examples and centres, float64 (3,).

        Raises
        ------
        StoreError
            When a file of pairs is damaged.
        """

    def save(self, directory: Path) -> None:
        """Write all that training needs to go on from here."""

    def load(self, directory: Path) -> None:
        """Go on from what was written."""

    def vectors(self, directory: Path) -> tuple[Matrix, Matrix]:
        """Input and output matrix, float32 (V, row_floats(D)), when all is trained; may use the directory, which need not exist."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give threads and memory back."""
