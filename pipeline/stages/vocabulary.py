"""vocabulary: exact counts over all shards, min-count, the most frequent, ids by falling count."""

import pyarrow.compute as pc

from pipeline.configuration import Vocabulary
from pipeline.errors import ConfigurationError, InputError
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import Tally
from pipeline.storage.atomic import scratch
from pipeline.storage.schemas import VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import write_table
from pipeline.words.counting import Counted, count_strings
from pipeline.words.text import LEXICON_FILE, count_tokens, shards_of


def build(job: Job[Vocabulary]) -> Outcome:
    """Write the vocabulary.

    What is below min_count never comes together in memory. The others do, as they will in every later stage; with max_vocabulary only
    about twice as many as that.

    Raises
    ------
    InputError
        When the text has no tokens.
    ConfigurationError
        When min_count leaves fewer than two words.
    """
    min_count, most = job.settings.min_count, job.settings.max_vocabulary
    lexicons = [shard.directory / LEXICON_FILE for shard in shards_of(job.inputs["text"])]
    with scratch(job.directory) as directory:
        counted = count_strings(lexicons, directory, job.workers, min_count, most)
        _check(counted, min_count)
        table = counted.table().cast(VOCABULARY)
    n_kept = pc.sum(table["count"]).as_py()
    words = _dropped(counted.n_distinct - counted.n_often, counted.n_often - len(table), limited=bool(most))
    tokens = _dropped(counted.n_seen - counted.n_often_seen, counted.n_often_seen - n_kept, limited=bool(most))
    record = write_table(job.directory, VOCABULARY_FILE, VOCABULARY, table)
    return Outcome(
        (record,),
        (
            Tally("tokens", count_tokens(job.inputs["text"]), n_kept, tokens),
            Tally("words", counted.n_distinct, table.num_rows, words),
        ),
        {"words": table.num_rows, "tokens": n_kept},
    )


def _dropped(n_rare: int, n_beyond: int, *, limited: bool) -> dict[str, int]:
    return {"below min_count": n_rare} | ({"beyond max_vocabulary": n_beyond} if limited else {})


def _check(counted: Counted, min_count: int) -> None:
    """Refuse a text without a token, and a vocabulary without two words."""
    if not counted.n_seen:
        raise InputError(
            "The corpus has no tokens.",
            where="key corpus.paths",
            got="text without a letter or a digit",
            expected="words",
            remedy="Look into the files of corpus.paths, or name others.",
        )
    if counted.n_often < 2:
        raise ConfigurationError(
            "The vocabulary is empty: min_count drops every word."
            if not counted.n_often
            else "The vocabulary has one word: min_count drops every other.",
            where="key vocabulary.min_count",
            got=f"{min_count}, but the most frequent of {counted.n_distinct:,} words is seen {counted.largest:,} times",
            expected=f"at most {counted.largest:,}",
            remedy="Lower it (--set vocabulary.min_count=1), or give more text.",
        )
