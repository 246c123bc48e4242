"""Records in a store: small sealed JSON files, each written in one step, and journals beside them that grow line by line.

They lie in `<store>/<kind>/<name>/`, or are numbered in a place of theirs and never change. What they say is their owners' business.
"""

import contextlib
import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.storage.atomic import sync, working_path, write_whole
from pipeline.storage.sealed import sealed, unsealed

RECORD = "record.json"
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RECORD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_NUMBERED = re.compile(r"([1-9][0-9]{0,8})\.json")


@dataclass(frozen=True)
class Records:
    """A directory of records."""

    root: Path

    def make_directory(self, name: str) -> Path:
        """A directory in the store for something that is no artifact.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        path = self.root / name
        with explained_errors(path):
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
        with explained_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, [sealed(content, self.place_of(target)).encode()])
            sync(target.parent)
        return target

    def record_names(self, kind: str, beginning: str = "") -> list[str]:
        """The names of the records of a kind, newest last; none of them is read."""
        found = (name for name in _names(self.root / kind) if name.startswith(beginning) and not name.startswith("."))
        return sorted(name for name in found if os.path.lexists(f"{self.root}/{kind}/{name}/{RECORD}"))

    def find_record(self, kind: str, name: str) -> dict[str, Any] | None:
        """The record of this name, if there is one.

        Raises
        ------
        StoreError
            When it cannot be read, or was edited.
        """
        path = self.root / kind / name / RECORD
        return self.read_record(path) if _RECORD_NAME.fullmatch(name) and os.path.lexists(path) else None

    def records(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind, by name, newest last.

        Raises
        ------
        StoreError
            When one cannot be read, or was edited.
        """
        return [self.read_record(self.root / kind / name / RECORD) for name in self.record_names(kind)]

    def read_record(self, path: Path) -> dict[str, Any]:
        """The content of the record in a file of this store.

        Raises
        ------
        StoreError
            When it cannot be read, was edited, or is a link.
        """
        refuse_link(str(path.parent))
        refuse_link(str(path))
        try:
            return unsealed(path.read_text(encoding="utf-8"), self.place_of(path))
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(
                "A record in the store cannot be used.",
                where=str(path),
                got=f"{type(error).__name__}: {error}",
                remedy="Bring it back from a copy, or remove it: then what it says is forgotten, and nothing else.",
            ) from error

    def place_of(self, path: Path) -> str:
        """Where in the store something is, with forward slashes."""
        return path.relative_to(self.root).as_posix()

    def without_record(self, kind: str) -> list[Path]:
        """The directories of a kind that have no record (yet), by name, newest last."""
        return [path for path in sorted((self.root / kind).glob("[!.]*/")) if not (path / RECORD).exists()]

    def add_numbered(self, place: str, content: Mapping[str, Any], number: int) -> bool:
        """Write the record `<store>/<place>/<number>.json`, in one step; whether it was not there already. It never changes then.

        Raises
        ------
        StoreError
            When the store cannot be written.
        """
        target = self.root / place / f"{number}.json"
        with explained_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            working = working_path(target)
            try:
                working.write_text(sealed(content, self.place_of(target)), encoding="utf-8")
                sync(working)
                os.link(working, target)  # of several writers one succeeds
            except FileExistsError:
                return False
            finally:
                working.unlink(missing_ok=True)
            sync(target.parent)
        return True

    def numbers(self, place: str) -> list[int]:
        """The numbers of the numbered records in a place, rising; none of them is read."""
        return sorted(int(match[1]) for name in _names(self.root / place) if (match := _NUMBERED.fullmatch(name)))

    def read_numbered(self, place: str, number: int) -> dict[str, Any]:
        """The content of the numbered record in a place.

        Raises
        ------
        StoreError
            When it cannot be read, was edited, or is a link.
        """
        return self.read_record(self.root / place / f"{number}.json")

    def places(self, place: str) -> list[str]:
        """The names of the directories in a place."""
        return sorted(path.name for path in (self.root / place).glob("[!.]*/"))

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
        with explained_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as lines:
                if lines.write(content) < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextlib.contextmanager
def explained_errors(where: Path) -> Iterator[None]:
    """In the body a full disk and a directory that cannot be written become errors that say what to do; `where` is what was to be written.

    Raises
    ------
    StoreError
        Of these two; other errors pass.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StoreError(
                "There is no room left in the store.",
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


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 (path objects take several times as long)
    except (FileNotFoundError, NotADirectoryError):
        return []


def refuse_link(path: str) -> None:
    """Links could lead out of the store: only the store itself may be one.

    Raises
    ------
    StoreError
        When the path is a symbolic link.
    """
    if os.path.islink(path):  # noqa: PTH114 (path objects take several times as long, and a question may look at thousands)
        raise StoreError(
            "A symbolic link lies in the store.",
            where=path,
            got=f"a link to {Path(path).readlink()}",
            expected="what was put there: links in a store are not followed, for they can lead out of it",
            remedy="Put in its place what it leads to. The whole store may be elsewhere (store.path, --store), or a link itself.",
        )
