"""Whole runs over text in every format, broken in every way: the sentences of the reference, counted, checked and shown."""

import io
import itertools
import random
import re
import shutil
import uuid
from collections import Counter
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from flows.showing import broken_records, show_run
from pipeline.choices import Format
from pipeline.errors import InputError
from pipeline.lineage.runs import newest_run
from pipeline.quarantine import read_quarantine
from pipeline.reasons import LeftOut, Reason
from pipeline.run import Run
from pipeline.storage.schemas import QUARANTINE, QUARANTINE_FILE, SHARDS
from pipeline.storage.tables import read_table
from pipeline.words.text import shards_of
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk
from tests.pipeline.sources.written import COMPRESS, json_lines, packed, table, write, write_parquet
from tests.reference import sources as reference
from tests.reference import tokens as reference_tokens


def sentences(run: Run) -> list[list[str]]:
    """All sentences of a run, as words."""
    found = []
    for shard in shards_of(run.made["tokenize"]):
        tokens = shard.lexicon()["token"].to_pylist()
        for text in shard.sentences():
            found += [
                [tokens[code] for code in text.codes[first:last]] for first, last in zip(text.offsets, text.offsets[1:], strict=False)
            ]
    return found


def expected_sentences(paragraphs: list[str]) -> list[list[str]]:
    """What the reference makes of paragraphs."""
    return reference_tokens.read_text("\n".join(paragraphs), True, False)[0]


WORDS = ["Haus", "über", "한국", "don't", "x\r\ny", "z\rz", "", ".", "a\nb", "\u2028"]
PIECES = st.lists(st.sampled_from([word.encode() for word in WORDS] + [b"\xff", b"\0", b"\xe2\x82"]), max_size=6).map(b" ".join)
RECORDS = st.lists(PIECES, min_size=1, max_size=15)
FILES = st.tuples(RECORDS, st.sampled_from(["txt", "jsonl", "parquet"]), st.sampled_from(["", ".gz", ".zst"]))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(FILES, min_size=1, max_size=3), st.sampled_from([1e-5, 1e-4, 1.0]), st.sampled_from(["skip", "replace"]))
def test_run__on_random_files_of_any_format_gives_the_sentences_of_the_reference(tmp_path, files, shard_mb, broken):
    mend = broken == "replace"
    directory = tmp_path / uuid.uuid4().hex
    expected: Counter[tuple[str, ...]] = Counter()
    n_broken = 0
    for number, (records, format_, suffix) in enumerate(files):
        name = directory / f"{number}.{format_}{suffix if format_ != 'parquet' else ''}"
        if format_ == "parquet":
            name.parent.mkdir(parents=True, exist_ok=True)
            write_parquet(name, records, "binary", row_group_size=4)
            texts = [reference.decoded(record, mend) for record in records]
            paragraphs = [paragraph for text in texts if text is not None for paragraph in reference.paragraphs(text)]
            n_bad = sum(reference.decoded(record, False) is None for record in records)
        else:
            lines = [b'{"text": "' + record.replace(b"\n", b"\\n").replace(b"\r", b"\\r") + b'"}' for record in records]
            data = b"\n".join(lines if format_ == "jsonl" else records)
            write(name, packed(data, suffix))
            read = reference.read_json_lines if format_ == "jsonl" else reference.read_text
            options = ("text", 1 << 24) if format_ == "jsonl" else (1 << 24,)
            paragraphs, n_bad = read(data, *options, mend)
        expected.update(map(tuple, expected_sentences(paragraphs)))
        n_broken += n_bad
    if not any(path.stat().st_size for path in directory.iterdir()):
        return
    configuration = configured(directory, corpus__shard_mb=shard_mb, corpus__broken=broken, corpus__max_broken=1.0)
    run = walk(configuration, directory / "store", InPlace(), "tokenize")
    assert Counter(map(tuple, sentences(run))) == expected
    assert sum(artifact.manifest.measures["broken"] for artifact in run.made["tokenize"]) == n_broken


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """Some real paragraphs, without their line feeds."""
    return [line.rstrip("\n") for line in sample_lines(120)]


def test_run__gives_the_same_text_from_every_format(lines: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "texts"
    write(directory / "a.txt", "".join(line + "\n" for line in lines).encode())
    write(directory / "b.jsonl", json_lines(lines))
    write(directory / "c.csv.bz2", packed(table(lines), ".bz2"))
    write(directory / "d.tsv", table([line.replace("\t", " ") for line in lines], "\t"))
    write(directory / "e.jsonl.xz", packed(json_lines(["\n".join(lines[:60]), "\n".join(lines[60:])]), ".xz"))
    write_parquet(directory / "f.parquet", lines, row_group_size=40)
    runs = [walk(configured(path), tmp_path / "store", InPlace(), "pairs") for path in sorted(directory.iterdir())]
    assert len({tuple(digests(run, "pairs")) for run in runs}) == 1
    assert len({tuple(digests(run, "snapshot")) for run in runs}) == 6
    mixed = walk(configured(directory, corpus__shard_mb=0.01), tmp_path / "store", InPlace(), "tokenize")
    assert Counter(map(tuple, sentences(mixed))) == Counter(
        {sentence: 6 * n for sentence, n in Counter(map(tuple, sentences(runs[0]))).items()}
    )


def texts_of(lines: list[str], name: str) -> bytes:
    """The lines as a file of this name has them."""
    match name.split(".")[1]:
        case "txt":
            data = "".join(line + "\n" for line in lines).encode()
        case "jsonl":
            data = json_lines(lines)
        case "csv":
            data = table(lines)
        case _:
            data = table([line.replace("\t", " ") for line in lines], "\t")
    return packed(data, Path(name).suffix)


PLAIN = ("a.txt", "a.jsonl", "a.csv", "a.tsv")
CODECS = ("none", "snappy", "gzip", "zstd")


def test_run__reads_every_format_with_every_compression(lines: list[str], tmp_path: Path) -> None:
    """By its name, as one file, by a glob and in a directory, where only the names of .txt and the like count."""
    names = [f"{number}{name[1:]}{suffix}" for number, (name, suffix) in enumerate(itertools.product(PLAIN, ("", *COMPRESS)))]
    for name in names:
        write(tmp_path / "texts" / name, texts_of(lines, name))
    for codec in CODECS:
        write_parquet(tmp_path / "texts" / f"{codec}.parquet", lines, compression=codec)
    write(tmp_path / "texts" / "README.md", b"no text of the corpus\n")
    paths = sorted(path for path in (tmp_path / "texts").iterdir() if path.suffix != ".md")
    runs = [walk(configured(path), tmp_path / "store", InPlace(), "tokenize") for path in paths]
    assert len(runs) == 24
    assert len({file.sha256 for run in runs for file in run.made["tokenize"][0].files("sentences")}) == 1
    assert len({file.sha256 for run in runs for file in run.made["tokenize"][0].files("lexicon")}) == 1
    together = [
        walk(configured(*some), tmp_path / "store", InPlace(), "vocabulary")
        for some in (
            [tmp_path / "texts"],
            [*paths],
            [tmp_path / "texts" / "[0-9]*", tmp_path / "texts" / "*.parquet"],
            [tmp_path / "texts", *paths[::-1], tmp_path / "*" / "*.txt"],
        )
    ]
    assert len({tuple(digests(run, "snapshot", "tokenize", "vocabulary")) for run in together}) == 1
    assert all(run.records[1].n_reused == 24 for run in together)


def test_run__reads_text_at_a_url_like_the_same_text_here(lines: list[str], tmp_path: Path) -> None:
    url, data = f"memory://{uuid.uuid4().hex}/deep/text.jsonl.gz", packed(json_lines(lines), ".gz")
    with fsspec.open(url, "wb") as file:
        file.write(data)
    here = walk(configured(write(tmp_path / "text.jsonl.gz", data)), tmp_path / "store", InPlace())
    there = walk(configured(url), tmp_path / "store", InPlace())
    assert all(record.n_reused == len(record.keys) for record in there.records)
    assert here.finish("a test")["sources"][0]["path"] == str(tmp_path / "text.jsonl.gz")
    assert there.finish("a test")["sources"][0]["path"] == url


# --- broken text


def spoilt(lines: list[str], n_broken: int, seed: int = 1) -> bytes:
    """Text in which so many lines are Latin-1."""
    chosen = set(random.Random(seed).sample(range(len(lines)), n_broken))
    return b"".join(
        f"{line[:9]}é{line[9:]}\n".encode("latin-1", "replace") if n in chosen else (line + "\n").encode() for n, line in enumerate(lines)
    )


def test_run__skips_broken_lines_as_if_they_were_not_there(lines: list[str], tmp_path: Path) -> None:
    """To the byte: what the tokenizer saw of a broken line before its defect leaves no trace."""
    data = spoilt(lines, 9)
    path = write(tmp_path / "bad.txt", b"\xef\xbb\xbf" + data)
    sound = b"".join(line for line in data.splitlines(keepends=True) if reference.decoded(line, False) is not None)
    clean = walk(configured(write(tmp_path / "good.txt", sound)), tmp_path / "store", InPlace(), "vocabulary")
    run = walk(configured(path, corpus__max_broken=0.5), tmp_path / "store", InPlace(), "vocabulary")
    (artifact,), (other,) = run.made["tokenize"], clean.made["tokenize"]
    files = {file.name: file for file in artifact.manifest.files}
    quarantine = files.pop(QUARANTINE_FILE)
    assert list(files.values()) == list(other.manifest.files)
    assert digests(run, "vocabulary") == digests(clean, "vocabulary")
    rows = read_table(artifact.path(quarantine.name), QUARANTINE).to_pylist()
    whole = path.read_bytes()
    for row in rows:
        line = whole[row["offset"] : row["offset"] + row["bytes"]]
        assert (line.endswith(b"\n"), whole[row["offset"] - 1 : row["offset"]]) == (True, b"\n" if row["offset"] > 3 else b"\xbf")
        assert line[: row["at"] - row["offset"]].decode() == lines[whole.count(b"\n", 0, row["offset"])][:9]
        assert whole[row["at"]] == 0xE9
    assert len(rows) == 9
    tallies = {tally.unit: tally for tally in artifact.manifest.tallies}
    assert tallies["bytes"].n_in == len(whole)
    assert tallies["bytes"].n_kept == len(sound)
    assert tallies["bytes"].dropped["byte order mark"] == 3
    assert (tallies["lines"].n_in, tallies["lines"].dropped) == (120, {"not UTF-8": 9})


def test_run__mends_broken_lines_when_asked_to(lines: list[str], tmp_path: Path) -> None:
    data = spoilt(lines, 9)
    path = write(tmp_path / "bad.txt", data)
    run = walk(configured(path, corpus__broken="replace", corpus__max_broken=0.5), tmp_path / "store", InPlace(), "tokenize")
    assert sentences(run) == expected_sentences(data.decode("utf-8", "replace").split("\n")[:-1])
    (artifact,) = run.made["tokenize"]
    assert [defect.kept for defect in read_quarantine(artifact)] == [True] * 9
    tallies = {tally.unit: tally for tally in artifact.manifest.tallies}
    assert (tallies["bytes"].n_in, tallies["bytes"].n_kept) == (len(data), len(data))
    assert (tallies["lines"].n_kept, artifact.manifest.measures["broken"]) == (120, 9)


def test_run__fails_when_too_much_is_broken_and_again_when_all_is_in_the_store(lines: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "texts"
    write(directory / "good.txt", "".join(line + "\n" for line in lines * 2).encode())
    write(directory / "bad.txt", spoilt(lines, 6))
    write(directory / "odd.jsonl", b'{"text": "good"}\n{"body": "x"}\n')
    options = {"corpus__shard_mb": 0.01}
    for _ in range(2):
        with pytest.raises(InputError, match="is not UTF-8") as caught:
            walk(configured(directory, **options), tmp_path / "store", InPlace())
        details = caught.value.details
        assert details["where"].startswith(f"{directory}/bad.txt, byte ")
        at = int(details["where"].split()[-1])
        assert (directory / "bad.txt").read_bytes()[at] == 0xE9
        assert "of 362 records of the corpus 7 are broken, 6 of them in this file" in details["got"]
        assert "1.00%" in details["expected"]
        assert "iconv" in details["remedy"]
        assert "corpus.max_broken" in details["remedy"]
    run = walk(configured(directory, corpus__max_broken=0.02, **options), tmp_path / "store", InPlace(), "vocabulary")
    assert run.records[1].n_reused == len(run.records[1].keys) > 3
    with pytest.raises(InputError, match=r"is not UTF-8|has not the column") as caught:
        walk(configured(directory, corpus__broken="fail", **options), tmp_path / "store", InPlace())
    assert "records" not in caught.value.details["got"]


def test_run__fails_when_one_broken_record_is_much_of_the_text(lines: list[str], tmp_path: Path) -> None:
    text = "".join(line + "\n" for line in lines).encode()
    path = tmp_path / "a.txt"
    path.write_bytes(text + b"x" * 12_000 + b"\n" + text)
    options = {"corpus__max_line_mb": 0.01}
    with pytest.raises(InputError, match="too long") as caught:
        walk(configured(path, **options), tmp_path / "store", InPlace(), "tokenize")
    assert "bytes of text of the corpus" in caught.value.details["got"]
    assert "in all bytes of text but 1.00%" in caught.value.details["expected"]
    walk(configured(path, corpus__max_broken=0.2, **options), tmp_path / "store", InPlace(), "tokenize")


def test_run__knows_formats_by_the_names_of_files_and_not_of_directories(lines: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "who? #1"
    write(directory / "a?.jsonl", json_lines(lines))
    write(tmp_path / "a.jsonl", json_lines(lines))
    odd, plain = (walk(configured(path), tmp_path / "store", InPlace(), "tokenize") for path in (directory, tmp_path / "a.jsonl"))
    assert digests(odd, "tokenize") == digests(plain, "tokenize")
    assert [shard.format for shard in odd.observed.shards] == [Format.JSONL]


def test_run__tells_of_a_corpus_that_is_no_text_at_all(tmp_path: Path) -> None:
    for data, what in (
        ("Grüße aus Köln\n".encode("utf-16"), "UTF-16"),
        (b"\x7fELF\x02\x01\x01\x00\x00\x00" * 1000, "NUL bytes"),
        (b"x" * 1_000_001, "too long"),
    ):
        path = write(tmp_path / "odd.txt", data)
        with pytest.raises(InputError, match=what) as caught:
            walk(configured(path, corpus__max_line_mb=1.0), tmp_path / "store", InPlace())
        assert all(caught.value.details.values())
        assert caught.value.details["where"].startswith(f"{path}, byte ")


def shown_run(run: Run) -> str:
    out, unusable = io.StringIO(), []
    show_run(run.store, newest_run(run.store), Console(file=out, width=250), None, unusable.append)
    assert unusable == []
    return out.getvalue()


@pytest.mark.parametrize("first", [0, 40])
def test_show__tells_what_was_broken_and_where(first: int, lines: list[str], tmp_path: Path) -> None:
    data = ("".join(line + "\n" for line in lines)).encode() + spoilt(lines, 30)[first:]
    path = write(tmp_path / "bad.txt", data)
    run = walk(configured(path, corpus__max_broken=0.5, corpus__shard_mb=0.01), tmp_path / "store", InPlace())
    run.finish("a test")
    shown = shown_run(run)
    n_broken = sum(artifact.manifest.measures["broken"] for artifact in run.made["tokenize"])
    assert n_broken in (29, 30)
    assert re.search(rf"tokenize +lines +not UTF-8 +{n_broken}\b", shown)
    assert f"and {n_broken - 20} more: corpus2vec show" in shown
    every = broken_records(run.store, newest_run(run.store), pytest.fail)
    assert sum(record["records"] for record in every) == n_broken
    assert all(record["file"] == str(path) and data[record["at"]] == 0xE9 for record in every)
    shutil.rmtree(run.made["tokenize"][0].directory)
    assert broken_records(run.store, newest_run(run.store), pytest.fail) is None
    rows = [line.split() for line in shown.splitlines() if line.startswith(str(path))]
    assert len(rows) == 20
    for row in rows:
        assert data[int(row[1].replace(",", ""))] == 0xE9


def test_show__accounts_for_all_that_was_left_out_in_the_same_words(lines: list[str], tmp_path: Path) -> None:
    write(tmp_path / "texts" / "bad.txt", b"\xef\xbb\xbf" + spoilt(lines, 9) + b"the\n")
    write(tmp_path / "texts" / "a.jsonl.gz", packed(json_lines(lines) + b'\n{"text": null}\n{"text": 1}\n', ".gz"))
    write(tmp_path / "texts" / "b.csv", table(lines))
    write(tmp_path / "texts" / "c.txt")
    write(tmp_path / "texts" / "d.txt", b"")
    write(tmp_path / "texts" / "e.pdf", b"no text")
    (tmp_path / "texts" / "link.txt").symlink_to("c.txt")
    options = {"tokenize__stop_words": ["the", "of"], "tokenize__min_sentence_tokens": 5, "corpus__max_broken": 0.5}
    run = walk(configured(tmp_path / "texts", **options), tmp_path / "store", InPlace())
    run.finish("a test")
    cells = [[cell for cell in line.split("  ") if cell.strip()] for line in shown_run(run).splitlines()]
    shown = {
        tuple(cell.strip() for cell in row[:3]): int(row[3].replace(",", ""))
        for row in cells
        if len(row) == 4 and row[0].strip() in (*run.made, "corpus")
    }
    found = {names[1:]: shown.pop(names) for names in list(shown) if names[0] == "corpus"}
    assert {name: n for (_, name), n in found.items()} == {"in": 7, "kept": 5, LeftOut.OTHER_SUFFIX: 1, LeftOut.SAME_FILE: 1}
    expected: Counter[tuple[str, str, str]] = Counter()
    for step, artifacts in run.made.items():
        for artifact in artifacts:
            for tally in artifact.manifest.tallies:
                expected.update({(step, tally.unit, "in"): tally.n_in, (step, tally.unit, "kept"): tally.n_kept})
                expected.update({(step, tally.unit, str(reason)): n for reason, n in tally.dropped.items()})
    assert shown == dict(expected)
    for unit, reason in (
        ("bytes", LeftOut.MARK),
        ("lines", Reason.NOT_UTF8),
        ("documents", LeftOut.EMPTY_LINE),
        ("documents", LeftOut.NULL),
        ("documents", LeftOut.HEADER),
        ("documents", Reason.NOT_TEXT),
        ("sentences", LeftOut.WORDLESS),
        ("sentences", LeftOut.TOO_SHORT),
        ("tokens", LeftOut.STOP_WORD),
        ("tokens", LeftOut.IN_TOO_SHORT),
    ):
        assert shown["tokenize", unit, reason] > 0
    assert shown["snapshot", "files", "empty"] == 1


def test_snapshot__counts_empty_files_and_knows_formats_and_columns(tmp_path: Path) -> None:
    for name, data in (
        ("a.txt", b"some text here\n"),
        ("b.jsonl.gz", packed(b'{"body": "more text"}\n', ".gz")),
        ("c.txt", b""),
        ("d.csv", b""),
    ):
        write(tmp_path / "texts" / name, data)
    run = walk(configured(tmp_path / "texts", corpus__column="body"), tmp_path / "store", InPlace(), "tokenize")
    (artifact,) = run.made["snapshot"]
    tallies = {tally.unit: tally for tally in artifact.manifest.tallies}
    assert (tallies["files"].n_in, tallies["files"].n_kept, dict(tallies["files"].dropped)) == (4, 2, {"empty": 2})
    rows = read_table(artifact.path("shards.parquet"), SHARDS).to_pylist()
    assert {(row["format"], row["compression"], row["column"]) for row in rows} == {("text", "", ""), ("jsonl", ".gz", "body")}
    (tmp_path / "texts" / "c.txt").unlink()
    again = walk(configured(tmp_path / "texts", corpus__column="body"), tmp_path / "store", InPlace(), "tokenize")
    assert [record.n_reused for record in again.records] == [0, 2]


def test_run__tokenizes_nothing_again_when_files_move_or_shards_are_found_in_other_files(lines: list[str], tmp_path: Path) -> None:
    directory = tmp_path / "texts"
    write(directory / "a.jsonl", json_lines(lines))
    write_parquet(directory / "b.parquet", lines, row_group_size=40)
    first = walk(configured(directory, corpus__shard_mb=0.01), tmp_path / "store", InPlace(), "tokenize")
    (directory / "a.jsonl").rename(directory / "z.ndjson")
    (tmp_path / "other").mkdir()
    (directory / "b.parquet").rename(tmp_path / "other" / "c.parquet")
    moved = walk(configured(tmp_path / "other", directory, corpus__shard_mb=0.01), tmp_path / "store", InPlace(), "tokenize")
    assert all(record.n_reused == len(record.keys) for record in moved.records)
    assert digests(moved, "tokenize") == digests(first, "tokenize")
    other = walk(configured(directory, corpus__shard_mb=0.01, corpus__column="id"), tmp_path / "store", InPlace(), "snapshot")
    assert other.records[0].n_reused == 0
