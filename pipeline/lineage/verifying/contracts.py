"""Which tables each stage writes: the schema of every file of an artifact, by its name."""

import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.storage.artifact import Manifest
from pipeline.storage.schemas import (
    COOCCURRENCES,
    LEXICON,
    PAIRS,
    PHRASES,
    PHRASES_FILE,
    QUARANTINE,
    QUARANTINE_FILE,
    ROUNDS,
    ROUNDS_FILE,
    SECTIONS,
    SECTIONS_FILE,
    SENTENCES,
    SHARDS,
    SIMILARITY,
    SIMILARITY_FILE,
    VECTORS_FILE,
    VOCABULARY,
    VOCABULARY_FILE,
    vectors_schema,
)


def _vectors(manifest: Manifest) -> pa.Schema:
    return vectors_schema(int(manifest.parameters["dimensions"]))


# Stage -> pattern of a file's name -> schema, or what makes it from the manifest.
TABLES: Mapping[str, Mapping[str, Any]] = {
    "snapshot": {r"shards\.parquet": SHARDS},
    "tokenize": {r"lexicon\.parquet": LEXICON, r"sentences\.parquet": SENTENCES, re.escape(QUARANTINE_FILE): QUARANTINE},
    "phrases": {re.escape(PHRASES_FILE): PHRASES, r"\d{5,}/lexicon\.parquet": LEXICON, r"\d{5,}/sentences\.parquet": SENTENCES},
    "vocabulary": {re.escape(VOCABULARY_FILE): VOCABULARY},
    "pairs": {r"epoch-\d{3,}/part-\d{5,}\.parquet": PAIRS},
    "cooccurrence": {r"cells-\d\d-\d\d\.parquet": COOCCURRENCES},
    "train": {re.escape(VECTORS_FILE): _vectors, re.escape(ROUNDS_FILE): ROUNDS},
    "glove": {re.escape(VECTORS_FILE): _vectors, re.escape(ROUNDS_FILE): ROUNDS},
    "ppmi_svd": {re.escape(VECTORS_FILE): _vectors},
    "evaluate": {re.escape(SECTIONS_FILE): SECTIONS, re.escape(SIMILARITY_FILE): SIMILARITY},
}


def schema_of(manifest: Manifest, name: str) -> pa.Schema | None:
    """The schema that a file of an artifact must have; None when its stage writes no such file.

    Raises
    ------
    KeyError
        When the stage is not known here: it may be that of a newer version.
    """
    found = next((schema for pattern, schema in TABLES[manifest.stage].items() if re.fullmatch(pattern, name)), None)
    return found(manifest) if callable(found) else found
