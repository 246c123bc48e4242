"""Memory that goes back to the system."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.memory import KEPT, give_back_memory, use_allocator
from tests.conftest import ROOT


def held_mb() -> float:
    """What this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_give_back_memory__hands_back_what_was_freed_below_something_that_stays() -> None:
    arrays = [np.ones(10_000, np.uint8) for _ in range(20_000)]
    last = arrays[-1]
    full = held_mb()
    del arrays
    before = held_mb()
    give_back_memory()
    after = held_mb()
    assert last.sum() == 10_000
    assert full - before < 50
    assert full - after > 150


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_give_back_memory__leaves_threads_little() -> None:
    use_allocator()

    def held_by_arrays() -> float:
        arrays = [np.ones(1_000_000, np.uint8) for _ in range(100)]
        return held_mb() + 0 * len(arrays)

    with ThreadPoolExecutor(2) as threads:  # whose arenas stay as they are
        full = max(threads.map(lambda _: held_by_arrays(), range(2)))
        give_back_memory()
        after = held_mb()
    assert full - after > 100 - 2 * KEPT / 1e6


@pytest.mark.parametrize("module", ["pipeline.run", "pipeline.vectors", "flows.command", "benchmarks.preparation"])
def test_import__has_arrow_take_all_its_memory_from_malloc(module: str) -> None:
    """Also what Arrow takes by itself, which `pyarrow.set_memory_pool` leaves as it was."""
    program = f"import {module}, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=True)
    assert done.stdout == "system\n"
