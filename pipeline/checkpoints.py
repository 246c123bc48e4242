"""Checkpoints of a long build: each whole or absent, the newest one wins, and they go when the artifact is there.

Written in a hidden directory, with digests, then renamed: a killed process leaves an older whole one behind.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.atomic import remove_abandoned, sync, working_path
from pipeline.keys import digest_of_file

STATE = "state.json"
LARGEST_SHARE = 0.05  # of the time may go into writing checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: files, and a small state."""

    directory: Path
    state: dict[str, Any]


class Checkpoints:
    """The checkpoints of one build, in a directory that may not exist yet."""

    def __init__(self, directory: Path, seconds_between: float) -> None:
        self.directory, self.seconds_between = directory, seconds_between
        self.last = time.monotonic()
        self.cost_s = 0.0
        """Seconds that the last one took to write."""

    def newest(self) -> Checkpoint | None:
        """The newest one whose files are what its state says; a damaged one is passed over."""
        for path in sorted(self.directory.glob(f"[!.]*/{STATE}"), reverse=True):
            state = json.loads(path.read_text(encoding="utf-8"))
            files = state.pop("files")
            if all((path.parent / name).is_file() and digest_of_file(path.parent / name) == digest for name, digest in files.items()):
                return Checkpoint(path.parent, state)
        return None

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one."""
        return time.monotonic() - self.last >= max(self.seconds_between, self.cost_s / LARGEST_SHARE)

    def write(self, number: int, state: dict[str, Any], save: Callable[[Path], None]) -> None:
        """Write checkpoint number `number`, whose files `save` puts into a directory; then remove the older ones.

        Raises
        ------
        OSError
            When the disk is full or cannot be written.
        """
        started = time.monotonic()
        target = self.directory / f"{number:012d}"
        self.directory.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self.directory)
        working = working_path(target)
        try:
            working.mkdir()
            save(working)
            files = {path.name: digest_of_file(path) for path in sorted(working.iterdir())}
            (working / STATE).write_text(json.dumps(state | {"files": files}), encoding="utf-8")
            for path in working.iterdir():
                sync(path)
            sync(working)
            if not target.exists():  # else it is the one that this build started from
                working.rename(target)
                sync(self.directory)
        finally:
            shutil.rmtree(working, ignore_errors=True)
        for older in self.directory.glob("[!.]*"):
            if older.name < target.name:
                shutil.rmtree(older, ignore_errors=True)
        self.last = time.monotonic()
        self.cost_s = self.last - started

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.directory, ignore_errors=True)
