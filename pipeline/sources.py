"""The files of a corpus: which ones the configured paths mean, and their text in blocks of whole lines.

Here a file is bytes: decompressed, cut at line feeds, and freed of a byte order mark. What the bytes mean is `kernels.tokens`' business.
Nothing here holds more than a block and the line that it cuts, or reads a file twice.
"""

import bz2
import glob
import gzip
import lzma
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.errors import ConfigurationError, InputError

BLOCK_BYTES = 4 << 20
TEXT_SUFFIXES = (".txt", ".text")
COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ARCHIVE_BYTES = 1 << 18
_SCAN_BYTES = 1 << 16


def find_text_files(paths: Sequence[str], base: Path) -> list[Path]:
    """The files that the paths mean: absolute, sorted, each file once.

    Parameters
    ----------
    paths
        Files (taken whatever their suffix), globs ('**' crosses directories; they mean files, not directories), or directories. A
        directory means every *.txt and *.text file below it, plain or with .gz, .bz2, .xz or .zst. Names that start with a dot are skipped
        unless they are given, and links to directories are not followed.
    base
        The directory that relative paths start from.

    Raises
    ------
    ConfigurationError
        When there are no paths.
    InputError
        When a path does not exist, a glob matches no file, a directory holds no text, or one of the files cannot be read.
    """
    if not paths:
        raise ConfigurationError(
            "The corpus has no paths.", expected="files, globs or directories of text", remedy="Name at least one file of text."
        )
    found: dict[Path, Path] = {}
    for path in sorted({Path(os.path.abspath(base / one)) for name in paths for one in _files_of(name, base)}):  # noqa: PTH100 (links stay)
        _check_readable(path)
        # Two names of one file would count its text twice.
        found.setdefault(path.resolve(), path)
    return list(found.values())


def is_compressed(path: Path) -> bool:
    """Whether the suffix of a file says that it is compressed in a way that `read_blocks` knows."""
    return path.suffix.lower() in COMPRESSED_SUFFIXES


def line_cuts(path: Path, shard_bytes: int) -> list[tuple[int, int]]:
    """The byte ranges (start, stop) of a plain file's shards, cut behind the first line that ends at or after `shard_bytes` bytes.

    Each byte is in one range; an empty file has none. Cuts are made from the front, so text appended later leaves all shards but the last
    as they were.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            cuts, start = [], 0
            while start < size:
                stop = _line_border(file.fileno(), start + max(shard_bytes, 1), size)
                cuts.append((start, stop))
                start = stop
            return cuts
    except OSError as error:
        raise _unreadable(path, error) from error


def read_blocks(path: Path, start: int = 0, stop: int | None = None, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The text of a file in blocks of about `block_bytes`, each of which ends with a line feed, except perhaps the last.

    A line longer than a block is in a longer block. A UTF-8 byte order mark at the very start is left out, so offsets into the text of such
    a file are 3 less than in the file. Empty blocks do not occur.

    Parameters
    ----------
    path
        The file; its suffix says how it is compressed. Several compressed streams in one file are one text.
    start, stop
        Byte positions at line borders, as from `line_cuts`; `stop` None is the end. For plain files only.
    block_bytes
        Bytes read at a time, at least 1.

    Raises
    ------
    InputError
        When the file cannot be read, is shorter than `stop`, or is a truncated or corrupt archive.
    """
    chunks = _decompressed(path, block_bytes) if is_compressed(path) else _plain(path, start, stop, block_bytes)
    at_start = start == 0
    for block in _whole_lines(chunks):
        text = block.removeprefix(_BYTE_ORDER_MARK) if at_start else block
        at_start = False
        if text:
            yield text


def invalid_text_error(path: Path, offset: int, around: bytes) -> InputError:
    """The error for a file that is not UTF-8 text: says what it seems to be instead.

    Parameters
    ----------
    path, offset
        The file, and the byte of its (decompressed) text at which the first NUL or invalid sequence starts.
    around
        Some bytes before and after that place, all before it valid, but perhaps cut inside a character; shown in the message.
    """
    at = _defect(around, offset)
    shown = f"{_quoted(around[max(0, at - 20) : at])} >>{around[at : at + 4].hex(' ')}<< {_quoted(around[at + 4 : at + 20])}"
    name = path.name.removesuffix(path.suffix) if is_compressed(path) else path.name
    leave_out = f"or leave {path.name} out of the corpus."
    if _is_utf16(around, at):
        what = "A file of the corpus is UTF-16, not UTF-8."
        remedy = f"Convert it: iconv -f UTF-16 -t UTF-8 {name} > utf-8-{name}; {leave_out}"
    elif around[at : at + 1] == b"\0":
        what = "A file of the corpus is not text: it has NUL bytes."
        remedy = f"If it is text in which a few NULs got lost: tr -d '\\000' < {name} > clean-{name}; {leave_out}"
    else:
        what = "A file of the corpus is not UTF-8."
        remedy = f"If it is Latin-1 or Windows text: iconv -f WINDOWS-1252 -t UTF-8 {name} > utf-8-{name}; {leave_out}"
    where = f"{path}, byte {offset}" + (" of its decompressed text" if is_compressed(path) else "")
    return InputError(what, where=where, got=shown.strip(), expected="UTF-8 text without NUL bytes", remedy=remedy)


def _files_of(name: str, base: Path) -> list[Path]:
    """The files that one configured path means."""
    path = base / name
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _glob(name, base)
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(mode):
        return _walk(path)
    return [path]


def _glob(name: str, base: Path) -> list[Path]:
    if not glob.has_magic(name):
        raise InputError(
            "A path of the corpus does not exist.",
            where=name,
            got=f"nothing at {base / name}",
            expected="a file, a directory or a glob",
            remedy=f"Correct the path; relative ones start from {base}.",
        )
    matches = glob.iglob(name, root_dir=base, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    # What cannot be looked at stays, for the error that it will be.
    files = [base / match for match in matches if not os.path.isdir(base / match)]  # noqa: PTH112 (Path.is_dir raises)
    if not files:
        raise InputError(
            "A glob of the corpus matches no file.",
            where=name,
            got=f"no match below {base}",
            expected="at least one file",
            remedy="Correct the pattern; '**' crosses directories, and names that start with a dot must be given.",
        )
    return files


def _walk(directory: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise _unreadable(Path(error.filename), error) from error

    files = []
    for parent, directories, names in os.walk(directory, onerror=fail):
        directories[:] = [name for name in directories if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".") and _is_text_name(name)]
    if not files:
        raise InputError(
            "A directory of the corpus holds no text.",
            where=str(directory),
            got="no file with a name that counts",
            expected=f"files ending in {' or '.join(TEXT_SUFFIXES)}, or in these and {', '.join(COMPRESSED_SUFFIXES)}",
            remedy="Rename the files, or name them with a glob: a file that is named itself may have any suffix.",
        )
    return files


def _is_text_name(name: str) -> bool:
    path = Path(name)
    return Path(path.stem if is_compressed(path) else name).suffix.lower() in TEXT_SUFFIXES


def _check_readable(path: Path) -> None:
    try:
        # A pipe would block, and could be read only once.
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(
                "A path of the corpus is no regular file.", where=str(path), expected="a file", remedy="Copy its text to a file."
            )
        with path.open("rb"):
            return
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        "A file of the corpus cannot be read.",
        where=str(path),
        got=error.strerror or str(error),
        expected="a file that this user may read",
        remedy="Check that it is there, and its permissions (ls -l), or leave it out of the corpus.",
    )


def _line_border(file: int, at: int, size: int) -> int:
    """The first line border at or after `at` in an open file; its end at the latest."""
    at -= 1
    while at < size and (chunk := os.pread(file, _SCAN_BYTES, at)):
        found = chunk.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(chunk)
    return size


def _whole_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes cut behind the last line feed of each chunk that has one."""
    rest: list[bytes] = []
    for chunk in chunks:
        border = chunk.rfind(b"\n") + 1
        if border:
            yield b"".join([*rest, chunk[:border]])
            rest = []
        rest.append(chunk[border:])
    yield b"".join(rest)


def _plain(path: Path, start: int, stop: int | None, block_bytes: int) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            left = stop - start if stop is not None else None
            while left != 0 and (chunk := file.read(block_bytes if left is None else min(left, block_bytes))):
                yield chunk
                left = left - len(chunk) if left is not None else None
    except OSError as error:
        raise _unreadable(path, error) from error
    if left:
        raise InputError(
            "A file of the corpus became shorter while it was in use.",
            where=str(path),
            got=f"{(stop or 0) - left} bytes",
            expected=f"at least {stop}",
            remedy="Start again when nothing writes to it.",
        )


def _decompressed(path: Path, block_bytes: int) -> Iterator[bytes]:
    try:
        if not path.stat().st_size:
            raise EOFError("the file is empty")
        match path.suffix.lower():
            case ".gz":
                with gzip.open(path) as unzipped:
                    yield from iter(lambda: unzipped.read(block_bytes), b"")
            case ".zst":
                with pa.input_stream(path, compression="zstd") as stream:
                    yield from iter(lambda: stream.read(block_bytes), b"")
            case ".bz2":
                yield from _streams(path, bz2.BZ2Decompressor, block_bytes)
            case _:
                yield from _streams(path, lzma.LZMADecompressor, block_bytes)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise _unreadable(path, error) from error
        raise InputError(
            "A compressed file of the corpus is truncated or damaged.",
            where=str(path),
            got=str(error),
            expected=f"a whole {path.suffix} archive",
            remedy="Fetch or compress it again (its tool's option -t tests a file), or leave it out of the corpus.",
        ) from error


def _streams(path: Path, decompressor: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], block_bytes: int) -> Iterator[bytes]:
    """The text of all streams of a file, which zero bytes may separate.

    The standard library's own files take a damaged second stream for trailing rubbish, and leave out the rest without a word.
    """
    with path.open("rb") as file:
        data = file.read(_ARCHIVE_BYTES)
        while data:
            stream = decompressor()
            while not stream.eof:
                if stream.needs_input and not data and not (data := file.read(_ARCHIVE_BYTES)):
                    raise EOFError("the file ends inside a compressed stream")
                text = stream.decompress(data, block_bytes)
                data = b""
                if text:
                    yield text
            data = stream.unused_data.lstrip(b"\0")
            while not data and (chunk := file.read(_ARCHIVE_BYTES)):
                data = chunk.lstrip(b"\0")


def _defect(around: bytes, offset: int) -> int:
    """The place of the first NUL or invalid sequence in bytes that may start inside a character; they start at most `offset` before it."""
    # What is left of a character that was cut, or the defect itself: then a later one is not a place that `offset` allows, or is as good.
    skipped = next((i for i, byte in enumerate(around[:3]) if byte & 0xC0 != 0x80), min(3, len(around)))
    try:
        around[skipped:].decode("utf-8")
        end = len(around)
    except UnicodeDecodeError as error:
        end = skipped + error.start
    nul = around.find(b"\0", skipped, end)
    at = nul if nul >= 0 else end
    return at if at < len(around) and at <= offset else 0


def _quoted(part: bytes) -> str:
    return repr(part.decode("utf-8", errors="backslashreplace")) if part else ""


def _is_utf16(around: bytes, at: int) -> bool:
    """Whether there is a UTF-16 byte order mark, or every other byte, and no byte between, is mostly NUL, as in text of a Latin script."""
    halves = sorted((around[first::2].count(0), len(around[first::2])) for first in (0, 1))
    return around[at : at + 2] in (b"\xff\xfe", b"\xfe\xff") or (halves[0][0] == 0 and 2 * halves[1][0] > halves[1][1] > 2)
