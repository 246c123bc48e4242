"""The events of real runs, in a file, held against OpenLineage's specification and against what is in the store."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest

from flows.openlineage import events as events_module
from flows.openlineage import reporting
from flows.openlineage.backend import telling
from flows.openlineage.datasets import named
from pipeline.errors import ConfigurationError
from pipeline.events import StepStarted, emit
from pipeline.run import Run
from pipeline.storage.schemas import LEXICON, SENTENCES, VOCABULARY
from pipeline.storage.store import KEY_LETTERS, Store
from pipeline.workers import InPlace
from tests.flows.openlineage.runs import read_events, settings, walk_told
from tests.flows.openlineage.specification import validate

JOB = "train-word-vectors"


@dataclass(frozen=True)
class Told:
    """A run and its events."""

    run: Run
    events: list[dict[str, Any]]

    def of(self, step: str, state: str) -> dict[str, Any]:
        """The only event of a step (of the run: empty) with this state."""
        name = f"{JOB}.{step}" if step else JOB
        (event,) = [event for event in self.events if (event["job"]["name"], event["eventType"]) == (name, state)]
        return event


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    directory = tmp_path_factory.mktemp("told")
    path = directory / "new" / "events.jsonl"
    run, warnings = walk_told(settings(directory, path), directory / "store")
    assert warnings == []
    return Told(run, read_events(path))


def facet(event: dict[str, Any], name: str) -> Any:
    return event["run"]["facets"][name]


def tags(event: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in facet(event, "tags")["tags"]}


def version(dataset: dict[str, Any]) -> str:
    return dataset["facets"]["version"]["datasetVersion"]


def test_events__are_what_the_specification_says(told: Told) -> None:
    for event in told.events:
        validate(event)


@pytest.mark.parametrize("harm", ["runId", "eventTime", "no offset", "another key", "wrong type", "no name"])
def test_specification__refuses_what_is_no_event(harm: str, told: Told) -> None:
    event = json.loads(json.dumps(told.of("train", "COMPLETE")))
    match harm:
        case "runId":
            event["run"]["runId"] = told.run.id
        case "eventTime":
            del event["eventTime"]
        case "no offset":
            event["eventTime"] = "2026-11-21T18:00:00"
        case "another key":
            event["run"]["facets"]["processingEngine"] = event["run"]["facets"].pop("processing_engine")
        case "wrong type":
            event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] = "12"
        case "no name":
            del event["outputs"][0]["name"]
    with pytest.raises((jsonschema.ValidationError, ValueError), match=r"is not|is a required"):
        validate(event)


def test_events__begin_and_end_the_run_and_each_step_in_it(told: Told) -> None:
    names = [JOB, *(f"{JOB}.{step.name}" for step in told.run.steps for _ in range(2)), JOB]
    assert [event["job"]["name"] for event in told.events] == names
    assert [event["eventType"] for event in told.events] == ["START", *["START", "COMPLETE"] * len(told.run.steps), "COMPLETE"]
    times = [datetime.fromisoformat(event["eventTime"]) for event in told.events]
    assert all(later.timestamp() - earlier.timestamp() > -0.001 for earlier, later in zip(times, times[1:], strict=False))
    ids = [event["run"]["runId"] for event in told.events]
    assert len(set(ids)) == 1 + len(told.run.steps)
    for event in told.events[1:-1]:
        parent = facet(event, "parent")
        assert (parent["run"]["runId"], parent["job"]["name"]) == (ids[0], JOB)
        assert parent["root"]["run"]["runId"] == ids[0]
        assert tags(event)["run"] == told.run.id
    assert tags(told.events[0]) | {"run": told.run.id, "model": "vectors", "started_by": "a test"} == tags(told.events[0])


def test_events__name_every_artifact_with_its_digest_rows_and_bytes(told: Told) -> None:
    store = told.run.store.root.as_uri()
    for step in told.run.steps:
        outputs = told.of(step.name, "COMPLETE")["outputs"]
        artifacts = told.run.made[step.name]
        assert len(outputs) == len(artifacts)
        for dataset, artifact in zip(outputs, artifacts, strict=True):
            manifest = artifact.manifest
            assert (dataset["namespace"], dataset["name"]) == (store, f"{manifest.stage}/{manifest.key[:KEY_LETTERS]}")
            assert version(dataset) == manifest.digest
            statistics = dataset["outputFacets"]["outputStatistics"]
            assert statistics["rowCount"] == sum(file.n_rows for file in manifest.files)
            assert (statistics["size"], statistics["fileCount"]) == (manifest.size_bytes, len(manifest.files))


def test_events__link_every_step_to_what_it_read(told: Told) -> None:
    """Artifacts with the digest that the manifest has; files by path with the digest of their bytes."""
    known = {(dataset["namespace"], dataset["name"]): version(dataset) for event in told.events for dataset in event["outputs"]}
    files = {
        ("file", location): hashlib.sha256(Path(location).read_bytes()).hexdigest()
        for location in {
            *(shard.location for shard in told.run.observed.shards),
            *(str(file.path) for file in told.run.observed.evaluation_files),
        }
    }
    assert len(files) == 3
    for step in told.run.steps:
        inputs = {(dataset["namespace"], dataset["name"]): version(dataset) for dataset in told.of(step.name, "COMPLETE")["inputs"]}
        links = [link for artifact in told.run.made[step.name] for some in artifact.manifest.inputs.values() for link in some]
        n_files = len({link.origin["location"] for link in links if link.is_outside})
        n_artifacts = len({(link.stage, link.key) for link in links if not link.is_outside})
        assert len(inputs) == n_files + n_artifacts
        assert inputs.items() <= (known | files).items()
        assert {(dataset["namespace"], dataset["name"]) for dataset in told.of(step.name, "START")["inputs"]} <= inputs.keys()


def test_events__describe_columns_with_their_meanings(told: Told) -> None:
    def columns(schema: Any) -> list[dict[str, Any]]:
        return [
            {"name": field.name, "type": str(field.type), "description": field.metadata[b"meaning"].decode(), "fields": []}
            for field in schema
        ]

    (vocabulary,) = told.of("vocabulary", "COMPLETE")["outputs"]
    assert vocabulary["facets"]["schema"]["fields"] == columns(VOCABULARY)
    for tokenized in told.of("tokenize", "COMPLETE")["outputs"]:
        tables = {table["name"]: table["fields"] for table in tokenized["facets"]["schema"]["fields"]}
        assert tables == {"lexicon.parquet": columns(LEXICON), "sentences.parquet": columns(SENTENCES)}
    (pairs,) = told.of("pairs", "COMPLETE")["outputs"]
    assert [field["name"] for field in pairs["facets"]["schema"]["fields"]] == ["tokens", "radius"]  # of all parts and epochs


def test_events__have_the_parameters_with_their_meanings(told: Told) -> None:
    for step in told.run.steps:
        found = facet(told.of(step.name, "START"), "executionParameters").get("parameters", [])
        assert [parameter["key"] for parameter in found] == list(step.parameters)
    train = {one["key"]: one for one in facet(told.of("train", "START"), "executionParameters")["parameters"]}
    assert (train["dimensions"]["value"], train["dimensions"]["description"]) == ("8", "Numbers in a vector.")
    whole = {one["key"]: one["value"] for one in facet(told.of("", "START"), "executionParameters")["parameters"]}
    assert whole["pairs.window"] == "4"
    assert json.loads(whole["corpus.paths"]) == list(told.run.configuration.corpus.paths)


def test_events__of_a_run_that_reuses_everything_say_so(told: Told) -> None:
    directory = told.run.store.root.parent
    path = directory / "again.jsonl"
    run, _ = walk_told(settings(directory, path), told.run.store.root)
    again = Told(run, read_events(path))
    assert len(again.events) == len(told.events)
    for step in run.steps:
        event = again.of(step.name, "COMPLETE")
        n = len(run.made[step.name])
        assert (tags(event)["reused"], tags(event)["reason"]) == (f"{n} of {n}", "same parameters, same inputs")
        assert event["outputs"] == told.of(step.name, "COMPLETE")["outputs"]
        assert event["run"]["runId"] != told.of(step.name, "COMPLETE")["run"]["runId"]


def test_events__of_a_broken_run_end_with_its_error(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with pytest.raises(ConfigurationError) as caught:
        walk_told(settings(tmp_path, path, vocabulary__min_count=10**6), tmp_path / "store")
    events = read_events(path)
    for event in events:
        validate(event)
    ends = {event["job"]["name"].removeprefix(JOB): event["eventType"] for event in events if event["eventType"] != "START"}
    assert ends == {".snapshot": "COMPLETE", ".tokenize": "COMPLETE", ".vocabulary": "FAIL", "": "FAIL"}
    for event in events[-2:]:
        message = facet(event, "errorMessage")
        assert (message["message"], message["programmingLanguage"], "stackTrace" in message) == (str(caught.value), "PYTHON", False)
    assert len(events[-2]["inputs"]) == 2


@pytest.mark.parametrize(("error", "state"), [(OSError("no s3://me:secret@b/x?token=secret"), "FAIL"), (KeyboardInterrupt(), "ABORT")])
def test_events__of_a_run_that_is_left_tell_a_defect_from_an_interruption_and_no_secret(
    error: BaseException, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "SECONDS_TO_BREAK_OFF", 60.0)  # on a busy machine the first event alone may take more than a second
    path = tmp_path / "events.jsonl"

    def leave() -> None:
        with Run(settings(tmp_path, path), Store(tmp_path / "store"), InPlace()) as run, telling(run, "a test"):
            run.perform(run.steps[0])
            raise error

    with pytest.raises(type(error)):
        leave()
    last = read_events(path)[-1]
    validate(last)
    assert (last["job"]["name"], last["eventType"]) == (JOB, state)
    if state == "FAIL":
        message = facet(last, "errorMessage")
        assert message["message"] == "no s3://b/x?token=***"
        assert "test_events.py" in message["stackTrace"]
    assert "secret" not in path.read_text().replace("without a secret", "")


@pytest.mark.parametrize(
    ("origin", "url", "repository"),
    [
        ("https://me:pw@host.org/a/b.git", "https://host.org/a/b.git", "https://host.org/a/b.git"),
        ("git@host.org:a/b.git", "ssh://git@host.org/a/b.git", "git@host.org:a/b.git"),
        ("/somewhere/b", "file:///somewhere/b", "file:///somewhere/b"),
    ],
)
def test_events__say_where_the_source_code_came_from(
    origin: str, url: str, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (["init", "-q", "-b", "topic"], ["remote", "add", "origin", origin]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    monkeypatch.setattr(events_module, "ROOT", tmp_path)
    monkeypatch.setattr(events_module, "environment", lambda: {"commit": "0123456789ab"})
    run = Run(settings(tmp_path), Store(tmp_path / "store"), InPlace())
    found = events_module.Events(run, "a test").of_run(events_module.RunState.START, run.started).job.facets["sourceCodeLocation"]
    assert (found.type, found.url, found.repoUrl, found.version, found.branch) == ("git", url, repository, "0123456789ab", "topic")


def test_events__name_who_started_the_run_if_openlineage_knows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent, root = str(uuid4()), str(uuid4())
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "team")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"air/flow/dag.task/{parent}")
    monkeypatch.setenv("OPENLINEAGE_ROOT_PARENT_ID", f"airflow/dag/{root}")
    path = tmp_path / "events.jsonl"
    with Run(settings(tmp_path, path), Store(tmp_path / "store"), InPlace()) as run, telling(run, "a test"):
        run.perform(run.steps[0])
    first, step, *_ = read_events(path)
    validate(first)
    validate(step)
    assert (first["job"]["namespace"], step["job"]["namespace"]) == ("team", "team")
    assert facet(first, "parent")["run"]["runId"] == parent
    assert (facet(first, "parent")["job"]["namespace"], facet(first, "parent")["job"]["name"]) == ("air/flow", "dag.task")
    assert facet(step, "parent")["run"]["runId"] == first["run"]["runId"]
    assert facet(first, "parent")["root"] == facet(step, "parent")["root"]
    assert facet(step, "parent")["root"]["run"]["runId"] == root


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/data/a b.txt", ("file", "/data/a b.txt")),
        ("file:///data/a.txt", ("file", "/data/a.txt")),
        ("s3://bucket/dir/a.txt?region=eu", ("s3://bucket", "dir/a.txt")),
        ("s3://me:pw@bucket/a.txt", ("s3://bucket", "a.txt")),
        ("abfss://container@account/a.txt", ("abfss://container@account", "a.txt")),
        ("hdfs://node:8020/a.txt", ("hdfs://node:8020", "/a.txt")),
    ],
)
def test_named__follows_the_naming_specification_and_keeps_no_credentials(location: str, name: tuple[str, str]) -> None:
    assert named(location) == name


def test_events__of_a_step_that_begins_again_have_one_start(tmp_path: Path) -> None:
    """As it does when the shared store is lost on the way."""
    path = tmp_path / "events.jsonl"
    with Run(settings(tmp_path, path), Store(tmp_path / "store"), InPlace()) as run, telling(run, "a test"):
        run.perform(run.steps[0])
        emit(StepStarted("tokenize", "new"))
        run.records.pop()
        run.perform(run.steps[0])
        run.perform(run.steps[1])
    events = [(event["job"]["name"].removeprefix(JOB), event["eventType"]) for event in read_events(path)[1:-1]]
    again = [(".snapshot", "COMPLETE")]
    assert events == [(".snapshot", "START"), *again, (".tokenize", "START"), *again, (".tokenize", "COMPLETE")]
