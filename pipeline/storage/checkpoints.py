"""Checkpoints of a long build: each whole or absent, the newest one wins, and they go when the artifact is there.

Written in a hidden directory, with digests, then renamed: a killed process leaves an older whole one behind.
"""

import contextlib
import errno
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.events import RunWarned, emit
from pipeline.storage.atomic import remove_abandoned, sync, working_path
from pipeline.storage.keys import digest_of, digest_of_file

STATE = "state.json"
LARGEST_SHARE = 0.04  # of the time may go into writing checkpoints: with a slow one, which nobody foresees, a twentieth
BYTES_A_SECOND = 5e8  # that are hashed and written, before a first checkpoint has shown it


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: files, and a small state."""

    directory: Path
    state: dict[str, Any]


def read_checkpoint(directory: Path) -> dict[str, Any]:
    """What a checkpoint says of itself: `state`, `made_by`, and `files` with their digests, which are what they were.

    Raises
    ------
    ValueError
        When it is damaged.
    OSError, KeyError, TypeError
        Whatever else a damaged file can lead to.
    """
    text = (directory / STATE).read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    if json.dumps(content) != text or content.pop("digest") != digest_of(content):
        raise ValueError(f"{STATE} was changed after it was written")
    for name, digest in content["files"].items():
        if "/" in name or digest_of_file(directory / name) != digest:
            raise ValueError(f"{name} has other bytes")
    return content


class Checkpoints:
    """The checkpoints of one build, in a directory that may not exist yet."""

    def __init__(self, directory: Path, seconds_between: float) -> None:
        self.directory, self.seconds_between = directory, seconds_between
        self.started = self.last = time.monotonic()
        self.cost_s = 0.0
        """Seconds that the slowest one took to write, or the first one is expected to take."""
        self.total_s = 0.0
        """Seconds that all of this process took."""

    def newest(self, made_by: Mapping[str, Any]) -> Checkpoint | None:
        """The newest whole one of the same making; one that is damaged, or was made otherwise, is passed over."""
        for path in sorted(self.directory.glob(f"[!.]*/{STATE}"), reverse=True):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # whatever a damaged file can lead to
                content = read_checkpoint(path.parent)
                if content["made_by"] == dict(made_by):
                    return Checkpoint(path.parent, content["state"])
        return None

    def expect(self, n_bytes: int) -> None:
        """Say how large checkpoints will be, as the work begins: the first one of a large model waits longer."""
        if not self.total_s:
            self.started = time.monotonic()
        self.cost_s = n_bytes / BYTES_A_SECOND

    @property
    def due(self) -> bool:
        """Whether enough time has passed since the last one, and all together with the next one have taken few enough of it."""
        now = time.monotonic()
        return now - self.last >= self.seconds_between and self.total_s + self.cost_s <= LARGEST_SHARE * (now - self.started)

    def write(self, number: int, state: dict[str, Any], made_by: Mapping[str, Any], save: Callable[[Path], None]) -> None:
        """Write checkpoint number `number`, whose files `save` puts into a directory; then remove the older ones.

        Only who was made by the same can go on from it. When another process has made the artifact meanwhile, nothing is left to do.

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
            content = {"state": state, "made_by": dict(made_by), "files": files}
            (working / STATE).write_text(json.dumps(content | {"digest": digest_of(content)}), encoding="utf-8")
            for path in working.iterdir():
                sync(path)
            sync(working)
            if target.exists():  # damaged, or what this build started from
                shutil.rmtree(target, ignore_errors=True)
            working.rename(target)
            sync(self.directory)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise
        finally:
            shutil.rmtree(working, ignore_errors=True)
        for older in self.directory.glob("[!.]*"):
            if older.name < target.name:
                shutil.rmtree(older, ignore_errors=True)
        self.last = time.monotonic()
        took_s = self.last - started
        self.cost_s = max(took_s, self.cost_s if self.total_s else 0.0)  # what was expected counts no more
        self.total_s += took_s

    def try_write(self, number: int, state: dict[str, Any], made_by: Mapping[str, Any], save: Callable[[Path], None]) -> None:
        """As `write`; but that one cannot be written is no reason to stop: the last one stays, and the run is warned."""
        try:
            self.write(number, state, made_by, save)
        except OSError as error:
            self.last = time.monotonic()
            emit(RunWarned(f"No checkpoint could be written to {self.directory}: {error.strerror or error}. The work goes on."))

    def clear(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self.directory, ignore_errors=True)
