"""What atomic writing needs: hidden names beside the target, waiting for the disk, and clearing away what killed processes left."""

import contextlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path


def working_path(target: Path) -> Path:
    """A hidden name beside the target that says which process writes there."""
    return target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}")


def sync(path: Path) -> None:
    """Wait until a file or a directory's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(target: Path, blocks: Iterable[bytes]) -> None:
    """Write a file that is there as a whole or not at all, also when making the blocks fails; one that is there already is replaced."""
    working = working_path(target)
    try:
        with working.open("wb", buffering=0) as file:
            for block in blocks:
                left = memoryview(block)
                while left:
                    left = left[file.write(left) :]
        sync(working)
        working.replace(target)
    finally:
        working.unlink(missing_ok=True)


def is_gone(host: str, process: int) -> bool | None:
    """Whether a process has ended; None when that cannot be known from here."""
    if process < 1 or host != socket.gethostname() or not Path("/proc/self").exists():
        return None
    return not Path(f"/proc/{process}").exists()


def remove_abandoned(parent: Path) -> None:
    """Remove what processes of this machine that are gone were writing."""
    for path in parent.glob(f".*.{socket.gethostname()}.*"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and is_gone(socket.gethostname(), int(process)):
            shutil.rmtree(path, ignore_errors=True)
            with contextlib.suppress(OSError):  # a record is a file, not a directory
                path.unlink(missing_ok=True)
