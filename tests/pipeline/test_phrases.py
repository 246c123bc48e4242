"""Phrases against gensim's own and against the slow reference: with connectors, in several passes, within any memory."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from gensim.models.phrases import ENGLISH_CONNECTOR_WORDS as GENSIM_CONNECTORS
from gensim.models.phrases import Phrases, npmi_scorer, original_scorer
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.configuration_file import load_configuration, parse_configuration
from pipeline.configured_files import ENGLISH_CONNECTOR_WORDS
from pipeline.errors import ConfigurationError
from pipeline.run import Run
from pipeline.stage import Job
from pipeline.stages import phrases
from pipeline.storage.artifact import AccountingError, Artifact
from pipeline.storage.keys import digest_of_file
from pipeline.storage.store import Store
from pipeline.words import candidates
from pipeline.workers import DaskWorkers, InPlace, Workers
from tests.conftest import ROOT
from tests.pipeline.phrase_runs import rows_of, run_of, table_of, words_of
from tests.pipeline.small_runs import Limited, configured, digests, walk
from tests.reference import pipeline as reference

ENGLISH = tuple(sorted(GENSIM_CONNECTORS))


def test_english_connector_words__are_those_of_gensim() -> None:
    assert set(ENGLISH_CONNECTOR_WORDS) == GENSIM_CONNECTORS
    assert configured(phrases__connector_words="english").phrases.connector_words == ENGLISH


@pytest.mark.parametrize("connectors", [(), ENGLISH], ids=["", "english"])
@pytest.mark.parametrize(("scorer", "threshold"), [("gensim", 10.0), ("npmi", 0.5)])
def test_phrases__are_those_of_gensim_with_its_scores(
    scorer: str, threshold: float, connectors: tuple[str, ...], text: Path, store: Path
) -> None:
    run = run_of(text, store, scorer=scorer, thresholds=[threshold], connector_words=connectors)
    assert len(run.made["tokenize"]) > 3
    sentences = words_of(run, "tokenize")
    scoring = "default" if scorer == "gensim" else scorer
    theirs = Phrases(sentences, min_count=5, threshold=threshold, scoring=scoring, connector_words=frozenset(connectors))
    expected = {tuple(name.split("_")): score for name, score in theirs.export_phrases().items()}
    rows = rows_of(run)
    found = {words: row["score"] for words, row in rows.items()}
    assert len(found) > 200
    assert any(len(words) > 2 for words in found) == bool(connectors)
    assert found.keys() == expected.keys()
    # Logarithms differ in the last bit between NumPy and the C library.
    assert found == (expected if scorer == "gensim" else pytest.approx(expected, rel=1e-13))
    for words, row in rows.items():
        counts = (theirs.vocab[word] for word in (words[0], words[-1], "_".join(words)))
        assert (row["first_count"], row["second_count"], row["count"]) == tuple(counts)
    assert words_of(run, "phrases-1") == [theirs[sentence] for sentence in sentences]


def by_tokens(worda_count, wordb_count, bigram_count, len_vocab, min_count, corpus_word_count) -> float:  # type: ignore[no-untyped-def]
    """word2phrase's formula, as gensim wants one."""
    return reference.bigrams.score_by_tokens(bigram_count, worda_count, wordb_count, min_count, corpus_word_count)


@pytest.mark.stress
@pytest.mark.parametrize("connectors", [(), ENGLISH], ids=["", "english"])
def test_phrases__of_the_whole_sample_are_those_of_gensim(connectors: tuple[str, ...], tmp_path: Path) -> None:
    """20 MB. gensim counts once; the formula, of which word2phrase's is given to it, and the threshold are looked at afterwards."""
    sample = ROOT / "data" / "wiki-20mb.txt.xz"
    first = walk(configured(sample, cluster__threads=2), tmp_path, last="tokenize")
    theirs = Phrases(words_of(first, "tokenize"), min_count=5, connector_words=frozenset(connectors))
    formulas = (("gensim", original_scorer, 10.0), ("npmi", npmi_scorer, 0.5), ("word2vec", by_tokens, 100.0))
    for scorer, theirs.scoring, theirs.threshold in formulas:
        expected = {tuple(name.split("_")): score for name, score in theirs.export_phrases().items()}
        changes = {"scorer": scorer, "thresholds": [theirs.threshold], "connector_words": connectors}
        run = walk(configured(sample, cluster__threads=2, **{f"phrases__{k}": v for k, v in changes.items()}), tmp_path, last="phrases-1")
        rows = rows_of(run)
        assert len(rows) > 5000
        # Logarithms differ in the last bit between NumPy and the C library, word2phrase's order of operations from ours.
        scores = {words: row["score"] for words, row in rows.items()}
        assert scores == (expected if scorer == "gensim" else pytest.approx(expected, rel=1e-13))
        for words, row in rows.items():
            counts = (theirs.vocab[word] for word in (words[0], words[-1], "_".join(words)))
            assert (row["first_count"], row["second_count"], row["count"]) == tuple(counts)


def test_phrases__of_a_second_pass_are_those_of_gensim(text: Path, store: Path) -> None:
    run = run_of(text, store, "phrases-2", thresholds=[20.0, 5.0], connector_words="english")
    sentences = words_of(run, "tokenize")
    once = Phrases(sentences, min_count=5, threshold=20.0, connector_words=GENSIM_CONNECTORS)
    joined = [once[sentence] for sentence in sentences]
    # Another delimiter than in the first pass: gensim takes phrases that are spelled alike, a_b + c and a + b_c, for one.
    twice = Phrases(joined, min_count=5, threshold=5.0, delimiter="+", connector_words=GENSIM_CONNECTORS)
    expected = {tuple(name.split("+")): score for name, score in twice.export_phrases().items()}
    found = {words: row["score"] for words, row in rows_of(run, "phrases-2").items()}
    assert found == expected
    assert any("_" in word for words in found for word in words)
    assert words_of(run, "phrases-2") == [[word.replace("+", "_") for word in twice[sentence]] for sentence in joined]


@pytest.mark.parametrize("scorer", ["word2vec", "gensim", "npmi"])
@given(data=st.data())
@settings(max_examples=8)
def test_phrases__equal_the_reference(scorer: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """word2vec: the formula of word2phrase."""
    directory = tmp_path_factory.mktemp("small")
    sentences = data.draw(st.lists(st.lists(st.sampled_from("abcxy"), min_size=1, max_size=9), min_size=1, max_size=12))
    sentences += [["a", "b"], ["x"]] * 3
    connectors = data.draw(st.sets(st.sampled_from("xyz")))
    min_count = data.draw(st.integers(1, 4))
    (directory / "text.txt").write_text("".join(" ".join(sentence) + "\n" for sentence in sentences))
    run = run_of(
        directory / "text.txt",
        directory / "store",
        workers=Limited(data.draw(st.sampled_from([1000, 10**9]))),
        scorer=scorer,
        thresholds=[0.1],
        min_count=min_count,
        connector_words=sorted(connectors),
    )
    expected = reference.score_phrases(sentences, threshold=0.1, scorer=scorer, min_count=min_count, connectors=connectors)
    rows = rows_of(run)
    counts = {words: (row["first_count"], row["second_count"], row["count"]) for words, row in rows.items()}
    assert counts == {words: found[:3] for words, found in expected.items()}
    assert {words: row["score"] for words, row in rows.items()} == pytest.approx(
        {words: found[3] for words, found in expected.items()}, rel=1e-9
    )
    assert words_of(run, "phrases-1") == reference.join_phrases(sentences, expected, "_", connectors)


def test_phrases__account_for_every_candidate(text: Path, store: Path) -> None:
    run = run_of(text, store, thresholds=[10.0], connector_words="english")
    tokens, bigrams = run.made["phrases-1"][0].manifest.tallies
    sentences = words_of(run, "tokenize")
    found = reference.bigrams.count_candidates(sentences, set(ENGLISH))
    assert bigrams.n_in == sum(found.values())
    assert bigrams.dropped["below min_count"] == sum(count for count in found.values() if count < 5)
    assert bigrams.n_kept == sum(row["count"] for row in rows_of(run).values())
    joined = words_of(run, "phrases-1")
    assert (tokens.n_in, tokens.n_kept) == (sum(map(len, sentences)), sum(map(len, joined)))
    assert tokens.dropped["joined to the word before"] == sum(word.count("_") for sentence in joined for word in sentence)


# --- the same bytes


def files_of(run: Run, directory: Path, workers: Workers, tokens_a_group: int = 10**6) -> dict[str, str]:
    """The digests of the files that a build of the first pass of a run leaves in an empty directory."""
    step = next(step for step in run.steps if step.name == "phrases-1")
    directory.mkdir()
    inputs = {"text": run.made["tokenize"]}
    job = Job(step.name, directory, step.settings, step.parameters, inputs, None, workers, Store(directory).checkpoints("none", math.inf))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(candidates, "TOKENS_A_GROUP", tokens_a_group)
        files = {file.name: file.sha256 for file in phrases.build(job).files}
    assert {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} == files.keys()
    return files


def digests_of(artifact: Artifact) -> dict[str, str]:
    return {file.name: file.sha256 for file in artifact.files()}


@pytest.mark.parametrize("scorer", ["gensim", "npmi"])
def test_phrases__give_the_same_bytes_with_any_memory_groups_and_workers(scorer: str, text: Path, store: Path, tmp_path: Path) -> None:
    run = run_of(text, store, scorer=scorer, thresholds=[0.3], connector_words="english")
    expected = digests_of(run.made["phrases-1"][0])
    little = Limited(400_000)
    assert files_of(run, tmp_path / "little", little, tokens_a_group=60_000) == expected
    assert min(little.n_tasks) > 1  # also words and strings went through partitions
    assert max(little.n_tasks) > 10
    assert files_of(run, tmp_path / "small groups", Limited(10**9), tokens_a_group=1) == expected
    for name, cluster in (("threads", {"cluster__threads": 3}), ("processes", {"cluster__processes": 2})):
        with DaskWorkers(configured(text, cluster__counting_mb=3, **cluster).cluster) as workers:
            assert files_of(run, tmp_path / name, workers, tokens_a_group=60_000) == expected


def test_phrases__of_text_in_other_shards_are_the_same(text: Path, store: Path, tmp_path: Path) -> None:
    runs = [walk(configured(text, corpus__shard_mb=mb, phrases__thresholds=[8.0, 4.0]), store, InPlace(), "vocabulary") for mb in (0.02, 4)]
    for step in ("phrases-1", "phrases-2"):
        assert len({digest_of_file(table_of(run, step)) for run in runs}) == 1
    assert digests(runs[0], "vocabulary") == digests(runs[1], "vocabulary")


class Losing(Limited):
    """Loses one of the files that tasks have written, before the `at`-th map."""

    def __init__(self, pattern: str, directory: Path) -> None:
        super().__init__(400_000)
        self.pattern, self.directory, self.lost = pattern, directory, False

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[Any], None]) -> list[Any]:
        found = sorted(self.directory.rglob(self.pattern))
        if found and not self.lost:
            found[0].unlink()
            self.lost = True
        return super().map(function, items, on_done)


@pytest.mark.parametrize("pattern", ["bigrams-000001/*.parquet", "spelled/*.parquet"])
def test_phrases__that_lose_a_file_on_the_way_are_noticed(pattern: str, text: Path, store: Path, tmp_path: Path) -> None:
    run = run_of(text, store, scorer="gensim", thresholds=[0.3], connector_words="english")
    workers = Losing(pattern, tmp_path)
    with pytest.raises(AccountingError, match="bigrams unaccounted for"):
        files_of(run, tmp_path / "losing", workers, tokens_a_group=60_000)
    assert workers.lost


def test_connector_words__are_a_list_a_file_or_the_name_of_a_list(tmp_path: Path) -> None:
    assert configured(phrases__connector_words=["of", "de", "of"]).phrases.connector_words == ("de", "of")
    (tmp_path / "words.txt").write_text("of\n\nde \n")
    (tmp_path / "english").write_text("la\n")
    for name, expected in (("words.txt", ("de", "of")), ("english", ENGLISH), ("./english", ("la",))):
        (tmp_path / "run.toml").write_text(f'[phrases]\nconnector_words = "{name}"\n')
        configuration = load_configuration(tmp_path / "run.toml")
        assert configuration.phrases.connector_words == expected
        assert parse_configuration(configuration.model_dump(mode="json")) == configuration
    for wrong in ("french", [""], ["of the"], 3):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            configured(phrases__connector_words=wrong)


def test_delimiter__holds_neither_white_space_nor_nul() -> None:
    for wrong in ("", " ", "a b", "\0"):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            configured(phrases__delimiter=wrong)
