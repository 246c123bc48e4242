"""Runs as far as the phrases, and what came out, in words."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.run import Run
from pipeline.storage.schemas import PHRASES, PHRASES_FILE
from pipeline.storage.tables import read_table
from pipeline.words.text import shards_of
from pipeline.workers import InPlace, Workers
from tests.pipeline.small_runs import configured, walk


def run_of(text: Path, store: Path, last: str = "phrases-1", workers: Workers | None = None, **changes: object) -> Run:
    settings = {"corpus__shard_mb": 0.15} | {f"phrases__{name}": value for name, value in changes.items()}
    return walk(configured(text, **settings), store, workers or InPlace(), last)


def words_of(run: Run, step: str) -> list[list[str]]:
    """The sentences of a step's text."""
    sentences = []
    for shard in shards_of(run.made[step]):
        tokens = np.array(shard.lexicon()["token"].to_pylist(), dtype=object)
        for piece in shard.sentences():
            sentences += [tokens[piece.part(s, s + 1).codes].tolist() for s in range(piece.n_sentences)]
    return sentences


def table_of(run: Run, step: str = "phrases-1") -> Path:
    (artifact,) = run.made[step]
    return artifact.path(PHRASES_FILE)


def rows_of(run: Run, step: str = "phrases-1") -> dict[tuple[str, ...], dict[str, Any]]:
    """The rows of a table by the words of the phrase."""
    rows = read_table(table_of(run, step), PHRASES).to_pylist()
    found = {(row["first"], *row["connectors"], row["second"]): row for row in rows}
    assert len(found) == len(rows)
    return found
