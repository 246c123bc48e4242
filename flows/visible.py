"""Text from a corpus, a path or a manifest made fit to be shown: what would move the cursor, hide or turn text is spelt out."""

import unicodedata
from collections.abc import Mapping
from typing import Any

# Other, but not unassigned or private characters: control, format (which turn the direction of text, or join letters) and halves of pairs.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str) -> str:
    r"""The text with every character that is not seen spelt out: an escape becomes \x1b."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelt(character) if unicodedata.category(character) in _HIDDEN else character for character in text)


def _spelt(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_value(value: Any) -> str:
    """A value of a manifest on one line: text as it is, everything else nearly as in TOML."""
    match value:
        case str():
            return visible(value) if value else '""'
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.12g}"
        case Mapping():
            return "{" + ", ".join(f"{visible(str(key))}: {visible_value(one)}" for key, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(visible_value(one) for one in value) + "]"
    return visible(str(value))
