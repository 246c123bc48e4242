"""Where artifacts live: `<store>/<stage>/<key>/`, each whole or absent. The only module that creates, renames or removes in a store.

What a run leaves is in `<store>/runs/<run>/`: its journal grows line by line while it goes on, and its record is written in one step at the
end. A directory there without a record is of a run that goes on, or did not finish.

A build works in a directory of its own beside the target, whose name starts with a dot. It becomes the artifact by one rename, after every
file and the manifest have reached the disk. A killed build leaves only such a directory; the next run removes it.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.storage.artifact import MANIFEST, Artifact, Manifest
from pipeline.storage.atomic import remove_abandoned, sync, working_path
from pipeline.storage.checkpoints import Checkpoints

RUNS = "runs"  # the kind of records that runs leave
CHECKPOINTS = "checkpoints"  # of builds that are not finished
RECORD = "record.json"
KEY_LETTERS = 32  # 128 bits of the key name a directory
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Store:
    """A directory of artifacts and run records."""

    root: Path

    def find(self, stage: str, key: str) -> Artifact | None:
        """The finished artifact of a stage with this key, if there is one.

        Raises
        ------
        StoreError
            When its manifest cannot be used, or a file is missing or has another size than the manifest says.
        """
        directory = self._directory(stage, key)
        if not (directory / MANIFEST).exists():
            return None
        artifact = Artifact(directory, Manifest.read(directory / MANIFEST))
        for file in artifact.manifest.files:
            path = artifact.path(file.name)
            size = path.stat().st_size if path.is_file() else None
            if size != file.size_bytes:
                raise StoreError(
                    "A file of an artifact is not what its manifest says.",
                    where=str(path),
                    got="no file" if size is None else f"{size:,} bytes",
                    expected=f"{file.size_bytes:,} bytes",
                    remedy=f"Remove {directory}; the next run makes it again.",
                )
        return artifact

    def artifacts(self, stage: str) -> list[Artifact]:
        """All finished artifacts of a stage, newest first."""
        directories = [path.parent for path in (self.root / stage).glob(f"[!.]*/{MANIFEST}")]
        found = [Artifact(directory, Manifest.read(directory / MANIFEST)) for directory in directories]
        return sorted(found, key=lambda artifact: (artifact.manifest.created, artifact.manifest.key), reverse=True)

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
        with self._explained_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(target.parent)
            try:  # around mkdir too: Ctrl-C is heard as soon as the call returns
                working.mkdir()
                yield working
            finally:
                shutil.rmtree(working, ignore_errors=True)

    def commit(self, working: Path, manifest: Manifest) -> Artifact:
        """Turn a working directory into the artifact of its manifest, in one step.

        When another writer was first, its artifact stands (it has the same bytes) and this one is dropped.
        """
        target = self._directory(manifest.stage, manifest.key)
        (working / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        for path in sorted(working.rglob("*"), reverse=True):
            sync(path)
        sync(working)
        try:
            working.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return Artifact(target, Manifest.read(target / MANIFEST))
        sync(target.parent)
        return Artifact(target, manifest)

    def remove_abandoned(self) -> None:
        """Remove what killed processes of this machine have left half written: builds in every stage, and records. Journals stay."""
        for directory in (*self.root.glob("[!.]*/"), *self.root.glob(f"{RUNS}/[!.]*/")):
            remove_abandoned(directory)

    def checkpoints(self, key: str, seconds_between: float) -> Checkpoints:
        """The checkpoints of the build of one artifact."""
        return Checkpoints(self.root / CHECKPOINTS / key[:KEY_LETTERS], seconds_between)

    def make_directory(self, name: str) -> Path:
        """A directory in the store for something that is no artifact.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        path = self.root / name
        with self._explained_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def write_record(self, kind: str, name: str, content: dict[str, Any]) -> Path:
        """Write the record of something that is over (a run, say) in one step: `<store>/<kind>/<name>/record.json`.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        target = self.root / kind / name / RECORD
        with self._explained_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            working = working_path(target)
            try:
                working.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                sync(working)
                working.replace(target)
            finally:
                working.unlink(missing_ok=True)
        return target

    def records(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind, by name, newest last."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((self.root / kind).glob(f"[!.]*/{RECORD}"))]

    def without_record(self, kind: str) -> list[Path]:
        """The directories of a kind that have no record (yet), by name, newest last."""
        return [path for path in sorted((self.root / kind).glob("[!.]*/")) if not (path / RECORD).exists()]

    def append_line(self, kind: str, name: str, file: str, line: str) -> None:
        """Add a line to a file beside a record; who reads it sees the line at once. Killed in between, it is there or is not.

        Raises
        ------
        StoreError
            When the store cannot be written, or the disk is full.
        OSError
            When the file cannot be written for another reason.
        """
        path = self.root / kind / name / file
        content = (line + "\n").encode("utf-8", "backslashreplace")  # a path may hold what is not Unicode; in JSON that is an escape
        with self._explained_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as lines:
                if lines.write(content) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def _directory(self, stage: str, key: str) -> Path:
        return self.root / stage / key[:KEY_LETTERS]

    @contextlib.contextmanager
    def _explained_errors(self, where: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StoreError(
                    "There is no room left to write the artifact.",
                    where=str(where),
                    got=os.strerror(error.errno or 0),
                    expected="more free space; corpus2vec plan projects how much",
                    remedy="Free some space, or choose another store (store.path). Finished steps are kept, and the same command goes on.",
                ) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
                raise StoreError(
                    "The store cannot be written.",
                    where=str(error.filename or where),
                    got=error.strerror or str(error),
                    expected="a directory that this user may create and write",
                    remedy="Choose another place: --set store.path=DIRECTORY, or in the configuration [store] path = ...",
                ) from error
            raise
