"""What the ancestors of a model are said to be: all of them, each once, and as they are now."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.lineage.ancestry import SOURCE, Ancestry, State, ancestry
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent, resolve
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST, Artifact
from pipeline.storage.keys import digest_of_file
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import finished_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Store, Run]:
    return finished_run(tmp_path_factory.mktemp("ancestry"), corpus__shard_mb=0.001)


@pytest.fixture
def own(finished, tmp_path: Path) -> tuple[Store, Run]:
    """A copy of the store, to be damaged."""
    store, run = finished
    shutil.copytree(store.root, tmp_path / "store")
    return Store(tmp_path / "store"), run


def of(store: Store) -> Ancestry:
    return ancestry(store, resolve(store, "vectors"))


def the(run: Run, store: Store, step: str) -> Artifact:
    artifact = run.made[step][0]
    return Artifact(store.root / artifact.directory.relative_to(artifact.directory.parents[1]), artifact.manifest)


def test_ancestry__has_every_artifact_once_before_its_inputs(finished) -> None:
    store, _ = finished
    found = of(store)
    members = [one.link for group in found.groups for one in group.ancestors]
    everything = closure(store, resolve(store, "vectors").links)
    assert sorted(members, key=str) == sorted((artifact.link for artifact in everything.artifacts), key=str)
    assert len(everything.artifacts) > 15
    assert [group.stage for group in found.groups] == ["evaluate", "train", "pairs", "vocabulary", "tokenize", SOURCE, "sets"]
    for number, group in enumerate(found.groups):
        assert group.number == number
        assert all(one > number for some in group.inputs.values() for one in some)
        own = {link.stage for artifact in group.artifacts for some in artifact.manifest.inputs.values() for link in some}
        assert {found.groups[one].stage for some in group.inputs.values() for one in some if not found.groups[one].files} == {
            stage for stage in own if not stage.startswith(SOURCE) and "/" not in stage
        }
    assert found.roots == (0,)
    assert not found.problems


def test_ancestry__ends_at_the_files_with_their_digests_bytes_and_tokens(finished) -> None:
    store, run = finished
    (sources,) = [group for group in of(store).groups if group.stage == SOURCE]
    paths = sorted({shard.location for shard in run.observed.shards})
    assert [file.location for file in sources.files] == paths
    for file in sources.files:
        assert file.sha256 == digest_of_file(Path(file.location))
        assert file.size_bytes == Path(file.location).stat().st_size
        assert file.n_tokens == len(Path(file.location).read_text(encoding="utf-8").split())
        assert file.n_parts == sum(shard.location == file.location for shard in run.observed.shards) > 5


def test_ancestry__of_what_is_gone_is_shown_as_missing(own) -> None:
    store, run = own
    shutil.rmtree(the(run, store, "vocabulary").directory)
    (one,) = of(store).problems
    assert (one.link, one.state, one.artifact) == (run.made["vocabulary"][0].link, State.MISSING, None)
    assert len(of(store).groups) == 7  # tokenized text is read by the pairs too


def test_ancestry__of_what_was_edited_is_shown_as_changed(own) -> None:
    store, run = own
    path = the(run, store, "pairs").directory / MANIFEST
    path.write_text(path.read_text(encoding="utf-8").replace('"window": 4', '"window": 5'), encoding="utf-8")
    (one,) = of(store).problems
    assert (one.link.stage, one.state) == ("pairs", State.CHANGED)
    assert "checksum" in one.problem


def test_ancestry__of_what_was_made_again_with_other_bytes_is_shown_as_changed(own) -> None:
    store, run = own
    artifact = the(run, store, "vocabulary")
    fields = json.loads((artifact.directory / MANIFEST).read_text(encoding="utf-8"))
    (file,) = artifact.manifest.files
    other = replace(artifact.manifest, files=(replace(file, sha256="0" * 64),))
    (artifact.directory / MANIFEST).write_text(other.to_json(), encoding="utf-8")
    (one,) = of(store).problems
    assert one.state is State.CHANGED
    assert fields["digest"][:12] in one.problem
    assert other.digest[:12] in one.problem


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")], ids=["removed", "cut"])
def test_ancestry__of_what_lost_a_file_is_shown_as_damaged(damage, own) -> None:
    store, run = own
    artifact = the(run, store, "train")
    damage(artifact.path("vectors.parquet"))
    (one,) = of(store).problems
    assert (one.link.stage, one.state) == ("train", State.DAMAGED)
    assert "vectors.parquet" in one.problem


def test_ancestry__of_one_shard_is_its_part_of_the_file(finished) -> None:
    store, run = finished
    artifact, shard = run.made["tokenize"][3], run.observed.shards[3]
    found = ancestry(store, Referent("one", (artifact.link,)))
    assert [group.stage for group in found.groups] == ["tokenize", SOURCE]
    (file,) = found.groups[1].files
    assert (file.location, file.size_bytes) == (shard.location, shard.stop - shard.start)
