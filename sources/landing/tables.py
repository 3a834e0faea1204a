"""Tables: a whole read or an increment, merged into raw by its key.

Belongs here: the temporary table a load is read into, and what becomes of it. Does not belong
here: feeds of files (`files.py`), checking rows (`doorstep.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from sources.contract import Contract
from sources.landing.doorstep import checked_batches, finish_reading, refuse_if_mostly_bad
from sources.landing.drift import note_drift
from sources.landing.quarantine import Quarantine
from sources.landing.records import (
    lock,
    names_of,
    new_load_id,
    record,
    store_watermark,
    watermark_of,
)
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.writer import ORDER, Writer
from sources.raw_table import Connection, audit_columns, ensure_raw_table, table_name
from sources.readers import RejectedRow, open_reader
from sources.urls import SourceUrl

INPUT = sql.Identifier("_entrada")
_HISTORY = sql.Identifier("raw", "_historial")


def load_table(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Merge a table into raw by its key, so that readers never see it empty or half written."""
    started = context.clock()
    with context.connect() as connection:
        lock(connection, contract)
        ensure_raw_table(connection, contract)
        watermark = watermark_of(connection, contract)
        load_id = new_load_id(connection)
        report = LoadReport(contract.id, "sin_cambios", watermark=watermark)
        quarantine = Quarantine(connection, contract, load_id, context.clock())
        _create_input(connection, contract)
        with open_reader(
            contract, url, watermark=watermark, batch_rows=context.batch_rows
        ) as reader:
            report.source_count = reader.source_count()
            note_drift(connection, contract, reader, load_id, report)
            with Writer(connection, INPUT, contract, load_id, with_order=True) as writer:
                quarantine.pause = writer.pause
                for batch, rows in checked_batches(
                    reader.batches(), contract, checkers, quarantine, report, context.progress
                ):
                    writer.write(batch, rows)
            origin = reader.description
            finish_reading(reader, report)
        _move_repeated_keys(connection, contract, quarantine, report)
        refuse_if_mostly_bad(contract, report, origin)
        _merge(connection, contract, report, quarantine, load_id)
        if contract.load_mode == "full":
            quarantine.close_absent()
        if contract.cursor:
            report.watermark = store_watermark(connection, contract, load_id, INPUT) or watermark
        report.state = "cargada" if report.changed or quarantine.new_rows else "sin_cambios"
        record(connection, contract, context, report, load_id, started, origin)
    return report


def _create_input(connection: Connection, contract: Contract) -> None:
    """The temporary table a load is read into; it goes with the transaction."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.pg_type))
        for c in contract.columns
    ]
    columns += [
        sql.SQL("{} bigint").format(sql.Identifier(name))
        for name in (*audit_columns(contract), ORDER)
    ]
    connection.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            INPUT, sql.SQL(", ").join(columns)
        )
    )


def _move_repeated_keys(
    connection: Connection, contract: Contract, quarantine: Quarantine, report: LoadReport
) -> None:
    """Rows whose key already came earlier in the same load cannot stand in raw: quarantine."""
    if not contract.key:
        return
    names = [column.name for column in contract.columns]
    statement = sql.SQL(
        "delete from {input} using (select ctid as place, row_number() over (partition by {key} "
        "order by {order}) as turn from {input}) as ranked "
        "where {input}.ctid = ranked.place and ranked.turn > 1 returning {order}, {columns}"
    ).format(
        input=INPUT,
        key=names_of(contract.key),
        order=sql.Identifier(ORDER),
        columns=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(n)) for n in names),
    )
    repeated = [
        RejectedRow(
            row_number=row[0],
            rule="clave_repetida",
            column=contract.key[0],
            reason=f"la clave ({', '.join(contract.key)}) ya vino en otra fila de la misma carga",
            values=dict(zip(names, row[1:], strict=True)),
        )
        for row in connection.execute(statement)
    ]
    quarantine.add(repeated)
    report.quarantined += len(repeated)
    report.reasons.update(row.rule for row in repeated)


def _merge(
    connection: Connection,
    contract: Contract,
    report: LoadReport,
    quarantine: Quarantine,
    load_id: int,
) -> None:
    connection.execute(sql.SQL("analyze {}").format(INPUT))
    good = report.read - report.quarantined
    if not contract.key:
        _replace_without_key(connection, contract, report, good)
        return
    columns = [column.name for column in contract.columns]
    parts = {
        "raw": table_name(contract),
        "input": INPUT,
        "history": _HISTORY,
        "join": sql.SQL(" and ").join(
            sql.SQL("t.{0} = e.{0}").format(sql.Identifier(name)) for name in contract.key
        ),
        "t": sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(n)) for n in columns),
        "e": sql.SQL(", ").join(sql.SQL("e.{}").format(sql.Identifier(n)) for n in columns),
        "all": names_of([*columns, *audit_columns(contract)]),
        "set": sql.SQL(", ").join(
            sql.SQL("{0} = e.{0}").format(sql.Identifier(name))
            for name in [*columns, *audit_columns(contract)]
        ),
        "dataset": sql.Literal(contract.id),
        "load": sql.Literal(load_id),
        "kept": quarantine.kept_condition(),
    }
    connection.execute(
        sql.SQL(
            "insert into {history} (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'modificacion', to_jsonb(t), {load} from {raw} t "
            "join {input} e on {join} where ({t}) is distinct from ({e})"
        ).format(**parts)
    )
    updated = connection.execute(
        sql.SQL(
            "update {raw} t set {set} from {input} e where {join} and ({t}) is distinct from ({e})"
        ).format(**parts)
    ).rowcount
    inserted = connection.execute(
        sql.SQL(
            "insert into {raw} ({all}) select {all} from {input} e "
            "where not exists (select from {raw} t where {join})"
        ).format(**parts)
    ).rowcount
    if contract.load_mode == "full":
        report.deleted = connection.execute(
            sql.SQL(
                "with gone as (delete from {raw} t where not exists "
                "(select from {input} e where {join}) and not ({kept}) returning t.*) "
                "insert into {history} (dataset, operacion, fila, carga_id) "
                "select {dataset}, 'baja', to_jsonb(gone), {load} from gone"
            ).format(**parts)
        ).rowcount
    report.loaded = inserted + updated
    report.known = good - report.loaded


def _replace_without_key(
    connection: Connection, contract: Contract, report: LoadReport, good: int
) -> None:
    """A table with no key is replaced as a whole, and only when it differs."""
    columns = names_of([column.name for column in contract.columns])
    parts = {"raw": table_name(contract), "input": INPUT, "columns": columns}
    differs = connection.execute(
        sql.SQL(
            "select exists ((select {columns} from {input} except all select {columns} from {raw}) "
            "union all (select {columns} from {raw} except all select {columns} from {input}))"
        ).format(**parts)
    ).fetchone()
    if differs == (False,):
        report.known = good
        return
    names = names_of([*(c.name for c in contract.columns), *audit_columns(contract)])
    report.deleted = connection.execute(
        sql.SQL("delete from {}").format(table_name(contract))
    ).rowcount
    connection.execute(
        sql.SQL("insert into {raw} ({names}) select {names} from {input}").format(
            names=names, **parts
        )
    )
    report.loaded = good
