"""train: pairs and vocabulary into vectors, block by block; between two cycles of blocks the model is whole, and can be saved.

In reproducible mode the result is a pure function of the pairs, the parameters and the seed, on one type of processor; in shared mode it
depends on the timing of the threads. Who trains is in `pipeline.training`.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.lanes import simd_width
from kernels.merge import Matrix
from kernels.text import Rates, learning_rate
from kernels.vectors import row_floats
from pipeline.choices import Loss, Model, TrainMode
from pipeline.configuration import Train
from pipeline.declarations import TRAIN
from pipeline.environment import computing
from pipeline.errors import TrainingError
from pipeline.events import RunWarned, StepResumed, emit
from pipeline.interruption import Interruption, noted_interruptions
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.schemas import ROUNDS, ROUNDS_FILE, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import read_table, write_table
from pipeline.training.cluster import Cluster, RestartedError
from pipeline.training.divergence import DIVERGED, divergence
from pipeline.training.pair_files import Block, PairFile, cut_blocks
from pipeline.training.softmax import FullSoftmax
from pipeline.training.task import Task
from pipeline.training.threads import Threads
from pipeline.training.trainer import Trainer
from pipeline.training.vectors_file import write_vectors

VECTORS = "vectors"  # beside the checkpoints, and removed with them: the matrices of a model that is not in this process


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
        When the loss is no longer finite, or far above that of vectors that know nothing, or a vector is not finite.
    KeyboardInterrupt
        After SIGINT or SIGTERM, with a checkpoint behind it.
    """
    task = Task(job.settings, job.inputs["vocabulary"][0], job.inputs["pairs"][0], job.material)
    files = task.files()
    vocabulary = read_table(task.vocabulary.path(VOCABULARY_FILE), VOCABULARY)
    reproducible = job.settings.mode is TrainMode.REPRODUCIBLE
    with _trainer(job, task, files) as trainer:
        position, (inputs, outputs) = _train(job, files, trainer, task.loss_at_zero())
        measures = trainer.measures
    del trainer  # with it its replicas, before the vectors are written
    try:
        written = write_vectors(
            job.directory, vocabulary, job.settings.dimensions, lambda first, last: (inputs[first:last], outputs[first:last])
        )
    except TrainingError:
        job.checkpoints.clear()  # from which the next run would only diverge again
        raise
    return Outcome(
        (written, _write_rounds(job, position.rounds)),
        (Tally("centres", sum(file.n_centres for file in files), position.n_centres),),
        {
            "words": len(vocabulary),
            "dimensions": job.settings.dimensions,
            **_losses(position.rounds),
            "training_s": position.training_s,
            "words_per_s": task.pairs.manifest.measures["tokens"] / position.training_s,
            **measures,
            "checkpoints_s": job.checkpoints.total_s,
            "simd_width": simd_width(),
            "reproducible": measures.get("reproducible", int(reproducible)),
        },
    )


def _trainer(job: Job[Train], task: Task, files: list[PairFile]) -> Trainer:
    """Whoever trains: threads by minibatches or in shards, or the workers of a cluster."""
    settings, n_threads = job.settings, job.workers.n_threads
    if settings.loss is Loss.FULL_SOFTMAX:
        return FullSoftmax(task.model(), settings.cbow_hidden if settings.model is Model.CBOW else None, files, n_threads)
    reproducible = settings.mode is TrainMode.REPRODUCIBLE
    client = job.workers.cluster_client() if reproducible and settings.shards > 1 else None
    return Cluster(client, task) if client else Threads(task.model(), task.schedule(), files, n_threads, shared=not reproducible)


def _train(job: Job[Train], files: list[PairFile], trainer: Trainer, loss_at_zero: float) -> tuple[Position, tuple[Matrix, Matrix]]:
    """Train all blocks that the newest checkpoint has not, and from there again whenever workers were lost; also the vectors."""
    with noted_interruptions() as interruption:
        while True:
            try:
                position = _go_on(job, files, trainer, loss_at_zero, interruption)
                return position, trainer.vectors(job.checkpoints.directory / VECTORS)
            except RestartedError as lost:
                if interruption.asked:
                    raise KeyboardInterrupt from lost
                emit(RunWarned(f"Training was set back to its last checkpoint, for a worker was lost: {lost}"))


def _go_on(job: Job[Train], files: list[PairFile], trainer: Trainer, loss_at_zero: float, interruption: Interruption) -> Position:
    blocks = list(cut_blocks(files, trainer.round_centres, trainer.cycle_rounds))
    progress = Progress(job.step, sum(file.n_centres for file in files), "centres")
    made_by = _making(trainer)
    rates = Rates(job.settings.start_rate, job.settings.min_learning_rate, progress.n_total)
    words_a_centre = job.inputs["pairs"][0].manifest.measures["tokens"] / progress.n_total
    position = Position()
    n_words = int(job.inputs["vocabulary"][0].manifest.measures["words"])
    job.checkpoints.expect(2 * 4 * n_words * row_floats(job.settings.dimensions))
    saved = job.checkpoints.newest(made_by)
    if saved:
        position = Position.of_state(saved.state)
        trainer.load(saved.directory)
        emit(StepResumed(job.step, position.n_centres, progress.n_total, progress.unit))
    before_s = position.training_s
    progress.go_on_from(position.n_centres, position.n_centres * words_a_centre)
    for block in blocks[position.n_blocks :]:
        file = files[block.file]
        tallies = trainer.train(block)
        rate = learning_rate(rates, file.first_centre + block.last)
        position.advance(block, file, tallies, rate)
        position.training_s = before_s + progress.elapsed_s
        _watch(job, tallies, position, loss_at_zero)
        figures = {"loss": position.rounds[-1].loss_sum / max(1, position.rounds[-1].pairs), "learning_rate": rate}
        progress.advance(block.last - block.first, (block.last - block.first) * words_a_centre, figures)
        asked = interruption.asked  # looked at once: it may come any time
        if block.ends_cycle and (asked or job.checkpoints.due):
            job.checkpoints.try_write(position.n_blocks, asdict(position), made_by, trainer.save)
            if asked:
                raise KeyboardInterrupt
    return position


def _making(trainer: Trainer) -> dict[str, Any]:
    """What a checkpoint must have been made by to be gone on from: the same rounding, and the same cycles."""
    return {"stage_version": TRAIN.version, "round_centres": trainer.round_centres, "cycle_rounds": trainer.cycle_rounds, **computing()}


def _watch(job: Job[Train], tallies: npt.NDArray[np.float64], position: Position, loss_at_zero: float) -> None:
    """Stop a run whose loss explodes: a block costs twice what vectors of zeros would, or is no number."""
    loss_sum, n_pairs, _ = tallies
    if not n_pairs or loss_sum / n_pairs <= DIVERGED * loss_at_zero:  # not so for NaN either
        return
    job.checkpoints.clear()  # from which the next run would only diverge again
    raise divergence(
        where=f"epoch {position.rounds[-1].epoch}, after {position.n_centres:,} centres",
        loss=loss_sum / n_pairs,
        most=DIVERGED * loss_at_zero,
        at_zero=loss_at_zero,
        remedy=f"Lower train.learning_rate (it is {job.settings.start_rate:g}), or train.shards where that is high.",
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


def _write_rounds(job: Job[Train], rounds: list[Round]) -> FileRecord:
    columns = {
        "epoch": [done.epoch for done in rounds],
        "centres": [done.centres for done in rounds],
        "pairs": [done.pairs for done in rounds],
        "loss": [done.loss_sum / max(1, done.pairs) for done in rounds],
        "learning_rate": [done.learning_rate for done in rounds],
    }
    return write_table(job.directory, ROUNDS_FILE, ROUNDS, pa.table(columns, schema=ROUNDS))
