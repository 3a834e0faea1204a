"""An S3 server of the tests' own on loopback: moto's, in a process of its own, spoken to by HTTP.

Belongs here: starting and stopping it, and putting objects there. Does not belong here: what the
readers make of them. No other S3 server can be had from a package index or from Debian.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestration.processes import end

KEY, SECRET = "AKIAPRUEBA", "secreto/de+prueba"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class S3Server:
    """A running server. Any key opens it until `demand_keys`."""

    port: int
    client: Any = field(repr=False)

    def url(self, bucket: str, prefix: str = "", *, port: int | None = None) -> str:
        """Address of a prefix, by way of another port where one is given."""
        login = f"{KEY}:{quote(SECRET, safe='')}"
        endpoint = quote(f"http://127.0.0.1:{port or self.port}", safe="")
        return f"s3://{login}@{bucket}/{quote(prefix)}?endpoint_url={endpoint}&region=us-east-1"

    def put(self, bucket: str, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, bucket: str, key: str) -> None:
        self.client.delete_object(Bucket=bucket, Key=key)

    def demand_keys(self) -> None:
        """From now on, keys that nobody was given are refused."""
        self._ask("reset-auth", b"0")

    def reset(self) -> None:
        """Forget all objects, and let any key in."""
        self._ask("reset-auth", b"100000000")
        self._ask("reset", b"")

    def _ask(self, what: str, body: bytes) -> None:
        address = f"http://127.0.0.1:{self.port}/moto-api/{what}"
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, body, headers)).close()


@contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """Start the server; its log is written below `folder`, its objects are kept in memory."""
    import boto3
    from botocore.config import Config

    folder.mkdir(parents=True, exist_ok=True)
    port, log = _free_port(), folder / "s3.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "AWS_REGION": ""}
        )
        try:
            _wait_until_up(process, port, log)
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=KEY,
                aws_secret_access_key=SECRET,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}),
            )
            yield S3Server(port, client)
        finally:
            end(process, patience_s=10)


def _wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the S3 server ended at start:\n{log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=1).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the S3 server did not come up:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
