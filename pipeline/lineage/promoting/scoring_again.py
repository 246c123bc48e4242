"""Scoring finished vectors once more. A module of its own because it imports the whole chain, which takes a second."""

from collections.abc import Mapping
from typing import Any

from pipeline.configuration_file import load_configuration
from pipeline.run import evaluate_model
from pipeline.storage.artifact import Artifact
from pipeline.storage.store import Store


def score_again(store: Store, vectors: Artifact, configuration: Mapping[str, Any], asked: Mapping[str, Any]) -> Artifact:
    """The evaluation of vectors that a run with this configuration made, by another run's section `evaluate`; reused when it is there.

    Raises
    ------
    Corpus2VecError
        When a set is unknown or cannot be read, or the store cannot be written.
    """
    return evaluate_model(store, vectors, load_configuration(None, [], of_run={**configuration, "evaluate": asked}))
