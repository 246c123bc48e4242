"""What is said of runs that did not finish."""

import os
import socket

import pytest

from flows.showing import how_it_stands
from pipeline.journal import UnfinishedRun

HERE = (socket.gethostname(), os.getpid())
GONE = (socket.gethostname(), 2**22 + 1)  # Linux numbers no process so high
ELSEWHERE = ("another-host", os.getpid())


@pytest.mark.parametrize(
    ("last", "where", "said"),
    [
        ({"event": "StepStarted", "step": "pairs"}, HERE, "goes on: pairs started"),
        ({"event": "StepAdvanced", "step": "train", "n_done": 1, "n_total": 4}, GONE, "killed: train 25%"),
        ({"event": "StepFinished", "step": "pairs"}, ELSEWHERE, "killed, or goes on elsewhere: pairs finished"),
        ({}, GONE, "killed"),
        ({}, ("", 0), "killed, or goes on elsewhere"),
        ({"event": "RunFailed", "error": "The corpus is empty.\n  where: x"}, GONE, "failed: The corpus is empty."),
        ({"event": "RunInterrupted"}, HERE, "interrupted"),
        ({"event": "RunStopped"}, ELSEWHERE, "stopped"),
    ],
)
def test_how_it_stands__says_what_became_of_a_run_and_how_far_it_came(last: dict, where: tuple[str, int], said: str) -> None:
    assert how_it_stands(UnfinishedRun("id", "demo", last, *where)) == said
