"""Analogy questions, a is to b as c is to d: answering them, scoring vectors by section."""

# V vocabulary, N candidates, D dimension, Q questions, U distinct words of a block of questions

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.choices import AnalogyMethod
from pipeline.scoring.evaluation import wilson_interval
from pipeline.scoring.questions import Questions
from pipeline.vectors import Vectors

QUESTIONS_A_BLOCK = 128
COSINES_A_BLOCK = 1 << 24  # float32 cosines held at once, 64 MB at most; both limits leave the threads out, and so the answers
NEAR = 1e-4  # scores this near to the best, relative above 1, are computed again; float32 errs by some 1e-7 in a cosine
TIE_DECIMALS = 12  # float64 scores equal to so many decimals are ties: rounding must not order what is equal
DIVISOR_OFFSET = 0.001  # keeps 3CosMul's divisor above 0

Real = TypeVar("Real", np.float32, np.float64)


@dataclass(frozen=True)
class SectionScore:
    """What was asked of one section, or of several together, and what was answered rightly."""

    section: str
    """Name in the file; or semantic, syntactic, total."""
    n_questions: int
    """Questions in the file."""
    n_asked: int
    """Questions whose four words are all candidates; the others are left out."""
    n_correct: int
    accuracy: float | None
    """n_correct / n_asked; None when none was asked."""
    low: float
    """Lower end of accuracy's 95 % Wilson interval; 0 when none was asked."""
    high: float
    """Upper end; 1 when none was asked."""

    @property
    def n_skipped(self) -> int:
        """Questions with a word that is no candidate."""
        return self.n_questions - self.n_asked


def score_analogies(
    vectors: Vectors,
    questions: Questions,
    n_candidates: int = 30_000,
    method: AnalogyMethod = AnalogyMethod.COS_ADD,
    lowercase: bool = True,
) -> list[SectionScore]:
    """Scores of the sections in their order, then of "semantic", "syntactic" and "total".

    Parameters
    ----------
    vectors
        V words of dimension D, unchanged.
    questions
        As read from a file.
    n_candidates
        Only so many of the most frequent words can be answers; a question with another word is not asked.
    method
        How an answer is chosen.
    lowercase
        Whether the questions are turned to lower case first, as the vectors' words should be then.

    Raises
    ------
    StoreError
        When a vector holds NaN or an infinity.
    """
    candidates = vectors.head(n_candidates)
    words = pa.array([word for section in questions.sections for question in section.questions for word in question], pa.string())
    rows = candidates.find(pc.utf8_lower(words) if lowercase else words).reshape(-1, 4)
    asked: npt.NDArray[np.bool_] = np.logical_and.reduce(rows >= 0, axis=1)
    correct = np.zeros(len(rows), dtype=np.bool_)
    correct[asked] = answer_analogies(candidates, rows[asked, :3], method) == rows[asked, 3]

    scores, start = [], 0
    for section in questions.sections:
        stop = start + len(section.questions)
        scores.append(_score(section.name, stop - start, int(asked[start:stop].sum()), int(correct[start:stop].sum())))
        start = stop
    kinds = [section.is_syntactic for section in questions.sections]
    semantic = [score for score, is_syntactic in zip(scores, kinds, strict=True) if not is_syntactic]
    syntactic = [score for score, is_syntactic in zip(scores, kinds, strict=True) if is_syntactic]
    return [*scores, _together("semantic", semantic), _together("syntactic", syntactic), _together("total", scores)]


def answer_analogies(vectors: Vectors, questions: npt.NDArray[np.int64], method: AnalogyMethod) -> npt.NDArray[np.int64]:
    """int64[Q], the row that best answers each question; the lowest one in ties, -1 when every row is a word of the question.

    Cosines are computed in float32 by BLAS, once for every distinct word of a block of questions: real files repeat their words, so
    19,544 questions need no more than 905 x N of them. BLAS rounds equal vectors differently by their place in the matrix and
    by the number of threads, so all that come near the best are computed again in float64: the answers do not depend on it.

    Parameters
    ----------
    vectors
        The N candidates.
    questions
        int64[Q, 3], rows of a, b and c, each in [0, N).
    method
        How an answer is chosen.

    Raises
    ------
    StoreError
        When a vector holds NaN or an infinity.
    """
    n_candidates = max(1, len(vectors))
    block = max(1, min(QUESTIONS_A_BLOCK, COSINES_A_BLOCK // (3 * n_candidates)))
    answers = np.empty(len(questions), dtype=np.int64)
    # Reused by every block: fresh memory each time doubled the run time, in page faults.
    cosines = np.empty((min(3 * block, 3 * len(questions)), len(vectors)), dtype=np.float32)
    scores = np.empty(len(vectors), dtype=np.float32)
    for first in range(0, len(questions), block):
        asked = questions[first : first + block]
        distinct, places = np.unique(asked, return_inverse=True)
        np.matmul(vectors.unit[distinct], vectors.unit.T, out=cosines[: len(distinct)])
        _prime(cosines[: len(distinct)], method)
        for i, (a, b, c) in enumerate(places.reshape(asked.shape), start=first):
            _combine(cosines[a], cosines[b], cosines[c], method, scores)
            answers[i] = _best_row(vectors, questions[i], scores, method)
    return answers


def _best_row(vectors: Vectors, question: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], method: AnalogyMethod) -> int:
    """The row with the highest score once those near the best are computed in float64; scores float32[N] loses the question's words."""
    scores[question] = -np.inf
    best = float(scores.max())
    if best == -np.inf:
        return -1
    near = np.flatnonzero(scores >= best - NEAR * max(1.0, abs(best)))
    if len(near) == 1:
        return int(near[0])
    directions = vectors.directions(near)
    to_a, to_b, to_c = ((directions * direction).sum(axis=1) for direction in vectors.directions(question))
    for cosines in (to_a, to_b, to_c):
        _prime(cosines, method)
    exact = np.empty(len(near), dtype=np.float64)
    _combine(to_a, to_b, to_c, method, exact)
    return int(near[exact.round(TIE_DECIMALS).argmax()])


def _prime(cosines: npt.NDArray[Real], method: AnalogyMethod) -> None:
    """Turn cosines of any shape into what `method` combines, in place: nothing for 3CosAdd, cos' in [0, 1] for 3CosMul."""
    if method is AnalogyMethod.COS_MUL:
        cosines += 1
        cosines *= 0.5


def _combine(
    to_a: npt.NDArray[Real], to_b: npt.NDArray[Real], to_c: npt.NDArray[Real], method: AnalogyMethod, out: npt.NDArray[Real]
) -> None:
    """Write the scores of all candidates into `out` from their primed cosines to a, b and c; all of one length and dtype.

    Notes
    -----
    3CosAdd: cos(x, b) - cos(x, a) + cos(x, c) (Mikolov et al. 2013). 3CosMul: cos'(x, b) cos'(x, c) / (cos'(x, a) + 0.001)
    with cos' = (cos + 1) / 2 (Levy & Goldberg 2014).
    """
    if method is AnalogyMethod.COS_ADD:
        np.subtract(to_b, to_a, out=out)
        np.add(out, to_c, out=out)
    else:
        np.add(to_a, DIVISOR_OFFSET, out=out)
        np.divide(to_b, out, out=out)
        np.multiply(out, to_c, out=out)


def _score(name: str, n_questions: int, n_asked: int, n_correct: int) -> SectionScore:
    low, high = wilson_interval(n_correct, n_asked)
    return SectionScore(name, n_questions, n_asked, n_correct, n_correct / n_asked if n_asked else None, low, high)


def _together(name: str, scores: Iterable[SectionScore]) -> SectionScore:
    """The score of several sections, every question counted once."""
    parts = list(scores)
    return _score(name, sum(p.n_questions for p in parts), sum(p.n_asked for p in parts), sum(p.n_correct for p in parts))
