"""tokenize: text into sentences of integer codes and a lexicon, one artifact for each source shard. Text is read here and never again.

A shard whose bytes were tokenized before, under any name, is found by its content and not read.
"""

from codecs import BOM_UTF8
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from kernels.tokens import PIECE_BYTES
from pipeline.artifact import Tally
from pipeline.configuration import Tokenize
from pipeline.corpus import Observed, SourceShard
from pipeline.errors import InputError
from pipeline.keys import digest_of_range
from pipeline.sources import invalid_text_error, read_blocks
from pipeline.stage import Inputs, Job, Outcome, Stage, Unit
from pipeline.tables import Text
from pipeline.text import write_shard
from pipeline.tokenizers import new_tokenizer


def units(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """One artifact for each source shard, known by its content."""
    return tuple(Unit({"source": (shard.link,)}, shard) for shard in observed.shards)


def build(job: Job[Tokenize]) -> Outcome:
    """Tokenize one shard.

    Raises
    ------
    InputError
        When the file is not UTF-8 text, or its archive is damaged, or the file of a tokenizer has changed.
    ConfigurationError
        When a stop word is not one token, or a tokenizer of the user's cannot be made, or fails.
    """
    reading = _Reading(job.material, job.settings)
    sentences, lexicon, n_counted = write_shard(job.directory, "", reading.texts(), reading.tokens())
    reading.check_unchanged()
    short, left_out = reading.table.dropped_sentences, reading.table.dropped_tokens
    return Outcome(
        (sentences, lexicon),
        (
            reading.bytes_tally(),
            Tally(
                "sentences",
                reading.n_sentences + sum(short.values()),
                sentences.n_rows,
                {"without a token": reading.n_empty} | short,
            ),
            Tally("tokens", reading.n_tokens + sum(left_out.values()), n_counted, left_out),
        ),
        {"tokens": reading.n_tokens, "text_bytes": reading.n_bytes},
    )


class _Reading:
    """One pass over a shard, with what was counted on the way."""

    def __init__(self, shard: SourceShard, settings: Tokenize) -> None:
        self.shard = shard
        self.table = new_tokenizer(settings)
        self.n_mark = 0 if shard.compression or shard.start else _mark_bytes(shard)
        self.n_bytes = self.n_tokens = self.n_sentences = self.n_empty = 0

    def texts(self) -> Iterator[Text]:
        """The sentences of the shard, piece by piece."""
        shard = self.shard
        limits = {} if shard.compression else {"start": shard.start, "stop": shard.stop}
        for block in read_blocks(shard.path, **limits):
            for piece in _pieces(block):
                codes, offsets, n_empty, invalid = self.table.add(np.frombuffer(piece, dtype=np.uint8))
                if invalid >= 0:
                    raise invalid_text_error(
                        shard.path, shard.start + self.n_mark + self.n_bytes + invalid, bytes(piece[max(0, invalid - 20) : invalid + 20])
                    )
                self.n_bytes += len(piece)
                self.n_tokens += len(codes)
                self.n_empty += n_empty
                self.n_sentences += n_empty + len(offsets) - 1
                yield Text(codes, offsets)

    def tokens(self) -> Iterator[pa.Array]:
        """All tokens of the shard by code, once it has been read."""
        offsets, content = self.table.tokens()
        yield pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content)).cast(pa.string())

    def bytes_tally(self) -> Tally:
        """Where the bytes went. Of a compressed file only the text that came out is known."""
        n_in = self.n_bytes if self.shard.compression else self.shard.n_bytes
        return Tally("bytes", n_in, self.n_bytes, {"byte order mark": self.n_mark})

    def check_unchanged(self) -> None:
        """Hash the shard once more: what was read must be what the key stands for.

        Raises
        ------
        InputError
            When the file has been changed since the run began.
        """
        if digest_of_range(self.shard.path, self.shard.start, self.shard.stop) != self.shard.sha256:
            raise InputError(
                "A file of the corpus changed while it was used.",
                where=str(self.shard.path),
                expected="the bytes that were there when the run began",
                remedy="Run the same command again when the file is complete.",
            )


def _mark_bytes(shard: SourceShard) -> int:
    with shard.path.open("rb") as file:
        return len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0


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
