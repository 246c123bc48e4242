"""Which files the configured paths mean, and which are refused."""

import os
import tempfile
from pathlib import Path

import pytest

from pipeline.choices import Format
from pipeline.errors import ConfigurationError, InputError
from pipeline.reasons import LeftOut
from pipeline.sources.files import find_files
from tests.pipeline.sources.written import write


def locations(paths, base, configured=Format.AUTO):
    """Where the files are."""
    return [file.location for file in find_files(paths, base, configured).files]


def refused(kind, call):
    """The error of a call, which has all that a user needs."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.what
    assert error.details["remedy"]
    assert error.details["expected"]
    return error


def test_find_files__takes_text_below_a_directory(tmp_path):
    taken = [
        "a.txt",
        "b.text",
        "a.jsonl",
        "b.ndjson.gz",
        "c.csv",
        "d.tsv.xz",
        "e.parquet",
        "deep/er/c.txt.gz",
        "d.TXT",
        "e.text.bz2",
        "f.txt.xz",
        "g.txt.zst",
        "two words.txt",
    ]
    for name in [
        *taken,
        "x.md",
        "x.gz",
        "x.json",
        "x.parquet.gz",
        "x.txt.zip",
        "x.txt.bak",
        "txt",
        ".hidden.txt",
        ".git/a.txt",
        "deep/.cache/b.txt",
    ]:
        write(tmp_path / "corpus" / name)
    assert locations(["corpus"], tmp_path) == sorted(f"{tmp_path}/corpus/{name}" for name in taken)
    assert find_files(["corpus"], tmp_path).passed_over == {LeftOut.OTHER_SUFFIX: 7}
    assert find_files(["corpus", "corpus/x.md"], tmp_path).passed_over == {LeftOut.OTHER_SUFFIX: 6}
    assert find_files(["corpus/*.m*"], tmp_path).passed_over == {}


def test_find_files__takes_a_named_file_whatever_its_name(tmp_path):
    named = [write(tmp_path / name) for name in ("book.md", ".hidden", "odd[1].txt")]
    assert locations(["book.md", ".hidden", "odd[1].txt"], tmp_path) == sorted(map(str, named))


def test_find_files__expands_globs_to_files(tmp_path):
    for name in ("a/1.txt", "a/2.md", "a/b/3.txt", "a/.4.txt"):
        write(tmp_path / name)
    assert locations(["a/*"], tmp_path) == [f"{tmp_path}/a/1.txt", f"{tmp_path}/a/2.md"]
    assert locations(["a/**/*.txt"], tmp_path) == [f"{tmp_path}/a/1.txt", f"{tmp_path}/a/b/3.txt"]
    assert locations([f"{tmp_path}/a/[1].txt"], Path("/")) == [f"{tmp_path}/a/1.txt"]


def test_find_files__names_each_file_once_in_order(tmp_path):
    first, second = write(tmp_path / "a.txt"), write(tmp_path / "b" / "c.txt")
    (tmp_path / "z.txt").symlink_to(first)
    paths = ["b/c.txt", "*.txt", ".", "b/../a.txt", str(second), "b"]
    assert locations(paths, tmp_path) == [str(first), str(second)]
    assert locations(paths[::-1], tmp_path) == [str(first), str(second)]
    assert find_files(paths, tmp_path).passed_over == {LeftOut.SAME_FILE: 1}


def test_find_files__does_not_follow_links_to_directories(tmp_path):
    file = write(tmp_path / "a" / "b.txt")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert locations(["a"], tmp_path) == [str(file)]
    assert find_files(["a"], tmp_path).passed_over == {LeftOut.LINK: 1}


def test_find_files__refuses_no_paths(tmp_path):
    refused(ConfigurationError, lambda: find_files([], tmp_path))


@pytest.mark.parametrize("name", ["missing.txt", "a.txt/b.txt", "missing/*.txt", "dir*"])
def test_find_files__refuses_a_path_that_means_nothing(tmp_path, name):
    write(tmp_path / "a.txt")
    (tmp_path / "directory").mkdir()
    error = refused(InputError, lambda: find_files(["a.txt", name], tmp_path))
    assert error.details["where"] == name
    assert str(tmp_path) in error.details["got"]
    assert ("glob" in error.what) == ("*" in name)


def test_find_files__says_which_suffixes_count(tmp_path):
    write(tmp_path / "corpus" / "page.html")
    error = refused(InputError, lambda: find_files(["corpus"], tmp_path))
    assert all(suffix in error.details["expected"] for suffix in (".txt", ".jsonl", ".csv", ".parquet", ".gz", ".zst"))


@pytest.mark.parametrize("name", ["corpus", "corpus/*", "corpus/broken.txt"])
def test_find_files__refuses_a_broken_link(tmp_path, name):
    write(tmp_path / "corpus" / "a.txt")
    (tmp_path / "corpus" / "broken.txt").symlink_to("nowhere")
    error = refused(InputError, lambda: find_files([name], tmp_path))
    assert "broken.txt" in error.details["where"]


def test_find_files__refuses_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    assert "regular" in refused(InputError, lambda: find_files(["pipe.txt"], tmp_path)).what


@pytest.mark.parametrize("closed", ["secret/a.txt", "secret"])
@pytest.mark.parametrize("name", ["secret", "secret/a.txt"])
def test_find_files__refuses_what_it_may_not_read(closed, name):
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        write(base / "secret" / "a.txt")
        base.chmod(0o755)
        (base / closed).chmod(0)
        if is_root:
            os.seteuid(65534)
        try:
            error = refused(InputError, lambda: find_files([name], base))
        finally:
            if is_root:
                os.seteuid(0)
            (base / closed).chmod(0o700)
    assert error.details["got"] == "Permission denied"
    assert "secret" in error.details["where"]


@pytest.mark.parametrize(
    ("configured", "taken"),
    [("auto", ["a.txt", "b.csv", "d.jsonl"]), ("jsonl", ["c.json.gz", "d.jsonl"]), ("text", ["a.txt"]), ("csv", ["b.csv"])],
)
def test_find_files__takes_of_a_directory_what_the_format_says(configured, taken, tmp_path):
    for name in ("a.txt", "b.csv", "c.json.gz", "d.jsonl"):
        write(tmp_path / name)
    assert locations(["."], tmp_path, Format(configured)) == [f"{tmp_path}/{name}" for name in taken]
    assert len(locations(["*"], tmp_path, Format(configured))) == 4


def test_find_files__refuses_parquet_that_is_compressed_as_a_whole(tmp_path):
    write(tmp_path / "a.parquet.gz")
    error = refused(InputError, lambda: find_files(["a.parquet.gz"], tmp_path))
    assert error.details["where"].endswith("a.parquet.gz")
    assert locations(["a.parquet.gz"], tmp_path, Format.TEXT)


def test_find_files__takes_urls_of_local_files_for_paths(tmp_path):
    first, second = write(tmp_path / "a b.txt"), write(tmp_path / "c.txt")
    assert locations([first.as_uri(), str(second), f"file://{second}", f"file://localhost{tmp_path}/c.*"], tmp_path) == [
        str(first),
        str(second),
    ]


def test_find_files__stamps_change_with_the_file(tmp_path):
    path = write(tmp_path / "a.txt", b"one\n")
    stamps = [find_files(["a.txt"], tmp_path).files[0].stamp]
    status = path.stat()
    for change in (
        lambda: path.write_bytes(b"two\n"),
        lambda: os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns)),  # an old date does not hide it
        lambda: path.replace(tmp_path / "b.txt") and write(path, b"one\n"),
    ):
        change()
        stamps.append(find_files(["a.txt"], tmp_path).files[0].stamp)
    assert len(set(stamps)) == 4
    assert find_files(["a.txt"], tmp_path).files[0].stamp == stamps[-1]
