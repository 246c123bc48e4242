"""Phrases of an earlier table joined without counting, against gensim's and as they were found."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS as GENSIM_CONNECTORS
from gensim.models.phrases import FrozenPhrases, Phrases

from pipeline.errors import ConfigurationError, InputError
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import PHRASES
from pipeline.storage.tables import write_table
from pipeline.words.frozen_phrases import FrozenPhrases as Table
from tests.conftest import sample_lines
from tests.pipeline.phrase_runs import run_of, table_of, words_of
from tests.pipeline.small_runs import configured, digests


def test_frozen_phrases__are_joined_as_they_were_found(text: Path, store: Path, tmp_path: Path) -> None:
    counted = run_of(text, store, "vocabulary", thresholds=[20.0, 5.0], connector_words="english")
    tables = [shutil.copy(table_of(counted, step), tmp_path / f"{step}.parquet") for step in ("phrases-1", "phrases-2")]
    taken = run_of(text, store, "vocabulary", frozen=list(map(str, tables)))
    for step in ("phrases-1", "phrases-2"):
        assert digests(taken, step) == digests(counted, step)
        assert [tally.unit for tally in taken.made[step][0].manifest.tallies] == ["tokens"]
    assert taken.made["vocabulary"] == counted.made["vocabulary"]  # which was there already
    # What counts is the content of the table, not its name.
    moved = [Path(table).rename(tmp_path / f"moved-{number}.parquet") for number, table in enumerate(tables)]
    again = run_of(text, store, "vocabulary", frozen=list(map(str, moved)))
    assert all(record.n_reused == len(record.keys) for record in again.records)
    other = run_of(text, store, "phrases-1", frozen=[str(moved[1])])
    assert digests(other, "phrases-1") != digests(taken, "phrases-1")


def test_frozen_phrases__of_one_text_are_found_in_another_as_gensim_does(text: Path, store: Path, tmp_path: Path) -> None:
    counted = run_of(text, store, thresholds=[10.0], connector_words="english")
    theirs = FrozenPhrases(Phrases(words_of(counted, "tokenize"), min_count=5, threshold=10.0, connector_words=GENSIM_CONNECTORS))
    (tmp_path / "new.txt").write_text("".join(sample_lines(1700)[1200:]), encoding="utf-8")
    taken = run_of(tmp_path / "new.txt", tmp_path / "store", frozen=[str(table_of(counted))], delimiter="_")
    sentences, joined = words_of(taken, "tokenize"), words_of(taken, "phrases-1")
    assert joined == [theirs[sentence] for sentence in sentences]
    assert sum(word.count("_") > 1 for sentence in joined for word in sentence) > 5


def write_phrases(path: Path, words: Sequence[tuple[str, ...]]) -> Path:
    columns = [[w[0] for w in words], [list(w[1:-1]) for w in words], [w[-1] for w in words], *([[1] * len(words)] * 3), [1.0] * len(words)]
    write_table(path.parent, path.name, PHRASES, pa.table(columns, schema=PHRASES))
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([("a", "x", "b"), ("a", "b")], [["a_x_b", "a_b"], ["x", "a", "x", "x", "a_b"]]),
        ([("a", "x", "x", "b"), ("x", "zzz")], None),
        ([("b", "a", "zz"), ("nowhere", "of", "here")], [["a", "x", "b", "a", "b"], ["x", "a", "x", "x", "a", "b"]]),
        ([("b", "a"), ("x", "x")], [["a", "x", "b_a", "b"], ["x", "a", "x_x", "a", "b"]]),
        ([], [["a", "x", "b", "a", "b"], ["x", "a", "x", "x", "a", "b"]]),
    ],
)
def test_frozen_phrases__may_be_written_by_hand(words: list[tuple[str, ...]], expected: list[list[str]] | None, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a x b a b\nx a x x a b\n")
    table = write_phrases(tmp_path / "mine.parquet", words)
    if expected is None:
        with pytest.raises(ConfigurationError, match="both as a connector") as caught:
            run_of(tmp_path / "text.txt", tmp_path / "store", frozen=[str(table)])
        assert caught.value.details["got"] == "x"
    else:
        run = run_of(tmp_path / "text.txt", tmp_path / "store", frozen=[str(table)])
        assert words_of(run, "phrases-1") == expected


def test_frozen_phrases__that_are_no_table_are_refused_before_anything_is_done(text: Path, store: Path, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    for name, message in (("nowhere.parquet", "does not exist"), ("text.parquet", "cannot be read")):
        with pytest.raises(ConfigurationError, match=message) as caught:
            run_of(text, tmp_path / "store", frozen=[str(tmp_path / name)])
        assert "phrases.frozen" in caught.value.details["where"]
    assert not (tmp_path / "store").exists()


def test_frozen_phrases__that_change_during_a_run_are_noticed(tmp_path: Path) -> None:
    path = write_phrases(tmp_path / "mine.parquet", [("a", "b")])
    table = Table(path, digest_of_file(path))
    assert len(table.read()) == 1
    write_phrases(path, [("a", "c")])
    with pytest.raises(InputError, match="changed while it was used"):
        table.read()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"thresholds": [5.0]}, "thresholds would have no effect"),
        ({"scorer": "npmi"}, "scorer would have no effect"),
        ({"min_count": 7, "connector_words": ["of"]}, "min_count, connector_words would have no effect"),
    ],
)
def test_frozen_phrases__are_refused_with_what_would_count_them(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configured(**{f"phrases__{name}": value for name, value in ({"frozen": ["x.parquet"]} | changes).items()})
    assert reason in str(caught.value)
