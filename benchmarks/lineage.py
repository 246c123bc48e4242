"""What it costs to ask a store what it knows; each question is a section of results/lineage.json, and only what was measured is replaced.

    .venv/bin/python -m benchmarks.lineage [SECTION ...]

verify: large artifacts verified, beside a plain program that reads and hashes the same files, taking turns in one process; and a thousand
small ones. Before a time counts: nothing was wrong, and a byte that is flipped then is found and named. Files lie in memory after the
first turn. Times are medians; `a core` is processor time, which a busy machine changes less than the clock.
"""

import argparse
import functools
import hashlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.against_gensim import ROOT
from pipeline.environment import environment
from pipeline.lineage.verifying.verification import Verification, verify_all
from pipeline.storage.artifact import FileRecord, Manifest, Tally, key_of
from pipeline.storage.schemas import VECTORS_FILE, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import write_table
from pipeline.training.vectors_file import write_vectors

TURNS = 5
N_LARGE, WORDS, DIMENSIONS = 4, 100_000, 300  # 240 MB each
N_SMALL = 1000
TARGET = ROOT / "benchmarks" / "results" / "lineage.json"


def measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds on the clock, seconds of all cores together, and what came of it."""
    started, processor = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - started, time.process_time() - processor, result


def commit(store: Store, stage: str, seed: int, parameters: dict[str, Any], write: Callable[[Path], FileRecord]) -> None:
    """An artifact as a run leaves it."""
    parameters = {**parameters, "seed": seed}
    key = key_of(stage, 1, parameters, {})
    with store.building(stage, key) as directory:
        files = (write(directory),)
        tally = Tally("words", files[0].n_rows, files[0].n_rows)
        created = datetime.now(UTC).isoformat()
        store.commit(
            directory, Manifest(stage, 1, key, parameters, parameters, {}, files, (tally,), {"words": 1}, environment(), created, 1.0)
        )


def write_large(store: Store) -> None:
    """Artifacts with vectors of random numbers."""
    words = pa.table({"token": [f"w{n}" for n in range(WORDS)], "count": np.arange(WORDS, 0, -1)}, schema=VOCABULARY)
    for seed in range(N_LARGE):
        random = np.random.default_rng(seed)
        matrix = random.random((WORDS, DIMENSIONS), dtype=np.float32)

        def write(directory: Path, matrix: npt.NDArray[np.float32] = matrix) -> FileRecord:
            return write_vectors(directory, words, DIMENSIONS, lambda first, last: (matrix[first:last], matrix[first:last]))

        commit(store, "train", seed, {"dimensions": DIMENSIONS}, write)


def write_small(store: Store) -> None:
    """Artifacts of a few words."""
    for seed in range(N_SMALL):
        words = pa.table({"token": [f"w{seed}", "x"], "count": [2, 1]}, schema=VOCABULARY)
        commit(store, "vocabulary", seed, {}, functools.partial(write_table, name=VOCABULARY_FILE, schema=VOCABULARY, batches=words))


def plain(paths: list[Path], n_threads: int) -> list[str]:
    """What any program must do that hashes files."""

    def digest(path: Path) -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    with ThreadPoolExecutor(n_threads) as threads:
        return list(threads.map(digest, paths))


def whole(store: Store, n_threads: int) -> Verification:
    """Verify a store in which nothing is wrong."""
    done = verify_all(store, n_threads=n_threads)
    if done.findings:
        raise SystemExit(f"wrong in a store as it was made: {done.findings}")
    return done


def flipped_byte_is_found(store: Store, path: Path) -> bool:
    """Whether the file is named, and nothing else, while one bit in its middle is another."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
        file.flush()
        found = verify_all(store).findings
        file.seek(-1, os.SEEK_CUR)
        file.write(byte)
    return [store.root / one.place for one in found] == [path]


def verify(scratch: Path) -> dict[str, Any]:
    """Large artifacts, by one thread and by two, and many small ones."""
    large, small = Store(scratch / "large"), Store(scratch / "small")
    write_large(large)
    write_small(small)
    paths = sorted(large.root.rglob(VECTORS_FILE))
    n_bytes = sum(path.stat().st_size for path in paths)
    figures: dict[str, Any] = {"large": {"artifacts": N_LARGE, "bytes": n_bytes}}
    plain(paths, 2)
    for n_threads in (1, 2):
        turns = [
            (measured(functools.partial(whole, large, n_threads)), measured(functools.partial(plain, paths, n_threads)))
            for _ in range(TURNS)
        ]
        ours_s, ours_core_s, plain_s, plain_core_s = (
            statistics.median(turn[side][which] for turn in turns) for side, which in ((0, 0), (0, 1), (1, 0), (1, 1))
        )
        figures["large"][f"threads {n_threads}"] = {
            "verify_s": round(ours_s, 3),
            "plain_s": round(plain_s, 3),
            "verify_GB_a_second_of_a_core": round(n_bytes / 1e9 / ours_core_s, 3),
            "plain_GB_a_second_of_a_core": round(n_bytes / 1e9 / plain_core_s, 3),
            "verify_GB_a_second": round(n_bytes / 1e9 / ours_s, 3),
        }
    turns_small = [measured(lambda: whole(small, 2)) for _ in range(TURNS)]
    figures["small"] = {
        "artifacts": N_SMALL,
        "verify_s": round(statistics.median(clock for clock, _, _ in turns_small), 3),
        "core_s": round(statistics.median(core for _, core, _ in turns_small), 3),
    }
    for store, path in ((large, paths[1]), (small, sorted(small.root.rglob(VOCABULARY_FILE))[500])):
        if not flipped_byte_is_found(store, path):
            raise SystemExit(f"a flipped byte was not found in {path}")
    figures["a flipped byte was found and named"] = True
    return figures


SECTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {"verify": verify}


def main() -> None:
    """Measure, validate, and put the sections among those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", choices=[[], *SECTIONS], default=[])
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "lineage")
    settings = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "questions to a store", "sections": {}}
    if TARGET.exists():
        result = json.loads(TARGET.read_text())
    for name in settings.sections or list(SECTIONS):
        scratch = settings.scratch.absolute() / name
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        result["sections"][name] = {
            "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
            "versions": environment(),
            "date": datetime.now(UTC).date().isoformat(),
            "figures": SECTIONS[name](scratch),
        }
        print(json.dumps(result["sections"][name]["figures"], indent=1))
        shutil.rmtree(scratch)
    TARGET.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
