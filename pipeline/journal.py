"""The journal of a run: one JSON line in `<store>/runs/<run>/progress.jsonl` for everything that happens, as it happens.

It is for people and programs that look on (`tail -f`), and says of a run that did not finish what it was and how far it came. Nothing is
computed from it, so a journal that cannot be written stops no run. While the run goes on its directory is locked, so that everybody can
see that it does.
"""

import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.configuration import Configuration
from pipeline.environment import environment
from pipeline.errors import Corpus2VecError, StoreError
from pipeline.events import Event, RunWarned, emit, values_of
from pipeline.place import place
from pipeline.storage.atomic import SECONDS_SILENT, seconds_silent
from pipeline.storage.locks import LockedError, exclusive, is_locked
from pipeline.storage.sequence import is_id
from pipeline.storage.store import RUNS, Store

JOURNAL = "progress.jsonl"
TAIL_BYTES = 65_536  # the last line is in there, whatever an error had to say
SECONDS_TO_LOCK = 5.0  # of somebody who looks whether it is locked, which takes no time


class Journal:
    """A listener that writes. Its file and directory come with the first event: a run that is refused leaves nothing."""

    def __init__(self, store: Store, run: str, configuration: Configuration) -> None:
        self.store, self.run, self.configuration = store, run, configuration
        self._begun = self._over = False
        self._lock = contextlib.ExitStack()

    def __call__(self, event: Event) -> None:
        """Write one event."""
        self._write(values_of(event))

    def finish(self, elapsed_s: float) -> None:
        """The last line of a run that has done everything."""
        self._end({"event": "RunFinished", "elapsed_s": elapsed_s})

    def end(self, error: BaseException | None) -> None:
        """The last line of a run that was left, unless it was finished or never began: it failed, was interrupted, or had enough."""
        if error is None:
            self._end({"event": "RunStopped"})
        elif isinstance(error, Exception):
            text = str(error) if isinstance(error, Corpus2VecError) else f"{type(error).__name__}: {error}"
            self._end({"event": "RunFailed", "error": text})
        else:
            self._end({"event": "RunInterrupted"})

    def _end(self, values: dict[str, Any]) -> None:
        if self._begun:
            self._write(values)
        self._over = True
        self._lock.close()

    def _write(self, values: dict[str, Any]) -> None:
        if self._over:
            return
        try:
            if not self._begun:
                self._append(self._start())
                self._begun = True
                with contextlib.suppress(LockedError):
                    self._lock.enter_context(exclusive(self.store.root / RUNS / self.run, SECONDS_TO_LOCK))
            self._append(values)
        except (StoreError, OSError) as error:
            self._over = True
            why = f"{error.what} {error.details['got']}" if isinstance(error, StoreError) else str(error)
            emit(RunWarned(f"The progress of this run is not kept in {self.store.root / RUNS / self.run / JOURNAL}: {why}"))

    def _start(self) -> dict[str, Any]:
        here = place()
        return {
            "event": "RunStarted",
            "run": self.run,
            "name": self.configuration.name,
            "host": here.host,
            "user": here.user,
            "process": here.process,
            "configuration": self.configuration.model_dump(mode="json"),
            "environment": environment(),
        }

    def _append(self, values: dict[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        self.store.append_line(RUNS, self.run, JOURNAL, json.dumps(line, ensure_ascii=False, allow_nan=False))


class RunState(StrEnum):
    """What has become of a run that has no record: one that ends by itself says so, one that was killed does not."""

    GOES_ON = "goes on"
    KILLED = "killed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


_ENDS = {"RunFailed": RunState.FAILED, "RunInterrupted": RunState.INTERRUPTED, "RunStopped": RunState.STOPPED}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without a record, by its journal. Only a run that finished has a record: it alone has something to show for itself."""

    run: str
    name: str  # of its model; empty when the journal does not say
    last: dict[str, Any]  # the last whole line; empty when there is none
    state: RunState = RunState.KILLED

    @property
    def goes_on(self) -> bool:
        """Whether somebody is at work, as far as that can be known."""
        return self.state is RunState.GOES_ON


def unfinished_runs(store: Store) -> list[UnfinishedRun]:
    """The runs that have no record, newest first. A directory with another name, or with files but no journal, is of no run."""
    known = (directory for directory in reversed(store.without_record(RUNS)) if is_id(directory.name) and not directory.is_symlink())
    return [_read_journal(directory) for directory in known if (directory / JOURNAL).exists() or not any(directory.iterdir())]


def _read_journal(directory: Path) -> UnfinishedRun:
    try:
        with (directory / JOURNAL).open("rb") as file:
            first = file.readline()
            file.seek(max(len(first), file.seek(0, 2) - TAIL_BYTES))
            lines = [first, *file.read().splitlines()]
    except OSError:
        return UnfinishedRun(directory.name, "", {})
    last = next((values for line in reversed(lines) if (values := _parsed(line))), {})
    begun = _parsed(first)
    here = place().host
    state = _ENDS.get(str(last.get("event"))) or _state(directory, is_here=begun.get("host", here) == here)
    return UnfinishedRun(directory.name, str(begun.get("name", "")), last, state)


def _state(directory: Path, *, is_here: bool) -> RunState:
    """Of a run that has not said how it ended: its lock tells, or where that cannot be seen, whether its journal grew within a day."""
    locked = is_locked(directory)
    heard_of = (not is_here or locked is None) and seconds_silent(directory) <= SECONDS_SILENT
    return RunState.GOES_ON if locked or heard_of else RunState.KILLED


def _parsed(line: bytes) -> dict[str, Any]:
    """The values of a line; none when it was cut off by a full disk or a loss of power."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
