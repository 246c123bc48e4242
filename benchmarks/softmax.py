"""How near training with the full softmax comes to what BLAS can do here, and what the size of a batch costs; writes results/softmax.json.

    .venv/bin/python -m benchmarks.softmax

Speed: random text with Zipf's frequencies, subsampled. The peak is the best product of large square matrices, with as many threads, tried
before every case; `products` are the three products of a batch alone, in the same blocks, with nothing between them; `training` is all that
is done. All times are the shortest of many, for what disturbs them only makes them longer. Before a time counts, two batches of the text
give the loss and the vectors of the slow reference.
Batches: the sample's first part is trained once with batches of several sizes, and the loss taken of the last tenth, which is not trained.
"""

import functools
import itertools
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.softmax import column_borders, read_batch
from kernels.text import Rates
from pipeline.choices import CbowHidden
from pipeline.configuration import Train
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.schemas import PAIRS, VOCABULARY, VOCABULARY_FILE, list_of
from pipeline.storage.store import Store
from pipeline.storage.tables import list_array, read_table, write_table
from pipeline.training.model import Model
from pipeline.training.pair_files import PairFile, PairReader, cut_blocks, pair_files
from pipeline.training.softmax import BATCH_CENTRES, FullSoftmax, SingleThreadedBlas, flops
from pipeline.workers import DaskWorkers
from tests.reference import softmax as reference

ROOT = Path(__file__).parents[1]
WORDS, DIMENSIONS, THREADS = (2_000, 10_000, 30_000), (100, 300), (1, 2)
SQUARES = (2048, 4096)
SENTENCE, RADIUS, REPEATS = 40, 5, 5
FLOPS_A_TIME = 2e10
BATCHES = (64, 256, 1024)
RATES = {None: (0.025, 0.1), CbowHidden.MEAN: (0.1, 0.5)}  # a mean moves each of its vectors little: at 0.025 nothing is learned
N_BLOCKS = 25  # of 20 of the largest batches
MIN_COUNT = 150  # of the sample's words


def zipf_text(directory: Path, n_words: int, n_centres: int) -> tuple[PairFile, npt.NDArray[np.int64]]:
    """A file of pairs, and the counts of its words."""
    rng = np.random.default_rng(1)
    frequency = 1.0 / (np.arange(n_words) + 2.7)
    frequency /= frequency.sum()
    kept = frequency * np.minimum(1.0, np.sqrt(1e-4 / frequency) + 1e-4 / frequency)
    tokens = rng.choice(n_words, n_centres, p=kept / kept.sum()).astype(np.int32)
    offsets = np.append(np.arange(0, n_centres, SENTENCE), n_centres)
    radius = rng.integers(1, RADIUS + 1, n_centres).astype(np.uint8)
    columns = [list_array(tokens, offsets, list_of(pa.int32())), list_array(radius, offsets, list_of(pa.uint8()))]
    write_table(directory, "pairs.parquet", PAIRS, pa.table(columns, schema=PAIRS))
    return PairFile(directory / "pairs.parquet", 0, 0, n_centres), np.maximum(1, frequency * 1e7).astype(np.int64)


def new_model(n_dimensions: int, counts: npt.NDArray[np.int64], n_centres: int) -> Model:
    """A model whose output vectors are as large as those of its input, so that no product is of zeros."""
    model = Model(Train(dimensions=n_dimensions), counts, n_centres)
    model.output[:] = model.input[::-1]
    return model


def validate(file: PairFile, counts: npt.NDArray[np.int64], n_dimensions: int, hidden: CbowHidden | None) -> None:
    """Stop unless two batches give the loss and the vectors of the reference."""
    model = new_model(n_dimensions, counts, file.n_centres)
    model.input *= np.float32(n_dimensions**0.5)
    model.output *= np.float32(n_dimensions**0.5)
    inputs, outputs = truth = [matrix[:, :n_dimensions].astype(np.float64) for matrix in (model.input, model.output)]
    with FullSoftmax(model, hidden, [file], 2, 4) as trainer, PairReader([file]) as reader:
        text = reader.text(0)
        found = trainer.train(next(cut_blocks([file], 4, 2)))
        wanted = reference.train(text, [0, 4, 8], inputs, outputs, model.rates, hidden and hidden.value)
    near = [np.allclose(m[:, :n_dimensions], t, rtol=1e-4, atol=1e-6) for m, t in zip((model.input, model.output), truth, strict=True)]
    if not all(near) or not np.allclose(found, wanted, rtol=1e-6):
        raise SystemExit(f"training differs from the reference: {len(counts)} words, {n_dimensions} dimensions, {hidden}")


def elapsed_s(work: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def peak_gflops(n_threads: int) -> float:
    """The best product of square float32 matrices, in 10**9 operations a second; each thread has its share of the rows."""
    return max(_square_gflops(size, n_threads) for size in SQUARES)


def _square_gflops(size: int, n_threads: int) -> float:
    one, other, out = (np.ones((size, size), np.float32) for _ in range(3))
    pieces = [slice(i * size // n_threads, (i + 1) * size // n_threads) for i in range(n_threads)]

    def multiply(piece: slice) -> None:
        np.matmul(one[piece], other, out=out[piece])

    with SingleThreadedBlas(), ThreadPoolExecutor(n_threads) as pool:
        return 2e-9 * size**3 / min(elapsed_s(lambda: list(pool.map(multiply, pieces))) for _ in range(REPEATS))


def products(n_rows: int, n_words: int, n_dimensions: int, n_threads: int) -> Callable[[], None]:
    """The three products of one batch in the blocks of training, each product by one thread."""
    rng = np.random.default_rng(2)
    borders = column_borders(n_words)
    widths = np.diff(borders)
    hidden, pull = rng.random((2, n_rows, n_dimensions), np.float32)
    outputs, slopes = rng.random((2, n_words, n_dimensions), np.float32)
    pulls = [pull.copy() for _ in widths]
    scores = [np.empty((n_rows, width), np.float32) for width in widths]
    pool = ThreadPoolExecutor(n_threads)

    def score(block: int) -> None:
        words = outputs[borders[block] : borders[block + 1]]
        np.matmul(hidden, words.T, out=scores[block])
        np.matmul(scores[block], words, out=pulls[block])

    def step(block: int) -> None:
        np.matmul(scores[block].T, hidden, out=slopes[borders[block] : borders[block + 1]])

    def run() -> None:
        for work in (score, step):
            turns = iter(range(len(widths)))
            list(pool.map(lambda _, turns=turns, work=work: [work(block) for block in turns], range(n_threads)))

    return run


def speed(n_words: int, n_dimensions: int, hidden: CbowHidden | None) -> dict[str, Any]:
    """Times of one case."""
    result: dict[str, Any] = {"words": n_words, "dimensions": n_dimensions, "model": hidden.value if hidden else "skip_gram"}
    with tempfile.TemporaryDirectory() as directory:
        n_centres = BATCH_CENTRES * max(4, int(FLOPS_A_TIME / flops(BATCH_CENTRES, n_words, n_dimensions)))
        file, counts = zipf_text(Path(directory), n_words, n_centres)
        validate(file, counts, n_dimensions, hidden)
        for n_threads in THREADS:
            result |= batch_times(file, counts, n_dimensions, hidden, n_threads)
    print(result, flush=True)
    return result


def batch_times(
    file: PairFile, counts: npt.NDArray[np.int64], n_dimensions: int, hidden: CbowHidden | None, n_threads: int
) -> dict[str, Any]:
    """Times of a batch with so many threads: its products alone, and all of it; the shortest of all batches and repeats."""
    n_words = len(counts)
    with FullSoftmax(new_model(n_dimensions, counts, file.n_centres), hidden, [file], n_threads) as trainer, PairReader([file]) as reader:
        size, text = trainer.batch_centres, reader.text(0)
        batches = [read_batch(text, i, i + size, hidden is not None, n_words) for i in range(0, file.n_centres, size)]
        n_rows = statistics.mean(len(batch.context_starts) - 1 for batch in batches)
        alone = products(round(n_rows), n_words, n_dimensions, n_threads)
        training_s = products_s = np.inf
        for _ in range(REPEATS):
            for block in cut_blocks([file], size, 1):
                training_s = min(training_s, elapsed_s(functools.partial(trainer.train, block)))
                products_s = min(products_s, elapsed_s(alone))
    gflop = 1e-9 * flops(round(n_rows), n_words, n_dimensions)
    figures = {
        "products_ms": round(1e3 * products_s, 3),
        "training_ms": round(1e3 * training_s, 3),
        "products_gflops": round(gflop / products_s, 1),
        "training_gflops": round(gflop / training_s, 1),
        "centres_per_s": round(size / training_s),
    }
    n_examples = round(statistics.mean(batch.targets.size for batch in batches))
    return {"batch_centres": size, "rows_a_batch": round(n_rows), "examples_a_batch": n_examples, f"{n_threads} threads": figures}


def batch_losses(store: Path) -> dict[str, Any]:
    """The mean loss of an example in text that was not trained, for sizes of a batch."""
    sections = {
        "corpus": {"paths": [str(ROOT / "data" / "wiki-20mb.txt.xz")]},
        "vocabulary": {"min_count": MIN_COUNT},
        "pairs": {"epochs": 1},
    }
    configuration = parse_configuration(sections)
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store), workers) as run:
        for step in run.steps[:-2]:
            run.perform(step)
    counts = read_table(run.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)["count"].to_numpy()
    files = pair_files(run.made["pairs"][0])
    found: dict[str, Any] = {"words": len(counts), "centres": N_BLOCKS * 20 * max(BATCHES), "dimensions": 100}
    found["loss of zeros"] = round(math.log(len(counts)), 4)
    for hidden, rates in RATES.items():
        for rate in rates:
            name = f"{hidden.value if hidden else 'skip_gram'}, learning rate {rate}"
            found[name] = {str(size): round(held_out_loss(files, counts, hidden, rate, size), 4) for size in BATCHES}
            print(name, found[name], flush=True)
    return found


def held_out_loss(files: list[PairFile], counts: npt.NDArray[np.int64], hidden: CbowHidden | None, rate: float, n_batch: int) -> float:
    """Train nine tenths of the blocks with batches of one size, then take the loss of the last tenth."""
    blocks = list(cut_blocks(files, max(BATCHES), 20))[:N_BLOCKS]
    n_trained = len(blocks) * 9 // 10
    model = Model(Train(learning_rate=rate), counts, sum(block.last - block.first for block in blocks[:n_trained]))
    with FullSoftmax(model, hidden, files, max(THREADS), n_batch) as trainer:
        for block in blocks[:n_trained]:
            trainer.train(block)
        model.rates = Rates(0.0, 0.0, 1)
        losses = np.sum([trainer.train(block) for block in blocks[n_trained:]], axis=0)
    return float(losses[0] / losses[1])


def main() -> None:
    """Measure all cases and write the file."""
    peaks = dict.fromkeys(THREADS, 0.0)
    cases = []
    for n_words, n_dimensions, hidden in itertools.product(WORDS, DIMENSIONS, (None, CbowHidden.MEAN)):
        peaks = {n_threads: max(peak, peak_gflops(n_threads)) for n_threads, peak in peaks.items()}
        cases.append(speed(n_words, n_dimensions, hidden))
    for case, (n_threads, peak) in itertools.product(cases, peaks.items()):
        figures = case[f"{n_threads} threads"]
        for part in ("products", "training"):
            figures[f"{part}_to_peak"] = round(figures[f"{part}_gflops"] / peak, 3)
            if figures[f"{part}_gflops"] > peak:
                raise SystemExit(f"{part} faster than the peak: something disturbed its measurement: {figures}, {peak:.1f}")
    with tempfile.TemporaryDirectory() as store:
        losses = batch_losses(Path(store))
    result = {
        "benchmark": "training with the full softmax",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": environment(),
        "peak_gflops": {str(n_threads): round(peak, 1) for n_threads, peak in peaks.items()},
        "speed": cases,
        "held-out loss by centres in a batch": losses,
    }
    path = Path(__file__).parent / "results" / "softmax.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
