"""Whether what is in a store is still what was made: every byte, every manifest, and the chain of digests from one artifact to the next.

Nothing is written. What cannot be found out: that somebody has changed files and then written manifests and records anew, with the right
digests everywhere. Journals of runs and Prefect's database are not looked at, nor is what came from outside of the store. Of artifacts
whose files are in the shared store only the manifests are looked at; their files are compared with their digests when they are fetched.
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.lineage.references import Referent, links_of, of_run, resolve
from pipeline.lineage.runs import newest_run
from pipeline.lineage.verifying.findings import Finding, Wrong
from pipeline.lineage.verifying.hashing import Examined, Examiner, OnProgress, Recorded
from pipeline.lineage.verifying.inspection import Artifacts, Inspected, inspect, named, place_of, short
from pipeline.lineage.verifying.records import Checked, check_checkpoints, check_records, record_paths
from pipeline.lineage.verifying.tallies import check_tallies
from pipeline.storage.artifact import MANIFEST, Link, can_be_called
from pipeline.storage.records import RECORD
from pipeline.storage.store import KEY_LETTERS, MODELS, NO_STAGES, RUNS, SHARED, Store


@dataclass(frozen=True)
class Verification:
    """What was looked at, and everything that is wrong with it."""

    name: str  # what was verified: demo@3, run ..., the whole store
    n_artifacts: int
    n_files: int
    n_bytes: int  # that were read and hashed
    n_records: int  # of runs, versions, aliases ...
    n_elsewhere: int  # artifacts of which only the manifests are here, and were looked at; not among `n_artifacts`
    n_outside: int  # inputs from outside of the store, which were not looked at
    forgotten: tuple[str, ...]  # places of artifacts that records of runs name, and that were removed since: no mistake
    findings: tuple[Finding, ...]  # by place
    elapsed_s: float


def verify(store: Store, reference: str = "", on_progress: OnProgress = lambda done, total: None, n_threads: int = 0) -> Verification:
    """Verify what a reference leads to, and all that it was made from; without one, the newest run.

    `on_progress` is called with the bytes that are read and those that there are. Threads: 0 is one for each core.

    Raises
    ------
    UsageError
        When the reference means nothing, or several things, or no run has finished.
    StoreError
        When the record, or the only manifest, that it leads to is damaged.
    """
    started = time.monotonic()
    referent = resolve(store, reference) if reference else _newest(store)
    artifacts: dict[str, Inspected] = {}
    findings = list(_follow(store, referent.links, artifacts))
    of_run = [link for step in referent.run["steps"] for link in links_of(step)] if referent.run else []
    findings += _follow(store, [link for link in of_run if _directory(store, link)], artifacts)
    checked = check_records(store, _paths_of(store, referent), artifacts)
    return _verified(referent.name, started, artifacts, [*findings, *checked.findings], checked, Examiner(_threads(n_threads), on_progress))


def verify_all(store: Store, on_progress: OnProgress = lambda done, total: None, n_threads: int = 0) -> Verification:
    """Verify everything in a store; parameters as of `verify`."""
    started = time.monotonic()
    artifacts: dict[str, Inspected] = {}
    findings = []
    for path in _stages(store):
        if path.is_symlink():
            findings.append(Finding(Wrong.LINK, store.place_of(path), got=f"a link to {path.readlink()}"))
        else:
            found = [inspect(store, directory) for directory in _directories(store, path)]
            artifacts |= {one.place: one for one in found}
    for inspected in artifacts.values():
        findings += _check_inputs(inspected, artifacts)
    paths, links = record_paths(store)
    checked = check_records(store, paths, artifacts)
    findings += [*links, *checked.findings, *check_checkpoints(store)]
    done = _verified("the whole store", started, artifacts, findings, checked, Examiner(_threads(n_threads), on_progress))
    # What somebody has removed meanwhile as a whole is no mistake.
    there = tuple(found for found in done.findings if not found.artifact or os.path.lexists(store.root / _directory_of(found)))
    return replace(done, findings=there)


def _stages(store: Store) -> Iterator[Path]:
    """The directories of all stages, here and of what is elsewhere; and links in their place."""
    yield from (path for path in sorted(store.root.glob("[!.]*")) if path.name not in NO_STAGES)
    shared = store.root / SHARED
    yield from [shared] if shared.is_symlink() else sorted(shared.glob("[!.]*"))


def _directories(store: Store, stage: Path) -> Iterator[Path]:
    """Whatever is, or was, an artifact of a stage: what is called like one, or has a manifest.

    In `shared/` a run that is killed may leave a directory without one, which is nothing then.
    """
    is_here = stage.parent == store.root
    for path in sorted(stage.glob("[!.]*")):
        is_key = len(path.name) == KEY_LETTERS and not path.name.strip("0123456789abcdef")
        if (is_here and is_key) or os.path.lexists(path / MANIFEST):
            yield path


def _directory(store: Store, link: Link) -> Path | None:
    """Where an artifact is, or its manifest when its files are in the shared store only; None when it is gone."""
    if not can_be_called(link.stage, link.key):
        return None
    here, elsewhere = (above / place_of(link.stage, link.key) for above in (store.root, store.root / SHARED))
    return here if os.path.lexists(here) else elsewhere if os.path.lexists(elsewhere / MANIFEST) else None


def _newest(store: Store) -> Referent:
    record = newest_run(store)
    if record is None:
        raise UsageError(
            "No run has finished in this store.",
            where=str(store.root),
            expected="a run whose vectors can be verified",
            remedy="Train a model (corpus2vec train CONFIG), name another store (--store DIRECTORY), or verify what is there (--all).",
        )
    return of_run(record)


def _follow(store: Store, links: Iterable[Link], artifacts: dict[str, Inspected]) -> Iterator[Finding]:
    """Inspect artifacts and all that they were made from; what is wrong between them."""
    waiting = [(link, False) for link in links]
    made: list[Inspected] = []
    while waiting:
        link, is_input = waiting.pop()
        if link.is_outside or named(artifacts, link):
            continue
        directory = _directory(store, link)
        if directory is None:
            if not is_input:  # which is found missing below
                place = place_of(link.stage, link.key)
                yield Finding(Wrong.GONE, place, short(place), expected=f"the digest {link.digest[:16]}")
            continue
        inspected = inspect(store, directory)
        artifacts[inspected.place] = inspected
        made.append(inspected)
        artifact = inspected.artifact
        waiting += [(one, True) for some in artifact.manifest.inputs.values() for one in some] if artifact else []
    for inspected in made:
        yield from _check_inputs(inspected, artifacts)


def _check_inputs(inspected: Inspected, artifacts: Artifacts) -> Iterator[Finding]:
    """Whether the inputs of an artifact are there, with the bytes that were used."""
    if inspected.artifact is None:
        return
    for name, links in inspected.artifact.manifest.inputs.items():
        for link in links:
            if link.is_outside:
                continue
            found = named(artifacts, link)
            wrong = Finding(Wrong.INPUT_GONE, inspected.place, inspected.name, "", f"no {short(place_of(link.stage, link.key))}", name)
            if found is None:
                yield wrong
            elif found.artifact and found.artifact.manifest.digest != link.digest:  # where there is none, that is said of it
                got = f"{found.name} with the digest {found.artifact.manifest.digest[:16]}"
                yield replace(wrong, wrong=Wrong.INPUT_OTHER, got=got, expected=f"as {name}: {link.digest[:16]}")


def _circles(artifacts: Artifacts) -> Iterator[Finding]:
    """An artifact that was made from itself, over others; of several circles one is found at a time."""
    inputs = {
        place: [found.place for some in one.artifact.manifest.inputs.values() for link in some if (found := named(artifacts, link))]
        for place, one in artifacts.items()
        if one.artifact
    }
    try:
        TopologicalSorter(inputs).prepare()
    except CycleError as error:
        circle = sorted(set(error.args[1]))
        got = " and ".join(map(short, circle))
        yield Finding(Wrong.CIRCLE, circle[0], short(circle[0]), got=got, expected="inputs that were there before")


def _paths_of(store: Store, referent: Referent) -> list[Path]:
    """The records that belong to what is meant: of its run, of its version, and the aliases of its model."""
    paths = []
    if referent.run:
        paths.append(store.root / RUNS / str(referent.run["id"]) / RECORD)
    if version := referent.version:
        directory = store.root / MODELS / version.name
        paths.append(directory / "versions" / f"{version.number}.json")
        paths += sorted(directory.glob("aliases/[!.]*/[!.]*.json"))
    return paths


def _verified(
    name: str, started: float, artifacts: Artifacts, findings: list[Finding], checked: Checked, examiner: Examiner
) -> Verification:
    """Examine all files; then everything is known."""
    known = [(one.place, one.artifact, record) for one in artifacts.values() if one.artifact for record in one.present]
    files = [Recorded(place, artifact.path(record.name), record, artifact.manifest) for place, artifact, record in known]
    examined = examiner.examine(files)
    of_each = (found for one in artifacts.values() for found in one.findings)
    of_tallies = (found for one in artifacts.values() for found in check_tallies(one, artifacts))
    findings = [*findings, *of_each, *of_tallies, *_circles(artifacts), *_of_files(files, examined)]
    elsewhere = [place.removeprefix(f"{SHARED}/") for place in artifacts if place.startswith(f"{SHARED}/")]
    return Verification(
        name,
        len(artifacts) - len(elsewhere),
        len(files),
        sum(one.n_bytes for one in examined),
        checked.n_records,
        sum(place not in artifacts for place in elsewhere),  # what is there and here too is counted above
        len({(link.stage, link.digest) for link in _outside(artifacts)}),
        checked.forgotten,
        tuple(sorted(findings, key=lambda found: (found.place, found.wrong, found.got))),
        time.monotonic() - started,
    )


def _of_files(files: list[Recorded], examined: list[Examined]) -> Iterator[Finding]:
    """What is wrong with files; of bytes that belong elsewhere, where that is."""
    owners = {file.record.sha256: f"{short(file.place)}/{file.record.name}" for file in files}
    for one in examined:
        if one.finding and one.finding.wrong is Wrong.OTHER_BYTES and one.sha256 in owners:
            yield replace(one.finding, got=f"{one.finding.got}: those of {owners[one.sha256]}")
        elif one.finding:
            yield one.finding


def _outside(artifacts: Artifacts) -> Iterator[Link]:
    manifests = [one.artifact.manifest for one in artifacts.values() if one.artifact]
    return (link for manifest in manifests for some in manifest.inputs.values() for link in some if link.is_outside)


def _directory_of(found: Finding) -> str:
    return "/".join(found.place.split("/")[: 3 if found.place.startswith(f"{SHARED}/") else 2])


def _threads(n_threads: int) -> int:
    return n_threads or len(os.sched_getaffinity(0))
