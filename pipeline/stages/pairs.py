"""pairs: what every epoch trains on. Rare words out, frequent words subsampled, a window radius drawn for every centre that stays.

The text is cut anew, by global sentence number, so that neither the shards of the corpus nor the workers change a byte.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from kernels.pairs import DrawTallies, draw_pairs, keep_probabilities_paper, keep_probabilities_program
from pipeline.choices import SubsampleFormula, WindowKind
from pipeline.configuration import Pairs
from pipeline.errors import ConfigurationError
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.atomic import scratch
from pipeline.storage.schemas import PAIRS, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import SENTENCES_A_GROUP, list_array, read_table, write_table
from pipeline.words.encoded import Piece, cut_text, encode_part, encode_shards
from pipeline.words.text import count_tokens, regrouped, shards_of

SENTENCES_A_PART = 32_768
TOKENS, RADIUS = PAIRS.field("tokens").type, PAIRS.field("radius").type

Drawn = tuple[tuple[FileRecord, ...], tuple[DrawTallies, ...]]
"""The files of a part, and where its words went."""


@dataclass(frozen=True)
class Part:
    """One task: a range of sentences of the whole text, for some epochs."""

    number: int
    epochs: range
    first_sentence: int  # global number
    pieces: tuple[Piece, ...]
    vocabulary: Path
    settings: Pairs
    directory: Path


def build(job: Job[Pairs]) -> Outcome:
    """Draw all epochs.

    Raises
    ------
    ConfigurationError
        When no sentence keeps two words.
    """
    vocabulary = job.inputs["vocabulary"][0].path(VOCABULARY_FILE)
    with scratch(job.directory) as directory:
        encoded = encode_shards(shards_of(job.inputs["text"]), vocabulary, directory, job.workers)
        cuts = list(cut_text(encoded, SENTENCES_A_PART))
        parts = [
            Part(number, epochs, first, pieces, vocabulary, job.settings, job.directory)
            for number, (first, pieces) in enumerate(cuts)
            for epochs in _epochs_together(number, len(cuts), job)
        ]
        progress = Progress(job.step, len(parts), "parts")

        def on_done(part: Drawn) -> None:
            progress.advance(1, sum(tally.n_in for tally in part[1]))
            job.settle(part[0])

        drawn = job.workers.map(_draw_part, parts, on_done)
    tallies = [epoch for _, epochs in drawn for epoch in epochs]
    n_in = count_tokens(job.inputs["text"]) * job.settings.epochs
    n_kept = sum(tally.n_kept for tally in tallies)
    n_rare, n_subsampled = sum(tally.n_rare for tally in tallies), sum(tally.n_subsampled for tally in tallies)
    n_lonely = sum(tally.n_lonely for tally in tallies)
    if not n_kept:
        raise ConfigurationError(
            "No window is left to train on: no sentence keeps two words.",
            where="keys pairs.subsample, vocabulary.min_count",
            got=f"of {n_in:,} tokens {n_rare:,} are below min_count, {n_subsampled:,} were subsampled, {n_lonely:,} were left alone",
            expected="at least two words that stay in one sentence",
            remedy="Raise pairs.subsample (0 keeps all words), lower vocabulary.min_count, or give more text.",
        )
    tally = Tally("tokens", n_in, n_kept, {"below min_count": n_rare, "subsampled": n_subsampled, "alone in a sentence": n_lonely})
    files = tuple(file for files, _ in drawn for file in files)
    return Outcome(files, (tally,), {"tokens": n_in, "centres": n_kept, "epochs": job.settings.epochs})


def _epochs_together(number: int, n_parts: int, job: Job[Pairs]) -> list[range]:
    """The epochs of a part, task by task: all at once, but the parts that are left when all threads have had as many share them out."""
    n_epochs, n_threads = job.settings.epochs, job.workers.n_threads
    n_tasks = min(n_threads, n_epochs) if number >= n_parts - n_parts % n_threads else 1
    borders = [-(-n_epochs * task // n_tasks) for task in range(n_tasks + 1)]  # the longer ones first
    return list(itertools.starmap(range, itertools.pairwise(borders)))


def _draw_part(part: Part) -> Drawn:
    """Write one file an epoch."""
    settings = part.settings
    counts = read_table(part.vocabulary, VOCABULARY, ["count"])["count"].to_numpy()
    formula = keep_probabilities_program if settings.subsample_formula is SubsampleFormula.WORD2VEC else keep_probabilities_paper
    keep = formula(counts, int(counts.sum()), settings.subsample)
    ids = np.arange(-1, len(counts), dtype=np.int32)
    texts = list(regrouped(encode_part(part.pieces), SENTENCES_A_GROUP))  # a row group each: no array is as large as the part
    tallies = []

    def drawn(epoch: int) -> Iterator[pa.RecordBatch]:
        first = part.first_sentence
        for text in texts:
            tokens, radius, offsets, tally = draw_pairs(
                text.codes,
                text.offsets,
                ids,
                keep,
                window=settings.window,
                dynamic=settings.window_kind is WindowKind.DYNAMIC,
                seed=settings.seed,
                epoch=epoch,
                first_sentence=first,
            )
            tallies.append(tally)
            first += text.n_sentences
            yield pa.record_batch([list_array(tokens, offsets, TOKENS), list_array(radius, offsets, RADIUS)], schema=PAIRS)

    names = {epoch: f"epoch-{epoch:03d}/part-{part.number:05d}.parquet" for epoch in part.epochs}
    return tuple(write_table(part.directory, name, PAIRS, drawn(epoch)) for epoch, name in names.items()), tuple(tallies)
