"""Real models trained by real threads with the full softmax, from files of pairs: against the slow reference, and against counts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from kernels.pairs import expand_pairs
from kernels.softmax import column_borders
from kernels.text import Text
from pipeline.choices import CbowHidden
from pipeline.configuration import Train
from pipeline.events import Event, RunWarned, listening
from pipeline.storage.schemas import PAIRS, list_of
from pipeline.storage.tables import list_array, write_table
from pipeline.training.model import Model
from pipeline.training.pair_files import PairFile, PairReader, cut_blocks
from pipeline.training.softmax import LARGEST_SCORES, FullSoftmax, SingleThreadedBlas, batch_centres, flops, memory_bytes
from tests.reference import softmax as reference

V = 900
COUNTS = np.floor(20_000 / np.arange(1.0, V + 1)).astype(np.int64)
KINDS = [None, *CbowHidden]


def write_text(directory: Path, tokens: npt.NDArray[np.int32], seed: int, n_epochs: int = 1, first_centre: int = 0) -> list[PairFile]:
    """A file of these words in sentences of 2 to 40 with random windows, that is read so often."""
    rng = np.random.default_rng(seed)
    n = len(tokens)
    inside = np.cumsum(rng.integers(2, 41, n))
    offsets = np.concatenate([[0], inside[inside < n - 1], [n]]) if n else np.zeros(1, np.int64)
    radius = rng.integers(1, 4, n).astype(np.uint8)
    columns = [list_array(tokens, offsets, list_of(pa.int32())), list_array(radius, offsets, list_of(pa.uint8()))]
    write_table(directory, f"{seed}.parquet", PAIRS, pa.table(columns, schema=PAIRS))
    return [PairFile(directory / f"{seed}.parquet", epoch, first_centre + epoch * n, n) for epoch in range(n_epochs)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[PairFile]:
    """Three files, one of them empty."""
    directory, rng, made = tmp_path_factory.mktemp("pairs"), np.random.default_rng(1), []
    for seed, n_centres in enumerate((700, 0, 450)):
        tokens = rng.choice(V, n_centres, p=COUNTS / COUNTS.sum()).astype(np.int32)
        made += write_text(directory, tokens, seed, first_centre=sum(file.n_centres for file in made))
    return made


def new_softmax(
    files: list[PairFile],
    kind: CbowHidden | None,
    n_threads: int,
    *,
    counts: npt.NDArray[np.int64] = COUNTS,
    n_batch: int = 64,
    **settings: object,
) -> FullSoftmax:
    model = Model(Train(**({"dimensions": 20, "learning_rate": 0.05} | settings)), counts, sum(file.n_centres for file in files))
    model.output[:, : model.settings.dimensions] = model.input[::-1, : model.settings.dimensions]  # not zeros, so that all gradients count
    return FullSoftmax(model, kind, files, n_threads, n_batch)


def train(
    trainer: FullSoftmax, files: list[PairFile], first: int = 0, last: int | None = None, n_batches: int = 2
) -> npt.NDArray[np.float64]:
    """Train the blocks first..last-1, of so many batches each; their tallies."""
    with trainer:
        return np.array([trainer.train(block) for block in list(cut_blocks(files, trainer.round_centres, n_batches))[first:last]])


def bytes_of(trainer: FullSoftmax) -> list[bytes]:
    return [trainer.model.input.tobytes(), trainer.model.output.tobytes()]


@pytest.mark.parametrize("kind", KINDS)
def test_full_softmax__equals_the_reference(files: list[PairFile], kind: CbowHidden | None) -> None:
    trainer = new_softmax(files, kind, 2)
    wanted = [matrix[:, :20].astype(np.float64) for matrix in (trainer.model.input, trainer.model.output)]
    tallies = train(trainer, files)
    expected = []
    with PairReader(files) as reader:
        for block in cut_blocks(files, 64, 2):
            text = reader.text(block.file)
            borders = [*range(block.first, block.last, 64), block.last]
            expected.append(reference.train(text, borders, *wanted, trainer.model.rates, kind and kind.value))
    np.testing.assert_allclose(tallies[:, 0], [loss for loss, _, _ in expected], rtol=1e-6)
    assert tallies[:, 1:].tolist() == [[examples, centres] for _, examples, centres in expected]
    for matrix, truth in zip(trainer.vectors(Path("unused")), wanted, strict=True):
        np.testing.assert_allclose(matrix[:, :20], truth, rtol=1e-4, atol=1e-6)
        assert not matrix[:, 20:].any()


@pytest.mark.parametrize("kind", [None, CbowHidden.MEAN])
def test_full_softmax__gives_the_same_bytes_for_any_number_of_threads(files: list[PairFile], kind: CbowHidden | None) -> None:
    assert len(column_borders(V)) - 1 == 4
    wanted = new_softmax(files, kind, 1)
    tallies = train(wanted, files)
    assert tallies[:, 2].sum() == 1150
    for n_threads in (2, 3, 4, 9):
        trainer = new_softmax(files, kind, n_threads)
        assert train(trainer, files).tobytes() == tallies.tobytes()
        assert bytes_of(trainer) == bytes_of(wanted)


def test_full_softmax__goes_on_from_a_saved_model_to_the_same_bytes(files: list[PairFile], tmp_path: Path) -> None:
    """After any block, and with another number of threads."""
    wanted = new_softmax(files, None, 2)
    tallies = train(wanted, files)
    assert len(tallies) == 11
    for n_done in (0, 3, 6, 9):
        begun, resumed = new_softmax(files, None, 1), new_softmax(files, None, 2)
        train(begun, files, 0, n_done)
        begun.save(tmp_path)
        resumed.load(tmp_path)
        assert train(resumed, files, n_done).tobytes() == tallies[n_done:].tobytes()
        assert bytes_of(resumed) == bytes_of(wanted)


def test_full_softmax__ends_batches_with_blocks(files: list[PairFile]) -> None:
    """Blocks of any number of whole batches train alike."""
    one, four = new_softmax(files, None, 1), new_softmax(files, None, 1)
    np.testing.assert_allclose(train(one, files, n_batches=1).sum(axis=0), train(four, files, n_batches=4).sum(axis=0), rtol=1e-12)
    assert bytes_of(one) == bytes_of(four)


@pytest.fixture
def text_of_six_words(tmp_path: Path) -> Iterator[tuple[list[PairFile], Text]]:
    """4,000 words, each drawn by what the one before it was, to be read 200 times."""
    rng = np.random.default_rng(2)
    follows = rng.dirichlet(np.full(6, 0.7), 6).cumsum(axis=1)
    tokens = np.zeros(4000, np.int32)
    for i, chance in enumerate(rng.random(3999)):
        tokens[i + 1] = min(5, np.searchsorted(follows[tokens[i]], chance))
    files = write_text(tmp_path, tokens, 3, n_epochs=200)
    with PairReader(files[:1]) as reader:
        yield files, reader.text(0)


def test_full_softmax__learns_the_conditional_frequencies(text_of_six_words: tuple[list[PairFile], Text]) -> None:
    """Every p(centre | context) within 0.005, and the loss is their entropy: with six words in eight dimensions nothing is in the way."""
    files, text = text_of_six_words
    trainer = new_softmax(files, None, 1, counts=np.ones(6, np.int64), n_batch=64, dimensions=8, learning_rate=0.05, min_learning_rate=0.0)
    tallies = train(trainer, files, n_batches=63)
    centres, contexts = expand_pairs(text.tokens, text.radius, text.offsets)
    counts = np.zeros((6, 6))
    np.add.at(counts, (contexts, centres), 1)
    wanted = counts / counts.sum(axis=1, keepdims=True)
    inputs, outputs = (matrix[:, :8].astype(np.float64) for matrix in trainer.vectors(Path("unused")))
    found = np.array([reference.softmax(outputs @ h) for h in inputs])
    assert wanted.max() / wanted.min() > 10
    assert abs(found - wanted).max() < 0.005
    assert tallies[-1, 1] == len(centres)
    entropy = -(counts * np.log(wanted)).sum() / counts.sum()
    assert tallies[-1, 0] / tallies[-1, 1] == pytest.approx(entropy, abs=1e-3)


def test_batch_centres__bounds_the_scores() -> None:
    assert batch_centres(2000) == batch_centres(10) == 256
    for n_words in (10**5, 10**6):
        assert 1 <= batch_centres(n_words) < 256
        assert batch_centres(n_words) * n_words <= LARGEST_SCORES


def test_memory_bytes__is_what_the_arrays_take(files: list[PairFile]) -> None:
    trainer = new_softmax(files, None, 3, n_batch=0)
    held = [value for name, value in vars(trainer).items() if name not in ("model", "borders")]
    arrays = [array for value in held for array in (value if isinstance(value, list) else [value]) if isinstance(array, np.ndarray)]
    assert sum(array.nbytes for array in arrays) == memory_bytes(V, 20, 3)


def test_flops__counts_a_multiplication_and_an_addition_for_each_of_three_products() -> None:
    assert flops(1, 1, 1) == 6
    assert flops(100, 2000, 300) == 3 * 2 * 100 * 2000 * 300


def test_single_threaded_blas__ends_with_the_block() -> None:
    blas = SingleThreadedBlas()
    before = blas.n_threads
    with blas:
        assert blas.n_threads == 1
    assert blas.n_threads == before
    assert before


def test_full_softmax__does_not_promise_its_bytes_with_a_blas_that_it_does_not_know(files: list[PairFile]) -> None:
    trainer = new_softmax(files, None, 1)
    assert trainer.measures["reproducible"] == 1
    trainer._blas._get = trainer._blas._set = None
    assert trainer.measures["reproducible"] == 0


def test_single_threaded_blas__warns_when_it_cannot() -> None:
    blas = SingleThreadedBlas()
    blas._get = blas._set = None
    events: list[Event] = []
    with listening(events.append), blas:
        assert blas.n_threads is None
    assert [type(event) for event in events] == [RunWarned]
