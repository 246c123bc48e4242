"""Locks on a store, and on the making of one artifact. The system releases them when their process ends, in any way: none is ever stale.

They are flock's: each belongs to an open descriptor, so threads of one process exclude each other like processes do. Where a file system
has no such locks, everything goes on without: two writers of one artifact then do the work twice, and the first one's stands.

A directory is locked by a descriptor of itself, which needs neither a file nor the right to write; but other machines that share a disk
(NFS) do not see that. So who uses a store locks a file in it, where one can be, and who must be alone locks both.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.events import RunWaits, emit

SECONDS_BETWEEN_TRIES = 0.1
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
SUFFIX = ".lock"
OF_STORE = ".lock"


class LockedError(Exception):
    """Others hold it, and have not let it go in the time that was given."""


@contextlib.contextmanager
def using(directory: Path) -> Iterator[bool]:
    """In the body nothing is removed from a store: others may use it too, but not collect what nobody needs. Waits while somebody does.

    Yields whether it is locked: it is not when there is no such directory, or no lock on this file system.
    """
    with _opened(directory / OF_STORE, _FILE) as file, _opened(directory, _DIRECTORY) as itself:
        yield _wait(itself if file is None else file, fcntl.LOCK_SH, lambda: emit(RunWaits("gc removes what nobody needs")))


@contextlib.contextmanager
def alone(directory: Path, seconds: float) -> Iterator[None]:
    """In the body nobody uses a store.

    Raises
    ------
    LockedError
        As `exclusive` does.
    """
    with exclusive(directory, seconds), exclusive(directory / OF_STORE, seconds, _FILE):
        yield


@contextlib.contextmanager
def exclusive(path: Path, seconds: float, flags: int = _DIRECTORY) -> Iterator[bool]:
    """In the body nobody else has locked a directory, or a file. Yields whether it is locked, as `using` does.

    Raises
    ------
    LockedError
        When somebody has, and still does after so many seconds.
    """
    until = time.monotonic() + seconds

    def give_up() -> None:
        if time.monotonic() >= until:
            raise LockedError(str(path))

    with _opened(path, flags) as descriptor:
        yield _wait(descriptor, fcntl.LOCK_EX, give_up, every_time=True)


@contextlib.contextmanager
def making(target: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """In the body nobody else makes `target`; `on_wait` is called if that takes waiting.

    The lock is on a hidden file beside the target, which goes with the lock. Who waited for a file that is gone then tries again.

    Raises
    ------
    OSError
        When the file cannot be made.
    """
    path = lock_path(target)
    try:  # around all: Ctrl-C is heard as soon as a call returns
        while True:
            descriptor = os.open(path, _FILE | os.O_CLOEXEC, 0o666)
            try:
                if not _wait(descriptor, fcntl.LOCK_EX, on_wait) or _is_at(descriptor, path):
                    yield
                    return
            finally:
                os.close(descriptor)
    finally:
        remove_if_free(path)


def lock_path(target: Path) -> Path:
    """The file that is locked while `target` is made."""
    return target.with_name(f".{target.name}{SUFFIX}")


def is_locked(path: Path) -> bool | None:
    """Whether somebody holds a file or a directory exclusively; None when that cannot be known."""
    with _opened(path, os.O_RDONLY) as descriptor:
        locked = None if descriptor is None else _try(descriptor, fcntl.LOCK_SH)
        return None if locked is None else not locked


def remove_if_free(path: Path) -> bool:
    """Remove the file of a lock that nobody holds, as far as that can be known; whether it was so."""
    with _opened(path, os.O_RDWR | os.O_NOFOLLOW) as descriptor:
        if descriptor is None or _try(descriptor, fcntl.LOCK_EX) is False or not _is_at(descriptor, path):
            return False
        path.unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _wait(descriptor: int | None, kind: int, on_wait: Callable[[], None], *, every_time: bool = False) -> bool:
    """Lock a descriptor, in steps so that interruptions are heard; False where there are no locks."""
    if descriptor is None:
        return False
    n_tries = 0
    while not (locked := _try(descriptor, kind)):
        if locked is None:
            return False
        n_tries += 1
        if every_time or n_tries == 2:  # the first time it may be somebody who only looks
            on_wait()
        time.sleep(SECONDS_BETWEEN_TRIES)
    return True


def _try(descriptor: int, kind: int) -> bool | None:
    """Lock a descriptor now; None where there are no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
