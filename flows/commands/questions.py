"""`corpus2vec lineage`, `why` and `card`: what made something, why a step would run, and what there is to know about a model."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands.shared import AsJson, StorePath, app, console, print_json, store_path

Reference = Annotated[
    str, Parameter(help="A model (demo), a version (demo@2, demo@production), a run, or the beginning of a key; stage/key is one too.")
]


@app.command
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
