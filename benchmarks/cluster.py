"""Training on worker processes against threads of one process: the same bytes, the time, and what is moved; writes one JSON file.

    python -m benchmarks.cluster                          on the shipped sample
    python -m benchmarks.cluster /data/text.txt.xz        on any text file

Everything up to the pairs is made once. Validated before it counts: all runs gave the same bytes, all vectors are finite, and analogies are
above a floor. The tables of docs/cluster.md are written from the file. Workers share this machine: where there are fewer cores than workers
the times say what is lost, not what is won.
`project` computes the time on larger corpora and real networks from the measured figures; its assumptions are in the file too.
"""

import argparse
import json
import math
import os
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, plain_text, scores
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.training.schedule import ROUND
from pipeline.vectors import read_vectors
from pipeline.workers import DaskWorkers

SHARDS = 4
RUNS = {
    "one thread": {"threads": 1},
    "threads": {"threads": SHARDS},
    "1 worker": {"processes": 1},
    "2 workers": {"processes": 2},
    "4 workers": {"processes": 4},
}
KEPT = ("training_s", "threads", "workers", "exchange_s", "exchange_bytes", "exchange_rounds", "loss")
WORDS = (1e9, 1e10, 1e11)
WORKERS = (1, 2, 4, 8, 16, 32, 64)
NETWORKS = {  # bytes a second, seconds from one worker to another
    "10 Gbit/s": (1.25e9, 50e-6),
    "100 Gbit/s": (12.5e9, 20e-6),
}


def train(text: Path, store: Path, cluster: dict[str, int], epochs: int) -> dict[str, Any]:
    """Train once; nothing of it is left but the pairs."""
    sections = {"corpus": {"paths": [str(text)]}, "pairs": {"epochs": epochs}, "train": {"shards": SHARDS}, "cluster": cluster}
    configuration = parse_configuration(sections)
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store), workers) as run:
        for step in run.steps[:-1]:
            run.perform(step)
    artifact = run.made["train"][0]
    measures = artifact.manifest.measures
    found: dict[str, Any] = {name: measures[name] for name in KEPT if name in measures}
    found |= {"digest": artifact.manifest.digest, "words": run.made["pairs"][0].manifest.measures["tokens"] / epochs}
    found |= {"centres": artifact.manifest.tallies[0].n_kept, **scores(read_vectors(artifact.path(VECTORS_FILE)))}
    shutil.rmtree(artifact.directory)
    return found


def figures_of(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Medians of one kind of run; bytes and times for each round, which is `ROUND` centres of all shards."""
    figures = {}
    for name in RUNS:
        of_kind = [run for run in runs if run["run"] == name]
        (one, *_) = of_kind
        training_s = statistics.median(run["training_s"] for run in of_kind)
        figures[name] = {"training_s": round(training_s, 2), "centres_per_s": round(one["centres"] / training_s)}
        if "workers" in one:
            exchange_s = statistics.median(run["exchange_s"] for run in of_kind)
            figures[name] |= {
                "exchange_share": round(statistics.median(run["exchange_s"] / run["training_s"] for run in of_kind), 3),
                "exchange_us_a_round": round(1e6 * exchange_s / one["exchange_rounds"], 1),
                "bytes_a_round": round(one["exchange_bytes"] / one["exchange_rounds"]),
            }
    return figures


def project(figures: dict[str, dict[str, float]], centres_a_word: float) -> dict[str, Any]:
    """Hours of training by network, words and workers, each worker having one core and one shard or more.

    A round takes ROUND / (workers * centres a second of a core), then the local part of the merge as measured with one worker, then
    2 * ceil(log2 workers) messages one after the other, each costing the latency and its bytes over the bandwidth.
    """
    most = figures[f"{SHARDS} workers"]
    assumed: dict[str, Any] = {
        "centres_per_s_of_a_core": figures["one thread"]["centres_per_s"],
        "centres_a_word": round(centres_a_word, 4),
        "epochs": 5,
        "merge_s_a_round": figures["1 worker"]["exchange_us_a_round"] / 1e6,
        "bytes_a_message": round(most["bytes_a_round"] / (2 * (SHARDS - 1))),
        "networks": {name: {"bytes_per_s": speed, "latency_s": latency} for name, (speed, latency) in NETWORKS.items()},
        "not in it": "a larger vocabulary sends more; reading pairs, starting, checkpoints; more shards cost quality",
    }

    def hours(words: float, workers: int, speed: float, latency: float) -> float:
        rounds = words * assumed["epochs"] * centres_a_word / ROUND
        round_s = ROUND / (workers * assumed["centres_per_s_of_a_core"]) + assumed["merge_s_a_round"]
        hops = 2 * math.ceil(math.log2(workers))
        return rounds * (round_s + hops * (latency + assumed["bytes_a_message"] / speed)) / 3600

    table = {
        name: {f"{words:.0e} words": {str(workers): round(hours(words, workers, *network), 2) for workers in WORKERS} for words in WORDS}
        for name, network in NETWORKS.items()
    }
    return {"assumed": assumed, "hours": table}


def write_document(result: dict[str, Any]) -> None:
    """Put the figures into docs/cluster.md, between their marks."""
    machine, assumed = result["machine"], result["projection"]["assumed"]
    lines = [
        f"`{result['corpus']}`, {result['settings']['epochs']} epochs, {SHARDS} shards; {machine['cpu']}, {machine['cores']} cores",
        "that all share, so more workers cannot be faster here; medians of "
        f"{result['settings']['repeats']}. All gave the same bytes; analogies {result['analogies']:.1%}. "
        f"Commit `{result['versions']['commit']}`.",
        "",
        "| | training, s | centres/s | of it in merges | merge, ms a round | sent by all, MB a round |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, found in result["figures"].items():
        merges = "| | | |"
        if "bytes_a_round" in found:
            times = f"{found['exchange_share']:.0%} | {found['exchange_us_a_round'] / 1e3:.2f}"
            merges = f"| {times} | {found['bytes_a_round'] / 1e6:.2f} |"
        lines.append(f"| {name} | {found['training_s']:.1f} | {found['centres_per_s']:,} {merges}")
    lines += [
        "",
        f"Assumed: {assumed['epochs']} epochs, {assumed['centres_a_word']:.2f} centres a word, workers of one core with "
        f"{assumed['centres_per_s_of_a_core']:,} centres/s, {1e3 * assumed['merge_s_a_round']:.2f} ms of",
        f"merging a round without network, messages of {assumed['bytes_a_message'] / 1e6:.2f} MB, "
        + ", ".join(f"{1e6 * network['latency_s']:.0f} us a message at {name}" for name, network in assumed["networks"].items())
        + f".\nNot in it: {assumed['not in it']}.",
        "",
        "| hours | " + " | ".join(map(str, WORKERS)) + " |",
        "|---|" + "---:|" * len(WORKERS),
    ]
    for name, table in result["projection"]["hours"].items():
        for words, hours in table.items():
            lines.append(f"| {words}, {name} | " + " | ".join(f"{hours[str(n)]:,.1f}" for n in WORKERS) + " |")
    path = ROOT / "docs" / "cluster.md"
    before, _, rest = path.read_text().partition("<!-- figures -->")
    after = rest.partition("<!-- /figures -->")[2]
    path.write_text(before + "<!-- figures -->\n" + "\n".join(lines) + "\n<!-- /figures -->" + after)


def main() -> None:
    """Run all, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?", default=ROOT / "data" / "wiki-20mb.txt.xz")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "cluster")
    settings = parser.parse_args()
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, settings.scratch)
    for cluster in (RUNS["threads"], RUNS["1 worker"]):  # compiles, and makes the pairs
        train(text, settings.scratch / "store", cluster, settings.epochs)
    runs = []
    for _ in range(settings.repeats):
        for name, cluster in RUNS.items():
            runs.append({"run": name} | train(text, settings.scratch / "store", cluster, settings.epochs))
            print(json.dumps(runs[-1]), flush=True)
    if len({run["digest"] for run in runs}) != 1:
        raise SystemExit("the runs did not give the same bytes")
    figures = figures_of(runs)
    result = {
        "benchmark": f"training with {SHARDS} shards: threads of one process against worker processes on the same machine",
        "corpus": settings.corpus.name,
        "settings": {"epochs": settings.epochs, "repeats": settings.repeats, "round_centres": ROUND},
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "same_bytes": runs[0]["digest"],
        "analogies": runs[0]["analogies"],
        "figures": figures,
        "projection": project(figures, runs[0]["centres"] / (settings.epochs * runs[0]["words"])),
        "runs": runs,
    }
    target = ROOT / "benchmarks" / "results" / "cluster.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    write_document(result)
    print(json.dumps(figures | result["projection"], indent=1))


if __name__ == "__main__":
    main()
