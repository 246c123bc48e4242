"""`corpus2vec train` and `plan`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.commands.shared import AsJson, Config, Overrides, StorePath, app, configuration_of, console, print_json, print_scores
from flows.interruption import hear_interruptions
from flows.terminal import Terminal, json_text

if TYPE_CHECKING:
    from flows.display import Display


@app.command
def train(config: Config = None, *, overrides: Overrides = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Train and score vectors; whatever is in the store already is reused.

    The chain: snapshot, tokenize, phrases, vocabulary, pairs (for glove and ppmi_svd cooccurrence), train, evaluate.

    Killed or interrupted, the same command goes on after the last finished step, in training from the newest checkpoint.
    Progress is in STORE/runs/RUN/progress.jsonl too.
    """
    from flows.openlineage.backend import require_client
    from flows.quiet import prepare_environment
    from flows.server import temporary_server
    from pipeline.corpus import find_inputs
    from pipeline.events import listening
    from pipeline.run import read_through
    from pipeline.storage.store import Store

    configuration = configuration_of(config, overrides, store)
    require_client(configuration)
    find_inputs(configuration)  # what is missing is said at once, not after Prefect has started
    read_through(configuration, Store(Path(configuration.store.path)))
    home = Store(Path(configuration.store.path)).make_directory(".prefect")
    prepare_environment(home)
    with temporary_server(home) as server:
        from flows.training import train_word_vectors  # while the server starts

        if server:
            server.wait()
        with display_of(as_json) as display, listening(hear_interruptions), listening(display):
            record = train_word_vectors(configuration)
    if as_json:
        print(json_text({"event": "RunFinished", **record}))  # noqa: T201 - this is the output
    else:
        _show_scores(record, Path(configuration.store.path))


@app.command
def plan(config: Config = None, *, overrides: Overrides = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Show what `train` would run, what it would reuse and why, with rows, disk, memory and time projected. Computes nothing."""
    from flows.tables import readable_bytes, table_of
    from pipeline.plan import plan as plan_steps
    from pipeline.projection import project, refuse_absurd
    from pipeline.run import read_through
    from pipeline.storage.store import Store

    configuration = configuration_of(config, overrides, store)
    stores = read_through(configuration, Store(Path(configuration.store.path)))
    steps = plan_steps(configuration, stores)
    if stores.problem:
        Terminal(stderr=True, highlight=False).print(f"warning: {stores.problem}", markup=False, soft_wrap=True)
    refuse_absurd(configuration, steps)
    projections = project(configuration, steps)
    rows: list[dict[str, Any]] = [
        {
            "step": planned.step.name,
            "plan": ("reuse (shared)" if planned.n_shared else "reuse") if planned.reused else "run" if planned.wanted else "may run",
            "rows": projection.n_rows,
            "disk": projection.disk_bytes,
            "memory": projection.memory_bytes,
            "seconds": round(projection.seconds, 1),
            "why": planned.reason,
        }
        for planned, projection in zip(steps, projections, strict=True)
    ]
    if as_json:
        print_json(rows)
        return
    for row, planned in zip(rows, steps, strict=True):
        about = "" if planned.reused else "~"
        row |= {
            "rows": f"{about}{row['rows']:,}",
            "disk": about + readable_bytes(row["disk"]),
            "memory": "" if planned.reused else about + readable_bytes(row["memory"]),
            "seconds": "" if planned.reused else f"{about}{row['seconds']:,.0f}",
        }
    console().print(table_of(rows, right=("rows", "disk", "memory", "seconds")))


def display_of(as_json: bool) -> "Display":
    """How a command that computes for a while shows it: for machines, on a terminal, or as lines."""
    from flows.display import Bars, JsonLines, Lines

    out = console()
    return JsonLines(sys.stdout) if as_json else Bars(out) if out.is_terminal else Lines(out)


def _show_scores(record: dict[str, Any], store: Path) -> None:
    from flows.report import result_of, score_rows
    from pipeline.storage.store import Store

    key = next(step["keys"][0] for step in record["steps"] if step["step"] == "evaluate")
    evaluation = Store(store).find("evaluate", key)
    if evaluation:
        rows = [row for row in score_rows(evaluation) if row["section"] in ("semantic", "syntactic", "total", "Spearman's rho")]
        print_scores(rows)
    results = [result_of(step) for step in record["steps"]]
    shared = f", {results.count('shared')} of them from the shared store" if "shared" in results else ""
    console().print(
        f"Run {record['id']} of {record['name']}: {record['elapsed_s']:.1f} s, "
        f"{sum(map(bool, results))} of {len(results)} steps reused{shared}.",
        highlight=False,
    )
