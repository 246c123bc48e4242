"""What atomic writing needs: hidden names beside the target, waiting for the disk, and clearing away what killed processes left."""

import contextlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

_WORKING = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}")
SECONDS_SILENT = 86_400.0  # after so long what a process elsewhere was writing counts as abandoned


def among_processes() -> str:
    """Where the numbers of processes mean what they mean here: the machine, and on Linux the namespace, which no two containers share."""
    with contextlib.suppress(OSError):
        return f"{socket.gethostname()}-{Path('/proc/self/ns/pid').stat().st_ino}"
    return socket.gethostname()


def working_path(target: Path) -> Path:
    """A hidden name beside the target that says which process writes there."""
    return target.with_name(f".{target.name}.{among_processes()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")


def sync(path: Path) -> None:
    """Wait until a file or a directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(target: Path, blocks: Iterable[bytes], *, durable: bool = True) -> None:
    """Write a file that is there as a whole or not at all, also when making the blocks fails; one that is there already is replaced.

    One that need not be `durable` can be there with other bytes after a loss of power, and takes a few milliseconds less.
    """
    working = working_path(target)
    try:
        with working.open("wb", buffering=0) as file:
            for block in blocks:
                left = memoryview(block)
                while left:
                    left = left[file.write(left) :]
        if durable:
            sync(working)
        working.replace(target)
    finally:
        working.unlink(missing_ok=True)


def sync_tree(directory: Path) -> None:
    """Wait until a directory and all that is in it are on the disk."""
    for parent, _, names in os.walk(directory, topdown=False):
        for name in sorted(names):
            sync(Path(parent, name))
        sync(Path(parent))


def remove_abandoned(parent: Path) -> None:
    """Remove what processes of this machine that are gone were writing."""
    here = among_processes()
    try:
        hidden = [name for name in os.listdir(parent) if name[0] == "." and f".{here}." in name]  # noqa: PTH208 - a tenth of the time of a glob
    except FileNotFoundError:
        return
    for path in (parent / name for name in hidden):
        if is_abandoned(path):
            remove(path)


def is_abandoned(path: Path) -> bool:
    """Whether this is a hidden name of `working_path` whose process is gone, or lives elsewhere and has been silent for a day."""
    found = _WORKING.fullmatch(path.name)
    if not found:
        return False
    if path.name.endswith(f".{among_processes()}.{found[1]}{path.name[-9:]}") and Path("/proc/self").exists():
        return not Path("/proc", found[1]).exists()
    return seconds_silent(path) > SECONDS_SILENT


def seconds_silent(path: Path) -> float:
    """Seconds since the last change of a file, or of a directory or something in it; of a time to come, until then."""
    found = [0.0]
    with contextlib.suppress(OSError):  # something has gone, so somebody is at work there
        found = [abs(time.time() - one.stat(follow_symlinks=False).st_mtime) for one in (path, *path.rglob("*"))]
    return min(found)


def discard(path: Path) -> None:
    """Remove a file or a directory: it is gone in one step, then bit by bit under a hidden name.

    Raises
    ------
    OSError
        When it is not there, or its directory cannot be written.
    """
    working = working_path(path)
    path.rename(working)
    remove(working)


def remove(path: Path) -> None:
    """Remove a file or a directory with all that is in it, as far as that can be done."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # a file, or a link to a directory
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch(directory: Path) -> Iterator[Path]:
    """A directory below another one, for what only a build needs; gone afterwards."""
    path = directory / "scratch"
    path.mkdir()
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)  # tasks that are under way may still write; what is left goes with the build
        raise
    shutil.rmtree(path)
