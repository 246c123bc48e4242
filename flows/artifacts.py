"""The progress of a run as Prefect progress artifacts, one for each step that computes for a while.

What they cost must not show in training: a thread of its own talks to the server, every two seconds, and tells it only the latest. A server
that fails or hangs stops no run.
"""

import threading
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self, cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact

from flows.report import figure_texts
from pipeline.events import Event, RunWarned, StepAdvanced, StepFinished, emit

SECONDS_BETWEEN_UPDATES = 2.0
SECONDS_TO_END = 5.0  # how long a finished run waits for a server that hangs


@dataclass(frozen=True)
class _State:
    """How far a step has come."""

    step: str
    percent: float
    description: str
    context: Context  # of the step's task: Prefect finds in it which run this is


class ProgressArtifacts:
    """A listener that keeps `<step>-progress` artifacts up to date while it is open. Use it in the body of a flow, in `with`."""

    def __init__(self) -> None:
        self._advanced: dict[str, StepAdvanced] = {}  # the last of each step
        self._states: SimpleQueue[_State | None] = SimpleQueue()  # None: no more will come
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._post_all, name="progress-artifacts", daemon=True)
        self._problem = ""
        self._warned = False

    def __call__(self, event: Event) -> None:
        """Have one event told to the server, if it says how far a step has come."""
        match event:
            case StepAdvanced():
                self._advanced[event.step] = event
                texts = figure_texts(event) or [f"{event.n_done:,} of {event.n_total:,} {event.unit}"]
                if "left_s" in event.figures:
                    texts.append(f"{event.figures['left_s']:.0f} s left")
                self._tell(event.step, 100 * event.n_done / max(1, event.n_total), texts)
            case StepFinished() if event.step in self._advanced:
                self._tell(event.step, 100.0, [*figure_texts(self._advanced[event.step]), f"finished in {event.elapsed_s:.1f} s"])
            case _:
                pass
        self._warn()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._states.put(None)
        self._ending.set()
        if self._thread.is_alive() and (error is None or isinstance(error, Exception)):  # who interrupts does not want to wait
            self._thread.join(SECONDS_TO_END)
            if self._thread.is_alive():
                self._problem = self._problem or f"no answer in {SECONDS_TO_END:.0f} s"
        self._warn()

    def _tell(self, step: str, percent: float, texts: list[str]) -> None:
        self._states.put(_State(step, percent, ", ".join(texts), copy_context()))
        if self._thread.ident is None:
            self._thread.start()

    def _warn(self) -> None:
        """Once, from the thread that computes: a display hears no other."""
        if self._problem and not self._warned:
            self._warned = True
            emit(RunWarned(f"Prefect does not show all progress of this run: {self._problem}"))

    def _post_all(self) -> None:
        artifacts: dict[str, UUID] = {}
        more = True
        while more:
            states = [self._states.get(), *self._waiting()]
            more = states[-1] is not None
            for state in {state.step: state for state in states if state}.values():
                try:
                    state.context.run(_post, state, artifacts)
                except Exception as error:  # whatever Prefect's client, or its server, finds wrong
                    self._problem = self._problem or f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            if more:
                self._ending.wait(SECONDS_BETWEEN_UPDATES)

    def _waiting(self) -> list[_State | None]:
        states = []
        while True:
            try:
                states.append(self._states.get_nowait())
            except Empty:
                return states


def _post(state: _State, artifacts: dict[str, UUID]) -> None:
    """Create the artifact of a step, or update it."""
    if state.step in artifacts:
        update_progress_artifact(artifacts[state.step], state.percent, state.description)
    else:
        created = create_progress_artifact(state.percent, f"{state.step}-progress", state.description)
        artifacts[state.step] = cast(UUID, created)  # a coroutine only where an event loop runs
