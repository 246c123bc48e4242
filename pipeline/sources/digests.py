"""What is known of files that were hashed before, so that an unchanged corpus is recognised without reading it.

A file is taken for unchanged when its device, inode, size, time of modification and time of change are the same (of a remote one: URL,
size and time). A time of change cannot be set by anybody, so a file that is written, replaced, or restored with an old date has another.
Gaps that are closed or known:

* A file can be written again within one step of the clock, with the same size: what was hashed less than some seconds after the file's
  times is not remembered, as git does not trust such "racily clean" entries either. The next run hashes it again.
* A file that was only renamed has another time of change. It is taken for what it was when all else is the same and nothing, or another
  file, is where it was; so somebody who renames a file, changes it and sets back its time of modification is not noticed.
* Somebody who maps a file into memory can change it some time after its times were set. Text that is tokenized is hashed once more while
  it is read, so it is never taken for what it is not; text that was tokenized before would be reused, until the file is touched.

The directory `digests` of the store can be removed at any time.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.configuration import Corpus, is_url
from pipeline.errors import StoreError
from pipeline.sources.cuts import Cut, CutFile
from pipeline.sources.files import SourceFile
from pipeline.sources.formats import Kind
from pipeline.storage.keys import digest_of
from pipeline.storage.records import RECORD
from pipeline.storage.store import DIGESTS, Store

DAYS_KEPT = 100  # of a file that no run has used since; each corpus of a store uses its own
DAYS_BETWEEN = 10  # after so many a use is noted again
_DAY_NS = 86_400_000_000_000


class Digests:
    """The cuts of files, remembered or made. One record of a store for each way to cut, so corpora that share files share what is known.

    Parameters
    ----------
    store
        Where they are remembered.
    corpus
        How files are cut.
    """

    def __init__(self, store: Store, corpus: Corpus) -> None:
        self._store = store
        self._name = digest_of([corpus.column, corpus.shard_mb])[:32]
        self._today = time.time_ns() // _DAY_NS
        self._known = self._read()
        self._moved = {_unmoved(name): entry for name, entry in self._known.items()}
        self._used: dict[str, list[Any]] = {}

    def cut(self, file: SourceFile, kind: Kind, column: str, shard_bytes: int) -> CutFile:
        """The cuts of a file: from memory, else by reading it. May be called by several threads.

        Raises
        ------
        InputError
            When the file cannot be read.
        """
        now_ns = time.time_ns()
        name = f"{kind.format}{kind.compression} {file.stamp}"  # links to one file can have different suffixes
        entry = self._known.get(name) or self._renamed(file, name)
        cut = _decoded(entry) if entry else _read_and_cut(file.location, kind, column, shard_bytes)
        if entry or (file.stamp and file.settled_ns < now_ns):
            self._used[name] = [self._today, file.location, cut.sha256, *([one.start, one.stop, one.sha256] for one in cut.cuts)]
        return cut

    def _renamed(self, file: SourceFile, name: str) -> list[Any] | None:
        """What is known of a file that was somewhere else, if it is not there any more."""
        entry = None if is_url(file.location) else self._moved.get(_unmoved(name))
        try:
            return None if entry and Path(entry[1]).samefile(file.location) else entry
        except OSError:  # there is nothing
            return entry

    def remember(self) -> None:
        """Write what this run has used, if any of that is new; what no run has used for long is forgotten.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        if all(name in self._known and self._today - self._known[name][0] < DAYS_BETWEEN for name in self._used):
            return
        kept = {name: entry for name, entry in self._known.items() if self._today - entry[0] < DAYS_KEPT}
        files = dict(sorted((kept | self._used).items()))
        self._store.write_record(DIGESTS, self._name, {"files": files})

    def _read(self) -> Mapping[str, list[Any]]:
        """What was written; nothing when that is damaged."""
        try:
            files: dict[str, list[Any]] = self._store.read_record(self._store.root / DIGESTS / self._name / RECORD)["files"]
            return files
        except (StoreError, KeyError):
            return {}


def _read_and_cut(location: str, kind: Kind, column: str, shard_bytes: int) -> CutFile:
    from pipeline.sources.cutting import cut_file

    return cut_file(location, kind, column, shard_bytes)


def _unmoved(name: str) -> str:
    """What a rename leaves as it was: all but the time of change, which is the last."""
    return name.rpartition(" ")[0]


def _decoded(entry: list[Any]) -> CutFile:
    _, _, sha256, *cuts = entry
    return CutFile(sha256, tuple(Cut(start, stop, digest) for start, stop, digest in cuts))
