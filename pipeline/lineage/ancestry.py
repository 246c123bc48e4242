"""What something was made from, down to the files of the corpus: as a graph whose nodes are groups of artifacts that play the same part.

A corpus of a thousand shards is a thousand artifacts of one stage, all read by the same later ones: they are one group.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.errors import StoreError
from pipeline.lineage.closure import closure
from pipeline.lineage.references import Referent
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.store import Store

SOURCE = "source"  # what a link to a part of a file of the corpus is called, up to the first dot
SETS = "sets"  # links to evaluation sets are called analogies/NAME or similarity/NAME
_Name = tuple[str, str, str]


class State(StrEnum):
    """Whether an ancestor is still what it was."""

    WHOLE = "whole"
    MISSING = "missing"  # it is not in the store
    CHANGED = "changed"  # something else is where it was, or its manifest was edited
    DAMAGED = "damaged"  # a file of it is missing, or has another size
    SHARED = "shared"  # its manifest is here, its files are in the shared store


@dataclass(frozen=True)
class Ancestor:
    """One artifact among the ancestors, or what is known of one that is no longer there."""

    link: Link
    state: State
    problem: str  # in words; empty when it is whole
    artifact: Artifact | None  # none when it is missing or changed: then nothing is known of what it was made from


@dataclass(frozen=True)
class OutsideFile:
    """A file from outside of the store that was read."""

    kind: str  # source, vectors, phrases-table, analogies/NAME ...; of a source also how it was read
    location: str  # where it was then
    sha256: str  # of the whole file
    size_bytes: int | None  # of the parts that were read; None when nobody wrote it down
    n_parts: int
    n_tokens: int | None  # that were found in it; None when it is no text


@dataclass(frozen=True)
class Group:
    """Ancestors of one stage that were read by the same others, or files that were."""

    number: int  # 0 is a root
    stage: str  # of files: source, sets, vectors, phrases-table
    ancestors: tuple[Ancestor, ...]  # empty when these are files
    files: tuple[OutsideFile, ...]  # by location; empty when these are artifacts
    inputs: Mapping[str, tuple[int, ...]]  # name of the input -> the groups that were read

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Those that can be read."""
        return tuple(one.artifact for one in self.ancestors if one.artifact)

    @property
    def size_bytes(self) -> int:
        """Bytes of all of its data files, as far as known."""
        return sum(artifact.manifest.size_bytes for artifact in self.artifacts) + sum(file.size_bytes or 0 for file in self.files)

    @property
    def problems(self) -> tuple[Ancestor, ...]:
        """Those that are not what they were."""
        return tuple(one for one in self.ancestors if one.problem)

    def total(self, measure: str) -> float:
        """A measure of the builds, added up; 0 when they have none."""
        return sum(artifact.manifest.measures.get(measure, 0) for artifact in self.artifacts)


@dataclass(frozen=True)
class Ancestry:
    """Everything that something was made from, itself included."""

    referent: Referent
    roots: tuple[int, ...]  # the groups that nothing else among them was made from
    groups: tuple[Group, ...]  # each before its inputs

    @property
    def problems(self) -> tuple[Ancestor, ...]:
        """All ancestors that are not what they were."""
        return tuple(one for group in self.groups for one in group.problems)


def ancestry(store: Store, referent: Referent) -> Ancestry:
    """What a reference was made from.

    Whether files are there and have their sizes is looked at; their bytes are not read. A manifest that cannot be used is a changed
    ancestor, not an error.
    """
    ancestors, outside = _ancestors(store, referent.links)
    readers: dict[_Name, set[tuple[int, str]]] = defaultdict(set)
    numbers: dict[tuple[str, frozenset[tuple[int, str]]], int] = {}
    members: list[list[Link]] = []
    inputs: list[dict[str, dict[int, None]]] = []

    def place(link: Link, stage: str) -> int:
        """The group of a link all of whose readers have one."""
        read_by = frozenset(readers[_name(link)])
        number = numbers.setdefault((stage, read_by), len(members))
        if number == len(members):
            members.append([])
            inputs.append({})
            for reader, name in sorted(read_by):
                inputs[reader].setdefault(name, {})[number] = None
        members[number].append(link)
        return number

    for one in reversed(ancestors.values()):
        number = place(one.link, one.link.stage)
        for name, links in one.artifact.manifest.inputs.items() if one.artifact else ():
            for link in links:
                readers[_name(link)].add((number, name))
    for link in outside:
        place(link, SOURCE if is_source(link) else SETS if "/" in link.stage else link.stage)
    tokens = _tokens_of_sources(ancestors.values())
    groups = tuple(
        Group(
            number,
            stage,
            tuple(ancestors[_name(link)] for link in reversed(members[number]) if not link.is_outside),
            _files((link for link in members[number] if link.is_outside), tokens),
            {name: tuple(found) for name, found in inputs[number].items()},
        )
        for (stage, _), number in numbers.items()
    )
    read = {number for group in groups for some in group.inputs.values() for number in some}
    return Ancestry(referent, tuple(group.number for group in groups if group.number not in read), groups)


def _ancestors(store: Store, links: Iterable[Link]) -> tuple[dict[_Name, Ancestor], tuple[Link, ...]]:
    """All ancestors, inputs first, and what came from outside."""
    unusable: dict[_Name, StoreError] = {}
    found = closure(store, links, lambda link, error: unusable.update({_name(link): error}))
    ancestors = {}
    for link in found.missing:
        ancestors[_name(link)] = _lost(store, link, unusable.get(_name(link)))
    for artifact in found.artifacts:
        ancestors[_name(artifact.link)] = _present(artifact)
    return ancestors, found.outside


def _lost(store: Store, link: Link, error: StoreError | None) -> Ancestor:
    if error:
        return Ancestor(link, State.CHANGED, f"{error.what} {error.details['got']}", None)
    there = store.described(link.stage, link.key)
    if there is None:
        return Ancestor(link, State.MISSING, "it is no longer in the store", None)
    return Ancestor(link, State.CHANGED, f"it had the digest {link.digest[:12]}, and has {there.manifest.digest[:12]} now", None)


def _present(artifact: Artifact) -> Ancestor:
    if not artifact.is_here:
        return Ancestor(artifact.link, State.SHARED, "", artifact)
    for file in artifact.manifest.files:
        try:
            size = artifact.path(file.name).lstat().st_size
        except OSError:
            return Ancestor(artifact.link, State.DAMAGED, f"{file.name} is missing", artifact)
        if size != file.size_bytes:
            return Ancestor(artifact.link, State.DAMAGED, f"{file.name} has {size:,} bytes, not {file.size_bytes:,}", artifact)
    return Ancestor(artifact.link, State.WHOLE, "", artifact)


def _name(link: Link) -> _Name:
    return link.stage, link.key, link.digest


def is_source(link: Link) -> bool:
    """Whether a link is to a part of a file of the corpus."""
    return link.is_outside and link.stage.partition(".")[0] == SOURCE


def _tokens_of_sources(ancestors: Iterable[Ancestor]) -> dict[_Name, int]:
    """Tokens that were found in each part of the corpus."""
    found = {}
    for one in ancestors:
        measures = one.artifact.manifest.measures if one.artifact else {}
        for link in one.artifact.manifest.inputs.get(SOURCE, ()) if one.artifact else ():
            if "tokens" in measures:
                found[_name(link)] = int(measures["tokens"])
    return found


def _files(links: Iterable[Link], tokens: Mapping[_Name, int]) -> tuple[OutsideFile, ...]:
    """The files that some links are to, each once."""
    parts: dict[tuple[str, str, str], list[Link]] = defaultdict(list)
    for link in links:
        sha256 = link.key if is_source(link) else link.digest
        parts[(str(link.origin.get("location", "")), sha256, link.stage)].append(link)
    return tuple(_file(kind, location, sha256, some, tokens) for (location, sha256, kind), some in sorted(parts.items()))


def _file(kind: str, location: str, sha256: str, parts: list[Link], tokens: Mapping[_Name, int]) -> OutsideFile:
    origins: list[Mapping[str, Any]] = [link.origin for link in parts]
    sizes = [int(origin["stop"]) - int(origin["start"]) for origin in origins if "start" in origin and "stop" in origin]
    counted = [tokens[_name(link)] for link in parts if _name(link) in tokens]
    return OutsideFile(
        kind, location, sha256, sum(sizes) if len(sizes) == len(parts) else None, len(parts), sum(counted) if counted else None
    )
