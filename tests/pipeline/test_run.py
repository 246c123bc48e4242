"""Whole runs: against a slow reference word by word, and the same bytes however the work is cut up and shared out."""

import getpass
import gzip
import hashlib
import itertools
import json
import lzma
import os
import signal
import socket
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
from distributed import LocalCluster

from pipeline.configuration import Cluster, Configuration
from pipeline.errors import ConfigurationError, InputError
from pipeline.events import Event, StepAdvanced, StepFinished, StepStarted, listening
from pipeline.run import Run, evaluate_model
from pipeline.storage.artifact import Artifact
from pipeline.storage.locks import OF_STORE, alone
from pipeline.storage.schemas import PAIRS, PHRASES, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.store import RUNS, Store
from pipeline.storage.tables import read_table
from pipeline.workers import DaskWorkers, InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk
from tests.reference import pipeline as reference


def reused(run: Run) -> dict[str, tuple[int, int]]:
    """Step -> artifacts reused, artifacts in all."""
    return {record.step: (record.n_reused, len(record.keys)) for record in run.records}


def drawn(pairs: Artifact, epoch: int) -> list[list[tuple[int, int]]]:
    """The (id, radius) of every word of an epoch, by sentence."""
    tables = [read_table(pairs.path(file.name), PAIRS).to_pylist() for file in pairs.files(f"epoch-{epoch:03d}/")]
    return [list(zip(row["tokens"], row["radius"], strict=True)) for table in tables for row in table]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 150 kB of real text."""
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(300)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def plain(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run that the others are compared with: one thread, one shard, no workers at all."""
    return walk(configured(text), tmp_path_factory.mktemp("plain"), InPlace())


@pytest.fixture(scope="module")
def with_phrases(text: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same with two passes of phrases."""
    return walk(configured(text, phrases__thresholds=[8.0, 4.0]), tmp_path_factory.mktemp("phrases"), InPlace(), "train")


def by_digest(paths: list[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())


# --- against the reference


@pytest.mark.parametrize(
    ("scorer", "thresholds", "split", "lowercase", "formula", "kind"),
    [
        ("gensim", [8.0, 4.0], False, True, "word2vec", "dynamic"),
        ("npmi", [0.4], True, False, "paper", "dynamic"),
        ("word2vec", [], True, True, "word2vec", "fixed"),
        ("word2vec", [60.0], False, False, "paper", "fixed"),
    ],
)
def test_run__gives_the_phrases_words_and_draws_of_the_reference(
    scorer: str, thresholds: list[float], split: bool, lowercase: bool, formula: str, kind: str, text: Path, tmp_path: Path
) -> None:
    lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
    files = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path, part in zip(files, [lines[:200], lines[200:]], strict=True):
        path.write_text("".join(part), encoding="utf-8")
    configuration = configured(
        *files,
        corpus__shard_mb=0.04,
        tokenize__lowercase=lowercase,
        tokenize__split_sentences=split,
        phrases__thresholds=thresholds,
        phrases__scorer=scorer,
        pairs__subsample_formula=formula,
        pairs__window_kind=kind,
        cluster__threads=2,
    )
    run = walk(configuration, tmp_path / "store", last="pairs")
    assert len(run.made["tokenize"]) > 3

    sentences = reference.tokenize(
        [path.read_text(encoding="utf-8") for path in by_digest(files)], lowercase=lowercase, split_sentences=split
    )
    for number, threshold in enumerate(thresholds, 1):
        expected = reference.score_phrases(sentences, threshold=threshold, scorer=scorer, min_count=5)
        sentences = reference.join_phrases(sentences, expected, "_")
        rows = read_table(run.made[f"phrases-{number}"][0].path("phrases.parquet"), PHRASES).to_pylist()
        assert len(expected) > 20
        counts = {(row["first"], row["second"]): (row["first_count"], row["second_count"], row["count"]) for row in rows}
        assert counts == {pair: found[:3] for pair, found in expected.items()}
        assert [row["score"] for row in rows] == pytest.approx([expected[row["first"], row["second"]][3] for row in rows], rel=1e-12)
        assert rows == sorted(rows, key=lambda row: (-row["score"], row["first"].encode(), row["second"].encode()))

    vocabulary = reference.count_words(sentences, 3)
    table = read_table(run.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    assert list(zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True)) == list(vocabulary.items())

    totals: dict[str, int] = {}
    for epoch in range(2):
        expected_draws, tallies = reference.draw_epoch(
            sentences,
            vocabulary,
            epoch=epoch,
            window=4,
            dynamic=kind == "dynamic",
            formula=formula,
            subsample=1e-3,
            seed=7,
        )
        assert drawn(run.made["pairs"][0], epoch) == expected_draws
        totals = {name: totals.get(name, 0) + n for name, n in tallies.items()}
    (tally,) = run.made["pairs"][0].manifest.tallies
    assert (tally.n_in, tally.n_kept) == (totals["n_in"], totals["n_kept"])
    assert list(tally.dropped.values()) == [totals["n_rare"], totals["n_subsampled"], totals["n_lonely"]]


# --- the same bytes


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_run__gives_the_same_bytes_with_any_number_of_threads(threads: int, with_phrases: Run, text: Path, tmp_path: Path) -> None:
    configuration = configured(text, corpus__shard_mb=0.02, phrases__thresholds=[8.0, 4.0], cluster__threads=threads)
    run = walk(configuration, tmp_path, last="pairs")
    assert len(run.made["tokenize"]) > 5
    assert digests(run, "vocabulary", "pairs") == digests(with_phrases, "vocabulary", "pairs")


@pytest.mark.parametrize("processes", [1, 2])
def test_run__gives_the_same_bytes_with_worker_processes(processes: int, with_phrases: Run, text: Path, tmp_path: Path) -> None:
    configuration = configured(text, corpus__shard_mb=0.05, phrases__thresholds=[8.0, 4.0], cluster__processes=processes)
    run = walk(configuration, tmp_path, last="train")
    assert digests(run, "vocabulary", "pairs", "train") == digests(with_phrases, "vocabulary", "pairs", "train")


def test_run__gives_the_same_bytes_on_a_scheduler_at_an_address(
    with_phrases: Run, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker was started in another working directory, and the store's path is relative."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster:
        monkeypatch.chdir(tmp_path)
        configuration = configured(text, corpus__shard_mb=0.05, phrases__thresholds=[8.0, 4.0], cluster__address=cluster.scheduler_address)
        run = walk(configuration, Path("store"), last="pairs")
        assert cluster.scheduler_info["workers"]  # a run that only borrowed the cluster leaves it running
    assert digests(run, "vocabulary", "pairs") == digests(with_phrases, "vocabulary", "pairs")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_run__gives_the_same_bytes_when_a_worker_is_killed_in_every_step(
    with_phrases: Run, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.progress.SECONDS_BETWEEN_EVENTS", 0.0)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        DaskWorkers(Cluster(address=cluster.scheduler_address)) as workers,
    ):
        killed: list[str] = []

        def kill(event: Event) -> None:
            if isinstance(event, StepAdvanced) and event.step not in killed:
                killed.append(event.step)
                os.kill(max(workers.cluster_client().run(os.getpid).values()), signal.SIGKILL)

        with listening(kill):
            configuration = configured(text, corpus__shard_mb=0.02, phrases__thresholds=[8.0, 4.0])
            run = walk(configuration, tmp_path, workers, last="pairs")
    assert killed == ["tokenize", "phrases-1", "phrases-2", "pairs"]
    assert digests(run, "vocabulary", "pairs") == digests(with_phrases, "vocabulary", "pairs")
    assert {path.name for path in tmp_path.rglob("*") if path.name.startswith(".")} == {OF_STORE}


@pytest.mark.parametrize("shard_mb", [0.002, 0.03, 4096])
def test_run__gives_the_same_bytes_for_any_shard_size(shard_mb: float, plain: Run, text: Path, tmp_path: Path) -> None:
    run = walk(configured(text, corpus__shard_mb=shard_mb), tmp_path, InPlace(), "train")
    assert digests(run, "vocabulary", "pairs", "train") == digests(plain, "vocabulary", "pairs", "train")


@pytest.mark.stress
@pytest.mark.parametrize(("shard_mb", "passes"), [*itertools.product([0.001, 0.007, 0.019, 0.05, 0.11], [1, 2])])
def test_run__gives_the_same_bytes_for_many_shard_sizes_with_phrases(shard_mb: float, passes: int, text: Path, tmp_path: Path) -> None:
    thresholds = [8.0, 4.0][:passes]
    whole = walk(configured(text, phrases__thresholds=thresholds), tmp_path / "whole", InPlace(), "train")
    cut = walk(configured(text, phrases__thresholds=thresholds, corpus__shard_mb=shard_mb), tmp_path / "cut", InPlace(), "train")
    assert digests(cut, "vocabulary", "pairs", "train") == digests(whole, "vocabulary", "pairs", "train")


@pytest.mark.parametrize("n_parts", [2, 5])
def test_run__on_several_files_is_a_run_on_their_text_in_the_order_of_their_digests(n_parts: int, text: Path, tmp_path: Path) -> None:
    lines = text.read_bytes().splitlines(keepends=True)
    for number in range(n_parts):
        name = tmp_path / "parts" / f"{number}.txt"
        name.parent.mkdir(exist_ok=True)
        name.write_bytes(b"".join(lines[number * len(lines) // n_parts : (number + 1) * len(lines) // n_parts]))
    joined = tmp_path / "joined.txt"
    joined.write_bytes(b"".join(path.read_bytes() for path in by_digest(list((tmp_path / "parts").iterdir()))))
    parts = walk(configured(tmp_path / "parts"), tmp_path / "a", InPlace(), "train")
    whole = walk(configured(joined), tmp_path / "b", InPlace(), "train")
    assert digests(parts, "vocabulary", "pairs", "train") == digests(whole, "vocabulary", "pairs", "train")
    assert digests(parts, "snapshot") != digests(whole, "snapshot")


@pytest.mark.parametrize("suffix", [".gz", ".GZ", ".xz", ".zst"])
def test_run__gives_the_same_bytes_from_compressed_text(suffix: str, plain: Run, text: Path, tmp_path: Path) -> None:
    path = tmp_path / f"other.txt{suffix}"
    match suffix.lower():
        case ".gz":
            path.write_bytes(gzip.compress(text.read_bytes()))
        case ".xz":
            path.write_bytes(lzma.compress(text.read_bytes()))
        case ".zst":
            with pa.output_stream(path, compression="zstd") as out:
                out.write(text.read_bytes())
    run = walk(configured(path), tmp_path / "store", InPlace(), "pairs")
    assert digests(run, "tokenize", "vocabulary", "pairs") == digests(plain, "tokenize", "vocabulary", "pairs")


def test_run__with_one_thread_trains_the_same_bytes_twice(plain: Run, text: Path, tmp_path: Path) -> None:
    again = walk(configured(text), tmp_path)  # another store, threads of Dask
    names = [record.step for record in plain.records]
    assert digests(again, *names) == digests(plain, *names)


# --- early cut-off


@pytest.fixture
def parts(text: Path, tmp_path: Path) -> list[Path]:
    """A directory with three files."""
    lines = text.read_text(encoding="utf-8").splitlines(keepends=True)
    paths = [tmp_path / "texts" / f"{number}.txt" for number in range(3)]
    paths[0].parent.mkdir()
    for number, path in enumerate(paths):
        path.write_text("".join(lines[number * 100 : number * 100 + 100]), encoding="utf-8")
    return paths


def test_run__trains_nothing_again_when_the_pairs_come_out_the_same(parts: list[Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    walk(configured(parts[0].parent), store, InPlace())
    cut = walk(configured(parts[0].parent, corpus__shard_mb=0.01), store, InPlace())
    n_shards = len(cut.made["tokenize"])
    assert n_shards > 6
    assert reused(cut) == {
        "snapshot": (0, 1),
        "tokenize": (0, n_shards),
        "vocabulary": (0, 1),
        "pairs": (0, 1),
        "train": (1, 1),
        "evaluate": (1, 1),
    }


@pytest.mark.parametrize(
    ("change", "fresh"),
    [
        ({"train__negatives": 2}, {"train", "evaluate"}),
        ({"pairs__window": 2}, {"pairs", "train", "evaluate"}),
        ({"evaluate__candidates": 100}, {"evaluate"}),
        ({"cluster__threads": 2}, set()),
        ({"phrases__thresholds": [8.0, 2.0]}, {"phrases-2", "vocabulary", "pairs", "train", "evaluate"}),
    ],
    ids=lambda value: ",".join(sorted(value)),
)
def test_run__recomputes_only_what_a_parameter_reaches(
    change: dict[str, object], fresh: set[str], text: Path, tmp_path_factory: pytest.TempPathFactory, with_phrases: Run
) -> None:
    store = with_phrases.store.root
    walk(configured(text, phrases__thresholds=[8.0, 4.0]), store, InPlace())  # evaluated as well
    run = walk(configured(text, **({"phrases__thresholds": [8.0, 4.0]} | change)), store, InPlace())
    assert {record.step for record in run.records if record.n_reused < len(record.keys)} == fresh


def test_run__reads_only_files_that_are_new(parts: list[Path], tmp_path: Path) -> None:
    configuration, store = configured(parts[0].parent), tmp_path / "store"
    parts[2].rename(tmp_path / "later.txt")
    two = walk(configuration, store, InPlace(), "pairs")
    assert reused(two)["tokenize"] == (0, 2)
    (tmp_path / "later.txt").rename(parts[0].parent / "another-name.txt")
    three = walk(configuration, store, InPlace(), "pairs")
    assert reused(three)["tokenize"] == (2, 3)
    assert digests(three, "vocabulary") != digests(two, "vocabulary")
    (parts[0].parent / "another-name.txt").unlink()
    parts[1].rename(parts[1].with_name("renamed.txt"))
    again = walk(configuration, store, InPlace(), "pairs")
    assert all(n_reused == n for n_reused, n in reused(again).values())
    assert digests(again, "pairs") == digests(two, "pairs")


def test_run__on_a_file_that_is_there_twice_tokenizes_it_once_and_counts_it_twice(text: Path, tmp_path: Path) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    for directory, names in ((once, "a"), (twice, "ab")):
        directory.mkdir()
        for name in names:
            (directory / f"{name}.txt").write_bytes(text.read_bytes())
    events: list[Event] = []
    with listening(events.append):
        both = walk(configured(twice), tmp_path / "store", InPlace(), "vocabulary")
    assert [event.n_total for event in events if isinstance(event, StepAdvanced) and event.step == "tokenize"] == [1]
    assert reused(both)["tokenize"] == (0, 2)
    one = walk(configured(once, vocabulary__min_count=2), tmp_path / "store", InPlace(), "vocabulary")
    two = walk(configured(twice, vocabulary__min_count=4), tmp_path / "store", InPlace(), "vocabulary")
    tables = [read_table(run.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY).to_pylist() for run in (one, two)]
    assert tables[1] == [row | {"count": 2 * row["count"]} for row in tables[0]]


def test_run__tells_two_files_from_one_that_is_cut_where_the_first_of_them_ends(text: Path, tmp_path: Path) -> None:
    lines = text.read_bytes().splitlines(keepends=True)
    parts = [tmp_path / "parts" / name for name in ("a.txt", "b.txt")]
    parts[0].parent.mkdir()
    for path, content in zip(parts, (lines[:1], lines[1:2]), strict=True):
        path.write_bytes(b"".join(content))
    parts = by_digest(parts)
    joined = tmp_path / "joined.txt"
    joined.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    tiny = {"vocabulary__min_count": 1, "corpus__shard_mb": parts[0].stat().st_size / 1e6}
    two = walk(configured(*parts, **tiny), tmp_path / "store", InPlace(), "pairs")
    one = walk(configured(joined, **tiny), tmp_path / "store", InPlace(), "pairs")
    assert reused(one) == {"snapshot": (0, 1), "tokenize": (2, 2), "vocabulary": (1, 1), "pairs": (1, 1)}
    assert digests(one, "snapshot") != digests(two, "snapshot")


# --- a run's events, record and errors


def test_run__tells_what_it_does_while_it_does_it(text: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    with listening(events.append):
        run = walk(configured(text, corpus__shard_mb=0.04, phrases__thresholds=[8.0]), tmp_path, InPlace())
        walk(configured(text, corpus__shard_mb=0.04, phrases__thresholds=[8.0]), tmp_path, InPlace())
    names = [step.name for step in run.steps]
    assert [event.step for event in events if isinstance(event, StepStarted)] == names
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert [(event.step, event.reused) for event in finished] == [(name, again) for again in (False, True) for name in names]
    assert [event.summary for event in finished[:7]] == [event.summary for event in finished[7:]]
    for name in ("tokenize", "phrases-1", "pairs", "train"):
        advanced = [(event.n_done, event.n_total) for event in events if isinstance(event, StepAdvanced) and event.step == name]
        assert advanced == sorted(advanced)
        assert advanced[-1][0] == advanced[-1][1]


def test_finish__leaves_a_record_with_everything_that_was_used(plain: Run, text: Path) -> None:
    record = plain.finish("a test")
    assert plain.store.records(RUNS)[-1] == json.loads(json.dumps(record))
    assert Configuration.model_validate(record["configuration"]) == plain.configuration
    assert [(source["path"], source["start"], source["stop"]) for source in record["sources"]] == [(str(text), 0, text.stat().st_size)]
    for step in record["steps"]:
        (artifact,) = plain.made[step["step"]]
        assert (step["keys"], step["digests"]) == ((artifact.manifest.key,), (artifact.manifest.digest,))
        assert step["size_bytes"] == sum(path.stat().st_size for path in artifact.directory.rglob("*.parquet"))
    assert record["scores"].keys() == {"wordsim353"}
    assert (record["started_by"], record["host"], record["user"]) == ("a test", socket.gethostname(), getpass.getuser())
    times = [record["started"], *(step[end] for step in record["steps"] for end in ("started", "ended")), record["ended"]]
    assert all(time.endswith("+00:00") for time in times)
    assert times == sorted(times)
    for whole in (record, *record["steps"]):
        lasted = datetime.fromisoformat(whole["ended"]) - datetime.fromisoformat(whole["started"])
        assert lasted.total_seconds() == pytest.approx(whole["elapsed_s"], abs=2)  # the start of a run is in whole seconds


def test_run__keeps_finished_steps_when_a_later_one_fails(text: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="min_count drops every word"):
        walk(configured(text, vocabulary__min_count=10**6), tmp_path, InPlace())
    again = walk(configured(text), tmp_path, InPlace(), "vocabulary")
    assert reused(again) == {"snapshot": (1, 1), "tokenize": (1, 1), "vocabulary": (0, 1)}
    assert list(tmp_path.glob("*/.*")) == []


def test_run__that_is_refused_holds_nothing(text: Path, tmp_path: Path) -> None:
    """An error keeps what it came from alive for as long as somebody keeps the error."""
    with pytest.raises(InputError) as caught:
        Run(configured(text.with_name("nowhere.txt")), Store(tmp_path), InPlace())
    with alone(tmp_path, 0.0):
        assert "nowhere.txt" in str(caught.value)


@pytest.mark.parametrize("processes", [0, 1])
def test_run__names_the_file_that_is_no_text_wherever_it_is_read(processes: int, text: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"good line\n" * 50 + b"\xff\xfe\n")
    with pytest.raises(InputError) as caught:
        walk(configured(text, bad, cluster__processes=processes, corpus__broken="fail"), tmp_path / "store")
    assert caught.value.details["where"] == f"{bad}, byte 500"


def test_evaluate_model__is_kept_and_scores_without_training(plain: Run) -> None:
    vectors = plain.made["train"][0]
    settings = configured(evaluate__similarity=["simlex999"])
    first = evaluate_model(plain.store, vectors, settings)
    assert evaluate_model(plain.store, vectors, settings) == first
    assert [tally.unit for tally in first.manifest.tallies] == ["pairs of simlex999"]
