"""What a person means by a few letters in a shared store: a run, a model (its newest run there), or an artifact."""

import difflib
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipeline.errors import SharedStoreError, UsageError
from pipeline.lineage.references import SHORTEST, Referent, of_run
from pipeline.lineage.run_form import refuse_other_than_record
from pipeline.storage.artifact import Link
from pipeline.storage.registry import NAME
from pipeline.storage.shared import AT_ONCE, SharedStore, WrongContentError, in_parallel

SURE = 9  # letters: more than a date has, by which somebody may call a model
_KEY = re.compile(r"(?:([a-z][a-z0-9_]{0,99})/)?([0-9a-f]{4,64})")


def resolve_shared(shared: SharedStore, reference: str) -> Referent:
    """What a reference means in a shared store: a run, a model's name, or an artifact by `stage/key` or `key`.

    Of runs and keys the beginning is enough, from four letters on. A name comes first: it may look like the beginning of a run. But names
    stand in the records of runs, all of which have to be fetched, so nobody asks for them when something begins with nine letters or more.

    Raises
    ------
    UsageError
        When it means nothing, or several things.
    SharedStoreError
        When the shared store cannot be read, or the record of the run is none.
    """
    if "@" in reference:
        name, _, which = reference.partition("@")
        raise UsageError(
            "Versions have numbers and aliases in each store, not in the shared one.",
            where=shared.url,
            got=reference,
            expected=f"a run, a key, or {name}: its newest run there",
            remedy=f"corpus2vec show {reference} names its run, in the store where {which} is.",
        )
    runs = shared.runs()
    found = [run for run in runs if len(reference) >= SHORTEST and run.startswith(reference)]
    if reference in runs:
        found = [reference]
    links = _artifacts(shared, reference)
    names: dict[str, None] = {}
    if re.fullmatch(NAME, reference) and not (len(reference) >= SURE and (found or links)):
        for record in _records(shared, runs):
            if record["name"] == reference:
                return of_run(record)
            names[record["name"]] = None
    if len(found) + len(links) > 1:
        raise _ambiguous(shared, reference, [f"run {run}" for run in found], links)
    if found:
        return of_run(_record(shared, found[0]))
    if links:
        return Referent(f"{links[0].stage}/{links[0].key[:12]}", (links[0],))
    near = difflib.get_close_matches(reference, names, n=1)
    raise UsageError(
        "There is nothing that is called so in the shared store.",
        where=shared.url,
        got=reference[:100],
        expected=("one of " + ", ".join(islice(names, 10)) + ", " if names else "") + "a run, or the beginning of a key",
        remedy=f"Did you mean {near[0]}?" if near else "Push it first: corpus2vec push REF URL, where it is." if not runs else "",
    )


def _artifacts(shared: SharedStore, reference: str) -> list[Link]:
    match = _KEY.fullmatch(reference)
    return [link for link in shared.artifacts(match[1] or "") if link.key.startswith(match[2])] if match else []


def _record(shared: SharedStore, run: str) -> dict[str, Any]:
    record = shared.run(run)
    try:
        refuse_other_than_record(record)
    except ValueError as error:
        raise SharedStoreError(
            "The record of a run in the shared store cannot be used.",
            where=f"{shared.url}, runs/{run}.json",
            got=str(error),
            remedy="Nothing of it was taken. Ask who pushed it.",
        ) from error
    return record


def _records(shared: SharedStore, runs: list[str]) -> Iterator[dict[str, Any]]:
    """The records that are any, newest first; only as many are read as are looked at, and some more."""

    def read(run: str) -> dict[str, Any] | None:
        try:
            record = shared.run(run)
            refuse_other_than_record(record)
        except (WrongContentError, ValueError):  # what somebody has broken stands in nobody's way
            return None
        return record

    for first in range(0, len(runs), AT_ONCE):
        yield from (record for record in in_parallel(read, runs[first : first + AT_ONCE]) if record)


def _ambiguous(shared: SharedStore, reference: str, runs: list[str], links: list[Link]) -> UsageError:
    names = runs + [f"{link.stage}/{link.key[:12]} with the digest {link.digest[:12]}" for link in links]
    same_key = len({link.key for link in links}) == 1 and not runs
    return UsageError(
        "This can mean several things in the shared store.",
        where=shared.url,
        got=reference,
        expected="one of " + ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
        remedy="They were made of the same, with other bytes (another type of CPU, say): pull the run that used one."
        if same_key
        else "Give more letters.",
    )
