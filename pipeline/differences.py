"""In what a step differs from an artifact that its stage has made, and which of those artifacts is the most similar."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.stage import Step, Unit
from pipeline.storage.artifact import Link, Manifest


class DifferenceKind(StrEnum):
    """What differs."""

    VERSION = "version"  # of the stage itself
    PARAMETER = "parameter"
    INPUTS = "inputs"


@dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    kind: DifferenceKind
    name: str  # of the parameter or the input; of a version the stage
    before: Any  # of inputs the links that there were, else a value; None when there was none
    now: Any

    def __str__(self) -> str:
        match self.kind:
            case DifferenceKind.VERSION:
                return f"the stage itself changed from version {self.before} to {self.now}"
            case DifferenceKind.PARAMETER:
                return f"{self.name} changed from {self.before} to {self.now}"
        old, new = (Counter((link.stage, link.digest) for link in links) for links in (self.before, self.now))
        if old == new:
            return f"{self.name} in another order"
        n_new, n_gone, n_same = (new - old).total(), (old - new).total(), (old & new).total()
        return f"other {self.name}" + (f": {n_new} new, {n_gone} gone, {n_same} the same" if n_new + n_gone + n_same > 2 else "")


@dataclass(frozen=True)
class Making:
    """All that decides what comes out of a stage."""

    stage: str
    version: int
    parameters: Mapping[str, Any]
    inputs: Mapping[str, tuple[Link, ...]]

    @classmethod
    def of_step(cls, step: Step, unit: Unit | None) -> "Making":
        """Of what a step wants to make; without a unit nothing is said of its inputs."""
        return cls(step.stage.name, step.stage.version, step.parameters, unit.inputs if unit else {})

    @classmethod
    def of_artifact(cls, manifest: Manifest) -> "Making":
        """Of what was made."""
        return cls(manifest.stage, manifest.stage_version, manifest.parameters, manifest.inputs)

    def differences(self, manifest: Manifest) -> tuple[Difference, ...]:
        """What is other than in an artifact: the version first, then parameters, then inputs."""
        found = []
        if manifest.stage_version != self.version:
            found.append(Difference(DifferenceKind.VERSION, self.stage, manifest.stage_version, self.version))
        both = set(manifest.parameters) & set(self.parameters)
        for name in sorted({*manifest.parameters, *self.parameters}, key=lambda name: (name not in both, name)):
            before, now = _plain(manifest.parameters.get(name)), _plain(self.parameters.get(name))
            if before != now:
                found.append(Difference(DifferenceKind.PARAMETER, name, before, now))
        for name, links in self.inputs.items():
            old = manifest.inputs.get(name, ())
            if [(link.stage, link.digest) for link in old] != [(link.stage, link.digest) for link in links]:
                found.append(Difference(DifferenceKind.INPUTS, name, old, links))
        return tuple(found)

    def nearest(self, manifests: Iterable[Manifest]) -> tuple[Manifest, tuple[Difference, ...]] | None:
        """The artifact with the fewest differences, and these; of several the one that shares most inputs, or places, then the first."""
        compared = [(manifest, self.differences(manifest)) for manifest in manifests]
        fewest = min((len(differences) for _, differences in compared), default=0)
        mine, places = self.contents(), self.places()

        def shared(manifest: Manifest) -> int:
            theirs = Making.of_artifact(manifest)
            return len(mine & theirs.contents()) + len(places & theirs.places())

        alike = [found for found in compared if len(found[1]) == fewest]
        return max(alike, key=lambda found: shared(found[0]), default=None)

    def contents(self) -> set[tuple[str, str]]:
        """The bytes of all inputs."""
        return {(link.stage, link.digest) for links in self.inputs.values() for link in links}

    def places(self) -> set[str]:
        """Where the inputs from outside were."""
        return {str(link.origin["location"]) for links in self.inputs.values() for link in links if "location" in link.origin}


def _plain(value: Any) -> Any:
    """As it looks after a trip through JSON."""
    return list(value) if isinstance(value, tuple) else value
