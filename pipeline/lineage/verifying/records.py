"""What can be wrong with what is beside the artifacts of a store: records of runs, versions of models, aliases, pins, checkpoints."""

import contextlib
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.lineage.references import links_of
from pipeline.lineage.verifying.findings import Finding, Wrong
from pipeline.lineage.verifying.inspection import Artifacts, entries, named, place_of, short
from pipeline.storage.artifact import Link
from pipeline.storage.checkpoints import STATE, read_checkpoint
from pipeline.storage.records import RECORD
from pipeline.storage.sealed import is_as_written
from pipeline.storage.store import CHECKPOINTS, KEPT, MODELS, NO_STAGES, RUNS, SHARED, Store


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what is wrong with it."""

    n_records: int
    findings: tuple[Finding, ...]
    forgotten: tuple[str, ...]  # places of artifacts that records of runs name, and that are no longer there


def record_paths(store: Store) -> tuple[list[Path], list[Finding]]:
    """All records, which are the JSON files beside the stages; and links that lie among them."""
    paths, findings = [], []
    for kind in sorted(NO_STAGES - {CHECKPOINTS, SHARED}):
        for name, mode in [("", stat.S_IFLNK)] if (store.root / kind).is_symlink() else entries(store.root / kind):
            path = store.root / kind / name
            if stat.S_ISLNK(mode):
                findings.append(Finding(Wrong.LINK, store.place_of(path), got=f"a link to {path.readlink()}"))
            elif stat.S_ISREG(mode) and path.suffix == ".json" and not path.name.startswith("."):
                paths.append(path)
    return paths, findings


def check_records(store: Store, paths: list[Path], artifacts: Artifacts) -> Checked:
    """Whether records are as they were written, and name the artifacts that are there, by place, with the bytes that are there."""
    findings: list[Finding] = []
    forgotten: set[str] = set()
    contents = {}
    for path in paths:
        try:
            contents[path] = store.read_record(path)
            if not is_as_written(path.read_bytes()):
                findings.append(Finding(Wrong.RECORD, store.place_of(path), got="it says the same, but is not spelt as it was written"))
        except StoreError as error:
            findings.append(Finding(Wrong.RECORD, store.place_of(path), got=error.details["got"].removeprefix("ValueError: ")))
    for path, content in contents.items():
        kind, _, what, *_ = *store.place_of(path).split("/"), "", ""
        check = _CHECKS.get((kind, what))
        try:
            got = list(check(path, content, artifacts, forgotten)) if check else []
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            got = [f"a record of another form: {type(error).__name__}: {error}"]
        findings += [Finding(Wrong.REFERENCE, store.place_of(path), got=one) for one in got]
    return Checked(len(paths), tuple(findings), tuple(sorted(forgotten)))


def check_checkpoints(store: Store) -> list[Finding]:
    """Those that are damaged. One that went while it was looked at was not needed any more."""
    findings = []
    for path in sorted((store.root / CHECKPOINTS).glob(f"[!.]*/[!.]*/{STATE}")):
        try:
            read_checkpoint(path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if path.exists():
                findings.append(Finding(Wrong.CHECKPOINT, store.place_of(path.parent), got=f"{type(error).__name__}: {error}"))
    return findings


def _difference(link: Link, artifacts: Artifacts) -> str | None:
    """What is in the place of an artifact; empty when it is there as it is named, None when nothing is."""
    found = named(artifacts, link)
    if found is None:
        return None
    if found.artifact is None or found.artifact.manifest.digest == link.digest:  # what is wrong there is said there
        return ""
    return f"{found.name} with the digest {link.digest[:16]}, but it has {found.artifact.manifest.digest[:16]}"


def _check_run(path: Path, content: dict[str, Any], artifacts: Artifacts, forgotten: set[str]) -> Iterator[str]:
    """An artifact that is gone is no mistake: a record is history, and outlives what was made."""
    if content["id"] != path.parent.name:
        yield f"the run {content['id']}"
    for step in content["steps"]:
        for link in links_of(step):
            different = _difference(link, artifacts)
            if different is None:
                forgotten.add(place_of(link.stage, link.key))
            elif different:
                yield different


def _check_version(path: Path, content: dict[str, Any], artifacts: Artifacts, forgotten: set[str]) -> Iterator[str]:
    """That its vectors or scores are gone is no mistake, as of a run: gc removes them, and numbers must not come again."""
    for link in _of_version(content):
        different = _difference(link, artifacts)
        if different is None:
            forgotten.add(place_of(link.stage, link.key))
        elif different:
            yield different


def _of_version(content: Mapping[str, Any]) -> tuple[Link, Link]:
    return Link(**content["vectors"]), Link(**content["evaluation"])


def _check_move(path: Path, content: dict[str, Any], artifacts: Artifacts, forgotten: set[str]) -> Iterator[str]:
    """An alias stands for a version, whose vectors and scores gc never removes; and no move before this one is missing."""
    number = int(content["version"])
    version = path.parents[2] / "versions" / f"{number}.json"
    if not version.is_file():
        yield f"version {number}, which is not there"
    elif not path.with_name(f"{int(path.stem) + 1}.json").exists():  # it stands for it now
        places = []
        with contextlib.suppress(StoreError, KeyError, TypeError):  # what is wrong there is said there
            places = [place_of(link.stage, link.key) for link in _of_version(Store(path.parents[4]).read_record(version))]
        for place in places:
            if not (path.parents[4] / place).exists():
                yield f"version {number}, but {short(place)} is no longer in the store"
    if int(path.stem) > 1 and not path.with_name(f"{int(path.stem) - 1}.json").is_file():
        yield "a move after one that is missing"


def _check_pin(path: Path, content: dict[str, Any], artifacts: Artifacts, forgotten: set[str]) -> Iterator[str]:
    """What is kept has not gone by itself."""
    for link in [Link(**link) for link in content["links"]]:
        different = _difference(link, artifacts)
        if different is None:
            yield f"{short(place_of(link.stage, link.key))}, which is no longer in the store"
        elif different:
            yield different


_CHECKS = {(RUNS, RECORD): _check_run, (MODELS, "versions"): _check_version, (MODELS, "aliases"): _check_move, (KEPT, RECORD): _check_pin}
