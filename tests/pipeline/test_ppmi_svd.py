"""The ppmi_svd stage: its matrix and vectors against the slow reference, what its settings change, and what it refuses."""

import os
import signal
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.ppmi import LEAST_PMI
from pipeline.configuration import Ppmi, PpmiSettings
from pipeline.declarations import PPMI_SVD
from pipeline.errors import ConfigurationError, StoreError
from pipeline.events import Event, StepAdvanced, listening
from pipeline.matrices.panels import Team
from pipeline.matrices.ppmi import PASSES, PpmiMatrix, project_bytes, read_matrix
from pipeline.stage import Job, Outcome
from pipeline.storage.artifact import Artifact, FileRecord, Manifest
from pipeline.storage.checkpoints import Checkpoints
from pipeline.storage.schemas import COOCCURRENCES, VECTORS_FILE, VOCABULARY, VOCABULARY_FILE, vectors_schema
from pipeline.storage.tables import read_table, write_table
from pipeline.workers import InPlace
from tests.reference import ppmi as reference

GRID = 4  # of files: 16 in the stage that writes them, where every test would take seconds
N_WORDS = 90


class Workers(InPlace):
    """The caller, with several threads."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads


def random_counts(n_words: int, seed: int, density: float = 0.3) -> np.ndarray:
    """Symmetric counts of words whose frequencies fall, some pairs never seen."""
    random = np.random.default_rng(seed)
    frequencies = 1.0 / np.arange(1, n_words + 1)
    counts = np.triu(random.gamma(0.5, 200 * np.outer(frequencies, frequencies)) * (random.random((n_words, n_words)) < density))
    return counts + np.triu(counts, 1).T


def write_cells(directory: Path, counts: np.ndarray) -> list[FileRecord]:
    """The files of the co-occurrence stage, in any order inside."""
    rows, columns = np.nonzero(np.triu(counts))
    order = np.random.default_rng(0).permutation(len(rows))
    rows, columns = rows[order], columns[order]
    records = []
    for p, q in sorted(set(zip((rows % GRID).tolist(), (columns % GRID).tolist(), strict=True))):
        here = (rows % GRID == p) & (columns % GRID == q)
        cells = [rows[here].astype(np.int32), columns[here].astype(np.int32), counts[rows[here], columns[here]]]
        table = pa.table(cells, schema=COOCCURRENCES)
        records.append(write_table(directory, f"cells-{p:02d}-{q:02d}.parquet", COOCCURRENCES, table))
    return records


def artifact(directory: Path, files: list[FileRecord]) -> Artifact:
    return Artifact(directory, Manifest("made here", 1, "key", {}, {}, {}, tuple(files), (), {}, {}, "", 0.0))


def job_of(directory: Path, counts: np.ndarray, n_threads: int = 1, **changes: object) -> Job[PpmiSettings]:
    words = pa.table([[f"w{i}" for i in range(len(counts))], list(range(len(counts) + 5, 5, -1))], schema=VOCABULARY)
    vocabulary = artifact(directory / "vocabulary", [write_table(directory / "vocabulary", VOCABULARY_FILE, VOCABULARY, words)])
    cells = artifact(directory / "cells", write_cells(directory / "cells", counts))
    made = directory / f"made-{len(list(directory.iterdir()))}"
    made.mkdir()
    chosen = PpmiSettings(**{"dimensions": 10} | changes)
    inputs = {"cooccurrences": (cells,), "vocabulary": (vocabulary,)}
    workers = Workers(n_threads)
    return Job("train", made, chosen, chosen.model_dump(), inputs, None, workers, Checkpoints(directory / "checkpoints", 1e9))


def built(job: Job[PpmiSettings]) -> tuple[Outcome, np.ndarray, np.ndarray]:
    """The outcome, input vectors and output vectors of a build."""
    outcome = PPMI_SVD.build(job)
    table = read_table(job.directory / VECTORS_FILE, vectors_schema(job.settings.dimensions))
    sides = [np.stack(table[name].to_numpy()).astype(np.float64) for name in ("input", "output")]
    return outcome, *sides


def matrix_of(directory: Path, counts: np.ndarray, chosen: Ppmi) -> PpmiMatrix:
    write_cells(directory, counts)
    with Team(2) as team:
        return read_matrix(sorted(directory.iterdir()), len(counts), chosen, team, lambda: None)


def dense(matrix: PpmiMatrix) -> np.ndarray:
    """The matrix as an array, its negative entries as zeros."""
    found = np.zeros((matrix.n_rows, matrix.n_rows))
    starts, columns, values = matrix.entries
    found[np.repeat(np.arange(matrix.n_rows), np.diff(starts)), columns] = np.maximum(values, 0)
    return found


@settings(max_examples=12)
@given(st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(1, 10), st.floats(0.1, 2))
def test_read_matrix__is_the_reference(tmp_path_factory, n_words: int, seed: int, shift: float, power: float) -> None:
    counts = random_counts(n_words, seed)
    if not counts.any():
        return
    matrix = matrix_of(tmp_path_factory.mktemp("cells"), counts, Ppmi(shift=shift, context_power=power))
    wanted = reference.positive_pmi(counts, shift, power)
    np.testing.assert_allclose(dense(matrix), wanted, rtol=1e-6, atol=1e-6)
    assert matrix.n_counts == np.count_nonzero(counts)
    assert matrix.n_positive == np.count_nonzero(wanted > LEAST_PMI)


def test_read_matrix__knows_less_of_what_is_shifted_and_more_of_frequent_contexts_when_they_are_not_smoothed(tmp_path: Path) -> None:
    counts = random_counts(N_WORDS, 1)
    plain, shifted, smoothed = (
        dense(matrix_of(tmp_path / str(i), counts, Ppmi(shift=shift, context_power=power)))
        for i, (shift, power) in enumerate([(1, 1.0), (5, 1.0), (1, 0.75)])
    )
    np.testing.assert_allclose(plain, plain.T, atol=1e-6)
    np.testing.assert_allclose(shifted, np.maximum(0, plain - np.log(5)), atol=2e-6)
    # Smoothing makes rare contexts less surprising, and frequent ones more.
    by_frequency = np.argsort(counts.sum(axis=0))
    change = (smoothed - plain)[:, by_frequency]
    assert change[:, :20].max() <= 1e-6
    assert change[:, :20].min() < -0.1
    assert change[:, -5:].min() >= -1e-6
    assert change[:, -5:].max() > 0.1


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("context_power", [0.75, 1.0])
def test_ppmi_svd__gives_the_vectors_of_the_reference(power: float, context_power: float, tmp_path: Path) -> None:
    counts = random_counts(N_WORDS, 26)
    matrix = reference.positive_pmi(counts, 2.0, context_power)
    wanted = reference.word_vectors(matrix, 10, power)
    job = job_of(tmp_path, counts, shift=2.0, context_power=context_power, eigenvalue_power=power)
    outcome, *found = built(job)
    _, values, _ = reference.truncated_svd(matrix, 11)
    assert (values[:-1] / values[1:]).min() > 1.01  # so that single vectors are what they are
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3 * np.abs(theirs).max())
        np.testing.assert_allclose(np.linalg.norm(mine, axis=0), values[:-1] ** power, rtol=1e-3)
    measures = outcome.measures
    assert measures["largest_singular_value"] == pytest.approx(values[0], rel=1e-3)
    assert measures["smallest_singular_value"] == pytest.approx(values[9], rel=1e-3)
    assert measures["nonzeros"] == np.count_nonzero(matrix) == outcome.tallies[0].n_kept
    assert measures["density"] == measures["nonzeros"] / N_WORDS**2
    assert outcome.tallies[0].n_in == np.count_nonzero(counts)


def test_ppmi_svd__separates_two_topics(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    topic = np.arange(60) % 2
    expected = np.where(topic[:, None] == topic, 8.0, 0.5)
    counts = np.triu(random.poisson(expected)).astype(np.float64)
    _, vectors, _ = built(job_of(tmp_path, counts + np.triu(counts, 1).T, dimensions=2))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    same = topic[:, None] == topic
    assert cosines[same].mean() > 0.8
    assert cosines[~same].mean() < 0.2


def test_ppmi_svd__gives_the_same_bytes_for_any_number_of_threads(tmp_path: Path) -> None:
    counts = random_counts(400, 4)
    files = set()
    for n_threads in (1, 2, 4):
        job = job_of(tmp_path, counts, n_threads, dimensions=40)
        PPMI_SVD.build(job)
        files.add((job.directory / VECTORS_FILE).read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("n_words", [2, 3, 33])
def test_ppmi_svd__takes_all_dimensions_but_one(n_words: int, tmp_path: Path) -> None:
    counts = random_counts(n_words, 5, density=1.0)
    job = job_of(tmp_path, counts, dimensions=n_words - 1, context_power=1.0, eigenvalue_power=1.0)
    _, vectors, _ = built(job)
    _, values, _ = reference.truncated_svd(reference.positive_pmi(counts, 1.0, 1.0), n_words - 1)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), values, atol=2e-5 * values[0])


@pytest.mark.parametrize("dimensions", [20, 21])
def test_ppmi_svd__refuses_as_many_dimensions_as_words_before_it_reads_a_count(dimensions: int, tmp_path: Path) -> None:
    job = job_of(tmp_path, random_counts(20, 6), dimensions=dimensions)
    for path in (tmp_path / "cells").iterdir():
        path.write_bytes(b"")
    with pytest.raises(ConfigurationError, match="as many dimensions") as failure:
        PPMI_SVD.build(job)
    assert "at most 19 dimensions" in str(failure.value)


def test_ppmi_svd__says_so_when_the_shift_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="than by chance") as failure:
        PPMI_SVD.build(job_of(tmp_path, random_counts(20, 7), shift=1e9))
    assert "ppmi.shift" in str(failure.value)


def test_ppmi_svd__finds_counts_of_another_vocabulary(tmp_path: Path) -> None:
    job = job_of(tmp_path, random_counts(20, 8), dimensions=5)
    write_table(tmp_path / "vocabulary", VOCABULARY_FILE, VOCABULARY, pa.table([["a"] * 19, [1] * 19], schema=VOCABULARY))
    with pytest.raises(StoreError, match="vocabulary has not") as failure:
        PPMI_SVD.build(job)
    assert "cells-" in str(failure.value)


def test_ppmi_svd__tells_how_far_it_is_and_stops_when_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.progress.SECONDS_BETWEEN_EVENTS", 0.0)
    events: list[Event] = []
    with listening(events.append):
        PPMI_SVD.build(job_of(tmp_path, random_counts(N_WORDS, 9)))
    files, steps = ([event for event in events if isinstance(event, StepAdvanced) and event.unit == unit] for unit in ("files", "steps"))
    n_files = len(list((tmp_path / "cells").iterdir()))
    assert files[-1].n_done == files[-1].n_total == PASSES * n_files
    assert steps[-1].n_done == steps[-1].n_total
    assert len(files) + len(steps) == len(events)
    for unit in ("files", "steps"):
        job = job_of(tmp_path, random_counts(N_WORDS, 9))

        def interrupt(event: Event, unit: str = unit) -> None:
            if isinstance(event, StepAdvanced) and event.unit == unit and event.n_done < event.n_total:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt), listening(interrupt):
            PPMI_SVD.build(job)
        assert not list(job.directory.iterdir())


def test_project_bytes__is_enough(tmp_path: Path) -> None:
    counts = random_counts(1500, 10, density=0.02)
    job = job_of(tmp_path, counts, dimensions=50)
    PPMI_SVD.build(job)  # compiles
    job.directory.joinpath(VECTORS_FILE).unlink()
    tracemalloc.start()
    PPMI_SVD.build(job)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    projected = project_bytes(np.count_nonzero(np.triu(counts)), 1500, 50)
    assert 0.3 * projected < peak < projected + 30_000_000
