"""Runs without Prefect over small text, for the tests of stages and of whole runs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pipeline.configuration import Configuration
from pipeline.configuration_file import parse_configuration
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import DaskWorkers, InPlace, Workers

SMALL = {
    "vocabulary": {"min_count": 3},
    "pairs": {"subsample": 1e-3, "epochs": 2, "window": 4, "seed": 7},
    "train": {"dimensions": 8},
    "evaluate": {"analogies": [], "similarity": ["wordsim353"]},
    "cluster": {"threads": 1},
}


def configured(*paths: Path, **changes: object) -> Configuration:
    """A small configuration; changes are named `section__key`."""
    values = {section: dict(content) for section, content in SMALL.items()} | {"corpus": {"paths": list(map(str, paths))}}
    for name, value in changes.items():
        section, key = name.split("__")
        values.setdefault(section, {})[key] = value
    return parse_configuration(values)


def walk(configuration: Configuration, store: Path, workers: Workers | None = None, last: str = "evaluate") -> Run:
    """A run as far as `last`, with the cluster of its configuration unless it is given others."""
    with DaskWorkers(configuration.cluster) as own, Run(configuration, Store(store), workers or own) as run:
        for step in run.steps:
            run.perform(step)
            if step.name == last:
                break
    return run


def digests(run: Run, *names: str) -> list[str]:
    """The digests of the artifacts of these steps, all together."""
    return [artifact.manifest.digest for name in names for artifact in run.made[name]]


class Limited(InPlace):
    """Workers with so much memory; notes how many tasks there were."""

    def __init__(self, counting_bytes: int) -> None:
        self.counting_bytes = self.task_bytes = counting_bytes
        self.n_tasks: list[int] = []

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any], None]) -> list[Any]:
        self.n_tasks.append(len(items))
        return super().map(function, items, on_done)
