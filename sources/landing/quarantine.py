"""Rows kept out of raw: written inside the load's transaction, found again by their fingerprint.

Belongs here: `quarantine.fila`. Does not belong here: deciding which rows (`doorstep.py`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.raw_table import Connection
from sources.readers import RejectedRow


class Quarantine:
    """Writes rows kept out of raw, batch by batch, inside the load's transaction."""

    def __init__(
        self, connection: Connection, contract: Contract, load_id: int, now: dt.datetime
    ) -> None:
        self._connection = connection
        self._contract = contract
        self._load_id = load_id
        self._now = now
        # Called before the connection is used: a COPY of the load may be under way on it.
        self.pause: Callable[[], None] = lambda: None
        self.new_rows = 0
        self._kept: list[tuple[str, ...]] = []

    def add(self, rows: Sequence[RejectedRow], file: str | None = None) -> None:
        """Store rows (of `file`, for feeds); one met again only gets a new `ultima_vez`."""
        if not rows:
            return
        self.pause()
        key = self._contract.key
        for row in rows:
            value = tuple(row.values.get(name) for name in key)
            if key and all(item is not None for item in value):
                self._kept.append(tuple(str(item) for item in value))
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "insert into quarantine.fila as q (dataset, carga_id, archivo, numero_fila, regla, "
                "columna, motivo, fila, huella, primera_vez, ultima_vez) "
                "values (%(dataset)s, %(load)s, %(file)s, %(row)s, %(rule)s, %(column)s, "
                "%(reason)s, %(values)s, %(mark)s, %(now)s, %(now)s) "
                "on conflict (dataset, huella) do update set ultima_vez = excluded.ultima_vez, "
                "estado = case when q.estado = 'reprocesada' then 'pendiente' else q.estado end "
                "returning (xmax = 0)",
                [self._parameters(row, file) for row in rows],
                returning=True,
            )
            while True:
                fresh = cursor.fetchone()
                self.new_rows += int(bool(fresh and fresh[0]))
                if not cursor.nextset():
                    break

    def kept_condition(self) -> sql.Composable:
        """SQL that is true for raw rows `t` whose newest version is in quarantine.

        The last good version of such a row stays: a bad update is no deletion.
        """
        if not self._kept or not self._contract.key:
            return sql.SQL("false")
        left = sql.SQL(", ").join(
            sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in self._contract.key
        )
        self._connection.execute(
            sql.SQL("create temporary table _retenida ({}) on commit drop").format(
                sql.SQL(", ").join(
                    sql.SQL("{} text").format(sql.Identifier(name)) for name in self._contract.key
                )
            )
        )
        with self._connection.cursor() as cursor:
            cursor.executemany(
                sql.SQL("insert into _retenida values ({})").format(
                    sql.SQL(", ").join(sql.Placeholder() * len(self._contract.key))
                ),
                self._kept,
            )
        return sql.SQL("({}) in (select * from _retenida)").format(left)

    def close_absent(self) -> None:
        """After a full read: rows that no longer come, or came good, are no longer pending."""
        self._connection.execute(
            "update quarantine.fila set estado = 'reprocesada' "
            "where dataset = %s and estado = 'pendiente' and ultima_vez < %s",
            [self._contract.id, self._now],
        )

    def _parameters(self, row: RejectedRow, file: str | None) -> dict[str, Any]:
        values = {
            name: None if value is None else value.replace("\x00", "\\u0000")
            for name, value in row.values.items()
        }
        # Position counts for files (two equal bad lines are two rows), not for tables, where the
        # same row is met at each reading.
        place = [file, row.row_number] if self._contract.load_mode == "files" else []
        identity = json.dumps([row.rule, *place, values], sort_keys=True, ensure_ascii=False)
        return {
            "dataset": self._contract.id,
            "load": self._load_id,
            "file": file,
            "row": row.row_number,
            "rule": row.rule,
            "column": row.column,
            "reason": row.reason,
            "values": Jsonb(values),
            "mark": hashlib.sha256(identity.encode()).hexdigest(),
            "now": self._now,
        }
