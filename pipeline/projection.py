"""How many rows, how much disk and memory each step will need: from what earlier steps measured, else estimated from the size of the text.

The constants are measured on English Wikipedia (data/wiki-20mb and five times as much); other text can differ by a factor of two.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernels.vectors import row_floats
from pipeline.choices import Format, Loss, TrainMode, WindowKind
from pipeline.configuration import Configuration
from pipeline.errors import ConfigurationError
from pipeline.matrices import ppmi
from pipeline.plan import StepPlan
from pipeline.sources.shard import SourceShard
from pipeline.stages.pairs import SENTENCES_A_PART
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.training import glove
from pipeline.training.schedule import centre_work
from pipeline.training.softmax import flops, memory_bytes
from pipeline.words.text import SENTENCES_FILE

EXPANSION = {"": 1.0, ".gz": 2.8, ".bz2": 3.6, ".xz": 3.6, ".zst": 3.0}
# Bytes of text in a byte of a file, when the text is all that is in it.
SHARE_OF_TEXT = {Format.TEXT: 1.0, Format.JSONL: 0.95, Format.CSV: 0.99, Format.TSV: 1.0, Format.PARQUET: 1.7}
TEXT_BYTES_A_TOKEN = 6.1
TOKENS_A_SENTENCE = 74
HEAPS_FACTOR, HEAPS_POWER = 7.4, 0.556  # words seen five times or more in n tokens: 7.4 n^0.556
KEPT_AT_1E4 = 0.58  # share of tokens that subsampling at 1e-4 keeps
DISK_BYTES_A_TOKEN = 1.9
DISK_BYTES_A_CENTRE = 2.1
# Seconds are of one core of the machine that the README's figures are from, and at 100 dimensions where they grow with them.
NS_A_TOKEN = {"tokenize": 120.0, "phrases": 200.0, "vocabulary": 12.0, "pairs": 35.0, "cooccurrence": 470.0}
NS_A_PRODUCT = 0.075  # of `centre_work`
NS_A_CELL_DIMENSION = 1.3
NS_A_SVD_DIMENSION = 15.0
SOFTMAX_FLOPS = 4e10  # a second
LONGEST_SOFTMAX_S = 7 * 86_400.0
CELLS_FACTOR, CELLS_POWER = 42.0, 0.8  # different pairs of words within 10 words of each other in n tokens
DISK_BYTES_A_CELL = 4.5
COUNTING_BYTES = 400_000_000
WORDS_BYTES_A_TOKEN, PHRASES_BYTES_A_TOKEN = 6, 100  # of memory to count them at once; more than cluster.counting_mb goes through files
MAIN_FILE = {"tokenize": SENTENCES_FILE, "phrases": SENTENCES_FILE, "train": VECTORS_FILE}  # whose rows count; elsewhere all do
PROCESS_BYTES = 507_000_000  # interpreter, Arrow, Numba and its compiler, Dask, Prefect, and the process of its server
WORD_BYTES = 100  # of a word in training: its text, count, noise, and when it is merged
PATH_BYTES = 200  # of a word's path in the tree of hierarchical softmax
READING_BYTES = 60_000_000  # a block, a row group and the character table for each worker


@dataclass(frozen=True)
class Projection:
    """What one step holds and takes: measured when its artifacts exist, else projected."""

    n_rows: int
    disk_bytes: int
    memory_bytes: int
    seconds: float


def project(configuration: Configuration, plans: Sequence[StepPlan]) -> list[Projection]:
    """The projection of every step of a plan."""
    sizes = _Sizes(configuration, {planned.step.name: planned for planned in plans})
    return [_measured(planned) if planned.reused else sizes.project(planned) for planned in plans]


def refuse_absurd(configuration: Configuration, plans: Sequence[StepPlan]) -> None:
    """Stop before any work where full softmax would take longer than anybody waits.

    Raises
    ------
    ConfigurationError
        With the projected time.
    """
    if not configuration.train.predicts or configuration.train.loss is not Loss.FULL_SOFTMAX:
        return
    sizes = _Sizes(configuration, {planned.step.name: planned for planned in plans})
    seconds = sizes.training_seconds()
    if seconds > LONGEST_SOFTMAX_S:
        raise ConfigurationError(
            "Full softmax would take too long.",
            where="key train.loss",
            got=f"about {seconds / 86400:,.0f} days: {sizes.n_centres:,.0f} windows, each against {sizes.n_words:,.0f} words",
            expected=f"at most {LONGEST_SOFTMAX_S / 86400:.0f} days",
            remedy="Take negative_sampling, nce or hierarchical_softmax, which approximate it, or raise vocabulary.min_count.",
        )


def _measured(planned: StepPlan) -> Projection:
    main = MAIN_FILE.get(planned.step.stage.name, "")
    files = [file for artifact in planned.artifacts for file in artifact.manifest.files]
    rows = sum(file.n_rows for file in files if file.name.endswith(main))
    return Projection(rows, sum(file.size_bytes for file in files), 0, 0.0)


class _Sizes:
    """Tokens, words, centres and cells of a run, each measured where a finished step knows it."""

    def __init__(self, configuration: Configuration, plans: dict[str, StepPlan]) -> None:
        shards: list[SourceShard] = [wanted.unit.material for wanted in plans["tokenize"].wanted]
        text_bytes = sum(shard.n_bytes * EXPANSION[shard.compression] * SHARE_OF_TEXT[shard.format] for shard in shards)
        self.configuration = configuration
        self.n_shards = len(shards)
        self.n_threads = configuration.cluster.threads or len(os.sched_getaffinity(0))
        self.n_tokens = _figure(plans, "tokenize", "tokens") or text_bytes / TEXT_BYTES_A_TOKEN
        n_sentences = sum(
            tally.n_kept for artifact in plans["tokenize"].artifacts for tally in artifact.manifest.tallies if tally.unit == "sentences"
        )
        known = plans["tokenize"].reused and n_sentences
        self.n_sentences = n_sentences if known else max(1.0, self.n_tokens / TOKENS_A_SENTENCE)
        heaps = HEAPS_FACTOR * self.n_tokens**HEAPS_POWER * (5 / configuration.vocabulary.min_count) ** 0.7
        self.n_words = _figure(plans, "vocabulary", "words") or max(2, min(heaps, configuration.vocabulary.max_vocabulary or heaps))
        pairs = configuration.pairs
        kept = min(1.0, KEPT_AT_1E4 * (pairs.subsample / 1e-4) ** 0.25) if pairs.subsample else 1.0
        self.n_centres = _figure(plans, "pairs", "centres") or self.n_tokens * kept * pairs.epochs
        window = configuration.cooccurrence.window
        self.n_cells = _figure(plans, "cooccurrence", "cells") or CELLS_FACTOR * self.n_tokens**CELLS_POWER * window / 10
        self.n_contexts = pairs.window + 1 if pairs.window_kind is WindowKind.DYNAMIC else 2 * pairs.window

    def project(self, planned: StepPlan) -> Projection:
        """Rows, disk, memory and time of one step that will run."""
        stage = planned.step.stage.name
        n_words, dimensions = self.n_words, self.configuration.train.dimensions
        epochs = self.configuration.pairs.epochs
        part_bytes = 5 * self.n_tokens * min(1.0, SENTENCES_A_PART / self.n_sentences)
        vectors = n_words * 8 * dimensions
        scoring = 3 * 4 * n_words * row_floats(dimensions) + 4 * 2048 * min(n_words, self.configuration.evaluate.candidates)
        counting = int(self.configuration.cluster.counting_mb * 1e6)
        encoding_s = self.n_tokens * NS_A_TOKEN[stage] * 1e-9 / self.n_threads if stage in NS_A_TOKEN else 0.0
        of_stage: dict[str, Callable[[], tuple[float, float, float, float]]] = {
            "snapshot": lambda: (self.n_shards, 200 * self.n_shards, 0, 0.0),
            "tokenize": lambda: (self.n_sentences, self.n_tokens * DISK_BYTES_A_TOKEN, 0, encoding_s),
            "phrases": lambda: (
                self.n_sentences,
                self.n_tokens * DISK_BYTES_A_TOKEN,
                40 * n_words + min(counting, self.n_tokens * PHRASES_BYTES_A_TOKEN),
                encoding_s,
            ),
            "vocabulary": lambda: (n_words, 10 * n_words, 400 * n_words + min(counting, self.n_tokens * WORDS_BYTES_A_TOKEN), encoding_s),
            "pairs": lambda: (self.n_sentences * epochs, self.n_centres * DISK_BYTES_A_CENTRE, 4 * part_bytes, encoding_s * epochs),
            "cooccurrence": lambda: (self.n_cells, self.n_cells * DISK_BYTES_A_CELL, COUNTING_BYTES, encoding_s),
            "train": lambda: (n_words, vectors, self._model_bytes() + 2 * part_bytes + WORD_BYTES * n_words, self.training_seconds()),
            "glove": lambda: (n_words, vectors, glove.memory_bytes(int(n_words), dimensions, self.n_threads), self._glove_seconds()),
            "ppmi_svd": lambda: (n_words, vectors, ppmi.project_bytes(int(self.n_cells), int(n_words), dimensions), self._svd_seconds()),
            "evaluate": lambda: (20, 5_000, scoring, 1.0),
        }
        n_rows, disk, memory, seconds = of_stage[stage]()
        return Projection(int(n_rows), int(disk), int(PROCESS_BYTES + READING_BYTES + memory), seconds)

    def _model_bytes(self) -> float:
        """The model and its replicas, or its minibatches."""
        train = self.configuration.train
        matrix_bytes = 4 * self.n_words * row_floats(train.dimensions)
        if train.loss is Loss.FULL_SOFTMAX:
            return 2 * matrix_bytes + memory_bytes(int(self.n_words), train.dimensions, self.n_threads)
        n_models = 1
        if train.mode is TrainMode.REPRODUCIBLE and train.shards > 1:
            n_models = train.shards + max(1, min(train.shards, self.configuration.cluster.processes))
        paths = PATH_BYTES * self.n_words if train.loss is Loss.HIERARCHICAL_SOFTMAX else 0
        return 2 * n_models * matrix_bytes + paths

    def training_seconds(self) -> float:
        """Of skip-gram or CBOW."""
        train = self.configuration.train
        if train.loss is Loss.FULL_SOFTMAX:
            return flops(int(self.n_centres), int(self.n_words), train.dimensions) / (SOFTMAX_FLOPS * self.n_threads)
        n_outputs = math.log2(self.n_words) if train.loss is Loss.HIERARCHICAL_SOFTMAX else train.negatives + 1
        work = centre_work(train, n_outputs, self.n_contexts)
        return self.n_centres * work * NS_A_PRODUCT * 1e-9 / self.n_threads

    def _glove_seconds(self) -> float:
        glove_epochs = self.configuration.glove.epochs
        return glove_epochs * 2 * self.n_cells * self.configuration.train.dimensions * NS_A_CELL_DIMENSION * 1e-9 / self.n_threads

    def _svd_seconds(self) -> float:
        return self.n_cells * self.configuration.train.dimensions * NS_A_SVD_DIMENSION * 1e-9 / self.n_threads


def _figure(plans: dict[str, StepPlan], step: str, name: str) -> float:
    """A measure added up over a step's artifacts; 0 when it has not all of them, or is not in the chain."""
    planned = plans.get(step)
    return sum(artifact.manifest.measures[name] for artifact in planned.artifacts) if planned and planned.reused else 0
