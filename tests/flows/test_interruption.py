"""Ctrl-C is not lost, wherever it comes."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

PROGRAM = """
import gc, os, signal, time
from distributed.gc import GCDiagnosis
from flows.interruption import hear_interruptions

class Measured:
    def memory_info(self):
        gc.callbacks.clear()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)

class Finalized(Measured):
    def __del__(self):
        self.memory_info()

hear_interruptions()
diagnosis = GCDiagnosis()
diagnosis.enable()
try:
    {place}
    time.sleep(20)
except KeyboardInterrupt:
    print("heard")
"""
PLACES = {"finalizer": "Finalized()", "collector": "diagnosis._proc = Measured(); gc.collect()"}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_interruption__where_exceptions_are_dropped_is_heard_a_moment_later(place: str) -> None:
    """In a finalizer, and in Dask's callback of the garbage collector."""
    command = [sys.executable, "-c", PROGRAM.format(place=place)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.stdout == "heard\n"
    assert "KeyboardInterrupt" not in done.stderr
