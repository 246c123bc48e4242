"""What is known of files that were hashed before, so that an unchanged corpus is recognised without reading it.

A file is taken for unchanged when its device, inode, size, time of modification and time of change are the same (of a remote one: URL,
size and time). A time of change cannot be set by anybody, so a file that is written, replaced, or restored with an old date has another.
Two gaps are closed or known:

* A file can be written again within one step of the clock, with the same size: what was hashed less than some seconds after the file's
  times is not remembered, as git does not trust such "racily clean" entries either. The next run hashes it again.
* Somebody who maps a file into memory can change it some time after its times were set. Text that is tokenized is hashed once more while
  it is read, so it is never taken for what it is not; text that was tokenized before would be reused, until the file is touched.

The directory `digests` of the store can be removed at any time.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from pipeline.configuration import Corpus
from pipeline.keys import digest_of
from pipeline.sources.cuts import Cut, CutFile, cut_file
from pipeline.sources.files import SourceFile
from pipeline.sources.formats import Kind
from pipeline.store import RECORD, Store

DIGESTS = "digests"  # the kind of record in a store


class Digests:
    """The cuts of a corpus's files, remembered or made. One record of a store for each way to name and to cut a corpus.

    Parameters
    ----------
    store
        Where they are remembered.
    corpus
        Which files, and how they are cut.
    """

    def __init__(self, store: Store, corpus: Corpus) -> None:
        self._store = store
        self._name = digest_of([corpus.paths, corpus.format, corpus.column, corpus.shard_mb])[:32]
        self._known = self._read()
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
        entry = self._known.get(name)
        cut = _decoded(entry) if entry else cut_file(file.location, kind, column, shard_bytes)
        if entry or (file.stamp and file.settled_ns < now_ns):
            self._used[name] = entry or [cut.sha256, *([one.start, one.stop, one.sha256] for one in cut.cuts)]
        return cut

    def remember(self) -> None:
        """Write what this run has used, if that is new; the files that it did not use are forgotten.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        if self._used.keys() != self._known.keys():
            files = dict(sorted(self._used.items()))
            self._store.write_record(DIGESTS, self._name, {"sha256": _checksum(files), "files": files})

    def _read(self) -> Mapping[str, list[Any]]:
        """What was written; nothing when that is damaged."""
        try:
            content = json.loads((self._store.root / DIGESTS / self._name / RECORD).read_text(encoding="utf-8"))
            files: dict[str, list[Any]] = content["files"]
            return files if content["sha256"] == _checksum(files) else {}
        except (OSError, ValueError, TypeError, KeyError):
            return {}


def _checksum(files: Mapping[str, list[Any]]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _decoded(entry: list[Any]) -> CutFile:
    sha256, *cuts = entry
    return CutFile(sha256, tuple(Cut(start, stop, digest) for start, stop, digest in cuts))
