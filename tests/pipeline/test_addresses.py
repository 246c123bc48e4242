"""What of an address is secret, and where events can go."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.addresses import events_address, redacted
from pipeline.configuration_file import parse_configuration
from pipeline.errors import ConfigurationError

SECRET = st.text("abcXYZ0123456789-_.~%+!$*", min_size=1).map(lambda text: f"s{text}s")


@given(
    user=st.text("abc", min_size=0, max_size=3),
    secret=SECRET,
    before=st.text(max_size=5),
    option=st.sampled_from(["token", "AccessKey", "sig"]),
)
def test_redacted__leaves_no_secret_and_all_else(user: str, secret: str, before: str, option: str) -> None:
    text = f"{before} (s3://{user}{secret}@bucket/dir?region=eu&{option}={secret}&x=1), 'https://h/p'"
    assert redacted(text) == f"{before} (s3://bucket/dir?region=eu&{option}=***&x=1), 'https://h/p'"


@pytest.mark.parametrize("text", ["abfss://container@account/a", "ssh://git@host/a.git", "git@host:a.git", "s3://b/a@1:2", "me@host.org"])
def test_redacted__leaves_what_is_no_secret(text: str) -> None:
    assert redacted(text) == text


@given(st.text("abc:/@?&=. ", max_size=30))
def test_redacted__changes_nothing_a_second_time(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


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


@pytest.mark.parametrize("address", ["https://me:s3cret@host/", "https://s3cret@host", "https://host/a?api_key=s3cret"])
def test_configuration__refuses_credentials_in_the_address_and_does_not_repeat_them(address: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_configuration({"lineage": {"openlineage": address}})
    assert "key lineage.openlineage" in str(caught.value)
    assert "OPENLINEAGE_API_KEY" in str(caught.value)
    assert "s3cret" not in str(caught.value)
