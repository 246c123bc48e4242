"""`corpus2vec reproduce`: make it again, and see whether it comes out the same."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from flows.commands.shared import AsJson, StorePath, app, console, store_path
from flows.interruption import hear_interruptions
from flows.terminal import json_text


@app.command
def reproduce(
    reference: Annotated[str, Parameter(help="A model's name, a version (NAME@2), a run, or the beginning of a key.")],
    /,
    *,
    into: Annotated[
        Path | None,
        Parameter(
            help="Where to build, a new directory, which is kept; else a temporary one. Interrupted, the same command goes on there."
        ),
    ] = None,
    source: Annotated[
        list[Path] | None,
        Parameter(
            help="A directory with files of the corpus that are no longer where they were, under any name; may be repeated.",
            negative="",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[
        list[str] | None,
        Parameter(help="A tokenizer of your own (module:function) that may be called; may be repeated.", negative="", show_default=False),
    ] = None,
    threads: Annotated[
        int, Parameter(validator=validators.Number(gte=0), help="Threads; the bytes do not depend on them. 0: one for each core.")
    ] = 0,
    store: StorePath = None,
    as_json: AsJson = False,
) -> None:
    """Make something again from its manifests alone, with all that it was made from, and compare the bytes.

    The first difference is named and located, with what in the environment explains it; the exit code is 1 then. The store is only read.
    """
    from flows.commands.training import display_of
    from flows.quiet import prepare_environment
    from flows.reproducing import difference_error, rows_of, show_reproduction
    from pipeline.configuration import Cluster
    from pipeline.errors import UsageError
    from pipeline.events import listening
    from pipeline.lineage.references import resolve
    from pipeline.lineage.reproducing.reproduction import reproduce as make_again
    from pipeline.storage.locks import using
    from pipeline.storage.store import Store
    from pipeline.workers import DaskWorkers

    where = Store(store_path(store))
    referent = resolve(where, reference)
    for directory in source or []:
        if not directory.is_dir():
            raise UsageError("A directory to look in does not exist.", where="--source", got=str(directory), expected="a directory")
    with _scratch(into) as scratch:
        prepare_environment(scratch)
        with (
            DaskWorkers(Cluster(threads=threads)) as workers,
            display_of(as_json) as display,
            listening(hear_interruptions),
            listening(display),
            using(where.root),
        ):
            found = make_again(where, referent, Store(scratch), workers, source or [], trust or [])
    if as_json:
        print(json_text({"event": "Reproduced", **rows_of(found)}))  # noqa: T201 - this is the output
    else:
        show_reproduction(found, console())
    if error := difference_error(found):
        raise error


@contextlib.contextmanager
def _scratch(into: Path | None) -> Iterator[Path]:
    """The directory to build in; of a temporary one nothing is left."""
    if into is not None:
        yield into.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="corpus2vec-") as directory:
        try:
            yield Path(directory)
        except KeyboardInterrupt:
            raise KeyboardInterrupt("Interrupted. Nothing is kept; with --into DIRECTORY the same command could go on.") from None
