"""The OpenLineage events of a run: the job `train-word-vectors`, and one job for each step whose parent it is.

Only facets of the specification are used: parameters with their meanings, tags (which run, reused or not and why), source code, error.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from uuid import UUID

from openlineage.client.event_v2 import Job, RunEvent, RunState
from openlineage.client.event_v2 import Run as OpenLineageRun
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    documentation_job,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    parent_run,
    processing_engine_run,
    source_code_location_job,
    tags_run,
)
from openlineage.client.uuid import generate_static_uuid

from flows.openlineage.datasets import Datasets
from pipeline.configuration import Section
from pipeline.credentials import redacted
from pipeline.environment import environment
from pipeline.errors import Corpus2VecError
from pipeline.run import Run, StepRecord
from pipeline.stage import Step
from pipeline.storage.artifact import Artifact, Link

JOB = "train-word-vectors"
NAMESPACE = "corpus2vec"  # of jobs, unless OPENLINEAGE_NAMESPACE says another
ROOT = Path(__file__).parents[2]
_SECONDS_FOR_GIT = 5
Parameter = execution_parameters_run.ExecutionParameter


class Events:
    """Makes the events of one run.

    Parameters
    ----------
    run
        The run; of which only what never changes is read, because events are made in a thread of their own.
    started_by
        Who or what started it.
    """

    def __init__(self, run: Run, started_by: str) -> None:
        self.run, self.started_by = run, started_by
        self.version = environment().get("corpus2vec", "0")
        self.producer = f"pkg:generic/corpus2vec@{self.version}"
        self.namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or NAMESPACE
        self.datasets = Datasets(run.store.root, self.producer)

    def run_id(self, step: str = "") -> str:
        """The UUID of the run, or of one of its steps: always the same for the id of a run, whose first letters say when it was."""
        return str(generate_static_uuid(self.run.started.replace(microsecond=0), f"corpus2vec/{self.run.id}/{step}".encode()))

    def of_run(self, state: RunState, at: datetime, error: BaseException | None = None) -> RunEvent:
        """The whole run began or ended."""
        tags = {"run": self.run.id, "model": self.run.configuration.name, "started_by": self.started_by}
        facets = self._run_facets(tags, _flat(self.run.configuration), error)
        if parent := _parent(self.producer):
            facets["parent"] = parent
        job = Job(self.namespace, JOB, self._job_facets("FLOW", "Train and score word vectors."))
        return RunEvent(
            eventType=state, eventTime=at.isoformat(), run=OpenLineageRun(self.run_id(), facets), job=job, producer=self.producer
        )

    def of_step(
        self,
        state: RunState,
        at: datetime,
        step: Step,
        reads: Iterable[Artifact],
        record: StepRecord | None = None,
        made: Sequence[Artifact] = (),
        error: BaseException | None = None,
    ) -> RunEvent:
        """A step began, or ended: with a record of what became of it and what it made, or with an error."""
        links = [artifact.link for artifact in reads]
        links += [link for artifact in made for some in artifact.manifest.inputs.values() for link in some]
        tags = {"run": self.run.id, "stage": f"{step.stage.name} {step.stage.version}"}
        if record:
            tags |= {"reused": f"{record.n_reused} of {len(record.keys)}", "reason": record.reason}
        facets = self._run_facets(tags, _described(step.parameters, type(step.settings)), error)
        facets["parent"] = self._of_this_run()
        documentation = (sys.modules[step.stage.build.__module__].__doc__ or "").partition("\n")[0]
        job = Job(self.namespace, f"{JOB}.{step.name}", self._job_facets("TASK", documentation))
        inputs = self.datasets.inputs(_once(links), () if step.reads else self.run.observed.shards)
        return RunEvent(
            eventType=state,
            eventTime=at.isoformat(),
            run=OpenLineageRun(self.run_id(step.name), facets),
            job=job,
            inputs=inputs,
            outputs=self.datasets.outputs(made),
            producer=self.producer,
        )

    def _run_facets(self, tags: Mapping[str, str], parameters: list[Parameter], error: BaseException | None) -> dict[str, RunFacet]:
        fields = [tags_run.TagsRunFacetFields(key, redacted(value), "CORPUS2VEC") for key, value in tags.items()]
        facets: dict[str, RunFacet] = {
            "tags": tags_run.TagsRunFacet(fields, producer=self.producer),
            "executionParameters": execution_parameters_run.ExecutionParametersRunFacet(parameters, producer=self.producer),
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                self.version, "corpus2vec", self.version, producer=self.producer
            ),
        }
        if isinstance(error, Exception):
            ours = isinstance(error, Corpus2VecError)  # which says all that there is to say
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                redacted(str(error) or type(error).__name__),
                "PYTHON",
                None if ours else redacted("".join(traceback.format_exception(error))),
                producer=self.producer,
            )
        return facets

    def _job_facets(self, kind: str, documentation: str) -> dict[str, JobFacet]:
        pattern = job_type_job.EmissionPattern("EVENT_BASED", "ACCUMULATIVE")
        facets: dict[str, JobFacet] = {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", "CORPUS2VEC", kind, pattern, producer=self.producer),
            "documentation": documentation_job.DocumentationJobFacet(documentation, "text/plain", producer=self.producer),
        }
        if self._source_code:
            facets["sourceCodeLocation"] = self._source_code
        return facets

    @cached_property
    def _source_code(self) -> JobFacet | None:
        """The commit of the checkout that runs, and where it came from; None when this is an installed package."""
        commit = environment()["commit"]
        if not commit:
            return None
        origin = redacted(_git("remote", "get-url", "origin"))
        repository = origin if "://" in origin or ":" in origin else Path(origin or ROOT).absolute().as_uri()
        url = repository if "://" in repository else "ssh://" + repository.replace(":", "/", 1)  # git@host:path, as scp has it
        return source_code_location_job.SourceCodeLocationJobFacet(
            "git", url, repoUrl=repository, version=commit, branch=_git("branch", "--show-current") or None, producer=self.producer
        )

    def _of_this_run(self) -> parent_run.ParentRunFacet:
        above = _parent(self.producer)
        root = above.root if above else parent_run.Root(parent_run.RootRun(self.run_id()), parent_run.RootJob(self.namespace, JOB))
        return parent_run.ParentRunFacet(parent_run.Run(self.run_id()), parent_run.Job(self.namespace, JOB), root, producer=self.producer)


def _parent(producer: str) -> parent_run.ParentRunFacet | None:
    """Who started the run, if that is known to OpenLineage: Airflow's and dbt's variables `namespace/job/run` say so."""
    parent = _run_named(os.environ.get("OPENLINEAGE_PARENT_ID", ""))
    if not parent:
        return None
    namespace, job, run = parent
    root_namespace, root_job, root_run = _run_named(os.environ.get("OPENLINEAGE_ROOT_PARENT_ID", "")) or parent
    root = parent_run.Root(parent_run.RootRun(root_run), parent_run.RootJob(root_namespace, root_job))
    return parent_run.ParentRunFacet(parent_run.Run(run), parent_run.Job(namespace, job), root, producer=producer)


def _run_named(text: str) -> tuple[str, str, str] | None:
    match text.rsplit("/", 2):
        case [namespace, job, run] if namespace and job:
            try:
                return namespace, job, str(UUID(run))
            except ValueError:
                return None
        case _:
            return None


def _flat(settings: Section) -> list[Parameter]:
    """Every key of the configuration, with its section."""
    found, meanings = [], settings.meanings()
    for name, value in settings:
        if isinstance(value, Section):
            found += [_parameter(f"{name}.{inner.key}", inner.description, inner.value) for inner in _flat(value)]
        else:
            found.append(_parameter(name, meanings.get(name), _text(value)))
    return found


def _described(parameters: Mapping[str, object], settings: type[Section]) -> list[Parameter]:
    """The parameters of a step, with the meanings of those that are keys of its section."""
    meanings = settings.meanings()
    return [_parameter(key, meanings.get(key), _text(value)) for key, value in parameters.items()]


def _parameter(key: str, meaning: str | None, value: str | None) -> Parameter:
    return Parameter(key=key, name=key, description=" ".join((meaning or "").split()) or None, value=redacted(value or ""))


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _once(links: Iterable[Link]) -> list[Link]:
    return list({(link.stage, link.key, link.digest): link for link in links}.values())


def _git(*arguments: str) -> str:
    """What git answers about the checkout; nothing when it does not."""
    try:
        found = subprocess.run(
            ["git", "-C", str(ROOT), *arguments],  # noqa: S607 - whichever git is installed
            capture_output=True,
            text=True,
            timeout=_SECONDS_FOR_GIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
