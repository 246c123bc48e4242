"""The building of one artifact: once, whoever wants it, into a directory of its own that becomes the artifact in one step."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.environment import environment
from pipeline.events import RunWaits, emit
from pipeline.plan import Wanted
from pipeline.stage import Inputs, Job, Step
from pipeline.storage.artifact import Artifact, Manifest
from pipeline.storage.store import Store
from pipeline.workers import InPlace, Workers


@dataclass(frozen=True)
class BuildTask:
    """What a worker needs to build one artifact."""

    store: Store
    step: Step
    wanted: Wanted
    inputs: Inputs


@dataclass(frozen=True)
class Obtained:
    """An artifact that was wanted."""

    artifact: Artifact
    is_new: bool  # it was not there


def build_on_worker(task: BuildTask) -> Obtained:
    """Build one artifact where this is called, without other workers. A task that is done again finds what it made before."""
    return find_or_build(task.store, task.step, task.wanted, task.inputs, InPlace(), tell=False)


def find_or_build(store: Store, step: Step, wanted: Wanted, inputs: Inputs, workers: Workers, *, tell: bool = True) -> Obtained:
    """Build one artifact, unless it is there, or somebody else makes it just now: then wait for that, and `tell` it.

    Nothing else is waited for while this is built, so processes cannot wait for each other in a circle.

    Raises
    ------
    Corpus2VecError
        As `build_artifact`.
    """
    stage = step.stage.name

    def on_wait() -> None:
        if tell:
            emit(RunWaits(f"another process makes {stage}/{wanted.key[:12]}, which is not made twice"))

    with store.making(stage, wanted.key, on_wait):
        found = store.find(stage, wanted.key)
        return Obtained(found or build_artifact(store, step, wanted, inputs, workers), found is None)


def build_artifact(store: Store, step: Step, wanted: Wanted, inputs: Inputs, workers: Workers) -> Artifact:
    """Build one artifact and commit it to the store.

    Raises
    ------
    Corpus2VecError
        Whatever the stage or the store finds wrong.
    """
    started = time.monotonic()
    stage = step.stage
    checkpoints = store.checkpoints(wanted.key, workers.checkpoint_s)
    with store.building(stage.name, wanted.key) as directory:
        job = Job(step.name, directory, step.settings, step.parameters, inputs, wanted.unit.material, workers, checkpoints)
        outcome = stage.build(job)
        manifest = Manifest(
            stage=stage.name,
            stage_version=stage.version,
            key=wanted.key,
            parameters=step.parameters,
            settings=step.settings.model_dump(mode="json"),
            inputs=wanted.unit.inputs,
            files=outcome.files,
            tallies=outcome.tallies,
            measures=outcome.measures,
            environment=environment(),
            created=datetime.now(UTC).isoformat(timespec="microseconds"),
            elapsed_s=round(time.monotonic() - started, 3),
        )
        artifact = store.commit(directory, manifest)
    checkpoints.clear()
    return artifact
