"""What shards cost in quality: scores of reproducible training for several numbers of shards, against one sequential thread.

    make bench CORPUS=/data/text.txt.xz

Everything up to the pairs is made once for each seed. Validated before it counts: every run trained every centre, all vectors are finite,
and analogies are above a floor. Accuracies do not depend on how busy the machine is; the times do, and are not reported.
"""

import argparse
import json
import os
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.against_gensim import ROOT, plain_text, scores
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.vectors import read_vectors
from pipeline.workers import DaskWorkers

SHARDS = (1, 2, 4, 8, 16)  # one shard is one sequential thread


def train(text: Path, store: Path, seed: int, shards: int) -> dict[str, float]:
    """Train once, and score."""
    sections = {"corpus": {"paths": [str(text)]}, "pairs": {"seed": seed}, "train": {"seed": seed, "shards": shards}}
    configuration = parse_configuration(sections)
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store), workers) as run:
        for step in run.steps[:-1]:
            run.perform(step)
    artifact = run.made["train"][0]
    found = scores(read_vectors(artifact.path(VECTORS_FILE)))
    shutil.rmtree(artifact.directory)
    return {"seed": seed, "shards": shards, "loss": artifact.manifest.measures["loss"], **found}


def main() -> None:
    """Run all, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "shards")
    settings = parser.parse_args()
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, settings.scratch)
    runs = []
    for seed in range(1, settings.seeds + 1):
        for shards in SHARDS:
            runs.append(train(text, settings.scratch / "store", seed, shards))
            print(json.dumps(runs[-1]), flush=True)
    means = {
        str(shards): {
            name: round(statistics.mean(run[name] for run in runs if run["shards"] == shards), 4)
            for name in ("analogies", "wordsim353", "loss")
        }
        for shards in SHARDS
    }
    lost = {shards: round(100 * (means["1"]["analogies"] - found["analogies"]), 2) for shards, found in means.items()}
    result = {
        "benchmark": "reproducible training by number of shards: defaults of the configuration, mean of the seeds",
        "corpus": settings.corpus.name,
        "seeds": settings.seeds,
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": {"means": means, "points_lost": lost},
        "runs": runs,
    }
    target = ROOT / "benchmarks" / "results" / f"shards-{settings.corpus.name.split('.')[0]}.json"
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["figures"], indent=1))


if __name__ == "__main__":
    main()
