"""How strongly two words belong together, by their counts: the scores of word2phrase, of gensim, and NPMI.

Which threshold a score must pass is not this module's business, nor is counting.
"""

import numpy as np
import numpy.typing as npt

# m bigrams


def score_by_tokens(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, discount: float, n_tokens: int
) -> npt.NDArray[np.float64]:
    """Scores float64[m] as word2phrase gives them: (n_ab - discount) / (n_a n_b) * n_tokens; its threshold is 100.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; n_a and n_b at least 1.
    discount
        Taken off n_ab, so that pairs of rare words do not win; word2phrase takes its min-count, 5.
    n_tokens
        All tokens of the text, rare words included.

    Notes
    -----
    Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality", eq. 6, which has no factor.
    Differs from word2phrase: float64 instead of float32. A bigram is a phrase when its score is above the threshold, not at it;
    word2phrase also wants both words to reach min-count, as they do wherever the bigram does.
    """
    return _score_ratio(n_ab, n_a, n_b, discount) * float(n_tokens)


def score_by_vocabulary(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, discount: float, n_vocabulary: int
) -> npt.NDArray[np.float64]:
    """Scores float64[m] as gensim's `original_scorer` gives them: (n_ab - discount) / (n_a n_b) * n_vocabulary; its threshold is 10.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; n_a and n_b at least 1.
    discount
        Taken off n_ab; gensim takes its min_count, 5.
    n_vocabulary
        Entries of the vocabulary.

    Notes
    -----
    gensim 4.4, models/phrases.py. The same: the formula, its order of operations in float64 and so every bit, and "above the threshold".
    What to know: gensim's `len_vocab` is the length of one dictionary that holds the distinct words *and* the distinct bigrams it has
    seen, rare ones included and connectors not, instead of the words alone as its documentation says; give that sum for gensim's scores.
    Differs: gensim drops the rarest entries once there are more than `max_vocab_size` of them; here counts are exact.
    """
    return _score_ratio(n_ab, n_a, n_b, discount) * float(n_vocabulary)


def score_npmi(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], *, n_tokens: int
) -> npt.NDArray[np.float64]:
    """Normalised pointwise mutual information float64[m], ln(p_ab / (p_a p_b)) / -ln p_ab, each p a count over n_tokens.

    1 for words that only occur together, 0 for independent ones, towards -1 for words that avoid each other.

    Parameters
    ----------
    n_ab, n_a, n_b
        Counts of the bigram, of its first and of its second word, [m] each; 1 <= n_ab < n_tokens, n_a and n_b at least 1.
    n_tokens
        All tokens of the text, rare words included.

    Notes
    -----
    Bouma 2009, "Normalized (pointwise) mutual information in collocation extraction". gensim's `npmi_scorer` is the same, but also gives
    -inf to bigrams seen fewer than min_count times; here the caller leaves those out.
    """
    total = float(n_tokens)
    p_ab = n_ab / total
    scores: npt.NDArray[np.float64] = np.log(p_ab / ((n_a / total) * (n_b / total))) / -np.log(p_ab)
    return scores


def _score_ratio(
    n_ab: npt.NDArray[np.int64], n_a: npt.NDArray[np.int64], n_b: npt.NDArray[np.int64], discount: float
) -> npt.NDArray[np.float64]:
    # The product of two counts can pass 2**63; as floats it is still the exact product, rounded once.
    ratio: npt.NDArray[np.float64] = (n_ab - discount) / (n_a.astype(np.float64) * n_b.astype(np.float64))
    return ratio
