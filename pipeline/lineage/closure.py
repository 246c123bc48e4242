"""All that something was made from, by its manifests: artifacts before what was made from them, and what came from outside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.errors import StoreError
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.store import KEY_LETTERS, SHARED, Store


@dataclass(frozen=True)
class Closure:
    """What some artifacts were made from, themselves included."""

    artifacts: tuple[Artifact, ...]  # each once, inputs first
    outside: tuple[Link, ...]  # each once: files of the corpus, evaluation sets ...
    missing: tuple[Link, ...]  # artifacts that are not in the store, or there with other bytes than those that were used


def closure(store: Store, links: Iterable[Link], on_unusable: Callable[[Link, StoreError], None] | None = None) -> Closure:
    """Follow the inputs of artifacts down to what came from outside.

    With `on_unusable` an artifact whose manifest cannot be used is handed to it, and counts as missing. One that was made from itself is
    such: no key forbids that, because keys are made of the digests of inputs, and those of their files alone.

    Raises
    ------
    StoreError
        When a manifest cannot be used, and `on_unusable` was not given.
    """
    artifacts: dict[tuple[str, str, str], Artifact] = {}
    outside: dict[tuple[str, str, str], Link] = {}
    missing: dict[tuple[str, str, str], Link] = {}
    begun: set[tuple[str, str, str]] = set()  # whose inputs are not all done
    # A stack of its own: chains may be longer than Python's. An artifact comes again when all of its inputs are done.
    waiting: list[tuple[Link, Artifact | None]] = [(link, None) for link in reversed(list(links))]
    while waiting:
        link, artifact = waiting.pop()
        name = (link.stage, link.key, link.digest)
        if artifact:
            begun.discard(name)
            if name not in missing:
                artifacts[name] = artifact
        elif link.is_outside:
            outside.setdefault(name, link)
        elif name not in artifacts and name not in missing:
            try:
                artifact = store.described(link.stage, link.key)
                if artifact and name in begun:
                    raise _from_itself(store, artifact)
            except StoreError as error:
                if on_unusable is None:
                    raise
                on_unusable(link, error)
                artifact = None
            if artifact is None or artifact.manifest.digest != link.digest:
                missing[name] = link
            else:
                begun.add(name)
                waiting.append((link, artifact))
                waiting += [(one, None) for some in reversed(tuple(artifact.manifest.inputs.values())) for one in reversed(some)]
    return Closure(tuple(artifacts.values()), tuple(outside.values()), tuple(missing.values()))


def _from_itself(store: Store, artifact: Artifact) -> StoreError:
    manifest = artifact.manifest
    directory = (store.root if artifact.is_here else store.root / SHARED) / manifest.stage / manifest.key[:KEY_LETTERS]
    return StoreError(
        "Artifacts say that they were made from each other.",
        where=str(directory),
        got=f"{manifest.stage}/{manifest.key[:12]}, which was made from itself",
        expected="inputs that were there before",
        remedy=f"Somebody has forged that. Remove {directory}: nobody can say what it was made from.",
    )
