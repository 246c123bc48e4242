"""Where the files are now that something was made from: where they were, elsewhere under any name, or nowhere. Digests decide.

Manifests may come from other people, so what they name is only hashed here, and nothing but regular files and URLs is opened.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pipeline.choices import Format
from pipeline.configuration import is_url
from pipeline.errors import InputError, StoreError
from pipeline.lineage.runs import run_records
from pipeline.scoring.evaluation_sets import shipped_sets
from pipeline.sources.cutting import digest_of_groups
from pipeline.sources.ranges import HashedRange, open_file
from pipeline.sources.shard import SourceShard
from pipeline.storage.artifact import Link
from pipeline.storage.keys import READ_BYTES, digest_of_file
from pipeline.storage.store import Store

MOST_NAMED = 50  # files in an error


@dataclass(frozen=True)
class OutsideFile:
    """A file outside of the store that artifacts were made from, or parts of it."""

    location: str  # where it was: a path, or a URL
    sha256: str  # of all of it
    parts: tuple[SourceShard, ...] = ()  # those that were read; none: all of it

    @property
    def least_bytes(self) -> int:
        """Bytes that it has at least."""
        return max((part.stop for part in self.parts), default=0)

    def is_at(self, location: str) -> bool:
        """Whether it is there, or at least all parts of it that were read: a file that grew since has them still."""
        if not is_url(location) and not Path(location).is_file():
            return False
        try:
            return _digest_at(location) == self.sha256 or (bool(self.parts) and all(_is_part_at(part, location) for part in self.parts))
        except (InputError, OSError):  # it cannot be read, or ends too early
            return False


def _digest_at(location: str) -> str:
    if not is_url(location):
        with contextlib.suppress(OSError):
            return digest_of_file(Path(location))
    digest = hashlib.sha256()
    with open_file(location) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _is_part_at(part: SourceShard, location: str) -> bool:
    if part.format is Format.PARQUET:
        return digest_of_groups(location, part.start, part.stop) == part.sha256
    with HashedRange(location, part.start, part.stop) as found:
        return found.sha256() == part.sha256


def outside_files(links: Iterable[Link]) -> list[OutsideFile]:
    """The files that links name, each once, by first mention.

    Raises
    ------
    StoreError
        When a link does not say which file it is.
    """
    found: dict[tuple[str, str], OutsideFile] = {}
    for link in links:
        location, sha256, parts = _described(link)
        if not location:  # a file that was empty: there is nothing to look for
            continue
        before = found.get((location, sha256))
        if before is None:
            found[location, sha256] = OutsideFile(location, sha256, parts)
        else:  # all of it, as soon as one link is to all of it
            both = (*before.parts, *parts) if before.parts and parts else ()
            found[location, sha256] = replace(before, parts=tuple(dict.fromkeys(both)))
    return list(found.values())


def _described(link: Link) -> tuple[str, str, tuple[SourceShard, ...]]:
    """Where the file of a link was, its digest, and the part that was read, if that was not all of it."""
    try:
        location = str(link.origin["location"])
        return location, digest_of_link(link), (SourceShard.of(link),) if "start" in link.origin else ()
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            "A manifest does not say which file something was made from.",
            where=f"input {link.stage}, {link.key[:80]}",
            got=f"{type(error).__name__}: {error}",
            expected="a location; of text also start, stop, format, compression and column",
            remedy="Somebody has written this manifest by other means than this program: make what it describes anew.",
        ) from error


def digest_of_link(link: Link) -> str:
    """SHA-256 of the whole file that a link from outside names."""
    return link.key if link.stage.startswith("source") else link.digest


class Whereabouts:
    """Looks for files: where they were, where newer runs had them, among the store's own files, among shipped sets, in directories.

    Parameters
    ----------
    store
        Its runs name files too, and its artifacts have some.
    directories
        Where a person says that they may be, under any name.
    """

    def __init__(self, store: Store, directories: Sequence[Path]) -> None:
        self._store, self._directories = store, [directory.absolute() for directory in directories]
        self._digests: dict[Path, str] = {}

    def find(self, wanted: Sequence[OutsideFile]) -> dict[tuple[str, str], str]:
        """Where each of some files is, by its old location and its digest.

        Raises
        ------
        InputError
            When some are nowhere: it names each.
        """
        found = {(file.location, file.sha256): self._location(file) for file in wanted}
        lost = [file for file in wanted if found[file.location, file.sha256] is None]
        if lost:
            raise _lost(lost)
        return {name: location for name, location in found.items() if location is not None}

    def _location(self, file: OutsideFile) -> str | None:
        return next((location for location in self._candidates(file) if file.is_at(location)), None)

    def _candidates(self, file: OutsideFile) -> Iterator[str]:
        yield file.location
        yield from dict.fromkeys(self._in_runs(file))
        yield from (str(path) for path in shipped_sets().values() if path.name == Path(file.location).name)
        if not file.parts:
            yield from filter(None, [self._in_artifacts.get(file.sha256)])
        yield from self._in_directories(file)

    def _in_runs(self, file: OutsideFile) -> list[str]:
        """Where runs, newest first, read the first of its parts."""
        return self._sources.get((file.parts[0].start, file.parts[0].stop, file.parts[0].sha256), []) if file.parts else []

    @cached_property
    def _sources(self) -> dict[tuple[int, int, str], list[str]]:
        found: dict[tuple[int, int, str], list[str]] = {}
        for run in reversed(run_records(self._store, lambda error: None)):  # one that is broken only knows no place
            for source in run["sources"]:
                found.setdefault((source["start"], source["stop"], source["sha256"]), []).append(source["path"])
        return found

    @cached_property
    def _in_artifacts(self) -> dict[str, str]:
        """A file of an artifact for each digest: first vectors and tables of phrases are files of earlier runs."""
        artifacts = [artifact for stage in self._store.stages() for artifact in self._store.artifacts(stage)]
        return {record.sha256: str(artifact.path(record.name)) for artifact in artifacts for record in artifact.manifest.files}

    def _in_directories(self, file: OutsideFile) -> Iterator[str]:
        """Files of the same name first, then those whose digest is that of the whole file."""
        large = [path for path in self._files if path.stat().st_size >= file.least_bytes]
        name = file.location.partition("?")[0].rpartition("/")[2]
        yield from (str(path) for path in large if path.name == name)
        for path in large:
            if path not in self._digests:
                with contextlib.suppress(OSError):
                    self._digests[path] = digest_of_file(path)
            if self._digests.get(path) == file.sha256:
                yield str(path)

    @cached_property
    def _files(self) -> list[Path]:
        return [path for directory in self._directories for path in sorted(directory.rglob("*")) if path.is_file()]


def _lost(files: Sequence[OutsideFile]) -> InputError:
    lines = [f"{file.location}: {_state(file)}; its SHA-256 was {file.sha256}" for file in files[:MOST_NAMED]]
    if len(files) > MOST_NAMED:
        lines.append(f"and {len(files) - MOST_NAMED:,} more")
    return InputError(
        f"{len(files):,} files that this was made from cannot be found as they were."
        if len(files) > 1
        else "A file that this was made from cannot be found as it was.",
        got=("\n" + " " * 12).join(lines),
        expected="files with these digests, there or elsewhere",
        remedy="Bring them back, or name a directory that has them, under any name: --source DIRECTORY",
    )


def _state(file: OutsideFile) -> str:
    if is_url(file.location):
        return "cannot be read, or has other bytes"
    path = Path(file.location)
    return "has other bytes now" if path.is_file() else "is no file" if path.exists() else "is gone"
