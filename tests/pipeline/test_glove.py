"""The glove stage: one result for any number of threads, batches and kills, which is that of training in order; and what it refuses."""

import itertools
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from kernels.draws import Purpose, derive_key
from kernels.glove import N_TEAMS, biases_of, new_words, vectors_of
from pipeline.building import build_artifact
from pipeline.configuration import GloveSettings
from pipeline.corpus import Observed
from pipeline.declarations import GLOVE
from pipeline.errors import ConfigurationError, StoreError, TrainingError
from pipeline.events import Event, StepAdvanced, StepResumed, listening
from pipeline.matrices.cooccurrences import cells_file
from pipeline.plan import plan_step
from pipeline.stage import Step
from pipeline.storage.artifact import Artifact, Manifest
from pipeline.storage.keys import digest_of
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.schemas import COOCCURRENCES, ROUNDS, ROUNDS_FILE, VECTORS_FILE, VOCABULARY, VOCABULARY_FILE, vectors_schema
from pipeline.storage.store import Store
from pipeline.storage.tables import read_table, write_table
from pipeline.training import cell_files
from pipeline.training.tournament import rounds
from pipeline.workers import InPlace
from tests.conftest import ROOT
from tests.reference import glove as reference

N_WORDS, N_CELLS, N_EPOCHS = 300, 4_000, 3
TEAMS = np.array([0, 1, 3, 4, 7, 11, 15])  # that have any cells
SETTINGS = GloveSettings(dimensions=10, epochs=N_EPOCHS, seed=11, learning_rate=0.4, x_max=10.0)
Cell = tuple[int, int, float]


class Workers(InPlace):
    """The caller, with several threads, and a checkpoint whenever a batch is done."""

    checkpoint_s = 0.0

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads


def drawn_cells() -> list[Cell]:
    """Cells of a made-up language: the product of two frequencies, some noise; blocks of very different size, and one that is empty."""
    rng = np.random.default_rng(4)
    frequency = np.isin(np.arange(N_WORDS) % N_TEAMS, TEAMS) / np.arange(2, N_WORDS + 2)
    pairs = rng.choice(N_WORDS, (10 * N_CELLS, 2), p=frequency / frequency.sum())
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    pairs = pairs[(pairs[:, 0] % N_TEAMS != 3) | (pairs[:, 1] % N_TEAMS != 7)]
    rng.shuffle(pairs)
    pairs = pairs[:N_CELLS]
    counts = 1e4 * frequency[pairs].prod(axis=1) * np.exp(rng.normal(0, 0.5, len(pairs)))
    return [(int(i), int(j), float(x)) for (i, j), x in zip(pairs, counts, strict=True)]


CELLS = drawn_cells()


def committed(store: Store, stage: str, name: str, write: Callable[[Path], list]) -> Artifact:
    """An artifact as another stage would have made it; the name stands for its key."""
    key = digest_of(name)
    with store.building(stage, key) as directory:
        files = tuple(write(directory))
        now = datetime.now(UTC).isoformat()
        return store.commit(directory, Manifest(stage, 1, key, {}, {}, {}, files, (), {"tokens": 123_456}, {}, now, 0.0))


def cooccurrences(store: Store, cells: list[Cell], name: str = "cells") -> Artifact:
    """These cells, each in the file of its teams, in the order given; files of nothing are not there."""

    def write(directory: Path) -> Iterator:
        for p, q in itertools.product(range(N_TEAMS), repeat=2):
            here = [cell for cell in cells if (cell[0] % N_TEAMS, cell[1] % N_TEAMS) == (p, q)]
            if here:
                table = pa.table(dict(zip(COOCCURRENCES.names, zip(*here, strict=True), strict=True)), schema=COOCCURRENCES)
                yield write_table(directory, cells_file(p, q), COOCCURRENCES, table)

    return committed(store, "cooccurrence", name, write)


def vocabulary(store: Store) -> Artifact:
    columns = {"token": [f"w{n}" for n in range(N_WORDS)], "count": range(N_WORDS, 0, -1)}
    table = pa.table(columns, schema=VOCABULARY)
    return committed(store, "vocabulary", "words", lambda directory: [write_table(directory, VOCABULARY_FILE, VOCABULARY, table)])


def given(root: Path, cells: list[Cell] = CELLS) -> tuple[Store, dict[str, tuple[Artifact, ...]]]:
    """A store with the inputs of the stage."""
    store = Store(root)
    return store, {"cooccurrences": (cooccurrences(store, cells),), "vocabulary": (vocabulary(store),)}


def train(store: Store, inputs: dict[str, tuple[Artifact, ...]], n_threads: int = 2, settings: GloveSettings = SETTINGS) -> Artifact:
    """Build the artifact of the stage as a run would."""
    step = Step("train", GLOVE, settings, settings.model_dump(), {name: name for name in inputs})
    (wanted,) = plan_step(step, Observed((), {}), inputs, ReadThrough(store, None)).wanted
    assert wanted.found is None
    return build_artifact(store, step, wanted, inputs, Workers(n_threads))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What one thread makes of the cells."""
    return train(*given(tmp_path_factory.mktemp("glove")), n_threads=1)


def expected() -> tuple[reference.Parameters, list[float]]:
    """What training in order gives, in float64, and the mean losses of the epochs."""
    key = np.uint64(derive_key(np.uint64(SETTINGS.seed), np.uint64(Purpose.INITIAL)))
    words = new_words(N_WORDS, SETTINGS.dimensions, key)
    start = *vectors_of(words, 0, N_WORDS, SETTINGS.dimensions), *biases_of(words, N_WORDS, SETTINGS.dimensions)
    model = reference.Parameters(*(array.astype(np.float64) for array in start))
    adagrad = reference.AdaGrad(model.like(1.0), SETTINGS.learning_rate)
    losses = []
    for epoch in range(SETTINGS.epochs):
        cells = [
            cell
            for matches in rounds(SETTINGS.seed, epoch)
            for p, q in matches
            for block in dict.fromkeys([(p, q), (q, p)])
            for cell in CELLS
            if (cell[0] % N_TEAMS, cell[1] % N_TEAMS) == block
        ]
        assert sorted(cells) == sorted(CELLS)
        loss = reference.train(model, adagrad, cells, SETTINGS.x_max, SETTINGS.power)
        losses.append(loss / len(reference.both_orientations(cells)))
    return model, losses


def test_glove__gives_what_training_one_cell_after_the_other_gives(trained: Artifact) -> None:
    model, losses = expected()
    table = read_table(trained.path(VECTORS_FILE), vectors_schema(SETTINGS.dimensions))
    for name, wanted in (("input", model.w), ("output", model.u)):
        found = np.stack(table[name].to_numpy())
        assert np.abs(wanted).max() > 0.3  # they have moved far from where they were
        assert np.allclose(found, wanted, rtol=1e-3, atol=1e-4)
    assert table["token"].to_pylist() == [f"w{n}" for n in range(N_WORDS)]
    measured = read_table(trained.path(ROUNDS_FILE), ROUNDS).to_pylist()
    assert [row["loss"] for row in measured] == pytest.approx(losses, rel=1e-5)
    assert losses[-1] < losses[0] / 1.5
    measures, n_examples = trained.manifest.measures, len(reference.both_orientations(CELLS))
    assert [(row["epoch"], row["centres"], row["pairs"]) for row in measured] == [(epoch, N_CELLS, n_examples) for epoch in range(N_EPOCHS)]
    assert (measures["pairs"], measures["threads"]) == (N_EPOCHS * n_examples, 1)
    assert measures["loss"] == pytest.approx(sum(losses) / N_EPOCHS, rel=1e-5)
    assert measures["loss_of_last_epoch"] == pytest.approx(losses[-1], rel=1e-5)
    (tally,) = trained.manifest.tallies
    assert tally.n_in == tally.n_kept == N_EPOCHS * N_CELLS


@pytest.mark.parametrize("n_threads", [2, 3, 4, 20])
def test_glove__gives_the_same_bytes_for_any_number_of_threads_and_cells_at_a_time(
    n_threads: int, trained: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_files, "BATCH", 7 * n_threads)
    again = train(*given(tmp_path), n_threads=n_threads)
    assert again.manifest.measures["threads"] == min(n_threads, 8)
    assert again.manifest.digest == trained.manifest.digest


def test_glove__depends_on_its_seed(trained: Artifact, tmp_path: Path) -> None:
    other = train(*given(tmp_path), settings=SETTINGS.model_copy(update={"seed": 12}))
    assert other.manifest.digest != trained.manifest.digest
    assert other.manifest.measures["loss"] == pytest.approx(trained.manifest.measures["loss"], rel=0.1)


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.events import StepAdvanced, listening
from pipeline.training import cell_files
from tests.pipeline.test_glove import given, train

root = Path({root!r})

def kill(event):
    if isinstance(event, StepAdvanced) and event.n_done > {n_cells} and any(root.glob("checkpoints/*/*/state.json")):
        os.kill(os.getpid(), signal.SIGKILL)

cell_files.BATCH = 4
with listening(kill):
    train(*given(root), n_threads=2)
"""


def test_glove__killed_and_resumed_gives_the_same_bytes(trained: Artifact, tmp_path: Path) -> None:
    program = KILLED.format(root=str(tmp_path), n_cells=N_CELLS // 2)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    events: list[Event] = []
    with listening(events.append):
        again = train(*given(tmp_path), n_threads=3)
    (resumed,) = (event for event in events if isinstance(event, StepResumed))
    assert 0 < resumed.n_done < resumed.n_total == N_EPOCHS * N_CELLS
    assert again.manifest.digest == trained.manifest.digest


def test_glove__interrupted_stops_with_a_checkpoint_and_goes_on(trained: Artifact, tmp_path: Path) -> None:
    inputs = given(tmp_path)
    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if len(seen) == 1:
            signal.raise_signal(signal.SIGTERM)

    with listening(interrupt), pytest.raises(KeyboardInterrupt):
        train(*inputs)
    (advanced,) = (event for event in seen if isinstance(event, StepAdvanced))
    with listening(interrupt):
        assert train(*inputs).manifest.digest == trained.manifest.digest
    (resumed,) = (event for event in seen if isinstance(event, StepResumed))
    assert 0 < advanced.n_done <= resumed.n_done < N_CELLS
    figures = [event.figures for event in seen if isinstance(event, StepAdvanced)][-1]
    assert figures["loss"] == pytest.approx(trained.manifest.measures["loss_of_last_epoch"])
    assert figures["words"] == pytest.approx(N_EPOCHS * 123_456)
    assert figures["left_s"] == 0


def test_glove__refuses_an_artifact_without_cells(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing to train on") as failure:
        train(*given(tmp_path, []))
    assert "300 words" in str(failure.value)


@pytest.mark.parametrize("cell", [(1, N_WORDS, 2.0), (0, 16, math.nan), (0, 1, 0.0)])
def test_glove__refuses_cells_that_cannot_be(cell: Cell, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be trained on") as failure:
        train(*given(tmp_path, [*CELLS[:50], cell]))
    assert f"({cell[0]}, {cell[1]}), count {cell[2]:g}" in str(failure.value)


def test_glove__refuses_a_file_that_has_not_the_cells_that_its_manifest_says(tmp_path: Path) -> None:
    store, inputs = given(tmp_path)
    other = cooccurrences(store, CELLS[: N_CELLS // 2], "half")
    name = inputs["cooccurrences"][0].files()[0].name
    for source, target in ((other, inputs["cooccurrences"][0]), (inputs["cooccurrences"][0], other)):
        mixed = Artifact(tmp_path / "mixed", target.manifest)
        mixed.directory.mkdir(exist_ok=True)
        for file in target.files():
            (mixed.directory / file.name).write_bytes((source if file.name == name else target).path(file.name).read_bytes())
        with pytest.raises(StoreError, match="cannot be trained on") as failure:
            train(store, inputs | {"cooccurrences": (mixed,)})
        assert name in str(failure.value)


def test_glove__stops_when_it_diverges(tmp_path: Path) -> None:
    cells = [(i, j, 1e300 if (i + j) % 2 else 1e-300) for i in range(40) for j in range(i, 40)]
    settings = SETTINGS.model_copy(update={"learning_rate": 1.0, "power": 0.0, "epochs": 50})
    with pytest.raises(TrainingError, match="diverged") as failure:
        train(*given(tmp_path, cells), settings=settings)
    assert "glove.learning_rate (it is 1)" in str(failure.value)
