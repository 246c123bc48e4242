"""The store that things are made again in: not the one that has them, and large enough."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.errors import StoreError, UsageError
from pipeline.storage.artifact import Artifact
from pipeline.storage.store import Store


def check_target(store: Store, into: Store, artifacts: Sequence[Artifact]) -> set[str]:
    """Refuse the store itself, copies of what is in it, and a disk with too little room; the keys of what was made there before.

    Raises
    ------
    UsageError
        When it is the store, or has copies.
    StoreError
        When there is too little room, or a manifest cannot be used.
    """
    if into.root.resolve() == store.root.resolve():
        raise UsageError(
            "The store itself cannot be built into: everything is there already.",
            where="--into",
            got=str(into.root),
            expected="a directory that is empty, or not there yet",
            remedy="Name another one, or leave --into out.",
        )
    there = [(artifact, into.described(artifact.manifest.stage, artifact.manifest.key)) for artifact in artifacts]
    copies = [artifact for artifact, found in there if found and found.manifest.created == artifact.manifest.created]
    if copies:
        raise UsageError(
            "The directory has copies of what is to be made again.",
            where=f"--into {into.root}",
            got=", ".join(f"{artifact.manifest.stage}/{artifact.manifest.key[:12]}" for artifact in copies[:5]),
            expected="a directory that is empty, or where this command was interrupted",
            remedy="Name another one, or leave --into out.",
        )
    needed = sum(artifact.manifest.size_bytes for artifact, found in there if found is None)
    free = shutil.disk_usage(next(path for path in _upwards(into.root.absolute()) if path.exists())).free
    if needed > free:
        raise StoreError(
            "There is too little room to make all of it again.",
            where=str(into.root),
            got=f"{free:,} bytes free",
            expected=f"{needed:,} bytes, the size of what is to be made",
            remedy="Name a directory on a larger disk: --into DIRECTORY",
        )
    return {artifact.manifest.key for artifact, found in there if found}


def _upwards(path: Path) -> Iterator[Path]:
    yield path
    yield from path.parents
