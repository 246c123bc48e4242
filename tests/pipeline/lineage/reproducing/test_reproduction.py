"""Things made again from manifests alone, on real small runs of the whole family: the same bytes, or the first difference and why."""

import bz2
import gzip
import importlib
import lzma
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from kernels.lanes import WIDTH_VARIABLE, simd_width
from pipeline.chain import STAGES
from pipeline.errors import InputError, ReproductionError, StoreError, UsageError
from pipeline.events import StepStarted, listening
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent, resolve
from pipeline.lineage.reproducing.reproduction import Reproduction, Result, environment_differences, reproduce
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST, Artifact
from pipeline.storage.keys import digest_of_file
from pipeline.storage.schemas import PHRASES_FILE, VECTORS_FILE
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import SMALL_STORE_STEPS, finished_run, text
from tests.pipeline.small_runs import configured, walk
from tests.pipeline.sources.written import json_lines, table, write_parquet

FAMILY = [
    {},
    {"train__loss": "hierarchical_softmax"},
    {"train__loss": "full_softmax"},
    {"train__model": "cbow"},
    {"train__model": "cbow", "train__loss": "nce", "train__cbow_hidden": "sum"},
    {"train__model": "glove", "glove__epochs": 3},
    {"train__model": "ppmi_svd"},
]
DIMENSIONS = 32  # so many that sums in narrower registers come out otherwise
EPOCHS = 20  # until scores are so large that this changes their gradients


class Several(InPlace):
    """The caller, with several threads for training."""

    n_threads = 3


def again(store: Store, reference: str | Artifact, into: Path, **options: object) -> Reproduction:
    referent = resolve(store, reference) if isinstance(reference, str) else Referent("it", (reference.link,))
    return reproduce(store, referent, Store(into), Several(), **options)


def manifests_of(store: Store, target: Path) -> Store:
    """The store without the files of its artifacts."""
    shutil.copytree(store.root, target, ignore=lambda _, names: [name for name in names if name.endswith(".parquet")])
    return Store(target)


def rewritten(artifact: Artifact, **changes: object) -> None:
    """Change a manifest as somebody who makes the checksum fit."""
    (artifact.directory / MANIFEST).write_text(replace(artifact.manifest, **changes).to_json(), encoding="utf-8")


def results(found: Reproduction) -> dict[str, Result]:
    return {one.recorded.manifest.stage: one.result for one in found.artifacts}


OTHER_WIDTH = "8" if simd_width() == 4 else "4"


def on_another_processor(store: Store, reference: str, into: Path) -> Reproduction:
    """As `again`, in a process whose kernels have registers of another width."""
    with pytest.MonkeyPatch.context() as patch, ProcessPoolExecutor(1, get_context("spawn")) as processes:
        patch.setenv(WIDTH_VARIABLE, OTHER_WIDTH)
        return processes.submit(again, store, reference, into).result()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Run]:
    return finished_run(tmp_path_factory.mktemp("reproduction"), train__dimensions=DIMENSIONS, pairs__epochs=EPOCHS)


@pytest.mark.parametrize("changes", FAMILY, ids=lambda changes: "-".join(map(str, changes.values())) or "skip_gram")
def test_reproduce__gives_the_same_bytes_from_manifests_alone(changes: dict[str, object], tmp_path: Path) -> None:
    store, run = finished_run(tmp_path, **changes)
    found = again(manifests_of(store, tmp_path / "manifests"), run.id, tmp_path / "into")
    expected = {artifact.manifest.key: artifact.manifest.digest for artifact in closure(store, [run.made["evaluate"][0].link]).artifacts}
    assert {one.rebuilt.manifest.key: one.rebuilt.manifest.digest for one in found.artifacts} == expected
    assert found.count(Result.SAME) == len(found.artifacts) == 6
    assert (found.first, found.moved) == (None, ())


def test_stages__say_what_their_settings_are() -> None:
    assert len({stage.settings for stage in STAGES}) == len(STAGES)  # and none is a Section in general


def test_reproduce__reads_every_format_wherever_the_files_are_now(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new" / "deeper"
    old.mkdir()
    lines = [text(seed).splitlines() for seed in range(7)]
    (old / "a.txt").write_bytes("\n".join(lines[0]).encode())
    (old / "b.txt.xz").write_bytes(lzma.compress("\n".join(lines[1]).encode()))
    (old / "c.jsonl").write_bytes(json_lines(lines[2]))
    (old / "d.jsonl.gz").write_bytes(gzip.compress(json_lines(lines[3])))
    (old / "e.csv.bz2").write_bytes(bz2.compress(table(lines[4])))
    (old / "f.tsv").write_bytes(table(lines[5], "\t"))
    write_parquet(old / "g.parquet", lines[6], row_group_size=40)
    (old / "h.txt").write_bytes(b"")
    run = walk(configured(old, corpus__shard_mb=0.003), tmp_path / "store", InPlace(), "vocabulary")
    assert len(run.made["tokenize"]) > 10
    new.mkdir(parents=True)
    for number, path in enumerate(sorted(old.iterdir())):
        path.rename(new / f"{number}.moved")
    for artifact in (run.made["vocabulary"][0], run.made["snapshot"][0]):
        into = tmp_path / artifact.manifest.stage
        with pytest.raises(InputError, match="7 files") as caught:
            again(run.store, artifact, into)
        for path in sorted(new.iterdir())[:7]:
            assert digest_of_file(path) in str(caught.value)
        found = again(run.store, artifact, into, sources=[tmp_path / "new"])
        assert found.count(Result.SAME) == len(found.artifacts)
        assert len(found.moved) == 7
        # One that is there, but is not what it was.
        (new / "0.moved").rename(tmp_path / "aside")
        (old / "a.txt").write_text(text(99), encoding="utf-8")
        with pytest.raises(InputError, match="other bytes now"):
            again(run.store, artifact, tmp_path / "none", sources=[tmp_path / "new"])
        (tmp_path / "aside").rename(new / "0.moved")
        (old / "a.txt").unlink()


def test_reproduce__finds_files_where_a_newer_run_read_them_and_files_that_grew(tmp_path: Path) -> None:
    store, run = finished_run(tmp_path)
    (tmp_path / "text-1.txt").rename(tmp_path / "renamed.txt")
    walk(configured(tmp_path / "renamed.txt", tmp_path / "text-2.txt"), store.root).finish("a test")
    with (tmp_path / "text-2.txt").open("a", encoding="utf-8") as file:
        file.write(text(3))
    found = again(store, run.made["vocabulary"][0], tmp_path / "into")
    assert found.count(Result.SAME) == len(found.artifacts) == 3
    assert [(Path(moved.before).name, Path(moved.now).name) for moved in found.moved] == [("text-1.txt", "renamed.txt")]


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "frozen"])
def test_reproduce__knows_phrases_words_first_vectors_and_tables_by_content(counted: bool, tmp_path: Path) -> None:
    words = {"tokenize__stop_words": str(tmp_path / "stop.txt"), "tokenize__normalize": "nfkc", "tokenize__digits": "map"}
    (tmp_path / "stop.txt").write_text("with\nnear\n")
    (tmp_path / "connectors.txt").write_text("of\nand\n")
    counting = {"phrases__thresholds": [0.1, 0.01], "phrases__min_count": 2, "phrases__connector_words": str(tmp_path / "connectors.txt")}
    store, first = finished_run(tmp_path, **words, **counting)
    run = first
    if not counted:
        files = [("phrases-1", PHRASES_FILE), ("phrases-2", PHRASES_FILE), ("train", VECTORS_FILE)]
        copies = [shutil.copy(first.made[step][0].path(name), tmp_path / f"{step}.parquet") for step, name in files]
        taken = {"phrases__frozen": list(map(str, copies[:2])), "train__initial": str(copies[2]), "train__frozen": "output"}
        (tmp_path / "text-2.txt").write_text(text(3), encoding="utf-8")  # of the same text all after the phrases would be reused
        run = walk(configured(*sorted(tmp_path.glob("text-*.txt")), **words, **taken), store.root)
        for path in copies:
            Path(path).unlink()
    for name in ("stop.txt", "connectors.txt"):
        (tmp_path / name).unlink()
    found = again(store, run.made["evaluate"][0], tmp_path / "into")
    assert found.count(Result.SAME) == len(found.artifacts) == 8
    assert [one.step for one in found.artifacts if one.recorded.manifest.stage == "phrases"] == ["phrases-1", "phrases-2"]
    assert len(found.moved) == (0 if counted else 3)


@pytest.fixture
def own_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module with a tokenizer of one's own that leaves out the letters in a file."""
    path = tmp_path / "own_tokenizer.py"
    path.write_text(
        "def make(path):\n    skipped = set(open(path).read())\n    return lambda line: [w for w in line.split() if w[0] not in skipped]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield path
    sys.modules.pop("own_tokenizer", None)


@pytest.mark.filterwarnings("ignore:unclosed file")
def test_reproduce__calls_a_tokenizer_only_when_it_is_trusted_and_finds_that_it_has_changed(own_tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("tz")
    own = {"tokenizer": "own_tokenizer:make", "tokenizer_file": str(tmp_path / "letters.txt"), "tokenizer_version": "1"}
    store, run = finished_run(tmp_path, **{f"tokenize__{name}": value for name, value in own.items()})
    with pytest.raises(ReproductionError, match="no part of this program") as refused:
        again(store, run.id, tmp_path / "into")
    assert "--trust own_tokenizer:make" in str(refused.value)
    trusted = {"trusted": ["own_tokenizer:make"], "sources": [tmp_path / "moved"]}
    (tmp_path / "moved").mkdir()
    (tmp_path / "letters.txt").rename(tmp_path / "moved" / "by any name")
    same = again(store, run.id, tmp_path / "same", **trusted)
    assert (same.count(Result.SAME), len(same.moved)) == (6, 1)
    # The function changes, and its version does not.
    own_tokenizer.write_text(own_tokenizer.read_text().replace("w[0]", "w[-1]"))
    os.utime(own_tokenizer, (1, 1))
    importlib.invalidate_caches()
    importlib.reload(sys.modules["own_tokenizer"])
    found = again(store, run.id, tmp_path / "other", **trusted)
    assert results(found) == dict.fromkeys(SMALL_STORE_STEPS, Result.SAME) | {"tokenize": Result.DIFFERENT}
    assert found.first is found.artifacts[0]
    assert [file.name for file in found.first.files] == ["lexicon.parquet", "sentences.parquet"]
    assert all(file.cell for file in found.first.files)
    assert environment_differences(found.first) == ()
    vocabulary = next(one for one in found.artifacts if one.step == "vocabulary")
    assert {artifact.directory for artifact in vocabulary.stands_in} == {artifact.directory for artifact in run.made["tokenize"]}


def test_reproduce__finds_a_real_difference_and_what_explains_it(finished, tmp_path: Path) -> None:
    store, run = finished
    found = on_another_processor(store, "vectors", tmp_path / "into")
    assert results(found) == dict.fromkeys(SMALL_STORE_STEPS, Result.SAME) | {"train": Result.DIFFERENT}
    assert found.first.recorded.directory == run.made["train"][0].directory
    vectors = next(file for file in found.first.files if file.name == VECTORS_FILE)
    assert vectors.then.n_rows == vectors.now.n_rows
    assert vectors.cell.column.startswith(("input[", "output["))
    assert 0 < vectors.largest < 1e-3
    decided = [difference for difference in environment_differences(found.first) if difference.decides]
    assert [difference.name for difference in decided] == ["simd_width"]
    assert decided[0].now == OTHER_WIDTH != decided[0].then
    evaluation = found.artifacts[-1]
    assert [artifact.directory for artifact in evaluation.stands_in] == [run.made["train"][0].directory]
    # Without its files nothing can be looked into, and what was made from it not be made: damaged is as good as gone.
    bare = manifests_of(store, tmp_path / "bare")
    damaged = bare.root / "train" / run.made["train"][0].directory.name / VECTORS_FILE
    content = run.made["train"][0].path(VECTORS_FILE).read_bytes()
    damaged.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    without = on_another_processor(bare, "vectors", tmp_path / "without")
    assert results(without) == dict.fromkeys(SMALL_STORE_STEPS, Result.SAME) | {
        "train": Result.DIFFERENT,
        "evaluate": Result.NOT_COMPARED,
    }
    assert all(file.cell is None and "not in the store as it was" in file.unknown for file in without.first.files)
    assert [artifact.manifest.stage for artifact in without.artifacts[-1].lacks] == ["train"]


@pytest.mark.parametrize("n_threads", [1, 2])
def test_reproduce__does_not_call_shared_training_a_failure(n_threads: int, tmp_path: Path) -> None:
    store, run = finished_run(tmp_path, train__mode="shared", train__dimensions=DIMENSIONS, cluster__threads=n_threads)
    if n_threads == 1:  # is repeated by one thread, whoever asks
        assert again(store, run.id, tmp_path / "same").count(Result.SAME) == 6
        return
    found = on_another_processor(store, run.id, tmp_path / "into")  # where it surely comes out otherwise
    assert results(found) == dict.fromkeys(SMALL_STORE_STEPS, Result.SAME) | {"train": Result.UNREPEATABLE}
    assert found.first is None


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"stage_version": 99}, "version of train: 99"),
        ({"settings": {"dimensions": 8, "rotations": 3}}, "setting rotations"),
        ({"settings": {"dimensions": 0}}, "setting dimensions"),
        ({"stage": "distil"}, "stage: distil"),
    ],
)
def test_reproduce__refuses_what_another_program_made(changes: dict[str, object], part: str, finished, tmp_path: Path) -> None:
    store, run = finished
    artifact = run.made["train"][0]
    copy = Store(tmp_path / "store")
    shutil.copytree(store.root, copy.root)
    if "stage" in changes:
        (copy.root / "distil").mkdir()
        shutil.copytree(artifact.directory, copy.root / "distil" / artifact.directory.name)
    there = copy.root / changes.get("stage", "train") / artifact.directory.name
    rewritten(replace(artifact, directory=there), **changes, environment={**artifact.manifest.environment, "commit": "abc123-dirty"})
    with pytest.raises(ReproductionError) as caught:
        again(copy, f"{there.parent.name}/{artifact.manifest.key}", tmp_path / "into")
    assert part in str(caught.value)
    assert "git checkout abc123, with changes" in str(caught.value)
    assert not (tmp_path / "into").exists()


def test_reproduce__refuses_a_text_that_was_cut_into_words_by_other_rules(finished, tmp_path: Path) -> None:
    store, run = finished
    copy = manifests_of(store, tmp_path / "store")
    artifact = run.made["tokenize"][0]
    there = replace(artifact, directory=copy.root / "tokenize" / artifact.directory.name)
    rewritten(there, parameters={**artifact.manifest.parameters, "definition": 99})
    with pytest.raises(ReproductionError, match="otherwise") as caught:
        again(copy, artifact.manifest.key, tmp_path / "into")
    assert "parameter definition of tokenize: 99" in str(caught.value)


def test_reproduce__refuses_manifests_that_contradict_themselves_or_are_missing(finished, tmp_path: Path) -> None:
    store, run = finished
    copy = manifests_of(store, tmp_path / "store")
    artifact = replace(run.made["vocabulary"][0], directory=copy.root / "vocabulary" / run.made["vocabulary"][0].directory.name)
    rewritten(artifact, parameters={**artifact.manifest.parameters, "min_count": 2})
    with pytest.raises(StoreError, match="key is not that of"):
        again(copy, run.id, tmp_path / "into")
    tokenized = replace(run.made["tokenize"][0], directory=copy.root / "tokenize" / run.made["tokenize"][0].directory.name)
    (link,) = tokenized.manifest.inputs["source"]
    for origin in ({"place": "/"}, {"location": "/", "start": 0}, {"location": "/", "start": "a", "stop": [], "format": "pickle"}):
        rewritten(tokenized, inputs={"source": (replace(link, origin=origin),)})
        with pytest.raises(StoreError, match="does not say which file"):
            again(copy, tokenized.manifest.key, tmp_path / "into")
    shutil.rmtree(artifact.directory)
    with pytest.raises(StoreError, match="not even its manifest") as caught:
        again(copy, run.id, tmp_path / "into")
    assert f"vocabulary/{artifact.manifest.key[:12]}" in str(caught.value)


def test_reproduce__refuses_places_that_have_what_is_to_be_made(finished, tmp_path: Path) -> None:
    store, run = finished
    (tmp_path / "link").symlink_to(store.root)
    with pytest.raises(UsageError, match="store itself"):
        again(store, run.id, tmp_path / "link")
    shutil.copytree(store.root, tmp_path / "copy")
    with pytest.raises(UsageError, match="copies"):
        again(store, run.id, tmp_path / "copy")


def test_reproduce__interrupted_goes_on_and_leaves_the_store_as_it_was(finished, tmp_path: Path) -> None:
    store, run = finished
    before = {path: path.stat().st_mtime_ns for path in store.root.rglob("*")}

    def interrupt(event: object) -> None:
        if isinstance(event, StepStarted) and event.step == "train":
            raise KeyboardInterrupt

    with listening(interrupt), pytest.raises(KeyboardInterrupt):
        again(store, run.id, tmp_path / "into")
    kept = {path: path.stat().st_ino for path in (tmp_path / "into").rglob(MANIFEST)}
    assert {path.parent.parent.name for path in kept} == {"tokenize", "vocabulary", "pairs"}
    reasons: list[str] = []
    with listening(lambda event: reasons.append(event.reason) if isinstance(event, StepStarted) else None):
        found = again(store, run.id, tmp_path / "into")
    assert found.count(Result.SAME) == 6
    assert {path: path.stat().st_ino for path in kept} == kept
    assert ["earlier reproduction" in reason for reason in reasons] == [True, True, True, False, False]
    assert {path: path.stat().st_mtime_ns for path in store.root.rglob("*")} == before
