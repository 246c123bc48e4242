"""The whole family on one text: every model and loss runs the chain to scores, from one configuration."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.chain import chain
from pipeline.errors import ConfigurationError, UsageError
from pipeline.plan import plan
from pipeline.projection import project, refuse_absurd
from pipeline.run import Run
from pipeline.sides import side_of
from pipeline.storage.schemas import VECTORS_FILE, VOCABULARY, VOCABULARY_FILE
from pipeline.storage.store import Store
from pipeline.storage.tables import read_table
from pipeline.training.task import Task
from pipeline.vectors import Side, read_vectors
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, digests, walk
from tests.reference import tree as tree_reference

PREDICTING = [
    {"train__model": model, "train__loss": loss}
    for model in ("skip_gram", "cbow")
    for loss in ("negative_sampling", "nce", "hierarchical_softmax", "full_softmax")
]
COUNTING = [{"train__model": "glove", "glove__epochs": 3}, {"train__model": "ppmi_svd"}]
FAMILY = [pytest.param(changes, id="-".join(map(str, changes.values()))) for changes in PREDICTING + COUNTING]


class Workers(InPlace):
    """The caller, with several threads for training."""

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(sample_lines(150)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("family") / "store"


def remove(run: Run, name: str) -> None:
    """Take an artifact out of the store, so that the next run makes it again."""
    (artifact,) = run.made[name]
    for path in artifact.directory.iterdir():
        path.unlink()
    artifact.directory.rmdir()


@pytest.mark.parametrize("changes", FAMILY)
def test_family__gives_vectors_and_scores_and_the_same_bytes_for_any_number_of_threads(
    changes: dict[str, object], text: Path, store: Path
) -> None:
    run = walk(configured(text, **changes), store, Workers(1))
    (artifact,) = run.made["train"]
    found = [read_vectors(artifact.path(VECTORS_FILE), side).matrix for side in (Side.INPUT, Side.OUTPUT)]
    assert all(np.isfinite(matrix).all() and matrix.any() for matrix in found)
    assert "wordsim353" in run.made["evaluate"][0].manifest.measures
    assert artifact.manifest.measures["words"] == len(found[0])
    one = digests(run, "train")
    for n_threads in (2, 3):
        remove(run, "train")
        run = walk(configured(text, **changes), store, Workers(n_threads), "train")
        assert digests(run, "train") == one


def test_family__has_words_that_appear_together_for_the_first_time_share_nodes_of_the_tree(text: Path, store: Path) -> None:
    run = walk(configured(text, train__loss="hierarchical_softmax"), store, InPlace(), "train")
    task = Task(run.configuration.train, run.made["vocabulary"][0], run.made["pairs"][0])
    text_tokens = [token for file in task.files() if file.epoch == 0 for token in pq.read_table(file.path)["tokens"].to_pylist()]
    order = list(dict.fromkeys(word for sentence in text_tokens for word in sentence))
    words = read_table(task.vocabulary.path(VOCABULARY_FILE), VOCABULARY)
    counts = words["count"].to_pylist()
    order += sorted(set(range(len(counts))) - set(order))
    tree = task.model().targets
    found = [tree.nodes[first:stop][tree.signs[first:stop] != 0].tolist() for first, stop in pairwise(tree.offsets)]
    assert found == [[node for node, _ in path] for path in tree_reference.paths(counts, order)]
    assert tree_reference.paths(counts, order) != tree_reference.paths(counts)
    fresh = Task(task.settings, task.vocabulary, task.pairs)
    assert len(pickle.dumps(task)) == len(pickle.dumps(fresh))  # what workers are sent


@pytest.mark.parametrize("changes", FAMILY)
def test_family__is_projected(changes: dict[str, object], text: Path, tmp_path: Path) -> None:
    configuration = configured(text, **changes)
    for one, projection in zip(chain(configuration), project(configuration, plan(configuration, Store(tmp_path))), strict=True):
        assert projection.n_rows > 0
        if one.name in ("pairs", "cooccurrence", "train"):
            assert projection.disk_bytes > 1000
            assert projection.memory_bytes > 100_000_000
            assert projection.seconds > 0


def test_family__of_predictions_reads_the_same_pairs_and_of_counts_the_same_counts(text: Path, store: Path) -> None:
    steps = [{step.name: step for step in chain(configured(text, **changes))} for changes in PREDICTING + COUNTING]
    assert all("pairs" in found and "cooccurrence" not in found for found in steps[:8])
    assert all("cooccurrence" in found and "pairs" not in found for found in steps[8:])
    assert len({str(found["pairs"].parameters) for found in steps[:8]}) == 1
    assert len({(found["train"].stage.name, str(found["train"].parameters)) for found in steps}) == len(steps)


def test_refuse_absurd__stops_full_softmax_over_many_words_with_the_figure(
    text: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = configured(text, train__loss="full_softmax")
    refuse_absurd(configuration, plan(configuration, Store(store)))
    monkeypatch.setattr("pipeline.projection.LONGEST_SOFTMAX_S", 1e-6)
    with pytest.raises(ConfigurationError, match="too long") as caught:
        walk(configuration, store / "another", InPlace(), "snapshot")
    assert "days" in str(caught.value)
    other = configured(text, train__loss="nce")
    refuse_absurd(other, plan(other, Store(store)))


def test_side_of__is_the_sum_for_glove_and_refuses_outputs_that_are_no_words(text: Path, store: Path) -> None:
    def trained(**changes: object):  # type: ignore[no-untyped-def]
        return walk(configured(text, **changes), store, InPlace(), "train").made["train"][0]

    assert side_of(trained(**COUNTING[0]), "usual") is Side.SUM
    assert side_of(trained(), "usual") is Side.INPUT
    assert side_of(trained(), "mean") is Side.MEAN
    tree = trained(train__loss="hierarchical_softmax")
    assert side_of(tree, "input") is Side.INPUT
    with pytest.raises(UsageError, match="no output vectors"):
        side_of(tree, "sum")
