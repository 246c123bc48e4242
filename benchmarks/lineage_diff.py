"""How long `corpus2vec diff` takes, from start to exit, on two models of 75,000 words in a store of 1,000 artifacts; and what a seed moves.

    .venv/bin/python -m benchmarks.lineage_diff [--scratch DIRECTORY]

Trains the shipped sample twice, in 1,000 shards, with other seeds; a scratch directory that has these models already is used as it is.
Before a time counts: diff names the seeds and nothing else, its overlap is that of a slow reference, and a model against itself has the
same bytes. Times are of whole processes, without a terminal; the least of many, beside the median, because other work may run.
"""

import argparse
import json
import lzma
import os
import resource
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.against_gensim import ROOT
from pipeline.environment import environment
from pipeline.lineage.comparing.movement import N_CANDIDATES, N_NEIGHBOURS, N_WORDS
from pipeline.lineage.models import find_model
from pipeline.storage.store import Store

COMMAND = Path(sys.executable).with_name("corpus2vec")
NAME = "seeds"
TURNS = 9
SAMPLE = 100  # words of the slow reference
TIMED = {
    "diff": ("diff", f"{NAME}@1", f"{NAME}@2"),
    "diff_of_the_same": ("diff", f"{NAME}@1", f"{NAME}@1"),
    "models": ("models", NAME),
}


def command(store: Path, *arguments: str) -> str:
    """What one of our commands prints."""
    environ = os.environ | {"CORPUS2VEC_STORE": str(store)}
    return subprocess.run([str(COMMAND), *arguments], env=environ, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def train(store: Path, text: Path) -> None:
    """Two versions that differ by their seeds."""
    if not text.exists():
        with lzma.open(ROOT / "data" / "wiki-20mb.txt.xz") as packed:
            text.write_bytes(packed.read())
    values: dict[str, Any] = {
        "corpus.paths": text,
        "corpus.shard_mb": 0.019,
        "vocabulary.min_count": 1,
        "vocabulary.max_vocabulary": 75_000,
    }
    for seed in (1, 2):
        seeds = {"name": NAME, "pairs.seed": seed, "train.seed": seed}
        command(store, "train", *(f"--set={key}={value}" for key, value in (values | seeds).items()))


def validated(store: Path) -> dict[str, Any]:
    """What diff says, once it is known to be right."""
    found: dict[str, Any] = json.loads(command(store, "diff", f"{NAME}@1", f"{NAME}@2", "--json"))
    names = {one["name"] for one in found["parameters"]}
    others = [name for name in ("stages", "files", "other_inputs", "missing") if found[name]]
    if names != {"pairs.seed", "train.seed"} or others:
        raise SystemExit(f"not a result: {names} and {others} differ")
    if "have the same bytes" not in command(store, "diff", f"{NAME}@1", f"{NAME}@1"):
        raise SystemExit("not a result: a model is not itself")
    matrices = [find_model(Store(store), f"{NAME}@{number}").read().matrix[:N_CANDIDATES].astype(np.float64) for number in (1, 2)]
    reference = overlaps(*matrices)
    moved = {
        one["word"]: one["overlap"]
        for one in json.loads(command(store, "diff", *TIMED["diff"][1:], "--count", "2000", "--json"))["movement"]["moved"]
    }
    words = find_model(Store(store), f"{NAME}@1").read().words.slice(0, SAMPLE).to_pylist()
    if [moved.get(word, 1.0) for word in words] != reference:
        raise SystemExit("not a result: the slow reference finds other neighbours")
    return found


def overlaps(before: np.ndarray, after: np.ndarray) -> list[float]:
    """Of the most frequent words the share of neighbours that stayed, by sorting all cosines; both vocabularies are the same."""
    sides = []
    for matrix in (before, after):
        unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
        cosines = unit[:SAMPLE] @ unit.T
        np.fill_diagonal(cosines, -2)
        sides.append(np.argsort(-cosines, axis=1)[:, :N_NEIGHBOURS])
    return [len(set(old) & set(new)) / N_NEIGHBOURS for old, new in zip(*(side.tolist() for side in sides), strict=True)]


def timed(store: Path) -> dict[str, Any]:
    """Seconds on the clock and of the processors of every command; turns are interleaved, so that all have the same company."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in TIMED}
    for _ in range(TURNS):
        for name, arguments in TIMED.items():
            before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            command(store, *arguments)
            elapsed_s, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds[name].append((elapsed_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return {
        name: {
            "least_s": round(min(elapsed for elapsed, _ in found), 3),
            "median_s": round(statistics.median(elapsed for elapsed, _ in found), 3),
            "least_cpu_s": round(min(cpu for _, cpu in found), 3),
        }
        for name, found in seconds.items()
    }


def main() -> None:
    """Train what is missing, validate, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "lineage_diff")
    scratch: Path = parser.parse_args().scratch
    scratch.mkdir(parents=True, exist_ok=True)
    store = scratch / "store"
    if not (store / "models" / NAME / "versions" / "2.json").exists():
        train(store, scratch / "wiki-20mb.txt")
    found = validated(store)
    scores = {one["set"]: one["change"] for one in found["scores"] if one["section"] in ("total", "Spearman's rho")}
    n_artifacts = sum(len(Store(store).artifacts(stage)) for stage in Store(store).stages())
    if n_artifacts < 1_000:
        raise SystemExit(f"not a result: {n_artifacts} artifacts")
    result = {
        "benchmark": "corpus2vec diff as a whole command, two models that differ by their seeds",
        "corpus": "wiki-20mb.txt.xz",
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "load_before": round(os.getloadavg()[0], 1),
        "store": {"artifacts": n_artifacts, "words": found["vocabulary"]["n_before"], "dimensions": 100},
        "bounds": {"words": N_WORDS, "candidates": N_CANDIDATES, "neighbours": N_NEIGHBOURS},
        "seeds_alone": {"drift": round(found["movement"]["drift"], 4), "change": {name: round(value, 4) for name, value in scores.items()}},
        "seconds": timed(store),
        "load_after": round(os.getloadavg()[0], 1),
    }
    (ROOT / "benchmarks" / "results" / "lineage_diff.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
