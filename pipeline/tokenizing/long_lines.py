"""Lines of megabytes, read by the byte kernel in parts: for a piece of text its table makes room of 25 times its size.

A corpus that is one line, as text8 is, is otherwise read like any other, and its line stays one sentence.
"""

import numpy as np
import numpy.typing as npt

from kernels.tokens import PIECE_BYTES, TokenTable
from pipeline.tokenizing.lines import Bytes

LONG_BYTES = 8 * PIECE_BYTES  # longer pieces are read in parts
_FEED, _SPACE = 0x0A, 0x20
_WINDOW_BYTES = 1 << 12


class InParts:
    """A `TokenTable` that reads long pieces in parts, with the same results.

    Parameters
    ----------
    table
        Reads the parts.
    characters
        int32 (C), what the table was made with; not changed.
    """

    def __init__(self, table: TokenTable, characters: npt.NDArray[np.int32]) -> None:
        self._table, self._characters = table, characters

    @property
    def n_tokens(self) -> int:
        """See `TokenTable`."""
        return self._table.n_tokens

    def tokens(self) -> tuple[npt.NDArray[np.int64], Bytes]:
        """See `TokenTable.tokens`."""
        return self._table.tokens()

    def add(self, piece: Bytes) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], int, int]:
        """See `TokenTable.add`."""
        if len(piece) <= LONG_BYTES:
            return self._table.add(piece)
        every_code, every_offset, n_codes, n_empty, start = [], [np.zeros(1, np.int64)], 0, 0, 0
        while start < len(piece):
            stop = self._part_end(piece, start)
            codes, offsets, empty, invalid = self._table.add(piece[start:stop])
            if invalid >= 0:
                return codes[:0], offsets[:1], 0, start + invalid
            # A sentence that goes on has no end here.
            n_ended = len(offsets) - 1 - (stop < len(piece) and piece[stop - 1] != _FEED)
            every_code.append(codes)
            every_offset.append(offsets[1 : 1 + n_ended] + n_codes)
            n_codes += len(codes)
            n_empty += empty
            start = stop
        return np.concatenate(every_code), np.concatenate(every_offset), n_empty, -1

    def _part_end(self, piece: Bytes, start: int) -> int:
        """Where a part that starts here can end: behind a line feed, or a space between two characters of tokens, else at the end.

        At such a space one token has ended, another begins, and no sentence ends, as all ends of sentences have a mark before white space.
        """
        for at in range(start + PIECE_BYTES, len(piece), _WINDOW_BYTES):
            window = piece[at : at + _WINDOW_BYTES]
            for place in np.flatnonzero((window == _FEED) | (window == _SPACE)) + at:
                if piece[place] == _FEED or self._stands_between_tokens(piece, int(place)):
                    return int(place) + 1
        return len(piece)

    def _stands_between_tokens(self, piece: Bytes, place: int) -> bool:
        # What is invalid is left to the table, which finds it in the part before or behind.
        before = piece[max(0, place - 4) : place].tobytes().decode("utf-8", "ignore")
        after = piece[place + 1 : place + 5].tobytes().decode("utf-8", "ignore")
        return self._is_of_token(before[-1:]) and self._is_of_token(after[:1])

    def _is_of_token(self, character: str) -> bool:
        return bool(character) and ord(character) < len(self._characters) and bool(self._characters[ord(character)])
