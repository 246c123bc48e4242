"""How far a step has come, by the events that it emits."""

import pytest

from pipeline.events import Event, StepAdvanced, listening
from pipeline.progress import Progress


def advanced(progress: Progress, *steps: tuple[int, float]) -> list[StepAdvanced]:
    events: list[Event] = []
    with listening(events.append):
        for n_units, n_words in steps:
            progress.advance(n_units, n_words, {"loss": 2.5})
    return [event for event in events if isinstance(event, StepAdvanced)]


def test_progress__tells_the_first_and_the_last_and_not_every_step_between() -> None:
    events = advanced(Progress("train", 10_000, "centres"), *[(1, 2.5)] * 10_000)
    assert (events[0].n_done, events[-1].n_done) == (1, 10_000)
    assert len(events) < 1_000
    assert events[-1].figures["words"] == 25_000
    assert events[-1].figures["left_s"] == 0
    assert events[-1].figures["loss"] == 2.5


def test_progress__that_goes_on_counts_all_and_measures_only_what_is_done_now() -> None:
    progress = Progress("train", 1_000, "centres")
    progress.started -= 10.0
    progress.go_on_from(500, 5_000.0)
    (event,) = advanced(progress, (100, 1_000.0))
    assert (event.n_done, event.n_total, event.figures["words"]) == (600, 1_000, 6_000)
    assert event.figures["words_per_s"] == pytest.approx(100, rel=0.01)
    assert event.figures["left_s"] == pytest.approx(40, rel=0.01)
