"""A small store with a finished run, for the tests of what can be asked of it."""

from pathlib import Path

from pipeline.run import Run
from pipeline.storage.store import Store
from tests.pipeline.small_runs import configured, walk

SMALL_STORE_STEPS = ["tokenize", "vocabulary", "pairs", "train", "evaluate"]  # below an evaluation; nothing reads the snapshot
WORDS = tuple("the king and queen of a land saw old tiger cat eat fresh bread with love near money bank".split())  # noqa: SIM905


def text(seed: int, n_lines: int = 120) -> str:
    """Lines of words that follow no pattern, but the same ones for the same seed."""
    lines = []
    state = seed
    for _ in range(n_lines):
        words = []
        for _ in range(12):
            state = (state * 1_103_515_245 + 12_345) % 2**31
            words.append(WORDS[(state >> 16) % len(WORDS)])
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def finished_run(directory: Path, **changes: object) -> tuple[Store, Run]:
    """A store in a directory, and a run over two files beside it that has finished there."""
    paths = []
    for seed in (1, 2):
        path = directory / f"text-{seed}.txt"
        path.write_text(text(seed), encoding="utf-8")
        paths.append(path)
    store = Store(directory / "store")
    run = walk(configured(*paths, **changes), store.root)
    run.finish("a test")
    return store, run
