"""HTML and SVG from values: text is escaped unless it was made here, so that whatever a corpus holds stays text."""

from html import escape

from flows.terminal import visible

_EMPTY = ("meta", "path", "rect", "br")  # elements that hold nothing


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float) -> Markup:
    """An element; `_` at the end of an attribute is dropped (`class_`), inside it is a hyphen."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(visible(str(value)))}"' for key, value in attributes.items())
    if name in _EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Children one after the other, escaped where they are text."""
    return Markup("".join(child if isinstance(child, Markup) else escape(visible(child)) for child in children))
