"""What a model card says of vectors: facts from the manifests of all that they were made from, and from the run's record if it is there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UsageError
from pipeline.lineage.ancestry import SOURCE, Ancestry, OutsideFile, ancestry, is_source
from pipeline.lineage.references import Referent
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Loss:
    """So many of something were left out."""

    stage: str
    unit: str
    n_in: int
    dropped: Mapping[str, int]  # by reason; none of them 0


@dataclass(frozen=True)
class Card:
    """The facts of a card."""

    name: str
    vectors: Artifact
    evaluation: Artifact | None  # of these vectors, the one that is meant or the newest; none when there is none
    ancestry: Ancestry
    files: tuple[OutsideFile, ...]  # of the corpus
    licence: str  # of the corpus; empty when nobody stated it
    configuration: Mapping[str, Any] | None  # of the run, by section; none when its record is gone
    losses: tuple[Loss, ...]

    def artifacts(self, stage: str) -> tuple[Artifact, ...]:
        """Those of its ancestors that a stage made."""
        return tuple(artifact for group in self.ancestry.groups if group.stage == stage for artifact in group.artifacts)

    @property
    def is_reproducible(self) -> bool:
        """Whether training gives the same bytes again."""
        return self.vectors.manifest.parameters.get("mode") != "shared"


def card(store: Store, referent: Referent) -> Card:
    """The facts about vectors.

    Raises
    ------
    UsageError
        When the reference leads to no trained vectors, or they are no longer in the store.
    StoreError
        When their manifest, or that of their evaluation, cannot be used.
    """
    link = referent.vectors
    vectors = store.described(link.stage, link.key) if link else None
    if link is None or vectors is None:
        raise UsageError(
            "There are no vectors to make a card of.",
            where=str(store.root),
            got=referent.name + (", whose vectors are no longer in the store" if link else ""),
            expected="a model, a run, or the key of trained vectors",
            remedy="corpus2vec show lists the runs and the keys of their vectors.",
        )
    evaluation = _evaluation(store, referent, link)
    made = Referent(referent.name, (link, evaluation.link) if evaluation else (link,), referent.version, referent.run)
    found = ancestry(store, made)
    files = tuple(file for group in found.groups if group.stage == SOURCE for file in group.files)
    configuration = referent.run["configuration"] if referent.run else None
    return Card(referent.name, vectors, evaluation, found, files, _licence(store, found, configuration), configuration, _losses(found))


def _evaluation(store: Store, referent: Referent, vectors: Link) -> Artifact | None:
    named = next((link for link in referent.links if link.stage == "evaluate"), None)
    if named:
        return store.described(named.stage, named.key)
    of_these = (one for one in store.artifacts("evaluate") if one.manifest.inputs["vectors"][0].digest == vectors.digest)
    return next(of_these, None)


def _licence(store: Store, found: Ancestry, configuration: Mapping[str, Any] | None) -> str:
    """What the run says; else the newest snapshot of the same text."""
    if configuration is not None:
        return str(configuration["corpus"].get("licence", ""))
    read = {
        (link.stage, link.digest)
        for group in found.groups
        for artifact in group.artifacts
        for links in artifact.manifest.inputs.values()
        for link in links
        if is_source(link)
    }
    for snapshot in store.artifacts("snapshot"):
        if {(link.stage, link.digest) for link in snapshot.manifest.inputs["shards"]} == read:
            return str(snapshot.manifest.settings.get("licence", ""))
    return ""


def _losses(found: Ancestry) -> tuple[Loss, ...]:
    """What was left out on the way from the text to the words: of many shards together."""
    losses = []
    for stage in ("tokenize", "vocabulary"):
        artifacts = [artifact for group in found.groups if group.stage == stage for artifact in group.artifacts]
        losses += [loss for loss in _summed(stage, artifacts) if loss.dropped]
    return tuple(losses)


def _summed(stage: str, artifacts: Iterable[Artifact]) -> list[Loss]:
    totals: dict[str, tuple[int, dict[str, int]]] = {}
    for tally in (tally for artifact in artifacts for tally in artifact.manifest.tallies):
        n_in, dropped = totals.get(tally.unit, (0, {}))
        for reason, n in tally.dropped.items():
            if n:
                dropped[reason] = dropped.get(reason, 0) + n
        totals[tally.unit] = (n_in + tally.n_in, dropped)
    return [Loss(stage, unit, n_in, dropped) for unit, (n_in, dropped) in totals.items()]
