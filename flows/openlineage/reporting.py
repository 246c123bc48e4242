"""Tells an OpenLineage backend what a run does, and never keeps the run waiting: a thread of its own makes and sends the events.

A backend that fails, hangs or is not there loses events, which is one warning. After three events in a row that could not be sent no more
are tried; a run that has ended waits some seconds for the rest, and for a backend that does not answer only one.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import RunEvent, RunState

from flows.openlineage.events import Events
from pipeline.credentials import redacted
from pipeline.events import Event, RunWarned, StepFinished, StepStarted, emit
from pipeline.run import Run, StepRecord
from pipeline.stage import Step
from pipeline.storage.artifact import Artifact

SECONDS_TO_END = 5.0  # how long a run that has ended waits for a backend that answers
SECONDS_TO_BREAK_OFF = 1.0  # how long it waits for another, or when it is interrupted
SECONDS_BETWEEN_LOOKS = 0.05
FAILURES_TO_GIVE_UP = 3


class Report:
    """A listener that tells what the run does while it is open. Use it in `with`, inside that of the run.

    Parameters
    ----------
    client
        Sends the events.
    run
        The run that they are of.
    started_by
        Who or what started it.
    """

    def __init__(self, client: OpenLineageClient, run: Run, started_by: str) -> None:
        self._client, self._run = client, run
        self._events = Events(run, started_by)
        self._steps = {step.name: step for step in run.steps}
        self._begun: set[str] = set()
        self._under_way: dict[str, Step] = {}
        self._queue: SimpleQueue[Callable[[], RunEvent] | None] = SimpleQueue()  # None: no more will come
        self._thread = threading.Thread(target=self._send_all, name="openlineage", daemon=True)
        self._n_told = self._n_sent = 0
        self._answers = False  # whether the last event arrived
        self._problem = ""
        self._warned = False

    def __call__(self, event: Event) -> None:
        """Have one event told, if a step begins or ends with it."""
        match event:
            case StepStarted() if event.step in self._steps:
                self._start(self._steps[event.step], datetime.now(UTC))
            case StepFinished() if event.step in self._steps:
                step, record = self._steps[event.step], self._run.records[-1]
                self._start(step, datetime.fromisoformat(record.started))  # when it is reused, and computes nothing
                self._end_step(RunState.COMPLETE, step, record)
            case _:
                return
        self._warn()

    def __enter__(self) -> Self:
        self._thread.start()
        self._tell(partial(self._events.of_run, RunState.START, self._run.started))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        interrupted = error is not None and not isinstance(error, Exception)
        whole = error is None and len(self._run.records) == len(self._run.steps)
        state = RunState.COMPLETE if whole else RunState.FAIL if isinstance(error, Exception) else RunState.ABORT
        for step in list(self._under_way.values()):
            self._end_step(state, step, None, error)
        self._tell(partial(self._events.of_run, state, datetime.now(UTC), error))
        self._queue.put(None)
        self._wait(interrupted)
        self._warn(at_end=True)

    def _wait(self, interrupted: bool) -> None:
        """Wait for what is still to be sent; longer as soon as the backend answers."""
        ended = time.monotonic()
        while self._thread.is_alive():
            patience = SECONDS_TO_END if self._answers and not interrupted else SECONDS_TO_BREAK_OFF
            left = ended + patience - time.monotonic()
            if left <= 0:
                self._problem = self._problem or f"no answer in {patience:.0f} s"
                return
            self._thread.join(min(left, SECONDS_BETWEEN_LOOKS))

    def _start(self, step: Step, at: datetime) -> None:
        """Tell that a step begins, unless it has: without the shared store a run goes through its steps again."""
        if step.name in self._begun:
            return
        self._begun.add(step.name)
        self._under_way[step.name] = step
        self._tell(partial(self._events.of_step, RunState.START, at, step, self._read_by(step)))

    def _end_step(self, state: RunState, step: Step, record: StepRecord | None, error: BaseException | None = None) -> None:
        at = datetime.fromisoformat(record.ended) if record else datetime.now(UTC)
        self._under_way.pop(step.name, None)
        made = self._run.made[step.name] if record else ()  # now: a run that loses its shared store begins anew
        self._tell(partial(self._events.of_step, state, at, step, self._read_by(step), record, made, error))

    def _read_by(self, step: Step) -> tuple[Artifact, ...]:
        return tuple(artifact for earlier in step.reads.values() for artifact in self._run.made.get(earlier, ()))

    def _tell(self, make: Callable[[], RunEvent]) -> None:
        self._n_told += 1
        self._queue.put(make)

    def _send_all(self) -> None:
        n_failed = 0  # in a row
        while (make := self._queue.get()) is not None:
            if n_failed == FAILURES_TO_GIVE_UP:
                continue
            try:
                self._client.emit(make())
                self._n_sent += 1
                self._answers, n_failed = True, 0
            except Exception as error:  # whatever the client, or its backend, finds wrong
                n_failed += 1
                self._answers = False
                self._remember(error)
        try:
            self._client.close(SECONDS_TO_END)
        except Exception as error:  # as above; some clients send only now
            self._remember(error)

    def _remember(self, error: Exception) -> None:
        self._problem = self._problem or f"{type(error).__name__}: {redacted(str(error)).partition(chr(10))[0]}"

    def _warn(self, at_end: bool = False) -> None:
        """Once, from the thread that computes: a display hears no other. At the end it is known how much is missing."""
        if self._problem and not self._warned:
            self._warned = True
            n_missing = self._n_told - self._n_sent
            missing = f"is not told {n_missing} of {self._n_told} events" if at_end else "is not told all"
            if at_end and not n_missing:  # the client took them all, and may have kept them to itself
                missing = "may not be told all"
            emit(RunWarned(f"OpenLineage {missing} of this run: {self._problem}"))
