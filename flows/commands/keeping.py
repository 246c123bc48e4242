"""`corpus2vec gc` and `keep`: what goes from a store, and what stays."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter, validators

from flows.commands.shared import AsJson, StorePath, app, console, existing_store, print_json, store_path
from pipeline.errors import UsageError


@app.command
def gc(
    *,
    runs: Annotated[
        int | None,
        Parameter(
            validator=validators.Number(gte=0),
            help="Keep only so many of the newest finished runs and versions of each model's name; else all of them.",
            show_default=False,
        ),
    ] = None,
    delete: Annotated[bool, Parameter(negative="", help="Remove it; else it is only listed.")] = False,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """List what no kept run or model needs, or with --delete remove it.

    What stays: all that finished runs, versions with an alias (`promote`) and pins (`keep`) were made from, and the records of all runs and
    versions. What goes: everything else that runs have made, also the work of runs that did not finish.

    While somebody uses the store nothing is removed.
    """
    from flows.collecting import collection_json, collection_lines, leaving_rows
    from flows.tables import table_of
    from pipeline.lineage.keeping.collection import collect, sweep

    where = existing_store(store)
    found = sweep(where, runs) if delete else collect(where, runs)
    if as_json:
        print_json(collection_json(found, deleted=delete))
        return
    out = console()
    if found.going:
        out.print(table_of(leaving_rows(found.going), right=("number", "size")))
    for line in collection_lines(found, deleted=delete):
        out.print(line, markup=False, soft_wrap=True)
    if found.going and not delete:
        option = "" if runs is None else f" --runs {runs}"
        out.print(f"Nothing was removed. To remove it: corpus2vec gc{option} --delete", markup=False, soft_wrap=True)


@app.command
def keep(
    reference: Annotated[
        str, Parameter(help="NAME, NAME@VERSION, a run, or an artifact by the beginning of its key; without one, list.", show_default=False)
    ] = "",
    *,
    note: Annotated[str, Parameter(help="Why, for whoever reads the list.", show_default=False)] = "",
    remove: Annotated[bool, Parameter(negative="", help="Keep it no longer: the next gc may remove it.")] = False,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Keep REFERENCE and all that it was made from, whatever gc removes; without REFERENCE, list what is kept."""
    from flows.collecting import pin_rows
    from flows.tables import table_of
    from pipeline.lineage.keeping.retention import keep as pin
    from pipeline.lineage.keeping.retention import release
    from pipeline.storage.pins import Pins
    from pipeline.storage.store import Store

    where = Store(store_path(store))
    if not reference and (note or remove):
        raise UsageError("Keep what?", where="keep", expected="REFERENCE", remedy="For example corpus2vec keep demo@3 --note published")
    pins = Pins(where).all() if not reference else [release(where, reference) if remove else pin(where, reference, note)]
    out = console()
    if as_json:
        print_json([asdict(pin) for pin in pins])
    elif remove:
        out.print(f"Kept no longer: {pins[0].name}", markup=False, soft_wrap=True)
    elif pins:
        out.print(table_of(pin_rows(where, pins), right=("artifacts", "size", "missing")))
    else:
        out.print(f"Nothing is kept in {where.root} beyond what runs need. Keep something: corpus2vec keep NAME@VERSION", markup=False)
