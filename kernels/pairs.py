"""From coded text to training pairs: rare words out, frequent words thinned, a window radius drawn for every word that stays.

All chance comes from `kernels.draws` and is a function of seed, epoch, the sentence's number in the corpus and the position in it
alone, so that neither shards, nor blocks, nor threads change a draw. Looping over blocks and files is not this module's business.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.draws import Purpose, derive_key, uniform_below, uniform_unit
from kernels.jit import kernel

MAX_WINDOW = 255
"""The largest radius that fits its column, uint8."""

_SUBSAMPLE = np.uint64(Purpose.SUBSAMPLE)
_RADIUS = np.uint64(Purpose.RADIUS)

# n tokens, W words (codes), V vocabulary, S sentences in, m tokens kept, R sentences kept, p pairs


@dataclass(frozen=True, slots=True)
class DrawTallies:
    """Where the tokens of a text went: n_in = n_rare + n_subsampled + n_lonely + n_kept."""

    n_in: int
    """Tokens of the text."""
    n_rare: int
    """Dropped: not in the vocabulary."""
    n_subsampled: int
    """Dropped by chance, as frequent words."""
    n_lonely: int
    """Dropped with their sentence, of which nothing else was left: such a word has no context."""
    n_kept: int
    """Tokens that train."""


def keep_probabilities_program(counts: npt.NDArray[np.int64], n_tokens: int, threshold: float) -> npt.NDArray[np.float64]:
    """The chance float64[V] of each word to survive subsampling by word2vec's rule: sqrt(t/f) + t/f, at most 1.

    Parameters
    ----------
    counts
        Occurrences of each vocabulary word, [V]; 1 for a word never seen.
    n_tokens
        T of f = count / T: tokens of vocabulary words, since word2vec drops rare words before it takes the sum.
    threshold
        t, a frequency; 0 or less keeps everything.

    Notes
    -----
    word2vec.c, which writes (sqrt(f/t) + 1) * t/f; gensim does the same. Differs from word2vec.c: float64, and 53 random bits against 16.
    """
    ratio = _threshold_ratio(counts, n_tokens, threshold)
    return np.minimum(np.sqrt(ratio) + ratio, 1.0)


def keep_probabilities_paper(counts: npt.NDArray[np.int64], n_tokens: int, threshold: float) -> npt.NDArray[np.float64]:
    """The chance float64[V] of each word to survive subsampling by the paper's rule: sqrt(t/f), at most 1.

    Parameters
    ----------
    counts, n_tokens, threshold
        As in `keep_probabilities_program`.

    Notes
    -----
    Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality", eq. 5: dropped with 1 - sqrt(t/f).
    """
    return np.minimum(np.sqrt(_threshold_ratio(counts, n_tokens, threshold)), 1.0)


def draw_pairs(
    codes: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int32],
    keep: npt.NDArray[np.float64],
    *,
    window: int,
    dynamic: bool,
    seed: int,
    epoch: int,
    first_sentence: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64], DrawTallies]:
    """One epoch's training sentences, with the window radius of every word, and where the other tokens went.

    Rare words go first. Each other word stays when uniform_unit(key(SUBSAMPLE), position) < keep[id]; its radius is
    1 + uniform_below(key(RADIUS), position, window), or `window`. Sentences that keep fewer than two words are dropped.

    Parameters
    ----------
    codes
        The text, [n], each in [0, W).
    offsets
        Sentence borders, [S + 1], not falling; only codes[offsets[0]:offsets[S]] are read.
    ids
        The vocabulary id of each code, [W], in [0, V), or -1 for a rare word.
    keep
        The chance of each vocabulary word to stay, [V].
    window
        The largest radius, in words on either side, 1 to MAX_WINDOW.
    dynamic
        Draw each radius uniformly from 1..window; otherwise all are `window`.
    seed, epoch
        Of the run, 0 to 2**64 - 1.
    first_sentence
        The number of the first sentence here among all sentences of the corpus, dropped and empty ones included.

    Returns
    -------
    tokens, radius
        Vocabulary ids int32[m] and radii uint8[m] of the words that train, in text order.
    offsets
        Their sentence borders, int64[R + 1] from 0; every sentence has at least two words.
    tallies
        Counts of tokens by fate.

    Notes
    -----
    key(purpose) = derive_key(derive_key(derive_key(seed, purpose), epoch), sentence). Position counts the words of the sentence before
    rare ones go, so a draw is a function of the text alone, whatever the vocabulary. As in word2vec.c words are removed before windows
    are formed, which widens the effective window (Goldberg & Levy 2014, sec. 3). Measured on 3.2 M tokens of Wikipedia, window 5 (Zen 3,
    one core): about 100 M tokens/s at t = 1e-4, where 56 % stay, and at 1e-3.
    """
    # The last place is 0 and stands for rare words: -1 is an index from the end, and no draw is below 0.
    chance = np.append(keep, 0.0)
    origin = (np.uint64(seed), np.uint64(epoch), np.uint64(first_sentence))
    tokens, radius, borders, fates = _draw((codes, offsets), (ids, chance), np.uint64(window), dynamic, origin)
    return tokens, radius, borders, DrawTallies(*(int(n) for n in fates))


@kernel
def count_contexts(offsets: npt.NDArray[np.int64], radius: npt.NDArray[np.uint8]) -> int:
    """The number p of (centre, context) pairs that `expand_pairs` gives.

    Parameters
    ----------
    offsets, radius
        Sentence borders [R + 1] and radii [m], as `draw_pairs` gives them.
    """
    n_pairs = 0
    for sentence in range(offsets.size - 1):
        first, stop = offsets[sentence], offsets[sentence + 1]
        for i in range(first, stop):
            reach = np.int64(radius[i])
            n_pairs += min(reach, i - first) + min(reach, stop - 1 - i)
    return n_pairs


@kernel
def expand_pairs(
    tokens: npt.NDArray[np.int32], radius: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Every (centre, context) pair in text order, contexts from left to right: int32[p] and int32[p].

    Parameters
    ----------
    tokens, radius
        Vocabulary ids and radii, [m], as `draw_pairs` gives them.
    offsets
        Sentence borders, [R + 1]; a window is cut off at them.

    Notes
    -----
    About 48 bytes a centre at a window of 5 drawn, ten times its token and radius: expand a block of sentences at a time.
    """
    n_pairs = count_contexts(offsets, radius)
    centres = np.empty(n_pairs, np.int32)
    contexts = np.empty(n_pairs, np.int32)
    pair = 0
    for sentence in range(offsets.size - 1):
        first, stop = offsets[sentence], offsets[sentence + 1]
        for i in range(first, stop):
            reach = np.int64(radius[i])
            for j in range(max(first, i - reach), min(stop, i + reach + 1)):
                if j != i:
                    centres[pair] = tokens[i]
                    contexts[pair] = tokens[j]
                    pair += 1
    return centres, contexts


def _threshold_ratio(counts: npt.NDArray[np.int64], n_tokens: int, threshold: float) -> npt.NDArray[np.float64]:
    """t/f, float64[V]; infinite where everything stays: for a word never seen, and for all words when there is no threshold."""
    ratio = np.full(counts.size, np.inf)
    if threshold > 0:
        np.divide(threshold * n_tokens, counts, out=ratio, where=counts > 0)
    return ratio


@kernel
def _draw(
    text: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
    words: tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]],
    window: np.uint64,
    dynamic: bool,
    origin: tuple[np.uint64, np.uint64, np.uint64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What `draw_pairs` returns, the tallies as int64[5].

    `text` is (codes, offsets); `words` is (ids, chance), where chance is `keep` and a 0 for id -1; `origin` is (seed, epoch, first
    sentence).
    """
    codes, offsets = text
    ids, chance = words
    seed, epoch, first_sentence = origin
    n_in = offsets[-1] - offsets[0]
    tokens = np.empty(n_in, np.int32)
    radius = np.empty(n_in, np.uint8)
    borders = np.zeros(offsets.size, np.int64)
    subsample_key = derive_key(derive_key(seed, _SUBSAMPLE), epoch)
    radius_key = derive_key(derive_key(seed, _RADIUS), epoch)
    m = n_sentences = n_rare = n_subsampled = n_lonely = 0
    for sentence in range(offsets.size - 1):
        first = offsets[sentence]
        number = first_sentence + np.uint64(sentence)
        keep_key = derive_key(subsample_key, number)
        reach_key = derive_key(radius_key, number)
        # Every word is written and the place moves on if it stays: chance makes a branch that no processor can predict.
        for i in range(first, offsets[sentence + 1]):
            position = np.uint64(i - first)
            word = ids[codes[i]]
            tokens[m] = word
            radius[m] = np.uint8(np.uint64(1) + uniform_below(reach_key, position, window) if dynamic else window)
            n_rare += word < 0
            kept = uniform_unit(keep_key, position) < chance[word]
            n_subsampled += (word >= 0) - kept
            m += kept
        n_left = m - borders[n_sentences]
        if n_left < 2:
            n_lonely += n_left
            m -= n_left
        else:
            n_sentences += 1
            borders[n_sentences] = m
    fates = np.array([n_in, n_rare, n_subsampled, n_lonely, m], np.int64)
    return tokens[:m], radius[:m], borders[: n_sentences + 1], fates
