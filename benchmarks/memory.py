"""How much memory processes have."""

import contextlib
import time
from pathlib import Path

import psutil


def peak_mb() -> float:
    """The most memory that this process has ever had, in MB. (getrusage's figure begins with what the parent had.)"""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def watch_memory(pid: int, peak: list[int]) -> None:
    """Keep the largest sum of the resident set sizes of a process and its descendants.

    Shared pages count once for each. Proportional sizes would be exact, but reading them stops the process that is measured. Looking for
    descendants takes 20 ms of a core, so that is done seldom.
    """
    family, looked_s = [], 0.0
    while psutil.pid_exists(pid):
        total = 0
        with contextlib.suppress(psutil.Error):
            if time.monotonic() - looked_s > 2.0:
                looked_s = time.monotonic()
                family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
            total = sum(process.memory_info().rss for process in family)
        peak[0] = max(peak[0], total)
        time.sleep(0.2)
