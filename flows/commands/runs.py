"""`corpus2vec show`, `evaluate` and `phrases`: what came out of a run."""

from typing import Annotated

from cyclopts import Parameter

from flows.commands.shared import (
    AsJson,
    Config,
    Count,
    ModelName,
    Overrides,
    StorePath,
    app,
    console,
    print_json,
    print_scores,
    store_path,
    warn_of_unusable,
)
from pipeline.errors import StoreError, UsageError


@app.command
def evaluate(
    config: Config = None, *, overrides: Overrides = None, model: ModelName = "", store: StorePath = None, as_json: AsJson = False
) -> None:
    """Score a model on analogies and similarity, by section and with coverage.

    As the model's own run did, or by CONFIG; `--set evaluate.candidates=...` asks otherwise.
    """
    from flows.report import score_rows
    from pipeline.configuration_file import load_configuration
    from pipeline.lineage.models import configuration_of, find_model
    from pipeline.run import evaluate_model
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    found = find_model(where, model)
    configuration = load_configuration(config, overrides or [], of_run=configuration_of(where, found))
    rows = score_rows(evaluate_model(where, found.artifact, configuration))
    if as_json:
        print_json(rows)
    else:
        print_scores(rows)


@app.command
def show(
    reference: Annotated[
        str, Parameter(help="A model's name, a version (NAME@2), a run, or the beginning of a key; without one, all runs.")
    ] = "",
    *,
    broken: Annotated[bool, Parameter(negative="")] = False,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """The models and runs in the store; with REFERENCE, one run: its steps, its scores, and where every token went.

    With --broken, only the broken records of its corpus, by file and place; beyond 1,000 of a shard one row stands for many.

    Runs that did not finish, or go on, are listed last; --json leaves them out. A record stays when what it tells of was removed.
    """
    from flows.showing import broken_records, run_meant, show_broken, show_run, show_runs
    from pipeline.lineage.references import resolve
    from pipeline.lineage.runs import run_records
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    unusable: list[StoreError] = []
    if broken and not reference:
        raise UsageError("--broken is of one run.", got="no reference", remedy="corpus2vec show lists models and runs; name one of them.")
    if reference:
        referent = resolve(where, reference)
        run = run_meant(where, referent)
        if broken:
            records = broken_records(where, run, unusable.append)
            warn_of_unusable(unusable)
            if records is None:
                raise UsageError(
                    "What was broken is not known here: the tokenized text is not in the store, or not what this run left.",
                    where=str(where.root),
                    got=f"run {run['id']}",
                    remedy="The same configuration run again tokenizes what is gone.",
                )
            print_json(records) if as_json else show_broken(records, console())
            return
        print_json(run) if as_json else show_run(where, run, console(), referent.version, unusable.append)
    elif as_json:
        print_json(run_records(where, unusable.append))
    else:
        show_runs(where, console(), unusable.append)
    warn_of_unusable(unusable)


@app.command
def phrases(*, count: Count = 20, model: ModelName = "", store: StorePath = None, as_json: AsJson = False) -> None:
    """The phrases that a model's text was joined into, best first, with their counts and scores; COUNT of each pass."""
    from flows.showing import phrase_rows
    from flows.tables import table_of
    from pipeline.lineage.models import find_model
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    rows = phrase_rows(where, find_model(where, model), count)
    if as_json:
        print_json(rows)
        return
    shown = [{name: f"{value:.4g}" if name == "score" else _readable(value) for name, value in row.items()} for row in rows]
    console().print(table_of(shown, right=("score", "count", "first_count", "second_count")))


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(value) if isinstance(value, list) else str(value)
