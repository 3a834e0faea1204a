"""The books of a load: its number, its record, its watermark, and the lock on its table.

Belongs here: rows of `meta` that every load writes. Does not belong here: quarantine, drift.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from psycopg import sql
from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.landing.report import LoadContext, LoadReport
from sources.raw_table import Connection
from sources.urls import redact


def watermark_of(connection: Connection, contract: Contract) -> str | None:
    if contract.load_mode != "incremental":
        return None
    row = connection.execute(
        "select valor from meta.marca where dataset = %s and columna = %s",
        [contract.id, contract.cursor],
    ).fetchone()
    return None if row is None else str(row[0])


def store_watermark(
    connection: Connection, contract: Contract, load_id: int, entry: sql.Identifier
) -> str | None:
    """The highest cursor value read so far, those of table `entry` included; it never goes back."""
    cursor = contract.cursor or ""
    kind = contract.column(cursor).pg_type
    row = connection.execute(
        sql.SQL("select max({}) from {}").format(sql.Identifier(cursor), entry)
    ).fetchone()
    if row is None or row[0] is None:
        return None
    value = row[0].isoformat() if hasattr(row[0], "isoformat") else str(row[0])
    stored = connection.execute(
        sql.SQL(
            "insert into meta.marca as m (dataset, columna, valor, carga_id) "
            "values (%s, %s, %s, %s) on conflict (dataset) do update set "
            "columna = excluded.columna, valor = excluded.valor, carga_id = excluded.carga_id, "
            "actualizado_en = now() where m.columna <> excluded.columna "
            "or m.valor::{kind} <= excluded.valor::{kind} returning valor"
        ).format(kind=sql.SQL(kind)),
        [contract.id, cursor, value, load_id],
    ).fetchone()
    return None if stored is None else str(stored[0])


def lock(connection: Connection, contract: Contract) -> None:
    """One load of a raw table at a time; freed with the transaction."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"raw.{contract.landing_table}"]
    )


def new_load_id(connection: Connection) -> int:
    row = connection.execute(
        "select nextval(pg_get_serial_sequence('meta.carga', 'carga_id'))"
    ).fetchone()
    assert row is not None
    return int(row[0])


def record_outcome(
    contract: Contract,
    context: LoadContext,
    report: LoadReport,
    started: dt.datetime,
    origin: str | None,
) -> None:
    """A load record for what did not load; in a transaction of its own."""
    with context.connect() as connection:
        record(connection, contract, context, report, new_load_id(connection), started, origin)


def record(
    connection: Connection,
    contract: Contract,
    context: LoadContext,
    report: LoadReport,
    load_id: int,
    started: dt.datetime,
    origin: str | None,
) -> None:
    connection.execute(
        "insert into meta.carga (carga_id, corrida_id, dataset, estado, modo, origen, "
        "contrato_version, contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, "
        "filas_cuarentena, filas_conocidas, filas_eliminadas, filas_origen, marca, error, detalle) "
        "overriding system value values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "%s, %s, %s, %s, %s)",
        [
            load_id, context.run_id, contract.id, report.state, contract.load_mode,
            redact(origin) if origin else None, contract.version, contract.sha256, started,
            context.clock(), report.read, report.loaded, report.quarantined, report.known,
            report.deleted, report.source_count, report.watermark,
            "; ".join(str(error) for error in report.errors) or None,
            Jsonb({"motivos": dict(report.reasons), "deriva": report.drift}),
        ],
    )  # fmt: skip


def names_of(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
