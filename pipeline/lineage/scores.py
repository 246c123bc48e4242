"""The scores of two evaluations side by side, and whether they can be compared at all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.schemas import SECTIONS, SECTIONS_FILE, SIMILARITY, SIMILARITY_FILE
from pipeline.storage.tables import read_table

RHO = "Spearman's rho"
TOTAL = "total"
ASKED_HOW = ("candidates", "method")  # parameters that make other questions of the same analogies


@dataclass(frozen=True)
class Score:
    """One score of an evaluation: the accuracy of a section of analogies, or the rank correlation of a set of pairs."""

    set: str
    section: str  # of the analogies; semantic, syntactic, total; or Spearman's rho
    value: float | None  # None when nothing was asked
    low: float  # ends of the 95 % interval
    high: float
    n_asked: int
    n_all: int  # questions or pairs in the file
    is_share: bool  # an accuracy, which people say in percent and points

    @property
    def coverage(self) -> float:
        """The share of the file that could be asked, 0 to 1."""
        return self.n_asked / self.n_all if self.n_all else 0.0


@dataclass(frozen=True)
class ScoreChange:
    """One score before and after; the change is None where it says nothing."""

    set: str
    section: str
    before: Score | None
    after: Score | None
    change: float | None
    low: float | None  # ends of the 95 % interval of the change
    high: float | None
    incomparable: str  # why the two cannot be compared; empty: they can

    @property
    def is_clear(self) -> bool:
        """Whether the interval of the change leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def scores_of(evaluation: Artifact) -> list[Score]:
    """Every score of an evaluation, set by set.

    Raises
    ------
    StoreError
        When its tables cannot be read.
    """
    sections = read_table(evaluation.path(SECTIONS_FILE), SECTIONS).to_pylist()
    found = [_score(row, row["section"], "accuracy", "asked", "questions") for row in sections]
    pairs = read_table(evaluation.path(SIMILARITY_FILE), SIMILARITY).to_pylist()
    return found + [_score(row, RHO, "rho", "scored", "pairs") for row in pairs]


def _score(row: dict[str, Any], section: str, value: str, asked: str, n_all: str) -> Score:
    defined = bool(row[asked]) and not math.isnan(row[value])
    return Score(row["set"], section, row[value] if defined else None, row["low"], row["high"], row[asked], row[n_all], value == "accuracy")


def changes(before: Artifact, after: Artifact) -> list[ScoreChange]:
    """The scores of two evaluations side by side: those of `after` in their order, then those that only `before` has.

    Raises
    ------
    StoreError
        When their tables cannot be read.

    Notes
    -----
    The interval of a difference is that of Newcombe 1998, "Interval estimation for the difference between independent proportions", method
    10, and for correlations Zou 2007, "Toward using confidence intervals to compare correlations", which both make it from the two
    intervals. Differs from the sources: both models answered the same questions, so the true interval is narrower.
    """
    old, new = ({(score.set, score.section): score for score in scores_of(one)} for one in (before, after))
    names = [*new, *(name for name in old if name not in new)]
    reasons = {name: incomparable(before, after, name) for name in dict.fromkeys(name for name, _ in names)}
    return [_change(name, old.get(name), new.get(name), reasons[name[0]]) for name in names]


def _change(name: tuple[str, str], old: Score | None, new: Score | None, reason: str) -> ScoreChange:
    if reason or old is None or new is None or old.value is None or new.value is None:
        return ScoreChange(*name, old, new, None, None, None, reason)
    change = new.value - old.value
    low = change - math.hypot(new.value - new.low, old.high - old.value)
    high = change + math.hypot(new.high - new.value, old.value - old.low)
    return ScoreChange(*name, old, new, change, low, high, "")


def incomparable(before: Artifact, after: Artifact, name: str) -> str:
    """Why the scores of a set cannot be compared; empty when they can: the set has the same bytes and was asked in the same way."""
    old, new = (_link_of_set(one, name) for one in (before, after))
    if old is None or new is None:
        return f"only {'the second' if old is None else 'the first'} was scored on it"
    if old.digest != new.digest:
        return "its file has changed"
    if not new.stage.startswith("analogies/"):
        return ""
    settings = [one.manifest.parameters for one in (before, after)]
    return "; ".join(f"{key} {settings[0][key]} and {settings[1][key]}" for key in ASKED_HOW if settings[0][key] != settings[1][key])


def whole_sets(scores: Sequence[Score]) -> list[Score]:
    """Of every set the score that stands for the whole of it: the total of analogies, the correlation of pairs."""
    # The last one called total: a file may have a section of that name too.
    return list({score.set: score for score in scores if not score.is_share or score.section == TOTAL}.values())


def _link_of_set(evaluation: Artifact, name: str) -> Link | None:
    return next((link for link in evaluation.manifest.inputs.get("sets", ()) if link.key == name), None)
