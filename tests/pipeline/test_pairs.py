"""The pairs of every epoch, however they are cut, and the explicit pairs of an artifact."""

from itertools import chain
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.errors import StoreError, UsageError
from pipeline.pairs import SENTENCES_A_BATCH, expand
from pipeline.run import Run
from pipeline.storage.schemas import EXPANDED_PAIRS, PAIRS
from pipeline.storage.tables import read_table
from pipeline.workers import InPlace
from tests.conftest import sample_lines
from tests.pipeline.small_runs import configured, walk
from tests.reference import pairs as reference


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("pairs")
    (directory / "text.txt").write_text("".join(sample_lines(300)), encoding="utf-8")
    configuration = configured(directory / "text.txt", tokenize__split_sentences=True, pairs__subsample=0.01)
    return walk(configuration, directory / "store", InPlace(), "train")


@pytest.mark.parametrize("epoch", [0, 1])
def test_expand__gives_every_pair_of_the_reference_in_text_order(epoch: int, run: Run) -> None:
    (artifact,) = run.made["pairs"]
    (file,) = artifact.files(f"epoch-{epoch:03d}/")
    rows = read_table(artifact.path(file.name), PAIRS).to_pylist()
    assert len(rows) > SENTENCES_A_BATCH
    expected = reference.expand_pairs([list(zip(row["tokens"], row["radius"], strict=True)) for row in rows])
    batches = list(expand(artifact, epoch))
    assert all(batch.schema == EXPANDED_PAIRS for batch in batches)
    found = chain.from_iterable(zip(batch["centre"].to_pylist(), batch["context"].to_pylist(), strict=True) for batch in batches)
    assert list(found) == expected


def test_expand__gives_as_many_pairs_as_training_has_trained(run: Run) -> None:
    n_pairs = sum(batch.num_rows for epoch in range(2) for batch in expand(run.made["pairs"][0], epoch))
    assert n_pairs == run.made["train"][0].manifest.measures["pairs"]


@pytest.mark.parametrize("epoch", [-1, 2])
def test_expand__knows_only_the_epochs_that_there_are(epoch: int, run: Run) -> None:
    with pytest.raises(UsageError, match="no such epoch"):
        list(expand(run.made["pairs"][0], epoch))


def test_expand__names_a_file_that_is_gone(run: Run, tmp_path: Path) -> None:
    artifact = type(run.made["pairs"][0])(tmp_path, run.made["pairs"][0].manifest)
    with pytest.raises(StoreError, match="cannot be read"):
        list(expand(artifact))


@pytest.mark.parametrize(("part", "group"), [(64, 64), (100, 16), (1, 8192)])
def test_pairs__are_the_same_in_parts_and_row_groups_of_any_size(
    part: int, group: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.stages.pairs.SENTENCES_A_PART", part)
    monkeypatch.setattr("pipeline.stages.pairs.SENTENCES_A_GROUP", group)
    other = walk(run.configuration, tmp_path / "store", InPlace(), "pairs")
    for epoch in range(2):
        tables = []
        for (artifact,) in (run.made["pairs"], other.made["pairs"]):
            files = artifact.files(f"epoch-{epoch:03d}/")
            tables.append(pa.concat_tables(read_table(artifact.path(file.name), PAIRS) for file in files).combine_chunks())
        assert len(files) > 1
        assert tables[0].equals(tables[1])
