"""A Mosquitto broker of the tests' own, on loopback; it can be stopped and started again.

Belongs here: starting, stopping and publishing. Does not belong here: what must hold.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

_PATIENCE_S = 10.0


def mosquitto_program() -> str | None:
    """Path of the broker; Debian keeps it where ordinary users do not look."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def require_mosquitto() -> None:
    """Skip the test where there is no broker; in CI its absence is a failure."""
    if mosquitto_program() is not None:
        return
    reason = "Mosquitto is not installed here (Debian: apt-get install mosquitto)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class Broker:
    """One broker whose messages and sessions live below `folder`."""

    folder: Path
    port: int
    settings: tuple[str, ...] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it on its port; raises RuntimeError with its log when it does not come up."""
        config = self.folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "persistence true",
            f"persistence_location {self.folder}/",
            "autosave_interval 1",
            "max_queued_messages 0",
            *(self.settings or ("allow_anonymous true",)),
        ]
        if os.geteuid() == 0:
            lines.append("user root")
        config.write_text("\n".join([*lines, ""]))
        log = (self.folder / "mosquitto.log").open("ab")
        self._process = subprocess.Popen(
            [mosquitto_program() or "mosquitto", "-c", str(config)], stdout=log, stderr=log
        )
        log.close()
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self.stop()
        raise RuntimeError((self.folder / "mosquitto.log").read_text(errors="replace"))

    def stop(self) -> None:
        """Stop it as its own process; it saves what it holds."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE_S)
            self._process = None

    def publish(
        self,
        messages: Iterable[tuple[str, bytes | str]],
        prepare: Callable[[mqtt.Client], object] = lambda client: None,
    ) -> None:
        """Publish at QoS 1 and wait until the broker has taken every message.

        `prepare` gives the client what the broker asks for: a user, a certificate.
        """
        client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        prepare(client)
        client.max_queued_messages_set(0)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        try:
            sent = [client.publish(topic, payload, qos=1) for topic, payload in messages]
            for one in sent:
                one.wait_for_publish(_PATIENCE_S)
                assert one.is_published(), "the broker did not take a message"
        finally:
            client.disconnect()
            client.loop_stop()


@contextmanager
def broker(folder: Path, *settings: str) -> Iterator[Broker]:
    """A running broker; `settings` are lines of its configuration."""
    require_mosquitto()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True, exist_ok=True)
    made = Broker(folder, port, settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()
