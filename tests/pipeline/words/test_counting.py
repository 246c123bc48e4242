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
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import DaskWorkers
from tests.pipeline.small_runs import configured

text, store, shard_mb, counting_mb, threads, *connectors = sys.argv[1:]

def tallies_and_peaks(text):
    configuration = configured(
        Path(text), corpus__shard_mb=float(shard_mb), cluster__counting_mb=float(counting_mb), cluster__threads=int(threads),
        vocabulary__min_count=2, phrases__min_count=2, phrases__thresholds=[10.0], phrases__connector_words=connectors,
    )
    with DaskWorkers(configuration.cluster) as workers, Run(configuration, Store(Path(store)), workers) as run:
        for step in run.steps[:4]:
            Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
            before = peak_mb()
            run.perform(step)
            yield run.made[step.name][0].manifest.tallies[-1], peak_mb(), before

list(tallies_and_peaks(text + ".warm"))
_, (_, of_tokenizing, _), (candidates, of_phrases, before), (words, of_words, _) = tallies_and_peaks(text)
grown = max(of_phrases, of_words) - before
print(candidates.n_in, candidates.dropped["below min_count"], words.n_in, words.n_kept, grown, max(of_tokenizing, before + grown))
"""


def counted_in_a_process(
    directory: Path, n_words: int, shard_mb: float, counting_mb: int, threads: int, connector: str = ""
) -> list[float]:
    """Count words and phrases of a text of so many words. Every 50th is seen twice, and no candidate more than once.

    Candidates, rare ones, words, words that are seen twice, and in MB how much memory counting took and the most that the process had.
    """
    text = directory / "text.txt"
    for path, n in ((text, n_words), (text.with_name("text.txt.warm"), 1000)):
        with path.open("w", encoding="utf-8") as lines:
            for first in range(0, n, 50):
                words = [f"w{n:08d}" for n in range(first, first + 50)]
                lines.write(f" {connector} ".join(words) + "\n" + f"{words[0]}\n")
    arguments = map(str, [text, directory / "store", shard_mb, counting_mb, threads, *connector.split()])
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(directory)}
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True, env=environment)
    return list(map(float, done.stdout.split()))


@pytest.mark.parametrize("connector", ["", "of"])
def test_phrases__of_different_words_take_the_memory_that_counting_may(connector: str, tmp_path: Path) -> None:
    """1.5 million words and candidates, a shard of which has 70 to 100 thousand, in 96 MB; all at once they would take 200."""
    *found, grown_mb, _ = counted_in_a_process(tmp_path, 1_500_000, 1.0, 96, 1, connector)
    assert found == [49 * 30_000, 49 * 30_000, 1_500_000 + bool(connector), 30_000 + bool(connector)]
    assert 10 < grown_mb < 96


@pytest.mark.stress
def test_vocabulary__and_phrases_of_twenty_million_different_tokens_take_less_than_a_gigabyte(tmp_path: Path) -> None:
    """The whole process, from the text on: 200 MB in shards of 12, in which nearly every word is another one; 256 MB for counting."""
    *found, _, peak_mb = counted_in_a_process(tmp_path, 20_000_000, 12.0, 256, 2)
    assert found == [49 * 400_000, 49 * 400_000, 20_000_000, 400_000]
    assert peak_mb < 1000
