"""The facts of a model card: from manifests alone, and from the record of the run where it is there."""

import shutil
from pathlib import Path

import pytest

from pipeline.chain import chain
from pipeline.errors import UsageError
from pipeline.lineage.card import card
from pipeline.lineage.references import resolve
from pipeline.run import Run, evaluate_model
from pipeline.storage.store import RUNS, Store
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import configured

LICENCE = "for these tests only"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, Run]:
    return finished_run(tmp_path_factory.mktemp("card"), corpus__licence=LICENCE, corpus__shard_mb=0.001)


def test_card__has_the_text_its_licence_and_what_was_left_out(finished) -> None:
    store, run = finished
    found = card(store, resolve(store, "vectors@1"))
    assert (found.vectors, found.evaluation) == (run.made["train"][0], run.made["evaluate"][0])
    assert found.licence == LICENCE
    assert sorted(file.location for file in found.files) == sorted(run.configuration.corpus.paths)
    assert sum(file.n_tokens for file in found.files) == sum(one.manifest.measures["tokens"] for one in run.made["tokenize"])
    for loss in found.losses:
        tallies = [tally for one in run.made[loss.stage] for tally in one.manifest.tallies if tally.unit == loss.unit]
        assert loss.n_in == sum(tally.n_in for tally in tallies)
        assert sum(loss.dropped.values()) == sum(tally.n_in - tally.n_kept for tally in tallies) > 0


def test_card__needs_no_record_of_the_run(finished, tmp_path: Path) -> None:
    store, run = finished
    shutil.copytree(store.root, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / RUNS)
    own = Store(tmp_path / "store")
    with_record = card(store, resolve(store, run.id))
    for reference in ("vectors", run.made["train"][0].manifest.key[:10]):
        found = card(own, resolve(own, reference))
        assert (found.licence, found.configuration) == (LICENCE, None)
        assert found.evaluation.manifest == with_record.evaluation.manifest
        assert (found.files, found.losses) == (with_record.files, with_record.losses)


def test_card__of_what_is_no_vectors_is_refused(finished, tmp_path: Path) -> None:
    store, run = finished
    with pytest.raises(UsageError, match="no vectors"):
        card(store, resolve(store, run.made["pairs"][0].manifest.key))
    shutil.copytree(store.root, tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / "train")
    with pytest.raises(UsageError, match="no longer in the store"):
        card(Store(tmp_path / "store"), resolve(Store(tmp_path / "store"), "vectors"))


def test_card__has_the_newest_scores_of_vectors_that_have_several(finished, tmp_path: Path) -> None:
    store, run = finished
    shutil.copytree(store.root, tmp_path / "store")
    own, key = Store(tmp_path / "store"), run.made["train"][0].manifest.key
    vectors = own.described("train", key)
    other = configured(*map(Path, run.configuration.corpus.paths), evaluate__similarity=["simlex999"])
    newest = evaluate_model(own, vectors, other)
    assert card(own, resolve(own, key)).evaluation == newest
    assert card(own, resolve(own, "vectors")).evaluation.manifest == run.made["evaluate"][0].manifest  # which the version names


def test_licence__is_part_of_no_key(finished) -> None:
    _, run = finished
    paths = [Path(path) for path in run.configuration.corpus.paths]
    with_licence, without = (chain(configured(*paths, **changes)) for changes in ({"corpus__licence": LICENCE}, {}))
    assert [step.parameters for step in with_licence] == [step.parameters for step in without]
    assert not any("licence" in step.parameters for step in with_licence)
