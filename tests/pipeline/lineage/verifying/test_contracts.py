from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from pipeline.lineage.verifying.contracts import TABLES, schema_of
from pipeline.lineage.verifying.verification import verify_all
from pipeline.storage.artifact import Manifest
from pipeline.storage.store import Store
from tests.pipeline.lineage.stores import finished_run
from tests.pipeline.small_runs import configured, walk


def test_contracts__cover_every_file_of_a_run_of_each_model_and_nothing_else(tmp_path: Path) -> None:
    store, first = finished_run(tmp_path, phrases__thresholds=[1.0], phrases__min_count=2)
    (tmp_path / "broken.txt").write_bytes(b"the king and the queen of a land\n" * 200 + b"caf\xe9\n")
    paths = (*map(Path, first.configuration.corpus.paths), tmp_path / "broken.txt")
    for model in ("glove", "ppmi_svd"):
        walk(configured(*paths, train__model=model), store.root)
    used: dict[str, set[pa.Schema]] = {stage: set() for stage in TABLES}
    for manifest in manifests_of(store):
        for file in manifest.files:
            schema = schema_of(manifest, file.name)
            assert schema is not None, f"{manifest.stage}: {file.name}"
            used[manifest.stage].add(schema)
    assert {stage: len(schemas) for stage, schemas in used.items()} == {stage: len(tables) for stage, tables in TABLES.items()}
    assert verify_all(store).findings == ()


def manifests_of(store: Store) -> Iterator[Manifest]:
    return (artifact.manifest for stage in store.stages() for artifact in store.artifacts(stage))
