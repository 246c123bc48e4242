"""The explicit (centre, context) pairs of a pairs artifact, for anyone who wants them. Training reads the compact form instead."""

from collections.abc import Iterator

import pyarrow as pa

from kernels.pairs import expand_pairs
from pipeline.errors import UsageError
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import EXPANDED_PAIRS, PAIRS
from pipeline.storage.tables import Text, flat_lists, read_batches

SENTENCES_A_BATCH = 1024


def expand(pairs: Artifact, epoch: int = 0) -> Iterator[pa.RecordBatch]:
    """Every pair of one epoch in text order, as record batches of `centre` and `context` (int32 vocabulary ids).

    Raises
    ------
    UsageError
        When the artifact has no such epoch.
    StoreError
        When a file of the artifact cannot be read.
    """
    n_epochs = int(pairs.manifest.measures["epochs"])
    if not 0 <= epoch < n_epochs:
        raise UsageError("There is no such epoch.", where=str(pairs.directory), got=str(epoch), expected=f"0 to {n_epochs - 1}")
    for record in pairs.files(f"epoch-{epoch:03d}/"):
        for batch in read_batches(pairs.path(record.name), PAIRS, SENTENCES_A_BATCH):
            text = Text(*flat_lists(batch["tokens"]))
            radius, _ = flat_lists(batch["radius"])
            yield pa.record_batch(list(expand_pairs(text.codes, radius, text.offsets)), schema=EXPANDED_PAIRS)
