"""Real models trained by real threads on small text, and the files and blocks that it comes from."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.text import Text
from pipeline.choices import TrainMode
from pipeline.configuration import Train
from pipeline.errors import StoreError
from pipeline.storage.schemas import PAIRS, list_of
from pipeline.storage.tables import list_array, write_table
from pipeline.training.model import Model, meetings
from pipeline.training.pair_files import Block, PairFile, PairReader, cut_blocks, order_of_appearance
from pipeline.training.schedule import merge_schedule
from pipeline.training.threads import Threads

V = 500
COUNTS = np.floor(20_000 / np.arange(1.0, V + 1)).astype(np.int64)
FILE_CENTRES = (30_000, 0, 21_007)


def write_pairs(directory: Path, name: str, n_centres: int, seed: int) -> None:
    """One file of random pairs, in sentences of 2 to 40 words."""
    rng = np.random.default_rng(seed)
    inside = np.cumsum(rng.integers(2, 41, n_centres))
    offsets = np.concatenate([[0], inside[inside < n_centres - 1], [n_centres]]) if n_centres else np.zeros(1, np.int64)
    tokens = rng.choice(V, n_centres, p=COUNTS / COUNTS.sum()).astype(np.int32)
    radius = rng.integers(1, 6, n_centres).astype(np.uint8)
    columns = [list_array(tokens, offsets, list_of(pa.int32())), list_array(radius, offsets, list_of(pa.uint8()))]
    write_table(directory, name, PAIRS, pa.table(columns, schema=PAIRS))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[PairFile]:
    """Three files, one of them empty."""
    directory = tmp_path_factory.mktemp("pairs")
    made, n_before = [], 0
    for i, n_centres in enumerate(FILE_CENTRES):
        write_pairs(directory, f"{i}.parquet", n_centres, i)
        made.append(PairFile(directory / f"{i}.parquet", 0, n_before, n_centres))
        n_before += n_centres
    return made


def new_threads(files: list[PairFile], n_threads: int, **changes: object) -> Threads:
    """A new model of the words above and threads to train it."""
    settings = Train(dimensions=8, **({"negatives": 2, "learning_rate": 0.1} | changes))
    share = COUNTS / COUNTS.sum()
    schedule = merge_schedule(share, meetings(settings, COUNTS, share), settings, 6.0)
    model = Model(settings, COUNTS, sum(FILE_CENTRES))
    return Threads(model, schedule, files, n_threads, shared=settings.mode is TrainMode.SHARED)


def blocks_of(files: list[PairFile], threads: Threads) -> list[Block]:
    """The blocks of short cycles, one of which goes over two files."""
    return list(cut_blocks(files, threads.round_centres, 3))


def train(files: list[PairFile], threads: Threads, first: int = 0, last: int | None = None) -> npt.NDArray[np.float64]:
    """Train the blocks first..last-1; their tallies."""
    with threads:
        return np.array([threads.train(block) for block in blocks_of(files, threads)[first:last]])


def bytes_of(threads: Threads) -> list[bytes]:
    """Both matrices."""
    return [threads.model.input.tobytes(), threads.model.output.tobytes()]


def test_threads__give_the_same_bytes_for_any_number_of_threads(files: list[PairFile]) -> None:
    wanted = new_threads(files, 1)
    tallies = train(files, wanted)
    assert tallies[:, 2].sum() == sum(FILE_CENTRES)
    assert len(tallies) == 6
    assert tallies[-1, 0] / tallies[-1, 1] < 0.95 * 3 * np.log(2)  # what vectors of zeros cost with two negatives
    for n_threads in (2, 3, 4, 9):
        threads = new_threads(files, n_threads)
        assert train(files, threads).tobytes() == tallies.tobytes()
        assert bytes_of(threads) == bytes_of(wanted)


def test_threads__leave_the_model_whole_between_cycles(files: list[PairFile]) -> None:
    for n_done, block in enumerate(blocks_of(files, new_threads(files, 1)), 1):
        threads = new_threads(files, 2)
        before = threads.model.input.copy()
        train(files, threads, 0, n_done)
        # Within a cycle the rare input rows differ; the rows of outputs are so few that all are merged in every round.
        assert (threads.replicas.inputs == threads.model.input).all() == block.ends_cycle
        assert (threads.replicas.outputs == threads.model.output).all()
        assert (threads.model.input != before).any(axis=1).mean() > 0.9 or not block.ends_cycle


@pytest.mark.parametrize("changes", [{}, {"shards": 1}])
def test_threads__go_on_from_a_saved_model_to_the_same_bytes(files: list[PairFile], tmp_path: Path, changes: dict[str, int]) -> None:
    """After any cycle, and with another number of threads."""
    wanted = new_threads(files, 2, **changes)
    train(files, wanted)
    ends = [n for n, block in enumerate(blocks_of(files, wanted), 1) if block.ends_cycle]
    assert len(ends) >= 4
    for n_done in (0, *ends[:-1]):
        begun, resumed = new_threads(files, 1, **changes), new_threads(files, 2, **changes)
        train(files, begun, 0, n_done)
        begun.save(tmp_path)
        resumed.load(tmp_path)
        train(files, resumed, n_done)
        assert bytes_of(resumed) == bytes_of(wanted)


def test_threads__train_one_shard_as_one_thread_trains_a_shared_model(files: list[PairFile]) -> None:
    one_shard, shared = new_threads(files, 3, shards=1), new_threads(files, 1, mode=TrainMode.SHARED)
    of_blocks, of_files = train(files, one_shard), train(files, shared)
    assert bytes_of(one_shard) == bytes_of(shared)
    assert of_files[:, 2].sum() == sum(FILE_CENTRES)
    np.testing.assert_allclose(of_blocks.sum(axis=0), of_files.sum(axis=0), rtol=1e-6)


def test_threads__train_every_centre_once_when_they_share_a_model(files: list[PairFile]) -> None:
    alone, together = (train(files, new_threads(files, n_threads, mode=TrainMode.SHARED)) for n_threads in (1, 4))
    assert np.array_equal(together[:, 1:], alone[:, 1:])
    np.testing.assert_allclose(together[:, 0], alone[:, 0], rtol=0.1)


def test_threads__compile_once_for_whole_and_for_short_blocks(files: list[PairFile]) -> None:
    threads = new_threads(files, 1)
    assert len({block.last - block.first for block in blocks_of(files, threads)}) > 1
    train(files, threads)
    assert len({str(plan) for _, plan, *_ in threads.kernel.signatures}) == 1


@given(st.lists(st.lists(st.integers(0, 50), max_size=4), max_size=4), st.integers(1, 20), st.integers(1, 12))
def test_cut_blocks__makes_cycles_of_whole_rounds(epochs: list[list[int]], round_centres: int, cycle_rounds: int) -> None:
    """Every centre once and in order; a round ends early with its file only, and a cycle with its epoch only."""
    files = [PairFile(Path("unread"), epoch, 0, n) for epoch, lengths in enumerate(epochs) for n in lengths]
    blocks = list(cut_blocks(files, round_centres, cycle_rounds))
    covered = [(block.file, centre) for block in blocks for centre in range(block.first, block.last)]
    assert covered == [(number, centre) for number, file in enumerate(files) for centre in range(file.n_centres)]
    n_rounds = 0
    for block, following in itertools.zip_longest(blocks, blocks[1:]):
        assert block.n_rounds_before == n_rounds
        assert (block.last - block.first) % round_centres == 0 or block.last == files[block.file].n_centres
        n_rounds += -(-(block.last - block.first) // round_centres)
        ends_epoch = following is None or files[following.file].epoch != files[block.file].epoch
        assert block.ends_cycle == (n_rounds == cycle_rounds or ends_epoch)
        assert following is None or block.ends_cycle or following.file > block.file
        n_rounds = 0 if block.ends_cycle else n_rounds


def assert_texts_equal(found: Text, wanted: Text) -> None:
    for a, b in zip(found[:3], wanted[:3], strict=True):
        assert a.dtype == b.dtype
        assert np.array_equal(a, b)
    assert found.base == wanted.base


def test_pair_reader__gives_the_text_that_was_written(files: list[PairFile]) -> None:
    with PairReader(files) as reader:
        for number in (0, 0, 1, 2, 0, 2):
            text = reader.text(number)
            table = pq.read_table(files[number].path)
            lists = table["tokens"].to_pylist(), table["radius"].to_pylist()
            tokens, radius = (
                np.array([x for words in column for x in words], kind) for column, kind in zip(lists, (np.int32, np.uint8), strict=True)
            )
            offsets = np.cumsum([0, *map(len, lists[0])])
            assert_texts_equal(text, Text(tokens, offsets, radius, files[number].first_centre - int(text.offsets[0])))
            assert text.tokens.size == FILE_CENTRES[number]


def test_pair_reader__has_read_the_next_file_when_it_is_asked_for(tmp_path: Path) -> None:
    """Once the reader has it, the file may go; the one after has not been opened yet."""
    for number in range(3):
        write_pairs(tmp_path, f"{number}.parquet", 100, number)
    files = [PairFile(tmp_path / f"{number}.parquet", 0, 100 * number, 100) for number in range(3)]
    with PairReader(files) as plain:
        wanted = [plain.text(number) for number in range(3)]
    with PairReader(files) as reader:
        reader.text(0)
        reader._read[1].result()
        files[1].path.unlink()
        files[2].path.rename(tmp_path / "gone")
        assert_texts_equal(reader.text(1), wanted[1])
        with pytest.raises(StoreError, match=r"2\.parquet"):
            reader.text(2)


def test_pair_reader__tells_of_a_damaged_file_when_its_turn_comes(files: list[PairFile], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.parquet"
    content = bytearray(files[0].path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    with PairReader([files[2], PairFile(damaged, 0, 0, FILE_CENTRES[0])]) as reader:
        assert reader.text(0).tokens.size == FILE_CENTRES[2]
        with pytest.raises(StoreError, match=r"damaged\.parquet"):
            reader.text(1)


def test_order_of_appearance__is_that_of_the_first_epoch(files: list[PairFile]) -> None:
    another = [dataclasses.replace(file, epoch=1) for file in files[::-1]]
    text = np.concatenate([pq.read_table(file.path)["tokens"].combine_chunks().values.to_numpy() for file in files])
    wanted = list(dict.fromkeys(text.tolist()))
    assert order_of_appearance(files + another, V + 2).tolist() == wanted + sorted(set(range(V + 2)) - set(wanted))
    assert wanted != sorted(wanted)
