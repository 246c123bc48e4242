"""tokenize: text into sentences of integer codes and a lexicon, one artifact for each source shard. Text is read here and never again.

A shard whose bytes were tokenized before, under any name, is found by its content and not read.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from kernels.tokens import PIECE_BYTES
from pipeline.choices import Broken, Format
from pipeline.configuration import Tokenize
from pipeline.reasons import LeftOut
from pipeline.sources.account import Account
from pipeline.sources.archives import BrokenArchiveError
from pipeline.sources.lines import count_lines
from pipeline.sources.reading import Pass, read_shard
from pipeline.sources.shard import SourceShard
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import AccountingError, FileRecord, Tally
from pipeline.storage.schemas import QUARANTINE, QUARANTINE_FILE
from pipeline.storage.tables import Text, write_table
from pipeline.tokenizing.tokenizers import new_tokenizer
from pipeline.words.text import write_shard


def build(job: Job[Tokenize]) -> Outcome:
    """Tokenize one shard; what of it is broken is in its table of quarantine, which a shard without defects has not.

    Raises
    ------
    InputError
        When the file cannot be read or has changed, or something in it is broken and that ends the run, or the file of a tokenizer has
        changed.
    ConfigurationError
        When a stop word is not one token, or a tokenizer of the user's cannot be made, or fails.
    """
    reading, sentences, lexicon, n_counted = _read(job)
    account = reading.account
    files = [sentences, lexicon]
    if account.n_broken:
        files.append(write_table(job.directory, QUARANTINE_FILE, QUARANTINE, account.quarantine()))
    measures = {
        "tokens": reading.n_tokens,
        "text_bytes": reading.n_bytes,
        "records": account.n_records,
        "broken": account.n_broken,
        "lost_bytes": account.n_lost,
    }
    return Outcome(tuple(files), (*account.tallies(), *reading.tallies(sentences.n_rows, n_counted)), measures)


class _InvalidTextError(Exception):
    """The tokenizer has found a NUL, or bytes that are not UTF-8."""


def _read(job: Job[Tokenize]) -> tuple["_Reading", FileRecord, FileRecord, int]:
    """Write sentences and lexicon in as many passes as it takes: one, unless it finds something that the next must know from the start.

    Nothing of a broken line gets into the files: the pass that finds it is not gone on with.
    """
    this = Pass(int(job.parameters["longest"]))
    while True:
        reading = _Reading(job.material, job.settings, Broken(job.parameters["broken"]), this)
        try:
            return reading, *write_shard(job.directory, "", reading.texts(), reading.tokens())
        except _InvalidTextError:
            this = replace(this, checked=True)
        except BrokenArchiveError as error:
            this = replace(this, broken=BrokenArchiveError(error.reason, error.n_trusted, error.got, error.n_lost))  # without its traceback


class _Reading:
    """One pass over a shard, with what was counted on the way."""

    def __init__(self, shard: SourceShard, settings: Tokenize, broken: Broken, this: Pass) -> None:
        self.shard, self.this = shard, this
        self.account = Account(shard, broken)
        self.table = new_tokenizer(settings)
        self._split = settings.split_sentences
        self.n_bytes = self.n_tokens = self._n_lines = self._n_sentences = self._n_empty = 0

    def texts(self) -> Iterator[Text]:
        """The sentences of the shard, piece by piece."""
        for block in read_shard(self.shard, self.account, self.this):
            self._n_lines += count_lines(block)
            for piece in _pieces(block):
                codes, offsets, n_empty, invalid = self.table.add(np.frombuffer(piece, dtype=np.uint8))
                if invalid >= 0:
                    self._refuse(piece, invalid)
                self.n_bytes += len(piece)
                self.n_tokens += len(codes)
                self._n_empty += n_empty
                self._n_sentences += n_empty + len(offsets) - 1
                yield Text(codes, offsets)

    def tokens(self) -> Iterator[pa.Array]:
        """All tokens of the shard by code, once it has been read."""
        offsets, content = self.table.tokens()
        yield pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content)).cast(pa.string())

    def tallies(self, n_written: int, n_counted: int) -> tuple[Tally, ...]:
        """Where lines, sentences and tokens went, of which so many are in the files; lines of plain text are in the account already.

        Raises
        ------
        AccountingError
            When they do not add up, or a line that was kept made no sentence.
        """
        short, left_out = self.table.dropped_sentences, self.table.dropped_tokens
        found = (
            Tally("lines", self._n_lines, self._n_lines),
            Tally("sentences", self._n_sentences + sum(short.values()), n_written, {LeftOut.WORDLESS: self._n_empty} | short),
            Tally("tokens", self.n_tokens + sum(left_out.values()), n_counted, left_out),
        )
        n_lines = self.account.n_kept if self.shard.format is Format.TEXT else self._n_lines
        n_sentences = found[1].n_in
        if n_lines != self._n_lines or n_sentences < n_lines or (n_sentences > n_lines and not self._split):
            raise AccountingError(f"{n_lines} lines were kept, {self._n_lines} read, and made {n_sentences} sentences")
        return found[1:] if self.shard.format is Format.TEXT else found

    def _refuse(self, piece: memoryview, invalid: int) -> None:
        if self.this.checked or self.shard.format is not Format.TEXT:
            raise RuntimeError(f"the tokenizer takes {bytes(piece[invalid : invalid + 4])!r} for invalid, which was checked before")
        raise _InvalidTextError


def _pieces(block: bytes) -> Iterator[memoryview]:
    """A block in pieces of about PIECE_BYTES that end at line borders; a longer line is a longer piece."""
    view, start = memoryview(block), 0
    while start < len(block):
        stop = start + PIECE_BYTES
        if stop < len(block):
            stop = block.rfind(b"\n", start, stop) + 1 or block.find(b"\n", stop) + 1 or len(block)
        yield view[start:stop]
        start = stop
