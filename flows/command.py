"""The command `corpus2vec`: parses, calls, shows, and turns errors into a few lines and an exit code.

0 done, 1 failure, 2 wrong use or configuration, 130 interrupted.

Starting Prefect takes seconds and Numba one, so this module imports neither: each command imports what it needs when it is called.
"""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, validators
from rich.console import Console

from flows.interruption import INTERRUPTED, hear_interruptions
from pipeline.errors import Corpus2VecError, UsageError

if TYPE_CHECKING:
    from flows.display import Display
    from pipeline.configuration import Configuration
    from pipeline.vectors import Neighbour, Vectors

UNWRAPPED = 240  # columns

app = App(
    name="corpus2vec",
    help="""Word vectors from text, in stages whose results are kept, checked and reused.

    corpus2vec train data/configs/demo.toml   train on the shipped sample
    corpus2vec plan data/configs/demo.toml    what would run, and why
    corpus2vec similar king                   nearest words, newest model
    corpus2vec analogy man king woman         man : king :: woman : ...
    corpus2vec phrases                        the phrases that were found
    """,
    version=lambda: version("corpus2vec"),
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)

Config = Annotated[Path | None, Parameter(help="A TOML file; without one, the defaults and --set.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    Parameter(name=["--set", "-s"], help="section.key=value, stronger than the file; may be repeated.", negative="", show_default=False),
]
StorePath = Annotated[
    Path | None,
    Parameter(
        name="--store", help="Where artifacts are kept.  [default: $CORPUS2VEC_STORE, or store.path, or ./store]", show_default=False
    ),
]
ModelName = Annotated[
    str, Parameter(name=["--model", "-m"], help="A model's name, a run, or the beginning of a key; else the newest.", show_default=False)
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON for machines.", negative="")]
Candidates = Annotated[
    int | None,
    Parameter(
        name=["-c", "--candidates"],
        validator=validators.Number(gte=1),
        help="Only so many most frequent words are answers; else all. Rare words have noisy vectors.",
        show_default=False,
    ),
]
Used = Annotated[
    Literal["usual", "input", "output", "sum", "mean"],
    Parameter(name="--vectors", help="Which vectors of a word: its input, its output, both; usual: input, but sum for GloVe."),
]
Count = Annotated[int, Parameter(name=["-n", "--count"], validator=validators.Number(gte=1), help="How many rows.")]


def main() -> None:
    """The console script."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    errors = Console(stderr=True, highlight=False)
    hear_interruptions()
    try:
        app(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        command = " ".join(error.command_chain or ())
        wrong = UsageError(str(error), remedy=f"{' '.join(['corpus2vec', command]).strip()} --help shows what there is.")
        errors.print(f"error: {wrong}", markup=False, soft_wrap=True)
        return wrong.exit_code
    except Corpus2VecError as error:
        errors.print(f"error: {error}", markup=False, soft_wrap=True)
        return error.exit_code
    except KeyboardInterrupt:
        errors.print("Interrupted. Finished steps are kept; the same command goes on from there.")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


@app.command
def train(config: Config = None, *, overrides: Overrides = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Train and score vectors; whatever is in the store already is reused.

    The chain: snapshot, tokenize, phrases, vocabulary, pairs (for glove and ppmi_svd cooccurrence), train, evaluate.

    Killed or interrupted, the same command goes on after the last finished step, in training from the newest checkpoint.
    Progress is in STORE/runs/RUN/progress.jsonl too.
    """
    from flows.quiet import prepare_environment
    from flows.server import temporary_server
    from pipeline.corpus import find_inputs
    from pipeline.events import listening
    from pipeline.storage.store import Store

    configuration = _configuration(config, overrides, store)
    find_inputs(configuration)  # what is missing is said at once, not after Prefect has started
    home = Store(Path(configuration.store.path)).make_directory(".prefect")
    prepare_environment(home)
    with temporary_server(home) as server:
        from flows.training import train_word_vectors  # while the server starts

        if server:
            server.wait()
        with _display(as_json) as display, listening(hear_interruptions), listening(display):
            record = train_word_vectors(configuration)
    if as_json:
        print(json.dumps({"event": "RunFinished", **record}, ensure_ascii=False))  # noqa: T201 - this is the output
    else:
        _show_scores(record, Path(configuration.store.path))


@app.command
def plan(config: Config = None, *, overrides: Overrides = None, store: StorePath = None, as_json: AsJson = False) -> None:
    """Show what `train` would run, what it would reuse and why, with rows, disk, memory and time projected. Computes nothing."""
    from flows.report import readable_bytes, table_of
    from pipeline.plan import plan as plan_steps
    from pipeline.projection import project, refuse_absurd
    from pipeline.storage.store import Store

    configuration = _configuration(config, overrides, store)
    steps = plan_steps(configuration, Store(Path(configuration.store.path)))
    refuse_absurd(configuration, steps)
    projections = project(configuration, steps)
    rows: list[dict[str, Any]] = [
        {
            "step": planned.step.name,
            "plan": "reuse" if planned.reused else "run" if planned.wanted else "may run",
            "rows": projection.n_rows,
            "disk": projection.disk_bytes,
            "memory": projection.memory_bytes,
            "seconds": round(projection.seconds, 1),
            "why": planned.reason,
        }
        for planned, projection in zip(steps, projections, strict=True)
    ]
    if as_json:
        _print_json(rows)
        return
    for row, planned in zip(rows, steps, strict=True):
        about = "" if planned.reused else "~"
        row |= {
            "rows": f"{about}{row['rows']:,}",
            "disk": about + readable_bytes(row["disk"]),
            "memory": "" if planned.reused else about + readable_bytes(row["memory"]),
            "seconds": "" if planned.reused else f"{about}{row['seconds']:,.0f}",
        }
    _console().print(table_of(rows, right=("rows", "disk", "memory", "seconds")))


@app.command
def similar(
    *words: str,
    count: Count = 10,
    candidates: Candidates = None,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """The words nearest to WORD by cosine; several words: nearest to their sum."""
    if not words:
        raise UsageError("Which word?", where="similar", expected="WORD [WORD ...]", remedy="For example corpus2vec similar king")
    with _located(model, store):
        _show_neighbours(_vectors(model, store, vectors).similar(words, count, candidates), as_json)


@app.command
def analogy(
    a: str,
    b: str,
    c: str,
    /,
    *,
    count: Count = 10,
    candidates: Candidates = None,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """A is to B as C is to ...? (3CosAdd)"""
    with _located(model, store):
        _show_neighbours(_vectors(model, store, vectors).analogy(a, b, c, count, candidates), as_json)


@app.command
def evaluate(
    config: Config = None, *, overrides: Overrides = None, model: ModelName = "", store: StorePath = None, as_json: AsJson = False
) -> None:
    """Score a model on analogies and similarity, by section and with coverage.

    As the model's own run did, or by CONFIG; `--set evaluate.candidates=...` asks otherwise.
    """
    from flows.report import score_rows
    from pipeline.configuration_file import load_configuration
    from pipeline.models import find_model
    from pipeline.run import evaluate_model
    from pipeline.storage.store import Store

    where = Store(_store_path(store))
    found = find_model(where, model)
    configuration = load_configuration(config, overrides or [], of_run=found.run["configuration"])
    rows = score_rows(evaluate_model(where, found.artifact, configuration))
    if as_json:
        _print_json(rows)
    else:
        _print_scores(rows)


@app.command
def show(
    reference: Annotated[str, Parameter(help="A model's name, a run, or the beginning of a key; without one, all runs.")] = "",
    *,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """The models and runs in the store; with REFERENCE, one run: its steps, its scores, and where every token went.

    Runs that did not finish, or go on, are listed last; --json leaves them out.
    """
    from flows.showing import show_run, show_runs
    from pipeline.models import find_model
    from pipeline.storage.store import RUNS, Store

    where = Store(_store_path(store))
    if reference:
        model = find_model(where, reference)
        _print_json(model.run) if as_json else show_run(where, model, _console())
    else:
        _print_json(where.records(RUNS)) if as_json else show_runs(where, _console())


@app.command
def phrases(*, count: Count = 20, model: ModelName = "", store: StorePath = None, as_json: AsJson = False) -> None:
    """The phrases that a model's text was joined into, best first, with their counts and scores; COUNT of each pass."""
    from flows.report import table_of
    from flows.showing import phrase_rows
    from pipeline.models import find_model
    from pipeline.storage.store import Store

    where = Store(_store_path(store))
    rows = phrase_rows(where, find_model(where, model), count)
    if as_json:
        _print_json(rows)
        return
    shown = [{name: f"{value:.4g}" if name == "score" else _readable(value) for name, value in row.items()} for row in rows]
    _console().print(table_of(shown, right=("score", "count", "first_count", "second_count")))


@app.command
def export(
    path: Path,
    /,
    *,
    binary: Annotated[bool, Parameter(negative="", help="The binary format; else text.")] = False,
    vectors: Used = "usual",
    model: ModelName = "",
    store: StorePath = None,
) -> None:
    """Write a model to PATH in the word2vec format that gensim and others read."""
    from pipeline.export import write_word2vec_binary, write_word2vec_text

    exported = _vectors(model, store, vectors)
    write = write_word2vec_binary if binary else write_word2vec_text
    write(exported, path)
    _console().print(f"{path}: {len(exported.counts):,} words, {exported.matrix.shape[1]} dimensions", markup=False)


def _store_path(store: Path | None) -> Path:
    return store or Path(os.environ.get("CORPUS2VEC_STORE") or "store")


def _configuration(config: Path | None, overrides: list[str] | None, store: Path | None) -> "Configuration":
    """The file, then what is stronger and stronger: the environment, --set, --store."""
    from pipeline.configuration_file import load_configuration

    environ, option = (f"store.path={json.dumps(str(path))}" if path else "" for path in (os.environ.get("CORPUS2VEC_STORE"), store))
    return load_configuration(config, [override for override in (environ, *(overrides or []), option) if override])


def _vectors(model: str, store: Path | None, side: str) -> "Vectors":
    from pipeline.models import find_model
    from pipeline.storage.store import Store

    return find_model(Store(_store_path(store)), model).read(side)


@contextlib.contextmanager
def _located(model: str, store: Path | None) -> Iterator[None]:
    """Say of an unknown word in which model it is unknown."""
    try:
        yield
    except UsageError as error:
        error.details["where"] = error.details["where"] or f"model {model or '(the newest)'}, store {_store_path(store)}"
        raise


def _console() -> Console:
    """Standard output; where it is no terminal nothing wraps."""
    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=UNWRAPPED)


def _display(as_json: bool) -> "Display":
    from flows.display import Bars, JsonLines, Lines

    console = _console()
    return JsonLines(sys.stdout) if as_json else Bars(console) if console.is_terminal else Lines(console)


def _show_neighbours(neighbours: "list[Neighbour]", as_json: bool) -> None:
    rows = [{"word": found.word, "similarity": float(found.similarity), "count": int(found.count)} for found in neighbours]
    if as_json:
        _print_json(rows)
        return
    from flows.report import table_of

    shown = [{**row, "similarity": f"{row['similarity']:.3f}", "count": f"{row['count']:,}"} for row in rows]
    _console().print(table_of(shown, right=("similarity", "count")))


def _show_scores(record: dict[str, Any], store: Path) -> None:
    from flows.report import score_rows
    from pipeline.storage.store import Store

    key = next(step["keys"][0] for step in record["steps"] if step["step"] == "evaluate")
    evaluation = Store(store).find("evaluate", key)
    if evaluation:
        rows = [row for row in score_rows(evaluation) if row["section"] in ("semantic", "syntactic", "total", "Spearman's rho")]
        _print_scores(rows)
    n_reused = sum(step["n_reused"] == len(step["keys"]) for step in record["steps"])
    _console().print(
        f"Run {record['id']} of {record['name']}: {record['elapsed_s']:.1f} s, {n_reused} of {len(record['steps'])} steps reused.",
        highlight=False,
    )


def _print_scores(rows: list[dict[str, Any]]) -> None:
    from flows.report import table_of

    _console().print(table_of(rows, right=("score", "asked")))


def _readable(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else " ".join(value) if isinstance(value, list) else str(value)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))  # noqa: T201 - this is the output
