"""Reading holds some blocks and one record, however long a line is: the most memory that a process of its own ever had."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys

import pyarrow as pa
import pytest

from tests.conftest import ROOT
from tests.pipeline.sources.written import write

PROGRAM = """
import json, sys
from pathlib import Path
from benchmarks.memory import peak_mb
from pipeline.errors import InputError
from pipeline.workers import InPlace
from tests.pipeline.small_runs import configured, walk

store, warm, *paths = map(Path, sys.argv[1:])
walk(configured(warm), store, InPlace(), "tokenize")
before = peak_mb()
for path in paths:
    for policy in ("fail", "replace", "skip") if path.suffix == ".gz" else ("skip",):
        try:
            run = walk(configured(path, corpus__broken=policy, corpus__max_broken=1.0), store, InPlace(), "tokenize")
            tallies = [tally for artifact in run.made["tokenize"] for tally in artifact.manifest.tallies]
            found = [[tally.unit, tally.dropped["too long"]] for tally in tallies if "too long" in tally.dropped]
        except InputError as error:
            found = error.what
        print(json.dumps([path.name, policy, found, peak_mb() - before]))
"""
LINE_BYTES = 200_000_000
PART = b"many words " * 100_000  # 1.1 MB


def long_line(file, begin=b"", end=b"\n"):
    """Write a line of 200 MB, and one behind it."""
    n_left = LINE_BYTES - len(begin) - len(end)
    file.write(begin)
    while n_left > 0:
        n_left -= file.write(PART[:n_left])
    file.write(end + b'{"text": "behind"}\n')


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Files with a line of 200 MB."""
    directory = tmp_path_factory.mktemp("long")
    with (directory / "a.txt").open("wb") as file:
        long_line(file)
    with (directory / "b.jsonl").open("wb") as file:
        long_line(file, b'{"text": "', b'"}\n')
    with gzip.open(directory / "c.txt.gz", "wb", compresslevel=1) as file:
        long_line(file)
    for name in ("d.csv", "e.tsv"):
        with (directory / name).open("wb") as file:
            file.write(b"text\n")
            long_line(file)
    with lzma.open(directory / "f.txt.xz", "wb", preset=0) as file:
        long_line(file)
    with pa.CompressedOutputStream(str(directory / "g.txt.zst"), "zstd") as file:
        long_line(file)
    with (directory / "h.txt.bz2").open("wb") as file:
        file.writelines([bz2.compress(PART)] * (LINE_BYTES // len(PART)))  # a stream each: compressing them all takes 20 s
        file.write(bz2.compress(b"w" * (LINE_BYTES % len(PART) - 1) + b"\n" + b"behind\n"))
    return sorted(directory.iterdir())


def test_read_shard__of_a_line_of_200_mb_takes_the_memory_of_a_shard(paths, tmp_path):
    warm = write(tmp_path / "warm.txt", b"some words\n" * 1000)
    arguments = [sys.executable, "-c", PROGRAM, tmp_path / "store", warm, *paths]
    done = subprocess.run(list(map(str, arguments)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 2 + len(paths)
    for name, policy, found, growth_mb in rows:
        unit = "lines" if ".txt" in name else "documents"
        assert found == ("A line of the corpus is too long." if policy == "fail" else [["bytes", LINE_BYTES], [unit, 1]])
        assert growth_mb < 32, name
