"""Which files the configured paths mean. Nothing is read here.

Paths are texts here: a corpus may have a million files, and to make and sort objects of them took longer than to look at the files.
"""

import glob
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pipeline.choices import Format
from pipeline.configuration import is_url
from pipeline.errors import ConfigurationError, InputError
from pipeline.reasons import LeftOut
from pipeline.sources.errors import unreadable
from pipeline.sources.formats import belongs, kind_of, meant_suffixes

# How long after a file was written its time can still be that of a later write: clocks have steps, and those of two machines differ.
_SETTLED_NS = 5_000_000_000
_SETTLED_FAR_NS = 60_000_000_000


@dataclass(frozen=True)
class SourceFile:
    """A file of the corpus, as its file system describes it."""

    location: str  # absolute path, or URL
    size_bytes: int
    stamp: str  # changes whenever the content does; empty: nothing is known that would
    settled_ns: int  # from this time on (since 1970) what is read now is what the stamp will always stand for


@dataclass(frozen=True)
class Found:
    """The files that the configured paths mean."""

    files: tuple[SourceFile, ...]  # sorted by location, each file once
    passed_over: Mapping[LeftOut, int]  # how many others there were, by reason; names that start with a dot do not count


def find_files(paths: Sequence[str], base: Path, configured: Format = Format.AUTO) -> Found:
    """The files that the paths mean.

    Parameters
    ----------
    paths
        Files (taken whatever their suffix), globs ('**' crosses directories; they mean files, not directories), directories, or URLs of
        these. A directory means every file below it with a suffix that counts. Names that start with a dot are skipped unless they are
        given, and links to directories are not followed.
    base
        The directory that relative paths start from.
    configured
        The format of all files; auto: each has that of its suffix.

    Raises
    ------
    ConfigurationError
        When there are no paths, or a URL holds credentials.
    InputError
        When a path does not exist, a glob matches no file, a directory holds no text, or one of the files cannot be read.
    """
    if not paths:
        raise ConfigurationError(
            "The corpus has no paths.", expected="files, globs or directories of text", remedy="Name at least one file of text."
        )
    local: set[str] = set()
    found: dict[str, SourceFile] = {}
    others: set[str] = set()
    links: set[str] = set()
    for name in paths:
        if is_url(name) and not name.startswith("file://"):
            files, without_text = _remote(name, configured)
            found |= {file.location: file for file in files}
        else:
            meant, without_text, not_followed = _files_of(_plain_path(name), base, configured)
            links |= not_followed
            local |= {os.path.abspath(one) for one in meant}
        others |= without_text
    n_named = len(found) + len(local)
    others -= {*found, *local}
    resolved = set()
    directories: dict[str, str] = {}  # and what they are without links: looked up once for all files in one
    for path in sorted(local):
        file = _described(path)
        parent, name = os.path.split(path)
        if parent not in directories:
            directories[parent] = os.path.realpath(parent)
        real = os.path.realpath(path) if os.path.islink(path) else os.path.join(directories[parent], name)
        # Two names of one file would count its text twice.
        if real not in resolved:
            resolved.add(real)
            found[file.location] = file
    for file in found.values():
        _check_kind(file.location, configured)
    passed_over = {LeftOut.OTHER_SUFFIX: len(others), LeftOut.LINK: len(links), LeftOut.SAME_FILE: n_named - len(found)}
    return Found(tuple(found[location] for location in sorted(found)), {why: n for why, n in passed_over.items() if n})


def _plain_path(name: str) -> str:
    """A path, also where it is spelt as a URL."""
    return unquote(name.removeprefix("file://").removeprefix("localhost")) if name.startswith("file://") else name


def _remote(url: str, configured: Format) -> tuple[list[SourceFile], set[str]]:
    """The files that one URL means: of a directory those with suffixes that count, of a glob all; and the locations of the others."""
    from pipeline.sources.remote import list_url

    files = list_url(url)
    is_directory = not glob.has_magic(url.partition("?")[0]) and [file.url for file in files] != [url]
    kept = [file for file in files if not is_directory or belongs(file.path, configured)]
    if not kept:
        raise _without_text(url, configured)
    described = [
        SourceFile(
            file.url,
            file.size_bytes,
            f"{file.url} {file.size_bytes} {file.changed_ns}" if file.changed_ns else "",
            file.changed_ns + _SETTLED_FAR_NS,
        )
        for file in kept
    ]
    return described, {file.url for file in files} - {file.url for file in kept}


def _files_of(name: str, base: Path, configured: Format) -> tuple[list[str], set[str], set[str]]:
    """The files that one configured path means, and the locations of those in a directory that it does not, and of links to directories."""
    path = os.path.join(base, name)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _glob(name, base), set(), set()
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        return _walk(path, configured)
    return [path], set(), set()


def _glob(name: str, base: Path) -> list[str]:
    if not glob.has_magic(name):
        raise InputError(
            "A path of the corpus does not exist.",
            where=name,
            got=f"nothing at {base / name}",
            expected="a file, a directory or a glob",
            remedy=f"Correct the path; relative ones start from {base}.",
        )
    matches = glob.iglob(name, root_dir=base, recursive=True)
    # What cannot be looked at stays, for the error that it will be.
    files = [path for match in matches if not os.path.isdir(path := os.path.join(base, match))]
    if not files:
        raise InputError(
            "A glob of the corpus matches no file.",
            where=name,
            got=f"no match below {base}",
            expected="at least one file",
            remedy="Correct the pattern; '**' crosses directories, and names that start with a dot must be given.",
        )
    return files


def _walk(directory: str, configured: Format) -> tuple[list[str], set[str], set[str]]:
    def fail(error: OSError) -> None:
        raise unreadable(error.filename, error) from error

    files, others, links = [], set(), set()
    for parent, directories, names in os.walk(directory, onerror=fail):
        directories[:] = [name for name in directories if not name.startswith(".")]
        links |= {os.path.abspath(path) for name in directories if os.path.islink(path := os.path.join(parent, name))}
        for name in names:
            if belongs(name, configured) and not name.startswith("."):
                files.append(os.path.join(parent, name))
            elif not name.startswith("."):
                others.add(os.path.abspath(os.path.join(parent, name)))
    if not files:
        raise _without_text(directory, configured)
    return files, others, links


def _without_text(where: str, configured: Format) -> InputError:
    return InputError(
        "A directory of the corpus holds no text.",
        where=where,
        got="no file with a name that counts",
        expected=f"files ending in {meant_suffixes(configured)}",
        remedy="Rename the files, or name them with a glob: a file that is named itself may have any suffix.",
    )


def _described(path: str) -> SourceFile:
    """A file that can be read, with what its file system says of it."""
    try:
        status = os.stat(path)
        # A pipe would block, and could be read only once.
        if not stat.S_ISREG(status.st_mode):
            raise InputError("A path of the corpus is no regular file.", where=path, expected="a file", remedy="Copy its text to a file.")
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        raise unreadable(path, error) from error
    changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
    stamp = f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    return SourceFile(path, status.st_size, stamp, changed_ns + _SETTLED_NS)


def _check_kind(location: str, configured: Format) -> None:
    kind = kind_of(location, configured)
    if kind.format is Format.PARQUET and kind.compression:
        raise InputError(
            "A Parquet file of the corpus is compressed as a whole.",
            where=location,
            got=kind.compression,
            expected="Parquet, which compresses its pages itself",
            remedy="Unpack it; or name another corpus.format, if it is no Parquet.",
        )
