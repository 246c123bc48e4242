"""Let a critical section end in peace: Ctrl-C and SIGTERM are noted, and the section looks when it can stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Interruption:
    """Whether someone asked to stop."""

    asked: bool = False


@contextlib.contextmanager
def noted_interruptions() -> Iterator[Interruption]:
    """In the body SIGINT and SIGTERM only set `asked`; outside the main thread, which hears no signals, nothing changes."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(*_: object) -> None:
        interruption.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
