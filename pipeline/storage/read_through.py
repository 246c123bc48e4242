"""A shared store as a cache behind a store: what somebody else has made is reused by its manifest, and its files come when they are read.

Reading from there only saves work. Whatever goes wrong is remembered as `problem`, and from then on nothing is looked for there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import SharedStoreError
from pipeline.storage.artifact import Artifact, FileRecord, Link, Manifest
from pipeline.storage.store import Store

if TYPE_CHECKING:
    from pipeline.storage.shared import SharedStore


class ReadThrough:
    """A store, and the shared one behind it, if any."""

    def __init__(self, store: Store, shared: "SharedStore | None") -> None:
        self.store = store
        self.problem: SharedStoreError | None = None
        """What went wrong first."""
        self._shared = shared
        self._checked = False
        self._listed: dict[str, dict[str, list[Link]]] = {}  # of a stage: by key

    @property
    def url(self) -> str:
        """Where the shared store is; empty when there is none, or it cannot be used."""
        return self._shared.url if self._shared else ""

    def find(self, stage: str, keys: Iterable[str]) -> dict[str, Artifact]:
        """Those of a stage's artifacts that exist, by key: here, or by their manifests in the shared store, for which it is listed once.

        Raises
        ------
        StoreError
            When one that is here is damaged.
        """
        wanted = list(dict.fromkeys(keys))
        here = {key: artifact for key in wanted if (artifact := self.store.find(stage, key))}
        absent = [key for key in wanted if key not in here]
        return here | self._elsewhere(stage, absent)

    def bring(self, artifacts: Sequence[Artifact], heard: Callable[[FileRecord, bool], None]) -> tuple[Artifact, ...]:
        """The same artifacts, with their files here.

        Raises
        ------
        SharedStoreError
            When that cannot be; the shared store is not used any more then.
        StoreError
            When the store cannot be written.
        """
        elsewhere = [artifact.manifest for artifact in artifacts if not artifact.is_here]
        if not elsewhere:
            return tuple(artifacts)
        from pipeline.storage.incoming import bring

        try:
            if not self._shared:
                raise self.problem or RuntimeError("artifacts of a shared store that there is not")
            brought = {artifact.manifest.key: artifact for artifact in bring(self.store, self._shared, elsewhere, heard)}
        except SharedStoreError as error:
            self._give_up(error)
            raise
        return tuple(brought.get(artifact.manifest.key, artifact) for artifact in artifacts)

    def describe(self, artifacts: Sequence[Artifact]) -> None:
        """Keep the manifests of artifacts whose files are elsewhere, and of all that they were made from; inputs first.

        Raises
        ------
        SharedStoreError
            When they say that they were made from each other; the shared store is not used any more then.
        StoreError
            When the store cannot be written.
        """
        manifests = [artifact.manifest for artifact in artifacts if not artifact.is_here]
        if not manifests:
            return
        from pipeline.storage.order import levels

        found: dict[str, Manifest] = {}
        while manifests:
            found |= {manifest.key: manifest for manifest in manifests}
            links = [link for manifest in manifests for some in manifest.inputs.values() for link in some if not link.is_outside]
            new = [link for link in {link.key: link for link in links}.values() if link.key not in found]
            unknown = [link for link in new if not self.store.described(link.stage, link.key)]
            manifests = [manifest for manifest in self._manifests(unknown) if manifest]
        try:
            order = levels(list(found.values()), self.url)
        except SharedStoreError as error:
            self._give_up(error)
            raise
        for manifest in (manifest for level in order for manifest in level):
            known = self.store.described(manifest.stage, manifest.key)
            if not known or known.manifest.digest != manifest.digest:
                self.store.describe(manifest)

    def _elsewhere(self, stage: str, keys: Sequence[str]) -> dict[str, Artifact]:
        links = [self._of_keys(stage).get(key, []) for key in keys] if keys else []
        manifests = self._manifests([link for some in links for link in some])
        found: dict[str, Manifest] = {}
        for manifest in sorted((one for one in manifests if one), key=_preference):
            found.setdefault(manifest.key, manifest)
        return {key: self.store.elsewhere(manifest) for key, manifest in found.items()}

    def _of_keys(self, stage: str) -> dict[str, list[Link]]:
        if stage not in self._listed:
            self._listed[stage] = {}
            try:
                if self._shared and not self._checked:
                    self._shared.check()
                    self._checked = True
                for link in self._shared.artifacts(stage) if self._shared else ():
                    self._listed[stage].setdefault(link.key, []).append(link)
            except SharedStoreError as error:
                self._give_up(error)
        return self._listed[stage]

    def _manifests(self, links: Sequence[Link]) -> list[Manifest | None]:
        """The manifests of links, from a run before where it has kept them."""
        if not self._shared:
            return []
        from pipeline.storage.shared import in_parallel

        try:
            return in_parallel(self._manifest, links)
        except SharedStoreError as error:
            self._give_up(error)
            return []

    def _manifest(self, link: Link) -> Manifest | None:
        known = self.store.described(link.stage, link.key)
        if known and known.manifest.digest == link.digest:
            return known.manifest
        return self._shared.manifest(link) if self._shared else None

    def _give_up(self, error: SharedStoreError) -> None:
        self.problem = self.problem or error
        self._shared = None


def _preference(manifest: Manifest) -> tuple[bool, str]:
    """Of several with one key the one from the same type of CPU: what is made here fits to it."""
    from pipeline.environment import environment

    return manifest.environment.get("processor") != environment()["processor"], manifest.digest
