"""What a few letters mean in a shared store, without fetching what is not meant; and what a pull of it makes here."""

import shutil
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.lineage.models import find_model
from pipeline.lineage.references import of_run, resolve
from pipeline.lineage.sharing.shared_references import resolve_shared
from pipeline.lineage.sharing.transfer import pull, push
from pipeline.run import Run
from pipeline.storage.registry import Registry
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import configured, walk

N_MORE = 3


@pytest.fixture(scope="module")
def pushed(tmp_path_factory) -> tuple[SharedStore, Store, list[Run]]:
    """Runs in a store and pushed from there: A, B (another seed) of vectors, and A again under the names abcd, 2026 and more."""
    directory = tmp_path_factory.mktemp("shared")
    store, first = finished_run(directory)
    texts = sorted(directory.glob("*.txt"))
    runs = [first]
    for number, (name, seed) in enumerate([("vectors", 2), ("abcd", 1), ("2026", 1), *((f"more-{n}", 1) for n in range(N_MORE))], 1):
        run = walk(configured(*texts, train__seed=seed).model_copy(update={"name": name}), store.root, InPlace())
        run.id = f"20990101T00000{number}-abcdef"
        run.finish("a test")
        runs.append(run)
    shared = SharedStore((directory / "shared").as_uri())
    for run in runs:
        push(store, shared, resolve(store, run.id))
    return shared, store, runs


def test_resolve_shared__means_what_a_record_leads_to_and_fetches_no_other(pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, _, runs = pushed
    fetched: list[str] = []
    fetch = SharedStore.run
    monkeypatch.setattr(SharedStore, "run", lambda self, run: fetched.append(run) or fetch(self, run))
    pairs, vectors = (runs[0].made[step][0].link for step in ("pairs", "train"))
    for reference in (pairs.key, pairs.key[:12], f"pairs/{pairs.key[:12]}", f"pairs/{pairs.key[:6]}", pairs.key[:9]):
        assert resolve_shared(shared, reference).links == (pairs,)
    assert resolve_shared(shared, vectors.key[:12]).vectors == vectors
    assert fetched == []
    for reference in (runs[1].id, runs[1].id[:-3]):
        found = resolve_shared(shared, reference)
        assert found == of_run(fetch(shared, runs[1].id))
        assert found.vectors == runs[1].made["train"][0].link
    assert set(fetched) == {runs[1].id}


@pytest.mark.parametrize(("reference", "number"), [("vectors", 1), ("abcd", 2), ("2026", 3), ("more-2", 6)])
def test_resolve_shared__of_a_name_is_its_newest_run(reference: str, number: int, pushed) -> None:
    assert resolve_shared(pushed[0], reference).run["id"] == pushed[2][number].id


@pytest.mark.parametrize("reference", ["a" * 300, "1" * 5000, "pairs/" + "f" * 300, "p" * 300 + "/ffff", "..", "a/" * 300, "\0"])
def test_resolve_shared__of_what_is_none_says_so(reference: str, pushed) -> None:
    with pytest.raises(UsageError, match="nothing that is called so"):
        resolve_shared(pushed[0], reference)


def test_resolve_shared__of_what_begins_several_runs_asks_for_more_letters(pushed) -> None:
    with pytest.raises(UsageError, match="several things"):
        resolve_shared(pushed[0], "20990101T")


def test_pull__of_a_key_can_be_used_as_a_model(pushed, tmp_path: Path) -> None:
    shared, store, runs = pushed
    other, vectors = Store(tmp_path / "other"), runs[1].made["train"][0].link
    done = pull(shared, other, vectors.key[:12])
    assert (done.run, Registry(other).names()) == ("", [])
    assert find_model(other, done.name).read().similar("king", 3) == find_model(store, "vectors@2").read().similar("king", 3)


def test_pull__of_an_older_run_is_the_newest_version_whoever_asks_and_once_only(pushed, tmp_path: Path) -> None:
    shared, _, runs = pushed
    other = Store(tmp_path / "other")
    for n_versions, run in ((1, runs[1]), (2, runs[0]), (2, runs[1]), (2, runs[0])):
        version = pull(shared, other, run.id).version
        assert (version.run, version.vectors) == (run.id, run.made["train"][0].link)
        assert len(Registry(other).versions("vectors")) == n_versions
    assert resolve(other, "vectors").vectors == find_model(other, "vectors").artifact.link == runs[0].made["train"][0].link
    shutil.rmtree(other.root / "runs")
    assert pull(shared, other, runs[1].id).version.number == 1


def test_pull__and_training_number_versions_alike(pushed, tmp_path: Path) -> None:
    """A, B, and A by another run: what was made, or brought, last is the newest."""
    shared, store, runs = pushed
    directory = tmp_path / "trained"
    shutil.copytree(store.root, directory / "store")
    again = walk(runs[0].configuration, directory / "store", InPlace())
    again.id = "20990101T000009-abcdef"
    again.finish("a test")
    trained, pulled = Store(directory / "store"), Store(tmp_path / "pulled")
    local = SharedStore((tmp_path / "local").as_uri())
    push(trained, local, resolve(trained, again.id))
    for run in runs[:2]:
        pull(shared, pulled, run.id)
    pull(local, pulled, again.id)
    numbered = [[(one.number, one.run, one.vectors) for one in Registry(store).versions("vectors")] for store in (trained, pulled)]
    assert numbered[0] == numbered[1]
    assert [run for _, run, _ in numbered[0]] == [runs[0].id, runs[1].id, again.id]
