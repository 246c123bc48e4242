"""Who may read something is a matter of the environment: a URL that says it is refused before it gets into any record.

Configurations are in the records of runs, and places of files in manifests, which are copied and shown.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pipeline.errors import ConfigurationError

_WITH_CONTAINER = ("abfs", "abfss")  # abfss://container@account/path
_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s@'\"]*)@")
_SECRET = ("key", "secret", "token", "pass", "pwd", "auth", "credential", "sig")  # in names of options


_OPTION = re.compile(rf"(?i)([?&#][^=&\s]*(?:{'|'.join(_SECRET)})[^=&\s]*=)[^&\s'\"]+")


def redacted(text: str) -> str:
    """The text without what its URLs hold of credentials: for messages of other people's programs, which nobody could refuse before."""
    return _OPTION.sub(r"\1***", _USER.sub(_without_user, text))


def _without_user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    return found[0] if scheme.lower() in _WITH_CONTAINER and ":" not in user else f"{scheme}://"


def refuse_credentials(url: str, where: str) -> None:
    """Stop when a URL says who may read it. What is no URL holds none.

    Raises
    ------
    ConfigurationError
        Without what is secret.
    """
    for part in url.split("::"):  # fsspec's chains: zip://a.txt::s3://bucket/b.zip
        scheme, separator, rest = part.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        user, at, host = authority.rpartition("@")
        path, *options = re.split(r"[?#]", rest[len(authority) :])
        secrets = [name for option in options for name, _ in parse_qsl(option) if any(word in name.lower() for word in _SECRET)]
        if separator and (secrets or (at and (":" in user or scheme.lower() not in _WITH_CONTAINER))):
            raise ConfigurationError(
                "A URL holds credentials.",
                where=where,
                got=f"{scheme}://{host}{path} with " + (", ".join(secrets) or "a user"),
                expected="where something is, not who may read it: URLs get into records of runs",
                remedy="Put them into the environment (for S3 AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY).",
            )


def texts_of(values: object, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in nested values, after the path of its key."""
    match values:
        case str():
            yield key, values
        case Mapping():
            for name, value in values.items():
                yield from texts_of(value, f"{key}.{name}" if key else str(name))
        case Sequence():
            for value in values:
                yield from texts_of(value, key)


def refuse_any_credentials(values: Mapping[str, Any]) -> None:
    """Stop when a URL anywhere in a configuration says who may read it.

    Raises
    ------
    ConfigurationError
        With the path of the key, without what is secret.
    """
    for key, text in texts_of(values):
        refuse_credentials(text, f"key {key}")
