"""Training that begins with the vectors of an earlier run: known words keep them, new words are fitted beside them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.configuration import Train
from pipeline.errors import ConfigurationError, InputError, StoreError
from pipeline.initial import begin_with, find_initial
from pipeline.run import Run
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.vectors import Side, Vectors, read_vectors
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A text, and a longer one with words that the first has not."""
    directory = tmp_path_factory.mktemp("texts")
    lines = sample_lines(400)
    for name, n_lines in (("first", 200), ("second", 400)):
        (directory / f"{name}.txt").write_text("".join(lines[:n_lines]), encoding="utf-8")
    return directory / "first.txt", directory / "second.txt"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("initial") / "store"


def vectors_file(run: Run) -> Path:
    return run.made["train"][0].path(VECTORS_FILE)


def both(run: Run) -> tuple[Vectors, Vectors]:
    return read_vectors(vectors_file(run)), read_vectors(vectors_file(run), Side.OUTPUT)


@pytest.fixture(scope="module")
def first(texts: tuple[Path, Path], store: Path) -> Run:
    return walk(configured(texts[0]), store, InPlace(), "train")


def rows(of: Vectors, words: list[str]) -> np.ndarray:
    index = {word: row for row, word in enumerate(of.words.to_pylist())}
    return of.matrix[[index[word] for word in words]]


def test_train__fits_new_words_into_a_space_that_stays_as_it_is(texts: tuple[Path, Path], store: Path, first: Run) -> None:
    begun = {"train__initial": str(vectors_file(first)), "train__frozen": "output"}
    second = walk(configured(texts[1], **begun), store, InPlace(), "train")
    (old_input, old_output), (new_input, new_output) = both(first), both(second)
    known = old_input.words.to_pylist()
    new = sorted(set(new_input.words.to_pylist()) - set(known))
    assert len(new) > 100
    assert np.array_equal(rows(new_output, known), rows(old_output, known))
    assert not rows(new_output, new).any()  # never trained: they began as zeros, and are frozen
    assert np.linalg.norm(rows(new_input, new), axis=1).mean() > 2 * np.sqrt(8 / 12) / 8  # of the uniform draws that they began with
    # What was known well has moved from where it was, not from a new start.
    was, now = (of / np.linalg.norm(of, axis=1, keepdims=True) for of in (rows(old_input, known[:50]), rows(new_input, known[:50])))
    assert (was * now).sum(axis=1).mean() > 0.8


@pytest.mark.parametrize("side", [Side.INPUT, Side.OUTPUT])
def test_train__leaves_a_frozen_side_as_it_began(side: Side, texts: tuple[Path, Path], store: Path, first: Run) -> None:
    begun = {"train__initial": str(vectors_file(first))} if side is Side.OUTPUT else {}
    frozen, free = (
        walk(configured(texts[0], train__frozen=value, train__seed=9, **begun), store, InPlace(), "train") for value in (side.value, "none")
    )
    found, trained = (dict(zip((Side.INPUT, Side.OUTPUT), both(run), strict=True)) for run in (frozen, free))
    other = Side.OUTPUT if side is Side.INPUT else Side.INPUT
    if side is Side.INPUT:
        assert np.abs(found[side].matrix).max() <= 0.5 / 8  # the draws
    else:
        assert np.array_equal(found[side].matrix, both(first)[1].matrix)
    assert not np.array_equal(found[other].matrix, trained[other].matrix)


def test_train__knows_the_first_vectors_by_content_not_by_path(texts: tuple[Path, Path], store: Path, first: Run, tmp_path: Path) -> None:
    copy = tmp_path / VECTORS_FILE
    copy.write_bytes(vectors_file(first).read_bytes())
    keys = [
        walk(configured(texts[1], train__initial=str(path), pairs__epochs=1), store, InPlace(), "train").made["train"][0].manifest.key
        for path in (vectors_file(first), copy)
    ]
    assert keys[0] == keys[1]
    without = walk(configured(texts[1], pairs__epochs=1), store, InPlace(), "train").made["train"][0].manifest
    assert without.key != keys[0]


def test_run__refuses_first_vectors_that_do_not_fit(texts: tuple[Path, Path], store: Path, first: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="do not exist"):
        walk(configured(texts[0], train__initial=str(tmp_path / "none.parquet")), store, InPlace())
    with pytest.raises(ConfigurationError, match="another length"):
        walk(configured(texts[0], train__initial=str(vectors_file(first)), train__dimensions=9), store, InPlace())
    tree = walk(configured(texts[0], train__loss="hierarchical_softmax", pairs__epochs=1), store, InPlace(), "train")
    with pytest.raises(ConfigurationError, match="inner nodes"):
        walk(configured(texts[0], train__initial=str(vectors_file(tree))), store, InPlace())
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1")
    with pytest.raises(StoreError):
        walk(configured(texts[0], train__initial=str(broken)), store, InPlace())


def test_begin_with__takes_only_finite_vectors_and_the_bytes_that_were_there_at_first(first: Run, tmp_path: Path) -> None:
    table = pq.read_table(vectors_file(first))
    column = table.schema.field("input")
    values = pa.FixedSizeListArray.from_arrays(np.full(8 * table.num_rows, np.nan, np.float32), type=column.type)
    path = tmp_path / VECTORS_FILE
    pq.write_table(table.set_column(2, column, values), path)
    found = find_initial(Train(initial=str(path), dimensions=8))
    assert found
    matrices = np.zeros((2, table.num_rows, 16), np.float32)
    with pytest.raises(StoreError, match="finite"):
        begin_with(found, table["token"], *matrices)
    path.write_bytes(vectors_file(first).read_bytes())
    with pytest.raises(InputError, match="changed"):
        begin_with(found, table["token"], *matrices)
