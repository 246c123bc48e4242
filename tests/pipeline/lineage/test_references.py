import pytest

from pipeline.errors import UsageError
from pipeline.lineage.closure import closure
from pipeline.lineage.references import resolve
from pipeline.run import Run
from pipeline.storage.registry import Registry
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import SMALL_STORE_STEPS, finished_run
from tests.pipeline.small_runs import walk


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, Run]:
    return finished_run(tmp_path_factory.mktemp("references"))


def test_resolve__finds_versions_runs_and_artifacts(finished) -> None:
    store, run = finished
    vectors, scores, pairs = (run.made[step][0].link for step in ("train", "evaluate", "pairs"))
    Registry(store).move("vectors", "production", 1, "for the test", 0)
    for reference in ("vectors", "vectors@1", "vectors@production"):
        found = resolve(store, reference)
        assert (found.name, found.links, found.vectors) == ("vectors@1", (vectors, scores), vectors)
        assert found.run["id"] == found.version.run == run.id
    found = resolve(store, run.id[:-2])
    assert (found.name, found.links, found.version) == (f"run {run.id}", (vectors, scores), None)
    for reference in (pairs.key, pairs.key[:12], f"pairs/{pairs.key[:8]}"):
        found = resolve(store, reference)
        assert (found.name, found.links, found.run, found.vectors) == (f"pairs/{pairs.key[:12]}", (pairs,), None, None)


@pytest.mark.parametrize(
    ("reference", "part"),
    [
        ("vectors@7", "no such version"),
        ("vectors@staging", "no such version"),
        ("vektors", "Did you mean vectors"),
        ("nobody@1", "nothing that is called so"),
        ("../runs", "nothing"),
        ("*", "nothing"),
        ("train/*", "nothing"),
        ("", "nothing"),
    ],
)
def test_resolve__says_what_there_is(reference: str, part: str, finished) -> None:
    with pytest.raises(UsageError, match=part):
        resolve(finished[0], reference)


def test_resolve__asks_for_more_letters(finished) -> None:
    store, run = finished
    other = walk(run.configuration, store.root)
    other.finish("a test")
    with pytest.raises(UsageError, match="several things"):
        resolve(store, run.id[:4])


def test_closure__has_all_that_vectors_were_made_from_inputs_first(finished) -> None:
    store, run = finished
    found = closure(store, [run.made["evaluate"][0].link])
    stages = [artifact.manifest.stage for artifact in found.artifacts]
    assert sorted(set(stages), key=stages.index) == SMALL_STORE_STEPS
    assert stages.count("tokenize") == 2
    seen = set()
    for artifact in found.artifacts:
        assert {link.key for some in artifact.manifest.inputs.values() for link in some if not link.is_outside} <= seen
        seen.add(artifact.manifest.key)
    assert {link.stage for link in found.outside} == {"source", "similarity/wordsim353"}
    assert sorted(link.origin["location"] for link in found.outside if link.stage == "source") == sorted(
        shard.location for shard in run.observed.shards
    )
    assert not found.missing


def test_closure__names_what_is_gone(finished, tmp_path) -> None:
    _, run = finished
    elsewhere = Store(tmp_path)
    assert closure(elsewhere, [run.made["train"][0].link]).missing == (run.made["train"][0].link,)
