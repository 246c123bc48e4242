import json
from dataclasses import replace

import pytest

from pipeline.errors import StoreError
from pipeline.storage.artifact import AccountingError, FileRecord, Link, Manifest, Tally

MANIFEST = Manifest(
    stage="tokenize",
    stage_version=1,
    key="ab" * 32,
    parameters={"lowercase": True, "thresholds": [1.5]},
    settings={"lowercase": True},
    inputs={"source": (Link("source", "cd" * 32, "ef" * 32, {"location": "a.txt"}),)},
    files=(FileRecord("a.parquet", 3, 100, "01" * 32), FileRecord("b/c.parquet", 4, 200, "23" * 32)),
    tallies=(Tally("tokens", 10, 7, {"rare": 2, "alone": 1}),),
    measures={"tokens": 10},
    environment={"python": "3"},
    created="2026-01-01T00:00:00+00:00",
    elapsed_s=1.5,
)


def test_tally__that_loses_something_cannot_exist() -> None:
    with pytest.raises(AccountingError, match=r"\+1 tokens unaccounted for"):
        Tally("tokens", 10, 7, {"rare": 2})
    with pytest.raises(AccountingError, match="-1 tokens"):
        Tally("tokens", 10, 7, {"rare": 4})


def test_manifest__survives_the_trip_to_the_file(tmp_path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(MANIFEST.to_json())
    assert Manifest.read(path) == MANIFEST


def test_manifest__digest_covers_the_files_and_nothing_else() -> None:
    assert replace(MANIFEST, created="later", elapsed_s=9.0, environment={}, tallies=()).digest == MANIFEST.digest
    assert replace(MANIFEST, files=MANIFEST.files[::-1]).digest == MANIFEST.digest
    assert replace(MANIFEST, files=MANIFEST.files[:1]).digest != MANIFEST.digest
    other = replace(MANIFEST.files[0], sha256="99" * 32)
    assert replace(MANIFEST, files=(other, MANIFEST.files[1])).digest != MANIFEST.digest


@pytest.mark.parametrize(
    "damage",
    [
        lambda fields: fields["files"][0].update(sha256="00" * 32),
        lambda fields: fields["files"].pop(),
        lambda fields: fields.pop("key"),
        lambda fields: fields.update(format=99),
        lambda fields: fields["tallies"][0].update(n_kept=8),
    ],
    ids=["file digest", "file gone", "no key", "other format", "tally"],
)
def test_manifest__that_was_edited_is_refused(damage, tmp_path) -> None:
    fields = json.loads(MANIFEST.to_json())
    damage(fields)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(fields))
    with pytest.raises(StoreError, match="cannot be used") as caught:
        Manifest.read(path)
    assert str(path) in str(caught.value)


def test_manifest__that_is_no_json_is_refused(tmp_path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(b"\xff\x00{")
    with pytest.raises(StoreError):
        Manifest.read(path)
