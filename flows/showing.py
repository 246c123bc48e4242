"""What `corpus2vec show` and `corpus2vec phrases` print: runs; one run with its steps, scores and tallies; its phrases."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from flows.report import result_of, score_rows
from flows.tables import readable_bytes, table_of
from pipeline.choices import Format
from pipeline.errors import StoreError, UsageError
from pipeline.journal import RunState, UnfinishedRun, unfinished_runs
from pipeline.lineage.closure import closure
from pipeline.lineage.models import Model, run_of
from pipeline.lineage.promoting.catalogue import called, identity_of, version_names
from pipeline.lineage.references import Referent, links_of
from pipeline.lineage.runs import run_records
from pipeline.quarantine import read_quarantine
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.registry import OnUnusable, Registry, Version
from pipeline.storage.schemas import PHRASES, PHRASES_FILE
from pipeline.storage.store import RUNS, Store
from pipeline.storage.tables import read_table

BROKEN_ROWS = 20  # that are shown


def show_runs(store: Store, console: Console, on_unusable: OnUnusable) -> None:
    """One line a run, newest first; then those that did not finish, or go on. `on_unusable` hears of records that are left out."""
    rows, versions = [], version_names(store, on_unusable)
    for run in reversed(run_records(store, on_unusable)):
        train = next(step for step in run["steps"] if step["step"] == "train")
        scores = ", ".join(f"{name} {value:.3f}" for name, value in run["scores"].items())
        rows.append(
            {
                "run": run["id"],
                "model": versions.get(identity_of(run), run["name"]),
                "vectors": train["keys"][0][:12],
                "seconds": f"{run['elapsed_s']:.1f}",
                "scores": scores,
            }
        )
    unfinished = [
        {"run": run.run, "model": run.name, "last heard": run.last.get("time", ""), "unfinished": how_it_stands(run)}
        for run in unfinished_runs(store)
    ]
    if rows:
        console.print(table_of(rows, right=("seconds",)))
    if rows and unfinished:
        console.print()
    if unfinished:
        console.print(table_of(unfinished))
    if not rows and not unfinished and not store.record_names(RUNS):
        console.print(f"No runs yet in {store.root}. Train a model: corpus2vec train CONFIG", markup=False)


def how_it_stands(run: UnfinishedRun) -> str:
    """What has become of a run without a record, and how far it came: an end that it wrote itself says both."""
    words = last_words(run.last)
    silent = run.state in (RunState.GOES_ON, RunState.KILLED)
    return f"{run.state.value}: {words}" if silent and words else run.state.value if silent else words


def last_words(line: dict[str, Any]) -> str:
    """The last line of a journal in words; the first one of an error's."""
    match line:
        case {"event": "StepStarted", "step": step}:
            return f"{step} started"
        case {"event": "StepAdvanced", "step": step, "n_done": n_done, "n_total": n_total}:
            return f"{step} {n_done / max(1, n_total):.0%}"
        case {"event": "StepFinished", "step": step}:
            return f"{step} finished"
        case {"event": "RunWaits", "reason": reason}:
            return f"waits: {reason}"
        case {"event": "RunFailed", "error": error}:
            return f"failed: {error.partition(chr(10))[0]}"
        case {"event": "RunInterrupted"}:
            return "interrupted"
        case {"event": "RunStopped"}:
            return "stopped"
        case _:
            return ""


def run_meant(store: Store, referent: Referent) -> dict[str, Any]:
    """The record of the run that is meant.

    Raises
    ------
    UsageError
        When none is known here.
    StoreError
        When it cannot be used.
    """
    run = run_of(store, referent)
    if run is None:
        raise UsageError(
            "No run of this is known here.",
            where=str(store.root),
            got=referent.name,
            expected="a run, a model, or the beginning of the key of its vectors, and a record of the run",
            remedy=f"corpus2vec lineage {referent.name.removeprefix('run ')} says what it was made from and by.",
        )
    return run


def show_run(store: Store, run: dict[str, Any], console: Console, version: Version | None, on_unusable: OnUnusable) -> None:
    """The steps of a run, where everything went, and the scores; of a version by its name. `on_unusable` hears of damaged artifacts."""
    what = f"run {run['id']}, {run['started']}, {run['elapsed_s']:.1f} s, {run['started_by']}"
    console.print(f"{_called(store, run, version, on_unusable)}  {what}", highlight=False, markup=False)
    steps, tallies = [], []
    scores = [{"set": name, "score": f"{value:.3f}"} for name, value in run["scores"].items()]
    gone = []
    if "found" in run:
        found = run["found"]
        for name, n in {"in": found["n_in"], "kept": found["n_kept"], **found["dropped"]}.items():
            tallies.append({"step": "corpus", "of": found["unit"], "": name, "number": f"{n:,}"})
    for step in run["steps"]:
        row = {
            "step": step["step"],
            "artifacts": len(step["keys"]),
            "key": step["keys"][0][:12],
            "size": readable_bytes(step["size_bytes"]),
        }
        steps.append({**row, "result": result_of(step) or f"{step['elapsed_s']:.1f} s", "why": step["reason"]})
        artifacts = [artifact for link in links_of(step) if (artifact := _as_used(store, link, on_unusable))]
        gone += [step["step"]] if len(artifacts) < len(step["keys"]) else []
        if step["step"] == "evaluate" and artifacts and artifacts[0].is_here:
            scores = score_rows(artifacts[0])
        totals: dict[str, Counter[str]] = {}
        for tally in (tally for artifact in artifacts for tally in artifact.manifest.tallies):
            totals.setdefault(tally.unit, Counter()).update({"in": tally.n_in, "kept": tally.n_kept, **tally.dropped})
        for unit, numbers in totals.items():
            tallies += [{"step": step["step"], "of": unit, "": name, "number": f"{n:,}"} for name, n in numbers.items()]
    if gone:
        what = "Its vectors are no longer in the store. " if "train" in gone else ""
        console.print(f"{what}Gone, or there with other bytes than this run left: {', '.join(gone)}.", markup=False)
    console.print()
    console.print(table_of(steps, right=("artifacts", "size", "result")))
    console.print()
    console.print(table_of(tallies, right=("number",)))
    if broken := broken_records(store, run, lambda _: None):
        console.print()
        show_broken(broken[:BROKEN_ROWS], console)
        if len(broken) > BROKEN_ROWS:
            console.print(f"and {len(broken) - BROKEN_ROWS:,} more: corpus2vec show {run['id']} --broken", markup=False)
    if scores:
        console.print()
        console.print(table_of(scores, right=("score", "asked")))


def _called(store: Store, run: Mapping[str, Any], version: Version | None, on_unusable: OnUnusable) -> str:
    if version:
        return called(version, Registry(store).aliases(version.name, on_unusable))
    name: str = run["name"]
    return version_names(store, on_unusable).get(identity_of(run), name)


def _as_used(store: Store, link: Link, on_unusable: OnUnusable) -> Artifact | None:
    """What a run used or made, by its manifest; None when it is gone, or there with other bytes."""
    try:
        found = store.described(link.stage, link.key)
    except StoreError as error:
        on_unusable(error)
        return None
    return found if found and found.manifest.digest == link.digest else None


def broken_records(store: Store, run: Mapping[str, Any], on_unusable: OnUnusable) -> list[dict[str, Any]] | None:
    """The records in quarantine, by file and place: a byte of the file, or of its decompressed text, or a row of a shard of Parquet.

    None when that is not known any more, or not here. Beyond the first 1,000 of a shard one row stands for all of a reason.
    """
    step = next((step for step in run["steps"] if step["step"] == "tokenize"), None)
    artifacts = [artifact for link in links_of(step) if (artifact := _as_used(store, link, on_unusable))] if step else []
    # When one of them was removed from the store, nobody knows which shard it was. In the shared store are tables that nobody has read.
    if len(run["sources"]) != len(artifacts) or not all(artifact.is_here for artifact in artifacts):
        return None
    return [
        {
            "file": source["path"],
            "at": defect.at if source["format"] == Format.PARQUET else source["start"] + defect.at,
            "unit": "row" if source["format"] == Format.PARQUET else "byte",
            "shard": source["start"],
            "records": defect.n_records,
            "bytes": defect.n_bytes,
            "broken": defect.reason.value,
            "result": "mended" if defect.kept else "left out",
            "got": defect.got,
        }
        for source, artifact in zip(run["sources"], artifacts, strict=True)
        for defect in read_quarantine(artifact)
    ]


def show_broken(records: Sequence[Mapping[str, Any]], console: Console) -> None:
    """A table of them."""
    rows = [
        {
            "file": record["file"],
            "at": _place(record),
            "records": f"{record['records']:,}",
            "bytes": f"{record['bytes']:,}",
            "broken": record["broken"],
            "result": record["result"],
            "got": record["got"],
        }
        for record in records
    ]
    console.print(table_of(rows, "Broken records", right=("at", "records", "bytes")) if rows else "No broken records.")


def _place(record: Mapping[str, Any]) -> str:
    """Where a broken record is in its file; of Parquet behind its first shard, where in the shard that starts at a byte."""
    if record["unit"] == "byte":
        return f"{record['at']:,}"
    return f"row {record['at']:,}" + (f" from byte {record['shard']:,} on" if record["shard"] else "")


def phrase_rows(store: Store, model: Model, count: int) -> list[dict[str, Any]]:
    """The phrases of a model's text, the `count` best of each pass: the columns of `schemas.PHRASES`, and the pass.

    Raises
    ------
    UsageError
        When none were looked for in its text, or they are no longer in the store.
    StoreError
        When a manifest cannot be used.
    """
    below = closure(store, [model.artifact.link])
    passes = [artifact for artifact in below.artifacts if artifact.manifest.stage == "phrases"]
    found = {
        f"phrases-{number}": artifact
        for number, described in enumerate(passes, 1)
        if (artifact := store.find("phrases", described.manifest.key))
    }
    if not found:
        raise UsageError(
            "There are no phrases.",
            where=f"{model.name}, store {store.root}",
            got="phrases that were removed" if passes or below.missing else "text that was left as it is",
            expected="a run with phrases.thresholds or phrases.frozen",
            remedy="Train with phrases (--set phrases.thresholds=[10.0]), or name another model (--model).",
        )
    return [
        {"pass": name, **row}
        for name, artifact in found.items()
        for row in read_table(artifact.path(PHRASES_FILE), PHRASES).slice(0, count).to_pylist()
    ]
