"""What is said of runs that did not finish."""

import pytest

from flows.showing import how_it_stands
from pipeline.journal import RunState, UnfinishedRun


@pytest.mark.parametrize(
    ("last", "state", "said"),
    [
        ({"event": "StepStarted", "step": "pairs"}, RunState.GOES_ON, "goes on: pairs started"),
        ({"event": "StepAdvanced", "step": "train", "n_done": 1, "n_total": 4}, RunState.KILLED, "killed: train 25%"),
        ({}, RunState.GOES_ON, "goes on"),
        ({}, RunState.KILLED, "killed"),
        ({"event": "RunFailed", "error": "The corpus is empty.\n  where: x"}, RunState.FAILED, "failed: The corpus is empty."),
        ({"event": "RunInterrupted"}, RunState.INTERRUPTED, "interrupted"),
        ({"event": "RunStopped"}, RunState.STOPPED, "stopped"),
    ],
)
def test_how_it_stands__says_what_became_of_a_run_and_how_far_it_came(last: dict, state: RunState, said: str) -> None:
    assert how_it_stands(UnfinishedRun("id", "demo", last, state)) == said
