import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from gensim.models import KeyedVectors
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.choices import AnalogyMethod
from pipeline.errors import InputError
from pipeline.scoring import analogies
from pipeline.scoring.analogies import SectionScore, answer_analogies, score_analogies
from pipeline.scoring.questions import Questions, Section, read_questions
from pipeline.vectors import Vectors
from tests.reference import evaluation as reference

REAL_FILE = Path(__file__).parents[3] / "data" / "evaluation" / "questions-words.txt"
METHODS = list(AnalogyMethod)


def vectors_of(words: list[str], matrix: npt.ArrayLike) -> Vectors:
    return Vectors(pa.array(words, pa.string()), np.arange(len(words), 0, -1, dtype=np.int64), np.asarray(matrix, dtype=np.float32))


# One axis says royal, one says male or female, one says plural; every analogy between the words is exact.
MADE_WORDS = ["king", "queen", "man", "woman", "kings", "queens", "men", "women", "stone"]
MADE = vectors_of(
    MADE_WORDS,
    [[1, 1, 0, 1], [1, -1, 0, 1], [0, 1, 0, 1], [0, -1, 0, 1], [1, 1, 1, 1], [1, -1, 1, 1], [0, 1, 1, 1], [0, -1, 1, 1], [-1, 0, 0, -1]],
)


def test_read_questions__reads_the_real_file() -> None:
    questions = read_questions(REAL_FILE)
    assert len(questions.sections) == 14
    assert questions.n_questions == 19_544
    assert sum(len(section.questions) for section in questions.sections if section.is_syntactic) == 10_675
    assert sum(len(section.questions) for section in questions.sections if not section.is_syntactic) == 8_869
    assert questions.sections[0].name == "capital-common-countries"
    assert len(questions.sections[0].questions) == 506
    assert questions.sections[0].questions[0] == ("Athens", "Greece", "Baghdad", "Iraq")
    assert questions.sections[-1].questions[-1] == ("write", "writes", "work", "works")


@pytest.mark.parametrize(
    ("text", "where", "got"),
    [
        (": a\none two three four\none two three\n", "line 3", "3 words"),
        (": a\n\none two three four five\n", "line 3", "5 words"),
        ("one two three four\n", "line 1", "one two three four"),
        (":\none two three four\n", "line 1", ":"),
    ],
)
def test_read_questions__names_the_wrong_line(tmp_path: Path, text: str, where: str, got: str) -> None:
    path = tmp_path / "questions.txt"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_questions(path)
    assert caught.value.details["where"] == f"{path}, {where}"
    assert caught.value.details["got"].startswith(got)


@pytest.mark.parametrize("text", ["", ": a\n: b\n"])
def test_read_questions__refuses_a_file_without_questions(tmp_path: Path, text: str) -> None:
    (tmp_path / "questions.txt").write_text(text)
    with pytest.raises(InputError, match="holds none"):
        read_questions(tmp_path / "questions.txt")


@pytest.mark.parametrize("method", METHODS)
def test_score_analogies__scores_known_answers_by_section(method: AnalogyMethod) -> None:
    questions = Questions(
        (
            Section("royal", (("Man", "king", "woman", "queen"), ("man", "king", "woman", "stone"), ("man", "king", "duke", "duchess"))),
            Section("nobody", (("duke", "duchess", "man", "woman"),)),
            Section("gram-plural", (("man", "men", "king", "kings"), ("man", "men", "woman", "women"))),
        )
    )
    scores = score_analogies(MADE, questions, method=method)
    tallies = [(score.section, score.n_questions, score.n_asked, score.n_skipped, score.n_correct) for score in scores]
    assert tallies == [
        ("royal", 3, 2, 1, 1),
        ("nobody", 1, 0, 1, 0),
        ("gram-plural", 2, 2, 0, 2),
        ("semantic", 4, 2, 2, 1),
        ("syntactic", 2, 2, 0, 2),
        ("total", 6, 4, 2, 3),
    ]
    assert [score.accuracy for score in scores] == [0.5, None, 1.0, 0.5, 1.0, 0.75]
    assert scores[1] == SectionScore("nobody", 1, 0, 0, None, 0.0, 1.0)
    assert (scores[-1].low, scores[-1].high) == pytest.approx((0.3006, 0.9544), abs=1e-4)


def test_score_analogies__asks_only_what_the_most_frequent_words_can_answer() -> None:
    questions = Questions((Section("royal", (("man", "king", "woman", "queen"), ("men", "kings", "women", "queens"))),))
    assert [score.n_asked for score in score_analogies(MADE, questions, n_candidates=4)] == [1, 1, 0, 1]
    assert [score.n_asked for score in score_analogies(MADE, questions, n_candidates=3)] == [0, 0, 0, 0]
    assert [score.n_asked for score in score_analogies(MADE, questions, n_candidates=100)] == [2, 2, 0, 2]


def test_score_analogies__keeps_case_when_told() -> None:
    questions = Questions((Section("royal", (("Man", "king", "woman", "queen"),)),))
    assert score_analogies(MADE, questions, lowercase=True)[-1].n_asked == 1
    assert score_analogies(MADE, questions, lowercase=False)[-1].n_asked == 0


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data(), seed=st.integers(0, 1_000_000), n_words=st.integers(1, 25), n_dimensions=st.integers(1, 8), lattice=st.booleans())
@settings(max_examples=60)
def test_answer_analogies__agrees_with_the_slow_reference(
    method: AnalogyMethod, data: st.DataObject, seed: int, n_words: int, n_dimensions: int, lattice: bool
) -> None:
    random = np.random.default_rng(seed)
    # A lattice of -1, 0, 1 has zero vectors, repeated vectors and many ties.
    matrix = random.integers(-1, 2, (n_words, n_dimensions)) if lattice else random.standard_normal((n_words, n_dimensions))
    vectors = vectors_of([str(i) for i in range(n_words)], matrix)
    rows = st.integers(0, n_words - 1)
    questions = np.array(data.draw(st.lists(st.tuples(rows, rows, rows), min_size=1, max_size=6)), dtype=np.int64)
    expected = [reference.answer(vectors.matrix.tolist(), *question, method is AnalogyMethod.COS_MUL) for question in questions.tolist()]
    assert answer_analogies(vectors, questions, method).tolist() == expected


@pytest.mark.parametrize("method", METHODS)
def test_answer_analogies__gives_the_lowest_row_in_ties_wherever_it_lies(method: AnalogyMethod) -> None:
    # BLAS alone fails this: it rounds equal vectors differently by their row. The rows asked for, below 300, have no double.
    random = np.random.default_rng(8)
    once = random.standard_normal((1501, 51), dtype=np.float32)
    words = [str(i) for i in range(2702)]
    questions = random.integers(0, 300, (400, 3))
    answers = answer_analogies(vectors_of(words, np.concatenate([once, once[300:]])), questions, method)
    assert np.array_equal(answers, answer_analogies(vectors_of(words[:1501], once), questions, method))
    assert np.count_nonzero(answers >= 300) > 100


@pytest.mark.parametrize("method", METHODS)
def test_answer_analogies__sees_ties_through_the_rounding_of_sums(method: AnalogyMethod) -> None:
    # Every order of five numbers has the same cosine to (1, 1, 1, 1, 1), but float64 sums them to different last bits.
    orders = list(itertools.permutations([0.3, 0.2, 0.1, 0.6, 0.7]))
    vectors = vectors_of([str(i) for i in range(121)], [[1.0] * 5, *orders])
    assert answer_analogies(vectors, np.array([[0, 0, 0]]), method).tolist() == [1]


@pytest.mark.parametrize("method", METHODS)
def test_answer_analogies__does_not_depend_on_the_block(method: AnalogyMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(9)
    vectors = vectors_of([str(i) for i in range(500)], random.standard_normal((500, 20)))
    questions = random.integers(0, 500, (300, 3))
    expected = answer_analogies(vectors, questions, method)
    for cosines_a_block in (1, 500 * 3 * 7):
        monkeypatch.setattr(analogies, "COSINES_A_BLOCK", cosines_a_block)
        assert np.array_equal(answer_analogies(vectors, questions, method), expected)


def test_answer_analogies__does_not_depend_on_the_threads() -> None:
    program = (
        "import hashlib, numpy as np, pyarrow as pa; from pipeline.scoring.analogies import *; from pipeline.vectors import Vectors\n"
        "m = np.random.default_rng(1).integers(-1, 2, (20011, 9)).astype(np.float32)\n"
        "v = Vectors(pa.array([str(i) for i in range(len(m))]), np.zeros(len(m), np.int64), m)\n"
        "q = np.random.default_rng(2).integers(0, len(m), (150, 3))\n"
        "print(hashlib.sha256(b''.join(answer_analogies(v, q, method).tobytes() for method in AnalogyMethod)).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("method", METHODS)
def test_answer_analogies__has_no_answer_when_only_the_question_is_left(method: AnalogyMethod) -> None:
    assert answer_analogies(MADE.head(3), np.array([[0, 1, 2], [0, 1, 1]]), method).tolist() == [-1, 2]
    assert answer_analogies(MADE, np.empty((0, 3), dtype=np.int64), method).tolist() == []


def test_score_analogies__agrees_with_gensim_on_the_real_file() -> None:
    questions = read_questions(REAL_FILE)
    words = list(dict.fromkeys(word.lower() for section in questions.sections for question in section.questions for word in question))
    random = np.random.default_rng(4)
    # Each question's answer lies near b - a + c, by noise that leaves about half of them right.
    place = {word: random.standard_normal(12) for word in words}
    for section in questions.sections:
        shift = random.standard_normal(12)
        for a, b, _, _ in section.questions:
            place[b.lower()] = place[a.lower()] + shift + 0.4 * random.standard_normal(12)
    vectors = vectors_of(words, [place[word] for word in words])
    theirs = KeyedVectors(12)
    theirs.add_vectors(words, vectors.matrix)
    small = Questions(tuple(Section(section.name, section.questions[::40]) for section in questions.sections))
    for candidates in (len(words), 700):
        total = score_analogies(vectors, small, n_candidates=candidates)[-1]
        n_right = 0
        for section in small.sections:
            for question in section.questions:
                a, b, c, d = (word.lower() for word in question)
                if max(theirs.key_to_index[word] for word in (a, b, c, d)) < candidates:
                    n_right += theirs.most_similar(positive=[b, c], negative=[a], topn=1, restrict_vocab=candidates)[0][0] == d
        assert total.n_correct == n_right
        assert 0.1 < n_right / total.n_asked < 0.9
