"""`corpus2vec verify`: whether what is in the store is still what was made."""

from typing import Annotated

from cyclopts import Parameter

from flows.commands.shared import AsJson, StorePath, app, console, existing_store, print_json


@app.command
def verify(
    reference: Annotated[
        str,
        Parameter(
            help="A model's name, a version (NAME@2, NAME@production), a run, or the beginning of a key; without one, the newest run.",
            show_default=False,
        ),
    ] = "",
    *,
    everything: Annotated[bool, Parameter(name="--all", help="Everything in the store.", negative="")] = False,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Hash every file again and check manifests, tables, tallies and the chain of digests; each thing that is wrong is named.

    Of a REFERENCE all that it was made from is verified too. Writes nothing. Exit code 1 when something is wrong.
    """
    from flows.verifying import show_verification, shown_progress, verification_values
    from pipeline.errors import StoreError, UsageError
    from pipeline.lineage.verifying.verification import verify as verify_reference
    from pipeline.lineage.verifying.verification import verify_all

    if reference and everything:
        raise UsageError(
            "It is either one thing or everything.",
            where="verify",
            got=f"{reference} and --all",
            expected="REFERENCE, or --all, or neither",
        )
    where = existing_store(store)
    out = console()
    try:
        with shown_progress(out) as on_progress:
            done = verify_all(where, on_progress) if everything else verify_reference(where, reference, on_progress)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted. Nothing can be said of the rest.") from None
    print_json(verification_values(done)) if as_json else show_verification(done, out)
    if done.findings:
        n_found = len(done.findings)
        raise StoreError(
            "Something in the store is not as it was made.",
            where=str(where.root),
            got=f"{n_found:,} thing{'s' * (n_found > 1)} wrong in {done.name}",
            remedy="Each is named above with what can be done.",
        )
