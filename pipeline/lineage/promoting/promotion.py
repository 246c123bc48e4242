"""Moving an alias such as `production` to a version that fulfils conditions, and back to what it stood for before."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import Corpus2VecError, UsageError
from pipeline.lineage.promoting.conditions import Condition, Limits, Whole, check, whole
from pipeline.lineage.references import SHORTEST, resolve, unknown
from pipeline.storage.locks import using
from pipeline.storage.registry import ALIAS, Move, Registry, Version
from pipeline.storage.store import Store

PRODUCTION = "production"


class Outcome(StrEnum):
    """What became of a promotion."""

    PROMOTED = "promoted"
    ALREADY = "already"  # the alias stands for this version
    REFUSED = "refused"


@dataclass(frozen=True)
class Promotion:
    """A promotion that was tried."""

    outcome: Outcome
    alias: str
    before: Version | None  # what the alias stood for
    version: Version
    conditions: tuple[Condition, ...]  # empty when nothing had to be done
    move: Move | None  # the entry in the history, when there is a new one


@dataclass(frozen=True)
class Rollback:
    """An alias that went back."""

    alias: str
    before: Version
    version: Version
    move: Move


def promote(store: Store, name: str, reference: str = "", alias: str = PRODUCTION, limits: Limits | None = None) -> Promotion:
    """Have an alias stand for a version (the newest, without a reference) if it fulfils the conditions; nothing moves otherwise.

    When somebody else moves the alias meanwhile, the conditions are looked at again, against what it stands for then.

    Parameters
    ----------
    store
        Where the model is; scores that must be made again are written there too.
    name
        The model's.
    reference
        A number or an alias of the model, a run or a key that made it.
    alias
        Small letters, digits and hyphens, a letter first.
    limits
        The defaults of `Limits` when there are none.

    Raises
    ------
    UsageError
        When there is no such model or version, or the alias cannot be called so.
    StoreError
        When the version's artifacts are gone or damaged, or the store cannot be written.
    """
    _refuse_impossible(alias)
    with using(store.root):  # what is looked at must not be collected before it is promoted
        return _promote(store, find_version(store, name, reference), alias, limits or Limits())


def _promote(store: Store, version: Version, alias: str, limits: Limits) -> Promotion:
    registry, name = Registry(store), version.name
    candidate: Whole | None = None
    while True:
        history = registry.history(name, alias)
        present = _version(registry, name, history[-1].version) if history else None
        if present == version:
            return Promotion(Outcome.ALREADY, alias, present, version, (), None)
        candidate = candidate or whole(store, version)
        conditions = check(store, candidate, present, limits)
        if not all(condition.passed for condition in conditions):
            return Promotion(Outcome.REFUSED, alias, present, version, conditions, None)
        move = registry.move(name, alias, version.number, _reason(present, conditions), history[-1].number if history else 0)
        if move:
            return Promotion(Outcome.PROMOTED, alias, present, version, conditions, move)


def rollback(store: Store, name: str, alias: str = PRODUCTION) -> Rollback:
    """Have an alias stand for what it stood for before, in a new entry of its history.

    Done again it goes further back: along what was promoted, never forth to what was rolled back.

    Raises
    ------
    UsageError
        When there is no such model or alias, or nothing before.
    StoreError
        When the earlier version's artifacts are gone or damaged, or the store cannot be written.
    Corpus2VecError
        When somebody else has moved the alias meanwhile: whoever goes back once must not go back twice.
    """
    with using(store.root):
        return _roll_back(store, name, alias)


def _roll_back(store: Store, name: str, alias: str) -> Rollback:
    registry = Registry(store)
    find_version(store, name, "")
    history = registry.history(name, alias)
    if not history:
        raise UsageError(
            f"{name} has no such alias.",
            where=str(store.root),
            got=alias,
            expected="one of " + (", ".join(registry.aliases(name)) or "none yet"),
            remedy=f"corpus2vec promote {name} --as {alias} makes it.",
        )
    present = _counting(history, history[-1])
    earlier = [move for move in history if move.number < present.number]
    if not earlier:
        raise UsageError(
            "There is nothing to go back to.",
            where=str(store.root),
            got=f"{name}@{alias}, which is {name}@{present.version}, the first that was promoted",
            remedy=f"Promote another version: corpus2vec promote {name} VERSION --as {alias}",
        )
    target = _counting(history, earlier[-1])
    version = _version(registry, name, target.version)
    whole(store, version)
    reason = f"rolled back from {name}@{present.version}"
    move = registry.move(name, alias, version.number, reason, history[-1].number, back_to=target.number)
    if move is None:
        raise Corpus2VecError(
            f"{name}@{alias} was moved by somebody else just now.",
            where=str(store.root),
            got=f"{name}@{registry.aliases(name)[alias]}",
            expected=f"{name}@{present.version}",
            remedy=f"Look (corpus2vec models {name}), and roll back again if it is still wrong.",
        )
    return Rollback(alias, _version(registry, name, present.version), version, move)


def find_version(store: Store, name: str, reference: str) -> Version:
    """A version of a model by number, alias, run or key; the newest without a reference.

    Raises
    ------
    UsageError
        When there is none.
    StoreError
        When a record or a manifest cannot be read.
    """
    registry = Registry(store)
    newest = registry.newest(name)
    if newest is None:
        raise unknown(store, name)
    which = reference.removeprefix(f"{name}@")
    if not which:
        return newest
    if found := registry.find(name, which):
        return found
    vectors = resolve(store, which if len(which) >= SHORTEST else f"{name}@{which}").vectors
    for version in reversed(registry.versions(name, lambda error: None)):
        if version.vectors == vectors:
            return version
    raise UsageError(
        f"This is no version of {name}.",
        where=str(store.root),
        got=reference[:100],
        expected=f"one of 1 to {newest.number}, an alias, or a run or key that made one",
        remedy=f"corpus2vec models {name} lists all.",
    )


def _refuse_impossible(alias: str) -> None:
    if not ALIAS.fullmatch(alias):
        raise UsageError(
            "An alias cannot be called so.", got=alias, expected="small letters, digits and hyphens, a letter first: production"
        )


def _version(registry: Registry, name: str, number: int) -> Version:
    """A version that the history names: no file of the registry is ever removed by us, but people can."""
    found = registry.find(name, str(number))
    if found is None:
        raise UsageError(
            "A version that was promoted is no longer registered.",
            where=str(registry.store.root),
            got=f"no {name}@{number}",
            remedy="Bring its file back from a copy, or promote to another alias than this.",
        )
    return found


def _counting(history: Sequence[Move], move: Move) -> Move:
    """The promotion that counts after a move: itself, or of a rollback the one that it went back to."""
    return next((one for one in history if one.number == move.back_to), move)


def _reason(present: Version | None, conditions: Sequence[Condition]) -> str:
    """The figures in one line, for the history."""
    figures = [f"{condition.name} {figure_text(condition)}" for condition in conditions if condition.figure is not None]
    return "promoted" + (f" over {present}" if present else ", the first") + "".join(f", {figure}" for figure in figures)


def figure_text(condition: Condition) -> str:
    """The figure of a condition as people say it: analogies in points gained, the others as shares."""
    if condition.figure is None:
        return "unknown"
    return f"{-condition.figure:+.2f} points" if condition.name.startswith("analogies ") else f"{condition.figure:.2f}"
