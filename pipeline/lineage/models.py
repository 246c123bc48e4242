"""Trained vectors by what a person calls them. Imports nothing heavy: a question must be answered at once."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError, UsageError
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent, named_version, nothing_yet, of_run, resolve
from pipeline.lineage.runs import run_record
from pipeline.sides import side_of
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.registry import Registry
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import RUNS, Store
from pipeline.vectors import USUAL, Vectors, read_vectors


@dataclass(frozen=True)
class Model:
    """Trained vectors that are here, with the bytes that were meant."""

    name: str  # what they are in full: demo@3, run 20261121T180000-abc123, train/0123456789ab
    artifact: Artifact
    run: dict[str, Any] | None  # the record of the run that is meant, or that made the version; None: of a key, or it is not to be read

    @property
    def vectors_path(self) -> Path:
        """The Parquet file of its vectors."""
        return self.artifact.path(VECTORS_FILE)

    def read(self, side: str = USUAL) -> Vectors:
        """Its vectors, as `side_of` says."""
        return read_vectors(self.vectors_path, side_of(self.artifact, side))


def find_model(store: Store, reference: str = "") -> Model:
    """The vectors that a reference means, as `resolve` says; without one, those of the newest run whose vectors are here.

    Raises
    ------
    UsageError
        When the reference means no vectors, or several things, or they are no longer in the store.
    StoreError
        When they are damaged, or have other bytes than were meant.
    """
    if not reference:
        return _newest(store)
    if version := named_version(store, reference):
        artifact, run = _meant(store, str(version), version.vectors), None
        with contextlib.suppress(StoreError):  # the vectors can be used without it
            run = run_record(store, version.run)
        return Model(str(version), artifact, run)
    referent = resolve(store, reference)
    if referent.vectors is None:
        raise UsageError(
            "These are no vectors.",
            where=str(store.root),
            got=referent.name,
            expected="a model, a version of one (name@2), a run, or the beginning of the key of trained vectors",
            remedy=f"corpus2vec lineage {reference} says what they are; corpus2vec show lists the runs and the keys of their vectors.",
        )
    return Model(referent.name, _meant(store, referent.name, referent.vectors), referent.run)


def _newest(store: Store) -> Model:
    runs = store.record_names(RUNS)
    for run in reversed(runs):
        referent = of_run(run_record(store, run) or {"id": run, "steps": []})
        link = referent.vectors
        if link and store.find(link.stage, link.key):
            return Model(referent.name, _meant(store, referent.name, link), referent.run)
    if not runs:
        raise nothing_yet(store)
    raise UsageError(
        "No run has its vectors in this store any more.",
        where=str(store.root),
        got=f"{len(runs):,} runs, whose vectors were removed",
        expected="a run whose vectors are here, or a model that is named (--model)",
        remedy="Train again: corpus2vec train, with the same configuration. corpus2vec show lists the runs.",
    )


def _meant(store: Store, name: str, link: Link) -> Artifact:
    """The artifact of a link, with its bytes."""
    artifact = store.find(link.stage, link.key)
    key = f"{link.stage}/{link.key[:12]}"
    if artifact is None and store.described(link.stage, link.key):
        raise UsageError(
            f"The vectors of {name} are in the shared store only.",
            where=str(store.root),
            got=f"the manifest of {key}, without its files",
            expected="vectors that are here",
            remedy=f"Bring them: corpus2vec pull {key}",
        )
    if artifact is None:
        raise UsageError(
            f"The vectors of {name} are no longer in the store.",
            where=str(store.root),
            got=f"no {key}",
            expected="vectors that were not removed",
            remedy="Train them again, with the configuration of their run (corpus2vec show), or name others (corpus2vec models).",
        )
    if artifact.manifest.digest != link.digest:
        raise StoreError(
            f"The vectors of {name} have other bytes than those that were meant.",
            where=str(artifact.directory),
            got=f"the digest {artifact.manifest.digest[:16]}",
            expected=link.digest[:16],
            remedy=f"They were made again since, and came out otherwise. To use these all the same, name them by their key: {key}",
        )
    return artifact


def run_of(store: Store, referent: Referent) -> dict[str, Any] | None:
    """The record of the run that is meant; of vectors, and of a version whose record is gone, the newest that made a version of them.

    Raises
    ------
    StoreError
        When the record cannot be used.
    """
    if referent.run or referent.vectors is None:
        return referent.run
    registry = Registry(store)
    versions = [version for name in registry.names() for version in registry.versions(name, lambda error: None)]
    runs = sorted({version.run for version in versions if version.vectors == referent.vectors}, reverse=True)
    return next((record for run in runs if (record := run_record(store, run))), None)


def configuration_of(store: Store, model: Model) -> Mapping[str, Any] | None:
    """The configuration that made a model; where its run is not known, how its text was tokenized, by its manifests; else None.

    Raises
    ------
    StoreError
        When a record or a manifest cannot be used.
    """
    if run := model.run or run_of(store, Referent(model.name, (model.artifact.link,))):
        configuration: dict[str, Any] = run["configuration"]
        return configuration
    found = closure(store, [model.artifact.link]).artifacts
    return next(({"tokenize": one.manifest.settings} for one in found if one.manifest.stage == "tokenize"), None)
