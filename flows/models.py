"""What `corpus2vec models` and `promote` print: models and versions, the history of aliases, and conditions with their figures."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from flows.tables import table_of
from pipeline.lineage.promoting.catalogue import ListedModel, ListedVersion
from pipeline.lineage.promoting.conditions import Condition
from pipeline.lineage.promoting.promotion import Outcome, Promotion, figure_text
from pipeline.storage.store import Store

MINUTES = 16  # letters of an ISO time as far as minutes


def show_models(models: Sequence[ListedModel], store: Store, console: Console) -> None:
    """One line a model."""
    if not models:
        console.print(f"No models yet in {store.root}. Train one: corpus2vec train CONFIG", markup=False)
        return
    rows = []
    for model in models:
        newest = model.versions[-1]
        aliases = {alias: moves[-1].version for alias, moves in sorted(model.history.items())}
        rows.append(
            {
                "model": model.name,
                "versions": len(model.versions),
                "newest": str(newest.version),
                "of": _time(newest.version.created),
                "scores": _scores(newest),
                "aliases": ", ".join(f"{alias} {model.name}@{number}" for alias, number in aliases.items()),
            }
        )
    console.print(table_of(rows, right=("versions",)))


def show_model(model: ListedModel, console: Console) -> None:
    """All versions of a model, the newest first, and all that its aliases have stood for."""
    rows = [
        {
            "version": str(one.version),
            "aliases": ", ".join(one.aliases),
            "of": _time(one.version.created),
            "run": one.version.run,
            "vectors": one.version.vectors.key[:12],
            "words": "" if one.n_words is None else f"{one.n_words:,} x {one.n_dimensions}",
            "scores": _scores(one),
        }
        for one in reversed(model.versions)
    ]
    console.print(table_of(rows, right=("words",)))
    for alias, moves in sorted(model.history.items()):
        entries = [
            {"": f"{move.number}", "when": _time(move.created), "version": f"{model.name}@{move.version}", "why": move.reason}
            for move in reversed(moves)
        ]
        console.print()
        console.print(table_of(entries, f"{model.name}@{alias}", right=("",)))


def _scores(listed: ListedVersion) -> str:
    return listed.defect or ", ".join(f"{name} {value:.3f}" for name, value in listed.scores.items())


def _time(created: str) -> str:
    return created[:MINUTES].replace("T", " ")


def promotion_as_json(found: Promotion) -> dict[str, Any]:
    """Everything for machines; a limit that is infinite is null."""
    content = asdict(found)
    for condition in content["conditions"]:
        if condition["limit"] == float("inf"):
            condition["limit"] = None
    return content


def show_promotion(found: Promotion, console: Console) -> None:
    """Every condition with its figures, and what became of it."""
    name = f"{found.version.name}@{found.alias}"
    if found.outcome is Outcome.ALREADY:
        console.print(f"{name} is {found.version} already.", markup=False, soft_wrap=True)
        return
    console.print(table_of([_condition_row(condition) for condition in found.conditions], right=("now", "then", "figure")))
    console.print()
    if found.outcome is Outcome.PROMOTED:
        was = f", and was {found.before}" if found.before else " from now on: its first version"
        console.print(f"{name} is {found.version}{was}.", markup=False, soft_wrap=True)


def _condition_row(condition: Condition) -> dict[str, str]:
    analogies = condition.name.startswith("analogies")
    limit = f"at most {condition.limit:g}" if condition.name == "drift" else f"at least {condition.limit:g}"
    before, after = (f"{value:.2%}" if value is not None and analogies else "" for value in (condition.before, condition.after))
    return {
        "condition": condition.name,
        "now": before,
        "then": after,
        "figure": "" if condition.figure is None else figure_text(condition),
        "limit": f"at least {-condition.limit:g} points" if analogies else limit,
        "": "passed" if condition.passed else "FAILED",
        "note": condition.note,
    }
