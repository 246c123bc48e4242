"""Runs, plans and scores as text for people: rich tables for the terminal, Markdown and rows for Prefect."""

import html
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from flows.tables import readable_bytes
from flows.terminal import visible
from pipeline.events import StepAdvanced
from pipeline.storage.artifact import Artifact
from pipeline.storage.schemas import SECTIONS, SECTIONS_FILE, SIMILARITY, SIMILARITY_FILE
from pipeline.storage.tables import read_table


def figure_texts(event: StepAdvanced) -> list[str]:
    """Words, words/s, loss and learning rate, as far as the step has them."""
    texts: dict[str, Callable[[float], str]] = {
        "words": lambda value: f"{value / 1e6:.2f} M words",
        "words_per_s": lambda value: f"{value / 1e6:.2f} M words/s",
        "loss": lambda value: f"loss {value:.4f}",
        "learning_rate": lambda value: f"rate {value:.5f}",
    }
    return [text(event.figures[name]) for name, text in texts.items() if name in event.figures]


def score_rows(evaluation: Artifact) -> list[dict[str, Any]]:
    """Every score of an evaluation as a row: set, section, score, interval, coverage."""
    rows = []
    for row in read_table(evaluation.path(SECTIONS_FILE), SECTIONS).to_pylist():
        score = f"{row['accuracy']:.1%}" if row["asked"] else "-"
        rows.append(_score_row(row["set"], row["section"], score, row["low"], row["high"], row["asked"], row["questions"], percent=True))
    for row in read_table(evaluation.path(SIMILARITY_FILE), SIMILARITY).to_pylist():
        score = "-" if math.isnan(row["rho"]) else f"{row['rho']:.3f}"
        rows.append(_score_row(row["set"], "Spearman's rho", score, row["low"], row["high"], row["scored"], row["pairs"], percent=False))
    return rows


def _score_row(name: str, section: str, score: str, low: float, high: float, n_asked: int, n_all: int, *, percent: bool) -> dict[str, Any]:
    interval = "" if math.isnan(low) else f"{low:.1%} to {high:.1%}" if percent else f"{low:.3f} to {high:.3f}"
    return {"set": name, "section": section, "score": score, "95 % interval": interval, "asked": f"{n_asked:,} of {n_all:,}"}


def result_of(step: Mapping[str, Any]) -> str:
    """How a step in the record of a run came out that computed nothing; empty when it did."""
    if step["n_reused"] < len(step["keys"]):
        return ""
    return "shared" if step.get("n_shared") else "reused"


def run_report(record: Mapping[str, Any]) -> str:
    """A run as Markdown: what was reused and why the rest was not, and the scores."""
    lines = [f"# {record['name']}", "", f"Run `{record['id']}`, {record['elapsed_s']:.1f} s, started by {_cell(record['started_by'])}.", ""]
    lines += ["| step | result | why | seconds | size |", "|---|---|---|---:|---:|"]
    for step in record["steps"]:
        result = result_of(step) or "computed"
        lines.append(
            f"| {step['step']} | {result} | {_cell(step['reason'])} | {step['elapsed_s']:.2f} | {readable_bytes(step['size_bytes'])} |"
        )
    lines += ["", "| score | value |", "|---|---:|"]
    lines += [f"| {_cell(name)} | {value:.4f} |" for name, value in record["scores"].items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text from outside as text, in Markdown that a browser shows: no tag, no link, no other column."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", html.escape(visible(text)))
