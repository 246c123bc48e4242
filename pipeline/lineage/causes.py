"""Why a step would run, in words: where a difference began, and the way from there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.lineage.file_changes import FileChanges
from pipeline.storage.artifact import Manifest


@dataclass(frozen=True)
class Cause:
    """Where a difference began."""

    key: str  # of the configuration, or what else it is
    before: Any
    now: Any
    files: FileChanges | None  # when it is the corpus, or another file from outside
    compared: Manifest | None  # the manifest of the most similar artifact of that stage; none when there is none


def sentence(path: Sequence[str], stage: str, cause: Cause | None, now: datetime) -> str:
    """Why the first step of a path would run: the cause lies in its last step, which is of this stage."""
    name, *others = path
    text = _text(f"{path[-1]} by {stage}" if path[-1] == "train" and stage != "train" else path[-1], cause, now)
    if not others:
        return f"{name} would run: {text}."
    between = [f"{step} would" for step in others[:-1]]
    return f"{name} would run because " + ", because ".join([*between, text]) + "."


def named(manifest: Manifest, now: datetime) -> str:
    """An artifact as a person knows it again."""
    return f"{manifest.stage}/{manifest.key[:12]} (made {age(manifest.created, now)})"


def age(created: str, now: datetime) -> str:
    """How long ago something was, in words; by its date when that is in the future, or no time at all."""
    try:
        seconds = (now - datetime.fromisoformat(created)).total_seconds()
    except (ValueError, TypeError):
        return f"at {created!r}"
    if seconds < -60:
        return f"at {created[:16]}, which is later than now"
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            n = int(seconds // length)
            return f"{n:,} {unit}{'s' if n > 1 else ''} ago"
    return "just now"


def _text(what: str, cause: Cause | None, now: datetime) -> str:
    """A cause in words that need nothing before them."""
    if cause is None or (not cause.key and not cause.compared):
        return f"there is nothing like {what} in the store yet"
    compared = named(cause.compared, now) if cause.compared else ""
    since, where = (f" since {compared}", f" in {compared}") if compared else ("", "")
    if cause.files is not None:
        return f"{cause.key} {_has(cause.key)} changed{since}" + (f": {cause.files}" if cause.files else "")
    if cause.before is None and cause.key.startswith("the "):
        return f"{cause.key} {_has(cause.key)} changed{since}: {cause.now}"
    if _is_digest(cause.before) or _is_digest(cause.now):
        return f"{cause.key} has changed{since}"
    return f"{cause.key} is {_shown(cause.now)} now and was {_shown(cause.before)}{where}"


def _has(what: str) -> str:
    return "have" if what.endswith("s") and what != "the corpus" else "has"


def _shown(value: Any) -> str:
    return "not set" if value in (None, "") else str(value).lower() if isinstance(value, bool) else str(value)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and not value.strip("0123456789abcdef")
