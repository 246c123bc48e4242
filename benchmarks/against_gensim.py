"""Training, end to end, against gensim: the same text, tokens and settings, side by side, for several seeds; writes one JSON file.

    make bench                                  on the shipped sample
    make bench CORPUS=/data/text.txt.xz         on any text file

For each seed: ours end to end, then only the training in shared mode and with one thread, then gensim. At last training alone, without
the processes around it, an epoch with one and with two threads in turns. Every result is validated before its time counts: all sides
trained on the same tokens (compared by digest), all vectors are finite, the analogies are above a floor, and reproducible training gave the
same bytes with one thread. Reported are medians over seeds, and ratios within each seed, because machines are noisy.
"""

import argparse
import json
import lzma
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.memory import watch_memory
from pipeline.choices import AnalogyMethod, TrainMode
from pipeline.configuration import Train
from pipeline.environment import environment
from pipeline.scoring.analogies import score_analogies
from pipeline.scoring.evaluation_sets import shipped_sets
from pipeline.scoring.questions import read_questions
from pipeline.scoring.rated_pairs import read_pairs
from pipeline.scoring.similarity import score_similarity
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.training.pair_files import cut_blocks
from pipeline.training.task import Task
from pipeline.training.threads import Threads
from pipeline.vectors import Vectors, read_vectors
from pipeline.words.text import shards_of

ROOT = Path(__file__).parents[1]
GENSIM = "gensim==4.4.0"
TURNS = 7
# What is trained alone; two shards are as many as there are threads.
ALONE: dict[str, dict[str, Any]] = {"shared": {"mode": "shared"}, "reproducible": {}, "reproducible with two shards": {"shards": 2}}
FLOOR = 0.05  # analogies below this mean that something is broken
BEFORE_TRAINING = ("snapshot", "tokenize", "vocabulary", "pairs")


def gensim_python() -> Path:
    """The interpreter of an environment of its own with gensim in it."""
    home = ROOT / ".bench"
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GENSIM], check=True)
    return python


def plain_text(corpus: Path, scratch: Path) -> Path:
    """The corpus as a plain text file: decompression is part of neither side's time."""
    text = scratch / "corpus.txt"
    with lzma.open(corpus) if corpus.suffix == ".xz" else corpus.open("rb") as source, text.open("wb") as target:
        shutil.copyfileobj(source, target)
    return text


def run_ours(
    text: Path, scratch: Path, settings: argparse.Namespace, seed: int, mode: str, threads: int, *, anew: bool = False
) -> dict[str, Any]:
    """The real command; its times, its peak memory over all its processes, its scores. `anew`: with nothing to reuse."""
    store = scratch / "store"
    for stage in store.glob("[!.]*" if anew else "train"):  # not Prefect's database: a new corpus in an old project
        shutil.rmtree(stage)
    values = {
        "corpus.paths": str(text),
        "pairs.epochs": settings.epochs,
        "pairs.seed": seed,
        "train.seed": seed,
        "train.dimensions": settings.dimensions,
        "train.mode": mode,
        "cluster.threads": threads,
    }
    arguments = [f"--set={key}={value}" for key, value in values.items()]
    environ = os.environ | {"CORPUS2VEC_STORE": str(store), "NUMBA_CACHE_DIR": str(scratch / "numba")}
    started = time.perf_counter()
    command = [str(Path(sys.executable).with_name("corpus2vec")), "train", "--json", *arguments]
    child = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    peak = [0]
    watcher = threading.Thread(target=watch_memory, args=(child.pid, peak), daemon=True)
    watcher.start()
    output, _ = child.communicate()
    elapsed_s = time.perf_counter() - started
    if child.returncode:
        raise SystemExit(f"our command failed:\n{output}")
    record = json.loads(output.splitlines()[-1])
    steps = {step["step"]: step for step in record["steps"]}
    train = Store(store).find("train", steps["train"]["keys"][0])
    assert train
    return {
        "elapsed_s": elapsed_s,
        "text_to_pairs_s": record["observing_s"] + sum(steps[name]["elapsed_s"] for name in BEFORE_TRAINING),
        "train_s": train.manifest.measures["training_s"],
        "peak_memory_mb": peak[0] / 1e6,
        "vectors_sha256": train.manifest.digest,
        "disk_mb": sum(step["size_bytes"] for step in record["steps"]) / 1e6,
        "keys": {name: steps[name]["keys"] for name in ("vocabulary", "pairs")},
        "tokens_sha256": digest_of_tokens(store, steps["tokenize"]["keys"]),
        **scores(read_vectors(train.path(VECTORS_FILE))),
    }


def digest_of_tokens(store: Path, keys: list[str]) -> str:
    """SHA-256 of our tokens written as gensim reads them: a sentence a line, a space between tokens."""
    digest = sha256()
    artifacts = [artifact for key in keys if (artifact := Store(store).find("tokenize", key))]
    for shard in shards_of(artifacts):
        words = np.array(shard.lexicon()["token"].to_pylist(), dtype=object)
        for text in shard.sentences():
            found = words[text.codes]
            lines = [" ".join(found[begin:end]) for begin, end in zip(text.offsets[:-1], text.offsets[1:], strict=True)]
            digest.update(("\n".join(lines) + "\n").encode())
    return digest.hexdigest()


def train_alone(store: Path, keys: dict[str, list[str]], settings: argparse.Namespace) -> dict[str, Any]:
    """Nanoseconds a centre of the first epoch, trained by the trainers alone, in turns; also the ratios within each turn."""
    pairs, vocabulary = (Store(store).find(stage, keys[stage][0]) for stage in ("pairs", "vocabulary"))
    assert pairs
    assert vocabulary
    digests: dict[str, set[str]] = {way: set() for way in ALONE}

    def seconds(way: str, n_threads: int) -> float:
        train = Train(dimensions=settings.dimensions, **ALONE[way])
        task = Task(train, vocabulary, pairs)
        files = [file for file in task.files() if file.epoch == 0]
        shared = train.mode is TrainMode.SHARED
        with Threads(task.model(), task.schedule(), files, n_threads, shared=shared) as trainer:
            started = time.perf_counter()
            tallies = np.array([trainer.train(block) for block in cut_blocks(files, trainer.round_centres, trainer.cycle_rounds)])
            elapsed_s = time.perf_counter() - started
            loss_sum, n_pairs, n_centres = tallies.sum(axis=0).tolist()
            if not 0 < loss_sum / n_pairs < 6 * np.log(2) or not np.isfinite(trainer.model.input).all():
                raise SystemExit(f"not a result: a loss of {loss_sum / n_pairs}")
            if not shared:
                digests[way].add(sha256(trainer.model.input.data).hexdigest())
        return 1e9 * elapsed_s / n_centres

    n = settings.threads
    turns = [{way: {threads: seconds(way, threads) for threads in (n, 1)} for way in ALONE} for _ in range(TURNS)]
    if any(len(found) > 1 for found in digests.values()):
        raise SystemExit("the vectors depend on the number of threads")
    ratios = {f"{way}, one thread to two": [turn[way][1] / turn[way][n] for turn in turns] for way in ALONE}
    ratios |= {f"{way} to shared": [turn["shared"][n] / turn[way][n] for turn in turns] for way in ALONE if way != "shared"}
    return {"ns_a_centre": turns} | {name: round(statistics.median(found), 3) for name, found in ratios.items()}


def run_gensim(python: Path, text: Path, scratch: Path, settings: argparse.Namespace, seed: int, **model: Any) -> dict[str, Any]:
    """gensim on the same text; its times and scores."""
    side = Path(__file__).with_name("gensim_side.py")
    options = {"seed": seed, "workers": settings.threads, "dimensions": settings.dimensions, "epochs": settings.epochs} | model
    arguments = [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run([str(python), str(side), str(text), str(scratch), *arguments], check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout.splitlines()[-1])
    words, counts = json.loads((scratch / "words.json").read_text())
    # Ties in our order, so that both sides have the same 30,000 candidates.
    order = sorted(range(len(words)), key=lambda row: (-counts[row], words[row].encode()))
    matrix = np.load(scratch / "vectors.npy")[order]
    vectors = Vectors(pa.array([words[row] for row in order]), np.array(counts)[order], matrix)
    elapsed_s = report["tokenize_s"] + report["vocabulary_s"] + report["train_s"]
    return {**report, "elapsed_s": elapsed_s, **scores(vectors)}


def scores(vectors: Vectors) -> dict[str, float]:
    """Analogies (30,000 candidates) and WordSim-353, by one piece of code for both sides; stops when they make no sense."""
    sets = shipped_sets()
    total = score_analogies(vectors, read_questions(sets["questions-words"]), 30_000, AnalogyMethod.COS_ADD, lowercase=True)[-1]
    similarity = score_similarity(vectors, read_pairs(sets["wordsim353"]), lowercase=True)
    if not np.isfinite(vectors.matrix).all() or not (total.accuracy or 0) > FLOOR or similarity.rho is None:
        raise SystemExit(f"not a result: analogies {total.accuracy}, WordSim-353 {similarity.rho}")
    return {"analogies": total.accuracy or 0.0, "n_asked": total.n_asked, "wordsim353": similarity.rho}


def main() -> None:
    """Run all seeds, check, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dimensions", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "scratch")
    settings = parser.parse_args()
    python = gensim_python()
    for left in ("store", "numba"):  # the first seed compiles, before it trains, and creates Prefect's database
        shutil.rmtree(settings.scratch / left, ignore_errors=True)
    settings.scratch.mkdir(parents=True, exist_ok=True)
    text = plain_text(settings.corpus, settings.scratch)
    pairs = []
    for seed in range(1, settings.seeds + 1):
        ours = {"reproducible": run_ours(text, settings.scratch, settings, seed, "reproducible", settings.threads, anew=True)}
        for mode, threads in (("shared", settings.threads), ("shared", 1), ("reproducible", 1)):
            name = mode if threads > 1 else f"{mode}, one thread"
            ours[name] = run_ours(text, settings.scratch, settings, seed, mode, threads)
        theirs = run_gensim(python, text, settings.scratch, settings, seed)
        if {run.pop("tokens_sha256") for run in ours.values()} != {theirs.pop("tokens_sha256")}:
            raise SystemExit("the two sides did not train on the same tokens")
        if ours["reproducible"]["vectors_sha256"] != ours["reproducible, one thread"]["vectors_sha256"]:
            raise SystemExit("the vectors depend on the number of threads")
        keys = ours["reproducible"]["keys"]
        for run in (*ours.values(), theirs):
            run["words_per_s"] = theirs["n_tokens"] * settings.epochs / run["train_s"]
        pairs.append({"seed": seed, **ours, "gensim": theirs})
        print(json.dumps(pairs[-1]), flush=True)
    alone = train_alone(settings.scratch / "store", keys, settings)
    result = {
        "benchmark": "against gensim: skip-gram, 5 negatives, window 5, t 1e-4, min_count 5",
        "corpus": settings.corpus.name,
        "text_bytes": text.stat().st_size,
        "settings": {name: getattr(settings, name) for name in ("threads", "dimensions", "epochs", "seeds")},
        "machine": {"cpu": environment()["cpu"], "cores": os.cpu_count(), "system": platform.system()},
        "versions": environment(),
        "date": datetime.now(UTC).date().isoformat(),
        "figures": figures(pairs),
        "training alone": alone,
        "runs": pairs,
    }
    name = f"against_gensim-{settings.corpus.name.split('.')[0]}-d{settings.dimensions}.json"
    target = ROOT / "benchmarks" / "results" / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps([result["figures"], alone], indent=1))


def figures(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of times and of the ratios within each seed, means of scores."""

    def values(side: str, name: str) -> list[float]:
        return [run[side][name] for run in runs]

    def ratio(side: str, other: str, name: str) -> float:
        return round(statistics.median(a / b for a, b in zip(values(side, name), values(other, name), strict=True)), 3)

    found: dict[str, float] = {}
    for side in ("gensim", "shared", "reproducible", "shared, one thread", "reproducible, one thread"):
        found[f"words_per_s {side}"] = round(statistics.median(values(side, "words_per_s")))
        found[f"analogies {side}"] = round(statistics.mean(values(side, "analogies")), 4)
        found[f"wordsim353 {side}"] = round(statistics.mean(values(side, "wordsim353")), 4)
    return found | {
        "shared to gensim": ratio("shared", "gensim", "words_per_s"),
        "reproducible to gensim": ratio("reproducible", "gensim", "words_per_s"),
        "reproducible to shared": ratio("reproducible", "shared", "words_per_s"),
        "shared, one thread to two": ratio("shared", "shared, one thread", "words_per_s"),
        "reproducible, one thread to two": ratio("reproducible", "reproducible, one thread", "words_per_s"),
        "end to end to gensim": ratio("gensim", "reproducible", "elapsed_s"),
        "elapsed_s": round(statistics.median(values("reproducible", "elapsed_s")), 1),
        "elapsed_s gensim": round(statistics.median(values("gensim", "elapsed_s")), 1),
        "text_to_pairs_s cold": round(runs[0]["reproducible"]["text_to_pairs_s"], 2),
        "text_to_pairs_s": round(statistics.median(values("reproducible", "text_to_pairs_s")), 2),
        "peak_memory_mb": round(max(values("reproducible", "peak_memory_mb"))),
        "disk_mb": round(statistics.median(values("reproducible", "disk_mb"))),
    }


if __name__ == "__main__":
    main()
