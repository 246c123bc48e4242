"""What training costs besides time: compiling, memory against its projection, checkpoints, stopping; and noise drawn for every pair.

    make bench                                    on the shipped sample
    .venv/bin/python -m benchmarks.costs --large  also 3 million words by 300 dimensions (10 GB of memory and of disk, minutes)

Validated before it counts: every run finished, its vectors are finite, and analogies are above a floor (not of the made-up large text);
a stopped run left a checkpoint.
"""

import argparse
import itertools
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.against_gensim import ROOT, scores
from benchmarks.memory import watch_memory
from pipeline.environment import environment
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import CHECKPOINTS, Store
from pipeline.vectors import read_vectors

COMMAND = Path(sys.executable).with_name("corpus2vec")
COMPILING = """
import time
import numpy as np
from kernels.block import Plan, block_kernel, new_counters
from kernels.merge import Replicas
from kernels.noise import Noise
from kernels.text import Rates, Text
from kernels.trainer import Kind
from kernels.vectors import new_vectors
from kernels.alias import build_alias
started = time.perf_counter()
model, many = new_vectors(4, 100), new_vectors(16, 100).reshape(4, 4, -1)
arguments = (
    Text(np.zeros(0, np.int32), np.zeros(1, np.int64), np.zeros(0, np.uint8), 0),
    Plan(np.zeros(5, np.int64), np.zeros((1, 2), np.int64), new_counters(1, 4), 1),
    Replicas(many, many.copy(), model, model.copy(), np.ones((2, 4), np.float32)),
    Noise(*build_alias(np.ones(4)), np.uint64(1), np.zeros(0, np.float32), 1),
    Rates(0.1, 0.1, 1),
    100,
    np.zeros((4, 3)),
)
block_kernel(Kind({negatives}, {per_pair}, n_dimensions=100), 4)(*arguments)
print(time.perf_counter() - started)
"""


def compile_seconds(scratch: Path, negatives: int, *, per_pair: bool) -> dict[str, float]:
    """Seconds until a kernel has run for the first time, in a process that compiles it and in one that finds it in the cache."""
    cache = scratch / "numba"
    shutil.rmtree(cache, ignore_errors=True)
    environ = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    program = COMPILING.format(negatives=negatives, per_pair=per_pair)
    found = []
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", program], env=environ, cwd=ROOT, check=True, capture_output=True)
        found.append(float(done.stdout))
    return {"cold_s": round(found[0], 2), "cached_s": round(found[1], 2)}


def command(name: str, store: Path, text: Path, values: dict[str, Any]) -> dict[str, Any]:
    """What `subprocess` needs to run one of our commands, which prints JSON."""
    settings = {"corpus.paths": str(text)} | {key.replace("__", "."): value for key, value in values.items()}
    arguments = [str(COMMAND), name, "--json", *(f"--set={key}={value}" for key, value in settings.items())]
    return {"args": arguments, "env": os.environ | {"CORPUS2VEC_STORE": str(store)}, "text": True}


def train(store: Path, text: Path, *, floor: bool = True, **values: Any) -> dict[str, Any]:
    """Project and train by the real commands; memory is that of all processes while the train step runs."""
    shutil.rmtree(store / "train", ignore_errors=True)
    child = subprocess.Popen(**command("train", store, text, values), stdout=subprocess.PIPE)
    peak, peak_mb, projected = [0], 0.0, 0
    threading.Thread(target=watch_memory, args=(child.pid, peak), daemon=True).start()
    record: dict[str, Any] = {}
    for line in child.stdout or ():
        event = json.loads(line)
        step = event.get("step"), event.get("event")
        if step == ("train", "StepStarted"):
            done = subprocess.run(**command("plan", store, text, values), check=True, capture_output=True)
            projected = next(row["memory"] for row in json.loads(done.stdout) if row["step"] == "train")
            peak[0] = 0
        if step == ("train", "StepFinished"):
            peak_mb = peak[0] / 1e6
        record = event
    if child.wait():
        raise SystemExit("a command failed")
    key = next(found["keys"][0] for found in record["steps"] if found["step"] == "train")
    artifact = Store(store).find("train", key)
    assert artifact
    measures = artifact.manifest.measures
    found = {
        "words": measures["words"],
        "dimensions": measures["dimensions"],
        "words_per_s": round(measures["words_per_s"]),
        "memory_mb": round(peak_mb),
        "projected_mb": round(projected / 1e6),
        "projected_to_measured": round(projected / 1e6 / peak_mb, 3),
        "checkpoints_share": round(measures["checkpoints_s"] / measures["training_s"], 4),
    }
    if floor:
        return found | scores(read_vectors(artifact.path(VECTORS_FILE)))
    if not np.isfinite(read_vectors(artifact.path(VECTORS_FILE)).matrix[:100_000]).all():
        raise SystemExit("not a result")
    return found


def stop_seconds(store: Path, text: Path, number: signal.Signals, **values: Any) -> float:
    """Seconds from a signal in training to the end of the command."""
    for left in ("train", CHECKPOINTS):
        shutil.rmtree(store / left, ignore_errors=True)
    child = subprocess.Popen(**command("train", store, text, values), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in child.stdout or ():
        event = json.loads(line)
        if (event.get("step"), event.get("event")) == ("train", "StepAdvanced"):
            time.sleep(0.5)
            started = time.perf_counter()
            child.send_signal(number)
            break
    child.communicate()
    elapsed_s = time.perf_counter() - started
    if child.returncode != 130 or not list((store / CHECKPOINTS).glob("*/[!.]*")):
        raise SystemExit(f"a run that was stopped left no checkpoint; exit code {child.returncode}")
    return round(elapsed_s, 2)


def large_text(path: Path) -> Path:
    """Three million words and a few, each at least once, nine million more by a steep distribution."""
    draws = np.random.default_rng(1)
    n_words = 3_000_000
    ids = np.concatenate([np.arange(n_words), (n_words * draws.random(9_000_000) ** 6).astype(np.int64)])
    draws.shuffle(ids)
    letters = ids[:, None] // 26 ** np.arange(5) % 26 + ord("a")  # 26**5 is 11.9 million
    with path.open("wb") as target:
        for first in range(0, len(ids), 40):
            rows = np.full((len(letters[first : first + 40]), 6), ord(" "), np.uint8)
            rows[:, :5] = letters[first : first + 40]
            target.write(rows.tobytes() + b"\n")
    return path


def main() -> None:
    """Measure, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "costs")
    settings = parser.parse_args()
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(parents=True)
    store, text = settings.scratch / "store", ROOT / "data" / "wiki-20mb.txt.xz"
    started = time.perf_counter()
    wide = {"train__dimensions": 300, "pairs__epochs": 8}
    cases: dict[str, dict[str, Any]] = {
        "noise a batch": {},
        "noise a window": {"train__noise_draws": "per_window"},
        "noise a pair": {"train__noise_draws": "per_pair"},
        "a checkpoint every second": {"cluster__checkpoint_s": 1, "pairs__epochs": 20},
        "300 dimensions, 8 shards": wide | {"train__shards": 8},
        "300 dimensions, shared": wide | {"train__mode": "shared"},
    }
    tiny = settings.scratch / "tiny.txt"
    with lzma.open(text, "rt", encoding="utf-8") as lines:
        tiny.write_text("".join(itertools.islice(lines, 300)), encoding="utf-8")
    for values in cases.values():  # the compiler takes memory of its own, once
        subprocess.run(**command("train", settings.scratch / "tiny", tiny, values), check=True, stdout=subprocess.DEVNULL)
    runs = {name: train(store, text, **values) for name, values in cases.items()}
    if settings.large:
        made = large_text(settings.scratch / "large.txt")
        large = {"vocabulary__min_count": 1, "train__dimensions": 300, "train__mode": "shared", "pairs__epochs": 1}
        runs["3 million words by 300, shared"] = train(settings.scratch / "large", made, floor=False, **large)
        shutil.rmtree(settings.scratch / "large")
    stopping = {
        "Ctrl-C, 300 dimensions, 8 shards": stop_seconds(store, text, signal.SIGINT, **wide, train__shards=8),
        "SIGTERM, 100 dimensions": stop_seconds(store, text, signal.SIGTERM),
        "SIGTERM, 100 dimensions, one thread": stop_seconds(store, text, signal.SIGTERM, cluster__threads=1),
        "Ctrl-C, shared": stop_seconds(store, text, signal.SIGINT, train__mode="shared"),
        "Ctrl-C, noise a pair, 64 negatives": stop_seconds(store, text, signal.SIGINT, train__noise_draws="per_pair", train__negatives=64),
        "SIGTERM, 2 worker processes": stop_seconds(store, text, signal.SIGTERM, cluster__processes=2),
    }
    result = {
        "benchmark": "what training costs besides time",
        "corpus": text.name,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "elapsed_s": round(time.perf_counter() - started),
        "figures": {
            "compiling": {
                f"{k} negatives{', noise a pair' if per_pair else ''}": compile_seconds(settings.scratch, k, per_pair=per_pair)
                for k, per_pair in ((5, False), (5, True), (64, False))
            },
            "stopping": stopping,
            "runs": runs,
        },
    }
    (ROOT / "benchmarks" / "results" / "costs.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["figures"], indent=1))


if __name__ == "__main__":
    main()
