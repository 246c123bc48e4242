"""Why a step would run or be reused: the first difference from the most similar artifact, followed upstream to where it began.

A step whose inputs are other than they were is explained by what those were made from, down to a key of the configuration, a version of a
stage, or files of the corpus.
"""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pipeline.chain import chain
from pipeline.configuration import Configuration
from pipeline.differences import Difference, DifferenceKind, Making
from pipeline.errors import UsageError
from pipeline.lineage.ancestry import is_source
from pipeline.lineage.causes import Cause, named, sentence
from pipeline.lineage.file_changes import changes
from pipeline.plan import StepPlan, plan
from pipeline.storage.artifact import Link, Manifest
from pipeline.storage.read_through import ReadThrough
from pipeline.storage.store import Store

_SECTIONS = {"glove": "glove", "ppmi_svd": "ppmi"}  # of the stages whose parameters `train` gives a part of
_ELSEWHERE = {
    ("tokenize", "broken"): "corpus.broken",
    ("tokenize", "longest"): "corpus.max_line_mb (in bytes)",
    ("tokenize", "definition"): "the definition of a token",
    ("tokenize", "unicode"): "the version of Unicode",
    ("evaluate", "lowercase"): "tokenize.lowercase",
    **{(stage, name): f"train.{name}" for stage in _SECTIONS for name in ("dimensions", "seed")},
}


_DECIDING = ("model", "loss", "mode")  # parameters that others follow
_Nearest = tuple[Manifest, tuple[Difference, ...]]
_Path = tuple[str, ...]  # of steps, upstream


class Verdict(StrEnum):
    """What a run would do with a step now."""

    REUSE = "reuse"
    RUN = "run"
    MAY_RUN = "may run"  # an earlier step comes first; if that makes the same bytes again, this one is reused


@dataclass(frozen=True)
class Explanation:
    """Why a step would run or be reused."""

    step: str
    verdict: Verdict
    path: tuple[str, ...]  # from the step upstream to the one that the cause is of
    differences: tuple[Difference, ...]  # of the step itself from the most similar artifact
    cause: Cause | None  # none when it is reused
    sentence: str
    n_artifacts: int  # that the step has; 0 when an earlier step must run before that is known
    n_found: int  # that are in the store


def explain(configuration: Configuration, store: Store | ReadThrough, name: str, now: datetime | None = None) -> Explanation:
    """Why a step of a run by this configuration would run or be reused.

    Parameters
    ----------
    configuration
        What would be run.
    store
        Where its results would be kept, with the shared store behind it if there is one.
    name
        A step (train, phrases-1), or the stage of one (glove).
    now
        When; by default now. It decides only how ages are told.

    Raises
    ------
    UsageError
        When there is no such step.
    ConfigurationError, InputError
        When the corpus or an evaluation set cannot be found.
    StoreError
        When an artifact in the store cannot be used.
    """
    steps = {step.name: step for step in chain(configuration)}
    wanted = _step_of({step.name: step.stage.name for step in steps.values()}, name)
    return _Explainer(configuration, store, now or datetime.now(UTC)).explain(wanted)


def _step_of(stages: Mapping[str, str], name: str) -> str:
    if name in stages:
        return name
    of_stage = [step for step, stage in stages.items() if stage == name]
    if len(of_stage) == 1:
        return of_stage[0]
    near = of_stage or difflib.get_close_matches(name, [*stages, *stages.values()], n=1)
    raise UsageError(
        "A run by this configuration has no such step.",
        where="why",
        got=name,
        expected="one of " + ", ".join(stages),
        remedy=f"Did you mean {near[0]}?" if near else "corpus2vec plan shows the steps of a configuration.",
    )


class _Explainer:
    def __init__(self, configuration: Configuration, store: Store | ReadThrough, now: datetime) -> None:
        self.store, self.now = store.store if isinstance(store, ReadThrough) else store, now
        self.plans = {planned.step.name: planned for planned in plan(configuration, store, reasons=False)}

    def explain(self, name: str) -> Explanation:
        planned = self.plans[name]
        n_artifacts, n_found = len(planned.wanted), len(planned.artifacts)
        if planned.reused:
            return Explanation(name, Verdict.REUSE, (name,), (), None, self._reused(planned), n_artifacts, n_found)
        missing = next((one.unit for one in planned.wanted if not one.found), None)
        making = Making.of_step(planned.step, missing)
        nearest = making.nearest(self._similar(planned))
        moved = self._moved(planned, nearest[0]) if nearest else {}
        if missing is None and nearest and not nearest[1] and not moved:
            return self._behind_another(name)
        path, cause = self._cause(name, making, nearest, moved)
        differences = nearest[1] if nearest else ()
        said = self._sentence(path, cause)
        if n_artifacts > 1 and n_found:
            said = said.replace(f"{name} would run", f"{name} would run for {n_artifacts - n_found:,} of {n_artifacts:,} shards", 1)
        if missing is None:
            said += f" And {self._first_to_run(planned)} would run before it."
        return Explanation(name, Verdict.RUN, path, differences, cause, said, n_artifacts, n_found)

    def _behind_another(self, name: str) -> Explanation:
        """Of a step that changes only if an earlier one makes other bytes."""
        before = self.explain(self._first_to_run(self.plans[name]))
        path = (name, *before.path)
        said = self._sentence(path, before.cause)
        said += f" If {path[1]} makes the same bytes as before, {name} is reused all the same."
        return Explanation(name, Verdict.MAY_RUN, path, (), before.cause, said, 0, 0)

    def _first_to_run(self, planned: StepPlan) -> str:
        return next(name for name in planned.step.reads.values() if not self.plans[name].reused)

    def _similar(self, planned: StepPlan) -> list[Manifest]:
        """What the stage has made; of phrases only from what the same stage made: a second pass is not compared with a first one."""
        manifests = self._manifests(planned.step.stage.name)
        if planned.step.stage.name == "phrases":
            return [manifest for manifest in manifests if not self._moved(planned, manifest)]
        return sorted(manifests, key=lambda manifest: len(self._moved(planned, manifest)))

    def _moved(self, planned: StepPlan, manifest: Manifest) -> dict[str, tuple[str, str]]:
        """The inputs that other stages made than now: the stages then and now."""
        stages = {name: self.plans[earlier].step.stage.name for name, earlier in planned.step.reads.items()}
        then = {name: links[0].stage for name, links in manifest.inputs.items() if links}
        return {name: (then[name], stage) for name, stage in stages.items() if then.get(name, stage) != stage}

    def _cause(self, name: str, making: Making, nearest: _Nearest | None, moved: Mapping[str, tuple[str, str]]) -> tuple[_Path, Cause]:
        """The way upstream to where the first difference began, and the cause there."""
        if nearest is None:
            return (name,), self._of_model(making) if name == "train" else Cause("", None, None, None, None)
        manifest, differences = nearest
        own = [difference for difference in differences if difference.kind is not DifferenceKind.INPUTS]
        if moved and not own:
            ((what, (before, now)), *_) = moved.items()
            return (name,), Cause(f"the {what} of {name}", f"that of {before}", f"that of {now}", None, manifest)
        if not differences:
            return (name,), Cause(f"the artifact of {name}", "in the store", "removed", None, manifest)
        difference = next((one for one in own if one.name in _DECIDING), differences[0])
        if making.stage in ("snapshot", "tokenize") and difference.kind is DifferenceKind.INPUTS:
            return (name,), self._of_corpus(manifest)
        return self._of_difference(name, making, manifest, difference)

    def _of_model(self, making: Making) -> Cause:
        """Of a model that nobody has trained: the one that there is."""
        others = [manifest for stage in ("train", *_SECTIONS) for manifest in self._manifests(stage) if stage != making.stage]
        if not others:
            return Cause("", None, None, None, None)
        newest = max(others, key=lambda manifest: (manifest.created, manifest.key))
        before = newest.parameters.get("model", newest.stage)
        return Cause("train.model", before, making.parameters.get("model", making.stage), None, newest)

    def _of_difference(self, name: str, making: Making, manifest: Manifest, difference: Difference) -> tuple[_Path, Cause]:
        match difference.kind:
            case DifferenceKind.VERSION:
                return (name,), Cause(f"the version of the stage {making.stage}", difference.before, difference.now, None, manifest)
            case DifferenceKind.PARAMETER:
                key = _ELSEWHERE.get((making.stage, difference.name)) or f"{_SECTIONS.get(making.stage, making.stage)}.{difference.name}"
                return (name,), Cause(key, difference.before, difference.now, None, manifest)
        old, new = Counter(map(_content, difference.before)), Counter(map(_content, difference.now))
        gone = [link for link in difference.before if _content(link) in old - new]
        added = [link for link in difference.now if _content(link) in new - old]
        if any(link.is_outside for link in (*gone, *added)):
            return (name,), Cause(f"the {difference.name}", None, None, changes(gone, added), manifest)
        before, now = (self._described(links) for links in (gone, added))
        nearest = Making.of_artifact(now[0]).nearest(before) if before and now else None
        if nearest and nearest[1] and not all(map(_is_of_corpus, nearest[1])):
            compared, (first, *_) = nearest
            path, cause = self._of_difference(_step_name(now[0]), Making.of_artifact(now[0]), compared, first)
            return (name, *path), cause
        # Of all shards, because a file can lose one and be there all the same.
        files = changes(*(_sources(self._described(links)) for links in (difference.before, difference.now)))
        if files:
            return (name, "tokenize"), Cause("the corpus", None, None, files, manifest)
        return (name,), Cause(f"the {difference.name} of {name}", None, str(difference), None, manifest)

    def _described(self, links: Iterable[Link]) -> list[Manifest]:
        found = (self.store.described(link.stage, link.key) for link in links)
        return [artifact.manifest for artifact in found if artifact]

    def _manifests(self, stage: str) -> list[Manifest]:
        """All of a stage, newest first."""
        return sorted(self.store.manifests(stage), key=lambda manifest: (manifest.created, manifest.key), reverse=True)

    def _of_corpus(self, manifest: Manifest) -> Cause:
        """What of the corpus is not as it was in the most similar snapshot; or how it is cut."""
        (wanted,) = self.plans["snapshot"].wanted
        making = Making.of_step(self.plans["snapshot"].step, wanted.unit)
        nearest = making.nearest(self._manifests("snapshot"))
        if nearest is None:
            return Cause("the corpus", None, None, changes((), making.inputs["files"]), manifest)
        snapshot, _ = nearest
        files = changes(snapshot.inputs["files"], making.inputs["files"])
        if files:
            return Cause("the corpus", None, None, files, snapshot)
        settings = self.plans["snapshot"].step.settings.model_dump(mode="json")
        for name in ("shard_mb", "column", "format"):
            if settings[name] != snapshot.settings.get(name, settings[name]):
                return Cause(f"corpus.{name}", snapshot.settings[name], settings[name], None, snapshot)
        return Cause("the corpus", None, "the same files another number of times, or in another order", None, snapshot)

    def _reused(self, planned: StepPlan) -> str:
        n = len(planned.wanted)
        have = f"all {n:,} artifacts have" if n > 1 else f"{named(planned.artifacts[0].manifest, self.now)} has"
        shared = f" {planned.n_shared:,} of them in the shared store." if planned.n_shared and n > 1 else ""
        shared = shared or (" It is in the shared store." if planned.n_shared else "")
        return f"{planned.step.name} would be reused: {have} the same parameters and the same inputs.{shared}"

    def _sentence(self, path: _Path, cause: Cause | None) -> str:
        last = self.plans[path[-1]].step.stage.name if path[-1] in self.plans else path[-1]
        return sentence(path, last, cause, self.now)


def _content(link: Link) -> tuple[str, str]:
    return link.stage, link.digest


def _is_of_corpus(difference: Difference) -> bool:
    """Whether it is about which parts of the corpus were read."""
    return difference.kind is DifferenceKind.INPUTS and all(map(is_source, (*difference.before, *difference.now)))


def _step_name(manifest: Manifest) -> str:
    """What a person calls the step that made an artifact."""
    return "train" if manifest.stage in _SECTIONS else manifest.stage


def _sources(manifests: Iterable[Manifest]) -> list[Link]:
    """The parts of the corpus that artifacts were made from directly."""
    return [link for manifest in manifests for links in manifest.inputs.values() for link in links if is_source(link)]
