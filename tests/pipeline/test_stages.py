"""Every stage by itself: its files are what the manifest says, nothing gets lost, damage is noticed, and odd corpora work."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.errors import ConfigurationError, InputError, StoreError
from pipeline.lineage.verifying.contracts import schema_of
from pipeline.run import Run
from pipeline.storage import schemas
from pipeline.storage.artifact import Artifact
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import (
    PAIRS,
    PHRASES,
    ROUNDS,
    ROUNDS_FILE,
    SECTIONS,
    SECTIONS_FILE,
    SHARDS,
    SIMILARITY,
    SIMILARITY_FILE,
    VECTORS_FILE,
    VOCABULARY,
    VOCABULARY_FILE,
    vectors_schema,
)
from pipeline.storage.store import Store
from pipeline.storage.tables import count_elements, count_rows, read_table
from pipeline.words.text import SENTENCES_FILE, shards_of
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk

STEPS = ["snapshot", "tokenize", "phrases-1", "phrases-2", "vocabulary", "pairs", "train", "evaluate"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run through every stage, with empty lines and a byte order mark in the text. Its store must stay as it is."""
    directory = tmp_path_factory.mktemp("stages")
    (directory / "text.txt").write_text("\ufeff" + "\n\n".join(sample_lines(150)), encoding="utf-8")
    configuration = configured(
        directory / "text.txt",
        corpus__shard_mb=0.03,
        phrases__thresholds=[8.0, 4.0],
        evaluate__analogies=["questions-words"],
        evaluate__similarity=["wordsim353", "simlex999"],
    )
    return walk(configuration, directory / "store", InPlace())


def only(run: Run, step: str) -> Artifact:
    (artifact,) = run.made[step]
    return artifact


@pytest.mark.parametrize("step", STEPS)
def test_stage__writes_what_its_manifest_says(step: str, run: Run) -> None:
    for artifact in run.made[step]:
        on_disk = {str(path.relative_to(artifact.directory)) for path in artifact.directory.rglob("*") if path.is_file()}
        assert on_disk == {file.name for file in artifact.manifest.files} | {"manifest.json"}
        for file in artifact.manifest.files:
            path = artifact.path(file.name)
            assert (file.size_bytes, file.sha256) == (path.stat().st_size, digest_of_file(path))
            assert read_table(path, schema_of(artifact.manifest, file.name)).num_rows == file.n_rows == count_rows(path)


def test_stage__gives_the_same_bytes_twice(run: Run, tmp_path: Path) -> None:
    again = walk(run.configuration, tmp_path, InPlace())
    assert [step.name for step in run.steps] == STEPS
    assert digests(again, *STEPS) == digests(run, *STEPS)


def test_schemas__give_every_column_a_meaning_that_is_written_to_the_file(run: Run) -> None:
    declared = [value for value in vars(schemas).values() if isinstance(value, pa.Schema)] + [vectors_schema(3)]
    assert len(declared) == 14
    for schema in declared:
        for field in schema:
            assert len(field.metadata[b"meaning"]) > 5
            assert not field.nullable
    file = only(run, "vocabulary").path(VOCABULARY_FILE)
    assert pq.read_schema(file).field("token").metadata[b"meaning"] == VOCABULARY.field("token").metadata[b"meaning"]


# --- nothing gets lost: tallies against what the files hold


def test_tokenize__accounts_for_every_byte_line_and_token(run: Run) -> None:
    text = Path(run.configuration.corpus.paths[0]).read_bytes()
    tallies = [{tally.unit: tally for tally in artifact.manifest.tallies} for artifact in run.made["tokenize"]]
    assert len(tallies) > 3
    assert sum(tally["bytes"].n_in for tally in tallies) == len(text)
    assert sum(tally["bytes"].dropped.get("byte order mark", 0) for tally in tallies) == 3
    assert sum(tally["lines"].n_kept for tally in tallies) == text.count(b"\n") + (not text.endswith(b"\n"))
    assert sum(tally["sentences"].n_in for tally in tallies) == text.count(b"\n") + (not text.endswith(b"\n"))
    for artifact, tally in zip(run.made["tokenize"], tallies, strict=True):
        (shard,) = shards_of([artifact])
        lexicon, path = shard.lexicon(), shard.directory / SENTENCES_FILE
        assert tally["sentences"].n_kept == count_rows(path)
        assert artifact.manifest.measures["tokens"] == count_elements(path) == sum(lexicon["count"].to_pylist())
        assert lexicon.num_rows == len(set(lexicon["token"].to_pylist()))
    assert sum(tally["sentences"].dropped["without a token"] for tally in tallies) >= 149


def test_snapshot__accounts_for_every_byte(run: Run) -> None:
    tally, _ = only(run, "snapshot").manifest.tallies
    rows = read_table(only(run, "snapshot").path("shards.parquet"), SHARDS).to_pylist()
    assert tally.n_in == Path(run.configuration.corpus.paths[0]).stat().st_size == sum(row["stop"] - row["start"] for row in rows)
    assert [row["start"] for row in rows[1:]] == [row["stop"] for row in rows[:-1]]


@pytest.mark.parametrize(("step", "before"), [("phrases-1", "tokenize"), ("phrases-2", "phrases-1")])
def test_phrases__accounts_for_every_token(step: str, before: str, run: Run) -> None:
    artifact = only(run, step)
    tally, bigrams = artifact.manifest.tallies
    assert bigrams.n_kept == sum(read_table(artifact.path("phrases.parquet"), PHRASES)["count"].to_pylist())
    shards = shards_of([artifact])
    assert tally.n_in == sum(count_elements(shard.directory / SENTENCES_FILE) for shard in shards_of(run.made[before]))
    assert tally.n_kept == sum(count_elements(shard.directory / SENTENCES_FILE) for shard in shards)
    joined = [
        count * token.count("_")
        for shard in shards
        for token, count in zip(shard.lexicon()["token"].to_pylist(), shard.lexicon()["count"].to_pylist(), strict=True)
    ]
    n_first = only(run, "phrases-1").manifest.tallies[0].n_in
    assert n_first - tally.n_kept == sum(joined) > 0  # words joined so far are the delimiters in the text
    assert artifact.manifest.measures["phrases"] == read_table(artifact.path("phrases.parquet"), PHRASES).num_rows > 0


def test_vocabulary__accounts_for_every_word_and_token(run: Run) -> None:
    tallies = {tally.unit: tally for tally in only(run, "vocabulary").manifest.tallies}
    lexicons = [shard.lexicon() for shard in shards_of(run.made["phrases-2"])]
    seen = {
        token for table in lexicons for token, count in zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True) if count
    }
    table = read_table(only(run, "vocabulary").path(VOCABULARY_FILE), VOCABULARY)
    assert tallies["tokens"].n_in == only(run, "phrases-2").manifest.measures["tokens"]
    assert tallies["tokens"].n_kept == sum(table["count"].to_pylist())
    assert (tallies["words"].n_in, tallies["words"].n_kept) == (len(seen), table.num_rows)
    assert min(table["count"].to_pylist()) == 3


def test_vocabulary__keeps_the_most_frequent_and_accounts_for_the_others(run: Run, tmp_path: Path) -> None:
    paths = [Path(path) for path in run.configuration.corpus.paths]
    plain = walk(configured(*paths), tmp_path, InPlace(), "vocabulary")
    whole = read_table(only(plain, "vocabulary").path(VOCABULARY_FILE), VOCABULARY)
    for most in (2, 100, 10**6):
        limited = walk(configured(*paths, vocabulary__max_vocabulary=most), tmp_path, InPlace(), "vocabulary")
        table = read_table(only(limited, "vocabulary").path(VOCABULARY_FILE), VOCABULARY)
        assert table.equals(whole.slice(0, most))
        tallies = [{tally.unit: tally for tally in only(made, "vocabulary").manifest.tallies} for made in (limited, plain)]
        for unit, beyond in (("words", len(whole) - len(table)), ("tokens", sum(whole["count"].to_pylist()[most:]))):
            assert dict(tallies[0][unit].dropped) == {**tallies[1][unit].dropped, "beyond max_vocabulary": beyond}


def test_pairs__accounts_for_every_token_of_every_epoch(run: Run) -> None:
    artifact = only(run, "pairs")
    (tally,) = artifact.manifest.tallies
    files = [artifact.path(file.name) for file in artifact.files("epoch-")]
    assert tally.n_in == 2 * only(run, "phrases-2").manifest.measures["tokens"]
    assert tally.n_kept == sum(map(count_elements, files)) == artifact.manifest.measures["centres"]
    assert tally.dropped["below min_count"] == 2 * only(run, "vocabulary").manifest.tallies[0].dropped["below min_count"]
    for path in files:
        for row in read_table(path, PAIRS).to_pylist():
            assert len(row["tokens"]) == len(row["radius"]) >= 2
            assert set(row["radius"]) <= {1, 2, 3, 4}


def test_train__trains_every_centre_and_reports_it_by_round(run: Run) -> None:
    artifact = only(run, "train")
    (tally,) = artifact.manifest.tallies
    rounds = read_table(artifact.path(ROUNDS_FILE), ROUNDS).to_pylist()
    assert tally.n_kept == tally.n_in == only(run, "pairs").manifest.measures["centres"] == sum(row["centres"] for row in rounds)
    assert [row["epoch"] for row in rounds] == [0, 1]
    assert artifact.manifest.measures["pairs"] == sum(row["pairs"] for row in rounds)
    mean = sum(row["loss"] * row["pairs"] for row in rounds) / sum(row["pairs"] for row in rounds)
    assert artifact.manifest.measures["loss"] == pytest.approx(mean, rel=1e-12)
    assert artifact.manifest.measures["loss_of_last_epoch"] == pytest.approx(rounds[-1]["loss"], rel=1e-12)
    assert 0 < rounds[-1]["loss"] < 6 * math.log(2) + 0.01
    assert rounds[-1]["learning_rate"] == pytest.approx(1e-4)
    table = read_table(artifact.path(VECTORS_FILE), vectors_schema(8))
    vocabulary = read_table(only(run, "vocabulary").path(VOCABULARY_FILE), VOCABULARY)
    assert table.select(["token", "count"]).to_pydict() == vocabulary.to_pydict()
    assert all(math.isfinite(x) for column in ("input", "output") for vector in table[column].to_pylist() for x in vector)


def test_evaluate__accounts_for_every_question_and_pair(run: Run) -> None:
    artifact = only(run, "evaluate")
    tallies = {tally.unit: tally for tally in artifact.manifest.tallies}
    sections = read_table(artifact.path(SECTIONS_FILE), SECTIONS).to_pylist()
    similarity = read_table(artifact.path(SIMILARITY_FILE), SIMILARITY).to_pylist()
    assert [tally.n_in for tally in tallies.values()] == [19_544, 353, 999]
    assert (sections[-1]["section"], sections[-1]["questions"]) == ("total", 19_544)
    assert sections[-1]["asked"] == tallies["questions of questions-words"].n_kept
    assert [row["scored"] for row in similarity] == [tallies[f"pairs of {name}"].n_kept for name in ("wordsim353", "simlex999")]


# --- damage


@pytest.mark.parametrize("step", STEPS)
def test_stage__has_files_in_which_a_flipped_bit_is_noticed_or_changes_nothing(step: str, run: Run, tmp_path: Path) -> None:
    """Data pages have checksums. A flip elsewhere breaks the schema or the structure, or sits where nothing is read: in the name of the
    writer, say, or in a column's meaning. Those that change nothing are *not* noticed, nor is a file exchanged for another whole one of
    the same schema: nothing compares SHA-256 with the manifest when an artifact is read. Vectors are looked at here as the table that
    they are."""
    for file in run.made[step][0].manifest.files:
        content, schema = run.made[step][0].path(file.name).read_bytes(), schema_of(run.made[step][0].manifest, file.name)
        expected = str(read_table(run.made[step][0].path(file.name), schema).to_pydict())  # as text a NaN equals itself
        footer = int.from_bytes(content[-8:-4], "little") + 8
        noticed_in_pages = []
        for at in {*range(0, len(content), max(1, len(content) // 40)), *range(len(content) - footer, len(content), 29)}:
            damaged = bytearray(content)
            damaged[at] ^= 1 << at % 8
            (tmp_path / "damaged").write_bytes(damaged)
            try:
                assert str(read_table(tmp_path / "damaged", schema).to_pydict()) == expected, (file.name, at)
                noticed = False
            except StoreError:
                noticed = True
            if 4 <= at < len(content) - footer:
                noticed_in_pages.append(noticed)
        # Small files are mostly headers of pages.
        assert len(noticed_in_pages) < 20 or sum(noticed_in_pages) >= 0.8 * len(noticed_in_pages), file.name


@pytest.mark.parametrize("count", [count_rows, count_elements])
def test_counts__of_a_damaged_file_are_an_error_of_the_store(count, tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 this is no table PAR1")
    for name in ("x.parquet", "missing.parquet"):
        with pytest.raises(StoreError, match="cannot be read"):
            count(tmp_path / name)


def test_stage__does_not_build_on_damaged_inputs(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(sample_lines(20)), encoding="utf-8")
    configuration = configured(tmp_path / "text.txt", vocabulary__min_count=1)
    first = walk(configuration, tmp_path / "store", InPlace(), "tokenize")
    path = first.made["tokenize"][0].path("lexicon.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        walk(configuration, tmp_path / "store", InPlace(), "vocabulary")
    assert caught.value.details["where"] == str(path)
    assert list((tmp_path / "store" / "vocabulary").iterdir()) == []


# --- odd corpora


def odd(tmp_path: Path, text: str, **changes: object) -> Configuration:
    (tmp_path / "odd.txt").write_text(text, encoding="utf-8")
    defaults = {"vocabulary__min_count": 1, "pairs__subsample": 0.0, "phrases__thresholds": [0.0], "phrases__min_count": 1}
    return configured(tmp_path / "odd.txt", **(defaults | changes))


def test_run__on_an_empty_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The corpus is empty"):
        walk(odd(tmp_path, ""), tmp_path / "store", InPlace())


@pytest.mark.parametrize("text", ["\n", "--- !!!\n\n...", " "])
def test_run__on_text_without_a_token_says_so(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The corpus has no tokens"):
        walk(odd(tmp_path, text), tmp_path / "store", InPlace())


@pytest.mark.parametrize("text", ["word", "word word word\nword\n"])
def test_run__on_one_word_says_so(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has one word"):
        walk(odd(tmp_path, text, phrases__thresholds=[]), tmp_path / "store", InPlace())


def test_run__on_sentences_of_one_word_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no sentence keeps two words") as caught:
        walk(odd(tmp_path, "one\ntwo\none\nthree\n"), tmp_path / "store", InPlace())
    assert "of 8 tokens 0 are below min_count, 0 were subsampled, 8 were left alone" in caught.value.details["got"]


def test_run__on_the_smallest_text_that_can_be_trained_on(tmp_path: Path) -> None:
    run = walk(odd(tmp_path, "a b", phrases__thresholds=[]), tmp_path / "store", InPlace())
    assert run.made["train"][0].manifest.measures["pairs"] == 4  # two words, each in the window of the other, two epochs
    assert run.made["evaluate"][0].manifest.tallies[0].n_kept == 0


def test_run__on_shards_without_a_token_among_others(tmp_path: Path) -> None:
    text = "a b c a b\n" + "...\n" * 50 + "a b d\n"
    cut = walk(odd(tmp_path, text, corpus__shard_mb=1e-5), tmp_path / "cut", InPlace(), "train")
    whole = walk(odd(tmp_path, text), tmp_path / "whole", InPlace(), "train")
    assert sum(artifact.manifest.measures["tokens"] == 0 for artifact in cut.made["tokenize"]) > 3
    assert digests(cut, "vocabulary", "pairs", "train") == digests(whole, "vocabulary", "pairs", "train")
    assert "a_b" in read_table(cut.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)["token"].to_pylist()


def test_train__takes_every_seed_in_one_process(tmp_path: Path) -> None:
    """Keys are spread over 64 bits: with and without the highest one, in any order."""
    for seed in range(8):
        configuration = odd(tmp_path, "a b c\n", phrases__thresholds=[], train__seed=seed)
        walk(configuration, tmp_path / "store", InPlace(), "train")


def test_train__reports_a_loss_when_the_last_epoch_has_drawn_nothing(tmp_path: Path) -> None:
    for seed in range(100):
        configuration = odd(tmp_path, "a b c\n", phrases__thresholds=[], pairs__subsample=0.05, pairs__seed=seed)
        try:
            run = walk(configuration, tmp_path / str(seed), InPlace(), "pairs")
        except ConfigurationError:
            continue
        first, last = (count_elements(run.made["pairs"][0].path(file.name)) for file in run.made["pairs"][0].files())
        if first and not last:
            break
    else:
        pytest.fail("no seed among 100 draws words in the first epoch only")
    measures = walk(configuration, tmp_path / str(seed), InPlace(), "train").made["train"][0].manifest.measures
    assert measures["loss_of_last_epoch"] == measures["loss"] > 0


def test_phrases__that_come_out_as_one_token_have_one_code(tmp_path: Path) -> None:
    """a + b_c and a_b + c are both a_b_c."""
    configuration = odd(tmp_path, "a b c\n" * 20 + "a b\nb c\n" * 9 + "c x\nx a\n", phrases__thresholds=[0.0, 0.0])
    run = walk(configuration, tmp_path / "store", InPlace(), "vocabulary")
    for shard in shards_of(run.made["phrases-2"]):
        tokens = shard.lexicon()["token"].to_pylist()
        assert len(tokens) == len(set(tokens))
    table = read_table(run.made["vocabulary"][0].path(VOCABULARY_FILE), VOCABULARY)
    assert dict(zip(table["token"].to_pylist(), table["count"].to_pylist(), strict=True))["a_b_c"] == 20


def test_chain__reads_only_from_earlier_steps_and_has_no_other_order() -> None:
    for thresholds in ((), (8.0,), (8.0, 4.0, 2.0)):
        steps = chain(configured(phrases__thresholds=list(thresholds)))
        names = [step.name for step in steps]
        assert len(names) == len(set(names)) == 6 + len(thresholds)
        for number, step in enumerate(steps):
            assert set(step.reads.values()) <= set(names[:number])
        texts = {step.name: step.reads["text"] for step in steps if "text" in step.reads}
        last_text = f"phrases-{len(thresholds)}" if thresholds else "tokenize"
        assert texts["vocabulary"] == texts["pairs"] == last_text


def test_tokenize__notices_a_file_that_changed_since_the_run_began(tmp_path: Path) -> None:
    configuration = odd(tmp_path, "a rose is a rose\n" * 50)
    run = Run(configuration, Store(tmp_path / "store"), InPlace())
    run.perform(run.steps[0])
    path = Path(configuration.corpus.paths[0])
    path.write_text(path.read_text().replace("rose", "nose"))
    with pytest.raises(InputError, match="changed while it was used") as caught:
        run.perform(run.steps[1])
    assert str(path) in str(caught.value)
    assert Store(tmp_path / "store").artifacts("tokenize") == []


def test_tokenize__counts_a_byte_order_mark_and_places_errors_behind_it(tmp_path: Path) -> None:
    run = walk(odd(tmp_path, "\ufeffa rose is a rose\n" * 1 + "a rose\n" * 9), tmp_path / "store", InPlace(), "tokenize")
    tally = run.made["tokenize"][0].manifest.tallies[0]
    assert (tally.unit, tally.n_in - tally.n_kept, dict(tally.dropped)) == ("bytes", 3, {"byte order mark": 3})
    configuration = odd(tmp_path, "", corpus__broken="fail")
    Path(configuration.corpus.paths[0]).write_bytes(b"\xef\xbb\xbfab\xff")
    with pytest.raises(InputError) as caught:
        walk(configuration, tmp_path / "store", InPlace(), "tokenize")
    assert "byte 5" in str(caught.value)
