"""What is to be trained, as it lies in the store: small enough to be sent to workers, who read the rest for themselves."""

import functools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.pairs import keep_probabilities_paper, keep_probabilities_program
from kernels.tree import Parents, build_parents
from pipeline.choices import Loss, SubsampleFormula, WindowKind
from pipeline.configuration import Train
from pipeline.initial import InitialVectors, begin_with
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import read_table
from pipeline.training.model import Model, loss_at_zero, meetings
from pipeline.training.pair_files import PairFile, order_of_appearance, pair_files
from pipeline.training.schedule import MergeSchedule, merge_schedule


@dataclass(frozen=True)
class Task:
    """The settings and the input artifacts of a train stage."""

    settings: Train
    vocabulary: Artifact
    pairs: Artifact
    initial: InitialVectors | None = None  # to begin with

    def files(self) -> list[PairFile]:
        """The files of pairs, in the order of training."""
        return pair_files(self.pairs)

    def model(self) -> Model:
        """A new model."""
        model = Model(self.settings, self._counts(), sum(file.n_centres for file in self.files()), self._parents)
        if self.initial:
            begin_with(self.initial, self._vocabulary()["token"], model.input, model.output)
        return model

    def schedule(self) -> MergeSchedule:
        """When its replicas are merged."""
        return merging(self.settings, self._counts(), self.pairs, self._parents)

    def _vocabulary(self) -> pa.Table:
        return read_table(self.vocabulary.path(VOCABULARY_FILE), VOCABULARY)

    def _counts(self) -> npt.NDArray[np.int64]:
        return np.array(self._vocabulary()["count"], np.int64)  # a copy: to Numba an array that cannot be written is of another type

    @functools.cached_property
    def _parents(self) -> Parents | None:
        """The tree of hierarchical softmax, whose leaves stand as the words appear (docs/decisions/0004)."""
        if self.settings.loss is not Loss.HIERARCHICAL_SOFTMAX:
            return None
        counts = self._counts()
        parents: Parents = build_parents(counts, order_of_appearance(self.files(), len(counts)))
        return parents

    def __getstate__(self) -> dict[str, Any]:
        """Without the tree, which every worker builds for itself: a task stays small."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def loss_at_zero(self) -> float:
        """What a model of zeros costs an example, in nats."""
        return loss_at_zero(self.settings, self._counts())


def merging(settings: Train, counts: npt.NDArray[np.int64], pairs: Artifact, parents: Parents | None) -> MergeSchedule:
    """When the replicas of a run are merged: from the counts of the words, int64 (V,), and the parameters of its pairs."""
    drawn = pairs.manifest.parameters
    formula = keep_probabilities_program if drawn["subsample_formula"] == SubsampleFormula.WORD2VEC else keep_probabilities_paper
    kept = counts * formula(counts, int(counts.sum()), drawn["subsample"])
    share = kept / kept.sum()
    n_contexts = drawn["window"] + 1 if drawn["window_kind"] == WindowKind.DYNAMIC else 2 * drawn["window"]
    return merge_schedule(share, meetings(settings, counts, share, parents), settings, n_contexts)
