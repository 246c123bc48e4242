"""What has to stay in a store: what finished runs, aliases of models and pins stand for, with all that it was made from."""

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipeline.errors import StoreError, UsageError
from pipeline.lineage.closure import closure
from pipeline.lineage.references import links_of, resolve
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.locks import using
from pipeline.storage.pins import Pin, Pins, place_of
from pipeline.storage.registry import Registry, Version
from pipeline.storage.store import RUNS, Store


@dataclass(frozen=True)
class Retained:
    """What stays, and for whose sake."""

    artifacts: tuple[Artifact, ...]  # inputs first
    missing: tuple[Link, ...]  # is needed, and not in the store
    runs: tuple[str, ...]  # that are kept
    other_runs: tuple[str, ...]  # that have finished, and are not kept
    of_other_runs: frozenset[tuple[str, str]]  # stage and key of what those have used
    aliased: tuple[Version, ...]
    pins: tuple[Pin, ...]


def retained(store: Store, newest: int | None = None) -> Retained:
    """What stays when of each model's name only so many of the newest finished runs are kept; None: all of them.

    So are those of as many of its newest versions (a run that was pulled can be older than its version), and of a version that an alias
    stands for. Of two runs that one is newer which sorts behind the other: no clock counts.

    Raises
    ------
    StoreError
        When a record, or a manifest of what is needed, cannot be used: what it needs is not known then.
    """
    records = store.records(RUNS)
    with _explained(store):
        by_name: dict[str, list[str]] = defaultdict(list)
        links: dict[str, list[Link]] = {}
        for record in records:
            by_name[record["name"]].append(record["id"])
            links[record["id"]] = [link for step in record["steps"] for link in links_of(step)]
    aliased = tuple(aliased_versions(store))
    pins = tuple(Pins(store).all())
    kept = {run for runs in by_name.values() for run in (runs if newest is None else runs[max(0, len(runs) - newest) :])}
    registry = Registry(store)
    versions = [version for name in registry.names() for version in registry.versions(name)[-newest:]] if newest else []
    kept |= {version.run for version in (*aliased, *versions)} & set(links)
    roots = [link for run in sorted(kept) for link in links[run]]
    roots += [link for version in aliased for link in (version.vectors, version.evaluation)]
    roots += [link for pin in pins for link in pin.links]
    artifacts, missing = _all_needed(store, roots)
    others = sorted(set(links) - kept)
    used = frozenset((link.stage, link.key) for run in others for link in links[run])
    return Retained(artifacts, missing, tuple(sorted(kept)), tuple(others), used, aliased, pins)


def keep(store: Store, reference: str, note: str) -> Pin:
    """Have what a reference means stay, with all that it was made from, whatever else goes; of a run every step.

    Raises
    ------
    UsageError
        When it means nothing or several things, or is no longer in the store.
    StoreError
        When a record or a manifest cannot be used, or the store cannot be written.
    """
    with using(store.root):
        name, links = _meant(store, reference)
        gone = [link for link in links if store.described(link.stage, link.key) is None]
        if gone:
            raise UsageError(
                "This is no longer in the store.",
                where=str(store.root),
                got=f"{name}, without {gone[0].stage}/{gone[0].key[:12]}" + (f" and {len(gone) - 1} more" if len(gone) > 1 else ""),
                expected="something that is there and can stay",
                remedy="Train it again: corpus2vec train, with the same configuration.",
            )
        return Pins(store).put(name, links, note)


def release(store: Store, reference: str) -> Pin:
    """Keep something no longer: by the name that it is kept by, or by what it means.

    Raises
    ------
    UsageError
        When it is not kept, or means nothing.
    StoreError
        When the store cannot be written.
    """
    pins = Pins(store)
    known = pins.all()
    found = [pin for pin in known if pin.name == reference]
    if not found:
        name, links = _meant(store, reference)
        found = [pin for pin in known if pin.place == place_of(links)]
        if not found:
            raise UsageError(
                "This is not kept.",
                where=str(store.root),
                got=name,
                expected="one of " + ", ".join(pin.name for pin in known) if known else "something that is kept; nothing is",
                remedy="corpus2vec keep lists what is kept.",
            )
    pins.remove(found[0])
    return found[0]


def _meant(store: Store, reference: str) -> tuple[str, tuple[Link, ...]]:
    found = resolve(store, reference)
    if found.run is None or found.version is not None:
        return found.name, found.links
    return found.name, tuple(link for step in found.run["steps"] for link in links_of(step))


def aliased_versions(store: Store) -> Iterator[Version]:
    """The versions that aliases stand for now, each once."""
    registry = Registry(store)
    for name in registry.names():
        with _explained(store):
            numbers = set(registry.aliases(name).values())
            versions = registry.versions(name)
        if lost := sorted(numbers - {version.number for version in versions}):
            raise StoreError(
                "An alias stands for a version that has no record.",
                where=str(store.root),
                got=f"{name}@{lost[0]}",
                expected="a record that says which vectors those are",
                remedy="Bring it back from a copy, or move the alias: corpus2vec promote.",
            )
        yield from (version for version in versions if version.number in numbers)


def _all_needed(store: Store, roots: Iterable[Link]) -> tuple[tuple[Artifact, ...], tuple[Link, ...]]:
    """The closure of all roots, and of two things more.

    * A file from outside with the bytes of one in this store (train.initial, phrases.frozen) is needed with the artifact that has those,
      wherever the configuration said that it lies.
    * What was made again with other bytes is not what was used, but the only one of its key: it stays, with what it was made from.
    """
    wanted = list(dict.fromkeys((link.stage, link.key, link.digest) for link in roots))
    all_artifacts = [artifact for stage in store.stages() for artifact in store.artifacts(stage)]
    having = {file.sha256: artifact for artifact in all_artifacts for file in artifact.manifest.files}
    while True:
        found = closure(store, [Link(*name) for name in wanted])
        more = [having.get(link.digest) for link in found.outside]
        more += [store.described(link.stage, link.key) for link in found.missing]
        names = [(one.manifest.stage, one.manifest.key, one.manifest.digest) for one in more if one]
        known = set(wanted)
        new = [name for name in dict.fromkeys(names) if name not in known]
        if not new:
            return found.artifacts, tuple(link for link in found.missing if store.described(link.stage, link.key) is None)
        wanted += new


@contextlib.contextmanager
def _explained(store: Store) -> Iterator[None]:
    """Say of a record that is none of ours that nothing can be known from it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            "A record says in no known way what is needed.",
            where=str(store.root),
            got=f"{type(error).__name__}: {error}",
            expected="records of runs and models as this program writes them",
            remedy="corpus2vec verify --all names it. Remove it, or bring it back from a copy.",
        ) from error
