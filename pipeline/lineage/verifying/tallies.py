"""Whether the tallies of an artifact agree with its tables, and with what its inputs kept: nothing disappears between two stages.

That a tally adds up by itself is seen when the manifest is read.
"""

from collections.abc import Iterator, Mapping

from pipeline.lineage.verifying.findings import Finding, Wrong
from pipeline.lineage.verifying.inspection import Artifacts, Inspected, named
from pipeline.storage.artifact import MANIFEST, Manifest, Tally
from pipeline.storage.schemas import VOCABULARY_FILE

# Stage -> unit -> the file whose rows are what was kept.
_ROWS: Mapping[str, Mapping[str, str]] = {"tokenize": {"sentences": "sentences.parquet"}, "vocabulary": {"words": VOCABULARY_FILE}}
# Stage -> unit -> the input that kept what came in, and its unit there.
_HANDED_ON: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "phrases": {"tokens": ("text", "tokens")},
    "vocabulary": {"tokens": ("text", "tokens")},
    "pairs": {"tokens": ("text", "tokens")},  # in every epoch
    "cooccurrence": {"tokens": ("text", "tokens")},
    "train": {"centres": ("pairs", "tokens")},
}


def check_tallies(inspected: Inspected, artifacts: Artifacts) -> Iterator[Finding]:
    """What contradicts the tallies of one artifact; inputs that are not there contradict nothing."""
    if inspected.artifact is None:
        return
    manifest = inspected.artifact.manifest
    for tally in manifest.tallies:
        rows = [file.n_rows for file in manifest.files if file.name == _ROWS.get(manifest.stage, {}).get(tally.unit)]
        if rows and tally.n_kept != sum(rows):
            yield _finding(inspected, f"{tally.n_kept:,} {tally.unit} kept", f"{sum(rows):,}, the rows of the table")
        name, unit = _HANDED_ON.get(manifest.stage, {}).get(tally.unit, ("", ""))
        kept = _kept(manifest, name, unit, artifacts) if name else None
        times = manifest.parameters.get("epochs") if manifest.stage == "pairs" else 1
        if kept is not None and isinstance(times, int) and tally.n_in != times * kept:
            yield _finding(inspected, f"{tally.n_in:,} {tally.unit} in", f"{times * kept:,}, which {name} has kept")


def _kept(manifest: Manifest, name: str, unit: str, artifacts: Artifacts) -> int | None:
    """How many of a unit all artifacts of one input have kept; None when one of them cannot be asked."""
    found = [named(artifacts, link) for link in manifest.inputs.get(name, ())]
    tallies = [_tally(one.artifact.manifest, unit) if one and one.artifact else None for one in found]
    known = [tally.n_kept for tally in tallies if tally]
    return sum(known) if known and len(known) == len(tallies) else None


def _tally(manifest: Manifest, unit: str) -> Tally | None:
    return next((tally for tally in manifest.tallies if tally.unit == unit), None)


def _finding(inspected: Inspected, got: str, expected: str) -> Finding:
    return Finding(Wrong.TALLY, f"{inspected.place}/{MANIFEST}", inspected.name, MANIFEST, got, expected)
