"""Where text goes out: what comes from a corpus, a path or a manifest reaches a terminal as text, never as a command to it.

A token with an escape character in it could recolour a terminal, retitle its window, or overwrite lines; characters that turn the
direction of text can make one name look like another.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Left-to-right and right-to-left marks, embeddings, overrides and isolates; separators of lines and paragraphs.
_UNSEEN = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_C1 = range(0x7F, 0xA0)
_SURROGATES = range(0xD800, 0xE000)  # of names that are not UTF-8: they cannot be written at all
_PICTURES = {code: chr(0x2400 + code) for code in range(0x20)} | {0x7F: "\u2421"}  # U+241B is ESC as a picture
_VISIBLE = dict.fromkeys((*_UNSEEN, *_C1, *_SURROGATES), "�") | _PICTURES
_VISIBLE_LINES = {code: text for code, text in _VISIBLE.items() if code != ord("\n")}
_OF_JSON = re.compile("[" + "".join(re.escape(chr(code)) for code in (*_UNSEEN, *_C1)) + "\ud800-\udfff]")


def visible(text: str, *, lines: bool = False) -> str:
    """The text with a picture for each character that is none; with `lines`, the ends of its lines stay. Its length stays the same."""
    return text.translate(_VISIBLE_LINES if lines else _VISIBLE)


def json_text(value: Any, *, allow_nan: bool = True) -> str:
    """A value as JSON in which such characters are escapes, so that it can be shown, and read, as it is."""
    return _OF_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False, allow_nan=allow_nan))


def json_rows(value: Any, depth: int = 2, margin: str = "\n") -> str:
    """A value as such JSON, with the entries of objects and the items of lists, down to a depth, in lines of their own.

    Machines read it, and people search it by lines. (An indented text of all levels takes Python ten times as long to write.)
    """
    if not depth or not value or not isinstance(value, Mapping | list | tuple):
        return json_text(value)
    start, end = "{}" if isinstance(value, Mapping) else "[]"
    names = [f"{json_text(name)}: " for name in value] if isinstance(value, Mapping) else [""] * len(value)
    items = value.values() if isinstance(value, Mapping) else value
    inner = f"{margin} "
    lines = (f"{inner}{name}{json_rows(item, depth - 1, inner)}" for name, item in zip(names, items, strict=True))
    return start + ",".join(lines) + margin + end


class Terminal(Console):
    """A console that makes visible whatever it is given to print, in tables, trees and bars as well."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As of `Console`; what the console itself says to the terminal stays as it is."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text, lines=True), segment.style)
