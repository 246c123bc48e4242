"""What of a run's time goes into its books: hashing, manifests, keys, plans, records, the journal; writes results/bookkeeping.json.

    .venv/bin/python -m benchmarks.bookkeeping [CORPUS]

Whole runs in this process, with the cluster of their configuration, kernels loaded before: the demo, and 1,000 small files. The real
functions are timed wherever they are called; what one calls of another counts once, for the inner one. A second of the main thread
costs the run a second, one of a worker its share of one, for workers are all busy at once: together that is `share`. `share_at_most`
takes all the time in which at least one thread kept books, though others worked meanwhile. `cpu_share` is of processor time, which a busy
machine or a slow disk does not change. Before a time counts: the run is complete, every file of its artifacts was hashed and every
manifest written while the clock ran, and the parts are no more than the whole. Reading and hashing the corpus counts as well.
Checkpoints do not: they have a budget of their own.
"""

import argparse
import contextlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.against_gensim import ROOT, plain_text
from pipeline import building
from pipeline import run as run_module
from pipeline.configuration import Configuration
from pipeline.configuration_file import load_configuration
from pipeline.environment import environment
from pipeline.journal import Journal
from pipeline.run import Run
from pipeline.sources.digests import Digests
from pipeline.storage import records as records_module
from pipeline.storage import store as store_module
from pipeline.storage import tables
from pipeline.storage.artifact import Manifest
from pipeline.storage.records import Records
from pipeline.storage.registry import Registry
from pipeline.storage.store import RUNS, Store
from pipeline.workers import DaskWorkers

N_FILES = 1000
FILE_BYTES = 15_000
TURNS = 3
SETTLED_S = 5.5  # a file that was written a moment ago is hashed again
PARTS: dict[str, list[tuple[Any, str]]] = {
    "reading and hashing the corpus": [(run_module, "observe")],
    "keys and plans": [(run_module, "plan"), (run_module, "plan_step")],
    "hashing what was made": [(tables, "describe_file")],
    "manifests": [(Manifest, "to_json"), (Manifest, "read"), (building, "environment")],
    "placing artifacts": [(Store, "commit"), (Store, "remove_abandoned")],
    "waiting for the disk": [(store_module, "sync_tree"), (store_module, "sync"), (records_module, "sync")],
    "records and versions": [(Records, "write_record"), (Registry, "register"), (Digests, "remember")],
    "journal": [(Journal, "__call__"), (Journal, "finish"), (Journal, "end")],
}


@dataclass
class Meter:
    """Times the parts of bookkeeping in all threads."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))
    names: dict[str, int] = field(default_factory=dict)  # calls of each function
    spans: list[tuple[float, float]] = field(default_factory=list)  # outermost calls
    main_s: float = 0.0  # of the seconds those of the main thread
    _own: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def timing(self, part: str, name: str) -> Iterator[None]:
        """Count the body, without what is timed in it, to a part."""
        above: list[list[float]] = self._own.__dict__.setdefault("inner", [])
        above.append([0.0, 0.0])
        cpu, started = time.thread_time(), time.perf_counter()
        try:
            yield
        finally:
            cpu, ended = time.thread_time() - cpu, time.perf_counter()
            inner = above.pop()
            with self._lock:
                self.seconds[part] += ended - started - inner[0]
                self.cpu[part] += cpu - inner[1]
                self.calls[part] += 1
                self.names[name] = self.names.get(name, 0) + 1
                if above:
                    above[-1][0] += ended - started
                    above[-1][1] += cpu
                else:
                    self.spans.append((started, ended))
                    self.main_s += (ended - started) * (threading.current_thread() is threading.main_thread())

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Time the real functions in the body."""
        before = [(owner, name, owner.__dict__[name]) for functions in PARTS.values() for owner, name in functions]
        before.append((Store, "building", Store.__dict__["building"]))
        for part, functions in PARTS.items():
            for owner, name in functions:
                setattr(owner, name, self._timed(part, name, owner.__dict__[name]))
        Store.building = self._building(Store.building)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for owner, name, function in before:
                setattr(owner, name, function)

    def _timed(self, part: str, name: str, function: Any) -> Any:
        inner: Callable[..., Any] = function.__func__ if isinstance(function, classmethod) else function

        def timed(*arguments: Any, **named: Any) -> Any:
            with self.timing(part, name):
                return inner(*arguments, **named)

        return classmethod(timed) if isinstance(function, classmethod) else timed

    def _building(self, building: Any) -> Any:
        """Only what is done before and after the build."""

        @contextlib.contextmanager
        def timed(*arguments: Any) -> Iterator[Path]:
            body = building(*arguments)
            with self.timing("placing artifacts", "building"):
                directory = body.__enter__()
            try:
                yield directory
            except BaseException as error:
                if not body.__exit__(type(error), error, error.__traceback__):
                    raise
            else:
                with self.timing("placing artifacts", "built"):
                    body.__exit__(None, None, None)

        return timed

    def union_s(self) -> float:
        """Seconds in which at least one thread was in one of them."""
        total, until = 0.0, 0.0
        for started, ended in sorted(self.spans):
            total += max(0.0, ended - max(started, until))
            until = max(until, ended)
        return total


def measured(configuration: Configuration, store: Path) -> dict[str, Any]:
    """One run with an empty store, and what went into its books."""
    shutil.rmtree(store, ignore_errors=True)
    meter = Meter()
    with meter.installed(), DaskWorkers(configuration.cluster) as workers:
        cpu_s, started = time.process_time(), time.perf_counter()
        with Run(configuration, Store(store), workers) as run:
            for step in run.steps:
                run.perform(step)
            run.finish("a benchmark")
        cpu_s, whole_s = time.process_time() - cpu_s, time.perf_counter() - started
    check(run, meter, whole_s, workers.n_threads)
    books_s = meter.main_s + (sum(meter.seconds.values()) - meter.main_s) / workers.n_threads
    return {
        "threads": workers.n_threads,
        "whole_s": whole_s,
        "books_s": books_s,
        "share": books_s / whole_s,
        "share_at_most": meter.union_s() / whole_s,
        "cpu_s": cpu_s,
        "cpu_share": sum(meter.cpu.values()) / cpu_s,
        "artifacts": sum(map(len, run.made.values())),
        "parts": {
            part: {"calls": meter.calls[part], "seconds": round(meter.seconds[part], 3), "cpu_s": round(meter.cpu[part], 3)}
            for part in PARTS
        },
        "record_bytes": (run.store.root / RUNS / run.id / "record.json").stat().st_size,
    }


def check(run: Run, meter: Meter, whole_s: float, n_threads: int) -> None:
    """Stop unless the run is whole, all of its books were timed, and the parts are no more than the whole."""
    artifacts = [artifact for made in run.made.values() for artifact in made]
    if len(run.store.records(RUNS)) != 1 or set(run.made) != {step.name for step in run.steps}:
        raise SystemExit("the run is not complete")
    if any(record.n_reused for record in run.records):
        raise SystemExit("something was there already")
    wanted = {"commit": len(artifacts), "to_json": len(artifacts), "building": len(artifacts), "observe": 1, "register": 1}
    found = {name: meter.names.get(name, 0) for name in wanted}
    n_files = sum(len(artifact.manifest.files) for artifact in artifacts)
    if found != wanted or meter.names["describe_file"] < n_files:
        raise SystemExit(f"not all was timed: {found} of {wanted}, {meter.names['describe_file']} of {n_files} files")
    spans_s = sum(ended - started for started, ended in meter.spans)
    if abs(sum(meter.seconds.values()) - spans_s) > 1e-3 * spans_s or meter.union_s() > min(spans_s, whole_s):
        raise SystemExit("the parts are more than the whole")
    if spans_s > whole_s * (n_threads + 1):
        raise SystemExit("more time went into the books than all threads had")


def median_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose share is the median, rounded; the parts are in seconds of threads."""
    found = sorted(runs, key=lambda run: run["share"])[len(runs) // 2]
    return {
        **{name: round(found[name], 4) for name in ("threads", "whole_s", "books_s", "share", "share_at_most", "cpu_s", "cpu_share")},
        "shares": [round(run["share"], 4) for run in runs],
        "artifacts": found["artifacts"],
        "record_bytes": found["record_bytes"],
        "parts": found["parts"],
    }


def small_files(text: Path, directory: Path) -> list[Path]:
    """The beginning of a text in many small files."""
    directory.mkdir()
    with text.open("rb") as lines:
        for number in range(N_FILES):
            (directory / f"{number:04d}.txt").write_bytes(b"".join(lines.readlines(FILE_BYTES)))
    time.sleep(SETTLED_S)
    return sorted(directory.iterdir())


def main() -> None:
    """Measure, validate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?", default=ROOT / "data" / "wiki-20mb.txt.xz")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".bench" / "bookkeeping")
    parser.add_argument("--turns", type=int, default=TURNS)
    settings = parser.parse_args()
    scratch = settings.scratch.absolute()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    text = plain_text(settings.corpus, scratch)
    files = small_files(text, scratch / "files")
    demo = ROOT / "data" / "configs" / "demo.toml"
    configurations = {
        "the demo": load_configuration(demo, [f'corpus.paths="{settings.corpus.absolute()}"']),
        f"{N_FILES:,} small files": load_configuration(None, [f'corpus.paths="{files[0].parent}"']),
    }
    measured(load_configuration(None, [f'corpus.paths="{files[0]}"']), scratch / "warm")  # loads and compiles the kernels
    figures = {
        name: median_of([measured(configuration, scratch / "store") for _ in range(settings.turns)])
        for name, configuration in configurations.items()
    }
    versions = environment()
    result = {
        "benchmark": "bookkeeping",
        "corpus": settings.corpus.name,
        "machine": {"cpu": versions["cpu"], "cores": os.cpu_count()},
        "versions": versions,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "figures": figures,
    }
    path = ROOT / "benchmarks" / "results" / "bookkeeping.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(scratch)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
