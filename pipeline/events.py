"""What happens during a run, as values: the same events feed the progress bar, the log lines and the JSON lines.

Whoever computes calls `emit`; whoever shows calls `listening`. The listeners live in a context variable, so that they follow a run through
Prefect's tasks without being a parameter of any, and two runs in one process do not hear each other.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepStarted:
    """A step begins to compute."""

    step: str
    reason: str  # why it is not reused


@dataclass(frozen=True)
class StepAdvanced:
    """Some of a step's work is done."""

    step: str
    n_done: int
    n_total: int
    unit: str  # what is counted: "shards", "words" ...
    figures: dict[str, float] = field(default_factory=dict)  # words_per_s, loss, learning_rate ...


@dataclass(frozen=True)
class StepFinished:
    """All artifacts of a step exist."""

    step: str
    reused: bool
    elapsed_s: float
    size_bytes: int
    summary: str  # one line: what came out


Event = StepStarted | StepAdvanced | StepFinished
Listener = Callable[[Event], None]

_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("listeners", default=())


def emit(event: Event) -> None:
    """Tell every listener of this run."""
    for listener in _listeners.get():
        listener(event)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` called with every event in the body."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)
