"""A shared store as a cache: what a colleague has made is reused by its manifests, and nothing that goes wrong there stops a run."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.configuration import Configuration
from pipeline.configuration_file import parse_configuration
from pipeline.errors import ConfigurationError, InputError
from pipeline.events import Event, RunWarned, StepFinished, listening
from pipeline.lineage.closure import closure
from pipeline.lineage.keeping.collection import Kind, collect, sweep
from pipeline.lineage.references import resolve
from pipeline.lineage.sharing.transfer import pull, push
from pipeline.lineage.verifying.verification import verify, verify_all
from pipeline.plan import plan
from pipeline.run import Run, read_through
from pipeline.storage.artifact import MANIFEST, Manifest
from pipeline.storage.shared import SharedStore
from pipeline.storage.store import SHARED, Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import configured, digests, walk

STEPS = ("snapshot", "tokenize", "vocabulary", "pairs", "train", "evaluate")


@pytest.fixture(scope="module")
def colleague(tmp_path_factory) -> tuple[Store, Run]:
    return finished_run(tmp_path_factory.mktemp("colleague"), corpus__shard_mb=0.003)


@pytest.fixture(scope="module")
def alone(colleague, tmp_path_factory) -> list[str]:
    """The digests of a run with more dimensions that nobody has helped."""
    return digests(walk(changed(colleague[1]), tmp_path_factory.mktemp("alone")), *STEPS)


def changed(run: Run, shared: str = "", dimensions: int = 12) -> Configuration:
    """The configuration of the colleague, with other vectors and a shared store."""
    values = run.configuration.model_dump(mode="json")
    values["train"]["dimensions"] = dimensions
    values["store"]["shared"] = shared
    return parse_configuration(values)


def walked(configuration: Configuration, store: Path) -> tuple[Run, list[Event]]:
    heard: list[Event] = []
    with listening(heard.append):
        run = walk(configuration, store)
    return run, heard


def stages_of(store: Store) -> list[str]:
    return [stage for stage in store.stages() if store.artifacts(stage)]


def test_run__takes_over_what_a_colleague_has_made_and_fetches_only_results(colleague, shared_url, tmp_path) -> None:
    store, run = colleague
    push(store, SharedStore(shared_url), resolve(store, "vectors"))
    other, configuration = Store(tmp_path / "other"), changed(run, shared_url, 8)
    planned = plan(configuration, read_through(configuration, other))
    assert all(one.reused and one.n_shared == len(one.wanted) for one in planned)
    assert {one.reason for one in planned} == {"same parameters, same inputs, in the shared store"}
    assert not other.root.exists()
    mine, heard = walked(configuration, other.root)
    mine.finish("a test")
    assert digests(mine, *STEPS) == digests(run, *STEPS)
    assert [(record.n_shared, record.n_reused) for record in mine.records] == [(len(record.keys),) * 2 for record in run.records]
    assert [(event.n_shared > 0, event.reused) for event in heard if isinstance(event, StepFinished)] == [(True, True)] * len(STEPS)
    assert not [event for event in heard if isinstance(event, RunWarned)]
    assert stages_of(other) == ["evaluate", "train"]
    found = resolve(other, "vectors@1")
    whole = closure(other, found.links)
    assert [artifact.manifest for artifact in whole.artifacts] == [artifact.manifest for artifact in closure(store, found.links).artifacts]
    assert whole.missing == ()
    assert {artifact.manifest.stage for artifact in whole.artifacts if not artifact.is_here} == {"tokenize", "vocabulary", "pairs"}
    assert resolve(other, run.made["pairs"][0].manifest.key[:8]).links == (run.made["pairs"][0].link,)
    assert sweep(other).going == ()
    assert closure(other, found.links) == whole
    for verified in (verify(other), verify_all(other)):
        n_elsewhere = sum(len(record.keys) for record in mine.records) - 2
        assert (verified.findings, verified.forgotten, verified.n_artifacts, verified.n_elsewhere) == ((), (), 2, n_elsewhere)
    assert find_reused(walked(changed(run, "", 8), other.root)[0]) == {"train": True, "evaluate": True} | dict.fromkeys(STEPS[:4], False)


def test_sweep__removes_manifests_that_nothing_which_is_needed_was_made_from(colleague, tmp_path) -> None:
    """Those of what was made before those of what it was made from: after a kill what is left has all of its inputs."""
    shared = SharedStore((tmp_path / "shared").as_uri())
    push(colleague[0], shared, resolve(colleague[0], "vectors"))
    store = Store(tmp_path / "mine")
    walked(changed(colleague[1], shared.url, 8), store.root)[0].finish("a test")
    paths = {store.place_of(path.parent) for path in store.root.glob(f"{SHARED}/*/*/{MANIFEST}")}
    assert collect(store).going == ()
    going = [leaving.place for leaving in collect(store, 0).going if leaving.kind is Kind.DESCRIPTION]
    assert (set(going), len(going)) == (paths, len(paths))
    while going:
        store.discard(going.pop(0))
        inputs = [Manifest.read(store.root / place / MANIFEST).inputs for place in going]
        links = [link for some in inputs for links in some.values() for link in links if not link.is_outside]
        assert {f"{SHARED}/{link.stage}/{link.key[:32]}" for link in links} <= set(going)
        if len(going) == 3:
            assert {leaving.place for leaving in collect(store, 0).going if leaving.kind is Kind.DESCRIPTION} == set(going)
    assert [leaving.stage for leaving in sweep(store, 0).going] == ["evaluate", "train"]
    assert verify_all(store).findings == ()


def find_reused(run: Run) -> dict[str, bool]:
    return {record.step: record.n_reused == len(record.keys) for record in run.records}


def test_run__fetches_what_a_step_reads_that_must_be_built(colleague, alone, shared_url, tmp_path) -> None:
    store, run = colleague
    push(store, SharedStore(shared_url), resolve(store, "vectors"))
    other = Store(tmp_path / "other")
    mine, heard = walked(changed(run, shared_url), other.root)
    mine.finish("a test")
    assert digests(mine, *STEPS) == alone
    assert stages_of(other) == ["evaluate", "pairs", "train", "vocabulary"]
    assert {record.step: record.n_shared for record in mine.records if not record.n_shared} == {"train": 0, "evaluate": 0}
    assert mine.records[-2].reason == "nothing like it in the store yet"
    assert not [event for event in heard if isinstance(event, RunWarned)]
    # What was reused is shared again with what is new, though it never came here as a whole.
    again = push(other, SharedStore(shared_url), resolve(other, "vectors"))
    assert (again.missing, again.n_artifacts) == ((), sum(len(record.keys) for record in run.records))
    third = Store(tmp_path / "third")
    assert pull(SharedStore(shared_url), third, mine.id).missing == ()
    assert digests(walked(changed(run), third.root)[0], *STEPS) == alone
    assert not (third.root / SHARED).exists()


def test_run__with_some_shards_of_a_colleagues_tokenizes_the_others(colleague, tmp_path) -> None:
    store, run = colleague
    shared = SharedStore((tmp_path / "shared").as_uri())
    push(store, shared, resolve(store, "vectors"))
    location = Path(next(shard.location for shard in run.observed.shards))
    more = tmp_path / "more.txt"
    more.write_text(location.read_text()[:5000].rpartition("\n")[0] + "\n" + "the king saw a new tiger in the land\n" * 100)
    paths = [*run.configuration.corpus.paths, str(more)]
    configuration = configured(*map(Path, paths), corpus__shard_mb=0.003, store__shared=shared.url)
    other = Store(tmp_path / "other")
    mine, _ = walked(configuration, other.root)
    tokenized = mine.records[1]
    assert 0 < tokenized.n_shared == tokenized.n_reused < len(tokenized.keys)
    assert "in the shared store" in tokenized.reason
    assert all(artifact.is_here for artifact in mine.made["tokenize"])  # the vocabulary was counted anew
    assert digests(mine, *STEPS) == digests(walked(configured(*map(Path, paths), corpus__shard_mb=0.003), tmp_path / "alone")[0], *STEPS)


def test_run__goes_on_without_a_store_that_does_not_answer(colleague, alone, s3_servers, tmp_path) -> None:
    urls = [s3_servers["moto"].url("x", bucket="nobodys"), "s3://team/x?endpoint_override=127.0.0.1:1&scheme=http"]
    for number, url in enumerate([*urls, (tmp_path / "not" / "mounted").as_uri()]):
        run, heard = walked(changed(colleague[1], url), tmp_path / f"store-{number}")
        (warning,) = [event.message for event in heard if isinstance(event, RunWarned)]
        assert "The run goes on without it" in warning
        assert url in warning
        assert digests(run, *STEPS) == alone
        assert not any(record.n_shared for record in run.records)


def forge_circle(root: Path, run: Run) -> None:
    """A vocabulary that was made from tokens that were made from it, all with the keys of their parameters and inputs."""
    vocabulary, tokens = (run.made[step][0].manifest for step in ("vocabulary", "tokenize"))
    forged = replace(tokens, inputs={"words": (run.made["vocabulary"][0].link,)})
    forged = replace(forged, key=forged.computed_key)
    (name, links), *_ = vocabulary.inputs.items()
    links = tuple(replace(link, key=forged.key) if link.digest == tokens.digest else link for link in links)
    for manifest in (forged, replace(vocabulary, inputs=dict(vocabulary.inputs) | {name: links})):
        assert manifest.key == manifest.computed_key
        path = root / "manifests" / manifest.stage / manifest.key / f"{manifest.digest}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(manifest.to_json())


FORGED = ("manifest of another", "manifest under the key of another", "made from each other")


@pytest.mark.parametrize("how", ["object gone", "object with other bytes", *FORGED, "all gone"])
def test_run__builds_what_the_shared_store_only_says_that_it_has(how: str, colleague, alone, tmp_path) -> None:
    store, run = colleague
    shared, root = SharedStore((tmp_path / "shared").as_uri()), tmp_path / "shared"
    push(store, shared, resolve(store, "vectors"))
    pairs = run.made["pairs"][0].manifest
    path = root / "manifests" / "pairs" / pairs.key / f"{pairs.digest}.json"
    victim = root / "objects" / pairs.files[0].sha256[:2] / pairs.files[0].sha256
    heard: list[Event] = []

    def damage() -> None:
        match how:
            case "object gone":
                victim.unlink()
            case "object with other bytes":
                victim.write_bytes(victim.read_bytes()[:-1] + b"!")
            case "manifest of another":
                train = run.made["train"][0].manifest
                path.write_text(train.to_json())
            case "manifest under the key of another":
                path.write_text(replace(pairs, parameters=pairs.parameters | {"window": 2}).to_json())
            case "made from each other":
                forge_circle(root, run)
            case "all gone":
                shutil.rmtree(root)

    if how in FORGED:  # which a run that has begun has read already
        damage()
    with listening(heard.append), Run(changed(run, shared.url), Store(tmp_path / "other"), InPlace()) as mine:
        for step in mine.steps:
            if step.name == "pairs" and how not in FORGED:
                damage()
            mine.perform(step)
    mine.finish("a test")
    assert len([event for event in heard if isinstance(event, RunWarned)]) == 1
    assert digests(mine, *STEPS) == alone
    assert [record.step for record in mine.records] == list(STEPS)
    assert closure(Store(tmp_path / "other"), [mine.made["evaluate"][0].link]).missing == ()


def test_run__says_of_broken_text_what_it_says_without_a_shared_store(colleague, tmp_path) -> None:
    text = Path(colleague[1].observed.shards[0].location).read_bytes()
    path = tmp_path / "broken.txt"
    path.write_bytes(text + b"\xff broken\n" * 5 + text)
    store = Store(tmp_path / "store")
    run = walk(configured(path, corpus__shard_mb=0.003, corpus__max_broken=0.5), store.root)
    run.finish("a test")
    shared = SharedStore((tmp_path / "shared").as_uri())
    push(store, shared, resolve(store, "vectors"))
    said = []
    for number, url in enumerate(("", shared.url)):
        with pytest.raises(InputError) as caught:
            walk(configured(path, corpus__shard_mb=0.003, corpus__max_broken=0.001, store__shared=url), tmp_path / f"other-{number}")
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_run__refuses_credentials_in_the_address_of_a_shared_store(colleague, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="holds credentials") as caught:
        walk(changed(colleague[1], "s3://me:hidden@team/store"), tmp_path / "other")
    assert "hidden" not in str(caught.value)
    assert "store.shared" in caught.value.details["where"]
    assert not (tmp_path / "other").exists()
