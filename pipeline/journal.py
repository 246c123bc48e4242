"""The journal of a run: one JSON line in `<store>/runs/<run>/progress.jsonl` for everything that happens, as it happens.

It is for people and programs that look on (`tail -f`), and says how far a run came that did not finish. Nothing is computed from it, so a
journal that cannot be written stops no run. While the run goes on its directory is locked, so that everybody can see that it does.
"""

import contextlib
import json
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import Corpus2VecError, StoreError
from pipeline.events import Event, RunWarned, emit, values_of
from pipeline.storage.atomic import SECONDS_SILENT, seconds_silent
from pipeline.storage.locks import LockedError, exclusive, is_locked
from pipeline.storage.store import RUNS, Store

JOURNAL = "progress.jsonl"
TAIL_BYTES = 65_536  # the last line is in there, whatever an error had to say
SECONDS_TO_LOCK = 5.0  # of somebody who looks whether it is locked, which takes no time
ENDINGS = ("RunFinished", "RunFailed", "RunInterrupted", "RunStopped")


class Journal:
    """A listener that writes. Its file and directory come with the first event: a run that is refused leaves nothing."""

    def __init__(self, store: Store, run: str, name: str) -> None:
        self.store, self.run, self.name = store, run, name
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
                self._append({"event": "RunStarted", "run": self.run, "name": self.name, "host": socket.gethostname()})
                self._begun = True
                with contextlib.suppress(LockedError):
                    self._lock.enter_context(exclusive(self.store.root / RUNS / self.run, SECONDS_TO_LOCK))
            self._append(values)
        except (StoreError, OSError) as error:
            self._over = True
            why = f"{error.what} {error.details['got']}" if isinstance(error, StoreError) else str(error)
            emit(RunWarned(f"The progress of this run is not kept in {self.store.root / RUNS / self.run / JOURNAL}: {why}"))

    def _append(self, values: dict[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        self.store.append_line(RUNS, self.run, JOURNAL, json.dumps(line, ensure_ascii=False, allow_nan=False))


@dataclass(frozen=True)
class UnfinishedRun:
    """A run without a record, by its journal: it goes on, was killed or interrupted, or failed."""

    run: str
    name: str  # of its model; empty when the journal does not say
    last: dict[str, Any]  # the last whole line; empty when there is none
    goes_on: bool = False  # as far as that can be known: on another machine it does when its journal has grown within a day


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
    here = socket.gethostname()
    goes_on = last.get("event") not in ENDINGS and _goes_on(directory, begun.get("host", here) == here)
    return UnfinishedRun(directory.name, str(begun.get("name", "")), last, goes_on)


def _goes_on(directory: Path, is_here: bool) -> bool:
    locked = is_locked(directory)
    return bool(locked) or ((not is_here or locked is None) and seconds_silent(directory) <= SECONDS_SILENT)


def _parsed(line: bytes) -> dict[str, Any]:
    """The values of a line; none when it was cut off by a full disk or a loss of power."""
    try:
        values = json.loads(line)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
