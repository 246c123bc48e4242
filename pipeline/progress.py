"""How far a step has come: counts work and words, and tells the listeners a few times a second."""

import time
from collections.abc import Mapping

from pipeline.events import StepAdvanced, emit

SECONDS_BETWEEN_EVENTS = 0.2


class Progress:
    """The progress of one step, from its first `advance` to its `n_total` units."""

    def __init__(self, step: str, n_total: int, unit: str) -> None:
        self.step, self.n_total, self.unit = step, n_total, unit
        self.n_done = self.n_done_before = 0
        self.n_words = self.n_words_before = 0.0
        self.started = time.monotonic()
        self.emitted = -SECONDS_BETWEEN_EVENTS

    def go_on_from(self, n_units: int, n_words: float) -> None:
        """Count what an earlier run has done already; speed and time left come from what this one does."""
        self.n_done = self.n_done_before = n_units
        self.n_words = self.n_words_before = n_words

    @property
    def elapsed_s(self) -> float:
        """Seconds since the step began here."""
        return time.monotonic() - self.started

    @property
    def words_per_s(self) -> float:
        """Words of text a second, over all passes."""
        return (self.n_words - self.n_words_before) / max(self.elapsed_s, 1e-9)

    def advance(self, n_units: int, n_words: float, figures: Mapping[str, float] | None = None) -> None:
        """Note finished work, with figures of its own where a step has more to tell than words a second."""
        self.n_done += n_units
        self.n_words += n_words
        if self.elapsed_s - self.emitted >= SECONDS_BETWEEN_EVENTS or self.n_done == self.n_total:
            self.emitted = self.elapsed_s
            left_s = self.elapsed_s * (self.n_total - self.n_done) / max(1, self.n_done - self.n_done_before)
            words = {"words": float(round(self.n_words)), "words_per_s": self.words_per_s} if self.n_words else {}  # files have none
            emit(StepAdvanced(self.step, self.n_done, self.n_total, self.unit, {**words, "left_s": left_s, **(figures or {})}))
