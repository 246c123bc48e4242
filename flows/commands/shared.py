"""What the commands share: the application, options that several have, the store and the configuration that they mean, and printing.

Each command imports what it needs when it is called: starting Prefect takes seconds, Numba and Dask one.
"""

import json
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter, validators

from flows.terminal import Terminal, json_rows
from pipeline.errors import StoreError, UsageError

if TYPE_CHECKING:
    from pipeline.configuration import Configuration
    from pipeline.storage.store import Store

UNWRAPPED = 240  # columns

app = App(
    name="corpus2vec",
    help="""Word vectors from text, in stages whose results are kept, checked and reused.

    corpus2vec train data/configs/demo.toml   train on the shipped sample
    corpus2vec plan data/configs/demo.toml    what would run, and why
    corpus2vec similar king                   nearest words, newest model
    corpus2vec analogy man king woman         man : king :: woman : ...
    corpus2vec phrases                        the phrases that were found
    corpus2vec verify                         whether all is still as it was made
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
    str,
    Parameter(
        name=["--model", "-m"],
        help="A model's name, a version (NAME@2), a run, or the beginning of a key; else the newest.",
        show_default=False,
    ),
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


def store_path(store: Path | None) -> Path:
    """Where the store is: by the option, else the environment, else here."""
    return store or Path(os.environ.get("CORPUS2VEC_STORE") or "store")


def existing_store(store: Path | None) -> "Store":
    """The store that is meant, which must be there.

    Raises
    ------
    UsageError
        When it is no directory.
    """
    from pipeline.storage.store import Store

    found = Store(store_path(store))
    if not found.root.is_dir():
        raise UsageError(
            "There is no store.",
            where=str(found.root),
            expected="a directory in which runs have left artifacts",
            remedy="Name the store (--store DIRECTORY), or train a model (corpus2vec train CONFIG).",
        )
    return found


def configuration_of(config: Path | None, overrides: list[str] | None, store: Path | None) -> "Configuration":
    """The file, then what is stronger and stronger: the environment, --set, --store."""
    from pipeline.configuration_file import load_configuration

    weaker = {"path": os.environ.get("CORPUS2VEC_STORE"), "shared": os.environ.get("CORPUS2VEC_SHARED")}
    stronger = {"path": store}
    first, last = ([f"store.{key}={json.dumps(str(path))}" for key, path in places.items() if path] for places in (weaker, stronger))
    return load_configuration(config, [*first, *(overrides or []), *last])


def console() -> Terminal:
    """Standard output; where it is no terminal nothing wraps."""
    found = Terminal(highlight=False)
    return found if found.is_terminal or "COLUMNS" in os.environ else Terminal(highlight=False, width=UNWRAPPED)


def warn_of_unusable(errors: Sequence[StoreError]) -> None:
    """Name what a list leaves out, in one line beside it."""
    if errors:
        places = ", ".join(dict.fromkeys(error.details["where"] for error in errors))
        warning = f"warning: left out, because it cannot be used: {places}. corpus2vec verify --all says what is wrong."
        Terminal(stderr=True, highlight=False).print(warning, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value for machines."""
    print(json_rows(value))  # noqa: T201 - this is the output


def print_scores(rows: list[dict[str, Any]]) -> None:
    """Print the rows of `flows.report.score_rows`."""
    from flows.tables import table_of

    console().print(table_of(rows, right=("score", "asked")))
