"""tokenize: text into sentences of integer codes and a lexicon, one artifact for each source shard. Text is read here and never again.

A shard whose bytes were tokenized before, under any name, is found by its content and not read.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.tokens import PIECE_BYTES, TokenTable
from pipeline.artifact import Tally
from pipeline.characters import character_table
from pipeline.configuration import Tokenize
from pipeline.corpus import Observed, SourceShard
from pipeline.sources import invalid_text_error, read_blocks
from pipeline.stage import Inputs, Job, Outcome, Stage, Unit
from pipeline.tables import Text
from pipeline.text import write_shard


def units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact for each source shard, known by its content."""
    return tuple(Unit({"source": (shard.link,)}, shard) for shard in observed.shards)


def build(job: Job[Tokenize]) -> Outcome:
    """Tokenize one shard.

    Raises
    ------
    InputError
        When the file is not UTF-8 text, or its archive is damaged.
    """
    reading = _Reading(job.material, job.settings)
    files = write_shard(job.directory, "", reading.texts(), reading.tokens())
    n_sentences = files[0].n_rows
    return Outcome(
        files,
        (
            Tally("bytes", reading.n_bytes, reading.n_bytes),
            Tally("sentences", n_sentences + reading.n_empty, n_sentences, {"without a token": reading.n_empty}),
        ),
        {"tokens": reading.n_tokens, "words": files[1].n_rows, "text_bytes": reading.n_bytes},
    )


class _Reading:
    """One pass over a shard, with what was counted on the way."""

    def __init__(self, shard: SourceShard, settings: Tokenize) -> None:
        self.shard = shard
        self.table = TokenTable(_characters(settings.lowercase), split_sentences=settings.split_sentences)
        self.n_bytes = self.n_tokens = self.n_empty = 0

    def texts(self) -> Iterator[Text]:
        """The sentences of the shard, piece by piece."""
        shard = self.shard
        limits = {} if shard.compression else {"start": shard.start, "stop": shard.stop}
        for block in read_blocks(shard.path, **limits):
            for piece in _pieces(block):
                codes, offsets, n_empty, invalid = self.table.add(np.frombuffer(piece, dtype=np.uint8))
                if invalid >= 0:
                    raise invalid_text_error(
                        shard.path, shard.start + self.n_bytes + invalid, bytes(piece[max(0, invalid - 20) : invalid + 20])
                    )
                self.n_bytes += len(piece)
                self.n_tokens += len(codes)
                self.n_empty += n_empty
                yield Text(codes, offsets)

    def tokens(self) -> Iterator[pa.Array]:
        """All tokens of the shard by code, once it has been read."""
        offsets, content = self.table.tokens()
        yield pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content)).cast(pa.string())


@cache
def _characters(lowercase: bool) -> npt.NDArray[np.int32]:
    """The table of characters, made once: it takes 50 ms, most of the time of a small shard. Only read from here on."""
    return character_table(lowercase)


def _pieces(block: bytes) -> Iterator[memoryview]:
    """A block in pieces of about PIECE_BYTES that end at line borders; a longer line is a longer piece."""
    view, start = memoryview(block), 0
    while start < len(block):
        stop = start + PIECE_BYTES
        if stop < len(block):
            stop = block.rfind(b"\n", start, stop) + 1 or block.find(b"\n", stop) + 1 or len(block)
        yield view[start:stop]
        start = stop


STAGE = Stage("tokenize", 1, build, units, on_workers=True)
