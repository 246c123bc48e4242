"""When training is not worth going on with: the loss of what was trained last is no number, or above that of vectors that know nothing."""

from pipeline.errors import TrainingError

DIVERGED = 2.0  # times the loss of vectors of zeros


def divergence(*, where: str, loss: float, most: float, at_zero: float, remedy: str) -> TrainingError:
    """The error for a mean loss above `most`, or NaN; `at_zero` is that of vectors of zeros."""
    return TrainingError(
        "Training diverged: the loss is no longer a finite number, or far above that of vectors that know nothing.",
        where=where,
        got=f"a mean loss of {loss:.4g} an example",
        expected=f"at most {most:.4g}; vectors of zeros have {at_zero:.4g}",
        remedy=remedy,
    )
