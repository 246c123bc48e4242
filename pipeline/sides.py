"""Which vectors of a trained artifact are meant."""

from pipeline.errors import UsageError
from pipeline.storage.artifact import Artifact
from pipeline.vectors import USUAL, Side


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
