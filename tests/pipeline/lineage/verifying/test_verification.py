"""A store in which one thing is changed: it is found, and named, whatever it is."""

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.configuration_file import parse_configuration
from pipeline.errors import UsageError
from pipeline.journal import JOURNAL
from pipeline.lineage.keeping.retention import keep
from pipeline.lineage.references import resolve
from pipeline.lineage.sharing.transfer import push
from pipeline.lineage.verifying.findings import Wrong
from pipeline.lineage.verifying.verification import verify, verify_all
from pipeline.run import Run
from pipeline.storage.artifact import MANIFEST, Artifact, Link, Manifest, Tally
from pipeline.storage.locks import OF_STORE
from pipeline.storage.records import RECORD
from pipeline.storage.registry import Registry
from pipeline.storage.schemas import VOCABULARY
from pipeline.storage.sealed import checksum_of, sealed
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import CHECKPOINTS, RUNS, Store
from pipeline.storage.tables import write_table
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import walk

PHRASES = {"phrases__thresholds": [1.0], "phrases__min_count": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Run]:
    """A store with everything that a store can have. Tests that change it put it back."""
    store, run = finished_run(tmp_path_factory.mktemp("verified"), **PHRASES)
    Registry(store).move("vectors", "production", 1, "first", 0)
    Registry(store).move("vectors", "production", 1, "again", 1)
    store.checkpoints("cd" * 32, 1.0).write(
        7, {"n": 1}, {"by": "a test"}, lambda path: (path / "input.npy").write_bytes(b"1" * 999) and None
    )
    return store, run


@pytest.fixture(scope="module")
def borrowed(finished: tuple[Store, Run], tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store whose run has reused everything from a shared one, so that most of it is here by its manifests only; and a pin."""
    directory = tmp_path_factory.mktemp("borrowed")
    shared = SharedStore((directory / "shared").as_uri())
    push(finished[0], shared, resolve(finished[0], "vectors"))
    values = finished[1].configuration.model_dump(mode="json")
    values["store"]["shared"] = shared.url
    store = Store(directory / "store")
    walk(parse_configuration(values), store.root).finish("a test")
    keep(store, "vectors@1", "published")
    return store


@pytest.fixture
def copied(finished: tuple[Store, Run], tmp_path: Path) -> tuple[Store, Run]:
    """A copy of that store, to be damaged; the run still says what is what."""
    store = Store(tmp_path / "store")
    shutil.copytree(finished[0].root, store.root)
    return store, finished[1]


def made(store: Store, run: Run, step: str) -> Artifact:
    """The first artifact of a step, where it is in a copy."""
    artifact = run.made[step][0]
    return replace(artifact, directory=store.root / artifact.directory.relative_to(run.store.root))


def own_files(root: Path) -> list[Path]:
    """What has digests: all but the journals, and the file that the store is locked by."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name not in (JOURNAL, OF_STORE))


def test_verify__of_a_store_as_it_was_made_finds_nothing_and_has_looked_at_everything(finished) -> None:
    store, run = finished
    done = verify_all(store)
    assert done.findings == ()
    manifests = [Manifest.read(path) for path in store.root.glob(f"*/*/{MANIFEST}")]
    files = [file for manifest in manifests for file in manifest.files]
    assert (done.n_artifacts, done.n_files) == (len(manifests), len(files))
    assert done.n_bytes == sum(file.size_bytes for file in files)
    assert done.n_records == len(list(store.root.glob("[rmd][uoi]*/**/*.json")))  # runs, models, digests
    assert done.n_outside == 3  # two files, and a set of pairs
    assert done.forgotten == ()
    of_run, of_version, newest = verify(store, run.id), verify(store, "vectors@production"), verify(store)
    assert of_run.findings == of_version.findings == ()
    assert (of_run.n_artifacts, of_version.n_artifacts) == (done.n_artifacts, done.n_artifacts)
    assert replace(newest, elapsed_s=0) == replace(of_run, elapsed_s=0)
    assert verify(store, run.made["pairs"][0].manifest.key).n_artifacts == done.n_artifacts - 3  # without snapshot, vectors and scores


@settings(max_examples=150)
@given(st.data())
def test_verify__finds_and_names_any_flipped_byte(finished, borrowed, data: st.DataObject) -> None:
    """In data, manifests, records, registers, pins, digests and checkpoints."""
    store = data.draw(st.sampled_from([finished[0], borrowed]))
    path = data.draw(st.sampled_from(own_files(store.root)))
    content = path.read_bytes()
    place, bits = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    path.write_bytes(content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :])
    try:
        (found,) = verify_all(store).findings
    finally:
        path.write_bytes(content)
    in_checkpoint = CHECKPOINTS in path.parts
    assert store.root / found.place == (path.parent if in_checkpoint else path)


def test_verify__finds_another_end_of_a_line(copied) -> None:
    """Which Python reads as the usual one."""
    store, run = copied
    for path in (made(store, run, "train").path(MANIFEST), store.root / RUNS / run.id / RECORD):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r", 1))
    assert {found.wrong for found in verify_all(store).findings} == {Wrong.MANIFEST, Wrong.RECORD}


@settings(max_examples=30)
@given(st.data())
def test_verify__finds_and_names_any_file_that_is_gone_or_cut_off(finished, data: st.DataObject) -> None:
    """Records, which come and go, can only be missed by what names them."""
    store, _ = finished
    path = data.draw(st.sampled_from([path for path in own_files(store.root) if (path.parent / MANIFEST).exists() or "part-" in path.name]))
    content, is_cut = path.read_bytes(), data.draw(st.booleans())
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))]) if is_cut else path.unlink()
    try:
        (found,) = verify_all(store).findings
    finally:
        path.write_bytes(content)
    assert store.root / found.place == path
    assert found.wrong in ({Wrong.OTHER_BYTES, Wrong.MANIFEST} if is_cut else {Wrong.MISSING_FILE, Wrong.NO_MANIFEST})


def test_verify__looks_at_manifests_whose_files_are_in_the_shared_store(borrowed) -> None:
    """Edited, or gone while something that is here was made from it, directly or not."""
    paths = sorted(borrowed.root.glob(f"shared/*/*/{MANIFEST}"))
    here = {path.parent.name for path in borrowed.root.glob(f"[!.]*/*/{MANIFEST}")}
    only = [path for path in paths if path.parent.name not in here]
    assert {path.parents[1].name for path in only} == {"snapshot", "tokenize", "phrases", "vocabulary", "pairs"}
    for done in (verify_all(borrowed), verify(borrowed)):
        assert (done.findings, done.n_artifacts, done.n_elsewhere) == ((), 2, len(only))
    for path in only:
        content, stage, key = path.read_bytes(), path.parents[1].name, path.parent.name
        try:
            rewrite(path, parameters={"another": 1})
            for done in (verify_all(borrowed), verify(borrowed)):
                assert [(found.wrong, borrowed.root / found.place) for found in done.findings] == [(Wrong.KEY, path.parent)]
            path.unlink()
            for done in (verify_all(borrowed), verify(borrowed)):
                assert {(found.wrong, found.got) for found in done.findings} == (
                    set() if stage == "snapshot" else {(Wrong.INPUT_GONE, f"no {stage}/{key[:12]}")}
                )
                assert done.forgotten == (f"{stage}/{key}",)
        finally:
            path.write_bytes(content)


FIELDS = list(Manifest.__dataclass_fields__)


@pytest.mark.parametrize("field", ["format", "digest", "checksum", *FIELDS])
def test_verify__finds_every_field_of_a_manifest_that_was_edited(field: str, copied) -> None:
    store, run = copied
    path = made(store, run, "train").path(MANIFEST)
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields[field] = edited(fields[field])
    path.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (found,) = verify_all(store).findings
    assert (found.wrong, store.root / found.place, found.file) == (Wrong.MANIFEST, path, MANIFEST)


def edited(value: object) -> object:
    """Something of the same kind that is not the same."""
    match value:
        case str():
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case int() | float():
            return value + 1
        case dict():
            return value | {"one more": edited(next(iter(value.values())))}
        case list():
            return value[1:]
    raise TypeError


def rewrite(path: Path, **changes: object) -> None:
    """Edit a manifest as somebody does who knows how to write one: its digest and checksum are right again."""
    manifest = replace(Manifest.read(path), **changes)
    fields = json.loads(manifest.to_json())
    del fields["checksum"]
    path.write_text(json.dumps({**fields, "checksum": checksum_of(fields)}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("field", "change", "wrong"),
    [
        ("stage", lambda _: "glove", {Wrong.PLACE}),
        ("key", lambda key: "ab" * 32, {Wrong.PLACE}),
        ("stage_version", lambda version: version + 1, {Wrong.KEY}),
        ("parameters", lambda parameters: parameters | {"seed": 2}, {Wrong.KEY}),
        ("parameters", lambda parameters: parameters | {"dimensions": "many"}, {Wrong.KEY, Wrong.TABLE}),
        ("inputs", lambda inputs: dict(list(inputs.items())[:1]), {Wrong.KEY}),
        ("inputs", lambda inputs: inputs | {"pairs": (replace(inputs["pairs"][0], digest="ab" * 32),)}, {Wrong.KEY, Wrong.INPUT_OTHER}),
        ("inputs", lambda inputs: inputs | {"pairs": (replace(inputs["pairs"][0], key="ab" * 32),)}, {Wrong.INPUT_GONE}),
        ("inputs", lambda inputs: inputs | {"pairs": (Link("../..", "..", ".."),)}, {Wrong.MANIFEST}),
        ("tallies", lambda tallies: more(tallies, 1), {Wrong.TALLY}),
        ("files", lambda files: files[:1], {Wrong.EXTRA, Wrong.INPUT_OTHER, Wrong.REFERENCE}),
        ("files", lambda files: (replace(files[0], size_bytes=1), *files[1:]), {Wrong.OTHER_BYTES}),
        ("files", lambda files: (replace(files[0], n_rows=1), *files[1:]), {Wrong.TABLE}),
    ],
)  # fmt: skip
def test_verify__finds_what_contradicts_the_rest_even_when_checksums_were_made_anew(field: str, change, wrong: set[Wrong], copied) -> None:
    store, run = copied
    artifact = made(store, run, "train")
    rewrite(artifact.path(MANIFEST), **{field: change(getattr(artifact.manifest, field))})
    assert {found.wrong for found in verify_all(store).findings} >= wrong
    assert {found.wrong for found in verify_all(store).findings} - wrong <= {Wrong.INPUT_GONE, Wrong.REFERENCE}  # of who names it


def more(tallies: tuple[Tally, ...], n: int) -> tuple[Tally, ...]:
    """Tallies that add up as before: of each unit so many more came in, and were kept."""
    return tuple(replace(tally, n_in=tally.n_in + n, n_kept=tally.n_kept + n) for tally in tallies)


@pytest.mark.parametrize(
    ("stage", "wanted"),
    [
        ("tokenize", {"sentences kept", "tokens in"}),  # the second is what the next stages say
        ("vocabulary", {"words kept", "tokens in"}),
        ("pairs", {"tokens in", "centres in"}),
    ],
)
def test_verify__finds_tallies_that_add_up_and_are_not_those_of_tables_and_inputs(stage: str, wanted: set[str], copied) -> None:
    store, run = copied
    artifact = made(store, run, stage)
    rewrite(artifact.path(MANIFEST), tallies=more(artifact.manifest.tallies, 1))
    found = [finding for finding in verify_all(store).findings if finding.wrong is Wrong.TALLY]
    assert {finding.got.partition(" ")[2] for finding in found} == wanted
    for finding in found:
        got, expected = (int(text.split()[0].strip(",").replace(",", "")) for text in (finding.got, finding.expected))
        assert abs(got - expected) in (1, run.configuration.pairs.epochs)


def swap(first: Path, second: Path) -> None:
    """Each in the other's place."""
    aside = first.with_name("aside")
    for here, there in ((first, aside), (second, first), (aside, second)):
        here.rename(there)


def other_table(store: Store, run: Run) -> None:
    """A vocabulary in the place of the vectors, and a manifest that says so."""
    artifact = made(store, run, "train")
    table = pa.table({"token": ["a"], "count": [1]}, schema=VOCABULARY)
    record = write_table(artifact.directory, "vectors.parquet", VOCABULARY, table)
    rewrite(artifact.path(MANIFEST), files=(record, *artifact.manifest.files[1:]))


def built_anew(store: Store, run: Run) -> None:
    """The same pairs with other bytes, as a defect could make them."""
    artifact = made(store, run, "pairs")
    first = artifact.manifest.files[0]
    artifact.path(first.name).write_bytes(b"other")
    record = replace(first, size_bytes=5, sha256="d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa")
    rewrite(artifact.path(MANIFEST), files=(record, *artifact.manifest.files[1:]))


def kept_gone(store: Store, run: Run) -> None:
    """Somebody has removed what somebody has asked to keep."""
    snapshot = made(store, run, "snapshot")
    keep(store, snapshot.manifest.key, "")
    shutil.rmtree(snapshot.directory)


def as_link(store: Store, path: Path) -> None:
    """The same things, elsewhere."""
    elsewhere = store.root.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def record_of(store: Store, run: Run) -> Path:
    return store.root / "runs" / run.id / "record.json"


def write_sealed(store: Store, path: Path, **changes: object) -> None:
    """A record as somebody writes one who knows how to."""
    content = store.read_record(path) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(sealed(content | changes, store.place_of(path)), encoding="utf-8")


Damage = Callable[[Store, Run], object]
VECTORS = "vectors.parquet"
DAMAGES: dict[str, tuple[Damage, list[tuple[Wrong, str, str]]]] = {
    "file gone": (lambda store, run: made(store, run, "train").path(VECTORS).unlink(), [(Wrong.MISSING_FILE, "train", VECTORS)]),
    "file empty": (lambda store, run: made(store, run, "train").path(VECTORS).write_bytes(b""), [(Wrong.OTHER_BYTES, "train", VECTORS)]),
    "manifest gone": (lambda store, run: made(store, run, "train").path(MANIFEST).unlink(), [(Wrong.NO_MANIFEST, "train", MANIFEST)]),
    "file more": (lambda store, run: made(store, run, "train").path("notes.txt").touch(), [(Wrong.EXTRA, "train", "notes.txt")]),
    "directory more": (lambda store, run: made(store, run, "train").path(".old").mkdir(), [(Wrong.EXTRA, "train", ".old")]),
    "pipe": (
        lambda store, run: (made(store, run, "train").path(VECTORS).unlink(), os.mkfifo(made(store, run, "train").path(VECTORS))),
        [(Wrong.EXTRA, "train", VECTORS), (Wrong.MISSING_FILE, "train", VECTORS)],
    ),
    "file a link": (lambda store, run: as_link(store, made(store, run, "train").path(VECTORS)), [(Wrong.LINK, "train", VECTORS)]),
    "part a link": (lambda store, run: as_link(store, made(store, run, "pairs").path("epoch-000")), [(Wrong.LINK, "pairs", "epoch-000")]),
    "artifact a link": (lambda store, run: as_link(store, made(store, run, "train").directory), [(Wrong.LINK, "train", "")]),
    "stage a link": (
        lambda store, run: as_link(store, store.root / "vocabulary"),
        [(Wrong.LINK, "", ""), (Wrong.INPUT_GONE, "pairs", ""), (Wrong.INPUT_GONE, "train", "")],
    ),
    "record a link": (
        lambda store, run: as_link(store, record_of(store, run)),
        [(Wrong.LINK, "", "")],
    ),
    "files swapped": (
        lambda store, run: swap(*(made(store, run, "pairs").path(f"epoch-00{n}/part-00000.parquet") for n in (0, 1))),
        [(Wrong.OTHER_BYTES, "pairs", f"epoch-00{n}/part-00000.parquet") for n in (0, 1)],
    ),
    "artifacts swapped": (
        lambda store, run: swap(*(store.root / "tokenize" / artifact.directory.name for artifact in run.made["tokenize"])),
        [(Wrong.PLACE, "tokenize", ""), (Wrong.PLACE, "tokenize", "")],
    ),
    "artifact gone": (lambda store, run: shutil.rmtree(made(store, run, "pairs").directory), [(Wrong.INPUT_GONE, "train", "")]),
    "vectors gone": (
        lambda store, run: shutil.rmtree(made(store, run, "train").directory),
        [(Wrong.INPUT_GONE, "evaluate", ""), (Wrong.REFERENCE, "", "")],
    ),
    "built anew": (
        built_anew,
        [(Wrong.TABLE, "pairs", "epoch-000/part-00000.parquet"), (Wrong.REFERENCE, "", ""), (Wrong.INPUT_OTHER, "train", "")],
    ),
    "another table": (other_table, [(Wrong.TABLE, "train", VECTORS), (Wrong.REFERENCE, "", ""), (Wrong.INPUT_OTHER, "evaluate", "")]),
    "run under another id": (lambda store, run: write_sealed(store, record_of(store, run), id="another"), [(Wrong.REFERENCE, "", "")]),
    "run of another form": (lambda store, run: write_sealed(store, record_of(store, run), steps=[1]), [(Wrong.REFERENCE, "", "")]),
    "kept gone": (kept_gone, [(Wrong.REFERENCE, "", "")]),
    "shared a link": (
        lambda store, run: ((store.root / "shared").mkdir(), as_link(store, store.root / "shared")),
        [(Wrong.LINK, "", "")],
    ),
    "alias of no version": (
        lambda store, run: Registry(store).move("vectors", "staging", 9, "", 0),
        [(Wrong.REFERENCE, "", "")],
    ),
    "move gone": (
        lambda store, run: (store.root / "models/vectors/aliases/production/1.json").unlink(),
        [(Wrong.REFERENCE, "", "")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify__names_what_is_wrong_and_where(damage: str, copied) -> None:
    store, run = copied
    do, expected = DAMAGES[damage]
    do(store, run)
    found = verify_all(store).findings
    seen = {(one.wrong, one.artifact.partition("/")[0], one.file) for one in found}
    assert seen == set(expected)
    for one in found:
        assert one.remedy
        if one.artifact and one.wrong not in (Wrong.LINK, Wrong.PLACE):
            assert (store.root / one.place).is_relative_to(made(store, run, one.artifact.partition("/")[0]).directory.parent)


def test_verify__of_a_swapped_file_says_whose_bytes_they_are(copied) -> None:
    store, run = copied
    DAMAGES["files swapped"][0](store, run)
    first, second = verify_all(store).findings
    key = run.made["pairs"][0].manifest.key[:12]
    assert first.got.endswith(f"those of pairs/{key}/{second.file}")
    assert second.got.endswith(f"those of pairs/{key}/{first.file}")


def test_verify__of_a_reference_looks_at_what_it_was_made_from_and_no_further(copied) -> None:
    store, run = copied
    made(store, run, "train").path(VECTORS).write_bytes(b"")
    assert verify(store, made(store, run, "pairs").manifest.key).findings == ()
    assert [found.wrong for found in verify(store, "vectors").findings] == [Wrong.OTHER_BYTES]
    made(store, run, "vocabulary").path(MANIFEST).write_text("{")
    assert [found.wrong for found in verify(store, "vectors").findings] == [Wrong.OTHER_BYTES, Wrong.MANIFEST]
    shutil.rmtree(made(store, run, "train").directory)
    assert [found.wrong for found in verify(store, run.id).findings] == [Wrong.INPUT_GONE, Wrong.GONE, Wrong.MANIFEST]


def test_verify__takes_what_a_run_no_longer_has_for_history(copied) -> None:
    store, run = copied
    shutil.rmtree(made(store, run, "snapshot").directory)
    for done in (verify_all(store), verify(store)):
        assert done.findings == ()
        assert [place.partition("/")[0] for place in done.forgotten] == ["snapshot"]


def test_verify__of_a_store_without_runs_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No run has finished"):
        verify(Store(tmp_path))
    assert verify_all(Store(tmp_path)).n_artifacts == 0


def test_verify__reports_how_far_it_is_and_ends_its_threads_when_that_is_interrupted(finished) -> None:
    store, _ = finished
    told: list[tuple[int, int]] = []
    done = verify_all(store, lambda n_done, n_all: told.append((n_done, n_all)))
    assert told[-1] == (done.n_bytes, done.n_bytes)
    before = set(threading.enumerate())

    def interrupt(n_done: int, n_all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_all(store, interrupt)
    assert set(threading.enumerate()) <= before
