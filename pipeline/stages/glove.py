"""glove: co-occurrences and vocabulary into vectors; between two batches of cells the model is whole, and can be saved and watched.

The result is a pure function of the cells, the parameters and the seed, on one type of processor. What is minimised and how is said in
`kernels.glove`, the order of training in `pipeline.training.tournament`.

A cell is stored once for each unordered pair of words; a cell off the diagonal trains two examples. In the table of rounds, which has one
row an epoch here, `centres` are cells and `pairs` are examples; the loss is the mean objective f (w.u + b + c - log x)**2 over the examples
of the epoch, each taken just before its step.
"""

from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.glove import LOSS, LOSS_AT_ZERO, N_TALLIES, TRAINED, WEIGHT
from kernels.lanes import simd_width
from pipeline.configuration import GloveSettings
from pipeline.declarations import GLOVE
from pipeline.environment import computing
from pipeline.errors import ConfigurationError
from pipeline.events import StepResumed, emit
from pipeline.interruption import Interruption, noted_interruptions
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.schemas import ROUNDS, ROUNDS_FILE, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import read_table, write_table
from pipeline.training.cell_files import cell_files
from pipeline.training.divergence import DIVERGED, divergence
from pipeline.training.glove import GloveThreads, RoundState
from pipeline.training.tournament import N_ROUNDS, Match, rounds
from pipeline.training.vectors_file import write_vectors


@dataclass
class Position:
    """How far a run has come, and what it saw: with the model, all that a checkpoint needs."""

    n_rounds: int = 0  # finished, over all epochs
    n_cells: int = 0  # trained in them
    epochs: list[list[float]] = field(default_factory=list)  # the tallies of each epoch, of finished rounds
    n_done: list[int] = field(default_factory=list)  # cells of each match of a round that was begun
    tallies: list[list[float]] = field(default_factory=list)  # and their tallies
    n_checkpoints: int = 0
    training_s: float = 0.0

    @property
    def n_trained(self) -> int:
        """Cells trained."""
        return self.n_cells + sum(self.n_done)

    def state(self, matches: list[Match]) -> RoundState:
        """The next round as far as it has come."""
        if not self.n_done:
            return RoundState.start(matches)
        return RoundState(matches, np.array(self.n_done, np.int64), np.array(self.tallies))

    def of_epoch(self, state: RoundState) -> npt.NDArray[np.float64]:
        """The tallies of this epoch with those of its next round."""
        begun = self.n_rounds % N_ROUNDS
        before = np.array(self.epochs[-1] if begun else [0.0] * N_TALLIES)
        return before + np.sum(state.tallies, axis=0, dtype=np.float64)

    def pause(self, state: RoundState) -> None:
        """Note a round that is not finished."""
        self.n_done, self.tallies = state.n_done.tolist(), state.tallies.tolist()

    def finish(self, state: RoundState) -> None:
        """Note a finished round."""
        before = self.epochs[: self.n_rounds // N_ROUNDS]
        self.epochs = [*before, self.of_epoch(state).tolist()]
        self.n_rounds += 1
        self.n_cells += int(state.n_done.sum())
        self.n_done, self.tallies = [], []


def build(job: Job[GloveSettings]) -> Outcome:
    """Train, from the newest checkpoint if there is one, and write the vectors and the table of rounds.

    Raises
    ------
    ConfigurationError
        When no two words stand near each other.
    TrainingError
        When the loss is no longer finite, or far above that of vectors that know nothing.
    KeyboardInterrupt
        After SIGINT or SIGTERM, with a checkpoint behind it.
    """
    settings = job.settings
    files = cell_files(job.inputs["cooccurrences"][0])
    vocabulary = read_table(job.inputs["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    n_cells = sum(file.n_cells for file in files)
    if not n_cells:
        raise ConfigurationError(
            "There is nothing to train on: no two words of the vocabulary stand near each other.",
            where="keys cooccurrence.window, vocabulary.min_count",
            got=f"no co-occurrence of {len(vocabulary):,} words",
            expected="at least one",
            remedy="Lower vocabulary.min_count, or give more text.",
        )
    with GloveThreads(settings, len(vocabulary), files, job.workers.n_threads) as trainer, noted_interruptions() as interruption:
        position = Training(job, n_cells, trainer, interruption).finish()
        written = write_vectors(job.directory, vocabulary, settings.dimensions, trainer.vectors)
    examples = np.array(position.epochs)[:, TRAINED]
    losses = np.array(position.epochs)[:, LOSS]
    return Outcome(
        (written, _write_rounds(job, n_cells, position)),
        (Tally("cells", n_cells * settings.epochs, position.n_trained),),
        {
            "words": len(vocabulary),
            "dimensions": settings.dimensions,
            "pairs": int(examples.sum()),
            "loss": float(losses.sum() / examples.sum()),
            "loss_of_last_epoch": float(losses[-1] / examples[-1]),
            "training_s": position.training_s,
            "words_per_s": _n_tokens(job) * settings.epochs / position.training_s,
            "pairs_per_s": float(examples.sum() / position.training_s),
            "threads": trainer.n_threads,
            "checkpoints_s": job.checkpoints.total_s,
            "simd_width": simd_width(),
            "reproducible": 1,
        },
    )


class Training:
    """One run from its newest checkpoint to its end: the rounds, what is shown meanwhile, and when it stops."""

    def __init__(self, job: Job[GloveSettings], n_cells: int, trainer: GloveThreads, interruption: Interruption) -> None:
        self.job, self.trainer, self.interruption = job, trainer, interruption
        self.position = Position()
        self.made_by = {"stage_version": GLOVE.version, **computing()}
        self.words_a_cell = _n_tokens(job) / n_cells
        self.progress = Progress(job.step, n_cells * job.settings.epochs, "cells")
        job.checkpoints.expect(trainer.words.nbytes)
        saved = job.checkpoints.newest(self.made_by)
        if saved:
            self.position = Position(**saved.state)
            trainer.load(saved.directory)
            emit(StepResumed(job.step, self.position.n_trained, self.progress.n_total, "cells"))
        self.before_s = self.position.training_s
        self.progress.go_on_from(self.position.n_trained, self.position.n_trained * self.words_a_cell)

    def finish(self) -> Position:
        """Train all that is left."""
        n_rounds = self.job.settings.epochs * N_ROUNDS
        position = self.position
        while position.n_rounds < n_rounds:
            state = position.state(self._matches(position.n_rounds))
            coming = self._matches(position.n_rounds + 1) if position.n_rounds + 1 < n_rounds else []
            if self.trainer.train(state, coming, lambda state=state: self._look(state)):  # type: ignore[misc]
                self._look(state)
                position.finish(state)
            else:
                position.pause(state)
            position.training_s = self.before_s + self.progress.elapsed_s
            asked = self.interruption.asked  # looked at once: it may come any time
            if asked or self.job.checkpoints.due:
                position.n_checkpoints += 1
                self.job.checkpoints.try_write(position.n_checkpoints, asdict(position), self.made_by, self.trainer.save)
            if asked:
                raise KeyboardInterrupt
        return position

    def _matches(self, number: int) -> list[Match]:
        epoch, turn = divmod(number, N_ROUNDS)
        return rounds(self.job.settings.seed, epoch)[turn]

    def _must_stop(self) -> bool:
        return self.interruption.asked or self.job.checkpoints.due

    def _look(self, state: RoundState) -> bool:
        """Show how far a round is, and stop a run that diverges; whether to pause for a checkpoint."""
        self._watch(state)
        tallies = self.position.of_epoch(state)
        n_new = self.position.n_cells + int(state.n_done.sum()) - self.progress.n_done
        if n_new:
            figures = {"loss": float(tallies[LOSS] / tallies[TRAINED]), "learning_rate": self.job.settings.learning_rate}
            self.progress.advance(n_new, n_new * self.words_a_cell, figures)
        return self._must_stop()

    def _watch(self, state: RoundState) -> None:
        """Stop a run whose loss explodes: a round costs twice what zeros would if every log x were one further away, or is no number."""
        tallies = state.tallies.sum(axis=0)
        most = DIVERGED * (tallies[LOSS_AT_ZERO] + tallies[WEIGHT])
        if tallies[LOSS] <= most:  # not so for NaN
            return
        self.job.checkpoints.clear()  # from which the next run would only diverge again
        n_examples = max(1.0, tallies[TRAINED])
        raise divergence(
            where=f"epoch {self.position.n_rounds // N_ROUNDS}, after {self.position.n_cells + int(state.n_done.sum()):,} cells",
            loss=tallies[LOSS] / n_examples,
            most=most / n_examples,
            at_zero=tallies[LOSS_AT_ZERO] / n_examples,
            remedy=f"Lower glove.learning_rate (it is {self.job.settings.learning_rate:g}).",
        )


def _n_tokens(job: Job[GloveSettings]) -> float:
    return job.inputs["cooccurrences"][0].manifest.measures["tokens"]


def _write_rounds(job: Job[GloveSettings], n_cells: int, position: Position) -> FileRecord:
    n_epochs = len(position.epochs)
    columns = {
        "epoch": list(range(n_epochs)),
        "centres": [n_cells] * n_epochs,
        "pairs": [int(tallies[TRAINED]) for tallies in position.epochs],
        "loss": [tallies[LOSS] / tallies[TRAINED] for tallies in position.epochs],
        "learning_rate": [job.settings.learning_rate] * n_epochs,
    }
    return write_table(job.directory, ROUNDS_FILE, ROUNDS, pa.table(columns, schema=ROUNDS))
