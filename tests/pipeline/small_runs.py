"""Runs without Prefect over small text, for the tests of stages and of whole runs."""

from pathlib import Path

from pipeline.configuration import Configuration
from pipeline.configuration_file import parse_configuration
from pipeline.run import Run
from pipeline.store import Store
from pipeline.workers import DaskWorkers, Workers

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
