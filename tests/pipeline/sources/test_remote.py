"""Text at URLs: found as local text is, read as local text is, and never with credentials."""

import uuid
from pathlib import Path

import fsspec
import pytest

from pipeline.choices import Format
from pipeline.configuration import is_url
from pipeline.errors import ConfigurationError, InputError
from pipeline.sources.cutting import cut_file
from pipeline.sources.files import find_files
from pipeline.sources.formats import kind_of
from pipeline.sources.shard import SourceShard
from tests.pipeline.sources.written import json_lines, packed, paragraphs, read, write, write_parquet

TREE = ["a.txt", "b.jsonl", "c.md", ".d.txt", "x/e.txt", "x/y/f.txt.gz", "x/.y/g.txt", ".x/h.txt", "x/y/[i].txt"]
PATTERNS = ["*", "*.txt", "**/*.txt", "x/*", "x/**/*.txt*", "**", "?.txt", "[ab].*", ".*", "x/y/[[]i].txt", "*/*.txt", ".x/*", "x/.y/*"]


@pytest.fixture
def trees(tmp_path) -> tuple[Path, str]:
    """The same files in a directory and in memory: the path and the URL."""
    url = f"memory://{uuid.uuid4().hex}/texts"
    for name in TREE:
        write(tmp_path / "texts" / name)
        with fsspec.open(f"{url}/{name}", "wb") as file:
            file.write(b"text\n")
    return tmp_path / "texts", url


def names(found, start):
    """Locations below a start."""
    assert all(file.location.startswith(start) for file in found.files)
    return [file.location[len(start) + 1 :] for file in found.files], found.passed_over


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if "?" not in pattern])
def test_find_files__of_a_glob_in_a_url_finds_what_it_finds_locally(pattern, trees):
    directory, url = trees
    local = names(find_files([f"{directory}/{pattern}"], Path("/")), str(directory))
    assert local[0]
    assert names(find_files([f"{url}/{pattern}"], Path("/")), url) == local


@pytest.mark.parametrize("configured", Format)
def test_find_files__of_a_directory_at_a_url_finds_what_it_finds_locally(configured, trees):
    directory, url = trees
    results = []
    for start in (str(directory), url):
        try:
            results.append(names(find_files([start], Path("/"), configured), start))
        except InputError as error:
            results.append(error.what)
    assert results[0] == results[1]
    assert names(find_files([f"{url}/"], Path("/")), url) == names(find_files([url, f"{url}/a.txt"], Path("/")), url)


def test_find_files__takes_urls_and_paths_together(trees):
    directory, url = trees
    files = find_files([f"{url}/c.md", f"{directory}/a.txt"], Path("/")).files
    assert [file.location for file in files] == [f"{directory}/a.txt", f"{url}/c.md"]
    assert [file.size_bytes for file in files] == [5, 5]
    assert files[1].stamp == ""  # memory does not say when a file was written


@pytest.mark.parametrize("name", ["nothing.txt", "nothing", "*.pdf", "x/nothing/*.txt"])
def test_find_files__refuses_a_url_that_means_nothing(name, trees):
    with pytest.raises(InputError) as caught:
        find_files([f"{trees[1]}/{name}"], Path("/"))
    assert caught.value.details["where"] == f"{trees[1]}/{name}"
    assert caught.value.details["remedy"]


@pytest.mark.parametrize("url", ["unheard-of://a/b.txt", "hdfs://nowhere.invalid:1/a.txt"])
def test_find_files__says_that_a_url_cannot_be_reached(url):
    with pytest.raises(InputError, match="cannot be reached") as caught:
        find_files([url], Path("/"))
    assert caught.value.details["where"] == url


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAXXXX:hidden@bucket/a.txt",
        "s3://hidden@bucket/a.txt",
        "s3://bucket/a.txt?access_key=AKIAXXXX&secret_key=hidden",
        "https://host/a.txt?X-Amz-Signature=hidden",
        "abfss://container:hidden@account.dfs.core.windows.net/a.txt",
        "sftp://user:hidden@host/*.txt",
    ],
)
def test_find_files__refuses_credentials_in_a_url_without_repeating_them(url):
    with pytest.raises(ConfigurationError, match="holds credentials") as caught:
        find_files([url], Path("/"))
    assert "hidden" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3://b/k", True),
        ("memory://a", True),
        ("abfs+x://a", True),
        ("a.txt", False),
        ("/a://b", False),
        ("C:\\a", False),
        ("://a", False),
    ],
)
def test_is_url__knows_a_scheme(path, expected):
    assert is_url(path) is expected


@pytest.mark.parametrize("name", ["a.txt", "a.txt.zst", "a.txt.xz", "b.jsonl", "d.parquet"])
def test_read_shard__of_a_url_gives_what_the_local_file_gives(name, tmp_path):
    texts = [f"text number {number}\nand more" for number in range(500)]
    path = tmp_path / name
    match name.split(".")[1]:
        case "txt":
            write(path, packed("".join(text + "\n" for text in texts).encode(), path.suffix))
        case "jsonl":
            write(path, json_lines(texts))
        case "parquet":
            write_parquet(path, texts, row_group_size=100)
    url = f"memory://{uuid.uuid4().hex}/{name}"
    with fsspec.open(url, "wb") as file:
        file.write(path.read_bytes())
    kind = kind_of(name, Format.AUTO)
    found = {}
    for location in (str(path), url):
        cut = cut_file(location, kind, "text", 2_000)
        shards = [SourceShard(location, kind.format, kind.compression, "text", cut.sha256, c.start, c.stop, c.sha256) for c in cut.cuts]
        links = [(shard.link.stage, shard.link.key, shard.link.digest) for shard in shards]
        found[location] = links, [line for shard in shards for line in paragraphs(read(shard)[0])]
        assert len(shards) > 3 or kind.compression
    assert found[url] == found[str(path)]
    assert len(found[url][1]) == 1000
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        cut_file(str(path), kind, "text", 100)
    fsspec.filesystem("memory").rm(url)
    with pytest.raises(InputError, match="cannot be read") as caught:
        cut_file(url, kind, "text", 100)
    assert caught.value.details["where"] == url
