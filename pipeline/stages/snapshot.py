"""snapshot: which text a run is made from, as digests of files and shards: the same text has the same snapshot anywhere."""

from dataclasses import replace

import pyarrow as pa

from pipeline.configuration import Corpus
from pipeline.corpus import Observed
from pipeline.declarations import EMPTY_FILE
from pipeline.reasons import LeftOut
from pipeline.sources.cutting import cut_file
from pipeline.sources.formats import Kind
from pipeline.sources.shard import SourceShard
from pipeline.stage import Job, Links, Outcome
from pipeline.storage.artifact import Tally
from pipeline.storage.schemas import SHARDS
from pipeline.storage.tables import write_table


def build(job: Job[Corpus]) -> Outcome:
    """Write the table of shards."""
    observed: Observed = job.material
    shards = observed.shards
    columns = {
        "file": [shard.file_sha256 for shard in shards],
        "format": [shard.format.value for shard in shards],
        "compression": [shard.compression for shard in shards],
        "column": [shard.column for shard in shards],
        "start": [shard.start for shard in shards],
        "stop": [shard.stop for shard in shards],
        "sha256": [shard.sha256 for shard in shards],
    }
    record = write_table(job.directory, "shards.parquet", SHARDS, pa.table(columns, schema=SHARDS))
    n_bytes = sum(shard.n_bytes for shard in shards)
    n_files, n_empty = len({shard.location for shard in shards}), observed.n_empty_files
    tallies = (Tally("bytes", n_bytes, n_bytes), Tally("files", n_files + n_empty, n_files, {LeftOut.EMPTY_FILE: n_empty}))
    return Outcome((record,), tallies, {"files": n_files, "shards": len(shards), "bytes": n_bytes})


def cut_again(links: Links, settings: Corpus) -> Observed:
    """The files of a snapshot, read and cut as they are now.

    Raises
    ------
    InputError
        When one cannot be read.
    """
    shards: list[SourceShard] = []
    for first in (SourceShard.of(link) for link in links["shards"] if link.origin["start"] == 0):
        cut = cut_file(first.location, Kind(first.format, first.compression), settings.column, int(settings.shard_mb * 1e6))
        shards += [replace(first, file_sha256=cut.sha256, start=one.start, stop=one.stop, sha256=one.sha256) for one in cut.cuts]
    return Observed(tuple(shards), (), n_empty_files=sum(link.digest == EMPTY_FILE for link in links["files"]))
