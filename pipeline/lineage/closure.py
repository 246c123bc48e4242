"""All that something was made from, by its manifests: artifacts before what was made from them, and what came from outside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.errors import StoreError
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Closure:
    """What some artifacts were made from, themselves included."""

    artifacts: tuple[Artifact, ...]  # each once, inputs first
    outside: tuple[Link, ...]  # each once: files of the corpus, evaluation sets ...
    missing: tuple[Link, ...]  # artifacts that are not in the store, or there with other bytes than those that were used


def closure(store: Store, links: Iterable[Link], on_unusable: Callable[[Link, StoreError], None] | None = None) -> Closure:
    """Follow the inputs of artifacts down to what came from outside.

    With `on_unusable` an artifact whose manifest cannot be used is handed to it, and counts as missing.

    Raises
    ------
    StoreError
        When a manifest cannot be used, and `on_unusable` was not given.
    """
    artifacts: dict[tuple[str, str, str], Artifact] = {}
    outside: dict[tuple[str, str, str], Link] = {}
    missing: dict[tuple[str, str, str], Link] = {}
    waiting = [(link, False) for link in reversed(list(links))]  # a stack of its own: chains may be longer than Python's
    while waiting:
        link, inputs_done = waiting.pop()
        name = (link.stage, link.key, link.digest)
        if link.is_outside:
            outside.setdefault(name, link)
        elif name not in artifacts and name not in missing:
            try:
                artifact = store.described(link.stage, link.key)
            except StoreError as error:
                if on_unusable is None:
                    raise
                on_unusable(link, error)
                artifact = None
            if artifact is None or artifact.manifest.digest != link.digest:
                missing[name] = link
            elif inputs_done:
                artifacts[name] = artifact
            else:
                waiting.append((link, True))
                waiting += [(one, False) for some in reversed(tuple(artifact.manifest.inputs.values())) for one in reversed(some)]
    return Closure(tuple(artifacts.values()), tuple(outside.values()), tuple(missing.values()))
