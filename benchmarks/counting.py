"""How fast words and phrases are counted, and what that takes of memory, beside gensim; writes results/counting.json.

    .venv/bin/python -m benchmarks.counting CORPUS

Each of our builds is a process of its own with its kernels compiled and loaded, from the text to artifacts that have reached the disk,
one thread and two in turns. Before a time counts: the words and their counts, the phrases and every bit of their scores, and the number
of tokens when they are joined are those of gensim, and all builds gave the same bytes.
"""

import argparse
import json
import operator
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, gensim_python, plain_text
from benchmarks.memory import peak_mb
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.schemas import PHRASES, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import read_table
from pipeline.workers import DaskWorkers

SAMPLE_LINES = 300
STEPS = ("tokenize", "phrases-1", "vocabulary", "vocabulary of plain text")
# What is compared: parts of gensim's time, and our steps. The step of phrases counts, scores, joins and writes.
KINDS = ("elapsed_s", "cpu_s")
CASES = {
    "text to counted words": (("tokenize", "vocabulary"), ("tokenize", "vocabulary of plain text")),
    "phrases, counted": (("phrases",), ("phrases-1",)),
    "phrases, counted and joined": (("phrases", "join"), ("phrases-1",)),
}


def walk(text: Path, store: Path, threads: int, counting_mb: float, connectors: bool, *, phrases: bool) -> tuple[Run, dict[str, float]]:
    """A run as far as its vocabulary, of the text as it is or with phrases; and seconds of a core that each step took."""
    cpu_s = {}
    configuration = parse_configuration(
        {
            "corpus": {"paths": [str(text)]},
            "phrases": {"thresholds": [10.0] if phrases else [], "connector_words": "english" if phrases and connectors else []},
            "cluster": {"threads": threads, "counting_mb": counting_mb},
        }
    )
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store.absolute()), workers) as run:
        for step in run.steps:
            before_s = time.process_time()
            run.perform(step)
            cpu_s[step.name] = time.process_time() - before_s
            if step.name == "vocabulary":
                break
    return run, cpu_s


def build_timed(scratch: Path, threads: int, counting_mb: float, connectors: bool) -> dict[str, Any]:
    """Build once in this process, a sample first, which loads the kernels and Dask."""
    walk(scratch / "sample.txt", scratch / "warm", threads, counting_mb, connectors, phrases=True)
    before_mb = peak_mb()
    run, cpu_s = walk(scratch / "corpus.txt", scratch / "built", threads, counting_mb, connectors, phrases=True)
    after_mb = peak_mb()
    plain, plain_cpu_s = walk(scratch / "corpus.txt", scratch / "built", threads, counting_mb, connectors, phrases=False)
    elapsed = {record.step: record.elapsed_s for record in run.records}
    elapsed["vocabulary of plain text"] = next(record.elapsed_s for record in plain.records if record.step == "vocabulary")
    cpu_s["vocabulary of plain text"] = plain_cpu_s["vocabulary"]
    found = read_table(run.made["phrases-1"][0].path("phrases.parquet"), PHRASES).to_pylist()
    words = read_table(plain.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY).to_pylist()
    counted = {
        "words": {row["token"]: row["count"] for row in words},
        "phrases": {"_".join([row["first"], *row["connectors"], row["second"]]): row["score"] for row in found},
    }
    (scratch / "ours.json").write_text(json.dumps(counted))
    return {
        "threads": threads,
        "counting_mb": counting_mb,
        "elapsed_s": {name: elapsed[name] for name in STEPS},
        "cpu_s": {name: cpu_s[name] for name in STEPS},
        "before_mb": before_mb,
        "peak_mb": after_mb,
        "load": os.getloadavg()[0],  # more than the threads: others were at work
        "n_joined": run.made["phrases-1"][0].manifest.measures["tokens"],
        "digests": [artifact.manifest.digest for step in ("phrases-1", "vocabulary") for artifact in run.made[step]],
    }


def build(scratch: Path, *arguments: object) -> dict[str, Any]:
    """One build in a new process and an empty store."""
    shutil.rmtree(scratch / "built", ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.counting", str(scratch), "--build", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def compare(scratch: Path, theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> None:
    """Stop unless both sides counted the same."""
    found, expected = (json.loads((scratch / name).read_text()) for name in ("ours.json", "counted.json"))
    if found != expected:
        raise SystemExit("words, phrases or scores differ from gensim's")
    if {run["n_joined"] for run in ours} != {run["n_joined"] for run in theirs} or len({str(run["digests"]) for run in ours}) != 1:
        raise SystemExit("the joined texts differ")


def figures(runs: list[dict[str, Any]], theirs: list[dict[str, Any]], text_bytes: int) -> dict[str, Any]:
    """Medians of times and MB a second, and of the ratios to gensim's within each turn: by the clock, and by the work of cores, which a
    busy machine changes less.
    """
    found: dict[str, Any] = {}
    for name, (of_gensim, of_ours) in CASES.items():
        gensim = {kind: [sum(run[kind][part] for part in of_gensim) for run in theirs] for kind in KINDS}
        case: dict[str, Any] = {"gensim_s": round(statistics.median(gensim["elapsed_s"]), 2)}
        for threads in (1, 2):
            these = [run for run in runs if run["threads"] == threads]
            ours = {kind: [sum(run[kind][step] for step in of_ours) for run in these] for kind in KINDS}
            ratios = {kind: statistics.median(map(operator.truediv, gensim[kind], ours[kind])) for kind in KINDS}
            seconds = statistics.median(ours["elapsed_s"])
            case[str(threads)] = {
                "elapsed_s": round(seconds, 3),
                "cpu_s": round(statistics.median(ours["cpu_s"]), 3),
                "to_gensim": round(ratios["elapsed_s"], 2),
                "cpu_to_gensim": round(ratios["cpu_s"], 2),
                "mb_per_s": round(text_bytes / 1e6 / seconds, 1),
            }
        case["one thread to two"] = round(case["1"]["elapsed_s"] / case["2"]["elapsed_s"], 2)
        found[name] = case
    return found


def figures_in_little(runs: list[dict[str, Any]], in_little: list[dict[str, Any]]) -> dict[str, float]:
    """The step of phrases with two threads and little memory: its time, and how much the process grew, beside those in 512 MB."""

    def median(some: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> float:
        return round(statistics.median(value(run) for run in some if run["threads"] == 2), 3)

    return {
        "elapsed_s": median(in_little, lambda run: run["elapsed_s"]["phrases-1"]),
        "elapsed_s in 512 MB": median(runs, lambda run: run["elapsed_s"]["phrases-1"]),
        "grew_mb": median(in_little, lambda run: run["peak_mb"] - run["before_mb"]),
        "grew_mb in 512 MB": median(runs, lambda run: run["peak_mb"] - run["before_mb"]),
    }


def main() -> None:
    """Build in turns, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "counting")
    parser.add_argument("--build", nargs=3, metavar=("THREADS", "MB", "CONNECTORS"), help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.build:
        threads, counting_mb, connectors = settings.build
        print(json.dumps(build_timed(settings.corpus, int(threads), float(counting_mb), connectors == "True")))
        return
    scratch = settings.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, scratch)
    with text.open("rb") as lines, (scratch / "sample.txt").open("wb") as sample:
        sample.writelines(line for line, _ in zip(lines, range(SAMPLE_LINES), strict=False))
    side = Path(__file__).with_name("gensim_counting.py")
    result: dict[str, Any] = {
        "benchmark": "words and phrases counted: min_count 5, gensim's scores, threshold 10",
        "corpus": settings.corpus.name,
        "text_bytes": text.stat().st_size,
        "turns": settings.turns,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    for name, connectors in (("plain", False), ("english connector words", True)):
        option = ["--connectors"] * connectors
        command = [str(gensim_python()), str(side), str(text), str(scratch), *option]
        theirs, runs = [], []
        for _ in range(settings.turns):
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            theirs.append(json.loads(done.stdout.splitlines()[-1]))
            runs += [build(scratch, threads, 512, connectors) for threads in (1, 2)]
        runs_in_little = [build(scratch, 2, 32, connectors)]
        compare(scratch, theirs, [*runs, *runs_in_little])
        result[name] = {
            "figures": figures(runs, theirs, result["text_bytes"]),
            "in 32 MB": figures_in_little(runs, runs_in_little),
            "gensim": theirs,
            "runs": runs + runs_in_little,
        }
        print(json.dumps(result[name]["figures"] | result[name]["in 32 MB"], indent=1), flush=True)
    target = ROOT / "benchmarks" / "results" / "counting.json"
    target.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
