"""Files in object stores and other places that have URLs.

S3, Google Cloud Storage, Azure and HDFS are Arrow's own; any other URL is fsspec's, which needs the package of its protocol. A URL says
where a file is, never who may read it: URLs get into records of runs and into messages. Who may read is a matter of the environment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from glob import has_magic
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import fs

from pipeline.credentials import refuse_credentials
from pipeline.errors import InputError
from pipeline.sources.errors import unreadable

_OF_ARROW = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
_ERRORS = (OSError, ValueError, ImportError, NotImplementedError, pa.ArrowException)


@dataclass(frozen=True)
class RemoteFile:
    """A file that a listing has."""

    url: str
    path: str  # in its file system
    size_bytes: int
    changed_ns: int  # when it was written last; 0: its file system does not say


def open_url(url: str) -> Any:
    """The file at a URL, open for reading anywhere: pyarrow's NativeFile.

    Raises
    ------
    InputError
        When it cannot be opened.
    """
    try:
        filesystem, path = _located(url)
        return filesystem.open_input_file(path)
    except _ERRORS as error:
        raise unreadable(url, error) from error


def list_url(url: str) -> list[RemoteFile]:
    """What a URL means: the file, all files below the directory, or those that match the glob ('*', '[...]', and '**' across directories).

    Names that start with a dot are left out unless they are given.

    Raises
    ------
    ConfigurationError
        When the URL holds credentials.
    InputError
        When it means nothing, or what is there cannot be listed.
    """
    refuse_credentials(url, "key corpus.paths")
    address, question, options = url.partition("?")
    directory, pattern = _split_glob(address.rstrip("/"))
    try:
        filesystem, root = _located(directory + question + options)
        infos = _below(filesystem, root, pattern)
    except _ERRORS as error:
        raise InputError(
            "A URL of the corpus cannot be reached.",
            where=url,
            got=str(error).partition("\n")[0],
            expected="a file, a glob or a directory that can be listed",
            remedy="Check the address, the network, and the environment that says who reads (for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID).",
        ) from error
    if not infos:
        raise InputError(
            "A URL of the corpus means no file.",
            where=url,
            got="nothing there" if not pattern else f"no match below {directory}",
            expected="at least one file",
            remedy="Correct it; in a glob '**' crosses directories, and names that start with a dot must be given.",
        )
    files = [
        RemoteFile(directory + info.path[len(root) :] + question + options, info.path, info.size, info.mtime_ns or 0) for info in infos
    ]
    for file in files:
        if file.size_bytes is None:
            raise InputError(
                "Nobody says how large a remote file is.",
                where=file.url,
                expected="a server that says the size of its files before they are read",
                remedy="Copy the file to this machine, or to an object store.",
            )
    return files


def _located(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it."""
    scheme, _, rest = url.partition("://")
    if scheme not in _OF_ARROW:
        filesystem, path = fsspec.core.url_to_fs(url)
        return fs.PyFileSystem(fs.FSSpecHandler(filesystem)), path.rstrip("/")
    address, question, options = rest.partition("?")
    host, _, path = address.partition("/")
    filesystem, root = _of_arrow(f"{scheme}://{host}/{question}{options}")
    return filesystem, f"{root.rstrip('/')}/{path}".rstrip("/")


@lru_cache(maxsize=64)
def _of_arrow(address: str) -> tuple[Any, str]:
    """Arrow's file system for the root of an address. Making one takes time: that of S3 asks where the bucket is."""
    filesystem, root = fs.FileSystem.from_uri(address)
    return filesystem, root


def _split_glob(address: str) -> tuple[str, str]:
    """The directory before the first part of an address that is a pattern, and the pattern; nothing when there is none."""
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    first = next((number for number, part in enumerate(parts) if has_magic(part)), len(parts))
    return f"{scheme}://{'/'.join(parts[:first])}", "/".join(parts[first:])


def _below(filesystem: Any, root: str, pattern: str) -> list[Any]:
    """The files that match below a directory; without a pattern all, or the one that is no directory."""
    if not pattern:
        info = filesystem.get_file_info(root)
        if info.type == fs.FileType.File:
            return [info]
        if info.type == fs.FileType.NotFound:
            return []
    patterns = pattern.split("/") if pattern else ["**"]
    selector = fs.FileSelector(root, recursive=len(patterns) > 1 or "**" in patterns, allow_not_found=True)
    files = (info for info in filesystem.get_file_info(selector) if info.type == fs.FileType.File)
    return [info for info in files if _matches(info.path[len(root) :].strip("/").split("/"), patterns)]


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a glob."""
    if not patterns or not parts:
        return not parts and not [pattern for pattern in patterns if pattern != "**"]
    is_hidden = parts[0].startswith(".")
    if patterns[0] == "**":
        return _matches(parts, patterns[1:]) or (not is_hidden and _matches(parts[1:], patterns))
    fits = fnmatchcase(parts[0], patterns[0]) and (not is_hidden or patterns[0].startswith("."))
    return fits and _matches(parts[1:], patterns[1:])
