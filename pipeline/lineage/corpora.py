"""Which files something was made from, with the bytes and tokens of each, and what changed in them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.lineage.closure import Closure
from pipeline.storage.keys import digest_of

TOKENIZE = "tokenize"


@dataclass(frozen=True)
class CorpusFile:
    """A file of the corpus."""

    location: str  # where the run found it; where only the artifacts know, where it was when it was first read
    digest: str  # over those of its shards: two files with the same bytes have the same
    size_bytes: int  # as it lies on the disk
    n_tokens: int


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
    n_times: int = 1


def files_of(closure: Closure, run: Mapping[str, Any] | None) -> list[CorpusFile]:
    """The files that the tokenized shards of a closure come from, by place.

    The record of the run knows where they lay then; an artifact knows it of the first run that read these bytes, which may have been
    part of another file.
    """
    tokens = {
        artifact.manifest.inputs["source"][0].digest: int(artifact.manifest.measures.get("tokens", 0))
        for artifact in closure.artifacts
        if artifact.manifest.stage == TOKENIZE
    }
    by_place: dict[str, list[_Shard]] = defaultdict(list)
    for shard in _recorded(run) if run else _tokenized(closure):
        by_place[shard.location].append(shard)
    found = []
    for location, shards in sorted(by_place.items()):
        shards.sort(key=lambda shard: (shard.start, shard.sha256))
        size_bytes, n_tokens = sum(shard.stop - shard.start for shard in shards), sum(tokens.get(shard.sha256, 0) for shard in shards)
        file = CorpusFile(location, digest_of([shard.sha256 for shard in shards]), size_bytes, n_tokens)
        found += [file] * min(shard.n_times for shard in shards)
    return found


def _recorded(run: Mapping[str, Any]) -> Iterator[_Shard]:
    for source in run["sources"]:
        yield _Shard(source["path"], source["start"], source["stop"], source["sha256"])


def _tokenized(closure: Closure) -> Iterator[_Shard]:
    """The sources of the tokenized shards; those that something lists twice were read from two files with the same text."""
    read: Counter[str] = Counter()
    for artifact in closure.artifacts:
        for links in artifact.manifest.inputs.values():
            read |= Counter(link.key for link in links if link.stage == TOKENIZE)
    for artifact in closure.artifacts:
        if artifact.manifest.stage == TOKENIZE:
            (source,) = artifact.manifest.inputs["source"]
            origin = source.origin
            yield _Shard(origin["location"], origin["start"], origin["stop"], source.digest, max(1, read[artifact.manifest.key]))


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
