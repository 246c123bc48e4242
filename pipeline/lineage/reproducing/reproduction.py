"""Making something again from the manifests of all that it was made from, and comparing the bytes.

Every artifact is built in a store of its own, from inputs that were built there. Where one of those has other bytes than it had, the
recorded one stands in for it, if the store has it as it was: so each difference shows where it comes from, and independent ones show too.
"""

import itertools
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.building import build_artifact
from pipeline.chain import stage_of
from pipeline.environment import COMPUTING, WRITING
from pipeline.errors import StoreError
from pipeline.events import StepFinished, StepStarted, emit
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent
from pipeline.lineage.reproducing.byte_differences import FileDifference, differences, is_whole
from pipeline.lineage.reproducing.recipes import Moved, Recipe, recipes
from pipeline.lineage.reproducing.target import check_target
from pipeline.lineage.reproducing.whereabouts import Whereabouts
from pipeline.plan import Wanted
from pipeline.progress import Progress
from pipeline.stage import Unit
from pipeline.storage.artifact import Artifact, Link, Manifest
from pipeline.storage.store import Store
from pipeline.workers import InPlace, Workers

_Identity = tuple[str, str, str]  # stage, key and digest of an artifact


class Result(StrEnum):
    """What came out."""

    SAME = "same"
    DIFFERENT = "differs"
    UNREPEATABLE = "cannot be the same"  # threads share one model without locks
    NOT_COMPARED = "not compared"  # an input has other bytes, and the recorded one is gone


@dataclass(frozen=True)
class Rebuilt:
    """An artifact, and what came of making it again."""

    step: str
    recorded: Artifact
    result: Result
    rebuilt: Artifact | None  # None: not built
    files: tuple[FileDifference, ...] = ()  # those that differ
    stands_in: tuple[Artifact, ...] = ()  # recorded inputs that were used instead of rebuilt ones, which have other bytes
    lacks: tuple[Artifact, ...] = ()  # recorded inputs that were not there to be used

    @property
    def name(self) -> str:
        """Stage and the beginning of the key."""
        return f"{self.recorded.manifest.stage}/{self.recorded.manifest.key[:12]}"


@dataclass(frozen=True)
class EnvironmentDifference:
    """Something that was otherwise when an artifact was built first."""

    name: str  # as in manifests
    then: str  # empty: not said
    now: str
    decides: bool  # whether bytes of that artifact depend on it; what else differs should not matter


@dataclass(frozen=True)
class Reproduction:
    """What came of making something again."""

    name: str  # of what was asked for
    artifacts: tuple[Rebuilt, ...]  # inputs first
    moved: tuple[Moved, ...]  # files that were found elsewhere

    @property
    def first(self) -> Rebuilt | None:
        """The first artifact that should have the same bytes, and has others."""
        return next((one for one in self.artifacts if one.result is Result.DIFFERENT), None)

    def count(self, result: Result) -> int:
        """Artifacts of which this came out."""
        return sum(one.result is result for one in self.artifacts)


def environment_differences(one: Rebuilt) -> tuple[EnvironmentDifference, ...]:
    """What differs between the environments of two builds of an artifact; what decides its bytes comes first."""
    if one.rebuilt is None:
        return ()
    then, now = one.recorded.manifest.environment, one.rebuilt.manifest.environment
    stage = stage_of(one.recorded.manifest)
    deciding = {WRITING, *(COMPUTING if stage and stage.rounds else ())}
    found = [
        EnvironmentDifference(name, then.get(name, ""), now.get(name, ""), name in deciding)
        for name in dict.fromkeys([*then, *now])
        if then.get(name, "") != now.get(name, "")
    ]
    return tuple(sorted(found, key=lambda difference: not difference.decides))


def reproduce(
    store: Store, referent: Referent, into: Store, workers: Workers, sources: Sequence[Path] = (), trusted: Collection[str] = ()
) -> Reproduction:
    """Make something and all that it was made from again in another store, and compare.

    Parameters
    ----------
    store
        Only read. Of what is in it the manifests are enough.
    referent
        What to make again.
    into
        Empty, or where this was done before and interrupted: what is there already is not built again.
    workers
        Who builds.
    sources
        Directories where files may be that are no longer where they were.
    trusted
        Tokenizers of one's own that may be called (module:function).

    Raises
    ------
    UsageError
        When `into` cannot be used.
    StoreError
        When a manifest is missing or contradicts itself, or `into` cannot be written or has too little room.
    ReproductionError
        When this program makes them otherwise.
    InputError
        When files that they were made from are gone or have changed.
    Corpus2VecError
        Whatever else a build finds wrong.
    """
    found = closure(store, referent.links)
    if found.missing:
        raise _incomplete(store, found.missing)
    there = check_target(store, into, found.artifacts)
    steps, moved = recipes(found.artifacts, Whereabouts(store, sources), trusted)
    kitchen = _Kitchen(into, workers, there)
    for _, some in itertools.groupby(steps, key=lambda recipe: recipe.step.name):
        kitchen.make(tuple(some))
    return Reproduction(referent.name, tuple(kitchen.done.values()), moved)


@dataclass(frozen=True)
class _Task:
    """What a worker needs to build one artifact."""

    into: Store
    recipe: Recipe
    inputs: Mapping[str, tuple[Artifact, ...]]


class _Kitchen:
    """Makes artifacts, inputs first."""

    def __init__(self, into: Store, workers: Workers, there: Collection[str]) -> None:
        self.into, self.workers = into, workers
        self._there = there  # keys of what an earlier reproduction has made
        self.done: dict[_Identity, Rebuilt] = {}
        self._whole: dict[_Identity, bool] = {}  # of recorded artifacts that were wanted as inputs

    def make(self, some: Sequence[Recipe]) -> None:
        """Make the artifacts of one step, and compare them."""
        name, started = some[0].step.name, time.monotonic()
        tasks = [_Task(self.into, recipe, inputs) for recipe in some if (inputs := self._inputs(recipe)) is not None]
        emit(StepStarted(name, self._plan(tasks)))
        if some[0].step.stage.on_workers:
            progress = Progress(name, len(tasks), "shards")
            built = self.workers.map(_build_alone, tasks, lambda made: progress.advance(1, made.manifest.measures["tokens"]))
        else:
            built = [_build(task, self._workers_for(task.recipe)) for task in tasks]
        made = {task.recipe.artifact.manifest.key: artifact for task, artifact in zip(tasks, built, strict=True)}
        results = [self._compared(recipe, made.get(recipe.artifact.manifest.key)) for recipe in some]
        self.done |= {_identity(one.recorded.link): one for one in results}
        size = sum(artifact.manifest.size_bytes for artifact in built)
        emit(StepFinished(name, reused=False, elapsed_s=time.monotonic() - started, size_bytes=size, summary=_summary(results)))

    def _plan(self, tasks: Sequence[_Task]) -> str:
        """What is about to be done, in words."""
        n_there = sum(task.recipe.artifact.manifest.key in self._there for task in tasks)
        text = f"{len(tasks)} artifact{'s' * (len(tasks) != 1)} from the manifest{'s' * (len(tasks) != 1)} alone"
        return text + (f", {n_there} of which an earlier reproduction has made here" if n_there else "")

    def _inputs(self, recipe: Recipe) -> dict[str, tuple[Artifact, ...]] | None:
        """What a build reads from stores; None when some of it is in neither as it was."""
        links = {name: some for name, some in recipe.unit.inputs.items() if not any(link.is_outside for link in some)}
        found = {name: [self._input(link) for link in some] for name, some in links.items()}
        whole = {name: tuple(one for one in some if one is not None) for name, some in found.items()}
        return whole if all(len(some) == len(links[name]) for name, some in whole.items()) else None

    def _input(self, link: Link) -> Artifact | None:
        """The rebuilt artifact when it has the same bytes, else the recorded one, if it has them still."""
        name = _identity(link)
        one = self.done[name]
        if one.result is Result.SAME:
            return one.rebuilt
        if name not in self._whole:
            self._whole[name] = is_whole(one.recorded)
        return one.recorded if self._whole[name] else None

    def _compared(self, recipe: Recipe, made: Artifact | None) -> Rebuilt:
        recorded, name = recipe.artifact, recipe.step.name
        read = [_identity(link) for some in recipe.unit.inputs.values() for link in some if not link.is_outside]
        replaced = [one for one in dict.fromkeys(read) if self.done[one].result is not Result.SAME]
        if made is None:
            lacks = tuple(self.done[one].recorded for one in replaced if not self._whole[one])
            return Rebuilt(name, recorded, Result.NOT_COMPARED, None, lacks=lacks)
        stands_in = tuple(self.done[one].recorded for one in replaced)
        if made.manifest.digest == recorded.manifest.digest:
            return Rebuilt(name, recorded, Result.SAME, made, stands_in=stands_in)
        repeatable = is_repeatable(recorded.manifest) and is_repeatable(made.manifest)
        result = Result.DIFFERENT if repeatable else Result.UNREPEATABLE
        return Rebuilt(name, recorded, result, made, differences(recorded, made), stands_in)

    def _workers_for(self, recipe: Recipe) -> Workers:
        """One thread for what one thread made without a promise: that can be the same."""
        manifest = recipe.artifact.manifest
        return InPlace() if not is_repeatable(manifest) and manifest.measures.get("threads") == 1 else self.workers


def is_repeatable(manifest: Manifest) -> bool:
    """Whether the build promised the same bytes again."""
    return bool(manifest.measures.get("reproducible", 1))


def _build_alone(task: _Task) -> Artifact:
    return _build(task, InPlace())


def _build(task: _Task, workers: Workers) -> Artifact:
    """Build one artifact, unless an interrupted reproduction has done it."""
    step, recorded = task.recipe.step, task.recipe.artifact.manifest
    earlier = task.into.find(recorded.stage, recorded.key)
    if earlier:
        return earlier
    unit = Unit(task.recipe.unit.inputs, step.stage.material(task.recipe.unit.inputs, step.settings))
    return build_artifact(task.into, step, Wanted(unit, recorded.key, None), task.inputs, workers)


def _identity(link: Link) -> _Identity:
    return link.stage, link.key, link.digest


def _summary(results: Sequence[Rebuilt]) -> str:
    counts = {result: sum(one.result is result for one in results) for result in Result}
    words = {
        Result.SAME: "the same bytes",
        Result.DIFFERENT: "other bytes",
        Result.UNREPEATABLE: "other bytes, as threads that share a model",
    }
    said = [(words.get(result, str(result)), n) for result, n in counts.items() if n]
    return said[0][0] if len(said) == 1 else ", ".join(f"{n} {text}" for text, n in said)


def _incomplete(store: Store, missing: Sequence[Link]) -> StoreError:
    names = [f"{link.stage}/{link.key[:12]} with the digest {link.digest[:12]}" for link in missing[:10]]
    return StoreError(
        "What this was made from is not in the store, not even its manifest.",
        where=str(store.root),
        got="nothing, or other bytes, at " + ", ".join(names) + (f" and {len(missing) - 10} more" if len(missing) > 10 else ""),
        expected="the manifests of all that it was made from",
        remedy="Bring them from where it was made, or train again with the configuration of its run.",
    )
