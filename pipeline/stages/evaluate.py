"""evaluate: scores of the vectors on analogies and word similarity, with what could not be asked."""

import math
from collections.abc import Sequence

import pyarrow as pa

from pipeline.configuration import Evaluate
from pipeline.scoring.analogies import SectionScore, score_analogies
from pipeline.scoring.evaluation_sets import EvaluationFile, EvaluationKind
from pipeline.scoring.questions import read_questions
from pipeline.scoring.rated_pairs import read_pairs
from pipeline.scoring.similarity import SimilarityScore, score_similarity
from pipeline.sides import side_of
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import FileRecord, Tally
from pipeline.storage.schemas import SECTIONS, SECTIONS_FILE, SIMILARITY, SIMILARITY_FILE, VECTORS_FILE
from pipeline.storage.tables import write_table
from pipeline.vectors import Vectors, read_vectors

LOWERCASE = "lowercase"


def build(job: Job[Evaluate]) -> Outcome:
    """Score the vectors on every set.

    Raises
    ------
    InputError
        When a set cannot be read.
    """
    (artifact,) = job.inputs["vectors"]
    vectors = read_vectors(artifact.path(VECTORS_FILE), side_of(artifact, job.settings.vectors))
    files: tuple[EvaluationFile, ...] = job.material
    lowercase = bool(job.parameters[LOWERCASE])
    analogies = [(file.name, _analogies(vectors, file, job.settings, lowercase)) for file in files if file.kind is EvaluationKind.ANALOGIES]
    similarity = [
        (file.name, score_similarity(vectors, read_pairs(file.path), lowercase=lowercase))
        for file in files
        if file.kind is EvaluationKind.SIMILARITY
    ]
    totals = {name: scores[-1] for name, scores in analogies}
    measures = {name: total.accuracy for name, total in totals.items()} | {name: score.rho for name, score in similarity}
    return Outcome(
        (_write_sections(job, analogies), _write_similarity(job, similarity)),
        (
            *(_tally(f"questions of {name}", total.n_questions, total.n_asked) for name, total in totals.items()),
            *(_tally(f"pairs of {name}", score.n_pairs, score.n_scored) for name, score in similarity),
        ),
        {name: value for name, value in measures.items() if value is not None},
    )


def _analogies(vectors: Vectors, file: EvaluationFile, settings: Evaluate, lowercase: bool) -> Sequence[SectionScore]:
    return score_analogies(vectors, read_questions(file.path), settings.candidates, settings.method, lowercase=lowercase)


def _tally(unit: str, n_in: int, n_kept: int) -> Tally:
    return Tally(unit, n_in, n_kept, {"outside the vocabulary or the candidates": n_in - n_kept})


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _write_sections(job: Job[Evaluate], analogies: list[tuple[str, Sequence[SectionScore]]]) -> FileRecord:
    rows = [
        (
            name,
            score.section,
            score.n_questions,
            score.n_asked,
            score.n_correct,
            _number(score.accuracy),
            _number(score.low),
            _number(score.high),
        )
        for name, scores in analogies
        for score in scores
    ]
    return _write_rows(job, SECTIONS_FILE, SECTIONS, rows)


def _write_similarity(job: Job[Evaluate], similarity: list[tuple[str, SimilarityScore]]) -> FileRecord:
    rows = [
        (name, score.n_pairs, score.n_scored, _number(score.rho), _number(score.low), _number(score.high)) for name, score in similarity
    ]
    return _write_rows(job, SIMILARITY_FILE, SIMILARITY, rows)


def _write_rows(job: Job[Evaluate], name: str, schema: pa.Schema, rows: Sequence[tuple[object, ...]]) -> FileRecord:
    return write_table(
        job.directory, name, schema, pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
    )
