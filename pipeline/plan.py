"""What a run would do: for each step, which artifacts are there already, which are not, and why. Computes nothing."""

from dataclasses import dataclass, replace

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.corpus import Observed, observe
from pipeline.differences import Making
from pipeline.sources.digests import Digests
from pipeline.stage import Inputs, Step, Unit
from pipeline.storage.artifact import Artifact
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.store import Store


@dataclass(frozen=True)
class Wanted:
    """One artifact of a step: its unit, its key, and the artifact when it is in the store."""

    unit: Unit
    key: str
    found: Artifact | None  # perhaps by its manifest: the files are in the shared store


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
        """Those of its artifacts that are in the store, or in the shared one."""
        return tuple(wanted.found for wanted in self.wanted if wanted.found)

    @property
    def n_shared(self) -> int:
        """How many of them are in the shared store only."""
        return sum(not artifact.is_here for artifact in self.artifacts)


def plan(
    configuration: Configuration, store: Store | ReadThrough, observed: Observed | None = None, *, reasons: bool = True
) -> list[StepPlan]:
    """The plan of every step of the chain; without `reasons` nobody looks for why a step is not reused.

    A step behind one that must run is planned as far as possible: its inputs may come out with the same bytes, and then it is reused.

    Raises
    ------
    ConfigurationError, InputError
        When the corpus or an evaluation set cannot be found.
    StoreError
        When a manifest in the store cannot be read.
    """
    stores = store if isinstance(store, ReadThrough) else ReadThrough(store, None)
    observed = observed or observe(configuration, Digests(stores.store, configuration.corpus))
    plans: dict[str, StepPlan] = {}
    for step in chain(configuration):
        waits_for = next((name for name in step.reads.values() if not plans[name].reused), None)
        if waits_for:
            changed = explain(step, None, stores.store) if reasons else ""
            plans[step.name] = StepPlan(step, (), f"{waits_for} comes first" + (f"; {changed}" if changed else ""))
        else:
            inputs = {name: plans[earlier].artifacts for name, earlier in step.reads.items()}
            plans[step.name] = plan_step(step, observed, inputs, stores, reasons=reasons)
    return list(plans.values())


def plan_step(step: Step, observed: Observed, inputs: Inputs, stores: ReadThrough, *, reasons: bool = True) -> StepPlan:
    """The plan of one step whose inputs exist."""
    units = step.stage.units(observed, inputs)
    keys = [step.key(unit) for unit in units]
    found = stores.find(step.stage.name, keys)
    planned = StepPlan(step, tuple(Wanted(unit, key, found.get(key)) for unit, key in zip(units, keys, strict=True)), "")
    missing = [one for one in planned.wanted if not one.found]
    some = "" if planned.n_shared == len(keys) else f"{planned.n_shared} of {len(keys)} "
    shared = f", {some}in the shared store" if planned.n_shared else ""
    if not missing:
        return replace(planned, reason=f"same parameters, same inputs{shared}")
    reason = explain(step, missing[0].unit, stores.store) if reasons else "something differs"
    if len(keys) > 1:
        reason = f"{len(missing)} of {len(keys)} are not in the store{shared}: {reason}"
    return replace(planned, reason=reason)


def explain(step: Step, unit: Unit | None, store: Store) -> str:
    """What differs from the most similar artifact that the stage has made; without a unit, as far as parameters tell."""
    earlier = sorted(store.manifests(step.stage.name), key=lambda manifest: (manifest.created, manifest.key), reverse=True)
    nearest = Making.of_step(step, unit).nearest(earlier)
    if nearest is None:
        return "nothing like it in the store yet"
    _, differences = nearest
    return "; ".join(map(str, differences)) or ("it was removed from the store" if unit else "")
