"""The records of finished runs, each read by itself: one that cannot be used stops only who asks for it.

They are found by the names of their directories, for a record may be large, and there may be thousands.
"""

from collections.abc import Callable
from typing import Any

from pipeline.errors import StoreError
from pipeline.lineage.run_form import refuse_another_form
from pipeline.storage.records import RECORD
from pipeline.storage.store import RUNS, Store


def run_record(store: Store, run: str) -> dict[str, Any] | None:
    """The record of a run; None when there is none of this id.

    Raises
    ------
    StoreError
        When it cannot be read, was edited, or is of another form.
    """
    record = store.find_record(RUNS, run)
    try:
        if record is not None:
            refuse_another_form(record)
            if record["id"] != run:
                raise ValueError(f"the run {record['id'][:50]}")
    except ValueError as error:
        raise StoreError(
            "The record of a run is of another form.",
            where=str(store.root / RUNS / run / RECORD),
            got=str(error),
            expected="a record as this program writes it at the end of a run",
            remedy="Bring it back from a copy, or remove it: then what it says is forgotten, and nothing else.",
        ) from error
    return record


def run_records(store: Store, on_unusable: Callable[[StoreError], None]) -> list[dict[str, Any]]:
    """All records of finished runs, the newest last; those that cannot be used are handed to `on_unusable`."""
    found = []
    for run in store.record_names(RUNS):
        try:
            record = run_record(store, run)
        except StoreError as error:
            on_unusable(error)
        else:
            found += [record] if record else []
    return found


def newest_run(store: Store) -> dict[str, Any] | None:
    """The record of the run that finished last; None when none has.

    Raises
    ------
    StoreError
        When it cannot be used.
    """
    runs = store.record_names(RUNS)
    return run_record(store, runs[-1]) if runs else None
