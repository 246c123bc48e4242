"""The bytes of many files, hashed again by several threads; and whether tables have the schema and the rows that they should."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.lineage.verifying.contracts import TABLES, schema_of
from pipeline.lineage.verifying.findings import Finding, Wrong
from pipeline.lineage.verifying.inspection import short
from pipeline.storage.artifact import FileRecord, Manifest
from pipeline.storage.keys import digest_of_range
from pipeline.storage.tables import count_checked_rows

SECONDS_BETWEEN_REPORTS = 0.2
OnProgress = Callable[[int, int], None]  # bytes that are read, bytes that there are


@dataclass(frozen=True)
class Recorded:
    """A file of an artifact, and what its manifest says of it."""

    place: str  # directory of the artifact below the store
    path: Path
    record: FileRecord
    manifest: Manifest


@dataclass(frozen=True)
class Examined:
    """What a file is now."""

    n_bytes: int  # that were read
    sha256: str
    finding: Finding | None


class _StoppedError(Exception):
    """Nobody waits for the result any more."""


class Examiner:
    """Threads that examine files; SHA-256 and reading leave Python's lock alone."""

    def __init__(self, n_threads: int, on_progress: OnProgress) -> None:
        self.n_threads, self.on_progress = n_threads, on_progress
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._n_read = 0

    def examine(self, files: Sequence[Recorded]) -> list[Examined]:
        """What became of each file. The largest come first, so that no thread is left with one at the end."""
        n_all = sum(file.record.size_bytes for file in files)
        order = sorted(range(len(files)), key=lambda number: -files[number].record.size_bytes)
        threads = ThreadPoolExecutor(self.n_threads)
        try:
            tasks = {number: threads.submit(self._examine, files[number]) for number in order}
            waiting = set(tasks.values())
            while waiting:
                _, waiting = wait(waiting, SECONDS_BETWEEN_REPORTS)
                self.on_progress(self._n_read, n_all)
            return [tasks[number].result() for number in range(len(files))]
        finally:  # after Ctrl-C too: what is being read is left within a piece of a file
            self._stop.set()
            threads.shutdown(cancel_futures=True)

    def _examine(self, file: Recorded) -> Examined:
        record, wrong = file.record, Finding(Wrong.OTHER_BYTES, f"{file.place}/{file.record.name}", short(file.place), file.record.name)
        try:
            size = file.path.stat().st_size
            sha256 = digest_of_range(file.path, 0, size, self._count)
        except OSError as error:
            return Examined(0, "", _changed(wrong, Wrong.UNREADABLE, error.strerror or str(error), ""))
        if (size, sha256) != (record.size_bytes, record.sha256):
            return Examined(
                size, sha256, _changed(wrong, Wrong.OTHER_BYTES, _bytes(size, sha256), _bytes(record.size_bytes, record.sha256))
            )
        return Examined(size, sha256, _check_table(file, wrong))

    def _count(self, n_bytes: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        with self._lock:
            self._n_read += n_bytes


def _check_table(file: Recorded, wrong: Finding) -> Finding | None:
    """Whether the bytes, which are right, are the table that they should be: else whoever wrote them made a mistake."""
    if file.manifest.stage not in TABLES:
        return None
    try:
        schema = schema_of(file.manifest, file.record.name)
        if schema is None:
            return _changed(wrong, Wrong.TABLE, "a file of a name that this stage does not write", "")
        n_rows = count_checked_rows(file.path, schema)
    except StoreError as error:
        return _changed(wrong, Wrong.TABLE, error.details["got"], "the columns of pipeline/storage/schemas.py")
    except (KeyError, TypeError, ValueError) as error:
        return _changed(wrong, Wrong.TABLE, f"parameters that say nothing of its columns: {type(error).__name__}: {error}", "")
    if n_rows != file.record.n_rows:
        return _changed(wrong, Wrong.TABLE, f"{n_rows:,} rows", f"{file.record.n_rows:,} rows")
    return None


def _changed(finding: Finding, wrong: Wrong, got: str, expected: str) -> Finding:
    return Finding(wrong, finding.place, finding.artifact, finding.file, got, expected)


def _bytes(size: int, sha256: str) -> str:
    return f"{size:,} bytes, SHA-256 {sha256[:16]}"
