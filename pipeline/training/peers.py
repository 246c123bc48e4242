"""Workers of a cluster as nodes of the tree of summation: which shards each holds, and the TCP connections between a node and its children.

Connections carry raw floats between the workers themselves; neither the client nor the scheduler of the cluster sees them.
"""

import contextlib
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from kernels.merge import half

_HELLO = struct.Struct("<32sq")  # the token of the run, the rank of who calls
_PATIENCE_S = 60  # for a connection to be made, and for a silent machine to count as gone


class PeerLost(Exception):  # noqa: N818 - it says what happened
    """A connection to another worker is gone: it died, or it failed and closed."""


@dataclass(frozen=True)
class Place:
    """What one worker is in the tree: it holds the shards first..last-1."""

    rank: int
    first: int
    last: int
    parent: int | None
    """Who gets the sum of these shards and of those of the children; none: this is the root."""
    children: tuple[int, ...]
    """Whose sums are added to that of these shards, each from the right, in this order."""


def places(n_shards: int, n_workers: int) -> list[Place]:
    """The tree of n_shards >= 1 over n_workers >= 1 workers, in the order of their ranks; workers beyond the shards have no place."""
    return _divide(0, n_shards, 0, min(n_workers, n_shards), None)


def _divide(first: int, last: int, rank: int, n_workers: int, parent: int | None) -> list[Place]:
    n_shards = last - first
    if n_workers == 1:
        return [Place(rank, first, last, parent, ())]
    left = half(n_shards)
    n_left = min(max(round(n_workers * left / n_shards), n_workers - (n_shards - left), 1), left, n_workers - 1)
    whole, *others = _divide(first, first + left, rank, n_left, parent)
    right = _divide(first + left, last, rank + n_left, n_workers - n_left, rank)
    return [Place(rank, whole.first, whole.last, parent, (*whole.children, rank + n_left)), *others, *right]


class Peer:
    """A connection to one other worker."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A peer that dies closes the connection; a machine that is cut off only falls silent.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", _PATIENCE_S // 2), ("TCP_KEEPINTVL", 10), ("TCP_USER_TIMEOUT", _PATIENCE_S * 1000)):
            if hasattr(socket, name):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self.sent_bytes = 0

    def send(self, parts: Sequence[memoryview]) -> None:
        """Send these bytes, one after the other.

        Raises
        ------
        PeerLost
            When the other end is gone.
        """
        left = [part for part in parts if part.nbytes]
        try:
            while left:
                n_sent = self._connection.sendmsg(left)
                self.sent_bytes += n_sent
                while left and n_sent >= left[0].nbytes:
                    n_sent -= left.pop(0).nbytes
                if n_sent:
                    left[0] = left[0][n_sent:]
        except OSError as error:
            raise PeerLost(str(error)) from error

    def receive(self, part: memoryview) -> None:
        """Fill a buffer with the next bytes, in place.

        Raises
        ------
        PeerLost
            When the other end is gone.
        """
        try:
            while part.nbytes:
                n_received = self._connection.recv_into(part)
                if not n_received:
                    raise PeerLost("the other end closed")
                part = part[n_received:]
        except OSError as error:
            raise PeerLost(str(error)) from error

    def close(self) -> None:
        """End the connection; a thread that waits in it, here or there, hears it at once."""
        with contextlib.suppress(OSError):  # not connected any more
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def listen(host: str) -> socket.socket:
    """A socket on a free port of one address of this machine."""
    return socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


def call(address: tuple[str, int], token: bytes, rank: int) -> Peer:
    """Connect to the parent.

    Raises
    ------
    PeerLost
        When nobody answers.
    """
    try:
        peer = Peer(socket.create_connection(address, timeout=_PATIENCE_S))
    except OSError as error:
        raise PeerLost(str(error)) from error
    peer.send([memoryview(_HELLO.pack(token, rank))])
    return peer


def answer(listener: socket.socket, token: bytes, children: Sequence[int]) -> dict[int, Peer]:
    """Wait for the calls of all children; callers without the token of this run are turned away.

    Raises
    ------
    PeerLost
        When a child does not call.
    """
    found: dict[int, Peer] = {}
    until = time.monotonic() + _PATIENCE_S
    while len(found) < len(children):
        listener.settimeout(max(0.001, until - time.monotonic()))
        try:
            connection, _ = listener.accept()
        except OSError as error:
            for peer in found.values():
                peer.close()
            raise PeerLost(str(error)) from error
        connection.settimeout(_PATIENCE_S)
        hello = bytearray(_HELLO.size)
        with contextlib.suppress(OSError):
            connection.recv_into(hello, flags=socket.MSG_WAITALL)
        caller, rank = _HELLO.unpack(hello)
        if caller == token and rank in children:
            found[rank] = Peer(connection)
        else:
            connection.close()
    return found
