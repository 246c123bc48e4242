"""The journal of a run: one JSON line in `<store>/runs/<run>/progress.jsonl` for everything that happens, as it happens.

It is for people and programs that look on (`tail -f`), and says how far a run came that did not finish. Nothing is computed from it, so a
journal that cannot be written stops no run.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import Corpus2VecError, StoreError
from pipeline.events import Event, RunWarned, emit, values_of
from pipeline.place import place
from pipeline.storage.atomic import is_gone
from pipeline.storage.store import RUNS, Store

JOURNAL = "progress.jsonl"
TAIL_BYTES = 65_536  # the last line is in there, whatever an error had to say


class Journal:
    """A listener that writes. Its file and directory come with the first event: a run that is refused leaves nothing."""

    def __init__(self, store: Store, run: str, name: str) -> None:
        self.store, self.run, self.name = store, run, name
        self._begun = self._over = False

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

    def _write(self, values: dict[str, Any]) -> None:
        if self._over:
            return
        try:
            if not self._begun:
                here = place()
                self._append({"event": "RunStarted", "run": self.run, "name": self.name, "host": here.host, "process": here.process})
                self._begun = True
            self._append(values)
        except (StoreError, OSError) as error:
            self._over = True
            why = f"{error.what} {error.details['got']}" if isinstance(error, StoreError) else str(error)
            emit(RunWarned(f"The progress of this run is not kept in {self.store.root / RUNS / self.run / JOURNAL}: {why}"))

    def _append(self, values: dict[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        self.store.append_line(RUNS, self.run, JOURNAL, json.dumps(line, ensure_ascii=False, allow_nan=False))


class RunState(StrEnum):
    """What has become of a run that has no record."""

    GOES_ON = "goes on"
    KILLED = "killed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    UNKNOWN = "unknown"  # it may go on on another machine, or was killed there, or its journal does not say


_ENDS = {"RunFailed": RunState.FAILED, "RunInterrupted": RunState.INTERRUPTED, "RunStopped": RunState.STOPPED}


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without a record, by its journal. Only a run that finished has a record: it alone has something to show for itself."""

    run: str
    name: str  # of its model; empty when the journal does not say
    last: dict[str, Any]  # the last whole line; empty when there is none
    host: str = ""  # where it was started; empty when the journal does not say
    process: int = 0

    @property
    def state(self) -> RunState:
        """Whether it goes on, or how it ended: a run that ends by itself says so, one that was killed does not."""
        if state := _ENDS.get(str(self.last.get("event"))):
            return state
        gone = is_gone(self.host, self.process)
        return RunState.UNKNOWN if gone is None else RunState.KILLED if gone else RunState.GOES_ON


def unfinished_runs(store: Store) -> list[UnfinishedRun]:
    """The runs that have no record, newest first."""
    return [_read_journal(directory) for directory in reversed(store.without_record(RUNS))]


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
    process = begun.get("process")
    return UnfinishedRun(
        directory.name, str(begun.get("name", "")), last, str(begun.get("host", "")), process if isinstance(process, int) else 0
    )


def _parsed(line: bytes) -> dict[str, Any]:
    """The values of a line; none when it was cut off by a full disk or a loss of power."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
