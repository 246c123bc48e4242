"""What a run would do: for each step, which artifacts are there already, which are not, and why. Computes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.artifact import Artifact, Link, Manifest
from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.corpus import Observed, observe
from pipeline.stage import Inputs, Step, Unit
from pipeline.store import Store


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
    observed = observed or observe(configuration)
    plans: dict[str, StepPlan] = {}
    for step in chain(configuration):
        waits_for = next((name for name in step.reads.values() if not plans[name].reused), None)
        if waits_for:
            plans[step.name] = StepPlan(step, (), f"{waits_for} comes first" + _changed_parameters(step, store))
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


def explain(step: Step, unit: Unit, store: Store) -> str:
    """The first difference between an artifact to be made and the newest one that its stage has made."""
    earlier = store.artifacts(step.stage.name)
    if not earlier:
        return "nothing like it in the store yet"
    newest = earlier[0].manifest
    if newest.stage_version != step.stage.version:
        return f"the stage itself changed: version {newest.stage_version} to {step.stage.version}"
    return _first_difference(newest, step) or _changed_inputs(newest.inputs, unit.inputs) or "it was removed from the store"


def _changed_parameters(step: Step, store: Store) -> str:
    earlier = store.artifacts(step.stage.name)
    changed = _first_difference(earlier[0].manifest, step) if earlier else ""
    return f"; {changed}" if changed else ""


def _first_difference(manifest: Manifest, step: Step) -> str:
    for name in sorted(set(manifest.parameters) | set(step.parameters)):
        before, now = _plain(manifest.parameters.get(name)), _plain(step.parameters.get(name))
        if before != now:
            return f"{name} changed from {before} to {now}"
    return ""


def _plain(value: Any) -> Any:
    """As it looks after a trip through JSON."""
    return list(value) if isinstance(value, tuple) else value


def _changed_inputs(before: Mapping[str, tuple[Link, ...]], now: Mapping[str, tuple[Link, ...]]) -> str:
    for name, links in now.items():
        old, new = {link.digest for link in before.get(name, ())}, {link.digest for link in links}
        if old != new:
            return f"other {name}: {len(new - old)} new, {len(old - new)} gone, {len(old & new)} the same"
    return ""
