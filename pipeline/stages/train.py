"""train: pairs and vocabulary into vectors, block by block; between two blocks the model is whole, and can be saved and watched.

In reproducible mode the result is a pure function of the pairs, the parameters and the seed, on one type of processor; in shared mode it
depends on the timing of the threads. Who trains is in `pipeline.training`.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.pairs import keep_probabilities_paper, keep_probabilities_program
from kernels.tiles import simd_width
from pipeline.artifact import Artifact, FileRecord, Tally
from pipeline.configuration import NoiseDraws, SubsampleFormula, Train, TrainMode, WindowKind
from pipeline.errors import TrainingError
from pipeline.events import StepStarted, emit
from pipeline.interruption import noted_interruptions
from pipeline.progress import Progress
from pipeline.schemas import ROUNDS, ROUNDS_FILE, VECTORS_FILE, VOCABULARY, VOCABULARY_FILE, vectors_schema
from pipeline.stage import Job, Outcome, Stage
from pipeline.tables import read_table, write_table
from pipeline.training.model import Model, noise_weights
from pipeline.training.pair_files import Block, PairFile, PairReader, cut_blocks, pair_files
from pipeline.training.schedule import MergeSchedule, merge_schedule
from pipeline.training.threads import Threads

DIVERGED = 2.0  # times the loss of vectors of zeros
ROWS_A_BATCH = 65_536  # of the vectors, when they are written


@dataclass
class Round:
    """What one pair file gave so far."""

    epoch: int
    centres: int
    pairs: int
    loss_sum: float
    learning_rate: float


@dataclass
class Position:
    """How far a run has come, and what it saw: with the model, all that a checkpoint needs."""

    n_blocks: int = 0
    rounds: list[Round] = field(default_factory=list)
    training_s: float = 0.0

    @property
    def n_centres(self) -> int:
        """Centres trained."""
        return sum(done.centres for done in self.rounds)

    def advance(self, block: Block, file: PairFile, tallies: npt.NDArray[np.float64], rate: float) -> None:
        """Note a finished block."""
        if block.first == 0:
            self.rounds.append(Round(file.epoch, 0, 0, 0.0, rate))
        done = self.rounds[-1]
        done.loss_sum += float(tallies[0])
        done.pairs += int(tallies[1])
        done.centres += int(tallies[2])
        done.learning_rate = rate
        self.n_blocks += 1

    @staticmethod
    def of_state(state: dict[str, Any]) -> "Position":
        """The position that `asdict` made a state of."""
        return Position(state["n_blocks"], [Round(**done) for done in state["rounds"]], state["training_s"])


def build(job: Job[Train]) -> Outcome:
    """Train, from the newest checkpoint if there is one, and write the vectors and the table of rounds.

    Raises
    ------
    TrainingError
        When the loss is no longer finite, or far above that of vectors that know nothing.
    KeyboardInterrupt
        After SIGINT or SIGTERM, with a checkpoint behind it.
    """
    vocabulary = read_table(job.inputs["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    counts = vocabulary["count"].to_numpy()
    pairs = job.inputs["pairs"][0]
    files = pair_files(pairs)
    model = Model(job.settings, counts, sum(file.n_centres for file in files))
    schedule = merging(job.settings, counts, pairs) if job.settings.mode is TrainMode.REPRODUCIBLE else None
    with Threads(model, schedule, job.workers.n_threads) as trainer, PairReader(files) as reader:
        position = _train(job, files, reader, trainer)
        n_threads = trainer.n_threads
    return Outcome(
        (_write_vectors(job, vocabulary, model), _write_rounds(job, position.rounds)),
        (Tally("centres", model.rates.n_centres, position.n_centres),),
        {
            "words": len(vocabulary),
            "dimensions": job.settings.dimensions,
            **_losses(position.rounds),
            "training_s": position.training_s,
            "words_per_s": pairs.manifest.measures["tokens"] / position.training_s,
            "threads": n_threads,
            "simd_width": simd_width(),
            "reproducible": int(schedule is not None),
        },
    )


def merging(settings: Train, counts: npt.NDArray[np.int64], pairs: Artifact) -> MergeSchedule:
    """When the replicas of a run are merged: from the counts of the words, int64 (V,), and the parameters of its pairs."""
    drawn = pairs.manifest.parameters
    formula = keep_probabilities_program if drawn["subsample_formula"] == SubsampleFormula.WORD2VEC else keep_probabilities_paper
    kept = counts * formula(counts, int(counts.sum()), drawn["subsample"])
    noise = noise_weights(settings, counts)
    n_contexts = drawn["window"] + 1 if drawn["window_kind"] == WindowKind.DYNAMIC else 2 * drawn["window"]
    per_pair = settings.noise_draws is NoiseDraws.PER_PAIR
    return merge_schedule(kept / kept.sum(), noise / noise.sum(), settings.negatives, n_contexts, settings.shards, per_pair=per_pair)


def _train(job: Job[Train], files: list[PairFile], reader: PairReader, trainer: Threads) -> Position:
    """Train all blocks that the newest checkpoint has not."""
    blocks = list(cut_blocks(files, trainer.block_centres))
    n_total = trainer.model.rates.n_centres
    words_a_centre = job.inputs["pairs"][0].manifest.measures["tokens"] / n_total
    position = Position()
    saved = job.checkpoints.newest()
    if saved:
        position = Position.of_state(saved.state)
        trainer.load(saved.directory)
        emit(StepStarted(job.step, f"goes on from a checkpoint, {position.n_centres / n_total:.0%} are done"))
    progress = Progress(job.step, n_total, "centres")
    progress.go_on_from(position.n_centres, position.n_centres * words_a_centre)
    before_s = position.training_s
    with noted_interruptions() as interruption:
        for block in blocks[position.n_blocks :]:
            file = files[block.file]
            tallies = trainer.train(reader.text(block.file), block.first, block.last)
            rate = trainer.model.rate(file.first_centre + block.last)
            position.advance(block, file, tallies, rate)
            position.training_s = before_s + progress.elapsed_s
            _watch(job.settings, tallies, position)
            figures = {"loss": position.rounds[-1].loss_sum / max(1, position.rounds[-1].pairs), "learning_rate": rate}
            progress.advance(block.last - block.first, (block.last - block.first) * words_a_centre, figures)
            if interruption.asked or job.checkpoints.due:
                job.checkpoints.write(position.n_blocks, asdict(position), trainer.save)
            if interruption.asked:
                raise KeyboardInterrupt
    return position


def _watch(settings: Train, tallies: npt.NDArray[np.float64], position: Position) -> None:
    """Stop a run whose loss explodes: a block costs twice what vectors of zeros would, or is no number."""
    loss_sum, n_pairs, _ = tallies
    at_zero = (settings.negatives + 1) * math.log(2.0)
    if not n_pairs or loss_sum / n_pairs <= DIVERGED * at_zero:  # not so for NaN either
        return
    raise TrainingError(
        "Training diverged: the loss is no longer a finite number, or far above that of vectors that know nothing.",
        where=f"epoch {position.rounds[-1].epoch}, after {position.n_centres:,} centres",
        got=f"a mean loss of {loss_sum / n_pairs:.4g} a pair",
        expected=f"at most {DIVERGED * at_zero:.4g}; vectors of zeros have {at_zero:.4g}",
        remedy=f"Lower train.learning_rate (it is {settings.learning_rate:g}), or train.shards where that is high.",
    )


def _losses(rounds: list[Round]) -> dict[str, float]:
    n_pairs = sum(done.pairs for done in rounds)
    last = max(done.epoch for done in rounds if done.pairs)  # of a tiny text the last epoch may have drawn nothing
    last_epoch = [done for done in rounds if done.epoch == last]
    return {
        "pairs": n_pairs,
        "loss": math.fsum(done.loss_sum for done in rounds) / n_pairs,
        "loss_of_last_epoch": math.fsum(done.loss_sum for done in last_epoch) / sum(done.pairs for done in last_epoch),
    }


def _write_vectors(job: Job[Train], vocabulary: pa.Table, model: Model) -> FileRecord:
    schema = vectors_schema(job.settings.dimensions)

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, len(vocabulary), ROWS_A_BATCH):
            words = vocabulary.slice(first, ROWS_A_BATCH).combine_chunks()
            matrices = [
                pa.FixedSizeListArray.from_arrays(
                    pa.array(matrix[first : first + len(words), : job.settings.dimensions].ravel()), type=schema.field(name).type
                )
                for name, matrix in (("input", model.input), ("output", model.output))
            ]
            yield pa.record_batch([words["token"].chunk(0), words["count"].chunk(0), *matrices], schema=schema)

    return write_table(job.directory, VECTORS_FILE, schema, batches())


def _write_rounds(job: Job[Train], rounds: list[Round]) -> FileRecord:
    columns = {
        "epoch": [done.epoch for done in rounds],
        "centres": [done.centres for done in rounds],
        "pairs": [done.pairs for done in rounds],
        "loss": [done.loss_sum / max(1, done.pairs) for done in rounds],
        "learning_rate": [done.learning_rate for done in rounds],
    }
    return write_table(job.directory, ROUNDS_FILE, ROUNDS, pa.table(columns, schema=ROUNDS))


STAGE = Stage("train", 2, build)
