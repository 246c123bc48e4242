"""Sharing with others: all that something was made from, to a shared store and from there, only what is missing, in an order without harm.

Whoever looks into a shared store while this goes on, or after it was killed, sees whole artifacts, each after its inputs, and a run when
all of it is there. The same again sends what is still missing.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import SharedStoreError, StoreError
from pipeline.events import StepStarted, emit
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent, links_of
from pipeline.lineage.sharing.shared_references import resolve_shared
from pipeline.progress import Progress
from pipeline.storage.artifact import FileRecord, Link, Manifest
from pipeline.storage.incoming import bring, conflict
from pipeline.storage.locks import using
from pipeline.storage.order import levels
from pipeline.storage.registry import Registry, Version
from pipeline.storage.shared import SharedStore, in_parallel
from pipeline.storage.store import INCOMING, RUNS, Store


@dataclass(frozen=True)
class Transfer:
    """What was pushed or pulled. Files with the same content are one object."""

    name: str  # demo@3, run 20261121T180000-abc123, train/0123456789ab
    url: str
    n_artifacts: int  # that are there now, with all that they were made from
    n_sent: int  # objects that went over the network
    n_present: int  # objects that did not have to
    sent_bytes: int
    present_bytes: int
    elapsed_s: float
    missing: tuple[Link, ...]  # artifacts that could not go along, because they were removed before
    run: str  # whose record is there now; empty: an artifact, or a version whose record was removed
    version: Version | None  # of a pull: under which number it is here


def push(store: Store, shared: SharedStore, referent: Referent, *, partial: bool = False) -> Transfer:
    """Send an artifact, a version or a run, and all that it was made from, to a shared store.

    With `partial` without those inputs that were removed here: nobody can then say or verify what is in them.

    Raises
    ------
    StoreError
        When something of it is no longer in the store, or is damaged.
    SharedStoreError
        When the shared store cannot be used.
    """
    with using(store.root):
        return _push(store, shared, referent, partial=partial)


def _push(store: Store, shared: SharedStore, referent: Referent, *, partial: bool) -> Transfer:
    started = time.monotonic()
    shared.check()
    found = closure(store, _links(referent))
    elsewhere = [artifact for artifact in found.artifacts if not artifact.is_here]
    known = in_parallel(lambda artifact: shared.manifest(artifact.link) is not None, elsewhere)
    gone = [artifact.link for artifact, is_known in zip(elsewhere, known, strict=True) if not is_known]
    missing = (*found.missing, *gone)
    _refuse_missing(referent, missing, f"store {store.root}", "push", partial=partial)
    here = [artifact for artifact in found.artifacts if artifact.is_here]
    owners = {file.sha256: (artifact, file) for artifact in here for file in artifact.manifest.files}
    present = dict(zip(owners, in_parallel(lambda owned: shared.has(owned[1]), list(owners.values())), strict=True))
    absent = [owned for sha256, owned in owners.items() if not present[sha256]]
    progress = _progress("push", f"{len(found.artifacts)} artifacts, {len(absent)} of {len(owners)} files", [file for _, file in absent])
    stopped = threading.Event()
    in_parallel(lambda owned: shared.send(*owned, stopped), absent, lambda owned, _: progress.advance(owned[1].size_bytes, 0), stopped)
    if absent:
        _refuse_lost(shared, [file for _, file in owners.values()])
    for level in levels([artifact.manifest for artifact in here], shared.url):
        in_parallel(shared.send_manifest, level)
    if referent.run:
        shared.send_run(referent.run)
    sizes = [file.size_bytes for _, file in absent]
    return Transfer(
        referent.name,
        shared.url,
        len(found.artifacts) - len(gone),
        len(absent),
        len(owners) - len(absent),
        sum(sizes),
        sum(file.size_bytes for _, file in owners.values()) - sum(sizes),
        round(time.monotonic() - started, 3),
        missing,
        referent.run["id"] if referent.run else "",
        None,
    )


def pull(shared: SharedStore, store: Store, reference: str, *, partial: bool = False) -> Transfer:
    """Bring what a reference means in a shared store, and all that it was made from, into a store; of a run a version of its model too.

    With `partial` without those inputs that are not in the shared store.

    Raises
    ------
    UsageError
        When the reference means nothing there, or several things.
    StoreError
        When something of it is not there, or the store cannot be written.
    SharedStoreError
        When the shared store cannot be used, or is not what it says; or an artifact is here with other bytes. Nothing is changed then,
        but what has arrived as a whole stays.
    """
    started = time.monotonic()
    shared.check()
    referent = resolve_shared(shared, reference)
    manifests, missing = _manifests(store, shared, _links(referent))
    _refuse_missing(referent, missing, shared.url, "pull", partial=partial)
    for manifest in manifests:
        known = store.described(manifest.stage, manifest.key)
        if known and known.is_here and known.manifest.digest != manifest.digest:
            raise conflict(known, manifest)
    absent = [manifest for manifest in manifests if not store.find(manifest.stage, manifest.key)]
    files = {file.sha256: file for manifest in absent for file in manifest.files}
    every = {file.sha256: file for manifest in manifests for file in manifest.files}
    progress = _progress("pull", f"{len(manifests)} artifacts, {len(files)} of {len(every)} files", files.values())
    sent: dict[str, int] = {}

    def heard(file: FileRecord, was_sent: bool) -> None:
        progress.advance(file.size_bytes, 0)
        if was_sent:
            sent[file.sha256] = file.size_bytes

    store.make_directory(INCOMING)
    with using(store.root):  # until the run is there, nothing needs what arrives
        store.remove_abandoned()
        bring(store, shared, manifests, heard)
        version = _take_over(store, referent.run) if referent.run else None
    return Transfer(
        referent.name,
        shared.url,
        len(manifests),
        len(sent),
        len(every) - len(sent),
        sum(sent.values()),
        sum(file.size_bytes for file in every.values()) - sum(sent.values()),
        round(time.monotonic() - started, 3),
        missing,
        referent.run["id"] if referent.run else "",
        version,
    )


def _links(referent: Referent) -> tuple[Link, ...]:
    """Of a run all its steps: nothing is made from the snapshot, but the same run elsewhere has it."""
    steps = referent.run["steps"] if referent.run else []
    return (*referent.links, *(link for step in steps for link in links_of(step)))


def _manifests(store: Store, shared: SharedStore, links: Sequence[Link]) -> tuple[list[Manifest], tuple[Link, ...]]:
    """All that something in a shared store was made from, inputs first, and what of it is not there."""

    def look(link: Link) -> Manifest | None:
        known = store.described(link.stage, link.key)
        return known.manifest if known and known.manifest.digest == link.digest else shared.manifest(link)

    found: dict[tuple[str, str], Manifest | None] = {}
    waiting = {(link.key, link.digest): link for link in links}
    missing: list[Link] = []
    while waiting:
        manifests = in_parallel(look, list(waiting.values()))
        missing += [link for link, manifest in zip(waiting.values(), manifests, strict=True) if manifest is None]
        found |= dict(zip(waiting, manifests, strict=True))
        inputs = (link for manifest in manifests if manifest for some in manifest.inputs.values() for link in some if not link.is_outside)
        waiting = {name: link for link in inputs if (name := (link.key, link.digest)) not in found}
    order = levels([one for one in found.values() if one], shared.url)
    return [manifest for level in order for manifest in level], tuple(missing)


def _refuse_missing(referent: Referent, missing: Sequence[Link], where: str, verb: str, *, partial: bool) -> None:
    named = [f"{link.stage}/{link.key[:12]}" for link in missing]
    if not missing or (partial and not set(_names(missing)) & set(_names(referent.links))):
        return
    is_itself = bool(set(_names(missing)) & set(_names(referent.links)))
    raise StoreError(
        f"Something of {referent.name} is missing." if is_itself else f"Something that {referent.name} was made from is missing.",
        where=where,
        got=f"no {', '.join(named[:5])}" + (f" and {len(named) - 5} more" if len(named) > 5 else "") + " with these bytes",
        expected="all of it, so that whoever has it can say what made it, verify it and make it again",
        remedy="Make it again with the configuration that made it"
        + (", or push it again from where it was made" if verb == "pull" else "")
        + ("." if is_itself else f"; or {verb} --partial: then what is missing stays unknown."),
    )


def _refuse_lost(shared: SharedStore, files: Sequence[FileRecord]) -> None:
    """Stop before manifests name what is not there any more: somebody else's push that was interrupted may have cut it off."""
    there = in_parallel(shared.has, files)
    if lost := [file.sha256 for file, is_there in zip(files, there, strict=True) if not is_there]:
        raise SharedStoreError(
            "Something went from the shared store while this was pushed.",
            where=shared.url,
            got=f"no whole object {lost[0]}" + (f", and {len(lost) - 1} more" if len(lost) > 1 else ""),
            expected="every file of what is pushed, with its size",
            remedy="Push again, which sends what is missing. Somebody else may have been interrupted who was pushing the same.",
        )


def _names(links: Iterable[Link]) -> list[tuple[str, str]]:
    return [(link.key, link.digest) for link in links]


def _progress(verb: str, what: str, files: Iterable[FileRecord]) -> Progress:
    emit(StepStarted(verb, what))
    return Progress(verb, sum(file.size_bytes for file in files), "bytes")


def _take_over(store: Store, record: dict[str, Any]) -> Version:
    """Have a run here, and its vectors as a version of its model, as if it had finished here now."""
    made = {step["step"]: links_of(step)[0] for step in record["steps"]}
    if store.find_record(RUNS, record["id"]) is None:
        store.write_record(RUNS, record["id"], record)
    return Registry(store).register(record["name"], record["id"], made["train"], made["evaluate"])
