"""Where events can go."""

import pytest

from pipeline.addresses import events_address


@pytest.mark.parametrize(
    "address", ["", "events.jsonl", "/a/b c.jsonl", "file:///a/b.jsonl", "http://localhost:5000", "https://host/api/v1"]
)
def test_events_address__takes_files_and_servers(address: str) -> None:
    assert events_address(address) == address


@pytest.mark.parametrize(
    "address",
    ["/", "file:///", "file://host/a", "https://", "ftp://host/a", "s3://b/a", "https://host/?x=1", "https://host/#x", "a\0b"],
)
def test_events_address__refuses_what_is_neither(address: str) -> None:
    with pytest.raises(ValueError, match="a file"):
        events_address(address)
