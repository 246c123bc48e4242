"""From TOML and command-line overrides to a `Configuration`, or to an error that says which key, what it got and what it wants."""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.configuration import Configuration, Section, is_path, is_url
from pipeline.configured_files import ENGLISH
from pipeline.errors import ConfigurationError


def load_configuration(path: Path | None, overrides: Sequence[str] = (), of_run: Mapping[str, Any] | None = None) -> Configuration:
    """The configuration in a TOML file with `section.key=value` overrides; defaults where neither says anything.

    Relative paths in the file are relative to the file, those in overrides to the working directory. `of_run` is the configuration in
    a run's record: it stands in for the file when there is none, and how the model's text was tokenized stays as it was.

    Raises
    ------
    ConfigurationError
        For a file that is missing or not TOML, an unknown key, a value of the wrong type or out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        values = _read_toml(path)
        _anchor_paths(values, path.resolve().parent)
    if of_run is not None:
        values = dict(values or of_run) | {"tokenize": of_run["tokenize"]}
    changes: dict[str, Any] = {}
    for override in overrides:
        _apply_override(changes, override)
    _anchor_paths(changes, Path.cwd())
    for section, content in changes.items():
        if isinstance(content, dict) and isinstance(values.get(section), dict):
            values[section] = {**values[section], **content}
        else:
            values[section] = content
    return parse_configuration(values, where=str(path) if path else "--set")


def parse_configuration(values: Mapping[str, Any], where: str = "configuration") -> Configuration:
    """The configuration of already parsed values.

    Raises
    ------
    ConfigurationError
        For the first thing that is wrong, with the path of its key.
    """
    try:
        return Configuration.model_validate(values)
    except ValidationError as error:
        raise _explain(error.errors()[0], where) from error


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = [str(path.parent / name) for name in difflib.get_close_matches(path.name, _toml_files(path.parent), n=1)]
        raise ConfigurationError(
            "The configuration file does not exist.",
            where=str(path),
            expected="a TOML file",
            remedy=f"Did you mean {near[0]}?" if near else "Give the path of a TOML file; data/configs/demo.toml is an example.",
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            "The configuration file cannot be read.",
            where=str(path),
            got=str(error),
            expected="TOML, UTF-8",
            remedy="Mend the place that is named; data/configs/demo.toml is an example.",
        ) from error


def _toml_files(directory: Path) -> list[str]:
    return [entry.name for entry in directory.glob("*.toml")] if directory.is_dir() else []


def _apply_override(values: dict[str, Any], override: str) -> None:
    """Set one `section.key=value`; the value is TOML, or a bare string where it is not."""
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not name or len(sections) > 1:
        raise ConfigurationError(
            "An override cannot be read.",
            where=f"--set {override}",
            expected="section.key=value",
            remedy="For example --set train.dimensions=200",
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    target = values.setdefault(sections[0], {}) if sections else values
    target[name] = value


def _anchor_paths(values: dict[str, Any], base: Path) -> None:
    """Make the paths among the values absolute, in place."""

    def anchor(path: object) -> object:
        return str(base / path) if isinstance(path, str) and not is_url(path) else path

    def section(name: str) -> dict[str, Any]:
        found = values.get(name)
        return found if isinstance(found, dict) else {}

    sections = ("corpus", "tokenize", "phrases", "train", "evaluate", "store", "lineage")
    corpus, tokenize, phrases, train, evaluate, store, lineage = map(section, sections)
    if isinstance(corpus.get("paths"), str):
        corpus["paths"] = [corpus["paths"]]
    if isinstance(corpus.get("paths"), list):
        corpus["paths"] = [anchor(path) for path in corpus["paths"]]
    if isinstance(phrases.get("frozen"), str):
        phrases["frozen"] = [phrases["frozen"]]
    if isinstance(phrases.get("frozen"), list):
        phrases["frozen"] = [anchor(path) for path in phrases["frozen"]]
    for key in ("analogies", "similarity"):
        if isinstance(evaluate.get(key), list):
            evaluate[key] = [anchor(name) if is_path(name) else name for name in evaluate[key]]
    files = ((tokenize, "tokenizer_file"), (tokenize, "stop_words"), (phrases, "connector_words"), (train, "initial"))
    for of_section, key in (*files, (lineage, "openlineage")):
        if of_section.get(key) and of_section[key] != ENGLISH:
            of_section[key] = anchor(of_section[key])
    if "path" in store:
        store["path"] = anchor(store["path"])


def _explain(details: ErrorDetails, where: str) -> ConfigurationError:
    """Our error for pydantic's: the key's path, what it got, what it wants, and a near name for a misspelt one."""
    path = [str(part) for part in details["loc"]]
    key = ".".join(path)
    if details["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5) or _same_key_elsewhere(path[-1])
        return ConfigurationError(
            f"There is no configuration key {key!r}.",
            where=f"{where}, key {key}",
            expected="one of " + ", ".join(known),
            remedy=f"Did you mean {near[0]!r}?" if near else "",
        )
    meaning = _field_description(path)
    return ConfigurationError(
        "A configuration value cannot be used.",
        where=f"{where}, key {key}" if key else where,
        got=repr(details["input"])[:100] if not isinstance(details["input"], dict | BaseModel) else "",
        expected=details["msg"].removeprefix("Value error, ").removeprefix("Input should be "),
        remedy=f"{key}: {meaning}" if meaning else "",
    )


def _section_type(path: Sequence[str]) -> type[Section]:
    model: type[Section] = Configuration
    for part in path:
        field = model.model_fields.get(part)
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), model)
    return model


def _known_keys(path: Sequence[str]) -> list[str]:
    return list(_section_type(path).model_fields)


def _same_key_elsewhere(name: str) -> list[str]:
    keys = {key: f"{section}.{key}" for section in Configuration.model_fields for key in _section_type([section]).model_fields}
    return [keys[near] for near in difflib.get_close_matches(name, keys, n=1, cutoff=0.8)]


def _field_description(path: Sequence[str]) -> str:
    names = [part for part in path if not part.isdigit()]
    return _section_type(names[:-1]).meanings().get(names[-1], "") if names else ""
