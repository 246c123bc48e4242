"""gensim's half of `against_gensim.py`, run by the interpreter of an environment that has gensim and nothing of ours.

Reads raw text, tokenizes it by the same definition in plain Python, trains from the token file (gensim's fastest input), saves the vectors.
Prints one JSON object: seconds of each part, tokens, and a digest of the token file.
"""

import argparse
import hashlib
import json
import re
import time
import unicodedata
from pathlib import Path

import gensim
import numpy as np
from gensim.models import Word2Vec


def token_pattern() -> re.Pattern[str]:
    """Runs of letters, marks and decimal digits, with single apostrophes between them."""
    kinds = ("L", "M", "Nd")
    inside = [chr(point) for point in range(0x40000) if unicodedata.category(chr(point)).startswith(kinds)]
    ranges: list[list[int]] = []
    for character in inside:
        if ranges and ord(character) == ranges[-1][1] + 1:
            ranges[-1][1] = ord(character)
        else:
            ranges.append([ord(character)] * 2)
    token = "[" + "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in ranges) + "]"
    return re.compile(f"{token}+(?:'{token}+)*")


def lower(line: str) -> str:
    """Simple lower-casing: Python's own, but for the two letters that it treats by context or makes two of."""
    return line.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower().replace("\u2019", "'")


def tokenize(text: Path, tokens: Path) -> str:
    """Write one sentence a line; the digest of what was written."""
    pattern, digest = token_pattern(), hashlib.sha256()
    with text.open(encoding="utf-8", newline="\n") as lines, tokens.open("wb") as out:
        for line in lines:
            found = pattern.findall(lower(line))
            if found:
                encoded = (" ".join(found) + "\n").encode()
                digest.update(encoded)
                out.write(encoded)
    return digest.hexdigest()


def main() -> None:
    """Tokenize, count, train, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("text", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--dimensions", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--model", choices=["skip_gram", "cbow"], default="skip_gram")
    parser.add_argument("--loss", choices=["negative_sampling", "hierarchical_softmax"], default="negative_sampling")
    parser.add_argument("--rate", type=float, default=0.025)
    parser.add_argument("--tokenized", action="store_true", help="take the token file of an earlier run")
    settings = parser.parse_args()
    tokens = settings.scratch / "tokens.txt"
    started = time.perf_counter()
    digest = hashlib.sha256(tokens.read_bytes()).hexdigest() if settings.tokenized else tokenize(settings.text, tokens)
    tokenized = time.perf_counter()
    tree = settings.loss == "hierarchical_softmax"
    model = Word2Vec(
        vector_size=settings.dimensions,
        window=5,
        negative=0 if tree else 5,
        hs=int(tree),
        sample=1e-4,
        min_count=5,
        sg=int(settings.model == "skip_gram"),
        alpha=settings.rate,
        seed=settings.seed,
        workers=settings.workers,
    )
    model.build_vocab(corpus_file=str(tokens))
    counted = time.perf_counter()
    # From a file each of gensim's threads takes its own sentences as a share of all: with two, the learning rate falls to a tenth in 5
    # epochs, not to nothing. A count for each thread makes its schedule the one that was asked for.
    total_words, total_sentences = model.corpus_total_words, model.corpus_count // settings.workers
    model.train(corpus_file=str(tokens), total_words=total_words, total_examples=total_sentences, epochs=settings.epochs)
    trained = time.perf_counter()
    words = model.wv.index_to_key
    np.save(settings.scratch / "vectors.npy", model.wv.vectors)
    counts = [int(model.wv.get_vecattr(word, "count")) for word in words]
    (settings.scratch / "words.json").write_text(json.dumps([words, counts]))
    report = {
        "tokenize_s": tokenized - started,
        "vocabulary_s": counted - tokenized,
        "train_s": trained - counted,
        "n_tokens": total_words,
        "n_words": len(words),
        "tokens_sha256": digest,
        "gensim": gensim.__version__,
        "numpy": np.__version__,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
