"""How many rows, how much disk and memory each step will need: from what earlier steps measured, else estimated from the size of the text.

The constants are measured on English Wikipedia (data/wiki-20mb and five times as much); other text can differ by a factor of two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kernels.vectors import row_floats
from pipeline.configuration import Configuration, TrainMode
from pipeline.corpus import SourceShard
from pipeline.plan import StepPlan
from pipeline.schemas import VECTORS_FILE
from pipeline.stages.pairs import SENTENCES_A_PART
from pipeline.text import SENTENCES_FILE

EXPANSION = {"": 1.0, ".gz": 2.8, ".bz2": 3.6, ".xz": 3.6, ".zst": 3.0}
TEXT_BYTES_A_TOKEN = 6.1
TOKENS_A_SENTENCE = 74
HEAPS_FACTOR, HEAPS_POWER = 7.4, 0.556  # words seen five times or more in n tokens: 7.4 n^0.556
KEPT_AT_1E4 = 0.58  # share of tokens that subsampling at 1e-4 keeps
DISK_BYTES_A_TOKEN = 1.9
DISK_BYTES_A_CENTRE = 2.1
MAIN_FILE = {"tokenize": SENTENCES_FILE, "phrases": SENTENCES_FILE, "train": VECTORS_FILE}  # whose rows count; elsewhere all do
PROCESS_BYTES = 600_000_000  # interpreter, Arrow, Numba and its compiler, Dask, Prefect, and the process of its server
WORD_BYTES = 100  # of a word in training: its text, count, noise, and when it is merged
READING_BYTES = 60_000_000  # a block, a row group and the character table for each worker


@dataclass(frozen=True)
class Projection:
    """What one step holds: measured when its artifacts exist, else projected."""

    n_rows: int
    disk_bytes: int
    memory_bytes: int


def project(configuration: Configuration, plans: Sequence[StepPlan]) -> list[Projection]:
    """The projection of every step of a plan."""
    sizes = _Sizes(configuration, {planned.step.name: planned for planned in plans})
    return [_measured(planned) if planned.reused else sizes.project(planned) for planned in plans]


def _measured(planned: StepPlan) -> Projection:
    main = MAIN_FILE.get(planned.step.stage.name, "")
    files = [file for artifact in planned.artifacts for file in artifact.manifest.files]
    return Projection(sum(file.n_rows for file in files if file.name.endswith(main)), sum(file.size_bytes for file in files), 0)


class _Sizes:
    """Tokens, words and centres of a run, each measured where a finished step knows it."""

    def __init__(self, configuration: Configuration, plans: dict[str, StepPlan]) -> None:
        shards: list[SourceShard] = [wanted.unit.material for wanted in plans["tokenize"].wanted]
        text_bytes = sum(shard.n_bytes * EXPANSION[shard.compression] for shard in shards)
        self.configuration = configuration
        self.n_tokens = _figure(plans["tokenize"], "tokens") or text_bytes / TEXT_BYTES_A_TOKEN
        heaps = HEAPS_FACTOR * self.n_tokens**HEAPS_POWER * (5 / configuration.vocabulary.min_count) ** 0.7
        self.n_words = _figure(plans["vocabulary"], "words") or max(2, heaps)
        kept = min(1.0, KEPT_AT_1E4 * (configuration.pairs.subsample / 1e-4) ** 0.25) if configuration.pairs.subsample else 1.0
        self.n_centres = _figure(plans["pairs"], "centres") or self.n_tokens * kept * configuration.pairs.epochs
        self.n_shards = len(shards)

    def project(self, planned: StepPlan) -> Projection:
        """Rows, disk and memory of one step that will run."""
        name = planned.step.stage.name
        n_words, dimensions = self.n_words, self.configuration.train.dimensions
        n_sentences = self.n_tokens / TOKENS_A_SENTENCE
        part_bytes = 5 * SENTENCES_A_PART * min(TOKENS_A_SENTENCE, self.n_tokens)
        matrix_bytes = 4 * n_words * row_floats(dimensions)
        train = self.configuration.train
        n_models = 1
        if train.mode is TrainMode.REPRODUCIBLE and train.shards > 1:
            n_models = train.shards + max(1, min(train.shards, self.configuration.cluster.processes))
        n_rows, disk, memory = {
            "snapshot": (self.n_shards, 200 * self.n_shards, 0),
            "tokenize": (n_sentences, self.n_tokens * DISK_BYTES_A_TOKEN, 0),
            "phrases": (n_sentences, self.n_tokens * DISK_BYTES_A_TOKEN, 40 * n_words),
            "vocabulary": (n_words, 10 * n_words, 400 * n_words),
            "pairs": (n_sentences * self.configuration.pairs.epochs, self.n_centres * DISK_BYTES_A_CENTRE, 4 * part_bytes),
            "train": (n_words, n_words * 8 * dimensions, 2 * n_models * matrix_bytes + 2 * part_bytes + WORD_BYTES * n_words),
            "evaluate": (20, 5_000, 3 * matrix_bytes + 4 * 2048 * min(n_words, self.configuration.evaluate.candidates)),
        }[name]
        return Projection(int(n_rows), int(disk), int(PROCESS_BYTES + READING_BYTES + memory))


def _figure(planned: StepPlan, name: str) -> float:
    """A measure added up over a step's artifacts; 0 when it has not all of them."""
    return sum(artifact.manifest.measures[name] for artifact in planned.artifacts) if planned.reused else 0
