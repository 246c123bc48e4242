"""What of a corpus is broken, over all shards: whether it is too much, and where it lies.

Tokenized shards are known by their content, so how much of the whole is broken is looked at whenever all of them are there, made or reused.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from pipeline.choices import Broken, Format
from pipeline.configuration import Configuration, Corpus
from pipeline.corpus import Observed
from pipeline.errors import InputError
from pipeline.reasons import Reason
from pipeline.sources.defects import Defect
from pipeline.sources.errors import defect_error
from pipeline.sources.shard import SourceShard
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import QUARANTINE, QUARANTINE_FILE
from pipeline.storage.tables import read_table


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
    tokenized = list(zip(observed.shards, artifacts, strict=True))
    # One record can be most of a file, and how many records a damaged archive holds, nobody knows: bytes count too.
    for unit, of_shard in (("records", _records), ("bytes of text", _bytes_of_text), ("bytes on disk", _bytes_on_disk)):
        numbers = [of_shard(shard, artifact) for shard, artifact in tokenized]
        n_all = sum(n for n, _ in numbers)
        if sum(n_broken for _, n_broken in numbers) > corpus.max_broken * n_all:
            _refuse(corpus, [(*one, n_broken) for one, (_, n_broken) in zip(tokenized, numbers, strict=True)], f"{n_all:,} {unit}")


def _records(shard: SourceShard, artifact: Artifact) -> tuple[int, int]:
    """Records of a shard, and how many are broken, also where they were mended."""
    return _measure(artifact, "records"), _measure(artifact, "broken")


def _bytes_of_text(shard: SourceShard, artifact: Artifact) -> tuple[int, int]:
    """Bytes that came in, and those of broken records that were left out."""
    tally = next(tally for tally in artifact.manifest.tallies if tally.unit == "bytes")
    return tally.n_in, sum(n for why, n in tally.dropped.items() if why in set(Reason))


def _bytes_on_disk(shard: SourceShard, artifact: Artifact) -> tuple[int, int]:
    """Bytes of a shard, and those of a damaged archive or of Parquet that gave nothing."""
    return shard.n_bytes, _measure(artifact, "lost_bytes")


def _refuse(corpus: Corpus, tokenized: Sequence[tuple[SourceShard, Artifact, int]], of_all: str) -> NoReturn:
    """Stop because of what the numbers, one for each shard, add up to."""
    by_file: Counter[str] = Counter()
    for shard, _, n_broken in tokenized:
        by_file[shard.location] += n_broken
    n, ((worst, n_worst),) = by_file.total(), by_file.most_common(1)
    is_lost = of_all.endswith("disk")
    of_worst = [(shard, artifact) for shard, artifact, n_broken in tokenized if shard.location == worst and n_broken]
    of_archive = is_lost and of_worst[0][0].format is not Format.PARQUET
    shard, defect = _example(of_worst, (Reason.TRUNCATED, Reason.DAMAGED) if of_archive else tuple(Reason))
    example = defect_error(shard, defect)
    here = "" if n_worst == n else f", {n_worst:,} of them in this file"
    treated = "mended" if corpus.broken is Broken.REPLACE and defect.kept else "left out"
    raise InputError(
        example.what,
        where=example.details["where"],
        got=f"{example.details['got']}; of {of_all} of the corpus {n:,} {'give nothing' if is_lost else 'are broken'}{here}",
        expected=f"{example.details['expected']}, in all {of_all.partition(' ')[2]} but {corpus.max_broken:.2%} (corpus.max_broken)",
        remedy=f"{example.details['remedy']} Or raise corpus.max_broken: then they are {treated}.",
    )


def _measure(artifact: Artifact, name: str) -> int:
    return int(artifact.manifest.measures[name])


def _example(tokenized: Sequence[tuple[SourceShard, Artifact]], reasons: Sequence[Reason]) -> tuple[SourceShard, Defect]:
    """The first of the records that are broken for the most frequent of some reasons, and its shard."""
    every = [(shard, defect) for shard, artifact in tokenized for defect in read_quarantine(artifact) if defect.reason in reasons]
    counts: Counter[Reason] = Counter()
    for _, defect in every:
        counts[defect.reason] += defect.n_records
    most = counts.most_common(1)[0][0]
    return next((shard, defect) for shard, defect in every if defect.reason is most)
