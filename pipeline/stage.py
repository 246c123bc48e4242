"""What a stage is: how its work falls into artifacts, and how one of them is built. The stages themselves are in `stages/`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipeline.configuration import Configuration, Section
from pipeline.corpus import Observed
from pipeline.storage.artifact import Artifact, FileRecord, Link, Tally, key_of
from pipeline.storage.atomic import sync
from pipeline.storage.checkpoints import Checkpoints
from pipeline.storage.keys import Canonical, canonical

if TYPE_CHECKING:
    from pipeline.workers import Workers  # which imports pyarrow: the plan needs none

S = TypeVar("S", bound=Section)
Inputs = Mapping[str, tuple[Artifact, ...]]
Links = Mapping[str, tuple[Link, ...]]


@dataclass(frozen=True)
class Unit:
    """One artifact to be made: what it is made from."""

    inputs: Links
    material: Any = None  # what the build needs from outside the store: source shards, evaluation files


@dataclass(frozen=True)
class Job(Generic[S]):
    """Everything that one build may use."""

    step: str
    directory: Path  # empty; the build writes its files here
    settings: S
    parameters: Mapping[str, Any]
    inputs: Inputs
    material: Any
    workers: "Workers"
    checkpoints: Checkpoints  # of this build; they outlive a killed process

    def settle(self, files: Iterable[FileRecord]) -> None:
        """Wait for finished files to reach the disk while others are made: there is less to wait for in the end."""
        for file in files:
            sync(self.directory / file.name)


@dataclass(frozen=True)
class Outcome:
    """What a build made."""

    files: tuple[FileRecord, ...]
    tallies: tuple[Tally, ...]
    measures: Mapping[str, float] = field(default_factory=dict)


def one_unit(observed: Observed, inputs: Inputs) -> tuple[Unit, ...]:
    """The usual division: one artifact from all inputs."""
    return (Unit({name: tuple(artifact.link for artifact in artifacts) for name, artifacts in inputs.items()}),)


def no_material(links: Links, settings: Any) -> None:
    """The usual material from outside the store: none."""


def accept(configuration: Configuration, observed: Observed, artifacts: Sequence[Artifact]) -> None:
    """The usual check of artifacts that are all there: none."""


@dataclass(frozen=True)
class Stage:
    """A kind of computation. `version` changes whenever the same inputs would give other bytes."""

    name: str
    version: int
    build: Callable[[Job[Any]], Outcome]
    units: Callable[[Observed, Inputs], tuple[Unit, ...]] = one_unit
    on_workers: bool = False  # many small builds: each is one task on a worker
    # Raises when the artifacts of a step, made or reused, are not what the configuration asks for as a whole.
    check: Callable[[Configuration, Observed, Sequence[Artifact]], None] = accept
    # For making an artifact again from its manifest alone:
    settings: type[Section] = Section  # what `Job.settings` is
    material: Callable[[Links, Any], Any] = (
        no_material  # `Unit.material` from its inputs, whose origins say where they are, and the settings
    )
    definitions: Mapping[str, Any] = field(default_factory=dict)  # parameters that are no settings, but belong to the program
    rounds: bool = False  # whether its last bits depend on what `environment.computing` says


@dataclass(frozen=True)
class Step:
    """A stage at its place in the chain."""

    name: str
    stage: Stage
    settings: Section
    parameters: Mapping[str, Any]  # what of the settings, and of the world, goes into the key
    reads: Mapping[str, str]  # name of the input -> earlier step

    def key(self, unit: Unit) -> str:
        """The identity of an artifact: stage, version, parameters and the digests of what it is made from."""
        return key_of(self.stage.name, self.stage.version, self._canonical_parameters, unit.inputs)

    @cached_property
    def _canonical_parameters(self) -> Canonical:
        return Canonical(canonical(self.parameters))
