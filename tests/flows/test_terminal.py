"""What comes from a corpus, a path or a manifest reaches a terminal as text."""

import io
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flows.display import Bars, Lines
from flows.tables import table_of
from flows.terminal import Terminal, json_rows, visible
from pipeline.events import RunWarned, StepFinished, StepResumed, StepStarted

TOKEN = "\x1b]0;owned\x07\x1b[31mred\x9b2J\u202egnp.exe\r\b"
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def commands(text: str) -> str:
    """The characters of a text that are none."""
    return "".join(
        c for c in text if c != "\n" and (unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(c) in DIRECTIONS)
    )


def printed(*things: object, is_terminal: bool = False) -> str:
    """What a console writes."""
    out = io.StringIO()
    Terminal(file=out, width=200, force_terminal=is_terminal, color_system=None, legacy_windows=False).print(*things)
    return out.getvalue()


@given(st.text())
def test_visible__leaves_no_command_and_no_other_character_out(text: str) -> None:
    shown = visible(text)
    assert commands(shown) == ""
    assert "\n" not in shown
    assert len(shown) == len(text)
    assert all(a == b for a, b in zip(text, shown, strict=True) if a.isalnum() or a in " []")
    assert visible(text, lines=True).count("\n") == text.count("\n")


def test_visible__shows_what_was_there() -> None:
    assert visible("a\x1b[31mb\tc\x7f") == "a␛[31mb␉c␡"


@settings(max_examples=30)
@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_rows__says_the_same_without_commands(value: object) -> None:
    text = json_rows(value)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert commands(text) == ""
    text.encode()


@pytest.mark.parametrize(
    "thing",
    [TOKEN, Text(TOKEN), table_of([{"word": TOKEN, "count": 1}], TOKEN), Tree(TOKEN), [TOKEN]],
    ids=["line", "text", "table", "tree", "list"],
)
def test_terminal__prints_no_command_of_anybody_elses(thing: object) -> None:
    for is_terminal in (False, True):
        shown = printed(thing, is_terminal=is_terminal)
        assert commands(shown) == ""
        assert "red" in shown


def test_terminal__does_so_in_tables_that_others_make() -> None:
    table = Table("word")
    table.add_row(TOKEN)
    assert commands(printed(table)) == ""


def test_terminal__keeps_its_own_colours_and_lines() -> None:
    out = io.StringIO()
    Terminal(file=out, width=80, force_terminal=True, color_system="standard").print(Text.assemble(("red\x1b", "red"), "\nplain"))
    assert out.getvalue() == "\x1b[31mred␛\x1b[0m\nplain\n"


def test_displays__show_no_command() -> None:
    events = [StepStarted("train", TOKEN), StepResumed("train", 1, 2, TOKEN), StepFinished("train", False, 1.0, 1, TOKEN), RunWarned(TOKEN)]
    for display in (Bars, Lines):
        out = io.StringIO()
        with display(Terminal(file=out, width=200)) as shown:
            for event in events:
                shown(event)
        assert commands(out.getvalue()) == ""
        assert out.getvalue().count("red") >= 3


def test_table_of__of_tokens_has_one_line_each() -> None:
    lines = printed(table_of([{"word": word} for word in ("a\nb", "c\x0bd")])).splitlines()
    assert [line.strip() for line in lines] == ["word", "a␊b", "c␋d"]
