"""The books of a load: its number, its record, its watermark, and the lock on its table.

Belongs here: rows of `meta` that every load writes. Does not belong here: quarantine, drift.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from sources.contract import Contract
from sources.errors import RevisionRefused
from sources.landing.report import LoadContext, LoadReport
from sources.raw_table import Connection, table_name
from sources.readers.watermark import since_value, zone_of
from sources.urls import redact


@dataclass(frozen=True, slots=True)
class Books:
    """What the books say when a load of a table begins, read by one statement under its lock.

    `watermark` is None when everything is to be read: no load came before, the contract names
    another cursor, or raw is empty. `reading` is how columns were read up to the watermark, None
    where that is not known. `expected_rows` is what the source counted the last time.
    `files_in_force` tells that files were loaded one by one before, which this load replaces.
    """

    load_id: int
    raw_is_empty: bool
    watermark: str | None
    reading: tuple[str, ...] | None
    expected_rows: int | None
    compared_at: dt.datetime | None
    files_in_force: bool = False


def open_books(connection: Connection, contract: Contract) -> Books:
    row = connection.execute(
        sql.SQL(
            "select nextval(pg_get_serial_sequence('meta.carga', 'carga_id')), "
            "not exists (select from {raw}), "
            "(select valor from meta.marca where dataset = {dataset} and columna = {cursor}), "
            "(select lectura from meta.marca where dataset = {dataset} and columna = {cursor}), "
            "(select filas_origen from meta.carga where dataset = {dataset} "
            "and estado <> 'fallida' and modo <> 'reproceso' order by carga_id desc limit 1), "
            "(select comparado_en from meta.comparacion where dataset = {dataset}), "
            "exists (select from meta.archivo where dataset = {dataset} and vigente)"
        ).format(
            raw=table_name(contract),
            dataset=sql.Literal(contract.id),
            cursor=sql.Literal(contract.cursor or ""),
        )
    ).fetchone()
    assert row is not None
    load_id, is_empty, mark, reading, expected, compared, files = row
    usable = contract.has_watermark and not is_empty and _is_readable(contract, mark)
    return Books(
        int(load_id),
        bool(is_empty),
        mark if usable else None,
        tuple(reading) if usable and reading is not None else None,
        expected,
        compared,
        bool(files),
    )


def _is_readable(contract: Contract, mark: str | None) -> bool:
    """Whether a stored value is one of the cursor's type: its type may have changed since."""
    if mark is None:
        return False
    try:
        since_value(contract, mark)
    except (ValueError, ArithmeticError):
        return False
    return True


def store_watermark(
    connection: Connection,
    contract: Contract,
    load_id: int,
    highest: Any,
    *,
    known: str | None,
    reading: Sequence[str],
    now: dt.datetime,
) -> str | None:
    """Store the highest cursor value read so far; gives the one in force. It does not go back.

    `reading` says how each column was read.

    `highest` has the Python type of the cursor's Arrow type. Texts are compared by code point: if
    the source orders them otherwise, more is read again, and nothing is missed. A time in the
    future counts as `now`: one wrong year would hide all that comes until then. Rows beyond the
    watermark are read again at each load, and known.
    """
    if highest is None:
        return known
    cursor = contract.column(contract.cursor or "")
    if known is not None:
        highest = max(highest, since_value(replace(contract, lookback=None), known))
    if isinstance(highest, dt.datetime):
        local = now if highest.tzinfo else now.astimezone(zone_of(cursor)).replace(tzinfo=None)
        highest = min(highest, local)
    elif isinstance(highest, dt.date):
        highest = min(highest, now.astimezone(zone_of(cursor)).date())
    value = highest.isoformat() if isinstance(highest, dt.date) else str(highest)
    connection.execute(
        "insert into meta.marca (dataset, columna, valor, carga_id, lectura) "
        "values (%s, %s, %s, %s, %s) "
        "on conflict (dataset) do update set columna = excluded.columna, valor = excluded.valor, "
        "carga_id = excluded.carga_id, lectura = excluded.lectura, actualizado_en = now()",
        [contract.id, cursor.name, value, load_id, list(reading)],
    )
    return value


def lower_watermark(
    connection: Connection,
    contract: Contract,
    load_id: int,
    *,
    reading: Sequence[str],
    now: dt.datetime,
) -> str | None:
    """Take the watermark back to the highest cursor value of raw; gives it, None without rows."""
    forget_watermark(connection, contract)
    cursor = contract.column(contract.cursor or "")
    row = connection.execute(
        sql.SQL("select max({}{}) from {}").format(
            sql.Identifier(cursor.name),
            # By code point, as texts are compared here.
            sql.SQL(' collate "C"' if cursor.pg_type == "text" else ""),
            table_name(contract),
        )
    ).fetchone()
    assert row is not None
    return store_watermark(
        connection, contract, load_id, row[0], known=None, reading=reading, now=now
    )


def forget_watermark(connection: Connection, contract: Contract) -> None:
    """Have the next load read everything."""
    connection.execute("delete from meta.marca where dataset = %s", [contract.id])


def store_comparison(
    connection: Connection,
    contract: Contract,
    load_id: int,
    *,
    keys: int,
    deleted: int,
    missing: int,
    now: dt.datetime,
) -> None:
    """Note that all keys were compared with the source: how many, and what came of it."""
    connection.execute(
        "insert into meta.comparacion (dataset, carga_id, claves_origen, filas_eliminadas, "
        "claves_faltantes, comparado_en) values (%s, %s, %s, %s, %s, %s) on conflict (dataset) "
        "do update set carga_id = excluded.carga_id, claves_origen = excluded.claves_origen, "
        "filas_eliminadas = excluded.filas_eliminadas, "
        "claves_faltantes = excluded.claves_faltantes, comparado_en = excluded.comparado_en",
        [contract.id, load_id, keys, deleted, missing, now],
    )


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
    *,
    mode: str | None = None,
) -> None:
    """Write the load record; `mode` where it is not the contract's own (a replay)."""
    connection.execute(
        "insert into meta.carga (carga_id, corrida_id, dataset, estado, modo, origen, "
        "contrato_version, contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, "
        "filas_cuarentena, filas_conocidas, filas_eliminadas, filas_origen, marca, error, detalle) "
        "overriding system value values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, "
        "%s, %s, %s, %s, %s)",
        [
            load_id, context.run_id, contract.id, report.state, mode or contract.load_mode,
            redact(origin) if origin else None, contract.version, contract.sha256, started,
            context.clock(), report.read, report.loaded, report.quarantined, report.known,
            report.deleted, report.source_count, report.watermark,
            "; ".join(str(error) for error in report.errors) or None,
            Jsonb(_details(report)),
        ],
    )  # fmt: skip


def _details(report: LoadReport) -> dict[str, Any]:
    found: dict[str, Any] = {"motivos": dict(report.reasons), "deriva": report.drift}
    if report.notes:
        found["avisos"] = report.notes
    if report.checksums:
        found["sumas"] = report.checksums
    if report.missing is not None:
        found["claves_faltantes"] = report.missing
    for error in report.errors:
        if isinstance(error, RevisionRefused) and error.facts is not None:
            found["rechazo"] = error.facts
    found.update(report.extent)
    return found


def extent_details(contract: Contract, low: dt.datetime, high: dt.datetime) -> dict[str, Any]:
    """Where in the table's partitions the rows of a load are, for its record's `detalle`.

    Loads of files say it in `meta.archivo`. Who looks for a load's rows reads those months only.
    """
    return {
        "rango": {
            "columna": contract.partition_by,
            "desde": low.isoformat(),
            "hasta": high.isoformat(),
        }
    }


def names_of(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
