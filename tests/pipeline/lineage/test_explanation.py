"""Why steps would run: the first cause, against the most similar artifact; and that the verdict is the plan's."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.configuration import Configuration
from pipeline.errors import UsageError
from pipeline.lineage.causes import age
from pipeline.lineage.explanation import Verdict, explain
from pipeline.plan import plan
from pipeline.run import Run
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import finished_run, text
from tests.pipeline.small_runs import configured, walk

SHARD_MB = 0.001  # several shards of each file


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, Run]:
    """A run, and beside it a vocabulary that nothing was trained with; tests leave the store as it is."""
    store, run = finished_run(tmp_path_factory.mktemp("explanation"), corpus__shard_mb=SHARD_MB)
    walk(changed(run, vocabulary__max_vocabulary=9), store.root, last="vocabulary")
    return store, run


def changed(run: Run, *paths: Path, **changes: object) -> Configuration:
    """The configuration of the run, with changes."""
    files = paths or map(Path, run.configuration.corpus.paths)
    return configured(*files, **({"corpus__shard_mb": SHARD_MB} | changes))


OTHER_WORDS = {"vocabulary__max_vocabulary": 9}
CASES = [
    ({}, "train", Verdict.REUSE, "train would be reused: train/"),
    ({}, "tokenize", Verdict.REUSE, "artifacts have the same parameters and the same inputs."),
    ({"pairs__window": 8}, "pairs", Verdict.RUN, "pairs would run: pairs.window is 8 now and was 4 in pairs/"),
    ({"pairs__window": 8}, "train", Verdict.MAY_RUN, "train would run because pairs.window is 8 now and was 4 in pairs/"),
    ({"pairs__window": 8}, "evaluate", Verdict.MAY_RUN, "evaluate would run because train would, because pairs.window is 8 now"),
    ({"pairs__window": 8, "pairs__epochs": 1}, "pairs", Verdict.RUN, "pairs.epochs is 1 now and was 2 in"),
    ({"train__seed": 5, "pairs__seed": 5}, "train", Verdict.RUN, "train.seed is 5 now and was 1 in"),
    ({"vocabulary__min_count": 2}, "vocabulary", Verdict.RUN, "vocabulary would run: vocabulary.min_count is 2 now and was"),
    ({"vocabulary__min_count": 2}, "train", Verdict.MAY_RUN, "train would run because pairs would, because vocabulary.min_count is 2 now"),
    # That vocabulary is there: what differs is what the pairs would be made from.
    (OTHER_WORDS, "pairs", Verdict.RUN, "pairs would run because vocabulary.max_vocabulary is 9 now and was 0 in vocabulary/"),
    (OTHER_WORDS, "train", Verdict.MAY_RUN, "because pairs would, because vocabulary.max_vocabulary is 9 now and was 0"),
    ({"corpus__max_line_mb": 1}, "tokenize", Verdict.RUN, "corpus.max_line_mb (in bytes) is 1000000 now and was 16000000 in tokenize/"),
    ({"tokenize__stop_words": ["the"]}, "tokenize", Verdict.RUN, "tokenize would run: tokenize.stop_words has changed since tokenize/"),
    ({"tokenize__lowercase": False}, "evaluate", Verdict.RUN, "tokenize.lowercase is false now and was true in evaluate/"),
    ({"evaluate__similarity": ["simlex999"]}, "evaluate", Verdict.RUN, "simlex999.txt is new"),
    ({"corpus__shard_mb": 16}, "tokenize", Verdict.RUN, "corpus.shard_mb is 16.0 now and was 0.001 in snapshot/"),
    ({"train__model": "glove"}, "train", Verdict.RUN, "train.model is glove now and was skip_gram in train/"),
    ({"train__model": "glove"}, "glove", Verdict.RUN, "And cooccurrence would run before it."),
    ({"train__model": "cbow"}, "train", Verdict.RUN, "train.model is cbow now and was skip_gram in train/"),
    ({"train__model": "glove"}, "cooccurrence", Verdict.RUN, "there is nothing like cooccurrence in the store yet"),
    ({"phrases__thresholds": [9.0]}, "phrases-1", Verdict.RUN, "there is nothing like phrases-1 in the store yet"),
    ({"phrases__thresholds": [9.0]}, "vocabulary", Verdict.RUN, "the text of vocabulary is that of phrases now and was that of tokenize"),
]


@pytest.mark.parametrize(("change", "step", "verdict", "part"), CASES, ids=str)
def test_explain__says_the_first_cause(change: dict[str, object], step: str, verdict: Verdict, part: str, finished) -> None:
    store, run = finished
    before = sorted(store.root.rglob("*"))
    found = explain(changed(run, **change), store, step)
    assert part in found.sentence
    assert found.verdict is verdict
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("change", [change for change, step, _, _ in CASES if step != "tokenize"], ids=str)
def test_explain__has_the_verdict_of_the_plan(change: dict[str, object], finished) -> None:
    store, run = finished
    configuration = changed(run, **change)
    for planned in plan(configuration, store):
        found = explain(configuration, store, planned.step.name)
        assert (found.verdict is Verdict.REUSE) == planned.reused
        assert (found.n_artifacts, found.n_found) == (len(planned.wanted), len(planned.artifacts))
        assert found.path[0] == planned.step.name
        assert (found.cause is None) == planned.reused


@pytest.fixture
def corpus(finished, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of the two files, elsewhere."""
    paths = (tmp_path / "one.txt", tmp_path / "two.txt")
    for path, original in zip(paths, finished[1].configuration.corpus.paths, strict=True):
        path.write_bytes(Path(original).read_bytes())
    return paths


@pytest.mark.parametrize("step", ["snapshot", "tokenize"])
def test_explain__names_the_files_that_are_new_changed_or_gone(step: str, finished, corpus, tmp_path: Path) -> None:
    store, run = finished
    first, second = map(Path, run.configuration.corpus.paths)
    assert explain(changed(run, *corpus), store, step).verdict is Verdict.REUSE  # moved, but the same
    new = tmp_path / "new.txt"
    new.write_text(text(9), encoding="utf-8")
    found = explain(changed(run, first, second, new), store, step)
    assert (found.cause.files.new, found.cause.files.changed, found.cause.files.gone) == ((str(new),), (), ())
    assert f"{new} is new" in found.sentence
    found = explain(changed(run, first, new), store, step)
    assert (found.cause.files.new, found.cause.files.gone) == ((str(new),), (str(second),))
    assert f"the corpus has changed since snapshot/{run.made['snapshot'][0].manifest.key[:12]}" in found.sentence


def test_explain__says_how_many_shards_are_new(finished, corpus) -> None:
    store, run = finished
    with corpus[0].open("a", encoding="utf-8") as file:
        file.write("a line more\n")
    found = explain(changed(run, *corpus), store, "tokenize")
    assert found.n_artifacts - found.n_found == 1
    assert found.sentence.startswith(f"tokenize would run for 1 of {found.n_artifacts} shards: the corpus has changed")


def test_explain__of_a_changed_file_reaches_what_was_made_from_it(finished, corpus, tmp_path: Path) -> None:
    """The new text is tokenized already: what the vocabulary is made from differs, and why is in the manifests."""
    _, run = finished
    store = Store(tmp_path / "own")
    walk(changed(run, *corpus), store.root, last="vocabulary")
    with corpus[0].open("a", encoding="utf-8") as file:
        file.write("a line more\n")
    walk(changed(run, *corpus), store.root, last="tokenize")
    found = explain(changed(run, *corpus), store, "vocabulary")
    assert found.path == ("vocabulary", "tokenize")
    assert (found.cause.files.new, found.cause.files.changed, found.cause.files.gone) == ((), (str(corpus[0]),), ())
    assert f"vocabulary would run because the corpus has changed since vocabulary/{found.cause.compared.key[:12]}" in found.sentence
    corpus[1].unlink()
    walk(changed(run, corpus[0]), store.root, last="tokenize")
    assert explain(changed(run, corpus[0]), store, "vocabulary").cause.files.gone == (str(corpus[1]),)


def test_explain__compares_passes_of_phrases_with_their_like(finished, tmp_path: Path) -> None:
    _, run = finished
    two = changed(run, phrases__thresholds=[0.5, 0.2])
    store = Store(tmp_path)
    walk(two, store.root, last="phrases-2")
    other = changed(run, phrases__thresholds=[0.5, 0.1])
    found = explain(other, store, "phrases-2")
    assert "phrases.thresholds is [0.1] now and was [0.2] in phrases/" in found.sentence
    assert explain(other, store, "phrases-1").verdict is Verdict.REUSE
    with pytest.raises(UsageError, match="Did you mean phrases-1"):
        explain(other, store, "phrases")


def test_explain__of_an_empty_store_compares_with_nothing(finished, tmp_path: Path) -> None:
    found = explain(finished[1].configuration, Store(tmp_path / "none"), "train")
    assert found.sentence == "train would run: there is nothing like train in the store yet. And pairs would run before it."
    assert not (tmp_path / "none").exists()


def test_explain__of_an_unknown_step_offers_one(finished) -> None:
    store, run = finished
    with pytest.raises(UsageError, match="Did you mean vocabulary"):
        explain(run.configuration, store, "vocabluary")
    with pytest.raises(UsageError, match="one of snapshot, tokenize"):
        explain(run.configuration, store, "<script>")


def test_age__is_told_in_words() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    for past, words in (
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=3), "3 days ago"),
        (timedelta(days=-1), "at 2026-03-02T12:00, which is later than now"),
    ):
        assert age((now - past).isoformat(), now) == words
    assert age("yesterday", now) == "at 'yesterday'"
    assert age("2026-03-01T12:00:00", now) == "at '2026-03-01T12:00:00'"
