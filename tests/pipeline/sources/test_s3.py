"""Text in an object store, through Arrow's client and a real server on this machine."""

import urllib.parse

import pytest
from moto.server import ThreadedMotoServer
from pyarrow import fs

from pipeline.choices import Format
from pipeline.errors import InputError
from pipeline.run import Run
from pipeline.sources.cutting import cut_file
from pipeline.sources.files import find_files
from pipeline.sources.formats import kind_of
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk
from tests.pipeline.sources.written import json_lines, packed, write, write_parquet


@pytest.fixture(scope="module")
def store():
    """The address of a server, as options of a URL, and a client that may write."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ACCESS_KEY_ID", "someone"), ("AWS_SECRET_ACCESS_KEY", "knows"), ("AWS_EC2_METADATA_DISABLED", "true")):
            patch.setenv(name, value)
        running = ThreadedMotoServer(port=0, verbose=False)
        running.start()
        host, port = running.get_host_and_port()
        address = f"127.0.0.1:{port}"
        assert host
        client = fs.S3FileSystem(endpoint_override=address, scheme="http", region="us-east-1", allow_bucket_creation=True)
        options = urllib.parse.urlencode({"endpoint_override": address, "scheme": "http", "region": "us-east-1"})
        client.create_dir("texts")
        yield options, client
        running.stop()


def upload(client, directory):
    """Copy a directory into the bucket."""
    for path in sorted(path for path in directory.rglob("*") if path.is_file()):
        with client.open_output_stream(f"texts/{path.relative_to(directory)}", compression=None) as stream:
            stream.write(path.read_bytes())


def test_run__reads_a_bucket_like_a_directory(store, tmp_path):
    options, client = store
    lines = [line.rstrip("\n") for line in sample_lines(120)]
    data = "".join(line + "\n" for line in lines).encode()
    write(tmp_path / "here" / "a.txt", data)
    write(tmp_path / "here" / "deep" / "b.txt.zst", packed(data, ".zst"))
    write(tmp_path / "here" / "deep" / "c.jsonl", json_lines(lines))
    write(tmp_path / "here" / "deep" / "x.md", b"no text\n")
    write_parquet(tmp_path / "here" / "d.parquet", lines, row_group_size=40)
    upload(client, tmp_path / "here")
    small = {"corpus__shard_mb": 0.02}
    here = walk(configured(tmp_path / "here", **small), tmp_path / "store", InPlace(), "vocabulary")
    assert len(here.made["tokenize"]) > 6
    for urls in (
        [f"s3://texts?{options}"],
        [f"s3://texts/**/*.txt*?{options}", f"s3://texts/deep/*.jsonl?{options}", f"s3://texts/d.parquet?{options}"],
    ):
        there = walk(configured(*urls, **small), tmp_path / "other", InPlace(), "vocabulary")
        assert digests(there, "snapshot", "tokenize", "vocabulary") == digests(here, "snapshot", "tokenize", "vocabulary")
        assert all(shard.location.startswith("s3://texts/") for shard in there.observed.shards)


def test_find_files__knows_when_an_object_was_written(store, tmp_path):
    options, client = store
    write(tmp_path / "one.txt", b"one\n")
    upload(client, tmp_path)
    url = f"s3://texts/one.txt?{options}"
    (file,) = find_files([url], tmp_path).files
    assert (file.location, file.size_bytes) == (url, 4)
    assert file.stamp
    with pytest.raises(InputError, match="means no file"):
        find_files([f"s3://texts/two.txt?{options}"], tmp_path)
    client.delete_file("texts/one.txt")
    with pytest.raises(InputError, match="cannot be read") as caught:
        cut_file(url, kind_of("one.txt", Format.AUTO), "text", 100)
    assert caught.value.details["where"] == url


def test_run__of_an_object_that_changes_fails(store, tmp_path):
    options, client = store
    write(tmp_path / "texts" / "change.txt", b"before\n" * 9)
    upload(client, tmp_path / "texts")
    url = f"s3://texts/change.txt?{options}"
    run = Run(configured(url), Store(tmp_path / "store"), InPlace())
    write(tmp_path / "texts" / "change.txt", b"behind\n" * 9)
    upload(client, tmp_path / "texts")
    with run:
        run.perform(run.steps[0])
        with pytest.raises(InputError, match="changed while") as caught:
            run.perform(run.steps[1])
    assert caught.value.details["where"] == url
