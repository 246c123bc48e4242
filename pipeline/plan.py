"""What a run would do: for each step, which artifacts are there already, which are not, and why. Computes nothing."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.corpus import Observed, observe
from pipeline.sources.digests import Digests
from pipeline.stage import Inputs, Step, Unit
from pipeline.storage.artifact import Artifact, Manifest
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Wanted:
    """One artifact of a step: its unit, its key, and the artifact when it is in the store."""

    unit: Unit
    key: str
    found: Artifact | None


@dataclass(frozen=True)
class StepPlan:
    """What is known of a step before it runs."""

    step: Step
    wanted: tuple[Wanted, ...]  # empty when an earlier step must run first
    reason: str  # why it is reused, runs, or may run

    @property
    def reused(self) -> bool:
        """Whether all of its artifacts are in the store."""
        return bool(self.wanted) and all(wanted.found for wanted in self.wanted)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """Those of its artifacts that are in the store."""
        return tuple(wanted.found for wanted in self.wanted if wanted.found)


def plan(configuration: Configuration, store: Store, observed: Observed | None = None) -> list[StepPlan]:
    """The plan of every step of the chain.

    A step behind one that must run is planned as far as possible: its inputs may come out with the same bytes, and then it is reused.

    Raises
    ------
    ConfigurationError, InputError
        When the corpus or an evaluation set cannot be found.
    StoreError
        When a manifest in the store cannot be read.
    """
    observed = observed or observe(configuration, Digests(store, configuration.corpus))
    plans: dict[str, StepPlan] = {}
    for step in chain(configuration):
        waits_for = next((name for name in step.reads.values() if not plans[name].reused), None)
        if waits_for:
            changed = explain(step, None, store)
            plans[step.name] = StepPlan(step, (), f"{waits_for} comes first" + (f"; {changed}" if changed else ""))
        else:
            inputs = {name: plans[earlier].artifacts for name, earlier in step.reads.items()}
            plans[step.name] = plan_step(step, observed, inputs, store)
    return list(plans.values())


def plan_step(step: Step, observed: Observed, inputs: Inputs, store: Store) -> StepPlan:
    """The plan of one step whose inputs exist."""
    units = step.stage.units(observed, inputs)
    wanted = tuple(Wanted(unit, key, store.find(step.stage.name, key)) for unit in units for key in [step.key(unit)])
    missing = [one for one in wanted if not one.found]
    if not missing:
        return StepPlan(step, wanted, "same parameters, same inputs")
    reason = explain(step, missing[0].unit, store)
    if len(wanted) > 1:
        reason = f"{len(missing)} of {len(wanted)} are not in the store: {reason}"
    return StepPlan(step, wanted, reason)


def explain(step: Step, unit: Unit | None, store: Store) -> str:
    """What differs from the most similar artifact that the stage has made; without a unit, as far as parameters tell."""
    earlier = [artifact.manifest for artifact in store.artifacts(step.stage.name)]
    if not earlier:
        return "nothing like it in the store yet"
    nearest = min((_differences(manifest, step, unit) for manifest in earlier), key=len)
    return "; ".join(nearest) or ("it was removed from the store" if unit else "")


def _differences(manifest: Manifest, step: Step, unit: Unit | None) -> list[str]:
    """One phrase for each thing that differs."""
    found = []
    if manifest.stage_version != step.stage.version:
        found.append(f"the stage itself changed from version {manifest.stage_version} to {step.stage.version}")
    for name in sorted(set(manifest.parameters) | set(step.parameters)):
        before, now = _plain(manifest.parameters.get(name)), _plain(step.parameters.get(name))
        if before != now:
            found.append(f"{name} changed from {before} to {now}")
    for name, links in (unit.inputs if unit else {}).items():
        old, new = ([(link.stage, link.digest) for link in some] for some in (manifest.inputs.get(name, ()), links))
        if old != new:
            found.append(_difference_of_inputs(name, Counter(old), Counter(new)))
    return found


def _difference_of_inputs(name: str, old: Counter[Any], new: Counter[Any]) -> str:
    if old == new:
        return f"{name} in another order"
    n_new, n_gone, n_same = (new - old).total(), (old - new).total(), (old & new).total()
    return f"other {name}" + (f": {n_new} new, {n_gone} gone, {n_same} the same" if n_new + n_gone + n_same > 2 else "")


def _plain(value: Any) -> Any:
    """As it looks after a trip through JSON."""
    return list(value) if isinstance(value, tuple) else value
