from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors

from pipeline import export
from pipeline.errors import UsageError
from pipeline.export import write_word2vec_binary, write_word2vec_text
from pipeline.vectors import Vectors

Writer = Callable[[Vectors, Path], None]
WRITERS = [write_word2vec_text, write_word2vec_binary]


def random_vectors(n_words: int, n_dimensions: int) -> Vectors:
    """Words of one to four bytes a letter; float32 of all magnitudes, drawn as bit patterns."""
    bits = np.random.default_rng(5).integers(0, 2**32, 2 * n_words * n_dimensions, dtype=np.uint32).view(np.float32)
    matrix = bits[np.isfinite(bits)][: n_words * n_dimensions].reshape(n_words, n_dimensions).copy()
    matrix[0, :4] = [0.0, -0.0, np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal]
    words = [f"{'aéλ語😀'[i % 5]}{i}" for i in range(n_words)]
    return Vectors(pa.array(words), np.arange(n_words, 0, -1, dtype=np.int64), matrix)


@pytest.mark.parametrize("writer", WRITERS)
def test_write_word2vec__is_read_by_gensim_with_the_same_bits(tmp_path: Path, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "FLOATS_A_CHUNK", 7 * 64)  # 64 words a chunk, the last one not full
    vectors = random_vectors(1000, 7)
    path = tmp_path / "vectors"
    writer(vectors, path)
    read = KeyedVectors.load_word2vec_format(str(path), binary=writer is write_word2vec_binary)
    assert read.index_to_key == vectors.words.to_pylist()
    assert read.vectors.tobytes() == vectors.matrix.tobytes()


def test_write_word2vec_text__writes_the_known_bytes(tmp_path: Path) -> None:
    vectors = Vectors(pa.array(["the", "of"]), np.array([2, 1]), np.array([[0.1, -2, 1e-10], [0, 1.5, 3e20]], dtype=np.float32))
    write_word2vec_text(vectors, tmp_path / "vectors.txt")
    assert (tmp_path / "vectors.txt").read_bytes() == b"2 3\nthe 0.1 -2 1e-10\nof 0 1.5 3e+20\n"


def test_write_word2vec_binary__writes_the_known_bytes(tmp_path: Path) -> None:
    vectors = Vectors(pa.array(["the", "of"]), np.array([2, 1]), np.array([[1, -2], [0, 0.5]], dtype=np.float32))
    write_word2vec_binary(vectors, tmp_path / "vectors.bin")
    assert (tmp_path / "vectors.bin").read_bytes() == b"2 2\nthe \0\0\x80?\0\0\0\xc0\nof \0\0\0\0\0\0\0?\n"


@pytest.mark.parametrize("writer", WRITERS)
def test_write_word2vec__writes_slices_and_no_words(tmp_path: Path, writer: Writer) -> None:
    vectors = random_vectors(10, 4)
    writer(vectors.head(3), tmp_path / "slice")
    writer(Vectors(pa.array(vectors.words.to_pylist()[:3]), vectors.counts[:3], vectors.matrix[:3].copy()), tmp_path / "copy")
    assert (tmp_path / "slice").read_bytes() == (tmp_path / "copy").read_bytes()
    writer(vectors.head(0), tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b"0 4\n"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("word", ["new york", "", "a\tb", "a\n"])
def test_write_word2vec__refuses_words_that_the_format_cannot_hold(tmp_path: Path, writer: Writer, word: str) -> None:
    path = tmp_path / "vectors"
    path.write_text("before")
    with pytest.raises(UsageError, match="1 such words"):
        writer(Vectors(pa.array(["fine", word]), np.array([2, 1]), np.ones((2, 2), dtype=np.float32)), path)
    assert path.read_text() == "before"


@pytest.mark.parametrize("writer", WRITERS)
def test_write_word2vec__replaces_a_file_and_leaves_no_other(tmp_path: Path, writer: Writer) -> None:
    path = tmp_path / "vectors"
    path.write_text("before")
    writer(random_vectors(10, 4), path)
    assert path.read_bytes().startswith(b"10 4\n")
    assert list(tmp_path.iterdir()) == [path]


def test_write_word2vec__leaves_the_old_file_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vectors"
    path.write_text("before")
    monkeypatch.setattr(export, "FLOATS_A_CHUNK", 16)
    whole = random_vectors(10, 4)
    short = Vectors(whole.words, whole.counts, whole.matrix[:7])  # breaks off in the second chunk, after the first was written
    with pytest.raises(pa.ArrowInvalid):
        write_word2vec_text(Vectors(pa.concat_arrays([whole.words.slice(0, 5)]), whole.counts, short.matrix), path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", WRITERS)
def test_write_word2vec__explains_a_path_that_cannot_be_written(tmp_path: Path, writer: Writer) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        writer(random_vectors(10, 4), tmp_path / "absent" / "vectors")
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        writer(random_vectors(10, 4), tmp_path / "directory")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]
