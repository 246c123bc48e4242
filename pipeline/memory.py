"""Where memory comes from, and that it goes back.

Arrow takes it from malloc: its variable is set in `pipeline/__init__.py`, since `pyarrow.set_memory_pool` leaves Parquet's own buffers
where they were. Arrow's own allocator keeps what was freed, for each thread.

glibc's malloc keeps less, but hands memory back whenever a little is free at the end of an arena, and the next task asks for the same
again: two threads then spend more time in the system than one. It is told to keep some megabytes until `give_back_memory`, which returns
all but the free end of a thread's arena.
"""

import contextlib
import ctypes

import pyarrow as pa

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 16 << 20  # bytes at the end of each arena. With twice and four times as many the figures of benchmarks.preparation were the same.
LARGEST = 32 << 20  # bytes in an arena, the most that malloc allows: what is larger is mapped, and goes back as soon as it is free


def use_allocator() -> None:
    """Have Arrow take memory from malloc in this process, and malloc (glibc's) keep what is free while tasks follow each other."""
    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def give_back_memory() -> None:
    """Hand what was freed back to the system, where the C library can (glibc): what comes next should not find it taken."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
