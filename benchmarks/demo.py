"""What `make demo` prints and how long it takes: with an empty store and nothing compiled, again, then questions. Writes two files.

Validated before it counts: analogies above the floor, everything reused the second time, and the capital of Germany among the answers.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from pipeline.environment import environment

ROOT = Path(__file__).parents[1]
SCRATCH = ROOT / ".bench" / "demo"
FLOOR = 0.12
QUESTIONS = (
    ["similar", "king", "--candidates", "10000", "-n", "5"],
    ["analogy", "france", "paris", "germany", "--candidates", "10000", "-n", "3"],
)


def run(*arguments: str) -> tuple[str, float]:
    """What a command prints, and its seconds."""
    environ = os.environ | {"CORPUS2VEC_STORE": str(SCRATCH / "store"), "NUMBA_CACHE_DIR": str(SCRATCH / "numba"), "COLUMNS": "150"}
    started = time.perf_counter()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("corpus2vec")), *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout, time.perf_counter() - started


def main() -> None:
    """Run, check, and write what was seen."""
    shutil.rmtree(SCRATCH, ignore_errors=True)
    train = ("train", "data/configs/demo.toml")
    first, first_s = run(*train)
    again, again_s = run(*train)
    answers = [run(*question) for question in QUESTIONS]
    scores = json.loads(next((SCRATCH / "store" / "runs").glob("*/record.json")).read_text())["scores"]
    if not scores["questions-words"] > FLOOR or "6 of 6 steps reused" not in again or "berlin" not in answers[1][0]:
        raise SystemExit(f"not a result:\n{first}\n{again}\n{answers}")
    result = {
        "benchmark": "make demo, installs aside, with nothing compiled; then again; then a question",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": environment(),
        "cores": os.cpu_count(),
        "figures": {"demo_s": round(first_s, 1), "again_s": round(again_s, 1), "similar_s": round(answers[0][1], 2), "scores": scores},
    }
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    (results / "demo.json").write_text(json.dumps(result, indent=1) + "\n")
    shown = [("corpus2vec " + " ".join(train), first)]
    shown += [("corpus2vec " + " ".join(question), answer) for question, (answer, _) in zip(QUESTIONS, answers, strict=True)]
    text = "\n".join(f"$ {command}\n{output.rstrip()}\n" for command, output in shown)
    (results / "demo.txt").write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")
    print(json.dumps(result["figures"], indent=1))


if __name__ == "__main__":
    main()
