"""Ctrl-C and SIGTERM end a command in order: both become a KeyboardInterrupt, and every clean-up runs on its way out."""

import signal
import threading
from types import FrameType

from pipeline.events import Event, StepFinished, StepStarted

INTERRUPTED = 130  # the exit code of a command that was interrupted
SECONDS_TO_NEXT_TRY = 0.05
DROPPING = ("llvmlite", "distributed.gc")  # modules whose callbacks drop exceptions: while Numba compiles, while Dask measures collections


def hear_interruptions(event: Event | None = None) -> None:
    """Put our handlers in place; as a listener also after Prefect, at the start of a flow, has put its own there.

    Not while a step computes: training has handlers of its own, which write a checkpoint first.
    """
    if event is not None and not isinstance(event, StepStarted | StepFinished):
        return
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise, but not where an exception is lost: Python drops what is raised in what LLVM or the garbage collector have called."""
    while frame:
        if frame.f_globals.get("__name__", "").startswith(DROPPING) or frame.f_code.co_name == "__del__":
            signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_NEXT_TRY)
            return
        frame = frame.f_back
    raise KeyboardInterrupt
