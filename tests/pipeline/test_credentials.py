"""Nothing secret gets into manifests and records, wherever somebody has put it."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline import environment as environment_module
from pipeline.configuration import Configuration, Corpus
from pipeline.configuration_file import parse_configuration
from pipeline.credentials import redacted, refuse_credentials
from pipeline.environment import environment
from pipeline.errors import ConfigurationError

SECRET = "hidden"
WITH_CREDENTIALS = (
    f"s3://AKIA:{SECRET}@bucket/a.txt",
    f"https://{SECRET}@host/a.txt",
    f"HTTPS://user:{SECRET}@host",
    f"s3://bucket/a.txt?secret_key={SECRET}",
    f"https://host/a.txt?x=1&X-Amz-Signature={SECRET}",
    f"https://host/a.txt?api_token={SECRET}#x",
    f"https://host/a.txt#access_token={SECRET}",
    f"zip://a.txt::s3://AKIA:{SECRET}@bucket/a.zip",
    f"simplecache::https://user:{SECRET}@host/a.txt",
    f"abfs://container:{SECRET}@account/a.txt",
    f"http://user:{SECRET}@[::1/a.txt",
)
WITHOUT = ("s3://bucket/a.txt", "abfs://container@account/a", "https://host/a@b?page=2", "a:b@c", "zip://a::s3://b/c", "https://host:80/a")


def keys_of_texts(model: type[BaseModel] = Configuration, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """The path of every key whose value is free text, and whether it holds several."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys_of_texts(kind, (*path, name))
        elif kind in (str, tuple[str, ...]):
            yield (*path, name), kind is not str


@pytest.mark.parametrize(("path", "several"), list(keys_of_texts()), ids=str)
def test_configuration__refuses_credentials_in_any_key_without_repeating_them(path: tuple[str, ...], several: bool) -> None:
    for url in WITH_CREDENTIALS:
        values: object = [url] if several else url
        for name in reversed(path):
            values = {name: values}
        with pytest.raises(ConfigurationError, match="holds credentials") as caught:
            parse_configuration(values)
        assert SECRET not in str(caught.value)
        assert "AKIA" not in str(caught.value)
        assert f"key {'.'.join(path)}" in str(caught.value)


def test_configuration__has_keys_to_try() -> None:
    keys = {".".join(path) for path, _ in keys_of_texts()}
    assert {"corpus.paths", "evaluate.analogies", "train.initial", "phrases.frozen", "tokenize.tokenizer_file", "cluster.address"} <= keys


def test_configuration__made_of_sections_refuses_credentials_too() -> None:
    with pytest.raises(ConfigurationError, match="holds credentials"):
        Configuration(corpus=Corpus(paths=(WITH_CREDENTIALS[0],)))


@pytest.mark.parametrize("url", WITHOUT)
def test_refuse_credentials__lets_through_what_has_none(url: str) -> None:
    refuse_credentials(url, "a test")


@pytest.mark.parametrize("url", WITH_CREDENTIALS)
def test_redacted__leaves_nothing_secret(url: str) -> None:
    """Wherever in a message it stands."""
    for text in (url, f"cannot read {url}: denied", f"'{url}'"):
        assert SECRET not in redacted(text)
        assert "AKIA" not in redacted(text)
    assert redacted(f"{url} is not there.").endswith(" is not there.")


@pytest.mark.parametrize("url", WITHOUT)
def test_redacted__leaves_what_has_none(url: str) -> None:
    assert redacted(f"cannot read {url}: denied") == f"cannot read {url}: denied"


@given(st.text("abc:/@?&=. ", max_size=30))
def test_redacted__changes_nothing_a_second_time(text: str) -> None:
    assert redacted(redacted(text)) == redacted(text)


def test_environment__has_nothing_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "PREFECT_API_KEY", "GIT_AUTHOR_NAME", "HOSTNAME"):
        monkeypatch.setenv(name, SECRET)
    for part in vars(environment_module).values():  # what was found before is forgotten
        getattr(part, "cache_clear", bool)()
    assert SECRET not in repr(environment())
