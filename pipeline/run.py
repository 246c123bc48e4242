"""A run: walk the chain, reuse what is there, build what is not, and leave a record. The flow decides when and where; this decides what."""

import contextlib
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.corpus import Observed, observe
from pipeline.environment import environment
from pipeline.events import RunWaits, StepFinished, StepStarted, emit, listening
from pipeline.journal import Journal
from pipeline.plan import StepPlan, Wanted, plan, plan_step
from pipeline.progress import Progress
from pipeline.projection import refuse_absurd
from pipeline.scoring.evaluation_sets import find_evaluation_files
from pipeline.sources.digests import Digests
from pipeline.stage import Inputs, Job, Step
from pipeline.storage.artifact import Artifact, Manifest
from pipeline.storage.locks import using
from pipeline.storage.registry import Registry
from pipeline.storage.sequence import next_id
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace, Workers, use_allocator


@dataclass(frozen=True)
class StepRecord:
    """What became of one step."""

    step: str
    stage: str
    keys: tuple[str, ...]
    digests: tuple[str, ...]
    n_reused: int
    reason: str
    elapsed_s: float
    size_bytes: int


class Run:
    """One walk over the chain: in a `with`, which keeps the journal, `perform` the steps in order, then `finish`.

    From its making to the end of the `with` it holds the store: nothing that it has found there is removed.

    Raises
    ------
    ConfigurationError, InputError
        When the corpus or an evaluation set is missing or cannot be used: nothing of this run is in the store then.
    """

    def __init__(self, configuration: Configuration, store: Store, workers: Workers) -> None:
        use_allocator()
        # Absolute, because workers may have another working directory.
        self.configuration, self.store, self.workers = configuration, Store(store.root.absolute()), workers
        self.started, self._began = datetime.now(UTC), time.monotonic()
        self._stack = contextlib.ExitStack()
        self._is_held = self._stack.enter_context(using(self.store.root))
        self.id = next_id(self.store.places(RUNS), self.started, uuid4().hex[:6])
        self.store.remove_abandoned()
        digests = Digests(self.store, configuration.corpus)
        self.observed = observe(configuration, digests)
        plans = plan(configuration, self.store, self.observed)
        refuse_absurd(configuration, plans)
        digests.remember()
        # What is there already is not looked for twice: of 1,000 small files that takes a third of the time.
        # What was found in a store that nobody held may be gone.
        self._reused = {planned.step.name: planned for planned in plans if planned.reused and self._is_held}
        self.observing_s = time.monotonic() - self._began
        self.steps = chain(configuration)
        self.made: dict[str, tuple[Artifact, ...]] = {}
        self.records: list[StepRecord] = []
        self.journal = Journal(self.store, self.id, configuration.name)

    def __enter__(self) -> Self:
        self._stack.enter_context(listening(self.journal))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.journal.end(error)
        finally:
            self._stack.close()

    def perform(self, step: Step) -> StepRecord:
        """Reuse or build the artifacts of one step.

        Raises
        ------
        Corpus2VecError
            Whatever the stage or the store finds wrong. What was finished before stays finished.
        """
        started = time.monotonic()
        if not self._is_held:  # there was no store yet
            self.store.make_directory("")
            self._stack.enter_context(using(self.store.root))
            self._is_held = True
        inputs = {name: self.made[earlier] for name, earlier in step.reads.items()}
        planned = self._reused.get(step.name) or plan_step(step, self.observed, inputs, self.store)
        artifacts, n_reused = (planned.artifacts, len(planned.artifacts)) if planned.reused else self._build(planned, inputs)
        n_meanwhile = n_reused - len(planned.artifacts)
        reason = planned.reason + (f"; {n_meanwhile} made elsewhere meanwhile" if n_meanwhile else "")
        step.stage.check(self.configuration, self.observed, artifacts)
        self.made[step.name] = artifacts
        record = StepRecord(
            step.name,
            step.stage.name,
            tuple(artifact.manifest.key for artifact in artifacts),
            tuple(artifact.manifest.digest for artifact in artifacts),
            n_reused,
            reason,
            time.monotonic() - started,
            sum(artifact.manifest.size_bytes for artifact in artifacts),
        )
        self.records.append(record)
        emit(StepFinished(step.name, n_reused == len(artifacts), record.elapsed_s, record.size_bytes, summarize(artifacts)))
        return record

    def finish(self, started_by: str) -> dict[str, Any]:
        """Write the record of the run, and return it. The run counts as finished then, and its vectors as a version of its model.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        elapsed_s = round(time.monotonic() - self._began, 3)
        record = {
            "id": self.id,
            "name": self.configuration.name,
            "started": self.started.isoformat(timespec="seconds"),
            "elapsed_s": elapsed_s,
            "observing_s": round(self.observing_s, 3),  # finding and hashing the corpus
            "started_by": started_by,
            "configuration": self.configuration.model_dump(mode="json"),
            "sources": [
                {"path": shard.location, "format": shard.format, "start": shard.start, "stop": shard.stop, "sha256": shard.sha256}
                for shard in self.observed.shards
            ],
            "found": asdict(self.observed.found),
            "steps": [asdict(record) for record in self.records],
            "scores": dict(self.made["evaluate"][0].manifest.measures),
            "environment": environment(),
        }
        self.store.write_record(RUNS, self.id, record)
        (vectors,), (evaluation,) = self.made["train"], self.made["evaluate"]
        Registry(self.store).register(self.configuration.name, self.id, vectors.link, evaluation.link)
        self.journal.finish(elapsed_s)
        return record

    def _build(self, planned: StepPlan, inputs: Inputs) -> tuple[tuple[Artifact, ...], int]:
        """The artifacts of a step, and how many of them were not built by this run."""
        step = planned.step
        emit(StepStarted(step.name, planned.reason))
        missing = list({one.key: one for one in planned.wanted if not one.found}.values())  # the same text may be there twice
        if step.stage.on_workers:
            tasks = [_Task(self.store, step, one, inputs) for one in missing]
            progress = Progress(step.name, len(tasks), "shards")
            self._tell_of_others(step, missing)
            built = self.workers.map(build_on_worker, tasks, lambda made: progress.advance(1, made.artifact.manifest.measures["tokens"]))
        else:
            built = [find_or_build(self.store, step, one, inputs, self.workers) for one in missing]
        artifacts = (*planned.artifacts, *(one.artifact for one in built))
        by_key = {artifact.manifest.key: artifact for artifact in artifacts}
        keys_built = {one.artifact.manifest.key for one in built if one.is_new}
        return tuple(by_key[one.key] for one in planned.wanted), sum(one.key not in keys_built for one in planned.wanted)

    def _tell_of_others(self, step: Step, missing: list[Wanted]) -> None:
        """Say now what the workers, whose events nobody hears, may have to wait for."""
        n_others = sum(self.store.is_being_made(step.stage.name, one.key) for one in missing)
        if n_others:
            emit(RunWaits(f"another process makes {n_others} of the {len(missing)} artifacts of {step.name}; they are not made twice"))


@dataclass(frozen=True)
class _Task:
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


def build_on_worker(task: _Task) -> Obtained:
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


def summarize(artifacts: tuple[Artifact, ...]) -> str:
    """One line of what a step made: its measures, added up over its artifacts."""
    totals: dict[str, float] = {}
    for artifact in artifacts:
        for name, value in artifact.manifest.measures.items():
            totals[name] = totals.get(name, 0) + value
    return ", ".join(f"{value:,.4g} {name}" if isinstance(value, float) else f"{value:,} {name}" for name, value in totals.items())


def evaluate_model(store: Store, vectors: Artifact, configuration: Configuration) -> Artifact:
    """The evaluation of finished vectors by a configuration's `evaluate` section, reused when it is there.

    Raises
    ------
    Corpus2VecError
        When a set is unknown or cannot be read, or the store cannot be written.
    """
    step = next(step for step in chain(configuration) if step.name == "evaluate")
    observed = Observed((), find_evaluation_files(configuration.evaluate))
    inputs = {"vectors": (vectors,)}
    with using(store.root):
        (wanted,) = plan_step(step, observed, inputs, store).wanted
        return wanted.found or find_or_build(store, step, wanted, inputs, InPlace()).artifact
