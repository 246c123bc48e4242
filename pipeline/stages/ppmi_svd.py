"""ppmi_svd: co-occurrences and vocabulary into vectors, by a truncated singular value decomposition of positive PMI.

With M = U S V^T, rank D, and p eigenvalue_power, a word's input vector is its row of U S^p, and its output vector, the word as a context,
its row of V S^p: what the paper's program gives for words and for contexts (hyperwords, `SVDEmbedding`). Both sides then have one scale
and can be added, and at p = 1/2 they are the symmetric factors of M (Levy, Goldberg & Dagan 2015, section 3.3).
"""

import time

import numpy as np

from pipeline.configuration import PpmiSettings
from pipeline.errors import ConfigurationError
from pipeline.interruption import Interruption, noted_interruptions
from pipeline.matrices.panels import Singles, Team
from pipeline.matrices.ppmi import PASSES, PpmiMatrix, read_matrix
from pipeline.matrices.svd import Decomposition, decompose, most_steps
from pipeline.progress import Progress
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import Tally
from pipeline.storage.schemas import VOCABULARY, VOCABULARY_FILE
from pipeline.storage.tables import read_table
from pipeline.training.vectors_file import write_vectors


def build(job: Job[PpmiSettings]) -> Outcome:
    """Read the matrix, decompose it, and write the vectors.

    Raises
    ------
    ConfigurationError
        When there are not more words than dimensions, or no PMI is above log(shift).
    StoreError
        When a file of co-occurrences is damaged.
    """
    vocabulary = read_table(job.inputs["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    settings, n_words = job.settings, len(vocabulary)
    if settings.dimensions >= n_words:
        raise ConfigurationError(
            "The vectors would have as many dimensions as there are words, or more.",
            where="key train.dimensions",
            got=f"{settings.dimensions} dimensions, {n_words:,} words",
            expected=f"at most {n_words - 1} dimensions",
            remedy="Lower train.dimensions, lower vocabulary.min_count, or give more text.",
        )
    n_tokens = float(vocabulary["count"].to_numpy().sum())
    started = time.monotonic()
    with Team(job.workers.n_threads) as team, noted_interruptions() as interruption:
        matrix = _matrix(job, n_words, n_tokens, team, interruption)
        matrix_s = time.monotonic() - started
        found = _decomposed(job, matrix, n_tokens, interruption)
        svd_s = time.monotonic() - started - matrix_s
    weights = (found.values**settings.eigenvalue_power).astype(np.float32)

    def vectors(first: int, last: int) -> tuple[Singles, Singles]:
        return _rows(found.left, first, last, weights), _rows(found.right, first, last, weights)

    written = write_vectors(job.directory, vocabulary, settings.dimensions, vectors)
    return Outcome(
        (written,),
        (Tally("entries", matrix.n_counts, matrix.n_positive, {"not above log(shift)": matrix.n_counts - matrix.n_positive}),),
        {
            "words": n_words,
            "dimensions": settings.dimensions,
            "nonzeros": matrix.n_positive,
            "density": matrix.n_positive / n_words**2,
            "largest_singular_value": float(found.values[0]),
            "smallest_singular_value": float(found.values[-1]),
            "residual": found.residual,
            "steps": found.n_steps,
            "matrix_s": matrix_s,
            "svd_s": svd_s,
            "threads": job.workers.n_threads,
        },
    )


def _matrix(job: Job[PpmiSettings], n_words: int, n_tokens: float, team: Team, interruption: Interruption) -> PpmiMatrix:
    cells = job.inputs["cooccurrences"][0]
    files = [cells.path(record.name) for record in cells.files("cells-")]
    progress = Progress(job.step, PASSES * len(files), "files")

    def advance() -> None:
        progress.advance(1, n_tokens / len(files))
        interruption.stop_if_asked()

    matrix = read_matrix(files, n_words, job.settings, team, advance)
    if not matrix.n_positive:
        raise ConfigurationError(
            "No two words stand together so much more often than by chance that a vector could say so.",
            where="key ppmi.shift",
            got=f"{matrix.n_counts:,} entries, none with a PMI above log({job.settings.shift:g})",
            expected="some entries above it",
            remedy="Lower ppmi.shift (1 keeps every positive PMI), or give more text.",
        )
    return matrix


def _decomposed(job: Job[PpmiSettings], matrix: PpmiMatrix, n_tokens: float, interruption: Interruption) -> Decomposition:
    """The decomposition, with its progress; most need fewer steps than there may be."""
    n_steps = most_steps(matrix.n_rows, job.settings.dimensions)
    progress = Progress(job.step, n_steps, "steps")

    def advance(_: float) -> None:
        progress.advance(1, n_tokens)
        interruption.stop_if_asked()

    found = decompose(matrix, job.settings.dimensions, job.settings.seed, matrix.team, advance)
    progress.advance(n_steps - found.n_steps, 0)
    return found


def _rows(panels: Singles, first: int, last: int, weights: Singles) -> Singles:
    """Rows of a matrix that lies in panels, float32 (last - first, D), its columns weighted."""
    rows = panels[:, first:last].transpose(1, 0, 2).reshape(last - first, -1)
    return rows[:, : len(weights)] * weights
