"""Finding trained vectors in a store by what a person calls them. Imports nothing heavy: a question must be answered at once."""

import contextlib
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError, UsageError
from pipeline.storage.artifact import Artifact
from pipeline.storage.registry import Registry
from pipeline.storage.schemas import VECTORS_FILE
from pipeline.storage.store import RUNS, Store
from pipeline.vectors import USUAL, Side, Vectors, read_vectors


@dataclass(frozen=True)
class Model:
    """Trained vectors, and the newest run that made or reused them."""

    run: dict[str, Any]
    artifact: Artifact

    @property
    def vectors_path(self) -> Path:
        """The Parquet file of its vectors."""
        return self.artifact.path(VECTORS_FILE)

    def read(self, side: str = USUAL) -> Vectors:
        """Its vectors, as `side_of` says."""
        return read_vectors(self.vectors_path, side_of(self.artifact, side))


def side_of(artifact: Artifact, wanted: str) -> Side:
    """Which vectors of an artifact are meant: the named side, or the usual one, which is the sum for GloVe, otherwise the input.

    Raises
    ------
    UsageError
        When words have no output vectors, as with hierarchical softmax.
    """
    if wanted == USUAL:
        return Side.SUM if artifact.manifest.stage == "glove" else Side.INPUT
    if wanted != Side.INPUT and artifact.manifest.parameters.get("loss") == "hierarchical_softmax":
        raise UsageError(
            "Words have no output vectors in this model.",
            where=str(artifact.directory),
            got=wanted,
            expected="input: the outputs of hierarchical softmax are inner nodes of its tree",
            remedy="Leave the side out, or train with another loss.",
        )
    return Side(wanted)


def models(store: Store) -> list[Model]:
    """The model of every run, newest run first; without runs whose vectors are gone or damaged."""
    found = []
    for run in reversed(store.records(RUNS)):
        with contextlib.suppress(StoreError):  # one that is damaged must not stop who asks for another
            if model := _model_of(store, run):
                found.append(model)
    return found


def _model_of(store: Store, run: dict[str, Any]) -> Model | None:
    step = train_step(run)
    artifact = store.find(step["stage"], str(step["keys"][0]))
    return Model(run, artifact) if artifact else None


def train_step(run: dict[str, Any]) -> dict[str, Any]:
    """What the record of a run says of its vectors."""
    return next(step for step in run["steps"] if step["step"] == "train")


def find_model(store: Store, reference: str = "") -> Model:
    """The newest model, or the newest one of this name, version (name@2, name@alias), run, or key (the beginning is enough).

    Raises
    ------
    UsageError
        When the store has no model, or none that is called so.
    StoreError
        When it is damaged.
    """
    name, _, which = reference.partition("@")
    if version := Registry(store).find(name, which):
        if store.described(version.vectors.stage, version.vectors.key) is None:
            raise UsageError(
                "The vectors of this version are no longer in the store.",
                where=str(store.root),
                got=str(version),
                expected="a version that was not removed",
                remedy=f"Train it again, with the configuration of run {version.run}, or name another one.",
            )
        reference = version.vectors.key
    runs = list(reversed(store.records(RUNS)))
    # A name may look like the beginning of an id (2026): it comes first.
    called = [run for run in runs if reference in ("", run["name"])]
    called += [run for run in runs if _begins_an_id(run, reference)]
    for run in called:
        if model := _model_of(store, run):
            return model
    names = list(dict.fromkeys(model.run["name"] for model in models(store)))
    if not names:
        raise UsageError(
            "There is no model yet.",
            where=str(store.root),
            expected="a store in which a run has finished",
            remedy="Train one (corpus2vec train CONFIG), or name another store (--store DIRECTORY).",
        )
    near = difflib.get_close_matches(reference, names, n=1)
    raise UsageError(
        "There is no such model.",
        where=str(store.root),
        got=reference,
        expected="one of " + ", ".join(names[:10]) + ", a version of one (name@2), a run, or the beginning of a key",
        remedy=f"Did you mean {near[0]}?" if near else "corpus2vec show lists what there is.",
    )


def _begins_an_id(run: dict[str, Any], reference: str) -> bool:
    return len(reference) >= 4 and (run["id"].startswith(reference) or str(train_step(run)["keys"][0]).startswith(reference))
