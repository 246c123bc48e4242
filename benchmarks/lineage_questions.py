"""How long questions about a store of 1,000 artifacts take as whole commands; writes results/lineage_questions.json.

    .venv/bin/python -m benchmarks.lineage_questions CORPUS

The store is made by real runs, over 1,000 small files and over 1,000 shards of ten files. Before a time counts: `lineage` has named every
artifact with the digest of its manifest, and `why` has given the right reason. Times are medians of whole processes, and what of that is
this program's own work on a core (user and system) beside it.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, plain_text
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import InPlace

N_ARTIFACTS = 1000
BYTES_OF_ONE = 2_500
TURNS = 7
SETTLED_S = 5.5  # a file that was written a moment ago is hashed again


def made(text: Path, directory: Path, n_files: int) -> Path:
    """A finished run over so many files that are 1,000 shards together; its configuration file."""
    corpus = directory / "corpus"
    corpus.mkdir(parents=True)
    with text.open("rb") as lines:
        for number in range(n_files):
            parts = (b"".join(lines.readlines(BYTES_OF_ONE)) for _ in range(N_ARTIFACTS // n_files))
            (corpus / f"{number:04d}.txt").write_bytes(b"".join(parts))
    values: dict[str, dict[str, Any]] = {
        "corpus": {"paths": [str(corpus)], "shard_mb": 1e-3 if n_files < N_ARTIFACTS else 10},
        "train": {"dimensions": 16},
        "evaluate": {"similarity": ["wordsim353"]},
        "store": {"path": str(directory / "store")},
    }
    if n_files < N_ARTIFACTS:
        n_bytes = sum(path.stat().st_size for path in corpus.iterdir())
        values["corpus"]["shard_mb"] = n_bytes / N_ARTIFACTS / 1.2e6  # shards end at line borders, so there are fewer than by their size
    time.sleep(SETTLED_S)
    with Run(parse_configuration(values), Store(directory / "store"), InPlace()) as run:
        for step in run.steps:
            run.perform(step)
        run.finish("a benchmark")
    target = directory / "questions.toml"
    target.write_text(
        "\n".join(f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(one)}" for key, one in some.items()) for name, some in values.items())
    )
    return target


def asked(check: Callable[[str], None], *arguments: str) -> dict[str, float]:
    """Seconds that a command takes, on the clock and on the cores, once it is known that it answers rightly."""
    command = [str(Path(sys.executable).with_name("corpus2vec")), *arguments]
    elapsed, worked = [], []
    for _ in range(TURNS):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
        elapsed.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        check(done.stdout)
    return {"elapsed_s": round(statistics.median(elapsed), 3), "core_s": round(statistics.median(worked), 3)}


def names_all(store: Store) -> Callable[[str], None]:
    """A check of the JSON of lineage."""
    known = {artifact.manifest.key: artifact.manifest.digest for stage in store.stages() for artifact in store.artifacts(stage)}

    def check(answer: str) -> None:
        rows = {row["key"]: row["digest"] for row in json.loads(answer)["artifacts"]}
        if len(rows) < N_ARTIFACTS or any(known[key] != digest for key, digest in rows.items()):
            raise SystemExit(f"lineage names {len(rows)} artifacts")

    return check


def says(*parts: str) -> Callable[[str], None]:
    """A check of a sentence."""

    def check(answer: str) -> None:
        if not all(part in answer for part in parts):
            raise SystemExit(f"unexpected: {answer[:500]}")

    return check


def questions(config: Path) -> dict[str, dict[str, float]]:
    """The times of the questions about one store."""
    store = Store(config.parent / "store")
    here = ("--store", str(store.root))
    n = len(store.artifacts("tokenize"))
    return {
        "lineage": asked(says(f"tokenize  {n:,} artifacts", "wordsim353"), "lineage", "vectors", *here),
        "lineage --json": asked(names_all(store), "lineage", "vectors", "--json", *here),
        "why, reused": asked(says(f"all {n:,} artifacts have the same"), "why", "tokenize", str(config)),
        "why, another window": asked(says("pairs.window is 3 now and was 5"), "why", "train", str(config), "--set", "pairs.window=3"),
        "why, another tokenizer": asked(
            says("would run: tokenize.lowercase is false now and was true"),
            "why",
            "tokenize",
            str(config),
            "--set",
            "tokenize.lowercase=false",
        ),
    }


def main() -> None:
    """Measure, validate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "lineage_questions")
    settings = parser.parse_args()
    scratch = settings.scratch.absolute()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, scratch)
    figures: dict[str, Any] = {}
    for name, n_files in (("1,000 files", N_ARTIFACTS), ("1,000 shards of 10 files", 10)):
        figures[name] = questions(made(text, scratch / str(n_files), n_files))
    result = {
        "benchmark": "questions about a store of 1,000 artifacts",
        "corpus": settings.corpus.name,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count(), "others_at_work": round(os.getloadavg()[0], 1)},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "turns": TURNS,
        "figures": figures,
    }
    print(json.dumps(figures, indent=1))
    (ROOT / "benchmarks" / "results" / "lineage_questions.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
