"""The whole text in vocabulary ids, cut anew by global sentence number: what the stages behind the vocabulary read, part by part.

Where one shard of the corpus ends and the next begins leaves no trace.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.storage.tables import Text
from pipeline.words.text import TextShard, codes_to_ids, joined


@dataclass(frozen=True)
class Piece:
    """Sentences first..last-1 of one shard."""

    shard: TextShard
    first: int
    last: int


def cut_text(shards: Sequence[TextShard], sentences_a_part: int) -> Iterator[tuple[int, tuple[Piece, ...]]]:
    """Parts of so many sentences (the last may have fewer): the first one's global number, and where they lie."""
    pieces: list[Piece] = []
    n_cut = n_waiting = 0
    for shard in shards:
        begin, n_sentences = 0, shard.n_sentences
        while begin < n_sentences:
            end = min(n_sentences, begin + sentences_a_part - n_waiting)
            pieces.append(Piece(shard, begin, end))
            n_waiting += end - begin
            begin = end
            if n_waiting == sentences_a_part:
                yield n_cut, tuple(pieces)
                pieces, n_cut, n_waiting = [], n_cut + n_waiting, 0
    if pieces:
        yield n_cut, tuple(pieces)


def encode_part(pieces: Sequence[Piece], vocabulary: pa.ChunkedArray) -> Text:
    """The text of a part in vocabulary ids plus one; 0: below min_count.

    Raises
    ------
    StoreError
        When a file of the text cannot be read.
    """
    texts = []
    for piece in pieces:
        codes = codes_to_ids(piece.shard.lexicon(), vocabulary) + np.int32(1)
        texts += [Text(codes[text.codes], text.offsets) for text in piece.shard.sentences(piece.first, piece.last)]
    return joined(texts)
