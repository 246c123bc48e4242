import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import StoreError, UsageError
from pipeline.vectors import Neighbour, Side, Vectors, read_vectors, read_words
from tests.reference import evaluation as reference

WORDS = ["king", "queen", "man", "woman", "apple", "nothing"]
MATRIX = np.array([[3, 1, 0], [3, -1, 0], [0, 2, 0], [0, -2, 0], [0, 0, 5], [0, 0, 0]], dtype=np.float32)


def vectors_of(words: Sequence[str], matrix: npt.NDArray[np.float32]) -> Vectors:
    return Vectors(pa.array(words, pa.string()), np.arange(len(words), 0, -1, dtype=np.int64), matrix)


def table_of(words: Sequence[str], inputs: npt.NDArray[np.float32], outputs: npt.NDArray[np.float32]) -> pa.Table:
    kind = pa.list_(pa.field("element", pa.float32(), nullable=False), inputs.shape[1])
    columns = [pa.FixedSizeListArray.from_arrays(pa.array(side.ravel()), type=kind) for side in (inputs, outputs)]
    schema = pa.schema(
        [
            pa.field("token", pa.string(), nullable=False),
            pa.field("count", pa.int64(), nullable=False),
            pa.field("input", kind, nullable=False),
            pa.field("output", kind, nullable=False),
        ]
    )
    return pa.table([pa.array(words, pa.string()), pa.array(range(len(words), 0, -1), pa.int64()), *columns], schema=schema)


def write(path: Path, table: pa.Table, row_group_size: int = 1_000_000) -> Path:
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=row_group_size)
    return path


@pytest.fixture
def hand_made() -> Vectors:
    return vectors_of(WORDS, MATRIX)


@pytest.mark.parametrize("row_group_size", [1_000_000, 4])
def test_read_vectors__gives_each_side_bit_for_bit(tmp_path: Path, row_group_size: int) -> None:
    random = np.random.default_rng(1)
    inputs, outputs = random.standard_normal((2, 11, 5), dtype=np.float32)
    words = [f"w{i}é" for i in range(11)]
    path = write(tmp_path / "vectors.parquet", table_of(words, inputs, outputs), row_group_size)
    expected = {Side.INPUT: inputs, Side.OUTPUT: outputs, Side.SUM: inputs + outputs, Side.MEAN: (inputs + outputs) / 2}
    for side, matrix in expected.items():
        vectors = read_vectors(path, side)
        assert vectors.words.to_pylist() == words
        assert vectors.counts.tolist() == list(range(11, 0, -1))
        assert vectors.counts.dtype == np.int64
        assert vectors.matrix.dtype == np.float32
        assert vectors.matrix.tobytes() == matrix.tobytes()


@pytest.mark.parametrize("row_group_size", [1_000_000, 4, 1])
@pytest.mark.parametrize("n_words", [1, 3, 4, 5, 10, 11, 12])
def test_read_vectors__of_some_words_has_the_most_frequent(tmp_path: Path, row_group_size: int, n_words: int) -> None:
    inputs, outputs = np.random.default_rng(1).standard_normal((2, 11, 5), dtype=np.float32)
    words = [f"w{i}é" for i in range(11)]
    path = write(tmp_path / "vectors.parquet", table_of(words, inputs, outputs), row_group_size)
    found, expected = read_vectors(path, Side.SUM, n_words), read_vectors(path, Side.SUM).head(n_words)
    assert found.words.to_pylist() == expected.words.to_pylist()
    assert (found.counts.tolist(), found.matrix.tobytes()) == (expected.counts.tolist(), expected.matrix.tobytes())
    assert read_words(path).to_pylist() == words


@pytest.mark.parametrize("content", [b"", b"PAR1"])
def test_read_words__refuses_what_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vectors.parquet").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        read_words(tmp_path / "vectors.parquet")
    pq.write_table(pa.table({"word": ["a"]}), tmp_path / "vectors.parquet")
    with pytest.raises(StoreError, match="cannot be read"):
        read_words(tmp_path / "vectors.parquet")


def test_read_vectors__reads_a_table_without_words(tmp_path: Path) -> None:
    empty = np.empty((0, 3), dtype=np.float32)
    vectors = read_vectors(write(tmp_path / "vectors.parquet", table_of([], empty, empty)))
    assert len(vectors) == 0
    assert vectors.matrix.shape == (0, 3)


def test_read_vectors__refuses_a_missing_and_a_cut_file(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="absent"):
        read_vectors(tmp_path / "absent.parquet")
    path = write(tmp_path / "vectors.parquet", table_of(WORDS, MATRIX, MATRIX))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StoreError, match="cannot be read"):
        read_vectors(path)


@pytest.mark.parametrize("column", ["token", "count", "input", "output"])
def test_read_vectors__refuses_a_table_without_a_column_it_needs(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "vectors.parquet", table_of(WORDS, MATRIX, MATRIX).drop_columns([column]))
    with pytest.raises(StoreError, match="does not hold vectors"):
        read_vectors(path, Side.SUM)


def test_read_vectors__refuses_other_types_and_nulls(tmp_path: Path) -> None:
    table = table_of(WORDS, MATRIX, MATRIX)
    variable = table.set_column(2, "input", pa.array(MATRIX.tolist(), pa.list_(pa.float32())))
    with pytest.raises(StoreError, match="does not hold vectors"):
        read_vectors(write(tmp_path / "variable.parquet", variable))
    nulls = table.set_column(2, "input", pa.array([None, *MATRIX[1:].tolist()], pa.list_(pa.float32(), 3)))
    with pytest.raises(StoreError, match="null"):
        read_vectors(write(tmp_path / "nulls.parquet", nulls))
    nameless = table.set_column(0, "token", pa.array([None, *WORDS[1:]], pa.string()))
    with pytest.raises(StoreError, match="missing"):
        read_vectors(write(tmp_path / "nameless.parquet", nameless))


def test_read_vectors__refuses_words_out_of_order(tmp_path: Path) -> None:
    table = table_of(WORDS, MATRIX, MATRIX)
    path = write(tmp_path / "vectors.parquet", table.take(pa.array([1, 0, 2, 3, 4, 5])))
    with pytest.raises(StoreError, match="not ordered by count"):
        read_vectors(path)


def test_vectors_unit__has_length_one_and_keeps_zero_rows(hand_made: Vectors) -> None:
    assert hand_made.unit.dtype == np.float32
    assert np.allclose(np.linalg.norm(hand_made.unit, axis=1), [1, 1, 1, 1, 1, 0])
    assert hand_made.unit[0].tolist() == [np.float32(3 / math.sqrt(10)), np.float32(1 / math.sqrt(10)), 0]


def test_vectors_unit__survives_squares_beyond_float32() -> None:
    extreme = vectors_of(["huge", "tiny"], np.array([[3e30, 4e30], [3e-30, 4e-30]], dtype=np.float32))
    assert np.allclose(extreme.unit, [[0.6, 0.8], [0.6, 0.8]])


def test_vectors_unit__refuses_vectors_that_diverged() -> None:
    broken = vectors_of(["fine", "broken"], np.array([[1, 2], [np.nan, 1]], dtype=np.float32))
    with pytest.raises(StoreError, match=r"diverged[\s\S]*1 of 2 words, 'broken' first"):
        _ = broken.unit


@given(st.lists(st.text(max_size=4), unique=True, max_size=20), st.lists(st.text(max_size=4), max_size=20), st.data())
def test_vectors_find__agrees_with_a_dictionary(words: list[str], others: list[str], data: st.DataObject) -> None:
    vectors = vectors_of(words, np.ones((len(words), 1), dtype=np.float32))
    asked = others + (data.draw(st.lists(st.sampled_from(words), max_size=10)) if words else [])
    row_of = {word: row for row, word in enumerate(words)}
    assert vectors.find(asked).tolist() == [row_of.get(word, -1) for word in asked]


def test_vectors_head__keeps_the_first_rows_and_finds_only_them(hand_made: Vectors) -> None:
    head = hand_made.head(2)
    assert head.words.to_pylist() == ["king", "queen"]
    assert head.counts.tolist() == [6, 5]
    assert np.array_equal(head.matrix, MATRIX[:2])
    assert head.find(["queen", "man"]).tolist() == [1, -1]
    assert len(hand_made.head(100)) == 6


def test_vectors_similar__ranks_by_cosine_without_the_asked_word(hand_made: Vectors) -> None:
    found = hand_made.similar("king")
    assert [neighbour.word for neighbour in found] == ["queen", "man", "apple", "nothing", "woman"]
    assert [neighbour.count for neighbour in found] == [5, 4, 2, 1, 3]
    assert np.allclose([neighbour.similarity for neighbour in found], [0.8, 1 / math.sqrt(10), 0, 0, -1 / math.sqrt(10)], atol=1e-7)


def test_vectors_similar__takes_the_mean_direction_of_several_words(hand_made: Vectors) -> None:
    # the longer vector must not count for more
    found = hand_made.similar(["man", "apple"], n=2)
    assert found[0].word == "king"
    assert found[0].similarity == pytest.approx(1 / math.sqrt(20))
    assert [neighbour.word for neighbour in hand_made.similar(["man", "man"], n=1)] == ["king"]


def test_vectors_similar__gives_at_most_n_and_the_more_frequent_first_in_ties() -> None:
    tied = vectors_of([f"w{i}" for i in range(40)], np.tile(np.array([[1, 2]], dtype=np.float32), (40, 1)))
    assert [neighbour.word for neighbour in tied.similar("w3", n=5)] == ["w0", "w1", "w2", "w4", "w5"]
    assert len(tied.similar("w3", n=100)) == 39
    assert tied.similar("w3", n=0) == []
    assert all(neighbour.similarity <= 1 for neighbour in tied.similar("w3", n=100))


def test_vectors_similar__answers_for_a_word_without_direction(hand_made: Vectors) -> None:
    assert [neighbour.similarity for neighbour in hand_made.similar("nothing")] == [0] * 5


def test_vectors_analogy__finds_the_fourth_word(hand_made: Vectors) -> None:
    # king - man + woman = (3/r, 1/r - 2) with r = sqrt(10); queen = (3/r, -1/r)
    r = math.sqrt(10)
    cosine = (9 / 10 - (1 / r - 2) / r) / math.hypot(3 / r, 1 / r - 2)
    assert hand_made.analogy("man", "king", "woman", n=1) == [Neighbour("queen", pytest.approx(cosine), 5)]
    assert {neighbour.word for neighbour in hand_made.analogy("man", "king", "woman")} == {"queen", "apple", "nothing"}


@given(st.integers(0, 10_000), st.integers(5, 30), st.integers(1, 6))
@settings(max_examples=30)
def test_vectors_analogy__agrees_with_the_slow_reference(seed: int, n_words: int, n_dimensions: int) -> None:
    random = np.random.default_rng(seed)
    matrix = random.standard_normal((n_words, n_dimensions), dtype=np.float32)
    vectors = vectors_of([str(i) for i in range(n_words)], matrix)
    a, b, c = random.choice(n_words, 3, replace=False).tolist()
    rows = matrix.astype(float).tolist()
    lengths = [math.hypot(*row) for row in rows]
    query = [rows[b][d] / lengths[b] - rows[a][d] / lengths[a] + rows[c][d] / lengths[c] for d in range(n_dimensions)]
    found = vectors.analogy(str(a), str(b), str(c), n=n_words)
    assert sorted(int(neighbour.word) for neighbour in found) == sorted(set(range(n_words)) - {a, b, c})
    similarities = [neighbour.similarity for neighbour in found]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities == pytest.approx([reference.cosine(query, rows[int(neighbour.word)]) for neighbour in found], abs=1e-5)


def test_vectors_similar__says_what_is_unknown_and_what_is_close(hand_made: Vectors) -> None:
    with pytest.raises(UsageError) as caught:
        hand_made.similar(["king", "qeuen", "Woman"])
    assert caught.value.what == 'The vectors do not know "qeuen", "Woman".'
    assert caught.value.details["got"] == "king qeuen Woman"
    assert caught.value.details["expected"] == "words among the 6 of the vocabulary"
    assert caught.value.details["remedy"].startswith('Close to "qeuen": "queen". Close to "Woman": "woman"')


def test_vectors_similar__names_frequent_words_when_none_is_close(hand_made: Vectors) -> None:
    with pytest.raises(UsageError, match='No known word looks like "zzzzz"; the most frequent are "king", "queen", "man"'):
        hand_made.analogy("zzzzz", "king", "man")


def test_vectors_similar__refuses_no_words(hand_made: Vectors) -> None:
    with pytest.raises(UsageError, match="No word was given"):
        hand_made.similar([])


def test_vectors_closest_spellings__puts_the_same_word_in_another_case_first() -> None:
    vectors = vectors_of(["Pairs", "paris", "Paris", "NATO"], np.ones((4, 1), dtype=np.float32))
    assert vectors.closest_spellings("PARIS")[:2] == ["paris", "Paris"]
    assert vectors.closest_spellings("nato") == ["NATO"]


def test_vectors__imports_nothing_slow() -> None:
    program = "import sys, pipeline.vectors; print(sorted({'numba', 'scipy', 'dask', 'prefect', 'pydantic', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"
