"""When which rows of the replicas become one: the multi-rate merge. A pure function of counts and parameters.

A round is `ROUND` centres, divided among the shards. A row that is updated often is merged after every round, one that is updated seldom
after 2, 4, 8 ... rounds, so that to any shard the others update it at most 64 times between two merges; after the last round of a cycle
all rows are merged. Why, and what else was tried: docs/decisions/0003-reproducible-training.md.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.merge import INPUT, OUTPUT
from pipeline.choices import CbowHidden, Loss, Model, NoiseDraws
from pipeline.configuration import Train
from pipeline.training.pair_files import Block

ROUND = 4096  # centres of all shards
MAX_CYCLE = 1024  # rounds
CYCLE_WORK = 512 * 6 * 6 * 300  # rounds times `centre_work` in a cycle: about a second of one core
PAIR_WORK = 3.0  # times as much takes a centre whose pairs have noise of their own
# An update of the usual size has six terms: an input row gets one from each of 1 + 5 outputs, an output row from about 6 contexts.
TERMS = 6.0
LARGEST_STEP = 1.6  # learning rate times the updates of a row by the other shards between two merges: so many are simply added up
MAX_UPDATES = 64.0
SATURATION = 0.8  # k over the learning rate: n updates beyond those move a row 1 - exp(-k n) of its way


@dataclass(frozen=True)
class MergeSchedule:
    """The periods and scales of all rows. V words; axis 0: input, output matrix."""

    n_shards: int
    cycle_rounds: int
    """Rounds after which all rows are merged, at most."""
    period: npt.NDArray[np.int64]
    """(2, V): rounds between merges, powers of two that do not fall from one row to the next."""
    scale: npt.NDArray[np.float32]
    """(2, V): the fraction of the summed changes of all shards that the model takes."""

    @property
    def stretch(self) -> int:
        """Centres that a shard trains in a round."""
        return -(-ROUND // self.n_shards)

    @property
    def round_centres(self) -> int:
        """Centres in a round, of all shards."""
        return self.n_shards * self.stretch

    def due(self, block: Block) -> npt.NDArray[np.int64]:
        """How many of the first rows of each matrix are merged after each round of a block, int64 (rounds, 2)."""
        n_rounds = -(-(block.last - block.first) // self.round_centres)
        rounds = block.n_rounds_before + np.arange(1, n_rounds + 1)
        due = np.stack([np.searchsorted(self.period[matrix], rounds & -rounds, side="right") for matrix in (INPUT, OUTPUT)], axis=1)
        if block.ends_cycle:
            due[-1] = self.period.shape[1]
        return due

    def borders(self, block: Block, first: int) -> npt.NDArray[np.int64]:
        """Where the stretches of a block begin and end in its text, of which position `first` is the file's first centre.

        int64 (rounds * n_shards + 1,); the stretches that the last round of a file has not are empty.
        """
        last = first + block.last
        borders = np.append(np.arange(first + block.first, last, self.stretch), last)
        return np.append(borders, np.full(-(len(borders) - 1) % self.n_shards, last))


def centre_work(settings: Train, n_outputs: float, n_contexts: float) -> float:
    """Multiplications of a centre, or as long: each hidden vector with its outputs, and for CBOW making it and giving its change back."""
    vectors = n_outputs + 2 * n_contexts if settings.model is Model.CBOW else n_outputs * n_contexts
    own_noise = settings.loss is not Loss.HIERARCHICAL_SOFTMAX and settings.noise_draws is NoiseDraws.PER_PAIR
    return vectors * settings.dimensions * (PAIR_WORK if own_noise else 1.0)


def merge_schedule(share: npt.NDArray[np.float64], meetings: npt.NDArray[np.float64], settings: Train, n_contexts: float) -> MergeSchedule:
    """The schedule for a corpus.

    Parameters
    ----------
    share
        float64 (V,): each word's share of the centres, summing to 1; the first words are the most frequent.
    meetings
        float64 (V,): how often an example meets each output row. Those met often should be first, for no row waits longer for a merge
        than one behind it.
    settings
        Of training: all that decides how long a centre takes, and its shards and learning rate.
    n_contexts
        Contexts of an average centre.

    Notes
    -----
    Were a row pulled to one place, n updates in each of R replicas would move the sum R (1 - exp(-k n)) of the way, and R n updates one
    after the other 1 - exp(-k R n). The scale is their ratio, n counting only updates beyond the bound: 1 for few, towards 1 / R for many.
    Simply added up they overshoot where the first is above 1, and diverge where it is above 2: two replicas never do, and of more all
    together, R n, may nearly be as many as R / (R - 1) says. So the bound is on the updates by the others.

    An input row counts an occurrence once for the scale, and once for each context for the period: measured to be right.
    """
    n_outputs = meetings.sum()
    # An example of skip-gram has one context, one of CBOW all of them; with its true gradient each of these moves by its part only.
    n_examples = 1.0 if settings.model is Model.CBOW else n_contexts
    part = 1.0 / n_contexts if settings.model is Model.CBOW and settings.cbow_hidden is CbowHidden.MEAN else 1.0
    inputs = share * n_outputs * part / TERMS
    outputs = meetings * n_examples / TERMS
    updates = min(MAX_UPDATES, LARGEST_STEP / settings.start_rate) * settings.shards / max(1, settings.shards - 1)
    often = np.stack([inputs * n_contexts, outputs]) * ROUND
    cycle = _power_of_two(np.clip(CYCLE_WORK / centre_work(settings, n_outputs, n_contexts), 1, MAX_CYCLE))
    period = _power_of_two(np.clip(updates / np.maximum(often, 1e-300), 1, cycle))
    period = np.minimum.accumulate(period[:, ::-1], axis=1)[:, ::-1]  # rows are merged as prefixes: none waits longer than those behind it
    kn = SATURATION * settings.start_rate * np.maximum(np.stack([inputs, outputs]) * ROUND * period - updates, 1e-9)
    scale = -np.expm1(-kn) / (-np.expm1(-kn / settings.shards) * settings.shards)
    return MergeSchedule(settings.shards, int(cycle), period, scale.astype(np.float32))


def _power_of_two(most: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The largest that is not above each."""
    return np.exp2(np.floor(np.log2(most))).astype(np.int64)
