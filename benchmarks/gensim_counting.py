"""gensim's half of `counting.py`, run by the interpreter of an environment that has gensim and nothing of ours.

Reads raw text and tokenizes it by the same definition in plain Python; counts words by `build_vocab` and phrases by `Phrases`, from the
token file, gensim's fastest input. Prints one JSON object, and writes what was counted beside the token file.
"""

import argparse
import json
import time
from pathlib import Path

import gensim
import numpy as np
from gensim.models import Word2Vec
from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS, Phrases
from gensim.models.word2vec import LineSentence
from gensim_side import tokenize

PARTS = ("tokenize", "vocabulary", "phrases", "join")


def now() -> np.ndarray:
    """Seconds on the clock, and seconds of a core that this process has had."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    """Tokenize, count words, count phrases, join them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--connectors", action="store_true")
    settings = parser.parse_args()
    tokens = settings.scratch / "tokens.txt"
    started = now()
    tokenize(settings.text, tokens)
    tokenized = now()
    model = Word2Vec(min_count=5, workers=1)
    model.build_vocab(corpus_file=str(tokens))
    counted = now()
    connectors = ENGLISH_CONNECTOR_WORDS if settings.connectors else frozenset()
    sentences = LineSentence(str(tokens), max_sentence_length=10**9)  # the default cuts sentences
    phrases = Phrases(sentences, min_count=5, threshold=10.0, connector_words=connectors)
    learned = now()
    n_joined = sum(len(phrases[sentence]) for sentence in sentences)
    joined = now()
    found = phrases.export_phrases()
    words = {word: int(model.wv.get_vecattr(word, "count")) for word in model.wv.index_to_key}
    (settings.scratch / "counted.json").write_text(json.dumps({"words": words, "phrases": found}))
    elapsed_s, cpu_s = np.diff([started, tokenized, counted, learned, joined], axis=0).T
    report = {
        "elapsed_s": dict(zip(PARTS, elapsed_s.tolist(), strict=True)),
        "cpu_s": dict(zip(PARTS, cpu_s.tolist(), strict=True)),
        "n_tokens": phrases.corpus_word_count,
        "n_joined": n_joined,
        "n_entries": len(phrases.vocab),
        "gensim": gensim.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
