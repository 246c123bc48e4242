"""Artifacts from a shared store into a store of one's own: files first, each known by its digest, then one rename for each artifact.

A file that has arrived stays in `<store>/.incoming/` until its artifact is there: whoever was killed or interrupted goes on where it was.
"""

import contextlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import SharedStoreError, StoreError
from pipeline.storage.artifact import Artifact, FileRecord, Manifest
from pipeline.storage.atomic import write_whole
from pipeline.storage.keys import digest_of_file
from pipeline.storage.shared import SharedStore, in_parallel
from pipeline.storage.store import Store

_TURNS = 3  # another process may have taken a file away that it had brought too


def bring(
    store: Store, shared: SharedStore, manifests: Sequence[Manifest], heard: Callable[[FileRecord, bool], None] = lambda file, sent: None
) -> list[Artifact]:
    """The artifacts of these manifests, with all their files, in a store.

    Parameters
    ----------
    store, shared
        Where they come to, and where they are.
    manifests
        Inputs first: in this order they appear.
    heard
        Told of each file that was not in a finished artifact, and whether it was sent now; files with the same content count once.

    Raises
    ------
    SharedStoreError
        When a file cannot be had, or is not what the manifest says; or an artifact of the same key is here with other bytes. No artifact
        is new then, but files that have arrived wait for the next try.
    StoreError
        When the store cannot be written, or the disk is full.
    """
    absent = [manifest for manifest in manifests if not store.find(manifest.stage, manifest.key)]
    files = {file.sha256: file for manifest in absent for file in manifest.files}
    with store.incoming() as directory:
        arrivals = _Arrivals(shared, directory)
        arrivals.receive_all(list(files.values()), heard)
        made = {manifest.key: arrivals.commit(store, manifest) for manifest in absent}
        arrivals.clear(manifests)  # of all: one who was killed may have made artifacts and not come to this
    return [_same(made.get(manifest.key) or store.find(manifest.stage, manifest.key), manifest) for manifest in manifests]


class _Arrivals:
    """Files on their way from a shared store, in a directory."""

    def __init__(self, shared: SharedStore, directory: Path) -> None:
        self.shared, self.directory = shared, directory
        self._stopped = threading.Event()

    def receive_all(self, files: Sequence[FileRecord], heard: Callable[[FileRecord, bool], None]) -> None:
        """Have files in the directory, many at a time."""
        in_parallel(self.receive, files, heard, self._stopped)

    def receive(self, file: FileRecord) -> bool:
        """Have a file in the directory; whether it was sent for that."""
        target = self.directory / file.sha256
        if target.is_file() and target.stat().st_size == file.size_bytes and digest_of_file(target) == file.sha256:
            return False
        write_whole(target, self._blocks(file), durable=False)  # `commit` waits for the disk; what is found here is hashed
        return True

    def commit(self, store: Store, manifest: Manifest) -> Artifact:
        """Make the artifact of files that are all in the directory."""
        with store.building(manifest.stage, manifest.key) as working:
            for file in manifest.files:
                (working / file.name).parent.mkdir(parents=True, exist_ok=True)
                self._place(file, working / file.name)
            return store.commit(working, manifest)

    def clear(self, manifests: Sequence[Manifest]) -> None:
        """Remove files whose artifacts are there."""
        for sha256 in {file.sha256 for manifest in manifests for file in manifest.files}:
            (self.directory / sha256).unlink(missing_ok=True)

    def _blocks(self, file: FileRecord) -> Iterator[bytes]:
        for block in self.shared.blocks(file):
            if self._stopped.is_set():
                raise InterruptedError(f"{file.name} was not received to its end")
            yield block

    def _place(self, file: FileRecord, target: Path) -> None:
        """A second name for what arrived; a copy where that cannot be, or another artifact has the second name."""
        arrived = self.directory / file.sha256
        for turn in range(_TURNS):
            try:
                if arrived.stat().st_nlink == 1:
                    with contextlib.suppress(PermissionError, NotImplementedError):
                        os.link(arrived, target)
                        return
                shutil.copyfile(arrived, target)
                return
            except FileNotFoundError:
                if turn == _TURNS - 1:
                    raise
                self.receive(file)


def _same(artifact: Artifact | None, manifest: Manifest) -> Artifact:
    """The artifact, if it has the bytes of the manifest."""
    if artifact is None:
        raise StoreError(
            "An artifact was removed while others were received.",
            where=f"{manifest.stage}/{manifest.key[:12]}",
            remedy="Pull again, and let nothing remove artifacts meanwhile.",
        )
    if artifact.manifest.digest == manifest.digest:
        return artifact
    raise conflict(artifact, manifest)


def conflict(artifact: Artifact, other: Manifest) -> SharedStoreError:
    """The error for an artifact that is here with other bytes than in the shared store."""
    here, there = artifact.manifest.environment, other.environment
    names = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    differences = [f"{name} {here.get(name) or 'unknown'} here, {there.get(name) or 'unknown'} there" for name in names]
    return SharedStoreError(
        "An artifact is here already, made of the same with other bytes.",
        where=str(artifact.directory),
        got=f"digest {artifact.manifest.digest[:12]} here, {other.digest[:12]} there; "
        + ("; ".join(differences) or "the environment of both is the same"),
        expected="the same bytes: one key has one artifact in a store, and what was made from it here would lose what it was made from",
        remedy="Pull into another store (--store DIRECTORY).",
    )
