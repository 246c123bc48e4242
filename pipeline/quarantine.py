"""What of a corpus is broken, over all shards: whether it is too much, and where it lies.

Tokenized shards are known by their content, so how much of the whole is broken is looked at whenever all of them are there, made or reused.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from pipeline.artifact import Artifact
from pipeline.configuration import Broken, Configuration, Corpus
from pipeline.corpus import Observed
from pipeline.errors import InputError
from pipeline.reasons import Reason
from pipeline.schemas import QUARANTINE, QUARANTINE_FILE
from pipeline.sources.defects import Defect
from pipeline.sources.errors import defect_error
from pipeline.sources.shard import SourceShard
from pipeline.tables import read_table


def read_quarantine(artifact: Artifact) -> list[Defect]:
    """The broken records of a tokenized shard.

    Raises
    ------
    StoreError
        When the table cannot be read.
    """
    if not artifact.files(QUARANTINE_FILE):
        return []
    return [
        Defect(Reason(row["reason"]), row["offset"], row["at"], row["records"], row["bytes"], row["got"], row["kept"])
        for row in read_table(artifact.path(QUARANTINE_FILE), QUARANTINE).to_pylist()
    ]


def refuse_broken(configuration: Configuration, observed: Observed, artifacts: Sequence[Artifact]) -> None:
    """Stop when more of the corpus is broken than may be.

    Parameters
    ----------
    configuration
        Its key `corpus.max_broken` is the share of records that may be, and of bytes on disk that may give nothing.
    observed
        The shards.
    artifacts
        One tokenized shard for each, in this order.

    Raises
    ------
    InputError
        As `corpus.broken = "fail"` would give it for the first record that is broken for the most frequent reason, in the file with the
        most broken records, or the most bytes that gave nothing.
    """
    corpus = configuration.corpus
    n_records = sum(_measure(artifact, "records") for artifact in artifacts)
    n_bytes = sum(shard.n_bytes for shard in observed.shards)
    # How many records a damaged archive holds, nobody knows: its bytes count too.
    for measure, unit, n_all in (("broken", "records", n_records), ("lost_bytes", "bytes", n_bytes)):
        if sum(_measure(artifact, measure) for artifact in artifacts) > corpus.max_broken * n_all:
            _refuse(corpus, list(zip(observed.shards, artifacts, strict=True)), measure, f"{n_all:,} {unit}")


def _refuse(corpus: Corpus, tokenized: Sequence[tuple[SourceShard, Artifact]], measure: str, of_all: str) -> NoReturn:
    """Stop because of what this measure adds up to."""
    by_file: Counter[str] = Counter()
    for shard, artifact in tokenized:
        by_file[shard.location] += _measure(artifact, measure)
    n, ((worst, n_worst),) = by_file.total(), by_file.most_common(1)
    shard, defect = _example(
        [(shard, artifact) for shard, artifact in tokenized if shard.location == worst and _measure(artifact, measure)]
    )
    example = defect_error(shard, defect)
    here = "" if n_worst == n else f", {n_worst:,} of them in this file"
    treated = "mended" if corpus.broken is Broken.REPLACE and defect.kept else "left out"
    raise InputError(
        example.what,
        where=example.details["where"],
        got=f"{example.details['got']}; of {of_all} of the corpus {n:,} {'are broken' if measure == 'broken' else 'give nothing'}{here}",
        expected=f"{example.details['expected']}, in all {of_all.rpartition(' ')[2]} but {corpus.max_broken:.2%} (corpus.max_broken)",
        remedy=f"{example.details['remedy']} Or raise corpus.max_broken: then they are {treated}.",
    )


def _measure(artifact: Artifact, name: str) -> int:
    return int(artifact.manifest.measures[name])


def _example(tokenized: Sequence[tuple[SourceShard, Artifact]]) -> tuple[SourceShard, Defect]:
    """The first of the records that are broken for the most frequent reason, and its shard."""
    every = [(shard, defect) for shard, artifact in tokenized for defect in read_quarantine(artifact)]
    counts: Counter[Reason] = Counter()
    for _, defect in every:
        counts[defect.reason] += defect.n_records
    most = counts.most_common(1)[0][0]
    return next((shard, defect) for shard, defect in every if defect.reason is most)
