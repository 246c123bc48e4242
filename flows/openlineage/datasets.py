"""Artifacts and files as OpenLineage datasets: what is called how, its version, its columns and its size.

An artifact is `<stage>/<key>` in the namespace of its store, a file is named as OpenLineage's naming specification says, so that what
another program writes and this one reads is one dataset. The version of either is its digest.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    dataset_type_dataset,
    dataset_version_dataset,
    output_statistics_output_dataset,
    schema_dataset,
)

from pipeline.credentials import redacted
from pipeline.lineage.verifying.contracts import schema_of
from pipeline.sources.shard import SourceShard
from pipeline.storage.artifact import Artifact, Link, Manifest
from pipeline.storage.store import KEY_LETTERS

Field = schema_dataset.SchemaDatasetFacetFields
_WITH_ROOT = ("hdfs", "viewfs")  # whose paths keep their first slash
_NUMBER = re.compile(r"\d+")


class Datasets:
    """The datasets of one run.

    Parameters
    ----------
    store
        The directory of the store.
    producer
        Whose facets they are.
    """

    def __init__(self, store: Path, producer: str) -> None:
        self.namespace, self._producer = store.absolute().as_uri(), producer

    def inputs(self, links: Iterable[Link], sources: Iterable[SourceShard] = ()) -> list[InputDataset]:
        """What was read, each once: artifacts, files beside the corpus, and files of the corpus where this run has found them."""
        versions = {named(source.location): source.file_sha256 for source in sources}
        for link in links:
            if not link.is_outside:
                versions[self.namespace, _of_artifact(link)] = link.digest
            elif not link.stage.startswith("source"):
                versions[named(str(link.origin["location"]))] = link.digest
        return [InputDataset(*name, facets={"version": self._version(version)}) for name, version in versions.items()]

    def outputs(self, artifacts: Iterable[Artifact]) -> list[OutputDataset]:
        """What was made, or is there already, each once."""
        return [self._output(artifact) for artifact in {artifact.manifest.key: artifact for artifact in artifacts}.values()]

    def _output(self, artifact: Artifact) -> OutputDataset:
        manifest = artifact.manifest
        facets: dict[str, DatasetFacet] = {
            "version": self._version(manifest.digest),
            "datasetType": dataset_type_dataset.DatasetTypeDatasetFacet("TABLE", subType=manifest.stage.upper(), producer=self._producer),
            "schema": schema_dataset.SchemaDatasetFacet(_columns(manifest), producer=self._producer),
        }
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
            rowCount=sum(file.n_rows for file in manifest.files),
            size=manifest.size_bytes,
            fileCount=len(manifest.files),
            producer=self._producer,
        )
        return OutputDataset(self.namespace, _of_artifact(artifact.link), facets=facets, outputFacets={"outputStatistics": statistics})

    def _version(self, digest: str) -> DatasetFacet:
        return dataset_version_dataset.DatasetVersionDatasetFacet(digest, producer=self._producer)


def _columns(manifest: Manifest) -> list[Field]:
    """The columns of its table; of several tables each with its columns. Numbered files (part-0, part-1) are one table."""
    tables = {_NUMBER.sub("*", file.name): schema_of(manifest, file.name) for file in manifest.files}
    columns = {pattern: [_field(column) for column in schema] for pattern, schema in sorted(tables.items()) if schema is not None}
    if len(columns) == 1:
        return next(iter(columns.values()))
    return [Field(name=pattern, type="table", fields=fields) for pattern, fields in columns.items()]


def _field(column: pa.Field) -> Field:
    return Field(name=column.name, type=str(column.type), description=column.metadata[b"meaning"].decode())


def named(location: str) -> tuple[str, str]:
    """Namespace and name of a file by its path or URL, without credentials."""
    if "://" not in location:
        return "file", location
    parts = urlsplit(redacted(location))
    path = parts.path if parts.scheme in _WITH_ROOT else parts.path.lstrip("/")
    return ("file", parts.path) if parts.scheme == "file" else (f"{parts.scheme}://{parts.netloc}", path)


def _of_artifact(link: Link) -> str:
    return f"{link.stage}/{link.key[:KEY_LETTERS]}"
