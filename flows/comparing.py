"""What `corpus2vec diff` prints: one line that says the main thing, then tables of all that differs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console

from flows.tables import readable_bytes, table_of
from pipeline.lineage.comparing.comparison import Changed, Difference
from pipeline.lineage.comparing.movement import Movement
from pipeline.lineage.corpora import Change, CorpusFile
from pipeline.lineage.scores import RHO, TOTAL, Score, ScoreChange

ROWS = 20  # of a table that are shown; --json has all
NAMED = 3  # parameters in the first line
NEIGHBOURS = 5  # of a word that are shown
LONGEST = 60  # letters of a value


def show_difference(found: Difference, console: Console) -> None:
    """Everything that differs, the main thing first."""
    _say(console, headline(found))
    if found.missing:
        _say(console, f"Not in the store any more: {_some(found.missing)}. What they would say is left out.")
    tables = [
        _table("Parameters", _changed_rows(found.parameters)),
        _table("Versions of stages", _changed_rows(found.stages)),
        _table("Files of the corpus", _file_rows(found), ("bytes", "tokens")),
        _table("Other inputs", _changed_rows(found.other_inputs)),
        _table("Scores", _score_rows(found.scores), ("before", "after", "change")),
        _table("Environment", _changed_rows(found.environment)),
    ]
    for table in filter(None, tables):
        console.print()
        console.print(table)
    if found.vocabulary:
        words = found.vocabulary
        console.print()
        _say(console, f"Vocabulary: {words.n_before:,} -> {words.n_after:,} words, {words.n_common:,} in common")
        for name, n, some in (("new", words.n_after - words.n_common, words.new), ("gone", words.n_before - words.n_common, words.gone)):
            if n:
                _say(console, f"  {n:,} {name}: {', '.join(some)}{' ...' if n > len(some) else ''}")
    if found.movement:
        _show_movement(found.movement, console)


def difference_as_json(found: Difference) -> dict[str, Any]:
    """Everything for machines, with the line for people, and how far the vectors moved."""
    content = asdict(found)
    if found.movement:
        content["movement"]["drift"] = found.movement.drift
    return {"headline": headline(found), **content}


def headline(found: Difference) -> str:
    """The main difference in one line."""
    if found.same_bytes:
        return f"{found.before} and {found.after} have the same bytes."
    parts = [*_corpus_parts(found), *_parameter_parts(found), *_result_parts(found)]
    made_differently = found.files or found.parameters or found.stages or found.other_inputs
    if not made_differently and not found.missing:
        where = ", ".join(change.name for change in found.environment)
        parts.insert(0, "made from the same files by the same parameters" + (f", where other was: {where}" if where else ""))
    return f"{found.before} -> {found.after}: " + ", ".join(parts or ["nothing is known to differ"])


def _corpus_parts(found: Difference) -> Iterator[str]:
    words = {Change.ADDED: "more", Change.REMOVED: "fewer", Change.CHANGED: "changed"}
    for kind, word in words.items():
        if n := sum(change.change is kind for change in found.files):
            yield f"{n:,} file{'s' * (n > 1)} {word}"


def _parameter_parts(found: Difference) -> Iterator[str]:
    named = [f"{change.name} {_short(change.before)} -> {_short(change.after)}" for change in found.parameters]
    yield from named[:NAMED]
    if len(named) > NAMED:
        yield f"{len(named) - NAMED} more parameter{'s' * (len(named) - NAMED > 1)}"
    both = [change for change in found.stages if change.before and change.after]
    yield from (f"stage {change.name} version {change.before} -> {change.after}" for change in both)
    yield from (f"other {change.name}" for change in found.other_inputs)


def _result_parts(found: Difference) -> Iterator[str]:
    for score in found.scores:
        if score.section == TOTAL and score.change is not None:
            yield f"{score.set} {_signed(score, score.change)}"
    if found.vocabulary and found.vocabulary.n_before != found.vocabulary.n_after:
        n = found.vocabulary.n_after - found.vocabulary.n_before
        yield f"{abs(n):,} word{'s' * (abs(n) > 1)} {'more' if n > 0 else 'fewer'}"
    if found.movement:
        yield f"vectors moved {found.movement.drift:.2f}"
    elif found.vocabulary:
        yield "too few words in common to say how far the vectors moved"


def _changed_rows(changes: Sequence[Changed]) -> list[dict[str, Any]]:
    return [{"": change.name, "before": _short(change.before), "after": _short(change.after)} for change in changes]


def _file_rows(found: Difference) -> list[dict[str, Any]]:
    if not found.files:
        return []

    def row(change: str, location: str, before: CorpusFile | None, after: CorpusFile | None) -> dict[str, Any]:
        sizes = [readable_bytes(file.size_bytes) for file in (before, after) if file]
        tokens = ["?" if file.n_tokens is None else f"{file.n_tokens:,}" for file in (before, after) if file]
        return {"": change, "file": location, "bytes": " -> ".join(sizes), "tokens": " -> ".join(tokens)}

    rows = [row(change.change, change.location, change.before, change.after) for change in found.files]
    left_out = [{"": "...", "file": f"and {len(rows) - ROWS:,} more", "bytes": "", "tokens": ""}] if len(rows) > ROWS else []
    return [*rows[:ROWS], *left_out, {"": "all", "file": " -> ".join(f"{n:,}" for n in found.n_files), "bytes": "", "tokens": ""}]


def _score_rows(changes: Sequence[ScoreChange]) -> list[dict[str, Any]]:
    return [
        {
            "set": change.set,
            "section": change.section,
            "before": _score(change.before),
            "after": _score(change.after),
            "change": "" if change.change is None else _signed(change, change.change),
            "95 % interval": change.incomparable or _interval(change),
        }
        for change in changes
        if change.section in ("semantic", "syntactic", TOTAL, RHO) and any(one and one.n_asked for one in (change.before, change.after))
    ]


def _score(score: Score | None) -> str:
    if score is None or score.value is None:
        return "-"
    low, high = (f"{end:.1%}" if score.is_share else f"{end:.3f}" for end in (score.low, score.high))
    return f"{score.value:.1%} ({low} to {high})" if score.is_share else f"{score.value:.3f} ({low} to {high})"


def _signed(change: ScoreChange, value: float) -> str:
    return f"{value:+.3f}" if change.section == RHO else f"{100 * value:+.1f} points"


def _interval(change: ScoreChange) -> str:
    if change.low is None or change.high is None:
        return ""
    ends = [f"{end:+.3f}" if change.section == RHO else f"{100 * end:+.1f}" for end in (change.low, change.high)]
    return " to ".join(ends) + ("" if change.is_clear else "  may be chance")


def _show_movement(movement: Movement, console: Console) -> None:
    console.print()
    _say(
        console,
        f"Vectors moved {movement.drift:.2f}: of its {movement.n_neighbours} nearest neighbours a word keeps {movement.overlap:.0%} "
        f"(mean over the {movement.n_words:,} most frequent words in common; neighbours are among the {movement.n_candidates:,} first).",
    )
    rows = [
        {
            "moved most": word.word,
            "count": f"{word.counts[0]:,} -> {word.counts[1]:,}" if word.counts[0] != word.counts[1] else f"{word.counts[0]:,}",
            "kept": f"{word.overlap:.0%}",
            "neighbours before": ", ".join(word.before[:NEIGHBOURS]),
            "after": ", ".join(word.after[:NEIGHBOURS]),
        }
        for word in movement.moved
    ]
    if table := _table("", rows, ("count", "kept")):
        console.print(table)


def _table(title: str, rows: Sequence[Mapping[str, Any]], right: Sequence[str] = ()) -> Any:
    return table_of(rows, title, right) if rows else None


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _short(value: Any) -> str:
    """A value as TOML has it, or its beginning."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")
