"""Real runs that are told to OpenLineage, and a real server that hears of them."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from flows.openlineage.backend import telling
from pipeline.configuration import Configuration
from pipeline.events import RunWarned, listening
from pipeline.run import Run
from pipeline.storage.store import Store
from pipeline.workers import InPlace
from tests.pipeline.lineage.stores import text
from tests.pipeline.small_runs import configured


@dataclass
class Heard:
    """What a server was sent."""

    url: str
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)  # path, and who sends
    n_answers: int = 0


@contextlib.contextmanager
def server(status: int = 201, wait: threading.Event | None = None) -> Iterator[Heard]:
    """A server on a free port that answers with this status, when it may."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.requests.append((self.path, self.headers.get("Authorization", "")))
            heard.events.append(content)
            if wait:
                wait.wait(60)
            with contextlib.suppress(OSError):  # who asked may have gone
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                heard.n_answers += 1

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening_at:
        heard = Heard(f"http://127.0.0.1:{listening_at.server_port}")
        serving = threading.Thread(target=listening_at.serve_forever)
        serving.start()
        try:
            yield heard
        finally:
            if wait:
                wait.set()
            listening_at.shutdown()
            serving.join()


def settings(directory: Path, openlineage: object = "", **changes: object) -> Configuration:
    """A small configuration over two files in a directory."""
    for seed in (1, 2):
        (directory / f"text-{seed}.txt").write_text(text(seed), encoding="utf-8")
    return configured(directory / "text-1.txt", directory / "text-2.txt", lineage__openlineage=str(openlineage), **changes)


def walk_told(configuration: Configuration, store: Path) -> tuple[Run, list[str]]:
    """A whole run that is told, and the warnings that were heard."""
    heard: list[str] = []
    with (
        listening(lambda event: heard.append(event.message) if isinstance(event, RunWarned) else None),
        Run(configuration, Store(store), InPlace()) as run,
        telling(run, "a test"),
    ):
        for step in run.steps:
            run.perform(step)
        run.finish("a test")
    return run, heard


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events in a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
