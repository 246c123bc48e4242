"""What a person means by a few letters: a model, one of its versions, a run, or an artifact."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
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
    registry = Registry(store)
    name, at, which = reference.partition("@")
    if version := registry.find(name, which) if at else next(reversed(registry.versions(name)), None):
        return _of_version(store, version)
    if at:
        raise _unknown_version(registry, name, which)
    if len(reference) >= SHORTEST:
        runs = [run for run in store.records(RUNS) if run["id"].startswith(reference)]
        stage, _, key = reference.rpartition("/")
        links = [artifact.link for artifact in store.beginning(key)] if len(key) >= SHORTEST else []
        found = [_of_run(run) for run in runs]
        found += [Referent(f"{link.stage}/{link.key[:12]}", (link,)) for link in links if stage in ("", link.stage)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                "This can mean several things.",
                where=str(store.root),
                got=reference,
                expected="one of " + ", ".join(one.name for one in found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else ""),
                remedy="Give more letters.",
            )
    raise _unknown(store, registry, reference)


def _of_version(store: Store, version: Version) -> Referent:
    run = next((run for run in store.records(RUNS) if run["id"] == version.run), None)
    return Referent(str(version), (version.vectors, version.evaluation), version, run)


def _of_run(run: dict[str, Any]) -> Referent:
    links = [link for step in run["steps"] if step["step"] in ("train", "evaluate") for link in links_of(step)]
    return Referent(f"run {run['id']}", tuple(links), None, run)


def links_of(step: dict[str, Any]) -> list[Link]:
    """The artifacts of a step in the record of a run."""
    return [Link(step["stage"], key, digest) for key, digest in zip(step["keys"], step["digests"], strict=True)]


def _unknown_version(registry: Registry, name: str, which: str) -> UsageError:
    known = [str(version.number) for version in registry.versions(name)]
    if not known:
        return _unknown(registry.store, registry, name)
    return UsageError(
        f"The model {name} has no such version.",
        where=str(registry.store.root),
        got=which,
        expected="one of " + ", ".join([*known[-10:], *registry.aliases(name)]),
        remedy="corpus2vec models lists all.",
    )


def _unknown(store: Store, registry: Registry, reference: str) -> UsageError:
    names: Sequence[str] = registry.names()
    near = difflib.get_close_matches(reference, names, n=1)
    return UsageError(
        "There is nothing that is called so.",
        where=str(store.root),
        got=reference,
        expected=("one of " + ", ".join(names[:10]) + ", " if names else "") + "a version (name@2), a run, or the beginning of a key",
        remedy=f"Did you mean {near[0]}?" if near else "corpus2vec show lists the runs, corpus2vec models the models.",
    )
