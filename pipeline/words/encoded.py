"""The whole text in vocabulary ids, cut anew by global sentence number: what the stages behind the vocabulary read, part by part.

Where one shard of the corpus ends and the next begins leaves no trace.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.storage.atomic import write_whole
from pipeline.storage.schemas import VOCABULARY
from pipeline.storage.tables import Text, read_table
from pipeline.words.counting import cut_groups
from pipeline.words.text import TextShard, codes_to_ids
from pipeline.workers import Workers

WORDS_AT_ONCE = 1 << 20  # of lexicons are looked up together, or one lexicon that has more


@dataclass(frozen=True)
class EncodedShard:
    """A shard, and where the ids of its codes are."""

    shard: TextShard
    ids: Path
    """int32: by code the row of its token in the vocabulary plus one; 0: below min_count."""
    begin: int
    """How many are in the file before those of this shard."""
    end: int

    def read(self) -> npt.NDArray[np.int32]:
        """The ids of this shard."""
        return np.fromfile(self.ids, np.int32, self.end - self.begin, offset=4 * self.begin)


@dataclass(frozen=True)
class _Lexicons:
    """One task: shards whose words are looked up together."""

    shards: tuple[TextShard, ...]
    vocabulary: Path
    target: Path


def encode_shards(shards: Sequence[TextShard], vocabulary: Path, directory: Path, workers: Workers) -> list[EncodedShard]:
    """Look up all words of all shards in a vocabulary, once; the files are written to `directory`.

    Raises
    ------
    StoreError
        When a file of the text cannot be read.
    """
    sizes = [shard.n_words for shard in shards]
    # Half a lexicon more, so that no small group is left over.
    share = math.ceil(sum(sizes) / workers.n_threads) + max(sizes, default=0) // 2
    groups = cut_groups(shards, sizes, min(WORDS_AT_ONCE, share))
    tasks = [_Lexicons(group, vocabulary, directory / f"ids-{number:06d}") for number, group in enumerate(groups)]
    return [shard for group in workers.map(_encode_lexicons, tasks, lambda _: None) for shard in group]


def _encode_lexicons(task: _Lexicons) -> list[EncodedShard]:
    lexicons = [shard.lexicon() for shard in task.shards]
    ids = codes_to_ids(pa.concat_tables(lexicons)["token"], read_table(task.vocabulary, VOCABULARY, ["token"])["token"]) + np.int32(1)
    write_whole(task.target, [ids.tobytes()], durable=False)
    borders = np.cumsum([0] + [len(lexicon) for lexicon in lexicons]).tolist()
    return [EncodedShard(shard, task.target, *pairwise) for shard, pairwise in zip(task.shards, itertools.pairwise(borders), strict=True)]


@dataclass(frozen=True)
class Piece:
    """Sentences first..last-1 of one shard."""

    encoded: EncodedShard
    first: int
    last: int


def cut_text(shards: Sequence[EncodedShard], sentences_a_part: int) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """Parts of so many sentences (the last may have fewer): the first one's global number, and where they lie."""
    pieces: list[Piece] = []
    n_cut = n_waiting = 0
    for encoded in shards:
        begin, n_sentences = 0, encoded.shard.n_sentences
        while begin < n_sentences:
            end = min(n_sentences, begin + sentences_a_part - n_waiting)
            pieces.append(Piece(encoded, begin, end))
            n_waiting += end - begin
            begin = end
            if n_waiting == sentences_a_part:
                yield n_cut, tuple(pieces)
                pieces, n_cut, n_waiting = [], n_cut + n_waiting, 0
    if pieces:
        yield n_cut, tuple(pieces)


def encode_part(pieces: Sequence[Piece]) -> Iterator[Text]:
    """The text of a part in vocabulary ids plus one, some sentences at a time; 0: below min_count.

    Raises
    ------
    StoreError
        When a file of the text cannot be read.
    """
    for piece in pieces:
        ids = piece.encoded.read()
        for text in piece.encoded.shard.sentences(piece.first, piece.last):
            yield Text(ids[text.codes], text.offsets)
