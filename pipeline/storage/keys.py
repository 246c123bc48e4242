"""Digests and keys: what makes two artifacts the same. Nothing here knows what is hashed, or where it is kept."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import cast

READ_BYTES = 1 << 20
_quoted = json.JSONEncoder().encode


@dataclass(frozen=True)
class Canonical:
    """A value that many others contain, as its canonical text."""

    text: str


def canonical(value: object) -> str:
    """One text for one value: keys sorted, every scalar tagged with its type, floats exact in hexadecimal.

    `1`, `1.0`, `True` and `"1"` are four different values, as they are in Python and TOML.

    Raises
    ------
    TypeError
        For anything but None, bool, int, float, str, enums of these, sequences and mappings with string keys.
    """
    kind = type(value)  # nearly all are of these kinds, and the patterns below take time
    if kind is str:
        return "s" + _quoted(value)
    if kind in (list, tuple):
        return "[" + ",".join(map(canonical, cast("list[object]", value))) + "]"
    match value:
        case Canonical():
            return value.text
        case Enum():
            return canonical(value.value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f"i{value}"
        case float():
            return f"f{value.hex()}"
        case str():
            return "s" + _quoted(value)
        case Mapping():
            return "{" + ",".join(f"{_quoted(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
        case Sequence():
            return "[" + ",".join(canonical(item) for item in value) + "]"
    raise TypeError(f"no canonical form for {type(value).__name__}")


def digest_of(value: object) -> str:
    """SHA-256 of the canonical text of a value, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return digest_of_range(path, 0, path.stat().st_size)


def digest_of_range(path: Path, start: int, stop: int, on_read: Callable[[int], None] | None = None) -> str:
    """SHA-256 of a file's bytes start..stop-1 (as far as they are there), in hexadecimal.

    `on_read` is called with the number of bytes of each piece that has been read; what it raises ends the reading.
    """
    digest, left = hashlib.sha256(), stop - start
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (block := file.read(min(left, READ_BYTES))):
            digest.update(block)
            left -= len(block)
            if on_read:
                on_read(len(block))
    return digest.hexdigest()
