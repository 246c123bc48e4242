"""The co-occurrence stage and what reads it: against the reference, and the same bytes however the work is cut up and shared out."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from kernels.cooccurrence import GRID
from pipeline.building import build_artifact
from pipeline.configuration import Cluster, Cooccurrence
from pipeline.declarations import COOCCURRENCE
from pipeline.errors import ConfigurationError, StoreError, UsageError
from pipeline.events import Event, StepAdvanced, listening
from pipeline.matrices.cooccurrences import Cells, cells_file, count_cells, read_cells, stream_cells
from pipeline.plan import plan_step
from pipeline.run import Run
from pipeline.stage import Job, Step
from pipeline.stages import cooccurrence
from pipeline.storage.artifact import Artifact
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.schemas import COOCCURRENCES, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import read_table
from pipeline.words.text import shards_of
from pipeline.workers import DaskWorkers, InPlace, Workers
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk
from tests.reference import cooccurrence as reference

BLOCKS = [(p, q) for p in range(GRID) for q in range(GRID)]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run as far as its vocabulary, over several shards. Its store must stay as it is."""
    directory = tmp_path_factory.mktemp("cooccurrence")
    (directory / "text.txt").write_text("".join(sample_lines(90)) + "the\n\nthe\n", encoding="utf-8")
    configuration = configured(directory / "text.txt", corpus__shard_mb=0.02, tokenize__split_sentences=True)
    made = walk(configuration, directory / "store", InPlace(), "vocabulary")
    assert len(made.made["tokenize"]) > 2
    return made


def step_of(**settings: Any) -> Step:
    section = Cooccurrence(**settings)
    return Step("cooccurrence", COOCCURRENCE, section, section.model_dump(), {"text": "tokenize", "vocabulary": "vocabulary"})


def build(run: Run, store: Path, **settings: Any) -> Artifact:
    """The artifact in a store of its own, from the text and the vocabulary of a run."""
    step = step_of(**settings)
    inputs = {name: run.made[earlier] for name, earlier in step.reads.items()}
    (wanted,) = plan_step(step, run.observed, inputs, ReadThrough(Store(store), None)).wanted
    return build_artifact(Store(store), step, wanted, inputs, InPlace())


def files_of(run: Run, directory: Path, workers: Workers | None = None, **settings: Any) -> dict[str, str]:
    """The digests of the files that a build leaves in an empty directory, without waiting for the disk."""
    step = step_of(**settings)
    inputs = {name: run.made[earlier] for name, earlier in step.reads.items()}
    directory.mkdir(exist_ok=True)
    checkpoints = Store(directory).checkpoints("none", math.inf)
    job = Job(step.name, directory, step.settings, step.parameters, inputs, None, workers or InPlace(), checkpoints)
    files = {file.name: file.sha256 for file in cooccurrence.build(job).files}
    assert {path.name for path in directory.iterdir()} == files.keys()
    return files


@pytest.fixture(scope="module")
def built(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The artifact that others are compared with: window 5, harmonic, no workers at all."""
    return build(run, tmp_path_factory.mktemp("built"), window=5)


def digests(artifact: Artifact) -> dict[str, str]:
    return {file.name: file.sha256 for file in artifact.files()}


def sentences_of(run: Run) -> tuple[list[list[int]], dict[str, int]]:
    """The kept words of a run's text by sentence, and the fates of all."""
    words = read_table(run.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)["token"].to_pylist()
    vocabulary = {token: word for word, token in enumerate(words)}
    sentences: list[list[str]] = []
    for shard in shards_of(run.made["tokenize"]):
        tokens = shard.lexicon()["token"].to_pylist()
        for text in shard.sentences():
            sentences += [[tokens[code] for code in text.part(s, s + 1).codes] for s in range(text.n_sentences)]
    names = sorted({token for sentence in sentences for token in sentence})
    code = {name: number for number, name in enumerate(names)}
    ids = [vocabulary.get(name, -1) for name in names]
    return reference.keep_words([[code[token] for token in sentence] for sentence in sentences], ids)


def rows_of(cells: Cells) -> list[tuple[int, int, float]]:
    return list(zip(cells.rows.tolist(), cells.columns.tolist(), cells.counts.tolist(), strict=True))


@pytest.mark.parametrize(("window", "weighting"), [(3, "flat"), (5, "harmonic"), (40, "harmonic")])
def test_cooccurrence__gives_the_cells_of_the_reference_in_its_order(window: int, weighting: str, run: Run, tmp_path: Path) -> None:
    artifact = build(run, tmp_path, window=window, weighting=weighting)
    assert {path.name for path in artifact.directory.iterdir()} == digests(artifact).keys() | {"manifest.json"}
    sentences, fates = sentences_of(run)
    matrix = reference.count_cooccurrences(sentences, window, harmonic=weighting == "harmonic")
    expected = reference.cells_by_file(matrix, GRID)
    assert {file.name for file in artifact.manifest.files} == {cells_file(*block) for block in expected}
    for block, cells in expected.items():
        found = rows_of(read_cells(artifact, *block))
        assert [cell[:2] for cell in found] == cells
        # Up to window 22 the sums are exact and one division rounds them; beyond, see `distance_units`.
        tolerance = 0 if window <= 22 else 640 * fates["n_in"] / 2**62
        assert [cell[2] for cell in found] == pytest.approx([float(matrix[cell]) for cell in cells], rel=tolerance, abs=0)
    tokens, weight = artifact.manifest.tallies
    assert (tokens.unit, tokens.n_in, tokens.n_kept) == ("tokens", fates["n_in"], fates["n_kept"])
    assert dict(tokens.dropped) == {"below min_count": fates["n_rare"], "alone in a sentence": fates["n_lonely"]}
    assert min(tokens.dropped.values()) > 0
    assert weight.n_in == weight.n_kept
    measures = artifact.manifest.measures
    assert (measures["cells"], measures["tokens"]) == (sum(map(len, expected.values())), fates["n_in"])
    assert measures["weight"] == pytest.approx(float(sum(matrix.values())), rel=1e-12)


# --- the same bytes


@pytest.mark.parametrize(
    ("sentences_a_part", "cells_a_run", "cells_a_bucket"),
    [(3, 10**6, 10**6), (10**6, 3_000, 10**6), (10**6, 10**6, 20_000), (50, 5_000, 1_000), (100, 10**6, 100)],
)
def test_cooccurrence__gives_the_same_bytes_for_any_parts_runs_and_buckets(
    sentences_a_part: int,
    cells_a_run: int,
    cells_a_bucket: int,
    run: Run,
    built: Artifact,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cooccurrence, "SENTENCES_A_PART", sentences_a_part)
    monkeypatch.setattr(cooccurrence, "CELLS_A_RUN", cells_a_run)
    monkeypatch.setattr(cooccurrence, "CELLS_A_BUCKET", cells_a_bucket)
    assert files_of(run, tmp_path, window=5) == digests(built)


@pytest.mark.parametrize("cells_a_bucket", [20_000, 100])
def test_cooccurrence__cuts_the_same_row_groups_from_any_buckets(
    cells_a_bucket: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "CELLS_A_GROUP", 40)
    whole = files_of(run, tmp_path / "whole", window=5)
    monkeypatch.setattr(cooccurrence, "CELLS_A_BUCKET", cells_a_bucket)
    assert files_of(run, tmp_path / "cut", window=5) == whole
    metadata = pq.read_metadata(tmp_path / "cut" / cells_file(0, 1))
    assert {metadata.row_group(number).num_rows for number in range(metadata.num_row_groups - 1)} == {40}


@pytest.mark.parametrize("cluster", [{"threads": 3}, {"processes": 2}])
def test_cooccurrence__gives_the_same_bytes_with_workers(
    cluster: dict[str, int], run: Run, built: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "SENTENCES_A_PART", 40)
    monkeypatch.setattr(cooccurrence, "CELLS_A_BUCKET", 20_000)
    with DaskWorkers(Cluster(**cluster)) as workers:
        assert files_of(run, tmp_path, workers, window=5) == digests(built)


def test_cooccurrence__gives_the_same_bytes_from_text_in_other_shards(built: Artifact, run: Run, tmp_path: Path) -> None:
    configuration = configured(*map(Path, run.configuration.corpus.paths), corpus__shard_mb=4, tokenize__split_sentences=True)
    one = walk(configuration, tmp_path / "one", InPlace(), "vocabulary")
    assert len(one.made["tokenize"]) == 1
    assert files_of(one, tmp_path / "built", window=5) == digests(built)


# --- bounds


class Watching(InPlace):
    """Notes how many tasks there were, and between counting and merging the cells of each run by bucket."""

    def __init__(self, directory: Path, n_buckets: int) -> None:
        self.directory, self.n_buckets = directory, n_buckets
        self.n_tasks: list[int] = []
        self.runs: list[list[int]] = []

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any], None]) -> list[Any]:
        results = super().map(function, items, on_done)
        self.n_tasks.append(len(items))
        if not self.runs:
            for path in self.directory.glob("scratch/runs/*"):
                borders = np.fromfile(path, np.int64, self.n_buckets + 1)
                assert path.stat().st_size == borders.nbytes + 16 * borders[-1]
                self.runs.append(np.diff(borders).tolist())
        return results


@pytest.mark.parametrize("cells_a_bucket", [2_000, 100])
def test_cooccurrence__spills_and_merges_within_its_budgets(
    cells_a_bucket: int, run: Run, built: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cooccurrence, "SENTENCES_A_PART", 200)
    monkeypatch.setattr(cooccurrence, "CELLS_A_RUN", 3_000)
    monkeypatch.setattr(cooccurrence, "CELLS_A_BUCKET", cells_a_bucket)
    n_buckets = 1 << math.ceil(math.log2(5 * built.manifest.measures["tokens"] / cells_a_bucket))
    assert (n_buckets > GRID * GRID) == (cells_a_bucket == 100)
    watching = Watching(tmp_path, n_buckets)
    assert files_of(run, tmp_path, watching, window=5) == digests(built)
    _, n_parts, n_merges = watching.n_tasks  # words are looked up first
    assert n_merges == min(n_buckets, GRID * GRID)
    assert len(watching.runs) > 2 * n_parts > 4
    assert max(sum(buckets) for buckets in watching.runs) <= 3_000
    # The words and chance make buckets larger and smaller; all together they would have room for every pair of positions.
    in_bucket = [sum(cells) for cells in zip(*watching.runs, strict=True)]
    assert max(in_bucket) <= cells_a_bucket * 1.25
    assert sum(in_bucket) > built.manifest.measures["cells"]  # cells that are in several runs


def test_cooccurrence__tells_how_far_it_is(run: Run, tmp_path: Path) -> None:
    events: list[Event] = []
    with listening(events.append):
        artifact = build(run, tmp_path, window=2)
    last = [event for event in events if isinstance(event, StepAdvanced)][-1]
    assert (last.step, last.n_done) == ("cooccurrence", last.n_total)
    assert last.figures["words"] == artifact.manifest.measures["tokens"]


@pytest.mark.parametrize("text", ["a\nb\n\n" * 3, "a rare1\nrare2 a\n b rare3\n b rare4\n"])
def test_cooccurrence__refuses_a_text_that_has_no_two_words_side_by_side(text: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(text)
    run = walk(configured(tmp_path / "text.txt", vocabulary__min_count=2), tmp_path / "store", InPlace(), "vocabulary")
    with pytest.raises(ConfigurationError, match="no sentence keeps two words") as caught:
        build(run, tmp_path / "store")
    assert "vocabulary.min_count" in caught.value.details["where"]
    assert Store(tmp_path / "store").artifacts("cooccurrence") == []


# --- reading


def test_read_cells__gives_every_cell_of_its_block_and_no_other(built: Artifact) -> None:
    n_cells = 0
    for p, q in BLOCKS:
        cells = read_cells(built, p, q)
        assert [column.dtype for column in (cells.rows, cells.columns, cells.counts)] == [np.int32, np.int32, np.float64]
        assert (cells.rows % GRID == p).all()
        assert (cells.columns % GRID == q).all()
        assert (cells.rows <= cells.columns).all()
        assert len(cells.rows) == count_cells(built, p, q)
        n_cells += len(cells.rows)
    assert n_cells == built.manifest.measures["cells"] > 10_000


@pytest.mark.parametrize("n_cells", [1, 17, 10**9])
def test_stream_cells__gives_the_same_cells_in_batches(n_cells: int, built: Artifact) -> None:
    whole = rows_of(read_cells(built, 1, 2))
    batches = [rows_of(batch) for batch in stream_cells(built, 1, 2, n_cells)]
    assert [cell for batch in batches for cell in batch] == whole
    assert [len(batch) for batch in batches[:-1]] == [n_cells] * (math.ceil(len(whole) / n_cells) - 1)


def test_read_cells__of_a_block_without_cells_is_empty(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a b a\n" * 3)
    run = walk(configured(tmp_path / "text.txt", vocabulary__min_count=1), tmp_path / "store", InPlace(), "vocabulary")
    artifact = build(run, tmp_path / "store", window=2)
    assert [file.name for file in artifact.files()] == [cells_file(0, 0), cells_file(0, 1)]
    assert rows_of(read_cells(artifact, 0, 0)) == [(0, 0, 3.0)]  # "a" and "a" at distance 2, in both directions, in 3 sentences
    assert rows_of(read_cells(artifact, 0, 1)) == [(0, 1, 6.0)]
    assert rows_of(read_cells(artifact, 1, 1)) == []
    assert list(stream_cells(artifact, 1, 1)) == []
    assert count_cells(artifact, 1, 1) == 0


@pytest.mark.parametrize("block", [(-1, 0), (0, GRID)])
def test_read_cells__knows_only_the_blocks_that_there_are(block: tuple[int, int], built: Artifact) -> None:
    for read in (read_cells, count_cells, lambda *arguments: list(stream_cells(*arguments))):
        with pytest.raises(UsageError, match="no such block"):
            read(built, *block)


def test_read_cells__finds_a_file_that_is_gone_or_has_a_flipped_byte(built: Artifact, tmp_path: Path) -> None:
    damaged = Artifact(tmp_path, built.manifest)
    for read in (read_cells, count_cells, lambda *arguments: list(stream_cells(*arguments))):
        with pytest.raises(StoreError, match="cannot be read"):
            read(damaged, 3, 4)
    content = bytearray(built.path(cells_file(3, 4)).read_bytes())
    content[len(content) // 4] ^= 1
    (tmp_path / cells_file(3, 4)).write_bytes(content)
    with pytest.raises(StoreError, match="cannot be read"):
        read_cells(damaged, 3, 4)


def test_cells_files__have_the_declared_schema(built: Artifact) -> None:
    assert pq.read_schema(built.path(cells_file(0, 0))).equals(COOCCURRENCES, check_metadata=True)
