"""What nobody needs any more, and its removal.

Removed are artifacts that no kept run, no alias and no pin needs, manifests of such that are in the shared store only, and what runs have
left that did not finish: their journals, checkpoints, half-written files and the files of their locks. The records of runs and of
versions stay, also of those whose artifacts go: they are small, they are history, and a version's number must never come again. Whether a
version still has its vectors is seen by looking for them. What is remembered of the corpus's files stays too.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.journal import UnfinishedRun, unfinished_runs
from pipeline.lineage.keeping.retention import Retained, retained
from pipeline.storage.artifact import MANIFEST, Manifest
from pipeline.storage.atomic import is_abandoned
from pipeline.storage.locks import LockedError, alone, is_locked
from pipeline.storage.registry import Registry, Version
from pipeline.storage.store import CHECKPOINTS, INCOMING, KEY_LETTERS, NO_STAGES, OF_KEY, OF_LOCK, RUNS, SHARED, Store

SECONDS_TO_WAIT = 10.0  # for those who use the store to finish


class Kind(StrEnum):
    """What can go."""

    ARTIFACT = "artifact"
    DESCRIPTION = "manifest of a shared artifact"
    CHECKPOINTS = "checkpoints"
    RUN = "unfinished run"
    WORK = "unfinished work"
    LOCK = "lock of a dead process"


@dataclass(frozen=True)
class Leaving:
    """Something that nobody needs."""

    kind: Kind
    stage: str  # of an artifact; else empty
    place: str  # below the store's directory
    size_bytes: int
    why: str


@dataclass(frozen=True)
class Collection:
    """What goes, in an order in which it can go, and what stays."""

    going: tuple[Leaving, ...]
    retained: Retained
    without_vectors: tuple[Version, ...]  # whose vectors go
    at_work: tuple[UnfinishedRun, ...]  # while these go on nothing can be removed


def collect(store: Store, newest: int | None = None) -> Collection:
    """What nobody needs when so many of the newest runs of each model's name are kept, or all. Removes nothing.

    Raises
    ------
    StoreError
        When something in the store cannot be read that says what is needed.
    """
    kept = retained(store, newest)
    unfinished = unfinished_runs(store)
    dead = [run for run in unfinished if not run.goes_on]
    artifacts = _artifacts(store, kept)
    gone = {leaving.place for leaving in artifacts}
    registry = Registry(store)
    versions = [version for name in registry.names() for version in registry.versions(name)]
    going = [*_remains(store), *(_unfinished(store, run) for run in dead), *artifacts, *_descriptions(store, kept)]
    return Collection(
        tuple(going),
        kept,
        tuple(version for version in versions if f"{version.vectors.stage}/{version.vectors.key[:KEY_LETTERS]}" in gone),
        tuple(run for run in unfinished if run.goes_on),
    )


def sweep(store: Store, newest: int | None = None, seconds: float = SECONDS_TO_WAIT) -> Collection:
    """Remove what `collect` finds while nobody uses the store, made things before what they were made from; what that was.

    Raises
    ------
    StoreError
        When runs go on or somebody else uses the store, something cannot be read that says what is needed (nothing is removed then), or
        the store cannot be written.
    """
    with _alone(store, seconds):
        collection = collect(store, newest)
        if collection.at_work:
            raise _in_use(store, collection.at_work)
        for leaving in collection.going:
            store.discard(leaving.place)
        store.discard_if_empty(CHECKPOINTS)
    return collection


@contextlib.contextmanager
def _alone(store: Store, seconds: float) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(alone(store.root, seconds))
        except LockedError as error:
            raise _in_use(store, tuple(run for run in unfinished_runs(store) if run.goes_on)) from error
        yield


def _in_use(store: Store, at_work: tuple[UnfinishedRun, ...]) -> StoreError:
    runs = ", ".join(f"run {run.run} of {run.name}" for run in at_work)
    return StoreError(
        "The store is in use, so nothing was removed.",
        where=str(store.root),
        got=f"at work: {runs}" if runs else "another command that uses it",
        expected="nobody who may need what would go",
        remedy="Wait for the end of that, or stop it; then give the same command again.",
    )


def _artifacts(store: Store, kept: Retained) -> list[Leaving]:
    """The artifacts that are not needed, each before those that it was made from."""
    needed = {_place(artifact.manifest.stage, artifact.manifest.key) for artifact in kept.artifacts}
    others = {_place(stage, key) for stage, key in kept.of_other_runs}
    found: dict[str, Leaving] = {}
    inputs: dict[str, list[str]] = {}
    for stage in store.stages():
        for path in sorted((store.root / stage).glob(f"{OF_KEY}/{MANIFEST}")):
            directory, place = path.parent, _place(stage, path.parent.name)
            if place in needed or directory.is_symlink():
                continue  # a directory without a manifest may be anybody's: verify names it, and nothing removes it
            try:
                manifest = Manifest.read(path)
            except StoreError:
                # That nobody needs it is known without it.
                found[place], inputs[place] = Leaving(Kind.ARTIFACT, stage, place, _size(directory), "damaged, and not needed"), []
                continue
            why = "only runs that are not kept need it" if place in others else "no finished run needs it"
            found[place] = Leaving(Kind.ARTIFACT, stage, place, manifest.size_bytes, why)
            inputs[place] = [_place(link.stage, link.key) for links in manifest.inputs.values() for link in links if not link.is_outside]
    return [found[place] for place in _made_before_inputs(inputs) if place in found]


def _descriptions(store: Store, kept: Retained) -> list[Leaving]:
    """The manifests of artifacts in the shared store that nothing which is needed was made from; each before those of its inputs."""
    needed = {_place(artifact.manifest.stage, artifact.manifest.key) for artifact in kept.artifacts}
    found: dict[str, Leaving] = {}
    inputs: dict[str, list[str]] = {}
    shared = store.root / SHARED
    for path in sorted(shared.glob(f"[!.]*/{OF_KEY}/{MANIFEST}")):
        directory, place = path.parent, _place(path.parent.parent.name, path.parent.name)
        if place in needed or any(one.is_symlink() for one in (shared, directory.parent, directory)):
            continue
        found[place] = Leaving(Kind.DESCRIPTION, "", f"{SHARED}/{place}", _size(directory), "nothing that is needed was made from it")
        inputs[place] = []
        with contextlib.suppress(StoreError):  # that nobody needs it is known without it
            links = Manifest.read(path).inputs.values()
            inputs[place] += [_place(link.stage, link.key) for some in links for link in some if not link.is_outside]
    return [found[place] for place in _made_before_inputs(inputs) if place in found]


def _made_before_inputs(inputs: dict[str, list[str]]) -> list[str]:
    try:
        return list(TopologicalSorter(inputs).static_order())[::-1]
    except CycleError:  # of forged manifests
        return sorted(inputs)


def _remains(store: Store) -> Iterator[Leaving]:
    """What dead processes have left half done."""
    beside_stages = [path for name in sorted(NO_STAGES) for path in sorted((store.root / name).rglob(".*"))]
    for path in [*(path for stage in store.stages() for path in sorted((store.root / stage).glob(".*"))), *beside_stages]:
        place = path.relative_to(store.root).as_posix()
        if path.match(OF_LOCK) and not is_locked(path):
            yield Leaving(Kind.LOCK, "", place, 0, "its process is gone")
        elif is_abandoned(path):
            yield Leaving(Kind.WORK, "", place, _size(path), "its process is gone")
    incoming = store.root / INCOMING
    if any(incoming.glob("*")):
        why = "somebody uses the store: it may be arriving now" if _is_in_use(store) else "a pull, or a run, did not finish"
        yield Leaving(Kind.WORK, "", INCOMING, _size(incoming), why)
    for path in sorted((store.root / CHECKPOINTS).glob(f"{OF_KEY}/")):
        finished = any((store.root / stage / path.name / MANIFEST).exists() for stage in store.stages())
        why = "what they were for is finished" if finished else "their run did not finish"
        yield Leaving(Kind.CHECKPOINTS, "", path.relative_to(store.root).as_posix(), _size(path), why)


def _is_in_use(store: Store) -> bool:
    """Whether somebody uses the store just now; nobody does while it is swept."""
    if is_locked(store.root):
        return False
    try:
        with alone(store.root, 0.0):
            return False
    except LockedError:
        return True


def _unfinished(store: Store, run: UnfinishedRun) -> Leaving:
    return Leaving(Kind.RUN, "", f"{RUNS}/{run.run}", _size(store.root / RUNS / run.run), "it did not finish, and does not go on")


def _place(stage: str, key: str) -> str:
    return f"{stage}/{key[:KEY_LETTERS]}"


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a directory."""
    with contextlib.suppress(OSError):  # it goes away by itself
        return sum(one.stat(follow_symlinks=False).st_size for one in (path, *path.rglob("*")) if one.is_file() or one.is_symlink())
    return 0
