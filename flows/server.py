"""A temporary Prefect server for one run, in a process of its own that is gone when the run is, however it ends.

Prefect would start one by itself, but only after this process has imported all of the server too. Here it starts first and gets ready while
this process imports what training needs: a run that reuses everything takes half as long. Its database is in `PREFECT_HOME`.

The child listens before it imports anything, and says where; it stops when its standard input ends, as it does when its parent is killed.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import Corpus2VecError
from pipeline.storage.locks import LockedError, exclusive

if TYPE_CHECKING:
    import uvicorn

SECONDS_TO_START = 120
SECONDS_TO_STOP = 5
SECONDS_BETWEEN_LOOKS = 0.05
LOG = "server.log"


class ServerError(Corpus2VecError):
    """The temporary Prefect server did not start."""


class Server:
    """A server that is starting. `wait` before the first use."""

    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def wait(self) -> None:
        """Return when the server answers; its database is in `PREFECT_HOME`, which must be set.

        Raises
        ------
        ServerError
            When it ended, or does not answer in time.
        """
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=SECONDS_TO_START) as answer:  # noqa: S310 - our own address
                answer.read()
        except OSError as error:
            raise ServerError(
                "The temporary Prefect server did not start.",
                where=str(self.log),
                got=self.log.read_text(encoding="utf-8", errors="replace").strip()[-300:] or str(error),
                remedy=f"Remove {os.environ['PREFECT_HOME']} (its history of runs is lost), or set PREFECT_API_URL to a running server.",
            ) from error


@contextlib.contextmanager
def temporary_server(home: Path) -> Iterator[Server | None]:
    """Start a server and make it Prefect's; None when `PREFECT_API_URL` names one already."""
    if os.environ.get("PREFECT_API_URL"):
        yield None
        return
    log = home / LOG
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "flows.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run, which then ends its server
        ) as process,
    ):
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
            # Errors are printed, and are in the state of the run; Prefect would send them again when the server is gone, and wait for it.
            os.environ.setdefault("PREFECT_LOGGING_TO_API_ENABLED", "false")
            yield Server(process, os.environ["PREFECT_API_URL"], log)
        except KeyboardInterrupt:
            process.kill()  # somebody waits, and the database stands it
            raise
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()


def serve() -> None:
    """The child: listen, say where, then become a Prefect server."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    # Servers that make or change their tables in one new database at once fail: one starts after the other.
    with contextlib.ExitStack() as starting:
        with contextlib.suppress(LockedError):
            starting.enter_context(exclusive(Path(os.environ["PREFECT_HOME"]), SECONDS_TO_START))
        server = uvicorn.Server(uvicorn.Config(create_app(ephemeral=True, final=True), log_level="error", lifespan="on"))
        threading.Thread(target=_let_go, args=(server, starting), daemon=True).start()
        server.run(sockets=[listener])


def _let_go(server: "uvicorn.Server", starting: contextlib.ExitStack) -> None:
    """Let the next one start when this one answers."""
    while not server.started:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    starting.close()


def _stop_with_parent() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    serve()
