"""What a person means by a few letters: a model, one of its versions, a run, or an artifact."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.lineage.runs import run_record
from pipeline.storage.artifact import Link
from pipeline.storage.registry import Registry, Version
from pipeline.storage.store import RUNS, Store

SHORTEST = 4  # letters of a run or a key


@dataclass(frozen=True)
class Referent:
    """What a reference leads to."""

    name: str  # what it is in full: demo@3, run 20261121T180000-abc123, train/0123456789ab
    links: tuple[Link, ...]  # of a version or a run its vectors and their scores; of an artifact itself
    version: Version | None = None
    run: dict[str, Any] | None = None  # the record of the run, of a version of the one that made it, if it is still there

    @property
    def vectors(self) -> Link | None:
        """The trained vectors among them, if any."""
        return next((link for link in self.links if link.stage in ("train", "glove", "ppmi_svd")), None)


def resolve(store: Store, reference: str) -> Referent:
    """What a reference means: `name@version`, `name@alias`, a name (its newest version), a run, or an artifact by `stage/key` or `key`.

    Of runs and keys the beginning is enough, from four letters on. A name comes first: it may look like the beginning of a run.

    Raises
    ------
    UsageError
        When it means nothing, or several things.
    StoreError
        When a record or a manifest cannot be read.
    """
    if version := named_version(store, reference):
        return Referent(str(version), (version.vectors, version.evaluation), version, run_record(store, version.run))
    runs, links = _beginning(store, reference)
    found = [*(f"run {run}" for run in runs), *map(_name, links)]
    if len(found) > 1:
        raise UsageError(
            "This can mean several things.",
            where=str(store.root),
            got=reference,
            expected="one of " + ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""),
            remedy="Give more letters.",
        )
    if links:
        return Referent(_name(links[0]), (links[0],))
    if runs and (record := run_record(store, runs[0])):
        return of_run(record)
    raise unknown(store, reference)


def _beginning(store: Store, reference: str) -> tuple[list[str], list[Link]]:
    """The runs and the artifacts whose ids and keys begin so. No record is read before it is known that it is meant."""
    if len(reference) < SHORTEST:
        return [], []
    runs = store.record_names(RUNS, reference)
    stage, _, key = reference.rpartition("/")
    links = [artifact.link for artifact in store.beginning(key)] if len(key) >= SHORTEST else []
    return [reference] if reference in runs else runs, [link for link in links if stage in ("", link.stage)]


def named_version(store: Store, reference: str) -> Version | None:
    """The version that a name means (its newest), or `name@version`, `name@alias`; None when it is the name of no model.

    Raises
    ------
    UsageError
        When the model, or this version of it, does not exist.
    StoreError
        When its record cannot be read.
    """
    registry = Registry(store)
    name, at, which = reference.partition("@")
    version = registry.find(name, which) if at else registry.newest(name)
    if at and version is None:
        raise _unknown_version(registry, name, which)
    return version


def of_run(record: dict[str, Any]) -> Referent:
    """What the record of a run leads to."""
    links = [link for step in record["steps"] if step["step"] in ("train", "evaluate") for link in links_of(step)]
    return Referent(f"run {record['id']}", tuple(links), None, record)


def _name(link: Link) -> str:
    return f"{link.stage}/{link.key[:12]}"


def links_of(step: dict[str, Any]) -> list[Link]:
    """The artifacts of a step in the record of a run."""
    return [Link(step["stage"], key, digest) for key, digest in zip(step["keys"], step["digests"], strict=True)]


def _unknown_version(registry: Registry, name: str, which: str) -> UsageError:
    known = [str(version.number) for version in registry.versions(name, lambda error: None)]
    if not known:
        return unknown(registry.store, name)
    return UsageError(
        f"The model {name} has no such version.",
        where=str(registry.store.root),
        got=which[:100],
        expected="one of " + ", ".join([*known[-10:], *registry.aliases(name, lambda error: None)]),
        remedy=f"corpus2vec models {name} lists all.",
    )


def unknown(store: Store, reference: str) -> UsageError:
    """What to say of a reference that means nothing: what there is."""
    names: Sequence[str] = Registry(store).names()
    near = difflib.get_close_matches(reference, names, n=1)
    if not names and not store.stages():
        return nothing_yet(store)
    return UsageError(
        "There is nothing that is called so.",
        where=str(store.root),
        got=reference[:100],
        expected=("one of " + ", ".join(names[:10]) + ", " if names else "") + "a version (name@2), a run, or the beginning of a key",
        remedy=f"Did you mean {near[0]}?" if near else "corpus2vec show lists the runs, corpus2vec models the models.",
    )


def nothing_yet(store: Store) -> UsageError:
    """What to say of a store in which no run has finished."""
    return UsageError(
        "There is no model yet.",
        where=str(store.root),
        expected="a store in which a run has finished",
        remedy="Train one (corpus2vec train CONFIG), or name another store (--store DIRECTORY).",
    )
