"""`corpus2vec lineage`, `why` and `card`: what made something, why a step would run, and what there is to know about a model."""

import contextlib
import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands.shared import AsJson, Overrides, StorePath, app, configuration_of, console, print_json, store_path

if TYPE_CHECKING:
    from pipeline.configuration import Configuration


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Do not look for garbage in the body: a question makes little before it is answered, and looking took a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


Reference = Annotated[
    str, Parameter(help="A model (demo), a version (demo@2, demo@production), a run, or the beginning of a key; stage/key is one too.")
]


@app.command
@_uncollected()
def lineage(
    reference: Reference,
    /,
    *,
    html: Annotated[Path | None, Parameter(help="Write a page with the graph and all details to this file.", show_default=False)] = None,
    show_all: Annotated[bool, Parameter(name="--all", help="Every shard and every file, however many.", negative="")] = False,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model, a run or an artifact was made from, down to the files of the corpus; JSON and HTML have every digest.

    What is missing or has changed since is marked. Bytes are not read again: that is what verify does.
    """
    from flows.ancestry_text import tree, values
    from pipeline.lineage.ancestry import ancestry
    from pipeline.lineage.references import resolve
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    found = ancestry(where, resolve(where, reference))
    if html:
        from flows.ancestry_page import page
        from flows.written import write_text

        write_text(html, page(found))
        if not as_json:
            console().print(f"{html}: {sum(len(group.ancestors) for group in found.groups):,} artifacts", markup=False)
            return
    print_json(values(found)) if as_json else console().print(tree(found, show_all))


@app.command
@_uncollected()
def why(
    step: Annotated[str, Parameter(help="A step (snapshot, tokenize, phrases-1, vocabulary, pairs, train, evaluate ...), or its stage.")],
    config: Annotated[
        Path | None, Parameter(help="A TOML file; without one, the configuration of the newest run.", show_default=False)
    ] = None,
    /,
    *,
    overrides: Overrides = None,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Say why a step would run or be reused now: the first difference from what is in the store, followed to where it began."""
    from flows.explanation_text import values
    from flows.terminal import visible
    from pipeline.lineage.explanation import explain
    from pipeline.storage.read_through import ReadThrough
    from pipeline.storage.store import Store

    configuration = _configuration(config, overrides, store)
    stores: Store | ReadThrough = Store(Path(configuration.store.path))
    if configuration.store.shared:
        from pipeline.run import read_through

        stores = read_through(configuration, Store(Path(configuration.store.path)))
    found = explain(configuration, stores, step)
    if as_json:
        print_json(values(found))
    else:
        console().print(visible(found.sentence), markup=False, soft_wrap=True)


def _configuration(config: Path | None, overrides: list[str] | None, store: Path | None) -> "Configuration":
    """As the other commands have it; with neither a file nor a corpus, that of the newest run in the store."""
    from pipeline.lineage.runs import newest_run
    from pipeline.storage.store import Store

    if config or any(override.partition("=")[0].strip() == "corpus.paths" for override in overrides or []):
        return configuration_of(config, overrides, store)
    path = store_path(store)
    run = newest_run(Store(path))
    if run is None:
        return configuration_of(config, overrides, store)
    from pipeline.configuration_file import load_configuration

    return load_configuration(None, [*(overrides or []), f"store.path={json.dumps(str(path))}"], of_run=run["configuration"])


@app.command
def card(
    reference: Reference,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["-o", "--output"], help="A file; else it is printed.", show_default=False)] = None,
    store: StorePath = None,
) -> None:
    """Write a model card in Markdown: data and licence, parameters, scores with intervals, limits, environment, how to make it again."""
    from flows.card_text import markdown
    from pipeline.lineage.card import card as card_of
    from pipeline.lineage.references import resolve
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    text = markdown(card_of(where, resolve(where, reference)))
    if output:
        from flows.written import write_text

        write_text(output, text)
        console().print(f"{output}: {len(text):,} characters", markup=False)
    else:
        console().print(text, markup=False, soft_wrap=True, end="")
