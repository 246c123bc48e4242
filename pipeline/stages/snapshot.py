"""snapshot: which text a run is made from, as digests of files and shards. No paths: the same text has the same snapshot anywhere."""

import pyarrow as pa

from pipeline.artifact import Link, Tally
from pipeline.configuration import Corpus
from pipeline.corpus import Observed, SourceShard
from pipeline.schemas import SHARDS
from pipeline.stage import Inputs, Job, Outcome, Stage, Unit
from pipeline.tables import write_table


def units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact, identified by the content of every file and every shard.

    Shards alone would not do: two files, and one file that is cut where the first of them ends, have the same.
    """
    files = tuple(Link(shard.link.stage, shard.file_sha256, shard.file_sha256) for shard in observed.shards if shard.start == 0)
    return (Unit({"files": files, "shards": tuple(shard.link for shard in observed.shards)}, observed.shards),)


def build(job: Job[Corpus]) -> Outcome:
    """Write the table of shards."""
    shards: tuple[SourceShard, ...] = job.material
    columns = {
        "file": [shard.file_sha256 for shard in shards],
        "compression": [shard.compression for shard in shards],
        "start": [shard.start for shard in shards],
        "stop": [shard.stop for shard in shards],
        "sha256": [shard.sha256 for shard in shards],
    }
    record = write_table(job.directory, "shards.parquet", SHARDS, pa.table(columns, schema=SHARDS))
    n_bytes = sum(shard.n_bytes for shard in shards)
    n_files = len({shard.path for shard in shards})
    return Outcome((record,), (Tally("bytes", n_bytes, n_bytes),), {"files": n_files, "shards": len(shards), "bytes": n_bytes})


STAGE = Stage("snapshot", 1, build, units)
