import json
from dataclasses import replace

import pytest

from pipeline.errors import StoreError
from pipeline.storage.artifact import AccountingError, FileRecord, Link, Manifest, Tally
from pipeline.storage.keys import digest_of
from pipeline.storage.sealed import checksum_of

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
HOSTILE_NAMES = ("../a", "/etc/passwd", "a/../../b", "a//b", "a\\b", "./a", ".a", "a\x1b[31m", "a\n", "", "a/", "manifest.json", 3)


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


@pytest.mark.parametrize(
    "hostile",
    [
        {"stage": "../train"},
        {"stage": "/etc"},
        {"stage": "train\n"},
        {"stage": 3},
        {"key": "../../" + "ab" * 30},
        {"key": None},
        {"stage_version": "1"},
        {"parameters": []},
        {"inputs": []},
        {"inputs": {"source": [{"stage": "a", "key": "b", "digest": 3}]}},
        {"inputs": {"source": [{"stage": "a", "key": "b", "digest": "c", "origin": "d"}]}},
        {"tallies": [{"unit": "tokens", "n_in": 1, "n_kept": 2, "dropped": {"rare": -1}}]},
        {"measures": {"tokens": "many"}},
        {"environment": {"python": 3}},
        *({"files": [{"name": name, "n_rows": 1, "size_bytes": 1, "sha256": "ab" * 32}]} for name in HOSTILE_NAMES),
        {"files": [{"name": "a", "n_rows": -1, "size_bytes": 1, "sha256": "ab" * 32}]},
        {"files": [{"name": "a", "n_rows": 1, "size_bytes": True, "sha256": "ab" * 32}]},
        {"files": [{"name": "a", "n_rows": 1, "size_bytes": 1, "sha256": "../" * 20}]},
        {"files": [{"name": "a", "n_rows": 1, "size_bytes": 1, "sha256": "ab" * 32}] * 2},
    ],
    ids=str,
)
def test_manifest__of_somebody_who_knows_how_to_write_one_is_refused_when_it_is_impossible(hostile, tmp_path) -> None:
    """Its digest and checksum are right."""
    fields = json.loads(MANIFEST.to_json()) | hostile
    del fields["checksum"]
    fields["digest"] = digest_of(sorted([file["name"], file["sha256"]] for file in fields["files"]))
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**fields, "checksum": checksum_of(fields)}))
    with pytest.raises(StoreError, match="cannot be used"):
        Manifest.read(path)


def test_manifest__that_is_no_json_is_refused(tmp_path) -> None:
    path = tmp_path / "manifest.json"
    for content in (b"\xff\x00{", b"[" * 100_000, b"[]", b"{}"):
        path.write_bytes(content)
        with pytest.raises(StoreError):
            Manifest.read(path)
