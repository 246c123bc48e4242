"""Whether something is the record of a run: what it must have to be shown, and that its names are names. It may come from somebody else."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.storage.artifact import can_be_called
from pipeline.storage.registry import NAME
from pipeline.storage.sealed import SEAL, sealed, unsealed
from pipeline.storage.store import is_stage

_TEXT, _LIST, _OBJECT, _WHOLE, _NUMBER = (str,), (list,), (dict,), (int,), (int, float)
_OF_RUN = {
    "id": _TEXT,
    "name": _TEXT,
    "started": _TEXT,
    "started_by": _TEXT,
    "elapsed_s": _NUMBER,
    "configuration": _OBJECT,
    "sources": _LIST,
    "steps": _LIST,
    "scores": _OBJECT,
    "environment": _OBJECT,
}
_OF_STEP = {
    "step": _TEXT,
    "stage": _TEXT,
    "keys": _LIST,
    "digests": _LIST,
    "n_reused": _WHOLE,
    "reason": _TEXT,
    "elapsed_s": _NUMBER,
    "size_bytes": _WHOLE,
}
_OF_SOURCE = {"path": _TEXT, "format": _TEXT, "start": _WHOLE, "stop": _WHOLE, "sha256": _TEXT}
_SECTIONS = ("corpus", "tokenize", "evaluate")  # that something is taken from


def refuse_other_than_record(record: Mapping[str, Any]) -> None:
    """Stop when something that came from elsewhere is no record of a run, or none that can be kept here.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    refuse_another_form(record)
    if SEAL in record:  # ours gets that name
        raise ValueError(f"the record has a field {SEAL}")
    unsealed(sealed(record, "").encode().decode(), "")  # what cannot be written, or reads otherwise, would be a damaged record here


def refuse_another_form(record: Mapping[str, Any]) -> None:
    """Stop when something has not the form of a run's record.

    Raises
    ------
    ValueError
        With what is wrong.
    """
    _refuse_other_kinds(record, _OF_RUN, "the record")
    _refuse_other_kinds(record["configuration"], dict.fromkeys(_SECTIONS, _OBJECT), "its configuration")
    for source in record["sources"]:
        _refuse_other_kinds(source, _OF_SOURCE, "a source")
    _refuse_other_kinds(record["environment"], dict.fromkeys(record["environment"], _TEXT), "its environment")
    _refuse_other_kinds(record, {name: _TEXT for name in ("ended", "host", "user") if name in record}, "the record")
    if "found" in record:
        _refuse_other_kinds(record["found"], {"unit": _TEXT, "n_in": _WHOLE, "n_kept": _WHOLE, "dropped": _OBJECT}, "what was found")
    if not re.fullmatch(NAME, record["name"]):
        raise ValueError(f"no model is called {record['name'][:50]!r}")
    if not all(isinstance(score, int | float) for score in record["scores"].values()):
        raise ValueError("a score is no number")
    for step in record["steps"]:
        _refuse_other_kinds(step, _OF_STEP, "a step of the record")
        if not is_stage(step["stage"]):
            raise ValueError(f"no stage is called {step['stage'][:50]!r}")
        names = [*step["keys"], *step["digests"]]
        if not names or len(step["keys"]) != len(step["digests"]):
            raise ValueError("a step of the record has not one digest for each key")
        if not all(isinstance(name, str) and can_be_called(step["stage"], name) for name in names):
            raise ValueError("a key or a digest in the record is none")
    if not {"train", "evaluate"} <= {step["step"] for step in record["steps"]}:
        raise ValueError("the record has no step that trains, or none that evaluates")


def _refuse_other_kinds(value: Any, kinds: Mapping[str, tuple[type, ...]], what: str) -> None:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no object")
    for name, kind in kinds.items():
        if not isinstance(value.get(name), kind):
            raise ValueError(f"{what} has no {name}, or of another kind")
