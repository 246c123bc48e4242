"""Sentences of token codes with some of their tokens, and then some of the sentences, left out."""

import numpy as np
from numpy.typing import NDArray

from kernels.jit import kernel


# N tokens, S sentences
@kernel
def keep_sentences(codes: NDArray[np.int32], offsets: NDArray[np.int64], n_stopped: int, least: int) -> tuple[int, int, int, int, int]:
    """Leave out the tokens with a code below `n_stopped`, then the sentences of fewer than `least` tokens.

    Parameters
    ----------
    codes
        int32 (N), changed in place: at first the tokens that were kept, each code less `n_stopped`; then what is left of the old ones.
    offsets
        int64 (S + 1), changed in place: at first 0 and the ends of the sentences that were kept; sentence i was
        `codes[offsets[i] : offsets[i + 1]]`, offsets[0] was 0.
    n_stopped
        Codes 0 to n_stopped - 1 are left out wherever they stand.
    least
        At least 1.

    Returns
    -------
    n_kept, n_emptied, n_short
        Sentences that were kept, that had no other tokens than those left out, and that were too short, but not empty.
    n_dropped, n_in_short
        Tokens left out by their codes, and the other tokens of sentences that were too short.
    """
    tail = n_kept = n_emptied = n_short = n_dropped = n_in_short = 0
    begin = 0
    for sentence in range(1, offsets.size):
        start, end = tail, offsets[sentence]
        for i in range(begin, end):
            # Without a branch: a code that is left out is overwritten by the next.
            code = codes[i] - n_stopped
            codes[tail] = code
            tail += code >= 0
        n = tail - start
        n_dropped += end - begin - n
        begin = end
        if n >= least:
            n_kept += 1
            offsets[n_kept] = tail
            continue
        tail = start
        if n == 0:
            n_emptied += 1
        else:
            n_short += 1
            n_in_short += n
    return n_kept, n_emptied, n_short, n_dropped, n_in_short
