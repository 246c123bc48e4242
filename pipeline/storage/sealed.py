"""Small JSON records with a seal: a checksum that shows when somebody has edited one, or has put it where another was.

A seal is no signature. It shows accidents and careless hands; whoever wants to deceive can seal again.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SEAL = "checksum"


def checksum_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of the text that JSON makes of it: what is read from a file has the one that was written."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sealed(content: Mapping[str, Any], place: str) -> str:
    """The text of a record that is kept at a place, a path below the store's root."""
    seal = checksum_of({"place": place, "content": content})
    return json.dumps({**content, SEAL: seal}, indent=1, ensure_ascii=False) + "\n"


def unsealed(text: str, place: str) -> dict[str, Any]:
    """The content of a record that was found at a place.

    Raises
    ------
    ValueError
        When it is no record, was edited, or belongs elsewhere.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("no object")
    if SEAL not in content:
        raise ValueError("it has no checksum: it was edited, or is of an earlier version of corpus2vec")
    if content.pop(SEAL) != checksum_of({"place": place, "content": content}):
        raise ValueError("it was changed after it was written, or belongs elsewhere: its checksum is another")
    return content


def is_as_written(content: bytes) -> bool:
    """Whether a file of JSON is as we write it, to the last byte: a checksum does not cover how its content is spelt."""
    try:
        return (json.dumps(json.loads(content), indent=1, ensure_ascii=False) + "\n").encode() == content
    except (ValueError, RecursionError):
        return False
