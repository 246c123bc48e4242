"""Addresses that get into records, events and messages: what of a URL is secret, and where events of lineage can go."""

import re
from pathlib import PurePath
from urllib.parse import urlsplit

_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://([^/?#\s@'\"]*)@")
_WITH_NAME = ("abfs", "abfss", "wasb", "wasbs", "ssh", "git+ssh", "hdfs")  # what stands before their @ is a container, or no secret alone
_OPTION = re.compile(r"(?i)([?&;][^=&;\s]*(?:key|secret|token|password|credential|sig)[^=&;\s]*=)[^&;\s'\"]+")
_WEB = ("http", "https")


def redacted(text: str) -> str:
    """The text without users and passwords in its URLs (user:password@, token@), and without the values of options such as `token=`."""
    return _OPTION.sub(r"\1***", _USER.sub(_without_user, text))


def _without_user(found: re.Match[str]) -> str:
    scheme, user = found.groups()
    return found[0] if scheme.lower() in _WITH_NAME and ":" not in user else f"{scheme}://"


def events_address(address: str) -> str:
    """The address, if events can go there: nowhere (empty), to a file (a path, or file:///...), or to a server (http:// or https://).

    Raises
    ------
    ValueError
        When it is another kind of address, or holds a secret.
    """
    if "://" not in address:
        if address and (not PurePath(address).name or "\0" in address):
            raise ValueError("a file, not a directory")
        return address
    parts = urlsplit(address)
    if "@" in parts.netloc or redacted(address) != address:
        raise ValueError("an address without credentials: it gets into records of runs; a key belongs into OPENLINEAGE_API_KEY")
    to_file = parts.scheme == "file" and not parts.netloc and PurePath(parts.path).name
    to_server = parts.scheme in _WEB and parts.hostname and not parts.query and not parts.fragment
    if not to_file and not to_server:
        raise ValueError("a file (events.jsonl or file:///directory/events.jsonl), or a server (https://host, or https://host/path)")
    return address
