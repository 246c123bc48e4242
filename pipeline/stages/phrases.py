"""phrases: words that belong together become one token; one pass over the text, repeated by the chain for longer phrases.

Which phrases there are is counted and scored (`candidates.py`, `phrase_table.py`), or is the table of an earlier run. Every shard is joined
on workers (`joining.py`).
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.choices import PhraseScorer
from pipeline.configuration import Phrases
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.atomic import scratch
from pipeline.storage.schemas import LEXICON, PHRASES, PHRASES_FILE
from pipeline.storage.tables import read_table, write_table
from pipeline.words.candidates import Candidates, count_candidates
from pipeline.words.counting import Counted, count_strings, one_array
from pipeline.words.joining import phrases_of_shard
from pipeline.words.phrase_table import Scoring, gather_phrases, score_candidates
from pipeline.words.text import LEXICON_FILE, TextShard, count_tokens, shards_of, write_shard

WORDS_FILE = "words.parquet"
Joined = tuple[tuple[FileRecord, FileRecord], int, int]
"""The files of a shard, and how many tokens it had, as its lexicon says, and has now."""


def build(job: Job[Phrases]) -> Outcome:
    """Write the table of phrases, and every shard with them joined.

    Phrases, and words that are seen at least min_count times, come together in memory; all else is counted in parts.

    Raises
    ------
    StoreError
        When a file of the text cannot be read.
    """
    settings, shards = job.settings, shards_of(job.inputs["text"])
    progress = Progress(job.step, len(shards), "parts")
    with scratch(job.directory) as directory:
        all_distinct = settings.scorer is PhraseScorer.GENSIM
        lexicons = [shard.directory / LEXICON_FILE for shard in shards]
        words = count_strings(lexicons, directory / "lexicons", job.workers, settings.min_count, keep_rare=all_distinct)
        write_table(directory, WORDS_FILE, LEXICON, words.table())
        candidates = count_candidates(
            shards,
            [directory / WORDS_FILE, *([words.rare] if words.rare else [])],
            directory,
            job.workers,
            progress,
            connectors=settings.connector_words,
            min_count=settings.min_count,
            all_distinct=all_distinct,
        )
        scored = job.workers.map(score_candidates, _scorings(settings, words, candidates, directory), lambda _: None)
        phrases = gather_phrases([path for path, _, _ in scored])
    n_high, n_low = sum(high for _, high, _ in scored), sum(low for _, _, low in scored)
    seen = Tally("bigrams", candidates.n_seen, n_high, {"below min_count": candidates.n_rare_seen, "score too low": n_low})
    return _joined(job, phrases, progress, (seen,))


def build_frozen(job: Job[Phrases]) -> Outcome:
    """Write the given table of phrases, and every shard with them joined.

    Raises
    ------
    InputError
        When the table has been changed since the run began.
    StoreError
        When a file cannot be read.
    """
    progress = Progress(job.step, len(shards_of(job.inputs["text"])), "parts")
    return _joined(job, job.material.read(), progress, ())


def _scorings(settings: Phrases, words: Counted, candidates: Candidates, directory: Path) -> list[Scoring]:
    # gensim's dictionary holds words, connectors apart, and candidates.
    n_vocabulary = words.n_distinct - candidates.n_connectors + candidates.n_distinct
    files = [(path, False) for path in candidates.packed] + [(path, True) for path in candidates.spelled]
    return [Scoring(path, spelled, directory / WORDS_FILE, settings, words.n_seen, n_vocabulary) for path, spelled in files]


@dataclass(frozen=True)
class _Shard:
    """One task: a shard to be joined, by the table that lies in the directory."""

    shard: TextShard
    number: int
    directory: Path
    delimiter: str


def _joined(job: Job[Phrases], phrases: pa.Table, progress: Progress, tallies: tuple[Tally, ...]) -> Outcome:
    """Write the table, join all shards by it, and say what became of the tokens."""
    table = write_table(job.directory, PHRASES_FILE, PHRASES, phrases)
    shards = shards_of(job.inputs["text"])
    tasks = [_Shard(shard, number, job.directory, job.settings.delimiter) for number, shard in enumerate(shards)]

    def on_done(joined: Joined) -> None:
        progress.advance(1, joined[1])
        job.settle(joined[0])

    joined = job.workers.map(_join_shard, tasks, on_done)
    n_before, n_after = sum(before for _, before, _ in joined), sum(after for _, _, after in joined)
    return Outcome(
        (table, *(record for records, _, _ in joined for record in records)),
        (Tally("tokens", count_tokens(job.inputs["text"]), n_after, {"joined to the word before": n_before - n_after}), *tallies),
        {"phrases": phrases.num_rows, "tokens": n_after},
    )


def _join_shard(task: _Shard) -> Joined:
    """Write one shard with its phrases joined."""
    table, lexicon = read_table(task.directory / PHRASES_FILE, PHRASES), task.shard.lexicon()
    phrases = phrases_of_shard(table, one_array(lexicon["token"]), task.delimiter)
    texts = (phrases.join(text) for text in task.shard.sentences())
    sentences, joined, n_tokens = write_shard(task.directory, f"{task.number:05d}/", texts, phrases.tokens)
    return (sentences, joined), pc.sum(lexicon["count"]).as_py() or 0, n_tokens
