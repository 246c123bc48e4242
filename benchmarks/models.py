"""Every model and loss on the same pairs and counts, beside gensim where it has the model.

    python -m benchmarks.models /data/text.txt.xz           scores: results/models-TEXT.json
    python -m benchmarks.models /data/text.txt.xz --only "hierarchical softmax"    these of ours anew, all others as they were
    python -m benchmarks.models /data/text.txt.xz --speed   words a second, of fewer epochs: results/models_speed-TEXT.json

For each seed all of ours, in reproducible and in shared mode where both exist, and gensim's, one after the other. Validated before
a time counts: all vectors are finite, the analogies are above a floor, and both sides counted the same words. Reported are means of
scores, medians of speeds, and those of the ratios within each seed. gensim trains CBOW as word2vec does: at its own default rate,
and once more at the one of ours.
"""

import argparse
import json
import os
import shutil
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, gensim_python, plain_text, run_gensim, scores
from pipeline.configuration_file import parse_configuration
from pipeline.environment import environment
from pipeline.run import Run
from pipeline.sides import side_of
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.vectors import USUAL, read_vectors
from pipeline.workers import DaskWorkers

SKIP_GRAM, CBOW = {"model": "skip_gram"}, {"model": "cbow"}
TREE, NCE = {"loss": "hierarchical_softmax"}, {"loss": "nce"}
SHARED = {"mode": "shared"}
AS_WORD2VEC = {"cbow_hidden": "mean_word2vec"}
OURS: dict[str, dict[str, Any]] = {
    "skip-gram, negative sampling": SKIP_GRAM,
    "skip-gram, negative sampling, shared": SKIP_GRAM | SHARED,
    "skip-gram, NCE": SKIP_GRAM | NCE,
    "skip-gram, NCE, shared": SKIP_GRAM | NCE | SHARED,
    "skip-gram, hierarchical softmax": SKIP_GRAM | TREE,
    "skip-gram, hierarchical softmax, shared": SKIP_GRAM | TREE | SHARED,
    "CBOW, negative sampling": CBOW,
    "CBOW, negative sampling, shared": CBOW | SHARED,
    "CBOW as word2vec, negative sampling": CBOW | AS_WORD2VEC,
    "CBOW, NCE": CBOW | NCE,
    "CBOW, hierarchical softmax": CBOW | TREE,
    "CBOW, hierarchical softmax, shared": CBOW | TREE | SHARED,
    "CBOW as word2vec, hierarchical softmax": CBOW | TREE | AS_WORD2VEC,
    "GloVe": {"model": "glove"},
    "PPMI-SVD": {"model": "ppmi_svd"},
}
GENSIM: dict[str, dict[str, Any]] = {
    "skip-gram, negative sampling": SKIP_GRAM,
    "skip-gram, hierarchical softmax": SKIP_GRAM | TREE,
    "CBOW, negative sampling": CBOW,
    "CBOW as word2vec, negative sampling": CBOW | {"rate": 0.05},
    "CBOW, hierarchical softmax": CBOW | TREE,
    "CBOW as word2vec, hierarchical softmax": CBOW | TREE | {"rate": 0.05},
}
EPOCHS, EPOCHS_OF_SPEED = 5, 2


def train(text: Path, store: Path, seed: int, epochs: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one model once; what is before it stays in the store."""
    configuration = parse_configuration(
        {"corpus": {"paths": [str(text)]}, "pairs": {"seed": seed, "epochs": epochs}, "train": {"seed": seed} | settings}
    )
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(store), workers) as run:
        for step in run.steps[:-1]:
            run.perform(step)
    (artifact,) = run.made["train"]
    measures = dict(artifact.manifest.measures)
    train_s = measures.get("training_s", artifact.manifest.elapsed_s)
    found = {"train_s": train_s, **scores(read_vectors(artifact.path(VECTORS_FILE), side_of(artifact, USUAL)))}
    shutil.rmtree(artifact.directory)
    return found | {"n_words": measures["words"], "loss": measures.get("loss"), "commit": environment()["commit"]}


def means(runs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The scores of each model; other work on the machine changes none."""
    names = [name for name in runs[0] if name != "seed"]
    return {
        name: {score: round(statistics.mean(run[name][score] for run in runs), 4) for score in ("analogies", "wordsim353")}
        for name in names
    }


def speeds(runs: list[dict[str, Any]], epochs: int) -> dict[str, dict[str, float]]:
    """How fast each model is trained, and how many times as fast as by gensim within one seed."""
    n_words = runs[0][f"gensim: {next(iter(GENSIM))}"]["n_tokens"] * epochs
    figures: dict[str, dict[str, float]] = {}
    for name in (name for name in runs[0] if name != "seed"):
        figures[name] = {"words_per_s": round(statistics.median(n_words / run[name]["train_s"] for run in runs))}
        peer = f"gensim: {name.removesuffix(', shared')}"
        if peer in runs[0]:
            figures[name]["to gensim"] = round(statistics.median(run[peer]["train_s"] / run[name]["train_s"] for run in runs), 2)
    return figures


def main() -> None:
    """Run all, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "models")
    parser.add_argument("--only", default="", help="part of the names of those that changed; all others, and gensim's, are as committed")
    parser.add_argument("--speed", action="store_true", help="fewer epochs, and no models that have none")
    settings = parser.parse_args()
    if settings.only and settings.speed:
        parser.error("speeds are those of one run: --only does not go with --speed")
    settings.threads, settings.dimensions, settings.epochs = 2, 100, EPOCHS_OF_SPEED if settings.speed else EPOCHS
    ours = {name: model for name, model in OURS.items() if not settings.speed or model["model"] in ("skip_gram", "cbow")}
    ours = {name: model for name, model in ours.items() if settings.only in name}
    if not ours:
        parser.error(f"--only: no model is called so: {', '.join(OURS)}")
    kind = "models_speed" if settings.speed else "models"
    target = ROOT / "benchmarks" / "results" / f"{kind}-{settings.corpus.name.split('.')[0]}.json"
    runs: list[dict[str, Any]] = [{"seed": seed} for seed in range(1, settings.seeds + 1)]
    if settings.only:
        runs = json.loads(target.read_text())["runs"]
    python = None if settings.only else gensim_python()
    shutil.rmtree(settings.scratch, ignore_errors=True)
    settings.scratch.mkdir(parents=True)
    text, store = plain_text(settings.corpus, settings.scratch), settings.scratch / "store"
    again: dict[str, Any] = {}
    for run in runs:
        seed = run["seed"]
        for name, model in ours.items():
            run[name] = train(text, store, seed, settings.epochs, model)
            if name in GENSIM and python:
                theirs = run_gensim(python, text, settings.scratch, settings, seed, **GENSIM[name], **again)
                again = {"tokenized": True}
                if theirs["n_words"] != run[name]["n_words"]:
                    raise SystemExit("the two sides did not count the same words")
                run[f"gensim: {name}"] = {key: theirs[key] for key in ("train_s", "analogies", "wordsim353", "n_tokens")}
            print(json.dumps({name: run[name]}), flush=True)
    figures = speeds(runs, settings.epochs) if settings.speed else means(runs)
    result = {
        "benchmark": f"the whole family: 100 dimensions, window 5 (counts: 10), {settings.epochs} epochs (GloVe: 25), defaults otherwise",
        "corpus": settings.corpus.name,
        "seeds": len(runs),
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures,
        "runs": runs,
    }
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
