"""train: pairs and vocabulary into vectors. Reads the pair files one ahead of the kernel, so memory does not grow with the corpus.

Threads share one model without locks: with more than one the result depends on their timing. With one it is a pure function of the pairs,
the parameters and the seed.
"""

import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.alias import build_alias
from kernels.draws import Purpose, derive_key
from kernels.skipgram import fill_initial, new_vectors, train_skipgram
from pipeline.artifact import Artifact, FileRecord, Tally
from pipeline.configuration import Train
from pipeline.errors import TrainingError
from pipeline.progress import Progress
from pipeline.schemas import PAIRS, ROUNDS, ROUNDS_FILE, VECTORS_FILE, VOCABULARY, VOCABULARY_FILE, vectors_schema
from pipeline.stage import Job, Outcome, Stage
from pipeline.tables import Text, count_elements, flat_lists, read_table, write_table

CENTRES_A_SLICE = 20_000  # about 10 ms of one thread: how soon a stop is heard, and how even the threads' shares are


@dataclass(frozen=True)
class Round:
    """What one pair file gave."""

    epoch: int
    n_centres: int
    n_pairs: int
    loss_sum: float
    learning_rate: float


@dataclass(frozen=True)
class PairFile:
    """One file of pairs at its place in the run."""

    path: Path
    epoch: int
    first_centre: int  # centres trained before it
    n_centres: int
    words_a_centre: float  # words of the raw text for each centre that stayed


class Model:
    """The two matrices, the noise and the schedule of one training run."""

    def __init__(self, settings: Train, counts: npt.NDArray[np.int64], n_centres: int) -> None:
        self.settings, self.n_centres = settings, n_centres
        self.input = new_vectors(len(counts), settings.dimensions)
        self.output = new_vectors(len(counts), settings.dimensions)
        seed = np.uint64(settings.seed)
        # Numba returns a Python int, and takes one for signed after a small one was seen: half of all keys would not fit.
        initial_key, self.noise_key = (np.uint64(derive_key(seed, np.uint64(purpose))) for purpose in (Purpose.INITIAL, Purpose.NOISE))
        fill_initial(self.input, settings.dimensions, initial_key)
        self.threshold, self.other = build_alias(counts.astype(np.float64) ** settings.noise_power)

    def rate(self, n_trained: int) -> float:
        """The learning rate after so many centres."""
        start, end = self.settings.learning_rate, self.settings.min_learning_rate
        return max(end, start - (start - end) * n_trained / self.n_centres)

    def train(self, text: Text, radius: npt.NDArray[np.uint8], first: int, last: int, first_centre: int) -> npt.NDArray[np.float64]:
        """Train sentences first..last-1 of a file whose first centre has this number in the run; loss, pairs and centres."""
        tallies = np.zeros(3, dtype=np.float64)
        train_skipgram(
            text.codes,
            text.offsets,
            radius,
            first,
            last,
            first_centre,
            self.input,
            self.output,
            self.threshold,
            self.other,
            self.settings.dimensions,
            self.settings.negatives,
            self.noise_key,
            self.settings.learning_rate,
            self.settings.min_learning_rate,
            self.n_centres,
            tallies,
        )
        return tallies


def build(job: Job[Train]) -> Outcome:
    """Train and write the vectors and the table of rounds.

    Raises
    ------
    TrainingError
        When the loss is no longer finite.
    """
    vocabulary = read_table(job.inputs["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    pairs = job.inputs["pairs"][0]
    files = list(_pair_files(pairs))
    n_centres = files[-1].first_centre + files[-1].n_centres
    model = Model(job.settings, vocabulary["count"].to_numpy(), n_centres)
    progress = Progress(job.step, n_centres, "centres")
    rounds = []
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(job.workers.n_threads) as threads:
        following = reader.submit(_read_pairs, files[0].path)
        for file, after in zip(files, [*files[1:], None], strict=True):
            text, radius = following.result()
            if after:
                following = reader.submit(_read_pairs, after.path)
            rounds.append(_train_file(model, file, text, radius, threads, progress))
    training_s, words_per_s = progress.elapsed_s, progress.words_per_s
    losses = [done.loss_sum for done in rounds]
    n_pairs = sum(done.n_pairs for done in rounds)
    last = max(done.epoch for done in rounds if done.n_pairs)  # of a tiny text the last epoch may have drawn nothing
    last_epoch = [done for done in rounds if done.epoch == last]
    return Outcome(
        (_write_vectors(job.directory, vocabulary, model), _write_rounds(job.directory, rounds)),
        (Tally("centres", n_centres, sum(done.n_centres for done in rounds)),),
        {
            "words": len(vocabulary),
            "dimensions": job.settings.dimensions,
            "pairs": n_pairs,
            "loss": math.fsum(losses) / n_pairs,
            "loss_of_last_epoch": math.fsum(done.loss_sum for done in last_epoch) / sum(done.n_pairs for done in last_epoch),
            "training_s": training_s,
            "words_per_s": words_per_s,
            "threads": job.workers.n_threads,
        },
    )


def _pair_files(pairs: Artifact) -> Iterator[PairFile]:
    n_before = 0
    words_a_centre = pairs.manifest.measures["tokens"] / pairs.manifest.measures["centres"]
    for record in pairs.files("epoch-"):
        path = pairs.path(record.name)
        n_centres = count_elements(path)
        yield PairFile(path, int(record.name[6:9]), n_before, n_centres, words_a_centre)
        n_before += n_centres


def _read_pairs(path: Path) -> tuple[Text, npt.NDArray[np.uint8]]:
    table = read_table(path, PAIRS).combine_chunks()
    tokens, offsets = flat_lists(table["tokens"].chunk(0)) if table.num_rows else (np.zeros(0, np.int32), np.zeros(1, np.int64))
    radius = flat_lists(table["radius"].chunk(0))[0] if table.num_rows else np.zeros(0, np.uint8)
    return Text(tokens, offsets), radius


def _train_file(
    model: Model, file: PairFile, text: Text, radius: npt.NDArray[np.uint8], threads: ThreadPoolExecutor, progress: Progress
) -> Round:
    """Train one file in slices, which idle threads take in text order."""
    n_slices = max(1, math.ceil(file.n_centres / CENTRES_A_SLICE))
    borders = np.unique(np.searchsorted(text.offsets, np.linspace(0, file.n_centres, n_slices + 1)))
    slices: list[Future[npt.NDArray[np.float64]]] = []
    try:
        for first, last in zip(borders[:-1], borders[1:], strict=True):
            slices.append(threads.submit(model.train, text, radius, int(first), int(last), file.first_centre))
        tallies = np.zeros((len(slices), 3))
        for number, done in enumerate(slices):
            tallies[number] = done.result()
            loss_sum, n_pairs, n_centres = tallies[: number + 1].sum(axis=0)
            figures = {"loss": loss_sum / max(1, n_pairs), "learning_rate": model.rate(int(file.first_centre + n_centres))}
            progress.advance(int(tallies[number, 2]), tallies[number, 2] * file.words_a_centre, figures)
    finally:
        for waiting in slices:
            waiting.cancel()
    loss_sum = math.fsum(tallies[:, 0])
    if not math.isfinite(loss_sum):
        raise TrainingError(
            "Training diverged: the loss is no longer a finite number.",
            where=f"epoch {file.epoch}, after {file.first_centre:,} of {model.n_centres:,} centres",
            got=f"a loss of {loss_sum}",
            remedy=f"Lower train.learning_rate (it is {model.settings.learning_rate:g}).",
        )
    n_pairs, n_centres = int(tallies[:, 1].sum()), int(tallies[:, 2].sum())
    return Round(file.epoch, n_centres, n_pairs, loss_sum, model.rate(file.first_centre + n_centres))


def _write_vectors(directory: Path, vocabulary: pa.Table, model: Model) -> FileRecord:
    schema = vectors_schema(model.settings.dimensions)
    matrices = [
        pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(matrix[:, : model.settings.dimensions]).ravel()), type=schema.field(name).type
        )
        for name, matrix in (("input", model.input), ("output", model.output))
    ]
    table = pa.table([vocabulary["token"], vocabulary["count"], *matrices], schema=schema)
    return write_table(directory, VECTORS_FILE, schema, table)


def _write_rounds(directory: Path, rounds: list[Round]) -> FileRecord:
    columns = {
        "epoch": [done.epoch for done in rounds],
        "centres": [done.n_centres for done in rounds],
        "pairs": [done.n_pairs for done in rounds],
        "loss": [done.loss_sum / max(1, done.n_pairs) for done in rounds],
        "learning_rate": [done.learning_rate for done in rounds],
    }
    return write_table(directory, ROUNDS_FILE, ROUNDS, pa.table(columns, schema=ROUNDS))


STAGE = Stage("train", 1, build)
