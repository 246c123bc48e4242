"""Where artifacts live: `<store>/<stage>/<key>/`, each whole or absent.

What a run leaves is in `<store>/runs/<run>/`: its journal grows line by line while it goes on, and its record is written in one step at the
end. A directory there without a record is of a run that goes on, or did not finish. Models are in `<store>/models/`: see `registry.py`.

A build works in a directory of its own beside the target, whose name starts with a dot. It becomes the artifact by one rename, after every
file and the manifest have reached the disk. A killed build leaves only such a directory; the next run removes it. While somebody makes an
artifact a hidden file beside it is locked: see `locks.py`.
"""

import contextlib
import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.errors import StoreError
from pipeline.storage.artifact import MANIFEST, Artifact, Manifest, can_be_called
from pipeline.storage.atomic import discard, remove_abandoned, sync, sync_tree, working_path, write_whole
from pipeline.storage.checkpoints import Checkpoints
from pipeline.storage.locks import SUFFIX, is_locked, lock_path, making, remove_if_free
from pipeline.storage.records import Records, explained_errors, refuse_link

RUNS = "runs"  # the kind of records that runs leave
CHECKPOINTS = "checkpoints"  # of builds that are not finished
DIGESTS = "digests"  # of files of the corpus that were hashed
MODELS = "models"
SHARED = "shared"  # manifests of artifacts whose files are in the shared store only
KEPT = "kept"  # what somebody has asked to keep
NO_STAGES = {RUNS, CHECKPOINTS, DIGESTS, MODELS, SHARED, KEPT}  # what is beside the stages in a store
INCOMING = ".incoming"  # files on their way from a shared store
KEY_LETTERS = 32  # 128 bits of the key name a directory
OF_KEY = "[0-9a-f]" * KEY_LETTERS  # its name, as a pattern of paths
OF_LOCK = f".{OF_KEY}{SUFFIX}"  # the lock beside it
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True)
class Store(Records):
    """A directory of artifacts, and of the records beside them."""

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact of a stage with this key, if there is one.

        Raises
        ------
        StoreError
            When its manifest cannot be used, a file is missing or has another size than the manifest says, or something in it is a link.
        """
        artifact = self.described(stage, key)
        if artifact is None or not artifact.is_here:
            return None
        directory = str(artifact.directory)
        for name in {str(parent) for file in artifact.manifest.files if "/" in file.name for parent in PurePosixPath(file.name).parents}:
            refuse_link(f"{directory}/{name}")
        for file in artifact.manifest.files:
            path = f"{directory}/{file.name}"
            size = _size_of(path)
            if size != file.size_bytes:
                raise StoreError(
                    "A file of an artifact is not what its manifest says.",
                    where=path,
                    got="no file" if size is None else f"{size:,} bytes",
                    expected=f"{file.size_bytes:,} bytes",
                    remedy=f"Remove {directory}; the next run makes it again.",
                )
        return artifact

    def described(self, stage: str, key: str) -> Artifact | None:
        """The artifact of a stage with this key by its manifest; whether its files are there is not looked at.

        Of one that is in the shared store only, the manifest is here all the same when a run has reused it.

        Raises
        ------
        StoreError
            When its manifest cannot be used or is that of another artifact, or a link lies where it should be.
        """
        if not can_be_called(stage, key):
            return None
        artifact = self._read(self._directory(stage, key)) or self._read(self._elsewhere(stage, key))
        if artifact and (artifact.manifest.stage, artifact.manifest.key) != (stage, key):
            raise StoreError(
                "Another artifact lies where this one should be.",
                where=str(artifact.directory),
                got=f"{artifact.manifest.stage}/{artifact.manifest.key}",
                expected=f"{stage}/{key}",
                remedy="Bring it back to its place, or remove its directory; the next run makes it again.",
            )
        return artifact

    def beginning(self, prefix: str) -> list[Artifact]:
        """The finished artifacts of any stage whose keys begin so, by stage and key.

        Raises
        ------
        StoreError
            When there are some, and none of their manifests can be used.
        """
        if not _HEXADECIMAL.fullmatch(prefix):
            return []
        pattern = f"[!.]*/{prefix[:KEY_LETTERS]}*/{MANIFEST}"
        paths = sorted(self.root.glob(pattern))
        found = self._usable([path.parent for path in paths if path.parent.parent.name not in NO_STAGES], none_is_an_error=True)
        here = {artifact.manifest.key for artifact in found}
        elsewhere = self._usable([path.parent for path in sorted((self.root / SHARED).glob(pattern))])
        found += [artifact for artifact in elsewhere if artifact.manifest.key not in here]
        return [artifact for artifact in found if artifact.manifest.key.startswith(prefix)]

    def stages(self) -> list[str]:
        """The stages that have made something, by name. A directory that cannot be a stage's is none of ours, and no link is followed."""
        return sorted(path.name for path in self.root.glob("[!.]*/") if is_stage(path.name) and not path.is_symlink())

    def artifacts(self, stage: str) -> list[Artifact]:
        """All finished artifacts of a stage, newest first; without those whose manifests cannot be used, which `verify` names."""
        found = self._usable([path.parent for path in (self.root / stage).glob(f"[!.]*/{MANIFEST}")])
        return sorted(found, key=lambda artifact: (artifact.manifest.created, artifact.manifest.key), reverse=True)

    def manifests(self, stage: str) -> list[Manifest]:
        """The manifests of all artifacts of a stage, also of those whose files are in the shared store only."""
        directories = [path.parent for place in (self.root, self.root / SHARED) for path in (place / stage).glob(f"[!.]*/{MANIFEST}")]
        return [artifact.manifest for artifact in self._usable(directories)]

    @contextlib.contextmanager
    def making(self, stage: str, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """In the body nobody else makes this artifact; `on_wait` is called once if that takes waiting. Look for the artifact then.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        target = self._directory(stage, key)
        with contextlib.ExitStack() as stack:
            with explained_errors(target.parent):
                target.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(making(target, on_wait))
            yield

    def is_being_made(self, stage: str, key: str) -> bool:
        """Whether somebody makes this artifact just now, as far as that can be known."""
        return bool(is_locked(lock_path(self._directory(stage, key))))

    @contextlib.contextmanager
    def building(self, stage: str, key: str) -> Iterator[Path]:
        """A new directory to build an artifact in; removed when the build fails.

        Raises
        ------
        StoreError
            When the store cannot be written, or the disk is full, here or anywhere in the body.
        """
        target = self._directory(stage, key)
        working = working_path(target)
        with explained_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(target.parent)
            try:  # around mkdir too: Ctrl-C is heard as soon as the call returns
                working.mkdir()
                yield working
            finally:
                shutil.rmtree(working, ignore_errors=True)

    def commit(self, working: Path, manifest: Manifest) -> Artifact:
        """Turn a working directory into the artifact of its manifest, in one step.

        When another writer was first, its artifact stands and this one is dropped: on one type of CPU they have the same bytes.
        """
        target = self._directory(manifest.stage, manifest.key)
        (working / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        sync_tree(working)
        try:
            working.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return Artifact(target, Manifest.read(target / MANIFEST))
        sync(target.parent)
        return Artifact(target, manifest)

    def describe(self, manifest: Manifest) -> None:
        """Keep the manifest of an artifact whose files are in the shared store only, so that what it was made from is known here.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        directory = self._elsewhere(manifest.stage, manifest.key)
        with explained_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            remove_abandoned(directory)
            write_whole(directory / MANIFEST, [manifest.to_json().encode()])

    def elsewhere(self, manifest: Manifest) -> Artifact:
        """An artifact whose files are in the shared store only."""
        return Artifact(self._directory(manifest.stage, manifest.key), manifest, is_here=False)

    @contextlib.contextmanager
    def incoming(self) -> Iterator[Path]:
        """The directory of files on their way into artifacts, each whole or absent. A killed process leaves them for the next one.

        Raises
        ------
        StoreError
            When the store cannot be written, or the disk is full, here or anywhere in the body.
        """
        directory = self.root / INCOMING
        with explained_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            remove_abandoned(directory)
            yield directory

    def remove_abandoned(self) -> None:
        """Remove what killed processes of this machine have left half written: builds in every stage, and records. Journals stay."""
        patterns = ("[!.]*/", f"{RUNS}/[!.]*/", f"{MODELS}/[!.]*/versions/", f"{MODELS}/[!.]*/aliases/[!.]*/")
        for directory in (directory for pattern in patterns for directory in self.root.glob(pattern)):
            remove_abandoned(directory)
        for path in (path for stage in self.stages() for path in (self.root / stage).glob(OF_LOCK)):
            remove_if_free(path)

    def discard(self, place: str) -> None:
        """Remove a file or a directory in the store, which is gone in one step; directories above it that are empty then go too.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        path = self.root / place
        with explained_errors(path), contextlib.suppress(FileNotFoundError):
            discard(path)
        for above in path.relative_to(self.root).parents[:-1]:
            self.discard_if_empty(str(above))

    def discard_if_empty(self, place: str) -> None:
        """Remove a directory in the store if nothing is in it; only while nobody else uses the store, who may be about to write there."""
        with contextlib.suppress(OSError):
            (self.root / place).rmdir()

    def checkpoints(self, key: str, seconds_between: float) -> Checkpoints:
        """The checkpoints of the build of one artifact."""
        return Checkpoints(self.root / CHECKPOINTS / key[:KEY_LETTERS], seconds_between)

    def _directory(self, stage: str, key: str) -> Path:
        if not can_be_called(stage, key):
            raise ValueError(f"no stage is called {stage!r} and has the key {key!r}")
        return self.root / stage / key[:KEY_LETTERS]

    def _elsewhere(self, stage: str, key: str) -> Path:
        """The directory of a manifest whose files are in the shared store only."""
        return self.root / SHARED / self._directory(stage, key).relative_to(self.root)

    def _read(self, directory: Path) -> Artifact | None:
        """What its manifest says that is in a directory, or elsewhere."""
        path = directory / MANIFEST
        above = directory.parent.parent
        is_here = above == self.root
        for place in (directory, directory.parent) if is_here else (directory, directory.parent, above):
            refuse_link(str(place))
        if _size_of(str(path)) is None:
            return None
        manifest = Manifest.read(path)
        return Artifact(directory, manifest) if is_here else self.elsewhere(manifest)

    def _usable(self, directories: list[Path], *, none_is_an_error: bool = False) -> list[Artifact]:
        """The artifacts in these directories that can be used; one that cannot must not stop those who look for another."""
        found, errors = [], []
        for directory in directories:
            try:
                artifact = self._read(directory)
            except StoreError as error:
                errors.append(error)
                continue
            place = self._directory if artifact and artifact.is_here else self._elsewhere
            if artifact and place(artifact.manifest.stage, artifact.manifest.key) == directory:
                found.append(artifact)
        if errors and not found and none_is_an_error:
            raise errors[0]
        return found


def is_stage(name: str) -> bool:
    """Whether a directory of a store can be that of a stage."""
    return can_be_called(name, "0" * 64) and name not in NO_STAGES


def _size_of(path: str) -> int | None:
    """The bytes of a plain file; None when it is not there, or something else is."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(found.st_mode):
        refuse_link(path)
    return found.st_size if stat.S_ISREG(found.st_mode) else None
