"""Live readings: a subscriber that gathers messages of a broker and hands them on to be landed.

Belongs here: the conversation with the MQTT broker, when a micro-batch is due, and what happens
when broker or warehouse are away. Does not belong here: what becomes of a message
(`landing/messages.py`), arguments and words of the command (`orchestration/cli/readings.py`).

How nothing is lost: the session at the broker is persistent and has a fixed name, messages are
taken at QoS 1 and acknowledged one by one only after their micro-batch was committed. A process
that is killed leaves its unacknowledged messages with the broker, which delivers them again; those
that had been committed are then known. An acknowledgement belongs to the connection its message
came by: after a reconnection the broker may use the same number for another message.

How memory stays bounded: MQTT 5's receive maximum lets the broker send two micro-batches ahead of
the acknowledgements and no more. While the warehouse is away nothing is acknowledged, so the
messages wait at the broker (whose own queue must be large enough: see `docs/lecturas-en-vivo.md`).

One thread does it all: no lock, no queue, and nothing is read while a micro-batch is written.
"""

from __future__ import annotations

import datetime as dt
import random
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from sources.contract import Contract
from sources.errors import PipelineError, SourceUnavailable, WarehouseUnavailable
from sources.landing.messages import Message
from sources.landing.report import LoadReport
from sources.layouts import LiveLayout, live_layout
from sources.readers.base import check_settings_hint, problem
from sources.urls import SourceUrl, redact

_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
# How long the socket is listened to at once: the longest a stop or a flush has to wait.
_TICK_S = 0.2
_FORGET_EVERY_S = 3600.0
# Fingerprints are kept longer than any broker keeps an unacknowledged message.
_REMEMBERED_SESSIONS = 2

State = Literal["conectado", "sin_servidor", "sin_almacen", "cargado"]


@dataclass(slots=True)
class LiveTotals:
    """What happened since the start; rows as in a load record."""

    messages: int = 0
    batches: int = 0
    read: int = 0
    loaded: int = 0
    quarantined: int = 0
    known: int = 0
    reconnections: int = 0

    def add(self, messages: int, report: LoadReport) -> None:
        self.messages += messages
        self.batches += 1
        self.read += report.read
        self.loaded += report.loaded
        self.quarantined += report.quarantined
        self.known += report.known


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """Something a person watching should see."""

    state: State
    text: str
    totals: LiveTotals


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The outside world, injected so that tests need not wait."""

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    first_wait_s: float = _FIRST_WAIT_S
    longest_wait_s: float = _LONGEST_WAIT_S


@dataclass(slots=True)
class _Held:
    """A message waiting to be landed, and by which connection it came."""

    message: Message
    mid: int
    qos: int
    connection: int


@dataclass(slots=True)
class _Backoff:
    """Waits that double, with a part left to chance, up to a longest one."""

    first: float
    longest: float
    turn: int = 0

    def next(self) -> float:
        wait = min(self.longest, self.first * 2.0 ** min(self.turn, 30))
        self.turn += 1
        return wait * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.turn = 0


@dataclass(slots=True)
class Subscriber:
    """Takes the messages of one contract until told to stop.

    `land` lands a micro-batch and raises WarehouseUnavailable where it must be tried again;
    `forget` drops fingerprints of messages received before a moment; `stopping` is asked at least
    every 0.2 s; `tell` hears what happens.
    """

    contract: Contract
    url: SourceUrl
    land: Callable[[Sequence[Message]], LoadReport]
    forget: Callable[[dt.datetime], int]
    stopping: Callable[[], bool]
    tell: Callable[[LiveEvent], None] = lambda event: None
    options: LiveOptions = field(default_factory=LiveOptions)
    totals: LiveTotals = field(default_factory=LiveTotals)
    _layout: LiveLayout = field(init=False)
    _client: mqtt.Client = field(init=False)
    _held: list[_Held] = field(init=False, default_factory=list)
    _since: float = field(init=False, default=0.0)
    _connected: bool = field(init=False, default=False)
    _connection: int = field(init=False, default=0)
    _resumed: bool = field(init=False, default=False)
    _refusal: PipelineError | None = field(init=False, default=None)
    _broker: _Backoff = field(init=False)
    _warehouse: _Backoff = field(init=False)
    _retry_at: float = field(init=False, default=0.0)
    _forget_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._layout = live_layout(self.contract)
        first, longest = self.options.first_wait_s, self.options.longest_wait_s
        self._broker, self._warehouse = _Backoff(first, longest), _Backoff(first, longest)
        self._client = self._make_client()

    def run(self) -> LiveTotals:
        """Until `stopping`; what is held then is landed, and the session stays at the broker.

        Raises SourceUnavailable when the broker refuses user, password or topic; a broker or
        warehouse that is merely away is waited for. Two processes with one session take it from
        each other again and again: nothing is lost or loaded twice, but only one should run.
        """
        try:
            while not self.stopping():
                if not self._connected and not self._connect():
                    continue
                self._listen()
                if self._is_due():
                    self._flush()
                self._forget()
            if self._held:
                self._flush(last=True)
        finally:
            self._client.disconnect()
        return self.totals

    # --- the broker -------------------------------------------------------------------------------

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._layout.client_id,
            protocol=mqtt.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        if self.url.user:
            client.username_pw_set(self.url.user, self.url.password)
        if self.url.scheme == "mqtts":
            client.tls_set_context(self._tls())
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _tls(self) -> ssl.SSLContext:
        """Certificates are always checked; `ca_file`, `cert_file`, `key_file` in the address."""
        query = self.url.query
        try:
            context = ssl.create_default_context(cafile=query.get("ca_file"))
            if "cert_file" in query:
                context.load_cert_chain(query["cert_file"], query.get("key_file"))
        except OSError as error:
            raise problem(
                SourceUnavailable,
                self.contract,
                f"no se pueden usar los certificados de la dirección: {error.strerror or error}.",
                check_settings_hint(self.contract),
            ) from error
        return context

    def _connect(self) -> bool:
        """Connect and subscribe; False after a failed try, and the wait that follows it."""
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = self._layout.session_days * 86_400
        session.ReceiveMaximum = 2 * self._layout.flush_messages
        try:
            self._client.connect(
                self.url.host or "",
                self.url.port or (8883 if self.url.scheme == "mqtts" else 1883),
                keepalive=_KEEPALIVE_S,
                clean_start=False,
                properties=session,
            )
            deadline = self.options.clock() + _CONNECT_TIMEOUT_S
            while not self._connected and self.options.clock() < deadline:
                if self._client.loop(_TICK_S) != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    break
        except ssl.SSLCertVerificationError as error:
            raise problem(
                SourceUnavailable,
                self.contract,
                f"el certificado de {self.url.safe} no es de confianza: {error.verify_message}.",
                "indique la autoridad con `?ca_file=` en la dirección; "
                f"{check_settings_hint(self.contract)}",
            ) from error
        except OSError as error:
            self._away(error.strerror or str(error))
            return False
        self._raise_refusal()
        if not self._connected:
            self._away("no contesta")
        return self._connected

    def _away(self, why: str) -> None:
        wait = self._broker.next()
        self._tell(
            "sin_servidor",
            f"el servidor de mensajes {self.url.safe} no está disponible ({redact(why)}); "
            f"se reintenta en {wait:.0f} s",
        )
        self._pause(wait)

    def _pause(self, seconds: float) -> None:
        end = self.options.clock() + seconds
        while not self.stopping() and (left := end - self.options.clock()) > 0:
            time.sleep(min(_TICK_S, left))

    def _listen(self) -> None:
        """Hear the broker for a moment; what came is in `_held` afterwards."""
        if self._client.loop(_TICK_S if len(self._held) == 0 else 0.05) == (
            MQTTErrorCode.MQTT_ERR_SUCCESS
        ):
            return
        self._connected = False
        self._raise_refusal()

    def _on_connect(
        self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            # Busy, shutting down or over quota pass by; the others need a person.
            if reason.value in (0x86, 0x87, 0x85, 0x8A, 0x8C):
                self._refusal = problem(
                    SourceUnavailable,
                    self.contract,
                    f"el servidor de mensajes {self.url.safe} rechazó la conexión ({reason}).",
                    f"revise usuario y contraseña: {check_settings_hint(self.contract)}",
                )
            return
        self._connected = True
        self._connection += 1
        self._broker.reset()
        self.totals.reconnections = self._connection - 1
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in self._layout.topics])
        self._resumed = bool(flags.session_present)

    def _on_subscribe(
        self, client: mqtt.Client, data: Any, mid: int, reasons: Any, properties: Any
    ) -> None:
        refused = [
            topic
            for topic, reason in zip(self._layout.topics, reasons, strict=False)
            if reason.is_failure
        ]
        if refused:
            self._refusal = problem(
                SourceUnavailable,
                self.contract,
                f"el servidor de mensajes no deja leer {', '.join(refused)}.",
                "pida permiso de lectura sobre el tema para ese usuario.",
            )
            return
        # Not before: of a new session, what is published until the broker says so is lost to us.
        kept = "con" if self._resumed else "sin"
        self._tell(
            "conectado", f"conectado a {self.url.safe}, {kept} mensajes de una sesión previa"
        )

    def _on_disconnect(
        self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self._connected = False

    def _on_message(self, client: mqtt.Client, data: Any, found: mqtt.MQTTMessage) -> None:
        if not self._held:
            self._since = self.options.clock()
        message = Message(found.topic, bytes(found.payload), self.options.now())
        self._held.append(_Held(message, found.mid, found.qos, self._connection))

    def _raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    # --- the warehouse ----------------------------------------------------------------------------

    def _is_due(self) -> bool:
        if not self._held or self.options.clock() < self._retry_at:
            return False
        waited = self.options.clock() - self._since
        return (
            len(self._held) >= self._layout.flush_messages or waited >= self._layout.flush_seconds
        )

    def _flush(self, *, last: bool = False) -> None:
        """Land a micro-batch, then acknowledge it; where the warehouse is away, try again later.

        At the end (`last`) everything held is tried once: what stays is delivered again.
        """
        self._raise_refusal()
        while self._held:
            part = self._held[: self._layout.flush_messages]
            try:
                report = self.land([held.message for held in part])
            except WarehouseUnavailable as error:
                self._retry_later(error)
                return
            self._warehouse.reset()
            self._held = self._held[len(part) :]
            self._since = self.options.clock()
            self._acknowledge(part)
            self.totals.add(len(part), report)
            self._tell("cargado", f"{report.loaded} cargadas, {report.quarantined} en cuarentena")
            if not last:
                return

    def _retry_later(self, error: WarehouseUnavailable) -> None:
        wait = self._warehouse.next()
        self._retry_at = self.options.clock() + wait
        self._tell(
            "sin_almacen",
            f"{error.what} {len(self._held)} mensajes esperan sin confirmar; se reintenta en "
            f"{wait:.0f} s",
        )

    def _acknowledge(self, landed: Sequence[_Held]) -> None:
        """Tell the broker; not for messages of an earlier connection, whose numbers are void."""
        for held in landed:
            if held.connection == self._connection and self._connected:
                self._client.ack(held.mid, held.qos)

    def _forget(self) -> None:
        """Drop fingerprints that no broker can ask for any more, once an hour."""
        if self.options.clock() < self._forget_at:
            return
        self._forget_at = self.options.clock() + _FORGET_EVERY_S
        days = _REMEMBERED_SESSIONS * self._layout.session_days
        try:
            self.forget(self.options.now() - dt.timedelta(days=days))
        except WarehouseUnavailable as error:
            self._tell("sin_almacen", error.what)

    def _tell(self, state: State, text: str) -> None:
        self.tell(LiveEvent(state, text, self.totals))
