"""Strings counted in memory and through partitions: the same, and within the memory that they may take."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.configuration import Cluster
from pipeline.storage.atomic import scratch
from pipeline.storage.schemas import LEXICON
from pipeline.storage.tables import count_bytes, read_table, write_table
from pipeline.words.counting import MEMORY_FACTOR, count_strings, cut_groups
from pipeline.workers import DaskWorkers
from tests.conftest import ROOT
from tests.pipeline.small_runs import Limited

LEXICONS = st.lists(st.lists(st.tuples(st.text("abé\U0001f600", max_size=4), st.integers(0, 5)), max_size=20), max_size=6)


def write_lexicons(directory: Path, lexicons: list[list[tuple[str, int]]]) -> list[Path]:
    for number, entries in enumerate(lexicons):
        write_table(
            directory,
            f"{number}.parquet",
            LEXICON,
            pa.table([[entry[0] for entry in entries], [entry[1] for entry in entries]], schema=LEXICON),
        )
    return [directory / f"{number}.parquet" for number in range(len(lexicons))]


@given(lexicons=LEXICONS, counting_bytes=st.sampled_from([200, 1500, 10**9]), min_count=st.integers(1, 6), most=st.integers(0, 12))
@settings(max_examples=30)
def test_count_strings__equals_a_dictionary_with_any_memory(
    lexicons: list[list[tuple[str, int]]], counting_bytes: int, min_count: int, most: int
) -> None:
    expected: Counter[str] = Counter()
    for entries in lexicons:
        for token, count in entries:
            expected[token] += count
    expected = +expected
    often = sorted(((token, count) for token, count in expected.items() if count >= min_count), key=lambda e: (-e[1], e[0].encode()))
    with tempfile.TemporaryDirectory() as name:
        files = write_lexicons(Path(name), lexicons)
        with scratch(Path(name)) as directory:
            counted = count_strings(files, directory, Limited(counting_bytes), min_count, most, keep_rare=True)
            table = counted.table()
            rare = read_table(counted.rare, LEXICON).to_pylist() if counted.rare else None
        assert sorted(Path(name).iterdir()) == files  # nothing is left behind
    assert list(zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True)) == often[: most or None]
    assert (counted.n_distinct, counted.n_seen) == (len(expected), expected.total())
    assert (counted.n_often, counted.n_often_seen) == (len(often), sum(count for _, count in often))
    assert counted.largest == max(expected.values(), default=0)
    assert counted.rare is None or counting_bytes > 200
    assert counted.rare or counting_bytes < 10**9 or not expected
    if rare is not None:
        assert {row["token"]: row["count"] for row in rare} == {token: n for token, n in expected.items() if n < min_count}


@pytest.mark.parametrize("cluster", [Cluster(threads=3, counting_mb=0.3), Cluster(processes=2, counting_mb=0.1)])
def test_count_strings__goes_through_as_many_partitions_as_memory_asks_for_on_any_workers(cluster: Cluster, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    numbers = [rng.integers(0, 3000, 2000) for _ in range(5)]
    files = write_lexicons(tmp_path, [[(f"word{n}", 1) for n in some] for some in numbers])
    expected = Counter(np.concatenate(numbers).tolist())
    with DaskWorkers(cluster) as workers, scratch(tmp_path) as directory:
        counted = count_strings(files, directory, workers, min_count=3)
        assert len(counted.files) == -(-sum(map(count_bytes, files)) // int(1e5 / MEMORY_FACTOR)) > 10
        tables = [read_table(path, LEXICON) for path in counted.files]
        together = counted.table()
    assert sum(map(len, tables)) == len(together) == sum(count >= 3 for count in expected.values())
    assert sum(together["count"].to_pylist()) == counted.n_often_seen == sum(count for count in expected.values() if count >= 3)


@given(sizes=st.lists(st.integers(0, 9), max_size=20), most=st.integers(1, 20))
def test_cut_groups__keeps_the_order_and_the_limit_where_it_can(sizes: list[int], most: int) -> None:
    groups = cut_groups(list(enumerate(sizes)), sizes, most)
    assert [item for group in groups for item in group] == list(enumerate(sizes))
    totals = [sum(size for _, size in group) for group in groups]
    assert all(total <= most or len(group) == 1 for total, group in zip(totals, groups, strict=True))
    assert all(total + group[0][1] > most for total, group in zip(totals, groups[1:], strict=False))


COUNT = """
import sys
from pathlib import Path
from benchmarks.memory import peak_mb
from pipeline.storage.atomic import scratch
from pipeline.words.counting import count_strings
from tests.pipeline.small_runs import Limited

def count(pattern, counting_bytes):
    files = sorted(Path(sys.argv[1]).glob(pattern))
    with scratch(Path(sys.argv[1])) as directory:
        counted = count_strings(files, directory, Limited(counting_bytes), 2)
        return counted.n_distinct, len(counted.table()), len(counted.files)

count("0.parquet", 10**6)
before = peak_mb()
print(*count("*.parquet", int(sys.argv[2])), before, peak_mb())
"""


def test_count_strings__takes_the_memory_that_it_may(tmp_path: Path) -> None:
    """1.6 million distinct strings, of which 30,000 are in more than one file, in 48 MB: all at once they would take about 200."""
    limit = 48_000_000
    for number in range(10):
        strings = [f"word{n:09d}" for n in range(160_000 * number - 3_000 * bool(number), 160_000 * (number + 1))]
        ones = pa.array(np.ones(len(strings), np.int64))
        write_table(tmp_path, f"{number}.parquet", LEXICON, pa.table([strings, ones], schema=LEXICON))
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path), str(limit)], capture_output=True, text=True, check=True, env=environment
    )
    n_distinct, n_often, n_partitions, before_mb, after_mb = map(float, done.stdout.split())
    assert (n_distinct, n_often) == (1_600_000, 27_000)
    assert n_partitions > 3
    assert 0 < after_mb - before_mb < limit / 1e6


RUN = """
import sys
from pathlib import Path
from benchmarks.memory import peak_mb
from tests.pipeline.small_runs import configured, walk

configuration = configured(Path(sys.argv[1]), cluster__counting_mb=256, cluster__threads=2, vocabulary__min_count=2)
run = walk(configuration, Path(sys.argv[2]), last="vocabulary")
words = run.made["vocabulary"][0].manifest.tallies[1]
print(words.n_in, words.n_kept, peak_mb())
"""


@pytest.mark.stress
def test_vocabulary__of_twenty_million_distinct_tokens_takes_less_than_a_gigabyte(tmp_path: Path) -> None:
    """The whole process, from the text on: 200 MB in shards of 12, in which nearly every token is another one; 256 MB for counting."""
    with (tmp_path / "text.txt").open("w", encoding="utf-8") as text:
        for first in range(0, 20_000_000, 100_000):
            for start in range(first, first + 100_000, 50):
                text.write(" ".join(f"w{n:08d}" for n in range(start, start + 50)) + f" w{first:08d}\n")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    command = [sys.executable, "-c", RUN, str(tmp_path / "text.txt"), str(tmp_path / "store")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    n_distinct, n_kept, peak = map(float, done.stdout.split())
    assert (n_distinct, n_kept) == (20_000_000, 200)
    assert peak < 1000
