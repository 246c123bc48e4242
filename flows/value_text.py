"""Values of manifests as text on one line."""

from collections.abc import Mapping
from typing import Any

from flows.terminal import visible


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
