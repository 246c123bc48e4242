from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.scoring.evaluation import spearman_interval
from pipeline.scoring.rated_pairs import Pair, read_pairs
from pipeline.scoring.similarity import SimilarityScore, score_similarity
from pipeline.vectors import Vectors
from tests.reference import evaluation as reference

DATA = Path(__file__).parents[3] / "data" / "evaluation"


def vectors_of(words: list[str], matrix: npt.ArrayLike) -> Vectors:
    return Vectors(pa.array(words, pa.string()), np.arange(len(words), 0, -1, dtype=np.int64), np.asarray(matrix, dtype=np.float32))


@pytest.mark.parametrize(
    ("name", "n_pairs", "first"),
    [("wordsim353.tsv", 353, Pair("love", "sex", 6.77)), ("simlex999.txt", 999, Pair("old", "new", 1.58))],
)
def test_read_pairs__reads_the_real_files(name: str, n_pairs: int, first: Pair) -> None:
    pairs = read_pairs(DATA / name)
    assert len(pairs) == n_pairs
    assert pairs[0] == first
    assert all(0 <= pair.rating <= 10 for pair in pairs)


@pytest.mark.parametrize("line", ["a\tb", "a\tb\tc", "a b 3", "a\t\t3", "a\tb\tnan", "a\tb\t1\t2"])
def test_read_pairs__names_the_wrong_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(f"# words\n\na\tb\t1.5\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_pairs(path)
    assert caught.value.details["where"] == f"{path}, line 4"
    assert caught.value.details["got"] == line


def test_read_pairs__refuses_a_file_without_pairs(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("# nothing\n")
    with pytest.raises(InputError, match="holds none"):
        read_pairs(tmp_path / "pairs.tsv")


def test_score_similarity__finds_the_known_order_and_says_what_it_covers() -> None:
    vectors = vectors_of(["a", "b", "c", "d", "e", "f"], [[1, 0], [9, 1], [4, 4], [0, 2], [-1, 5], [-3, 0]])
    pairs = tuple(
        Pair("A", other, rating) for other, rating in [("b", 9.0), ("c", 7.0), ("d", 5.0), ("e", 3.0), ("f", 1.0), ("absent", 8.0)]
    )
    assert score_similarity(vectors, pairs) == SimilarityScore(6, 5, 1.0, 1.0, 1.0)
    assert score_similarity(vectors, pairs).n_skipped == 1
    assert score_similarity(vectors, pairs, lowercase=False) == SimilarityScore(6, 0, None, -1.0, 1.0)
    # one swap of neighbours among five: rho = 1 - 6 * 2 / (5 * 24) = 0.9
    swapped = (Pair("a", "b", 7.0), Pair("a", "c", 9.0), *pairs[2:5])
    score = score_similarity(vectors, swapped)
    assert score.rho == pytest.approx(0.9)
    assert (score.low, score.high) == pytest.approx(spearman_interval(0.9, 5))


@pytest.mark.parametrize(
    "pairs",
    [
        (),
        (Pair("a", "b", 1.0),),
        (Pair("a", "b", 1.0), Pair("a", "c", 1.0)),
        (Pair("a", "a", 1.0), Pair("b", "b", 2.0), Pair("c", "c", 3.0)),
    ],
)
def test_score_similarity__has_no_rho_where_there_is_no_order(pairs: tuple[Pair, ...]) -> None:
    vectors = vectors_of(["a", "b", "c"], [[0.3, 0.7, 0.1], [0.9, -0.4, 0.2], [0.1, 0.1, 0.3]])
    assert score_similarity(vectors, pairs) == SimilarityScore(len(pairs), len(pairs), None, -1.0, 1.0)


@given(seed=st.integers(0, 1_000_000), n_pairs=st.integers(2, 30), lattice=st.booleans())
@settings(max_examples=60)
def test_score_similarity__agrees_with_the_slow_reference(seed: int, n_pairs: int, lattice: bool) -> None:
    random = np.random.default_rng(seed)
    # A lattice has zero vectors and ties among the cosines; few different ratings make ties on the other side.
    matrix = (random.integers(-1, 2, (12, 3)) if lattice else random.standard_normal((12, 3))).astype(np.float32)
    rows = random.integers(0, 12, (n_pairs, 2)).tolist()
    ratings = random.integers(0, 6, n_pairs).astype(float).tolist()
    pairs = tuple(Pair(f"w{first}", f"w{second}", rating) for (first, second), rating in zip(rows, ratings, strict=True))
    cosines = [round(reference.cosine(matrix[first].tolist(), matrix[second].tolist()), 12) for first, second in rows]
    score = score_similarity(vectors_of([f"w{i}" for i in range(12)], matrix), pairs)
    if len(set(cosines)) == 1 or len(set(ratings)) == 1:
        assert score.rho is None
    else:
        assert score.rho == pytest.approx(reference.spearman(cosines, ratings), abs=1e-9)


def test_score_similarity__agrees_with_gensim_on_a_real_file() -> None:
    pairs = read_pairs(DATA / "wordsim353.tsv")
    words = list(dict.fromkeys(word.lower() for pair in pairs for word in (pair.first, pair.second)))[:400]
    vectors = vectors_of(words, np.random.default_rng(6).standard_normal((len(words), 20)))
    theirs = KeyedVectors(20)
    theirs.add_vectors(words, vectors.matrix)
    _, (rho, _), unknown_percent = theirs.evaluate_word_pairs(str(DATA / "wordsim353.tsv"))
    score = score_similarity(vectors, pairs)
    assert score.rho == pytest.approx(rho, abs=1e-6)
    assert 100 * score.n_skipped / score.n_pairs == pytest.approx(unknown_percent)
    assert score.n_skipped > 0
