"""A run: walk the chain, reuse what is there, build what is not, and leave a record. The flow decides when and where; this decides what."""

import contextlib
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pipeline.building import BuildTask, build_on_worker, find_or_build
from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.corpus import Observed, observe
from pipeline.environment import environment
from pipeline.errors import SharedStoreError, StoreError
from pipeline.events import RunWaits, RunWarned, StepFinished, StepStarted, emit, listening
from pipeline.journal import Journal
from pipeline.memory import give_back_memory, use_allocator
from pipeline.place import place
from pipeline.plan import StepPlan, Wanted, plan, plan_step
from pipeline.progress import Progress
from pipeline.projection import refuse_absurd
from pipeline.scoring.evaluation_sets import find_evaluation_files
from pipeline.sources.digests import Digests
from pipeline.stage import Inputs, Step
from pipeline.storage.artifact import Artifact
from pipeline.storage.locks import using
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.registry import Registry
from pipeline.storage.sequence import next_id
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import RUNS, Store
from pipeline.workers import InPlace, Workers

RESULTS = ("train", "evaluate")  # the steps whose files a finished run leaves in its store, whoever made them


@dataclass(frozen=True)
class StepRecord:
    """What became of one step."""

    step: str
    stage: str
    keys: tuple[str, ...]
    digests: tuple[str, ...]
    n_reused: int
    reason: str  # why it was reused, or why not
    started: str  # ISO 8601, UTC
    ended: str
    elapsed_s: float
    size_bytes: int
    n_shared: int  # of those that were reused: somebody else's, from the shared store


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
        self.started, self._clock = datetime.now(UTC), time.monotonic()
        self.id = next_id(self.store.places(RUNS), self.started, uuid4().hex[:6])
        self._warned = False
        with contextlib.ExitStack() as stack:
            self._is_held = stack.enter_context(using(self.store.root))
            self.store.remove_abandoned()
            self._stores = read_through(configuration, self.store)
            digests = Digests(self.store, configuration.corpus)
            self.observed = observe(configuration, digests)
            plans = plan(configuration, self._stores, self.observed)
            refuse_absurd(configuration, plans)
            digests.remember()
            self._stack = stack.pop_all()  # of a run that is refused nothing stays held
        # What is there already is not looked for twice: of 1,000 small files that takes a third of the time.
        # What was found in a store that nobody held may be gone.
        self._reused = {planned.step.name: planned for planned in plans if planned.reused and self._is_held}
        self.observing_s = time.monotonic() - self._clock
        self.steps = chain(configuration)
        self.made: dict[str, tuple[Artifact, ...]] = {}
        self.records: list[StepRecord] = []
        self.journal = Journal(self.store, self.id, configuration)

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
        try:
            return self._perform(step)
        except SharedStoreError:
            self._warn()
            performed = self.steps[: len(self.records)]
            self._reused, self.made, self.records = {}, {}, []
            for earlier in performed:  # of which some may have to be built after all
                self._perform(earlier)
            return self._perform(step)

    def _perform(self, step: Step) -> StepRecord:
        started, clock = datetime.now(UTC), time.monotonic()
        if not self._is_held:  # there was no store yet
            self.store.make_directory("")
            self._stack.enter_context(using(self.store.root))
            self._is_held = True
        inputs = {name: self.made[earlier] for name, earlier in step.reads.items()}
        planned = self._reused.get(step.name) or plan_step(step, self.observed, inputs, self._stores)
        self._warn()
        n_reused = len(planned.artifacts)
        if planned.reused:
            self._stores.describe(planned.artifacts)
            artifacts = self._bring(step, planned.artifacts) if step.name in RESULTS else planned.artifacts
        else:
            self._stores.describe(planned.artifacts)
            emit(StepStarted(step.name, planned.reason))
            for name, earlier in step.reads.items():
                inputs[name] = self.made[earlier] = self._bring(step, self.made[earlier])
            artifacts, n_reused = self._build(planned, inputs)
            give_back_memory()
        n_meanwhile = n_reused - len(planned.artifacts)
        reason = planned.reason + (f"; {n_meanwhile} made elsewhere meanwhile" if n_meanwhile else "")
        artifacts = self._checked(step, artifacts)
        self.made[step.name] = artifacts
        elapsed_s = time.monotonic() - clock
        record = StepRecord(
            step.name,
            step.stage.name,
            tuple(artifact.manifest.key for artifact in artifacts),
            tuple(artifact.manifest.digest for artifact in artifacts),
            n_reused,
            reason,
            started.isoformat(timespec="milliseconds"),
            _later(started, elapsed_s),
            elapsed_s,
            sum(artifact.manifest.size_bytes for artifact in artifacts),
            planned.n_shared,
        )
        self.records.append(record)
        reused = n_reused == len(artifacts)
        emit(StepFinished(step.name, reused, record.elapsed_s, record.size_bytes, summarize(artifacts), planned.n_shared))
        return record

    def _bring(self, step: Step, artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
        """The artifacts with their files here."""
        files = {file.sha256: file for artifact in artifacts if not artifact.is_here for file in artifact.manifest.files}
        if not files:
            return artifacts
        progress = Progress(step.name, len(files), "files from the shared store")
        return self._stores.bring(artifacts, lambda file, sent: progress.advance(1, 0))

    def _checked(self, step: Step, artifacts: tuple[Artifact, ...]) -> tuple[Artifact, ...]:
        """The artifacts, as a whole what the configuration asks for. Manifests are enough for that, but not to say what is wrong."""
        try:
            step.stage.check(self.configuration, self.observed, artifacts)
        except StoreError:
            if all(artifact.is_here for artifact in artifacts):
                raise
            artifacts = self._bring(step, artifacts)
            step.stage.check(self.configuration, self.observed, artifacts)
        return artifacts

    def _warn(self) -> None:
        """Once, when the shared store cannot be used."""
        problem = self._stores.problem
        if problem and not self._warned:
            self._warned = True
            where, got = problem.details["where"], problem.details["got"]
            emit(RunWarned(f"{problem.what} The run goes on without it. {where}: {got}"))

    def finish(self, started_by: str) -> dict[str, Any]:
        """Write the record of the run, and return it. The run counts as finished then, and its vectors as a version of its model.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        elapsed_s = round(time.monotonic() - self._clock, 3)
        here = place()
        record = {
            "id": self.id,
            "name": self.configuration.name,
            "started": self.started.isoformat(timespec="seconds"),
            "ended": _later(self.started, elapsed_s),
            "elapsed_s": elapsed_s,
            "observing_s": round(self.observing_s, 3),  # finding and hashing the corpus
            "started_by": started_by,
            "host": here.host,
            "user": here.user,
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
        missing = list({one.key: one for one in planned.wanted if not one.found}.values())  # the same text may be there twice
        if step.stage.on_workers:
            tasks = [BuildTask(self.store, step, one, inputs) for one in missing]
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


def read_through(configuration: Configuration, store: Store) -> ReadThrough:
    """A store with the shared one of a configuration behind it.

    Raises
    ------
    ConfigurationError
        When its URL cannot be one, or holds credentials.
    """
    url = configuration.store.shared
    return ReadThrough(store, SharedStore(url) if url else None)


def _later(started: datetime, elapsed_s: float) -> str:
    """When something ended, in ISO 8601: a clock that was set meanwhile changes nothing."""
    return (started + timedelta(seconds=elapsed_s)).isoformat(timespec="milliseconds")


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
        (wanted,) = plan_step(step, observed, inputs, ReadThrough(store, None)).wanted
        return wanted.found or find_or_build(store, step, wanted, inputs, InPlace()).artifact
