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

    def stop_if_asked(self) -> None:
        """Raise if someone asked.

        Raises
        ------
        KeyboardInterrupt
            As said.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def noted_interruptions() -> Iterator[Interruption]:
    """In the body a first SIGINT or SIGTERM only sets `asked`; a second one, or the end of the body, raises.

    Outside the main thread, which alone hears signals, nothing changes.

    Raises
    ------
    KeyboardInterrupt
        As said.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def note(*_: object) -> None:
        if interruption.asked:
            raise KeyboardInterrupt
        interruption.asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    interruption.stop_if_asked()
