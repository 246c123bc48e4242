"""Whole runs in processes of their own, to be killed at any moment: forked from one that has all kernels, so that each takes 0.7 s."""

import multiprocessing
import os
import sys
import tempfile
import threading
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from pipeline.errors import Corpus2VecError
from pipeline.journal import unfinished_runs
from pipeline.lineage.keeping.collection import collect, sweep
from pipeline.lineage.verifying.verification import verify_all
from pipeline.storage.store import CHECKPOINTS, DIGESTS, RUNS, Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured, walk

FAILED = 3  # the exit code of a run that met one of our errors


def new_texts(directory: Path) -> list[Path]:
    """Three small files."""
    paths = [directory / f"text-{seed}.txt" for seed in (1, 2, 3)]
    for seed, path in enumerate(paths):
        path.write_text(text(seed), encoding="utf-8")
    return paths


def train(store: Path, texts: list[Path], zone: str, changes: dict[str, object]) -> None:
    """One whole run, with workers of Dask, in a time zone."""
    os.environ["TZ"] = zone
    time.tzset()
    try:
        walk(configured(*texts, **changes), store).finish("a test")
    except Corpus2VecError as error:
        print(error, file=sys.stderr)
        sys.exit(FAILED)


def trainer(store: Path, texts: list[Path], zone: str = "UTC", **changes: object) -> ForkServerProcess:
    """A process that trains; it is started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "distributed", "tests.pipeline.warm"])
    process = context.Process(target=train, args=(store, texts, zone, changes))
    process.start()
    return process


def warm_up() -> None:
    """Compile, or load, whatever a run needs, and leave no thread behind: this process is forked."""
    with tempfile.TemporaryDirectory() as directory:
        walk(configured(*new_texts(Path(directory))), Path(directory) / "store", InPlace())
    assert threading.active_count() == 1


def finished(store: Path, texts: list[Path], zone: str = "UTC", **changes: object) -> dict[str, list[str]]:
    """Train to the end; the digests of each step."""
    process = trainer(store, texts, zone, **changes)
    process.join(120)
    assert process.exitcode == 0
    return digests_of_newest(store)


def digests_of_newest(store: Path) -> dict[str, list[str]]:
    """The digests of each step of the newest run."""
    return {step["step"]: step["digests"] for step in Store(store).records(RUNS)[-1]["steps"]}


def assert_whole(root: Path) -> None:
    """Every artifact, record and version is what it says, to the byte."""
    findings = verify_all(Store(root)).findings
    assert not findings, "\n".join(map(str, findings))


def names_in(root: Path) -> set[str]:
    """All that is in a store, but for the names of its runs, what is remembered of files that have not changed for some seconds, what is
    Prefect's, and the directory of checkpoints, which an ordinary run leaves empty and gc takes away.
    """
    paths = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {path for path in paths if not path.startswith((f"{RUNS}/", DIGESTS, ".prefect")) and path != CHECKPOINTS}


def clear_by_gc(root: Path, undisturbed: Path) -> tuple[int, int]:
    """Sweep a store in which a run was killed, and one has finished since, when gc names all that an undisturbed one has not; how much that
    was, journals apart, and the bytes of all that went.
    """
    going = collect(Store(root)).going
    left = names_in(root) - names_in(undisturbed)
    assert left <= {name for name in left for leaving in going if (name + "/").startswith(leaving.place + "/")}
    assert sweep(Store(root)).going == going
    assert names_in(root) == names_in(undisturbed)
    return len(left), sum(leaving.size_bytes for leaving in going)


def last_step(root: Path) -> str:
    """What a run that was killed had begun."""
    unfinished = unfinished_runs(Store(root)) if (root / RUNS).exists() else []
    if not unfinished:
        return "before the first step" if not Store(root).records(RUNS) else "after the last step"
    return str(unfinished[0].last.get("step", "before the first step"))
