"""The Prefect flow that trains: one task for each step of the chain; progress and scores as Prefect artifacts.

The store alone decides what is fresh, so Prefect's own result cache is off. Importing this module imports Prefect, which takes a second.
"""

from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.assets import add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.artifacts import ProgressArtifacts
from flows.assets import asset_key, asset_of, metadata_of
from flows.openlineage.backend import telling
from flows.report import run_report, score_rows
from pipeline.configuration import Configuration
from pipeline.events import listening
from pipeline.run import Run
from pipeline.stage import Step
from pipeline.storage.store import Store
from pipeline.workers import DaskWorkers


@flow(name="train-word-vectors", persist_result=False)
def train_word_vectors(configuration: Configuration) -> dict[str, Any]:
    """Train and score word vectors; the record of the run.

    Raises
    ------
    Corpus2VecError
        Whatever a step finds wrong. What was finished before is kept, and the next run goes on from there.
    """
    started_by = f"prefect flow run {flow_run.id}"
    with (
        DaskWorkers(configuration.cluster) as workers,
        Run(configuration, Store(Path(configuration.store.path)), workers) as run,
        ProgressArtifacts() as progress,
        listening(progress),
        telling(run, started_by),
    ):
        for step in run.steps:
            perform(run, step)
        record = run.finish(started_by)
    create_table_artifact(
        key="scores", table=score_rows(run.made["evaluate"][0]), description=f"Scores of {record['name']}, run {record['id']}"
    )
    create_markdown_artifact(key="run", markdown=run_report(record), description=f"Run {record['id']}")
    return record


def perform(run: Run, step: Step) -> None:
    """One step as a Prefect task that makes an asset. The task takes no parameters: nothing large or unhashable passes through Prefect.

    The task of a step that is reused ends in a state that is called Cached: for Prefect nothing is made then.
    """
    model, asset = run.configuration.name, asset_of(run.configuration.name, step)

    @materialize(
        asset,
        by="corpus2vec",
        asset_deps=[asset_key(model, earlier) for earlier in step.reads.values()],
        name=step.name,
        task_run_name=step.name,
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def perform_step() -> State[None]:
        record = run.perform(step)
        if record.n_reused == len(record.keys):
            return Completed(name="Cached", message=record.reason)
        add_asset_metadata(asset, metadata_of(run.store.root, run.id, run.made[step.name]))
        return Completed(message=record.reason)

    perform_step()
