"""Korean and Chinese, from text to neighbours."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.run import Run
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.vectors import Vectors, read_vectors
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk


def trained(language: str, directory: Path, **changes: object) -> tuple[Run, Vectors]:
    """A run over the whole sample of a language, and its vectors."""
    path = directory / f"{language}.txt"
    path.write_text("".join(sample_lines(100_000, f"{language}-500kb.txt.xz")), encoding="utf-8")
    configuration = configured(
        path,
        corpus__shard_mb=0.2,
        tokenize__normalize="nfc",
        tokenize__split_sentences=True,
        pairs__epochs=30,
        train__dimensions=48,
        cluster__threads=2,
        **changes,
    )
    run = walk(configuration, directory / "store")
    return run, read_vectors(run.made["train"][0].path(VECTORS_FILE))


def mean_cosine(vectors: Vectors, some: list[str], others: list[str]) -> float:
    """The mean cosine of all pairs of different words of two lists."""
    one, two = (vectors.directions(vectors.find(words)) for words in (some, others))
    different = np.array([[a != b for b in others] for a in some])
    return float((one @ two.T)[different].mean())


@pytest.mark.parametrize(
    ("language", "changes", "alike"),
    [
        ("ko", {}, [f"{number}월" for number in range(1, 13)]),
        ("zh", {"tokenize__tokenizer": "characters"}, list("一二三四五六七八九十")),
    ],
)
def test_run__on_text_without_latin_letters_finds_words_that_are_alike(
    language: str, changes: dict[str, object], alike: list[str], tmp_path: Path
) -> None:
    run, vectors = trained(language, tmp_path, **changes)
    assert np.isfinite(vectors.matrix).all()
    assert (vectors.find(alike) >= 0).all()
    common = vectors.words.slice(0, 500).to_pylist()
    assert mean_cosine(vectors, alike, alike) > mean_cosine(vectors, alike, common) + 0.1
    nearest = {neighbour.word for neighbour in vectors.similar([alike[2]], 10)}
    assert nearest & set(alike)
    assert run.made["evaluate"][0].manifest.tallies[0].n_in == 353
    if language == "zh":
        assert sum(len(word) == 1 for word in common) > 450
