"""What is shown of a fixed list of events."""

import io
import json

import pytest
from rich.console import Console

from flows.display import Bars, JsonLines, Lines, finished_text
from pipeline.events import Event, RunWaits, RunWarned, StepAdvanced, StepFinished, StepStarted

EVENTS: list[Event] = [
    StepFinished("snapshot", reused=True, elapsed_s=0.01, size_bytes=1234, summary="1 files"),
    StepStarted("tokenize", "other source: [red]a.txt[/red]"),
    StepAdvanced("tokenize", 1, 4, "shards"),
    StepAdvanced("tokenize", 4, 4, "shards"),
    StepFinished("tokenize", reused=False, elapsed_s=2.34, size_bytes=5_000_000, summary="10 tokens of [bold]x[/] and [/nothing]"),
    StepStarted("train", "seed changed from 1 to 2"),
    StepAdvanced("train", 500, 1000, "words", {"words": 9_876_543.0, "words_per_s": 1_234_567.0, "loss": 2.5, "learning_rate": 0.0125}),
    StepAdvanced("evaluate", 1, 1, "sets"),
    RunWarned("no room for [b]lines[/b]"),
    RunWaits("another process makes [b]train/ab[/b]"),
]


def shown(width: int = 140) -> str:
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, width=width, color_system="standard")) as bars:
        for event in EVENTS:
            bars(event)
            bars.progress.refresh()
    return out.getvalue()


def test_bars__show_a_bar_while_a_step_computes_and_a_line_when_it_is_finished() -> None:
    text = shown()
    assert "= \x1b[0msnapshot       reused   1.23 kB  1 files" in text
    assert "4 of 4 shards" in text
    assert "100 %" in text
    assert "9.88 M words  1.23 M words/s  loss 2.5000  rate 0.01250" in text
    assert " 50 %" in text
    assert "seed changed from 1 to 2" in text


def test_bars__take_no_text_for_markup() -> None:
    text = shown()
    assert "other source: [red]a.txt[/red]" in text
    assert "10 tokens of [bold]x[/] and [/nothing]" in text
    assert "! \x1b[0mno room for [b]lines[/b]" in text
    assert "> \x1b[0mwaits: another process makes [b]train/ab[/b]" in text


def test_bars__remove_the_bar_of_a_finished_step() -> None:
    bars = Bars(Console(file=io.StringIO(), force_terminal=True))
    with bars:
        for event in EVENTS[:5]:
            bars(event)
        assert bars.tasks == {}
        assert bars.progress.tasks == []


def test_bars__of_a_narrow_terminal_do_not_fail() -> None:
    assert "tokenize" in shown(width=20)


@pytest.mark.parametrize("width", [20, 200])
def test_lines__are_one_line_an_event_without_colour_and_markup(width: int) -> None:
    out = io.StringIO()
    with Lines(Console(file=out, width=width)) as lines:
        for event in EVENTS:
            lines(event)
    assert out.getvalue().splitlines() == [
        "snapshot       reused   1.23 kB  1 files",
        "tokenize     starts: other source: [red]a.txt[/red]",
        "tokenize        2.3 s      5 MB  10 tokens of [bold]x[/] and [/nothing]",
        "train        starts: seed changed from 1 to 2",
        "warning: no room for [b]lines[/b]",
        "waits: another process makes [b]train/ab[/b]",
    ]


def test_lines__show_progress_when_nothing_was_said_for_ten_seconds() -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=20))
    for ago in (9.0, 11.0):
        lines.last -= ago
        lines(EVENTS[6])
        lines.last += 9.0 if ago == 9.0 else 0.0
    assert out.getvalue() == "train            50%  9.88 M words  1.23 M words/s  loss 2.5000  rate 0.01250\n"


def test_json_lines__are_the_events() -> None:
    out = io.StringIO()
    with JsonLines(out) as lines:
        for event in EVENTS:
            lines(event)
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    kinds = {kind.__name__: kind for kind in (StepStarted, StepAdvanced, StepFinished, RunWarned, RunWaits)}
    assert [kinds[row.pop("event")](**row) for row in rows] == EVENTS


def test_json_lines__are_json_when_a_loss_is_not_a_number() -> None:
    out = io.StringIO()
    JsonLines(out)(StepAdvanced("train", 1, 2, "words", {"loss": float("nan"), "words_per_s": float("inf"), "learning_rate": 0.1}))

    def refuse(name: str) -> float:
        raise AssertionError(name)

    assert json.loads(out.getvalue(), parse_constant=refuse)["figures"] == {"loss": None, "words_per_s": None, "learning_rate": 0.1}


def test_finished_text__is_one_line() -> None:
    assert (
        finished_text(StepFinished("pairs", reused=False, elapsed_s=12.345, size_bytes=0, summary="")).rstrip()
        == "pairs          12.3 s       0 B"
    )
