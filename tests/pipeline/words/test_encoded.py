"""The words of all shards are looked up once, and parts of the text read from there."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline.configuration import Cluster
from pipeline.storage.schemas import VOCABULARY
from pipeline.storage.tables import Text, write_table
from pipeline.words import encoded
from pipeline.words.text import TextShard, joined, write_shard
from pipeline.workers import DaskWorkers, InPlace, Workers

WORDS = [f"word{number}" for number in range(30)]
KNOWN = WORDS[::2]


def new_shards(directory: Path) -> tuple[list[TextShard], list[list[str]]]:
    """Shards, one without a word, and all sentences."""
    rng = np.random.default_rng(5)
    sentences: list[list[str]] = []
    for number, n_words in enumerate((7, 30, 0, 12, 1)):
        words = rng.permutation(WORDS)[:n_words].tolist()
        codes = [rng.integers(0, n_words, rng.integers(1, 9)).astype(np.int32) for _ in range(4 if n_words else 0)]
        offsets = np.cumsum([0, *map(len, codes)]).astype(np.int64)
        text = Text(np.concatenate([np.zeros(0, np.int32), *codes]), offsets)
        write_shard(directory, f"{number}/", [text] if codes else [], [pa.array(words, pa.string())])
        sentences += [[words[code] for code in some] for some in codes]
    return [TextShard(directory / str(number)) for number in range(5)], sentences


@pytest.mark.parametrize("words_at_once", [1, 20, 1 << 20])
@pytest.mark.parametrize("cluster", [None, Cluster(processes=2, threads=2)])
def test_encode_shards__gives_every_code_the_row_of_its_token(
    words_at_once: int, cluster: Cluster | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "WORDS_AT_ONCE", words_at_once)
    shards, sentences = new_shards(tmp_path)
    vocabulary = write_table(tmp_path, "vocabulary.parquet", VOCABULARY, pa.table([KNOWN, [1] * len(KNOWN)], schema=VOCABULARY))
    (tmp_path / "ids").mkdir()

    def check(workers: Workers) -> None:
        found = encoded.encode_shards(shards, tmp_path / vocabulary.name, tmp_path / "ids", workers)
        assert [one.shard for one in found] == shards
        for one in found:
            tokens = one.shard.lexicon()["token"].to_pylist()
            assert one.read().tolist() == [KNOWN.index(token) + 1 if token in KNOWN else 0 for token in tokens]
        texts = [joined(list(encoded.encode_part(pieces))) for _, pieces in encoded.cut_text(found, 3)]
        rows = [text.codes[i:j].tolist() for text in texts for i, j in zip(text.offsets[:-1], text.offsets[1:], strict=True)]
        assert rows == [[KNOWN.index(word) + 1 if word in KNOWN else 0 for word in sentence] for sentence in sentences]

    if cluster:
        with DaskWorkers(cluster) as workers:
            check(workers)
    else:
        check(InPlace())
    assert len(list((tmp_path / "ids").iterdir())) == {1: 5, 20: 3, 1 << 20: 2 if cluster else 1}[words_at_once]
