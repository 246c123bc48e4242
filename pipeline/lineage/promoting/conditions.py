"""What a version must fulfil before an alias moves to it: measured against the version that the alias stands for now."""

from dataclasses import dataclass
from typing import Any

from pipeline.errors import Corpus2VecError, StoreError
from pipeline.lineage.comparing.comparison import moved
from pipeline.lineage.runs import run_record
from pipeline.lineage.scores import incomparable, scores_of, whole_sets
from pipeline.storage.artifact import Artifact, Link
from pipeline.storage.keys import digest_of_file
from pipeline.storage.registry import Version
from pipeline.storage.store import Store

EVERYTHING = 100.0  # points: no accuracy can lose more
ROUNDING = 1e-9  # a figure at its limit passes, however its last bits were rounded


@dataclass(frozen=True)
class Limits:
    """How much worse, and how different, a version may be."""

    max_drop: float = 0.5  # points that the accuracy of any set of analogies may lose
    min_coverage: float = 0.5  # the share of every evaluation set that must be asked, 0 to 1
    max_drift: float = 0.5  # how far the vectors may move, 0 to 1; two seeds alone make 0.36 on the shipped sample


@dataclass(frozen=True)
class Condition:
    """One condition, with its figures."""

    name: str
    before: float | None  # of the version that counts now; None: there is none, or it is not known
    after: float | None
    figure: float | None  # what is compared with the limit: points, or a share; None: it cannot be told
    limit: float
    passed: bool
    note: str  # why it says nothing, or passed without a figure


@dataclass(frozen=True)
class Whole:
    """The artifacts of a version, as they were made."""

    version: Version
    vectors: Artifact
    evaluation: Artifact


def whole(store: Store, version: Version) -> Whole:
    """The vectors and scores of a version, once every byte of them has been looked at.

    Raises
    ------
    StoreError
        When one is gone, damaged, or other than what was registered.
    """
    return Whole(version, _intact(store, version, version.vectors), _intact(store, version, version.evaluation))


def _intact(store: Store, version: Version, link: Link) -> Artifact:
    artifact = store.find(link.stage, link.key)
    where = f"{store.root / link.stage / link.key[:32]}"
    if artifact is None:
        raise _unusable(version, where, "nothing", f"the artifact {link.stage}/{link.key[:12]}")
    if artifact.manifest.digest != link.digest:
        raise _unusable(version, where, f"bytes with the digest {artifact.manifest.digest[:12]}", link.digest[:12])
    for file in artifact.manifest.files:
        if (found := digest_of_file(artifact.path(file.name))) != file.sha256:
            raise _unusable(version, str(artifact.path(file.name)), f"a file with the SHA-256 {found[:12]}", file.sha256[:12])
    return artifact


def _unusable(version: Version, where: str, got: str, expected: str) -> StoreError:
    return StoreError(
        f"{version} is no longer what was registered.",
        where=where,
        got=got,
        expected=expected,
        remedy="Choose another version (corpus2vec models lists them), or train it again: the same run makes the same bytes.",
    )


def check(store: Store, candidate: Whole, present: Version | None, limits: Limits) -> tuple[Condition, ...]:
    """Every condition for a candidate to take the place of the present version; against nothing all but coverage pass.

    The candidate is judged by the questions that the present version was scored on; where its own were others, both are scored again. What
    cannot be told (the present version is gone, its run forgotten) fails, unless the limit lets everything pass: 100 points, a drift of 1.

    Raises
    ------
    StoreError
        When the candidate's vectors are not numbers.
    """
    if present is None:
        none = "nothing to compare with: the first promotion"
        scores = [score for score in whole_sets(scores_of(candidate.evaluation)) if score.is_share]
        first = [Condition(f"analogies {score.set}", None, score.value, None, limits.max_drop, True, none) for score in scores]
        return (*first, *_coverage(candidate.evaluation, limits), Condition("drift", None, None, None, limits.max_drift, True, none))
    try:
        old = whole(store, present)
    except StoreError as error:
        why = _in_short(error)
        return (
            _unknown("analogies", limits.max_drop, EVERYTHING, why),
            *_coverage(candidate.evaluation, limits),
            _unknown("drift", limits.max_drift, 1, why),
        )
    try:
        before, after = _comparable(store, old, candidate)
        analogies = _analogies(before, after, limits)
    except Corpus2VecError as error:
        after, analogies = candidate.evaluation, [_unknown("analogies", limits.max_drop, EVERYTHING, _in_short(error))]
    return (*analogies, *_coverage(after, limits), _drift(old, candidate, limits))


def _unknown(name: str, limit: float, everything: float, why: str) -> Condition:
    """A condition that nothing can be said about: passed only where `everything` would pass."""
    return Condition(name, None, None, None, limit, limit >= everything, why)


def _in_short(error: Corpus2VecError) -> str:
    got = error.details["got"]
    return error.what + (f" ({got})" if got else "")


def _comparable(store: Store, present: Whole, candidate: Whole) -> tuple[Artifact, Artifact]:
    """The evaluations of both by the present version's questions, made again where it must be."""
    before, after = present.evaluation, candidate.evaluation
    if not any(incomparable(before, after, score.set) for score in whole_sets(scores_of(before)) if score.is_share):
        return before, after
    from pipeline.lineage.promoting.scoring_again import score_again

    old, new = (_configuration(store, one.version) for one in (present, candidate))
    return score_again(store, present.vectors, old, old["evaluate"]), score_again(store, candidate.vectors, new, old["evaluate"])


def _configuration(store: Store, version: Version) -> dict[str, Any]:
    record = run_record(store, version.run)
    if record is None:
        raise StoreError("They were scored by different questions, and how is forgotten.", got=f"no record of run {version.run}")
    configuration: dict[str, Any] = record["configuration"]
    return configuration


def _analogies(before: Artifact, after: Artifact, limits: Limits) -> list[Condition]:
    """No set of analogies may be answered much worse than now."""
    new = {score.set: score for score in whole_sets(scores_of(after))}
    found = []
    for was in whole_sets(scores_of(before)):
        if not was.is_share:
            continue
        name, now = f"analogies {was.set}", new[was.set]
        if was.value is None or now.value is None:
            passed = was.value is None or limits.max_drop >= EVERYTHING
            found.append(Condition(name, was.value, now.value, None, limits.max_drop, passed, "nothing could be asked"))
        else:
            drop = 100 * (was.value - now.value)
            found.append(Condition(name, was.value, now.value, drop, limits.max_drop, drop <= limits.max_drop + ROUNDING, ""))
    return found


def _coverage(evaluation: Artifact, limits: Limits) -> list[Condition]:
    """Enough of every set must be asked: a model that knows few words answers few questions, and those well."""
    found = []
    for score in whole_sets(scores_of(evaluation)):
        passed = score.coverage >= limits.min_coverage - ROUNDING
        note = f"{score.n_asked:,} of {score.n_all:,}"
        found.append(Condition(f"coverage {score.set}", None, score.coverage, score.coverage, limits.min_coverage, passed, note))
    return found


def _drift(present: Whole, candidate: Whole, limits: Limits) -> Condition:
    """The vectors may not move far: what others have built on the present ones would no longer fit."""
    found = moved(present.vectors, candidate.vectors, n_shown=0)
    if found is None:
        return _unknown("drift", limits.max_drift, 1, "too few words in common to tell")
    note = f"{found.n_neighbours} neighbours of {found.n_words:,} words"
    return Condition("drift", None, found.drift, found.drift, limits.max_drift, found.drift <= limits.max_drift + ROUNDING, note)
