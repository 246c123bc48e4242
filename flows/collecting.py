"""What `corpus2vec gc` and `keep` print."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from flows.tables import readable_bytes
from pipeline.lineage.closure import closure
from pipeline.lineage.keeping.collection import Collection, Kind, Leaving
from pipeline.storage.artifact import Artifact
from pipeline.storage.pins import Pin
from pipeline.storage.store import Store

VERSIONS_SHOWN = 10


def leaving_rows(going: Sequence[Leaving]) -> list[dict[str, Any]]:
    """One row for each kind of thing that goes, of artifacts for each stage, and each reason."""
    numbers: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for leaving in going:
        row = (leaving.stage or leaving.kind.value, leaving.why)
        numbers[row] += 1
        sizes[row] += leaving.size_bytes
    return [
        {"what": what, "number": f"{numbers[what, why]:,}", "size": readable_bytes(sizes[what, why]), "why": why} for what, why in numbers
    ]


def collection_lines(collection: Collection, *, deleted: bool) -> list[str]:
    """What goes and stays, in a few sentences."""
    going, stays = collection.going, collection.retained
    n_artifacts = sum(leaving.kind is Kind.ARTIFACT for leaving in going)
    size, here = readable_bytes(sum(leaving.size_bytes for leaving in going)), _here(stays.artifacts)
    verb, n_others = "Removed" if deleted else "Would go", len(going) - n_artifacts
    what = [_counted(n_artifacts, "artifact")] * (n_artifacts > 0) + [_counted(n_others, "other thing")] * (n_others > 0)
    lines = [f"{verb}: {' and '.join(what)}, {size}." if going else f"{verb}: nothing."]
    reasons = [_counted(len(stays.runs), "run"), _counted(len(stays.aliased), "aliased version"), _counted(len(stays.pins), "pin")]
    lines.append(f"Stays: {_counted(len(here), 'artifact')}, {readable_bytes(_size(here))}, for {', '.join(reasons)}.")
    if n_elsewhere := len(stays.artifacts) - len(here):
        lines.append(f"Of {_counted(n_elsewhere, 'more artifact')} only the manifests are here, and stay: the files are in a shared store.")
    if stays.missing:
        lines.append(f"Of what these were made from, {_counted(len(stays.missing), 'artifact')} had gone before.")
    if collection.without_vectors:
        names = [str(version) for version in collection.without_vectors]
        more = f" and {len(names) - VERSIONS_SHOWN} more" if len(names) > VERSIONS_SHOWN else ""
        lines.append(f"Without vectors {'now' if deleted else 'then'}: {', '.join(names[:VERSIONS_SHOWN])}{more}.")
    if not deleted and any(leaving.kind is Kind.RUN for leaving in going):
        lines.append("What unfinished runs have made goes too: to go on with one, give its command again before.")
    lines += [
        f"Run {run.run} of {run.name} goes on: nothing can be removed now, and what it makes may be in this list."
        for run in collection.at_work
    ]
    return lines


def collection_json(collection: Collection, *, deleted: bool) -> dict[str, Any]:
    """The same for machines, complete."""
    stays = collection.retained
    return {
        "deleted": deleted,
        "going": [
            {"kind": one.kind.value, "stage": one.stage, "place": one.place, "size_bytes": one.size_bytes, "why": one.why}
            for one in collection.going
        ],
        "size_bytes": sum(leaving.size_bytes for leaving in collection.going),
        "kept": {
            "artifacts": len(_here(stays.artifacts)),
            "size_bytes": _size(_here(stays.artifacts)),
            "elsewhere": len(stays.artifacts) - len(_here(stays.artifacts)),
            "runs": list(stays.runs),
            "versions": [str(version) for version in stays.aliased],
            "pins": [pin.name for pin in stays.pins],
            "missing": [f"{link.stage}/{link.key}" for link in stays.missing],
        },
        "without_vectors": [str(version) for version in collection.without_vectors],
        "at_work": [run.run for run in collection.at_work],
    }


def pin_rows(store: Store, pins: Sequence[Pin]) -> list[dict[str, Any]]:
    """One row for each thing that is kept, with the size of all that it was made from, as far as that is here."""
    rows = []
    for pin in pins:
        found = closure(store, pin.links)
        here = _here(found.artifacts)
        row = {"kept": pin.name, "artifacts": f"{len(here):,}", "size": readable_bytes(_size(here))}
        rows.append({**row, "missing": f"{len(found.missing):,}", "since": pin.created, "note": pin.note})
    return rows


def _here(artifacts: Sequence[Artifact]) -> list[Artifact]:
    return [artifact for artifact in artifacts if artifact.is_here]


def _size(artifacts: Sequence[Artifact]) -> int:
    return sum(artifact.manifest.size_bytes for artifact in artifacts)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
