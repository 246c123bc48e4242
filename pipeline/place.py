"""Who computes where: recorded with runs, never part of a key or a digest. Imports nothing, so that who lists runs need not wait."""

import getpass
import os
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A process, and whose it is."""

    host: str
    user: str
    process: int  # its number on that host


def place() -> Place:
    """Where the caller runs."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container a user may have no name
        user = str(os.getuid())
    return Place(socket.gethostname(), user, os.getpid())
