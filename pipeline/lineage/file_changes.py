"""Which files from outside are not as they were: by where they lie, and by what is in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.lineage.ancestry import is_source
from pipeline.storage.artifact import Link

FILES_NAMED = 3  # of those that are new, changed or gone, each


@dataclass(frozen=True)
class FileChanges:
    """Which files from outside are not as they were, by their places."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)

    def __str__(self) -> str:
        parts = ((self.new, "new"), (self.changed, "changed"), (self.gone, "gone"))
        return ", ".join(f"{_listed(names)} {'is' if len(names) == 1 else 'are'} {what}" for names, what in parts if names)


def changes(before: Iterable[Link], now: Iterable[Link]) -> FileChanges:
    """Which files are new, changed or gone. One that was moved, and is what it was, is none of these."""
    old, new = ({(_place(link), link.key if is_source(link) else link.digest) for link in links} for links in (before, now))
    old_places, new_places = ({place for place, _ in some} for some in (old, new))
    old_digests, new_digests = ({digest for _, digest in some} for some in (old, new))
    appeared = {place for place, digest in new if digest not in old_digests}
    return FileChanges(
        tuple(sorted(appeared - old_places)),
        tuple(sorted(appeared & old_places)),
        tuple(sorted({place for place, digest in old if digest not in new_digests} - new_places)),
    )


def _place(link: Link) -> str:
    return str(link.origin.get("location", "")) or link.key


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:FILES_NAMED])
    if len(names) > len(shown):
        shown.append(f"{len(names) - len(shown):,} more files")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
