"""Places for stores that people share: a directory, and buckets of two real S3 servers, which are started once a session."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyarrow import fs

KINDS = ("directory", "moto", "rclone")
# Of people who may use both servers; rclone's does not know the checksums that Amazon's client sends unasked.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": "knows-something",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REQUEST_CHECKSUM_CALCULATION": "WHEN_REQUIRED",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "WHEN_REQUIRED",
}
BUCKET = "team"


@dataclass(frozen=True)
class Server:
    """An S3 server on this machine, with a bucket."""

    address: str  # host:port

    def url(self, path: str, bucket: str = BUCKET) -> str:
        """The URL of a directory in a bucket."""
        return f"s3://{bucket}/{path}?" + urllib.parse.urlencode({"endpoint_override": self.address, "scheme": "http"})


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[Server]:
    """Moto's server, which keeps all in memory and asks nobody who they are."""
    port = free_port()
    with serving(["moto_server", "-H", "127.0.0.1", "-p", str(port)], port, directory / "moto.log") as server:
        client = fs.S3FileSystem(endpoint_override=server.address, scheme="http", region="us-east-1", allow_bucket_creation=True)
        client.create_dir(BUCKET)
        yield server


@contextlib.contextmanager
def rclone(directory: Path) -> Iterator[Server]:
    """Rclone's server, which checks signatures, over a directory."""
    (directory / "buckets" / BUCKET).mkdir(parents=True)
    port = free_port()
    allowed = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    options = ["--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key", allowed]
    with serving(["rclone", "serve", "s3", *options, str(directory / "buckets")], port, directory / "rclone.log") as server:
        yield server


@contextlib.contextmanager
def serving(arguments: list[str], port: int, log: Path) -> Iterator[Server]:
    """A server of the environment that runs the tests, from when it listens on."""
    program = Path(sys.executable).with_name(arguments[0])
    with log.open("w") as out, subprocess.Popen([str(program), *arguments[1:]], stdout=out, stderr=out) as server:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield Server(f"127.0.0.1:{port}")
        finally:
            server.terminate()


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def servers(directory: Path) -> Iterator[dict[str, Server]]:
    """Both servers, and the environment of people who may use them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "CORPUS2VEC_"))]:
            patch.delenv(name)
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with moto(directory) as first, rclone(directory) as second:
            yield {"moto": first, "rclone": second}
