"""Artifacts that come from elsewhere, in an order in which none is there before what it was made from."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from pipeline.errors import SharedStoreError
from pipeline.storage.artifact import Manifest


def levels(manifests: Sequence[Manifest], url: str) -> list[list[Manifest]]:
    """The same manifests, level by level: what each was made from, as far as it is among them, is in earlier ones.

    Keys do not make circles impossible: they are made of the digests of inputs, and those of their files alone.

    Raises
    ------
    SharedStoreError
        When some say that they were made from each other. They are from the shared store at this URL.
    """
    by_key = {manifest.key: manifest for manifest in manifests}
    inputs = {
        manifest.key: [link.key for some in manifest.inputs.values() for link in some if link.key in by_key and not link.is_outside]
        for manifest in manifests
    }
    sorter = TopologicalSorter(inputs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise SharedStoreError(
            "Artifacts in the shared store say that they were made from each other.",
            where=url,
            got=" from ".join(key[:12] for key in error.args[1]),
            expected="inputs that were there before",
            remedy="Nothing of it was taken. Ask who pushed it.",
        ) from error
    found = []
    while sorter.is_active():
        ready = sorter.get_ready()
        found.append([by_key[key] for key in ready])
        sorter.done(*ready)
    return found
