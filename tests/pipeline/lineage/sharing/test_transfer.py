"""Sharing over a directory and two real S3 servers: whole, only what is missing, killed at any moment, and never believed."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import ConfigurationError, SharedStoreError, StoreError, UsageError
from pipeline.events import Event, StepAdvanced, listening
from pipeline.lineage.closure import closure
from pipeline.lineage.keeping.collection import Kind, collect, sweep
from pipeline.lineage.models import find_model
from pipeline.lineage.references import Referent, resolve
from pipeline.lineage.sharing.transfer import pull, push
from pipeline.run import Run
from pipeline.storage.artifact import Artifact, FileRecord, Manifest, key_of
from pipeline.storage.keys import digest_of_file
from pipeline.storage.locks import OF_STORE, using
from pipeline.storage.places import Place
from pipeline.storage.registry import Registry
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import walk
from tests.shared_stores import CREDENTIALS, Server

Finished = tuple[Store, Run]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Finished:
    return finished_run(tmp_path_factory.mktemp("transfer"), corpus__shard_mb=0.003)


@pytest.fixture(scope="module")
def referent(finished) -> Referent:
    return resolve(finished[0], "vectors")


@pytest.fixture
def directory(tmp_path) -> SharedStore:
    return SharedStore((tmp_path / "shared").as_uri())


def place_of(shared: SharedStore) -> Place:
    return shared._place


def artifacts_of(store: Store) -> dict[str, Artifact]:
    return {artifact.manifest.key: artifact for stage in store.stages() for artifact in store.artifacts(stage)}


def objects_of(shared: SharedStore) -> list[str]:
    return place_of(shared).names("objects")


def all_files(root: Path) -> list[str]:
    """All but those that stores are locked by."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != OF_STORE)


def assert_whole(shared: SharedStore) -> None:
    """Whatever can be seen is right, has its inputs, and a run has all that it made."""
    place, known = place_of(shared), {(link.key, link.digest) for link in shared.artifacts()}
    assert all(hashlib.sha256(b"".join(place.blocks(name))).hexdigest() == name.rpartition("/")[2] for name in objects_of(shared))
    for link in shared.artifacts():
        manifest = shared.manifest(link)
        assert all(map(shared.has, manifest.files))
        assert {(one.key, one.digest) for some in manifest.inputs.values() for one in some if not one.is_outside} <= known
    for run in shared.runs():
        steps = shared.run(run)["steps"]
        assert {name for step in steps for name in zip(step["keys"], step["digests"], strict=True)} <= known


def assert_same(store: Store, other: Store) -> None:
    """Both have the same artifacts, down to the bytes; nothing is left over."""
    here, there = artifacts_of(store), artifacts_of(other)
    assert {key: artifact.manifest for key, artifact in here.items()} == {key: artifact.manifest for key, artifact in there.items()}
    for artifact in there.values():
        assert all(digest_of_file(artifact.path(file.name)) == file.sha256 for file in artifact.manifest.files)
    assert [name for name in all_files(other.root) if name.startswith(".") or "/." in name] == []


def test_push_and_pull__bring_all_of_a_model_and_the_second_time_nothing(finished, referent, shared_url, tmp_path) -> None:
    store, run = finished
    shared, other = SharedStore(shared_url), Store(tmp_path / "other")
    pushed = push(store, shared, referent)
    n_files = len({file.sha256 for artifact in artifacts_of(store).values() for file in artifact.manifest.files})
    assert (pushed.n_artifacts, pushed.n_sent, pushed.n_present, pushed.run) == (len(artifacts_of(store)), n_files, 0, run.id)
    assert_whole(shared)
    before = sorted(place_of(shared).names(""))
    again = push(store, shared, referent)
    assert (again.n_sent, again.n_present, again.sent_bytes, again.present_bytes) == (0, n_files, 0, pushed.sent_bytes)
    assert sorted(place_of(shared).names("")) == before

    pulled = pull(shared, other, "vectors")
    assert (pulled.n_sent, pulled.sent_bytes, str(pulled.version), pulled.missing) == (n_files, pushed.sent_bytes, "vectors@1", ())
    assert_same(store, other)
    found = resolve(other, "vectors@1")
    assert (found.run, closure(other, found.links).missing) == (resolve(store, run.id).run, ())
    assert find_model(other, "vectors").read().matrix.shape[1] == 8
    assert pull(shared, other, run.id).n_sent == 0
    assert len(Registry(other).versions("vectors")) == 1


def test_pull__understands_runs_models_and_keys(finished, referent, directory, tmp_path) -> None:
    store, run = finished
    push(store, directory, referent)
    pairs = run.made["pairs"][0].link
    for number, reference in enumerate((pairs.key, pairs.key[:10], f"pairs/{pairs.key[:6]}")):
        other = Store(tmp_path / f"other-{number}")
        pulled = pull(directory, other, reference)
        assert (pulled.name, pulled.version, pulled.run) == (f"pairs/{pairs.key[:12]}", None, "")
        assert other.stages() == ["pairs", "tokenize", "vocabulary"]
    for number, reference in enumerate((run.id, run.id[:-3], "vectors")):
        assert pull(directory, Store(tmp_path / f"whole-{number}"), reference).run == run.id


@pytest.mark.parametrize(
    ("reference", "part"),
    [("vektors", "Did you mean vectors"), ("vectors@1", "in each store"), ("../runs", "nothing"), ("", "nothing"), ("ffff", "nothing")],
)
def test_pull__says_what_there_is(reference: str, part: str, finished, referent, directory, tmp_path) -> None:
    push(finished[0], directory, referent)
    with pytest.raises(UsageError, match=part):
        pull(directory, Store(tmp_path / "other"), reference)
    assert not (tmp_path / "other").exists()


def in_child(what: str, url: str, store: Path, reference: str, ready) -> None:
    """Push or pull in a process that can be killed."""
    os.environ.update(CREDENTIALS)
    ready.set()
    shared, where = SharedStore(url), Store(store)
    push(where, shared, resolve(where, reference)) if what == "push" else pull(shared, where, reference)


@pytest.fixture(scope="module")
def processes():
    """Forked from a process without threads, which has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def killed(processes, after_s: float, *arguments: object) -> bool:
    """Whether a child with these arguments was killed before its end."""
    ready = processes.Event()
    child = processes.Process(target=in_child, args=(*arguments, ready))
    child.start()
    assert ready.wait(60)
    child.join(after_s)
    child.kill()
    child.join()
    return child.exitcode != 0


N_KILLS = 2


def kill_and_push(processes, finished, referent, url, tmp_path, n_kills: int, seed: int) -> int:
    """How many of the pushes, into a new place each, were killed halfway; each is gone on with, and checked."""
    store, run = finished
    moments = random.Random(seed)
    n_halfway = 0
    whole = push(store, SharedStore((tmp_path / "whole").as_uri()), referent)
    for number in range(n_kills):
        shared = SharedStore(url.replace("?", f"/{number}?") if "?" in url else f"{url}/{number}")
        if "?" not in url:
            (tmp_path / "shared").mkdir(exist_ok=True)
        killed(processes, moments.uniform(0.0, 0.4), "push", shared.url, store.root, run.id)
        assert_whole(shared)
        n_there = len(objects_of(shared))
        n_halfway += 0 < n_there < whole.n_sent
        again = push(store, shared, referent)
        assert (again.n_sent, again.n_present) == (whole.n_sent - n_there, n_there)
        assert_whole(shared)
        other = Store(tmp_path / f"after-{number}")
        pull(shared, other, run.id)
        assert_same(store, other)
    return n_halfway


def kill_and_pull(processes, finished, referent, url, tmp_path, n_kills: int, seed: int) -> int:
    """As `kill_and_push`, of pulls into a new store each."""
    store, run = finished
    moments, shared = random.Random(seed), SharedStore(url)
    whole = push(store, shared, referent)
    n_halfway = 0
    for number in range(n_kills):
        other = Store(tmp_path / f"other-{number}")
        killed(processes, moments.uniform(0.0, 0.4), "pull", url, other.root, run.id)
        arrived = {path.name for path in other.root.glob(".incoming/*") if not path.name.startswith(".")}
        arrived |= {file.sha256 for artifact in artifacts_of(other).values() for file in artifact.manifest.files}
        n_halfway += 0 < len(arrived) < whole.n_sent
        assert pull(shared, other, run.id).n_sent == whole.n_sent - len(arrived)
        Store(other.root).remove_abandoned()
        assert_same(store, other)
        assert str(resolve(other, run.id[:20]).run["id"]) == run.id
    return n_halfway


def test_push__killed_at_any_moment_goes_on_with_what_is_missing(processes, finished, referent, shared_url, tmp_path) -> None:
    kill_and_push(processes, finished, referent, shared_url, tmp_path, N_KILLS, 1)


def test_pull__killed_at_any_moment_goes_on_with_what_is_missing(processes, finished, referent, shared_url, tmp_path) -> None:
    kill_and_pull(processes, finished, referent, shared_url, tmp_path, N_KILLS, 2)


@pytest.mark.stress
def test_push_and_pull__killed_100_times_lose_nothing(processes, finished, referent, shared_url, tmp_path) -> None:
    n_pushes = kill_and_push(processes, finished, referent, shared_url, tmp_path, 50, 3)
    shutil.rmtree(tmp_path / "shared", ignore_errors=True)
    n_pulls = kill_and_pull(processes, finished, referent, shared_url, tmp_path, 50, 4)
    assert n_pushes > 0 < n_pulls  # else none was killed halfway


def made_otherwise(store: Store, run: Run, directory: Path) -> tuple[Store, Run]:
    """The same run where training has come out with other bytes, as on another type of CPU."""
    other = Store(directory)
    shutil.copytree(store.root, other.root)
    vectors = run.made["train"][0].manifest
    old = other.find("train", vectors.key)
    path = old.path("rounds.parquet")  # which nothing reads
    path.write_bytes(path.read_bytes() + b" ")
    changed_file = FileRecord(path.name, 1, path.stat().st_size, digest_of_file(path))
    files = (*(file for file in vectors.files if file.name != path.name), changed_file)
    changed = replace(vectors, files=files, environment={**vectors.environment, "processor": "another"})
    (old.directory / "manifest.json").write_text(changed.to_json())
    shutil.rmtree(other.root / "evaluate")
    shutil.rmtree(other.root / "runs")
    shutil.rmtree(other.root / "models")
    again = walk(run.configuration, other.root)
    again.finish("a test")
    return other, again


def test_shared_store__keeps_two_makings_of_one_thing_and_a_store_takes_one(finished, referent, shared_url, tmp_path) -> None:
    store, run = finished
    other, again = made_otherwise(store, run, tmp_path / "otherwise")
    key, digest = again.made["train"][0].manifest.key, again.made["train"][0].manifest.digest
    assert (key, digest) == (run.made["train"][0].manifest.key, digest)
    assert digest != run.made["train"][0].manifest.digest
    shared = SharedStore(shared_url)
    push(store, shared, referent)
    pushed = push(other, shared, resolve(other, "vectors"))
    assert 0 < pushed.n_sent < pushed.n_present
    assert_whole(shared)
    for which, one in ((store, run), (other, again)):
        fresh = Store(tmp_path / f"fresh-{one.id}")
        pull(shared, fresh, one.id)
        assert_same(which, fresh)
    assert pull(shared, fresh, "vectors").run == again.id  # the newest
    before = all_files(store.root)
    with pytest.raises(SharedStoreError, match="with other bytes") as caught:
        pull(shared, store, again.id)
    assert "processor" in caught.value.details["got"]
    assert "another there" in caught.value.details["got"]
    assert "--store" in caught.value.details["remedy"]
    assert all_files(store.root) == before
    with pytest.raises(UsageError, match="several things"):
        pull(shared, Store(tmp_path / "nowhere"), f"train/{key}")


def test_push__of_something_that_is_not_all_there_is_refused_unless_it_is_meant(finished, tmp_path, directory) -> None:
    store, run = Store(tmp_path / "store"), finished[1]
    shutil.copytree(finished[0].root, store.root)
    shutil.rmtree(store.root / "pairs")
    referent = resolve(store, "vectors")
    with pytest.raises(StoreError, match="made from is missing") as caught:
        push(store, directory, referent)
    pairs = run.made["pairs"][0].link
    assert f"pairs/{pairs.key[:12]}" in caught.value.details["got"]
    assert "--partial" in caught.value.details["remedy"]
    assert place_of(directory).names("") == []
    assert [link.key for link in push(store, directory, referent, partial=True).missing] == [pairs.key]
    other = Store(tmp_path / "other")
    with pytest.raises(StoreError, match="made from is missing"):
        pull(directory, other, "vectors")
    assert not other.root.exists()
    assert [link.key for link in pull(directory, other, "vectors", partial=True).missing] == [pairs.key]
    assert find_model(other, "vectors@1").read().matrix.shape[1] == 8
    shutil.rmtree(store.root / "train")
    with pytest.raises(StoreError, match=r"Something of vectors@1 is missing"):
        push(store, directory, referent, partial=True)


def test_push__never_sends_a_file_that_was_damaged(finished, tmp_path, directory) -> None:
    store, run = Store(tmp_path / "store"), finished[1]
    shutil.copytree(finished[0].root, store.root)
    file = run.made["train"][0].manifest.files[0]
    path = store.find("train", run.made["train"][0].manifest.key).path(file.name)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="not what its manifest says") as caught:
        push(store, directory, resolve(store, "vectors"))
    assert caught.value.details["where"] == str(path)
    assert_whole(directory)
    assert directory.runs() == []
    assert not directory.has(file)


def test_push__mends_an_object_of_another_size(finished, referent, shared_url) -> None:
    shared = SharedStore(shared_url)
    push(finished[0], shared, referent)
    victim = objects_of(shared)[3]
    place_of(shared).write(victim, [b"cut off"])
    assert push(finished[0], shared, referent).n_sent == 1
    assert_whole(shared)


def one_artifact(directory: Path, sizes: list[int]) -> tuple[Store, Referent]:
    """A store with an artifact with files of these sizes."""
    store, names = Store(directory), [f"file-{number}" for number in range(len(sizes))]
    key = key_of("made", 1, {}, {})
    with store.building("made", key) as working:
        for name, size in zip(names, sizes, strict=True):
            with (working / name).open("wb") as file:
                file.write(name.encode())
                file.truncate(size)
        files = tuple(FileRecord(name, 1, (working / name).stat().st_size, digest_of_file(working / name)) for name in names)
        store.commit(working, Manifest("made", 1, key, {}, {}, {}, files, (), {}, {}, "2026-01-01T00:00:00+00:00", 0.0))
    return store, resolve(store, key)


def test_push__that_is_interrupted_does_not_send_the_rest(directory, tmp_path) -> None:
    """The second file has begun by then: to hash it takes a hundred times as long as all of the first."""
    store, referent = one_artifact(tmp_path / "store", [1000, 300_000_000])

    def interrupt(event: Event) -> None:
        if isinstance(event, StepAdvanced):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(interrupt):
        push(store, directory, referent)
    small, _ = store.artifacts("made")[0].manifest.files
    assert objects_of(directory) == [f"objects/{small.sha256[:2]}/{small.sha256}"]
    assert directory.artifacts() == []


class StopsAfter(threading.Event):
    """Is set when it has been asked so many times."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n

    def is_set(self) -> bool:
        self.n -= 1
        return self.n < 0


@pytest.mark.parametrize("n_blocks", [0, 3, 12, 13, 20, 23])
def test_send__that_is_stopped_at_any_block_leaves_nothing_that_counts(n_blocks: int, shared_url, tmp_path) -> None:
    """Of 12 blocks, which are hashed and then sent."""
    (artifact,) = one_artifact(tmp_path / "store", [12 << 20])[0].artifacts("made")
    (file,), shared = artifact.manifest.files, SharedStore(shared_url)
    with pytest.raises((InterruptedError, SharedStoreError), match="not sent to its end"):
        shared.send(artifact, file, StopsAfter(n_blocks))
    assert not shared.has(file)
    shared.send(artifact, file, threading.Event())
    assert shared.has(file)
    assert_whole(shared)


def test_push__names_nothing_that_somebody_else_has_cut_off_meanwhile(finished, referent, directory, tmp_path) -> None:
    """Who pushes the same and is interrupted: their objects are ours."""
    push(finished[0], SharedStore((tmp_path / "whole").as_uri()), referent)
    shutil.copytree(tmp_path / "whole" / "objects", tmp_path / "shared" / "objects")
    absent, victim = objects_of(directory)[:2]
    (tmp_path / "shared" / absent).unlink()

    def cut_off(event: Event) -> None:
        if isinstance(event, StepAdvanced):
            place_of(directory).write(victim, [b"cut"])

    with pytest.raises(SharedStoreError, match="went from the shared store") as caught, listening(cut_off):
        push(finished[0], directory, referent)
    assert victim.rpartition("/")[2] in caught.value.details["got"]
    assert directory.artifacts() == directory.runs() == []
    assert push(finished[0], directory, referent).n_sent == 1
    assert_whole(directory)


def rewritten(place: Place, name: str, change: Callable[[dict], None], to: str = "") -> None:
    """Edit JSON in a place; a manifest gets the checksum that belongs to it."""
    content = json.loads(b"".join(place.blocks(name)))
    change(content)
    if "files" in content:
        del content["checksum"]
        content["checksum"] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    place.write(to or name, [json.dumps(content).encode()])


def hostile(place: Place, run: Run, how: str) -> None:
    """Do something to a shared store that its readers must not fall for."""
    train, pairs = (run.made[step][0].manifest for step in ("train", "pairs"))
    of_train = f"manifests/train/{train.key}/{train.digest}.json"
    obj = f"objects/{train.files[0].sha256[:2]}/{train.files[0].sha256}"
    record = f"runs/{run.id}.json"
    match how:
        case "other bytes":
            content = bytearray(b"".join(place.blocks(obj)))
            content[-1] ^= 1
            place.write(obj, [bytes(content)])
        case "more bytes":
            place.write(obj, [b"".join(place.blocks(obj)), b"more"])
        case "fewer bytes":
            place.write(obj, [b"".join(place.blocks(obj))[:-1]])
        case "manifest of another key":
            place.write(of_train, place.blocks(f"manifests/pairs/{pairs.key}/{pairs.digest}.json"))
        case "edited manifest":
            place.write(of_train, [b"".join(place.blocks(of_train)).replace(b'"elapsed_s"', b'"elapsed_z"')])
        case "names that lead out":
            files = [replace(train.files[0], name="../../../out"), *train.files[1:]]
            evil = replace(train, files=tuple(files))
            place.write(f"manifests/train/{train.key}/{evil.digest}.json", [evil.to_json().encode()])
            swap = lambda fields: [step.update(digests=[evil.digest]) for step in fields["steps"] if step["step"] == "train"]  # noqa: E731
            rewritten(place, record, swap)
        case "inputs that lead out":
            rewritten(place, of_train, lambda fields: fields["inputs"]["pairs"][0].update(stage="../../etc"))
        case "a stage that is none":
            rewritten(place, record, lambda fields: fields["steps"][0].update(stage="../models"))
        case "a run that is another":
            rewritten(place, record, lambda fields: fields.update(id="../../x"))
        case "a model that leads out":
            rewritten(place, record, lambda fields: fields.update(name="../../x"))
        case "a record that would be damaged here":
            rewritten(place, record, lambda fields: fields.update(checksum="ours"))
        case "a text that no file can have":
            rewritten(place, record, lambda fields: fields.update(started_by="\ud800"))
        case "no JSON":
            place.write(of_train, [b"[" * 100_000])
        case "manifest under the key of another":
            evil = replace(train, parameters=train.parameters | {"seed": 7})
            place.write(of_train, [evil.to_json().encode()])
        case "parameters without end":
            deep: dict = {}
            for _ in range(600):
                deep = {"a": deep}
            place.write(of_train, [replace(train, parameters=deep).to_json().encode()])
        case "a file twice":
            evil = replace(train, files=(*train.files, train.files[0]))
            place.write(f"manifests/train/{train.key}/{evil.digest}.json", [evil.to_json().encode()])
            swap = lambda fields: [step.update(digests=[evil.digest]) for step in fields["steps"] if step["step"] == "train"]  # noqa: E731
            rewritten(place, record, swap)


HOSTILE = [
    "other bytes",
    "more bytes",
    "fewer bytes",
    "manifest of another key",
    "edited manifest",
    "names that lead out",
    "inputs that lead out",
    "a stage that is none",
    "a run that is another",
    "a model that leads out",
    "a record that would be damaged here",
    "a text that no file can have",
    "no JSON",
    "a file twice",
    "manifest under the key of another",
    "parameters without end",
]


@pytest.mark.parametrize("how", HOSTILE)
def test_pull__takes_nothing_from_a_store_that_lies(how: str, finished, referent, directory, tmp_path) -> None:
    store, run = finished
    push(store, directory, referent)
    hostile(place_of(directory), run, how)
    other = Store(tmp_path / "deep" / "er" / "other")
    with pytest.raises(SharedStoreError) as caught:
        pull(directory, other, run.id)
    assert "Nothing of it was taken" in caught.value.details["remedy"]
    assert artifacts_of(other) == {}
    assert Registry(other).names() == other.records("runs") == []
    assert {Path(name).parts[0] for name in all_files(tmp_path)} <= {"shared", "deep"}
    assert all(name.startswith("deep/er/other/.incoming/") for name in all_files(tmp_path) if name.startswith("deep"))


def test_pull__that_did_not_finish_leaves_what_gc_names(finished, referent, directory, tmp_path) -> None:
    store, run = finished
    push(store, directory, referent)
    hostile(place_of(directory), run, "other bytes")
    other = Store(tmp_path / "other")
    with pytest.raises(SharedStoreError):
        pull(directory, other, run.id)
    n_arrived = len(list(other.root.glob(".incoming/*")))
    assert n_arrived > 0
    (left,) = collect(other).going
    assert (left.kind, left.place, left.why) == (Kind.WORK, ".incoming", "a pull, or a run, did not finish")
    with using(other.root):
        assert "may be arriving now" in collect(other).going[0].why
    assert sweep(other).going == (left,)
    assert all_files(other.root) == []


def test_shared_store__says_clearly_what_cannot_be_used(s3_servers: dict[str, Server], referent, finished, tmp_path, monkeypatch) -> None:
    store = finished[0]
    other = Store(tmp_path / "other")
    nobody = Server("127.0.0.1:1")
    for server, bucket, part in (
        (s3_servers["moto"], "nobodys", "no bucket nobodys"),
        (s3_servers["rclone"], "nobodys", "no bucket nobodys"),
        (nobody, "team", "NETWORK_CONNECTION"),
    ):
        shared = SharedStore(server.url("store", bucket))
        for tried in (lambda shared=shared: push(store, shared, referent), lambda shared=shared: pull(shared, other, "vectors")):
            with pytest.raises(SharedStoreError, match="cannot be used") as caught:
                tried()
            assert part in caught.value.details["got"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something-else")
    for name in ("nothing", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
        with pytest.raises(SharedStoreError, match="refuses you") as caught:
            SharedStore(s3_servers["rclone"].url("store")).check()
        assert "AWS_ACCESS_KEY_ID" in caught.value.details["remedy"]
    assert not other.root.exists()


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("/mnt/team", "Did you mean file:///mnt/team"),
        ("http://host/team", "not the URL of a shared store"),
        ("s3://", "not the URL"),
        ("file://", "not the URL"),
        ("s3://key:secret@team/store", "holds credentials"),
        ("s3://team/store?secret_key=x", "holds credentials"),
        ("s3://team/store?reigon=x", "unknown option"),
    ],
)
def test_shared_store__refuses_what_is_no_address(url: str, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part) as caught:
        SharedStore(url)
    assert "secret@" not in str(caught.value)


def test_places__are_alike(shared_url, tmp_path) -> None:
    place = place_of(SharedStore(shared_url))
    if shared_url.startswith("file"):
        (tmp_path / "shared").mkdir()
    big = os.urandom(11_000_000)
    for name, blocks in {"a/b": [b"12", b"3"], "a/c/d": [], "e": [big[:5_000_000], big[5_000_000:]], "a/b2": [b"x"]}.items():
        place.write(name, blocks)
    assert place.names("a") == ["a/b", "a/b2", "a/c/d"]
    assert place.names("nowhere") == []
    assert [place.size(name) for name in ("a/b", "a/c/d", "e", "f", "a")] == [3, 0, len(big), None, None]
    assert (b"".join(place.blocks("a/b")), b"".join(place.blocks("e"))) == (b"123", big)
    with pytest.raises(FileNotFoundError):
        list(place.blocks("f"))

    def fails_halfway():
        yield big[:7_000_000]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place.write("cut", fails_halfway())
    assert place.size("cut") in (None, 7_000_000)
    place.write("a/b", [b"new"])
    assert b"".join(place.blocks("a/b")) == b"new"
    place.check()
