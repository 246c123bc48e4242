"""vocabulary: exact counts over all shards, min-count, ids by falling count."""

import pyarrow.compute as pc

from pipeline.artifact import Tally
from pipeline.configuration import Vocabulary
from pipeline.errors import ConfigurationError, InputError
from pipeline.schemas import VOCABULARY, VOCABULARY_FILE
from pipeline.stage import Job, Outcome, Stage
from pipeline.tables import write_table
from pipeline.text import count_tokens, merged_counts, shards_of


def build(job: Job[Vocabulary]) -> Outcome:
    """Write the vocabulary.

    Raises
    ------
    InputError
        When the text has no tokens.
    ConfigurationError
        When min_count leaves fewer than two words.
    """
    min_count = job.settings.min_count
    counts = merged_counts(shard.lexicon() for shard in shards_of(job.inputs["text"]))
    n_tokens = pc.sum(counts["count"]).as_py() or 0
    if not n_tokens:
        raise InputError(
            "The corpus has no tokens.",
            where="key corpus.paths",
            got="text without a letter or a digit",
            expected="words",
            remedy="Look into the files of corpus.paths, or name others.",
        )
    kept = counts.filter(pc.greater_equal(counts["count"], min_count))
    if kept.num_rows < 2:
        most = pc.max(counts["count"]).as_py()
        raise ConfigurationError(
            "The vocabulary is empty: min_count drops every word."
            if not kept.num_rows
            else "The vocabulary has one word: min_count drops every other.",
            where="key vocabulary.min_count",
            got=f"{min_count}, but the most frequent of {counts.num_rows:,} words is seen {most:,} times",
            expected=f"at most {most:,}",
            remedy="Lower it (--set vocabulary.min_count=1), or give more text.",
        )
    table = kept.sort_by([("count", "descending"), ("token", "ascending")]).cast(VOCABULARY)
    n_kept = pc.sum(table["count"]).as_py()
    rare = counts.filter(pc.less(counts["count"], min_count))
    record = write_table(job.directory, VOCABULARY_FILE, VOCABULARY, table)
    return Outcome(
        (record,),
        (
            Tally("tokens", count_tokens(job.inputs["text"]), n_kept, {"below min_count": pc.sum(rare["count"]).as_py() or 0}),
            Tally("words", counts.num_rows, table.num_rows, {"below min_count": rare.num_rows}),
        ),
        {"words": table.num_rows, "tokens": n_kept},
    )


STAGE = Stage("vocabulary", 1, build)
