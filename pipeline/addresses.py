"""Where events of lineage can go."""

from pathlib import PurePath
from urllib.parse import urlsplit

_WEB = ("http", "https")


def events_address(address: str) -> str:
    """The address, if events can go there: nowhere (empty), to a file (a path, or file:///...), or to a server (http:// or https://).

    Raises
    ------
    ValueError
        When it is another kind of address.
    """
    if "://" not in address:
        if address and (not PurePath(address).name or "\0" in address):
            raise ValueError("a file, not a directory")
        return address
    parts = urlsplit(address)
    to_file = parts.scheme == "file" and not parts.netloc and PurePath(parts.path).name
    to_server = parts.scheme in _WEB and parts.hostname and not parts.query and not parts.fragment
    if not to_file and not to_server:
        raise ValueError("a file (events.jsonl or file:///directory/events.jsonl), or a server (https://host, or https://host/path)")
    return address
