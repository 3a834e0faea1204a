"""PostgreSQL: binary COPY out of one snapshot.

Belongs here: what only this engine does its own way. Does not belong here: what engines share
(`base.py`), the binary format (`copy_binary.py`) and which columns and rows are read
(`readers/database.py`).

psycopg2 reads, because it hands over each row of a COPY at a quarter of the cost of psycopg 3.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg2 as postgresql

from sources.contract import Column
from sources.readers.arrow import Array
from sources.readers.base import DEFAULT_OPTIONS, ReaderOptions, Sent
from sources.readers.engines.base import (
    APPLICATION,
    Declared,
    Engine,
    SourceColumn,
    Trouble,
    by_text,
)
from sources.readers.engines.copy_binary import NATIVE, TEXT, Batches, CopyStream
from sources.readers.engines.copy_wire import is_plain, receive
from sources.readers.engines.patience import PATIENCE
from sources.readers.watermark import CursorValue
from sources.urls import SourceUrl

# A batch is handed over when it has this many bytes, however few rows they are.
_BATCH_BYTES = 8 << 20
_WAITING_BATCHES = 2
# Types whose binary form is the same in every PostgreSQL, as the catalogue and contracts name them.
_SENT_AS_BYTES = re.compile(
    r"^(boolean|smallint|integer|bigint|double precision|date|timestamp(tz)?|numeric\(\d+,\d+\))$"
)
_SHORT_NAMES = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}
_HEX = "hex"
# PostgreSQL 9.5.
_KNOWS_POLICIES = 90_500
_ANY_TEXT = re.compile(r"^(text|character varying(\(\d+\))?)$")


class Postgresql(Engine):
    """Reads through COPY in binary form; what has no Arrow type comes as the server's text."""

    name = "PostgreSQL"
    pads_texts = True
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    exact_numbers = re.compile(r"^(smallint|integer|bigint|numeric(\(\d+,-?\d+\))?)$")
    tells_rows_sent = "all"
    _read_timeout_s = DEFAULT_OPTIONS.read_timeout_s
    _statement_timeout_s: int | None = None
    _TIMESTAMPTZ_OID = 1184
    _CODES: ClassVar[dict[str, Trouble]] = {
        "28": "credenciales", "3D": "base", "42P01": "tabla", "3F": "tabla", "42501": "permiso",
        "57014": "tiempo", "55P03": "tiempo", "08": "red", "57P": "red",
        # Of a read nothing else is in conflict: what the replica replays removes rows it sees.
        "40001": "replica",
    }  # fmt: skip
    # A server refuses a connection in its own language and without a code.
    _TEXTS: ClassVar[tuple[tuple[str, Trouble], ...]] = (
        (r"password|contraseña|autentifica|authentication|role .* does not|rol .* no|pg_hba",
         "credenciales"),
        (r"database .* does not exist|base de datos .* no existe", "base"),
        (r"timeout|timed out|expir", "tiempo"),
        (r"could not translate|resolve|refused|no route|unreachable|connection failed|could not "
         r"connect|closed the connection|starting up|shutting down|could not receive|reset by peer"
         r"|unexpectedly|no message from the libpq", "red"),
    )  # fmt: skip

    def connect(self, url: SourceUrl, options: ReaderOptions) -> Any:
        import psycopg2

        encryption: dict[str, Any] = {
            key: value for key, value in url.query.items() if key.startswith("ssl")
        }
        connection = psycopg2.connect(
            host=url.host or url.query.get("host"),
            port=url.port,
            user=url.user,
            password=url.password,
            dbname=url.database,
            connect_timeout=options.connect_timeout_s,
            application_name=APPLICATION,
            client_encoding="utf8",
            keepalives_idle=30,
            # A server that vanished without a word is given up after this long without an answer.
            tcp_user_timeout=options.read_timeout_s * 1000,
            cursor_factory=_cursors(options.read_timeout_s),
            **encryption,
        )
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        self._read_timeout_s = options.read_timeout_s
        self._statement_timeout_s = options.statement_timeout_s
        return connection

    def begin(self, connection: Any) -> bool:
        with connection.cursor() as cursor:
            # What comes as text has times in UTC, in ISO form, whatever the server's own settings.
            cursor.execute(
                "set local timezone = 'UTC'; set local datestyle = 'ISO'; "
                "set local intervalstyle = 'postgres'; set local lock_timeout = '30s'; "
                "set local statement_timeout = %s",
                [(self._statement_timeout_s or 0) * 1000],
            )
        return True

    def select(
        self, column: sa.ColumnElement[Any], source: SourceColumn, target: Column
    ) -> sa.ColumnElement[Any]:
        """Octets as their digits alone where the contract says so, as from any other engine."""
        if source.type == "bytea" and target.format == _HEX:
            return sa.func.upper(sa.func.encode(column, sa.literal_column("'hex'")))
        return column

    def share_snapshot(self, connection: Any) -> str | None:
        return str(self.scalar(connection, sa.select(sa.func.pg_export_snapshot())))

    def join_snapshot(self, connection: Any, name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute("set transaction snapshot %s", [name])

    def estimated_rows(self, connection: Any, table: sa.TableClause) -> int:
        catalogue = sa.table(
            "pg_class", sa.column("oid"), sa.column("reltuples"), schema="pg_catalog"
        )
        quoted = self.dialect.identifier_preparer.format_table(table)
        estimate = self.scalar(
            connection,
            sa.select(catalogue.c.reltuples).where(catalogue.c.oid == sa.func.to_regclass(quoted)),
        )
        # -1 stands for a table that was never analysed.
        return max(0, int(estimate or 0))

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        import psycopg2

        return (psycopg2.Error,)

    def trouble(self, error: Exception) -> Trouble:
        code = getattr(error, "pgcode", None) or ""
        for length in (5, 3, 2):
            if found := self._CODES.get(code[:length]):
                return found
        return by_text(self._TEXTS, str(error))

    def stream(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Iterator[list[Array]]:
        return (arrays for arrays, _ in self.stream_as_sent(connection, statement, batch_rows))

    def stream_as_sent(
        self, connection: Any, statement: sa.Select[Any], batch_rows: int
    ) -> Generator[tuple[list[Array], Sent], None, int]:
        """The server's rows are received by a thread of their own while the last are worked on."""
        with connection.cursor() as cursor:
            copy_out, kinds = self._copy_statement(cursor, statement)
            receiver = _Receiver(
                cursor, copy_out, kinds, batch_rows, off_the_wire=is_plain(connection)
            )
            yield from receiver.batches(self._read_timeout_s)
            return receiver.count

    def is_as_in_raw(self, source: SourceColumn, target: Column) -> bool:
        declared = source.type or ""
        if target.pg_type == "text":
            return _ANY_TEXT.match(declared) is not None
        name = _SHORT_NAMES.get(declared, declared)
        return name == target.pg_type and _SENT_AS_BYTES.match(name) is not None

    def _copy_statement(self, cursor: Any, statement: sa.Select[Any]) -> tuple[Any, list[int]]:
        """The COPY of a statement, and the type of each of its columns in the COPY.

        A column of a type without a binary reading is asked for as text.
        """
        from psycopg2 import sql

        text, parameters = self.compiled(statement)
        # Without parameters psycopg takes a text as it is: a doubled % would stay doubled.
        plain = cursor.mogrify(text, parameters).decode() if parameters else text.replace("%%", "%")
        inner = sql.SQL(plain)
        cursor.execute(sql.SQL("select q.* from ({}) as q limit 0").format(inner))
        found = [entry[1] for entry in cursor.description]
        columns = [
            sql.SQL("q.{}" if kind in NATIVE else "q.{}::text").format(sql.Identifier(column.name))
            for column, kind in zip(statement.selected_columns, found, strict=True)
        ]
        copy_out = sql.SQL("copy (select {} from ({}) as q) to stdout (format binary)").format(
            sql.SQL(", ").join(columns), inner
        )
        return copy_out, [kind if kind in NATIVE else TEXT for kind in found]

    def _declared(self, connection: Any, table: sa.TableClause) -> Declared:
        found, theirs = self._columns_of(table)
        statement = sa.select(
            found.attname, sa.func.format_type(found.atttypid, found.atttypmod), found.attnotnull
        ).where(*theirs)
        return {
            name: (kind, not required) for name, kind, required in self.rows(connection, statement)
        }

    def _columns_of(self, table: sa.TableClause) -> tuple[Any, tuple[sa.ColumnElement[bool], ...]]:
        """The catalogue of columns, and the conditions of those that a table has today."""
        found = sa.table(
            "pg_attribute", *map(sa.column, ("attrelid", "attname", "attnum", "atttypid",
                                             "atttypmod", "attnotnull", "attisdropped")),
            schema="pg_catalog",
        ).c  # fmt: skip
        quoted = self.dialect.identifier_preparer.format_table(table)
        here = found.attrelid == sa.func.to_regclass(quoted)
        return found, (here, found.attnum > 0, sa.not_(found.attisdropped))

    def withheld(self, connection: Any, table: sa.TableClause) -> frozenset[str]:
        """By the grants: whoever grants columns one by one hides the others on purpose."""
        found, theirs = self._columns_of(table)
        statement = sa.select(
            found.attname,
            sa.func.has_column_privilege(found.attrelid, found.attnum, "select"),
        ).where(*theirs, sa.not_(sa.func.has_table_privilege(found.attrelid, "select")))
        rows = list(self.rows(connection, statement))
        if not any(readable for _, readable in rows):
            return frozenset()  # all may be read, or none: the server says so itself
        return frozenset(name for name, readable in rows if not readable)

    def comments(self, connection: Any, table: sa.TableClause) -> dict[str, str]:
        found, theirs = self._columns_of(table)
        words = sa.func.col_description(found.attrelid, found.attnum)
        statement = sa.select(found.attname, words).where(*theirs, words.is_not(None))
        return {str(name): str(text) for name, text in self.rows(connection, statement)}

    def filters_rows(self, connection: Any, table: sa.TableClause) -> bool:
        """By row level security: a policy leaves rows out of every answer, and of every count."""
        if connection.server_version < _KNOWS_POLICIES:
            return False
        quoted = self.dialect.identifier_preparer.format_table(table)
        active = sa.func.row_security_active(sa.func.to_regclass(quoted))
        return bool(self.scalar(connection, sa.select(active)))

    def primary_key(self, connection: Any, table: sa.TableClause) -> tuple[str, ...]:
        # Of the constraint, not of its index: that may have columns beside the key (`include`).
        key = sa.table(
            "pg_constraint", *map(sa.column, ("conrelid", "contype", "conkey")), schema="pg_catalog"
        )
        found = sa.table(
            "pg_attribute", *map(sa.column, ("attrelid", "attname", "attnum")), schema="pg_catalog"
        )
        quoted = self.dialect.identifier_preparer.format_table(table)
        statement = sa.select(found.c.attname).where(
            key.c.conrelid == sa.func.to_regclass(quoted),
            key.c.contype == "p",
            found.c.attrelid == key.c.conrelid,
            found.c.attnum == sa.func.any(key.c.conkey),
        )
        return tuple(name for (name,) in self.rows(connection, statement.order_by(found.c.attnum)))

    def since(
        self, column: sa.ColumnElement[Any], value: CursorValue, zoned: bool | None
    ) -> sa.ColumnElement[bool]:
        kind: sa.types.TypeEngine[Any] | None = None
        if isinstance(value, datetime):
            kind = sa.DateTime(timezone=value.tzinfo is not None)
        return column >= sa.bindparam("desde", value, type_=kind, unique=True)

    def since_octets(self, column: sa.ColumnElement[Any], digits: str) -> sa.ColumnElement[bool]:
        value: sa.ColumnElement[Any] = sa.bindparam("desde", digits, unique=True)
        return column >= sa.func.decode(value, sa.literal_column("'hex'"))

    def _zoned(self, entry: Sequence[Any]) -> bool | None:
        return bool(entry[1] == self._TIMESTAMPTZ_OID)


def _cursors(silence_s: int) -> type[Any]:
    """Cursors whose statements are given up after `silence_s` seconds without an answer.

    libpq itself waits for ever while the other side acknowledges what it is sent, as a proxy or a
    frozen server does. A COPY is watched by `_Receiver`, batch by batch.
    """
    import psycopg2
    import psycopg2.extensions

    class PatientCursor(psycopg2.extensions.cursor):
        def execute(self, query: Any, vars: Any = None) -> None:
            silent = threading.Event()

            def give_up() -> None:
                silent.set()
                _hang_up(self.connection)

            try:
                with PATIENCE.at_most(silence_s, give_up):
                    super().execute(query, vars)
            except psycopg2.Error as error:
                if silent.is_set():
                    raise psycopg2.OperationalError(
                        f"timeout: no answer for {silence_s} s"
                    ) from error
                raise

    return PatientCursor


def _hang_up(connection: Any) -> None:
    """End a connection under whoever waits on it."""
    with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


_Batch = tuple[list[Array], Sent]
_Item = _Batch | BaseException | None


class _Receiver:
    """One COPY received in a thread; at most a few batches wait for who reads them.

    `count`, once all were taken, is of the command's own end: what the server counted, not what was
    received.
    """

    def __init__(
        self,
        cursor: Any,
        statement: Any,
        kinds: Sequence[int],
        rows: int,
        *,
        off_the_wire: bool,
    ) -> None:
        self._cursor = cursor
        self._statement = statement
        self._kinds = kinds
        self._rows = rows
        self._off_the_wire = off_the_wire
        self._queue: queue.Queue[_Item] = queue.Queue(_WAITING_BATCHES)
        self._given_up = threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._receive, name="copy-out", daemon=True)

    def batches(self, silence_s: int) -> Iterator[_Batch]:
        """The batches as they come; a server silent for `silence_s` seconds is given up."""
        self._thread.start()
        over = False
        try:
            while (item := self._next(silence_s)) is not None:
                if isinstance(item, BaseException):
                    over = True
                    raise item
                yield item
            over = True
        finally:
            self._stop(over)

    def _next(self, silence_s: int) -> _Item:
        import psycopg2

        try:
            return self._queue.get(timeout=silence_s)
        except queue.Empty:
            raise psycopg2.OperationalError(f"timeout: nothing came for {silence_s} s") from None

    def _receive(self) -> None:
        outcome: _Item = None
        try:
            self.count = self._all_received()
        except BaseException as error:  # handed to the reading thread, which raises it
            outcome = error
        with suppress(_GivenUpError):
            self._queue_up(outcome)

    def _all_received(self) -> int:
        def deliver(*batch: Any) -> None:
            self._queue_up(batch)

        if self._off_the_wire:
            batches = Batches(self._kinds, self._rows, _BATCH_BYTES, deliver)
            statement = self._statement.as_string(self._cursor)
            return receive(self._cursor.connection, statement, len(self._kinds), batches)
        copy = CopyStream(self._kinds, self._rows, _BATCH_BYTES, deliver)
        self._cursor.copy_expert(self._statement, copy)
        copy.finish()
        return int(self._cursor.rowcount)

    def _queue_up(self, item: _Item) -> None:
        while not self._given_up.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.2)
                return
        raise _GivenUpError

    def _stop(self, over: bool) -> None:
        """Whoever stops reading early ends the connection: nothing else frees a waiting thread."""
        self._given_up.set()
        # Closed by others, as when a generator is collected late, it has freed the thread already.
        if not over and not self._cursor.connection.closed:
            _hang_up(self._cursor.connection)
        self._thread.join()


class _GivenUpError(Exception):
    """Nobody reads any more."""
