"""OpenLineage's specification as JSON Schema, taken from the classes that its own generator made of it for the official client.

The specification itself is in no package. The classes have its names, which of them are required, and their types; here every other name
is an error as well, and so is a facet under another key than the specification's, or with the address of another schema.
"""

import functools
import pkgutil
import types
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from importlib import import_module
from typing import Any

import attr
import jsonschema
from openlineage.client import generated
from openlineage.client.generated import base

KEYS = {
    "DatasetTypeDatasetFacet": "datasetType",
    "DatasetVersionDatasetFacet": "version",
    "DocumentationJobFacet": "documentation",
    "ErrorMessageRunFacet": "errorMessage",
    "ExecutionParametersRunFacet": "executionParameters",
    "JobTypeJobFacet": "jobType",
    "OutputStatisticsOutputDatasetFacet": "outputStatistics",
    "ParentRunFacet": "parent",
    "ProcessingEngineRunFacet": "processing_engine",
    "SchemaDatasetFacet": "schema",
    "SourceCodeLocationJobFacet": "sourceCodeLocation",
    "TagsRunFacet": "tags",
}
FORMATS = {"runId": "uuid", "eventTime": "date-time"} | dict.fromkeys(("producer", "schemaURL", "_producer", "_schemaURL", "url"), "uri")
STRICT = jsonschema.FormatChecker()


@STRICT.checks("uri")
def is_uri(value: object) -> bool:
    """With a scheme, and nothing in it that must be escaped."""
    scheme, colon, rest = str(value).partition(":")
    return bool(colon and rest) and scheme.isalnum() and not set(' <>"{}|\\^`') & set(rest)


@STRICT.checks("date-time", raises=ValueError)
def is_time(value: object) -> bool:
    """Of a day, with its offset from UTC."""
    return datetime.fromisoformat(str(value)).utcoffset() is not None


def facet_classes() -> dict[str, type]:
    """The classes of all facets by the addresses of their schemas."""
    modules = [import_module(f"{generated.__name__}.{found.name}") for found in pkgutil.iter_modules(generated.__path__)]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type) and attr.has(value)}
    return {kind._get_schema(): kind for kind in classes if issubclass(kind, base.BaseFacet)}


FACETS = facet_classes()


def validate(event: dict[str, Any]) -> None:
    """Raise unless this is a RunEvent, and all of its facets are what their schemas say."""
    validator_of(base.RunEvent).validate(event)
    assert event["schemaURL"] == base.RunEvent._get_schema()
    for key, facet in facets_in(event):
        kind = FACETS[facet["_schemaURL"]]
        if key != KEYS[kind.__name__]:
            raise ValueError(f"{key} is not the key of {kind.__name__}")
        validator_of(kind).validate(facet)


def facets_in(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every facet in an event, with its key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in ("facets", "inputFacets", "outputFacets"):
                yield from inner.items()
            else:
                yield from facets_in(inner)
    if isinstance(value, list):
        for inner in value:
            yield from facets_in(inner)


@functools.cache
def validator_of(kind: type) -> jsonschema.Draft202012Validator:
    """Holds a value against the schema of a class, with everything in it."""
    definitions: dict[str, Any] = {}
    schema = {"$ref": f"#/$defs/{_define(kind, definitions)}", "$defs": definitions}
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=STRICT)


def _define(kind: type, definitions: dict[str, Any]) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name not in definitions:
        definitions[name] = {}  # one that has fields of its own kind ends here
        hints = typing.get_type_hints(kind)
        fields = {field.name: field for field in attr.fields(kind)}
        definitions[name] = {
            "type": "object",
            "properties": {key: _of_type(hints[key], definitions) | _format(key) for key in fields},
            "required": [key for key, field in fields.items() if field.default is attr.NOTHING or key in FORMATS],
            "additionalProperties": False,
        }
    return name


def _format(key: str) -> dict[str, str]:
    return {"format": FORMATS[key]} if key in FORMATS else {}


def _of_type(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):  # or None, which the client leaves out
        (hint,) = [one for one in typing.get_args(hint) if one is not type(None)]
    match typing.get_origin(hint), hint:
        case None, _ if hint in (str, int, bool, float):
            return {"type": {str: "string", int: "integer", bool: "boolean", float: "number"}[hint]}
        case None, _ if issubclass(hint, Enum):
            return {"enum": [one.value for one in hint]}
        case None, _ if issubclass(hint, base.BaseFacet):
            return {"type": "object", "required": ["_producer", "_schemaURL"]}  # the facet itself is looked at by its own schema
        case None, _:
            return {"$ref": f"#/$defs/{_define(hint, definitions)}"}
        case origin, _ if origin is list:
            return {"type": "array", "items": _of_type(typing.get_args(hint)[0], definitions)}
        case origin, _ if origin is dict:
            return {"type": "object", "additionalProperties": _of_type(typing.get_args(hint)[1], definitions)}
    raise TypeError(f"no schema for {hint}")
