"""Every kind of broken input with every policy, through whole runs: what is kept, what is in quarantine, and that everything adds up."""

import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.quarantine import read_quarantine
from pipeline.reasons import LeftOut, Reason
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.pipeline.small_runs import configured, walk
from tests.pipeline.sources.written import COMPRESS, json_lines, packed, table, write, write_parquet
from tests.pipeline.test_inputs import expected_sentences, sentences

POLICIES = ("fail", "replace", "skip")
SOUND = ["sound words stand in every line of this file"] * 30
MARK = b"\xef\xbb\xbf"
LONG = [f"line {number} of an archive" for number in range(3000)]


@dataclass(frozen=True)
class Case:
    """A file and what is to come of it."""

    name: str
    data: bytes
    reason: Reason | None = None  # why something is broken in it
    skipped: tuple[str, ...] = ()  # its lines that are kept when what is broken is skipped
    mended: tuple[str, ...] = ()  # more of them when what is broken is mended


def parquet(texts: list[object], kind: str, column: str = "text") -> bytes:
    """A file as bytes."""
    file = io.BytesIO()
    write_parquet(file, texts, kind, column)
    return file.getvalue()


def rows_of(*rows: list[object]) -> bytes:
    """A table with a header."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


CASES = {
    "invalid UTF-8": Case("a.txt", b"one two\nthr\xffee four\nfive six\n", Reason.NOT_UTF8, ("one two", "five six"), ("thr ee four",)),
    "NUL bytes": Case("a.txt", b"one two\nthr\0ee four\nfive six\n", Reason.NUL, ("one two", "five six"), ("thr ee four",)),
    "UTF-16": Case("a.txt", "aä bc".encode("utf-16-le"), Reason.UTF16, (), ("a b c",)),
    "a long line": Case("a.txt", b"one two\n" + b"word " * 30_000 + b"\nthree\n", Reason.TOO_LONG, ("one two", "three")),
    "a long document": Case("a.jsonl", json_lines(["one two", "word " * 30_000, "three"]), Reason.TOO_LONG, ("one two", "three")),
    "a long row": Case("a.csv", rows_of(["text"], ["one"], ["word " * 30_000], ["two"]), Reason.TOO_LONG, ("one", "two")),
    "a long value": Case("a.parquet", parquet(["one", "word " * 30_000, "two"], "string"), Reason.TOO_LONG, ("one", "two")),
    "an empty file": Case("a.txt", b""),
    "an empty document": Case("a.jsonl", json_lines(["", "one"]), None, ("", "one")),
    "mixed line ends": Case("a.txt", b"one\r\ntwo\rthree\n\r\nfour\n\rfive", None, ("one", "two", "three", "", "four", "", "five")),
    "a mark": Case("a.txt", MARK + b"one two\n", None, ("one two",)),
    "a mark in front of JSON": Case("a.jsonl", MARK + b'{"text": "one two"}\n', None, ("one two",)),
    "a mark in front of a header": Case("a.csv", MARK + b"text\r\none two\r\n", None, ("one two",)),
    "no such key": Case("a.jsonl", b'{"text": "one"}\n{"body": "two"}\n', Reason.NO_COLUMN, ("one",)),
    "no such column": Case("a.csv", rows_of(["id", "body"], [1, "one"]), Reason.NO_COLUMN),
    "no such column, TSV": Case("a.tsv", b"id\tbody\n1\tone\n", Reason.NO_COLUMN),
    "no such column, Parquet": Case("a.parquet", parquet(["one"], "string", "body"), Reason.NO_COLUMN),
    "numbers": Case("a.parquet", parquet([1, 2], "int64"), Reason.NOT_TEXT),
    "no JSON": Case("a.jsonl", b'{"text": "one"}\n{"text": two}\n', Reason.NOT_JSON, ("one",)),
    "an open quote": Case("a.csv", rows_of(["text"], ["one"]) + b'"two\n', Reason.NOT_CSV, ("one",)),
    "rows of Latin-1": Case("a.tsv", b"text\none\ngr\xfcn\n", Reason.NOT_UTF8, ("one",), ("gr n",)),
    "documents of Latin-1": Case("a.jsonl", b'{"text": "one"}\n{"text": "gr\xfcn"}\n', Reason.NOT_UTF8, ("one",), ("gr n",)),
    "values of Latin-1": Case("a.parquet", parquet([b"one", b"gr\xfcn"], "binary"), Reason.NOT_UTF8, ("one",), ("gr n",)),
    "no Parquet": Case("a.parquet", b"PAR1 and then nothing", Reason.DAMAGED),
    **{f"an empty {suffix}": Case(f"a.txt{suffix}", packed(b"", suffix)) for suffix in COMPRESS},
    **{f"no {suffix}": Case(f"a.txt{suffix}", b"no archive at all", Reason.DAMAGED) for suffix in COMPRESS},
    **{
        f"invalid UTF-8 in {suffix}": Case(
            f"a.txt{suffix}", packed(b"one two\nthr\xffee\n", suffix), Reason.NOT_UTF8, ("one two",), ("thr ee",)
        )
        for suffix in COMPRESS
    },
}


def checked(run: Run, directory: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """What came in and was kept, by step and unit; each step hands on what the next takes in."""
    totals: dict[tuple[str, str], tuple[int, int]] = {}
    for step, artifacts in run.made.items():
        for artifact in artifacts:
            for tally in artifact.manifest.tallies:
                assert tally.n_in == tally.n_kept + sum(tally.dropped.values())
                assert step != "tokenize" or set(tally.dropped) <= {*Reason, *LeftOut}
                n_in, n_kept = totals.get((step, tally.unit), (0, 0))
                totals[step, tally.unit] = (n_in + tally.n_in, n_kept + tally.n_kept)
    files = [path for path in directory.iterdir() if path.is_file()]
    n_bytes = sum(path.stat().st_size for path in files)
    assert totals["snapshot", "files"] == (len(files), sum(path.stat().st_size > 0 for path in files))
    assert totals["snapshot", "bytes"] == (n_bytes, n_bytes)
    plain = sum(path.stat().st_size for path in files if path.suffix not in (*COMPRESS, ".parquet"))
    unpacked = totals["tokenize", "bytes"][0] - sum(
        tally.n_in
        for artifact in run.made["tokenize"]
        if "bytes on disk" in {tally.unit for tally in artifact.manifest.tallies}
        for tally in artifact.manifest.tallies
        if tally.unit == "bytes"
    )
    assert (plain, n_bytes - plain) == (unpacked, totals.get(("tokenize", "bytes on disk"), (0, 0))[0])
    # Every line that was kept is a sentence, and has tokens or is counted without.
    assert totals["tokenize", "sentences"][0] == totals["tokenize", "lines"][1]
    assert totals["tokenize", "sentences"][1] == len(sentences(run))
    assert totals["tokenize", "tokens"][1] == totals["vocabulary", "tokens"][0] == sum(map(len, sentences(run)))
    assert totals["pairs", "tokens"][0] == totals["vocabulary", "tokens"][0] * run.configuration.pairs.epochs
    assert totals["pairs", "tokens"][1] == run.made["pairs"][0].manifest.measures["centres"]
    return totals


def quarantined(run: Run) -> list[Reason]:
    """Why records are in quarantine."""
    return [defect.reason for artifact in run.made["tokenize"] for defect in read_quarantine(artifact)]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_run__treats_what_is_broken_as_its_policy_says(case: Case, policy: str, tmp_path: Path) -> None:
    directory = tmp_path / "texts"
    write(directory / "sound.txt", "".join(line + "\n" for line in SOUND).encode())
    path = write(directory / case.name, case.data)
    options = {"corpus__max_broken": 1.0, "corpus__max_line_mb": 0.1, "pairs__subsample": 0}
    configuration = configured(directory, corpus__broken=policy, **options)
    if policy == "fail" and case.reason:
        with pytest.raises(InputError) as caught:
            walk(configuration, tmp_path / "store", InPlace(), "tokenize")
        assert caught.value.details["where"].startswith(str(path))
        assert caught.value.details["remedy"]
        return
    run = walk(configuration, tmp_path / "store", InPlace(), "pairs")
    lines = [*SOUND, *case.skipped, *(case.mended if policy == "replace" else ())]
    assert Counter(map(tuple, sentences(run))) == Counter(map(tuple, expected_sentences(lines)))
    assert set(quarantined(run)) == ({case.reason} if case.reason else set())
    n_on_disk, n_kept = checked(run, directory).get(("tokenize", "bytes on disk"), (0, 0))
    gives_nothing = case.reason in (Reason.NO_COLUMN, Reason.NOT_TEXT, Reason.DAMAGED)
    assert n_kept == (0 if gives_nothing else n_on_disk)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("suffix", COMPRESS)
def test_run__keeps_the_lines_of_a_truncated_archive_unless_it_shall_fail(suffix: str, policy: str, tmp_path: Path) -> None:
    data = packed("".join(line + "\n" for line in LONG).encode(), suffix)
    path = write(tmp_path / "texts" / f"a.txt{suffix}", data[: int(0.9 * len(data))])
    write(tmp_path / "texts" / "sound.txt", "".join(line + "\n" for line in SOUND).encode())
    configuration = configured(tmp_path / "texts", corpus__broken=policy, corpus__max_broken=0.1)
    if policy == "fail":
        with pytest.raises(InputError, match="truncated") as caught:
            walk(configuration, tmp_path / "store", InPlace(), "tokenize")
        assert caught.value.details["where"].startswith(f"{path}, byte ")
        return
    run = walk(configuration, tmp_path / "store", InPlace(), "pairs")
    found = Counter(map(tuple, sentences(run))) - Counter(map(tuple, expected_sentences(SOUND)))
    assert set(found) == set(map(tuple, expected_sentences(LONG[: len(found)])))
    assert quarantined(run) == [Reason.TRUNCATED]
    checked(run, tmp_path / "texts")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("suffix", ["", ".gz", ".parquet"])
def test_run__of_a_file_that_changes_fails_whatever_the_policy(suffix: str, policy: str, tmp_path: Path) -> None:
    """Its key would stand for other text."""
    path = tmp_path / "texts" / ("a.parquet" if suffix == ".parquet" else f"a.txt{suffix}")
    for texts in (["before"] * 9, ["behind"] * 9):
        path.parent.mkdir(exist_ok=True)
        if suffix == ".parquet":
            write_parquet(path, texts)
        else:
            write(path, packed("\n".join(texts).encode(), suffix))
        if texts[0] == "before":
            run = Run(configured(path, corpus__broken=policy, corpus__max_broken=1.0), Store(tmp_path / "store"), InPlace())
    with run:
        run.perform(run.steps[0])
        with pytest.raises(InputError, match=r"changed while it was used|became shorter") as caught:
            run.perform(run.steps[1])
    assert caught.value.details["where"] == str(path)
    assert not run.store.artifacts("tokenize")


@pytest.mark.parametrize("policy", ["replace", "skip"])
@pytest.mark.parametrize("suffix", COMPRESS)
def test_run__fails_when_damaged_files_lose_too_many_bytes(suffix: str, policy: str, tmp_path: Path) -> None:
    """As records they are one each, among thousands."""
    write(tmp_path / "texts" / "sound.txt", "".join(line + "\n" for line in LONG).encode())
    path = write(tmp_path / "texts" / f"odd.txt{suffix}", b"no archive at all, but some bytes\n" * 30)
    n_bytes = sum(path.stat().st_size for path in (tmp_path / "texts").iterdir())
    configuration = configured(tmp_path / "texts", corpus__broken=policy)
    for _ in range(2):
        with pytest.raises(InputError, match="damaged") as caught:
            walk(configuration, tmp_path / "store", InPlace())
        assert caught.value.details["where"].startswith(f"{path}, byte 0")
        assert f"of {n_bytes:,} bytes on disk of the corpus {path.stat().st_size:,} give nothing" in caught.value.details["got"]
        assert "all bytes on disk but 1.00%" in caught.value.details["expected"]
    run = walk(configured(tmp_path / "texts", corpus__broken=policy, corpus__max_broken=0.05), tmp_path / "store", InPlace(), "pairs")
    assert run.records[1].n_reused == 2
    checked(run, tmp_path / "texts")


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz"])
def test_run__keeps_the_sound_streams_of_an_archive_and_counts_the_bytes_behind(suffix: str, tmp_path: Path) -> None:
    sound = packed("".join(line + "\n" for line in SOUND).encode(), suffix)
    write(tmp_path / "texts" / f"a.txt{suffix}", sound * 2 + b"\0\0\0rubbish")
    run = walk(configured(tmp_path / "texts", corpus__max_broken=0.5), tmp_path / "store", InPlace(), "pairs")
    assert Counter(map(tuple, sentences(run))) == Counter(map(tuple, expected_sentences(SOUND * 2)))
    totals = checked(run, tmp_path / "texts")
    assert totals["tokenize", "bytes on disk"] == (2 * len(sound) + 10, 2 * len(sound) + 3)


def test_run__counts_documents_and_their_lines(tmp_path: Path) -> None:
    texts = ["one two\nthree", "four", "\n", "five\r\nsix seven"] * 5
    write(tmp_path / "texts" / "a.jsonl", json_lines(texts))
    write(tmp_path / "texts" / "b.csv", table(texts))
    write_parquet(tmp_path / "texts" / "c.parquet", texts)
    write(tmp_path / "texts" / "d.txt", b"eight nine\n\n" * 9)
    totals = checked(walk(configured(tmp_path / "texts"), tmp_path / "store", InPlace(), "pairs"), tmp_path / "texts")
    assert totals["tokenize", "documents"] == (61, 60)  # a header
    assert totals["tokenize", "lines"] == (3 * 35 + 18, 3 * 35 + 18)
