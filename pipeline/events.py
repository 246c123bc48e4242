"""What happens during a run, as values: the same events feed the bar, the log, the JSON lines, the journal of the run and Prefect.

Whoever computes calls `emit`; whoever shows calls `listening`. The listeners live in a context variable, so that they follow a run through
Prefect's tasks without being a parameter of any, and two runs in one process do not hear each other.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class StepStarted:
    """A step begins to compute."""

    step: str
    reason: str  # why it is not reused


@dataclass(frozen=True)
class StepResumed:
    """A step goes on from a checkpoint."""

    step: str
    n_done: int
    n_total: int
    unit: str


@dataclass(frozen=True)
class StepAdvanced:
    """Some of a step's work is done."""

    step: str
    n_done: int
    n_total: int
    unit: str  # what is counted: "shards", "words" ...
    figures: dict[str, float] = field(default_factory=dict)  # words, words_per_s, left_s, loss, learning_rate ...


@dataclass(frozen=True)
class StepFinished:
    """All artifacts of a step exist."""

    step: str
    reused: bool
    elapsed_s: float
    size_bytes: int
    summary: str  # one line: what came out
    n_shared: int = 0  # of its artifacts: from the shared store


@dataclass(frozen=True)
class RunWarned:
    """Something beside the work went wrong; the work goes on."""

    message: str


@dataclass(frozen=True)
class RunWaits:
    """Another process has what the run needs; it goes on when that is free."""

    reason: str


Event = StepStarted | StepResumed | StepAdvanced | StepFinished | RunWarned | RunWaits
Listener = Callable[[Event], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def emit(event: Event) -> None:
    """Tell every listener of this run, the innermost first: what is shown is in the journal already."""
    for listener in reversed(_listeners.get()):
        listener(event)


def values_of(event: Event) -> dict[str, Any]:
    """An event as values for JSON, which knows no infinity: a loss can be one just before training gives up, and is None then."""
    values = {"event": type(event).__name__, **asdict(event)}
    if "figures" in values:
        values["figures"] = {name: value if math.isfinite(value) else None for name, value in values["figures"].items()}
    return values


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called with every event in the body."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
