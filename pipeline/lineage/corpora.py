"""Which files something was made from, with the bytes and tokens of each, and what changed in them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from pipeline.storage.artifact import Artifact
from pipeline.storage.keys import digest_of
from pipeline.storage.store import Store

TOKENIZE = "tokenize"


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus."""

    location: str  # where the run found it; where only the artifacts know, where it was when it was first read
    digest: str  # over those of its shards: two files with the same bytes have the same
    size_bytes: int  # as it lies on the disk
    shards: tuple[str, ...]  # keys of its tokenized shards, in its order
    n_tokens: int | None = None  # None: not counted, or a shard is no longer there


class Change(StrEnum):
    """What became of a file."""

    ADDED = "new"
    REMOVED = "gone"
    CHANGED = "changed"  # other bytes at the same place


@dataclass(frozen=True)
class FileChange:
    """A file that is not the same on both sides."""

    change: Change
    location: str
    before: CorpusFile | None
    after: CorpusFile | None


@dataclass(frozen=True)
class _Shard:
    """A part of a file, as often as it was read."""

    location: str
    start: int
    stop: int
    sha256: str
    key: str  # of the artifact that it was tokenized to
    n_times: int = 1


def recorded_files(run: Mapping[str, Any]) -> list[CorpusFile]:
    """The files that a run read, by place, as its record has them."""
    keys: list[str] = next((step["keys"] for step in run["steps"] if step["stage"] == TOKENIZE), [])
    shards = (
        _Shard(source["path"], source["start"], source["stop"], source["sha256"], key)
        for source, key in zip(run["sources"], keys, strict=False)
    )
    return _files(shards)


def tokenized_files(artifacts: Iterable[Artifact]) -> list[CorpusFile]:
    """The files that tokenized shards among these artifacts come from, by place.

    An artifact knows the place of the file in which these bytes were read first. A shard that something reads twice was there twice.
    """
    known = list(artifacts)
    read: Counter[str] = Counter()
    for artifact in known:
        for links in artifact.manifest.inputs.values():
            read |= Counter(link.key for link in links if link.stage == TOKENIZE)
    return _files(shard for artifact in known if artifact.manifest.stage == TOKENIZE for shard in [_shard(artifact, read)])


def _shard(artifact: Artifact, read: Counter[str]) -> _Shard:
    (source,) = artifact.manifest.inputs["source"]
    origin, key = source.origin, artifact.manifest.key
    return _Shard(origin["location"], origin["start"], origin["stop"], source.digest, key, max(1, read[key]))


def _files(shards: Iterable[_Shard]) -> list[CorpusFile]:
    by_place: dict[str, list[_Shard]] = defaultdict(list)
    for shard in shards:
        by_place[shard.location].append(shard)
    found = []
    for location, parts in sorted(by_place.items()):
        parts.sort(key=lambda shard: (shard.start, shard.sha256))
        size_bytes = sum(shard.stop - shard.start for shard in parts)
        file = CorpusFile(location, digest_of([shard.sha256 for shard in parts]), size_bytes, tuple(shard.key for shard in parts))
        found += [file] * min(shard.n_times for shard in parts)
    return found


def counted(store: Store, changes: Iterable[FileChange]) -> Iterator[FileChange]:
    """Changes with the tokens of their files, by the manifests of their shards.

    Raises
    ------
    StoreError
        When a manifest cannot be used.
    """
    for change in changes:
        yield replace(change, before=_counted(store, change.before), after=_counted(store, change.after))


def _counted(store: Store, file: CorpusFile | None) -> CorpusFile | None:
    if file is None:
        return None
    found = [store.described(TOKENIZE, key) for key in file.shards]
    there = [int(artifact.manifest.measures["tokens"]) for artifact in found if artifact]
    return replace(file, n_tokens=sum(there) if len(there) == len(found) else None)


def changed_files(before: Sequence[CorpusFile], after: Sequence[CorpusFile]) -> tuple[FileChange, ...]:
    """The files that are not the same on both sides, by kind of change and place.

    Other bytes at the same place are one change; a file that was only moved or renamed is none.
    """
    old, new = list(before), list(after)
    _leave_out_the_same(old, new, lambda file: (file.location, file.digest))
    _leave_out_the_same(old, new, lambda file: file.digest)
    there = {file.location: file for file in old}
    changes = []
    for file in new:
        earlier = there.get(file.location)
        if earlier in old:
            old.remove(earlier)
            changes.append(FileChange(Change.CHANGED, file.location, earlier, file))
        else:
            changes.append(FileChange(Change.ADDED, file.location, None, file))
    changes += [FileChange(Change.REMOVED, file.location, file, None) for file in old]
    order = list(Change)
    return tuple(sorted(changes, key=lambda change: (order.index(change.change), change.location)))


def _leave_out_the_same(old: list[CorpusFile], new: list[CorpusFile], identity: Callable[[CorpusFile], object]) -> None:
    """Take files out of both lists that are the same by `identity`, one for one."""
    same = Counter(map(identity, old)) & Counter(map(identity, new))
    for files in (old, new):
        left = Counter(same)
        kept = []
        for file in files:
            left[identity(file)] -= 1
            if left[identity(file)] < 0:
                kept.append(file)
        files[:] = kept
