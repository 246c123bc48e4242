"""The whole pipeline from text to pairs, one word at a time in dictionaries: what the stages must give, from their written definitions."""

from collections import Counter

from tests.reference import bigrams, pairs, tokens


def tokenize(texts, *, lowercase=True, split_sentences=False):
    """The sentences of all texts, in this order."""
    return [sentence for text in texts for sentence in tokens.read_text(text, lowercase, split_sentences)[0]]


def score_phrases(sentences, *, threshold, scorer, min_count, connectors=frozenset()):
    """Every phrase, a tuple of its words: its three counts and its score."""
    words = Counter(word for sentence in sentences for word in sentence)
    found = bigrams.count_candidates(sentences, connectors)
    n_words = sum(word not in connectors for word in words)
    phrases = {}
    for candidate, count in found.items():
        if count < min_count:
            continue
        counts = count, words[candidate[0]], words[candidate[-1]]
        match scorer:
            case "word2vec":
                score = bigrams.score_by_tokens(*counts, min_count, words.total())
            case "gensim":
                score = bigrams.score_by_vocabulary(*counts, min_count, n_words + len(found))
            case "npmi":
                score = bigrams.score_npmi(*counts, words.total())
        if score > threshold:
            phrases[candidate] = *counts[1:], count, score
    return phrases


def join_phrases(sentences, phrases, delimiter, connectors=frozenset()):
    return bigrams.join_phrases(sentences, {words: delimiter.join(words) for words in phrases}, connectors)


def count_words(sentences, min_count):
    """Word -> count, most frequent first, ties by the bytes of the words."""
    counts = Counter(word for sentence in sentences for word in sentence)
    kept = [(word, count) for word, count in counts.items() if count >= min_count]
    return dict(sorted(kept, key=lambda entry: (-entry[1], entry[0].encode())))


def draw_epoch(sentences, vocabulary, *, epoch, window, dynamic, formula, subsample, seed):
    """The (id, radius) of every word that trains, by sentence, and where the others went."""
    ids = {word: number for number, word in enumerate(vocabulary)}
    n_tokens = sum(vocabulary.values())
    chance = pairs.keep_probability_program if formula == "word2vec" else pairs.keep_probability_paper
    keep = [chance(count, n_tokens, subsample) for count in vocabulary.values()]
    codes = [[ids.get(word, -1) for word in sentence] for sentence in sentences]
    # Code = id, and the last place, which -1 finds, is that of words without one.
    return pairs.draw_pairs(codes, [*range(len(ids)), -1], keep, window=window, dynamic=dynamic, seed=seed, epoch=epoch, first_sentence=0)
