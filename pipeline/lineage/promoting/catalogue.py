"""The models of a store: their versions, what their aliases stand for, and whether what was registered is still there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import StoreError
from pipeline.storage.registry import Move, OnUnusable, Registry, Version
from pipeline.storage.store import Store

Identity = tuple[str, str, str]


@dataclass(frozen=True)
class ListedVersion:
    """A version, with what a list of them says."""

    version: Version
    aliases: tuple[str, ...]  # that stand for it now
    n_words: int | None  # None: its vectors are gone
    n_dimensions: int | None
    scores: Mapping[str, float]  # of each set; empty when its evaluation is gone
    defect: str  # what of it is gone or damaged, by the sizes of its files; empty: nothing


@dataclass(frozen=True)
class ListedModel:
    """A name, with its versions and the history of its aliases."""

    name: str
    versions: tuple[ListedVersion, ...]  # the oldest first
    history: Mapping[str, tuple[Move, ...]]  # of each alias, the present last


def listed_models(store: Store, on_unusable: OnUnusable) -> list[ListedModel]:
    """Every model that has versions, by name, without records that cannot be read: `on_unusable` hears of them."""
    found = [listed_model(store, name, on_unusable) for name in Registry(store).names()]
    return [model for model in found if model.versions]


def listed_model(store: Store, name: str, on_unusable: OnUnusable) -> ListedModel:
    """One model, in the same way; without versions when there is none of this name."""
    registry = Registry(store)
    aliases = registry.aliases(name, on_unusable)
    versions = tuple(_listed(store, version, aliases) for version in registry.versions(name, on_unusable))
    return ListedModel(name, versions, {alias: tuple(registry.history(name, alias, on_unusable)) for alias in aliases})


def _listed(store: Store, version: Version, aliases: Mapping[str, int]) -> ListedVersion:
    standing = tuple(alias for alias, number in sorted(aliases.items()) if number == version.number)
    measures: list[Mapping[str, float]] = []
    defects = []
    for link in (version.vectors, version.evaluation):
        try:
            artifact = store.find(link.stage, link.key)
        except StoreError as error:
            artifact = None
            defects.append(f"{link.stage} damaged: {error.details['got']}")
        else:
            if artifact is None:
                defects.append(f"{link.stage} gone")
            elif artifact.manifest.digest != link.digest:
                defects.append(f"{link.stage} has other bytes")
        measures.append(artifact.manifest.measures if artifact else {})
    n_words, n_dimensions = (int(measures[0][name]) if name in measures[0] else None for name in ("words", "dimensions"))
    return ListedVersion(version, standing, n_words, n_dimensions, measures[1], ", ".join(defects))


def version_names(store: Store, on_unusable: OnUnusable) -> dict[Identity, str]:
    """What to call the vectors and scores of a run: demo@2, or demo@2 production, by `identity_of` the run.

    Without records that cannot be read: `on_unusable` hears of them.
    """
    registry = Registry(store)
    found = {}
    for name in registry.names():
        aliases = registry.aliases(name, on_unusable)
        for version in registry.versions(name, on_unusable):
            found[name, version.vectors.key, version.evaluation.key] = called(version, aliases)
    return found


def called(version: Version, aliases: Mapping[str, int]) -> str:
    """A version with the aliases that stand for it: demo@2 production."""
    return " ".join([str(version), *(alias for alias, number in sorted(aliases.items()) if number == version.number)])


def identity_of(run: Mapping[str, Any]) -> Identity:
    """By what a finished run finds its version: its name, its vectors and its scores."""
    keys = {step["step"]: step["keys"][0] for step in run["steps"] if step["step"] in ("train", "evaluate")}
    return run["name"], keys.get("train", ""), keys.get("evaluate", "")
