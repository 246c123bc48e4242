"""Whether OpenLineage events are wanted, and the official client that sends them, which is imported only then: it takes half a second.

The configuration comes first (`lineage.openlineage`). Else the environment decides, with the variables that every user of the client knows:
OPENLINEAGE_URL, OPENLINEAGE_CONFIG and OPENLINEAGE__TRANSPORT__... A file `openlineage.yml` that happens to lie in the working directory
turns nothing on.
"""

import contextlib
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from pipeline.configuration import Configuration
from pipeline.credentials import redacted
from pipeline.errors import ConfigurationError
from pipeline.events import RunWarned, emit, listening

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient

    from pipeline.run import Run

SECONDS_TO_ANSWER = 3.0
RETRIES = {"total": 2, "connect": 2, "read": 0, "backoff_factor": 0.2}
_INSTALL = "Install it: pip install 'corpus2vec[openlineage]'."


def require_client(configuration: Configuration) -> None:
    """Stop before work starts when events are configured that cannot be sent.

    Raises
    ------
    ConfigurationError
        When the client is not installed.
    """
    if configuration.lineage.openlineage and not _is_installed():
        raise ConfigurationError(
            "OpenLineage events are configured, but their client is not installed.",
            where="key lineage.openlineage",
            got=configuration.lineage.openlineage,
            expected="the package openlineage-python",
            remedy=f"{_INSTALL} Or leave the key empty.",
        )


@contextlib.contextmanager
def telling(run: "Run", started_by: str) -> Iterator[None]:
    """In the body what the run does is told to the configured backend, if there is one; whatever that does, the run goes on.

    Raises
    ------
    ConfigurationError
        As `require_client` does.
    """
    require_client(run.configuration)
    client = _client(run.configuration.lineage.openlineage)
    if client is None:
        yield
        return
    from flows.openlineage.reporting import Report

    with Report(client, run, started_by) as report, listening(report):
        yield


def _client(address: str) -> "OpenLineageClient | None":
    """The client for an address, else the one that the environment asks for, if it does. What it asks for wrongly is a warning."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true" or not (address or _is_asked_for()):
        return None
    try:
        if not _is_installed():
            raise ImportError(f"openlineage-python is not installed. {_INSTALL}")
        from openlineage.client import OpenLineageClient

        return OpenLineageClient(transport=_transport(address)) if address else OpenLineageClient()
    except Exception as error:  # whatever the client finds wrong in variables and files of its own
        emit(RunWarned(f"OpenLineage is told nothing of this run: {redacted(str(error))}"))
        return None


def _transport(address: str) -> Any:
    """To a file, one line an event, or to a server."""
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    parts = urlsplit(address)
    if parts.scheme not in ("http", "https"):
        path = Path(url2pathname(parts.path) if parts.scheme == "file" else address)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileTransport(FileConfig(log_file_path=str(path), append=True))
    settings: dict[str, Any] = {
        "url": urlunsplit((parts.scheme, parts.netloc, "", "", "")),
        "timeout": SECONDS_TO_ANSWER,
        "retry": RETRIES,
    }
    if parts.path.strip("/"):
        settings["endpoint"] = parts.path
    if key := os.environ.get("OPENLINEAGE_API_KEY"):
        settings["auth"] = {"type": "api_key", "apiKey": key}
    return HttpTransport(HttpConfig.from_dict(settings))


def _is_asked_for() -> bool:
    names = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    return any(os.environ.get(name) for name in names) or any(name.startswith("OPENLINEAGE__TRANSPORT__") for name in os.environ)


def _is_installed() -> bool:
    return find_spec("openlineage") is not None
