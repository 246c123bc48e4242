"""What preparation takes, from the text to pairs that can be trained on: time, memory and disk; writes results/preparation.json.

    .venv/bin/python -m benchmarks.preparation CORPUS

Each build is a process of its own with its kernels compiled and loaded, and an empty store; one thread and two in turns. For memory the
first quarter of the corpus is built too, and the corpus four times: each copy begins with a line of its own, so that no shard of one is
found in another. Before a time counts: the sentences of a sample are those of the slow reference, all builds of a text gave the same
bytes, and the accounts of all stages add up (a build fails where one does not).
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, plain_text
from benchmarks.memory import peak_mb
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.words.text import shards_of
from pipeline.workers import DaskWorkers
from tests.reference import tokens as reference

SAMPLE_LINES = 300
LAST = "pairs"


def walk(texts: Sequence[Path], store: Path, threads: int, epochs: int) -> Run:
    """A run as far as its pairs."""
    configuration = parse_configuration(
        {"corpus": {"paths": list(map(str, texts))}, "pairs": {"epochs": epochs}, "cluster": {"threads": threads}}
    )
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store.absolute()), workers) as run:
        for step in run.steps:
            run.perform(step)
            if step.name == LAST:
                break
    return run


def check_sample(run: Run, sample: Path) -> None:
    """Stop unless the sentences of the sample are those of the slow reference."""
    expected, _ = reference.read_text(sample.read_text(encoding="utf-8"), True, False)
    found = []
    for shard in shards_of(run.made["tokenize"]):
        words = shard.lexicon()["token"].to_pylist()
        for text in shard.sentences():
            found += [[words[code] for code in text.codes[i:j]] for i, j in zip(text.offsets[:-1], text.offsets[1:], strict=True)]
    if found != expected:
        raise SystemExit("the sentences of the sample are not those of the reference")


def build_timed(scratch: Path, threads: int, epochs: int, texts: Sequence[Path]) -> dict[str, Any]:
    """Build once in this process, a sample first, which loads the kernels and Dask."""
    sample = scratch / "sample.txt"
    check_sample(walk([sample], scratch / "warm", threads, epochs), sample)
    run = walk(texts, scratch / "built", threads, epochs)
    steps = {record.step: record.elapsed_s for record in run.records}
    (vocabulary,) = run.made["vocabulary"]
    return {
        "threads": threads,
        "elapsed_s": {"corpus found and hashed": run.observing_s} | steps,
        "seconds": run.observing_s + sum(steps.values()),
        "peak_mb": peak_mb(),
        "disk_bytes": sum(record.size_bytes for record in run.records),
        "load": os.getloadavg()[0],  # more than the threads: others were at work
        "words": vocabulary.manifest.measures["words"],
        "digest": run.made[LAST][0].manifest.digest,
    }


def build(scratch: Path, threads: int, epochs: int, *texts: Path) -> dict[str, Any]:
    """One build in a new process and an empty store."""
    for name in ("built", "warm"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.preparation", str(scratch), "--build", str(threads), str(epochs), *map(str, texts)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


def quarter_of(text: Path) -> Path:
    """The first quarter of a text, to the end of a line."""
    path = text.with_name("quarter.txt")
    with text.open("rb") as whole, path.open("wb") as part:
        part.write(whole.read(text.stat().st_size // 4))
        part.write(whole.readline())
    return path


def copies_of(text: Path, n: int) -> list[Path]:
    """The text some times over."""
    paths = [text.with_name(f"copy-{number}.txt") for number in range(n)]
    for number, path in enumerate(paths):
        with text.open("rb") as whole, path.open("wb") as copy:
            copy.write(b"This is copy number %d.\n" % number)
            shutil.copyfileobj(whole, copy, 1 << 20)
    return paths


def figures(runs: Sequence[dict[str, Any]], text_bytes: int) -> dict[str, Any]:
    """Medians of times, and the scaling from one thread to two within each turn."""
    by_threads = {threads: [run for run in runs if run["threads"] == threads] for threads in (1, 2)}
    found: dict[str, Any] = {}
    for threads, some in by_threads.items():
        counted_s = [run["seconds"] - run["elapsed_s"][LAST] for run in some]
        found[f"{threads} threads"] = {
            "elapsed_s": round(statistics.median(run["seconds"] for run in some), 2),
            "text_to_counted_tokens_mb_per_s": round(text_bytes / 1e6 / statistics.median(counted_s), 1),
        } | {name: round(statistics.median(run["elapsed_s"][name] for run in some), 3) for name in some[0]["elapsed_s"]}
    ratios = [one["seconds"] / two["seconds"] for one, two in zip(by_threads[1], by_threads[2], strict=True)]
    return found | {"one thread to two": round(statistics.median(ratios), 2)}


def main() -> None:
    """Build in turns, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "preparation")
    parser.add_argument("--build", nargs="+", help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if settings.build:
        threads, epochs, *texts = settings.build
        print(json.dumps(build_timed(settings.corpus, int(threads), int(epochs), [Path(text) for text in texts])))
        return
    scratch = settings.scratch
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, scratch)
    text_bytes = text.stat().st_size
    with text.open("rb") as lines, (scratch / "sample.txt").open("wb") as sample:
        sample.writelines(line for line, _ in zip(lines, range(SAMPLE_LINES), strict=False))
    build(scratch, 2, 1, scratch / "sample.txt")  # compiles what is not compiled
    runs = [build(scratch, threads, 5, text) for _ in range(settings.turns) for threads in (1, 2)]
    sizes = {"a quarter": [quarter_of(text)], "once": [text], "four times": copies_of(text, 4)}
    turns = [(name, threads) for _ in range(settings.turns) for name in sizes for threads in (1, 2)]
    by_size: dict[str, list[dict[str, Any]]] = {name: [] for name in sizes}
    for name, threads in turns:
        by_size[name].append(build(scratch, threads, 1, *sizes[name]))
    if len({run["digest"] for run in runs}) != 1 or any(len({run["digest"] for run in some}) != 1 for some in by_size.values()):
        raise SystemExit("builds of one text gave different bytes")
    result = {
        "benchmark": "from the text to pairs on the disk, defaults, 5 epochs; memory and disk with 1",
        "corpus": settings.corpus.name,
        "text_bytes": text_bytes,
        "turns": settings.turns,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures(runs, text_bytes)
        | {
            "peak_mb with 2 threads": {
                name: round(statistics.median(run["peak_mb"] for run in some if run["threads"] == 2)) for name, some in by_size.items()
            },
            "words": {name: some[0]["words"] for name, some in by_size.items()},
            "disk_to_text": round(by_size["once"][0]["disk_bytes"] / text_bytes, 2),
        },
        "builds": runs,
        "builds_by_size": by_size,
    }
    (ROOT / "benchmarks" / "results" / "preparation.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["figures"], indent=1))


if __name__ == "__main__":
    main()
