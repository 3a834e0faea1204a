"""Replay: rows in quarantine are judged again by today's contract, and those that pass land.

Belongs here: the way back from quarantine to raw. Does not belong here: keeping rows out
(`quarantine.py`), what people decide about them (`decisions.py`), reading sources.

A replay is a load of its own, in one transaction and under the table's lock: rows, their state in
quarantine and the load record commit together or not at all. It overwrites nothing newer: where
raw already holds the key with other values, the row stays pending, unless the contract's cursor
shows that the quarantined version is the newer one. In feeds of files the rows of each file are
recorded apart, by `meta.carga.reproceso_de`, so that they go with their file when it is replaced.

What is not tried, because it would be guessing: what a reader refused (lines that could not be
taken apart, bytes that were no text, cells without a usable value), and rows kept under columns
the contract no longer has while it has others that they lack.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
import pgpq
import psycopg
import pyarrow as pa
from psycopg import sql

from sources.contract import Contract
from sources.errors import LoadRefused, PipelineError
from sources.landing.doorstep import judge
from sources.landing.guard import refusal_of
from sources.landing.limits import limits
from sources.landing.partitions import Partitions, as_it_is_divided
from sources.landing.quarantine import keys_of, restored, style_of
from sources.landing.records import lock, names_of, new_load_id, record
from sources.landing.report import Checker, LoadContext, LoadReport
from sources.landing.table_key import is_settled
from sources.landing.writer import ORDER, Writer
from sources.raw_table import (
    LOAD_ID,
    SOURCE_ROW,
    Connection,
    audit_columns,
    ensure_raw_table,
    table_name,
)
from sources.readers.base import (
    RULE_ENCODING,
    RULE_IMPRECISE,
    RULE_MALFORMED,
    WHOLE_LINE,
    RawBatch,
    build_batch,
    problem,
    source_columns,
)
from sources.readers.workbooks.base import RULE_CELL_ERROR, RULE_NO_VALUE

MODE = "reproceso"
# Rows a change of contract brings back by itself before one load; the rest follow with the next.
AUTOMATIC_LIMIT = 100_000
_FETCH = 8_192
_RAW_INPUT = sql.Identifier("_reproceso")
_FALSE = sql.Composed([sql.SQL("false")])
_TRIED = sql.Identifier("_intento")
_TRIED_FIELDS = pa.schema(
    (
        pa.field("fila_id", pa.int64()),
        pa.field("nota", pa.string()),
        pa.field("clave", pa.list_(pa.string())),
    )
)
_IS_LINE = (
    "La línea no pudo separarse en campos y no alcanza con cambiar el contrato: pida el archivo "
    "corregido."
)
# What a reader refused: it saw bytes and cells, of which quarantine holds only the text.
_REFUSED_BY_READER: Mapping[str, str] = {
    RULE_ENCODING: "Se guardó un carácter por byte, porque no era texto válido: corrija la "
    "codificación y pida que se envíe de nuevo.",
    RULE_MALFORMED: _IS_LINE,
    **dict.fromkeys(
        (RULE_IMPRECISE, RULE_CELL_ERROR, RULE_NO_VALUE),
        "La celda no tenía un valor que pueda usarse: corrija la planilla y envíela de nuevo.",
    ),
}
_OTHER_VERSION = "Raw ya tiene otra versión de esta fila (la misma clave con otros valores)."
_REMOVED = "El origen dio de baja esta fila después de que quedó en cuarentena."


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What became of the rows tried: `read` = `loaded` + `known` + `pending`.

    `reasons` says why rows stay pending, with how many. `loads` are the load records written; none
    in a dry run, or when there was nothing to try. With an `error` nothing changed.
    """

    dataset: str
    read: int = 0
    loaded: int = 0
    known: int = 0
    pending: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    loads: tuple[int, ...] = ()
    error: PipelineError | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    """A row of `quarantine.fila`, its values as the source gave them."""

    fila_id: int
    rule: str
    values: Mapping[str, str | None]
    textual: bool


def replay(
    contract: Contract,
    context: LoadContext,
    checkers: Sequence[Checker],
    *,
    rule: str | None = None,
    only_other_contract: bool = False,
    limit: int | None = None,
    dry_run: bool = False,
) -> ReplayReport:
    """Judge the pending rows of a dataset again and load those that pass.

    `rule` takes rows kept out for that rule only; `only_other_contract` those last judged by
    another version of the contract, and `limit` the oldest so many. `dry_run` says what would
    happen and changes nothing. Raises ContractError when the raw table and the contract disagree,
    LoadRefused when the contract has another key than the table, which only a load can change.
    """
    with context.connect() as connection:
        lock(connection, contract)
        ensure_raw_table(connection, contract)
        if not is_settled(connection, contract):
            raise problem(
                LoadRefused,
                contract,
                f"el contrato tiene otra clave que {contract.raw_name}, o ninguna. No se reprocesó "
                "nada.",
                "haga antes una carga (`lujan run`): la tabla toma la clave, y la carga siguiente "
                "reprocesa las filas pendientes.",
            )
        contract = as_it_is_divided(connection, contract)
        _create_tables(connection, contract)
        choice = _choice(contract, rule, only_other_contract, limit)
        if not _try_all(connection, contract, checkers, choice):
            return ReplayReport(contract.id)
        if contract.key and contract.load_mode != "files":
            _choose_by_key(connection, contract)
        else:
            connection.execute(
                sql.SQL("insert into _entra select {}, false from {}").format(
                    sql.Identifier(ORDER), _RAW_INPUT
                )
            )
        loads = _land(connection, contract, context)
        _close(connection, contract)
        report = dataclasses.replace(_counted(connection, contract), loads=loads)
        if dry_run:
            connection.rollback()
            return dataclasses.replace(report, loads=())
    return report


def replay_after_contract_change(
    contract: Contract, context: LoadContext, make_checkers: Callable[[], Sequence[Checker]]
) -> ReplayReport | None:
    """Before a load: try again what an earlier version of the contract kept out.

    None when there is nothing to do, which costs one query. Tables read in full are left to their
    load, which judges every row again anyway. At most AUTOMATIC_LIMIT rows, each once per version
    of the contract; an error is reported, not raised, for it must not stop the load.
    """
    if contract.load_mode == "full":
        return None
    with context.connect() as connection:
        found = connection.execute(
            "select exists (select from quarantine.fila where dataset = %s "
            "and estado = 'pendiente' and contrato_sha256 is distinct from %s)",
            [contract.id, contract.sha256],
        ).fetchone()
        # The load that follows gives the table the contract's key; the next one finds these rows.
        if found != (True,) or not is_settled(connection, contract):
            return None
    try:
        return replay(
            contract, context, make_checkers(), only_other_contract=True, limit=AUTOMATIC_LIMIT
        )
    except PipelineError as error:
        return ReplayReport(contract.id, error=error)
    except psycopg.Error as error:
        refusal = refusal_of(contract, error)
        if refusal is None:
            raise  # the warehouse itself: the load would fare no better
        refusal.__cause__ = error
        return ReplayReport(contract.id, error=refusal)


def _create_tables(connection: Connection, contract: Contract) -> None:
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
            _RAW_INPUT, sql.SQL(", ").join(columns)
        )
    )
    # _intento: every row tried. _entra: rows that land; `cambia` where raw holds an older version.
    connection.execute(
        "create temporary table _intento (fila_id bigint, nota text, clave text[]) on commit drop"
    )
    connection.execute(
        "create temporary table _entra (fila_id bigint, cambia boolean) on commit drop"
    )


def _choice(
    contract: Contract, rule: str | None, only_other_contract: bool, limit: int | None
) -> sql.Composed:
    conditions = [sql.SQL("dataset = {} and estado = 'pendiente'").format(sql.Literal(contract.id))]
    if rule is not None:
        conditions.append(sql.SQL("regla = {}").format(sql.Literal(rule)))
    if only_other_contract:
        conditions.append(
            sql.SQL("contrato_sha256 is distinct from {}").format(sql.Literal(contract.sha256))
        )
    return sql.SQL(
        "select fila_id, regla, fila, es_textual, con_nul from quarantine.fila where {} "
        "order by fila_id limit {} for update"
    ).format(sql.SQL(" and ").join(conditions), sql.Literal(limit))


def _try_all(
    connection: Connection, contract: Contract, checkers: Sequence[Checker], choice: sql.Composed
) -> bool:
    """Judge every chosen row; those that pass stand in `_reproceso`. Whether there was any."""
    partitions = Partitions(connection, contract)
    checkers = [*checkers, *limits(connection, contract)]
    found = False
    with (
        connection.cursor(name="pendientes") as cursor,
        Writer(connection, _RAW_INPUT, contract, 0, with_order=True) as writer,
    ):
        cursor.execute(choice)
        while rows := cursor.fetchmany(_FETCH):
            found = True
            kept = [
                _Kept(row[0], row[1], restored(row[2], with_nul=row[4]), row[3]) for row in rows
            ]
            for textual in (True, False):
                some = [row for row in kept if row.textual is textual]
                if not some:
                    continue
                raw, notes = _as_read(contract, some)
                judged = judge(_styled(contract, textual), checkers, raw)
                notes |= {row.row_number: row.reason for row in judged.bad}
                _note(connection, contract, some, notes)
                partitions.prepare(judged.good, writer.pause)
                writer.write(judged.good, judged.rows)
                writer.pause()
    for table in ("_reproceso", "_intento"):
        connection.execute(sql.SQL("analyze {}").format(sql.Identifier(table)))
    return found


def _styled(contract: Contract, textual: bool) -> Contract:
    """The contract; without the number style of its files for values that are not the source's."""
    if textual:
        return contract
    options = {k: v for k, v in contract.options.items() if k not in ("decimal", "thousands")}
    return dataclasses.replace(contract, options=options)


def _as_read(contract: Contract, kept: Sequence[_Kept]) -> tuple[RawBatch, dict[int, str]]:
    """The rows as a reader would give them, numbered by `fila_id`; and why others are not tried."""
    notes = {row.fila_id: why for row in kept if (why := _untried(contract, row))}
    tried = [row for row in kept if row.fila_id not in notes]
    columns = {
        column.name: pa.array([row.values.get(column.name) for row in tried], pa.string())
        for column in source_columns(contract)
    }
    numbers = np.array([row.fila_id for row in tried], np.int64)
    return build_batch(contract, columns, numbers), notes


def _untried(contract: Contract, row: _Kept) -> str | None:
    if WHOLE_LINE in row.values:
        return _IS_LINE
    if row.rule in _REFUSED_BY_READER:
        return _REFUSED_BY_READER[row.rule]
    lacking = [c.name for c in source_columns(contract) if c.name not in row.values]
    known = {column.name for column in contract.columns}
    other = [n for n, value in row.values.items() if n not in known and value is not None]
    if lacking and other:
        return (
            f"Se guardó con {', '.join(other)} y el contrato tiene {', '.join(lacking)}: no se "
            "puede saber si es lo mismo con otro nombre."
        )
    return None


def _note(
    connection: Connection, contract: Contract, kept: Sequence[_Kept], notes: Mapping[int, str]
) -> None:
    style = style_of(contract, textual=kept[0].textual)
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array([row.fila_id for row in kept], pa.int64()),
            pa.array([notes.get(row.fila_id) for row in kept], pa.string()),
            keys_of(contract, [row.values for row in kept], style),
        ],
        schema=_TRIED_FIELDS,
    )
    encoder: Any = pgpq.ArrowToPostgresBinaryEncoder(_TRIED_FIELDS)
    statement = sql.SQL("copy {} from stdin (format binary)").format(_TRIED)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(encoder.write_header())
        copy.write(encoder.write_batch(batch))
        copy.write(encoder.finish())


def _choose_by_key(connection: Connection, contract: Contract) -> None:
    """Which rows land in a table with a key; the others get a note, or are known already."""
    parts = _names(contract)
    # Of several versions of one row the newest is tried: by the cursor, else the one met last.
    connection.execute(
        sql.SQL(
            "create temporary table _ultima on commit drop as select distinct on ({e_key}) e.* "
            "from {input} e join quarantine.fila f on f.fila_id = e.{order} "
            "order by {e_key}, {newest}f.ultima_vez desc, f.fila_id desc"
        ).format(**parts)
    )
    if contract.load_mode == "incremental" and contract.cursor:
        connection.execute(
            sql.SQL(
                "insert into _entra select e.{order}, true from _ultima e join {raw} t on {join} "
                "where e.{cursor} > t.{cursor}"
            ).format(**parts)
        )
    connection.execute(
        sql.SQL(
            "update _intento i set nota = {removed} from _ultima e "
            "join quarantine.fila f on f.fila_id = e.{order} "
            "where i.fila_id = e.{order} and not exists (select from {raw} t where {join}) "
            "and exists (select from raw._historial h where h.dataset = {dataset} "
            "and h.operacion = 'baja' and h.registrado_en > f.ultima_vez and {gone})"
        ).format(removed=sql.Literal(_REMOVED), **parts)
    )
    connection.execute(
        sql.SQL(
            "insert into _entra select e.{order}, false from _ultima e "
            "join _intento i on i.fila_id = e.{order} and i.nota is null "
            "where not exists (select from {raw} t where {join})"
        ).format(**parts)
    )


def _land(connection: Connection, contract: Contract, context: LoadContext) -> tuple[int, ...]:
    """Write what lands, under load records of its own; their numbers."""
    parts = _names(contract)
    in_files = contract.load_mode == "files"
    started = context.clock()
    # Of a feed only the files of which something lands get a record.
    groups = connection.execute(
        sql.SQL(
            "select f.carga_id, max(f.archivo) from _entra n join quarantine.fila f "
            "using (fila_id) group by 1 order by 1"
        )
        if in_files
        else "select null::bigint, null::text"
    ).fetchall()
    connection.execute(
        "create temporary table _carga (nueva bigint, carga_id bigint) on commit drop"
    )
    for original, _ in groups:
        connection.execute(
            "insert into _carga values (%s, %s)", [new_load_id(connection), original]
        )
    _write(connection, contract, parts)
    if contract.key and not in_files:
        _note_other_versions(connection, parts)
    numbers = []
    for original, file in groups:
        report, number = _group_report(connection, contract, original)
        origin = file or "cuarentena"
        record(connection, contract, context, report, number, started, origin, mode=MODE)
        if original is not None:
            connection.execute(
                "update meta.carga set reproceso_de = %s where carga_id = %s", [original, number]
            )
        numbers.append(number)
    return tuple(numbers)


def _write(connection: Connection, contract: Contract, parts: Mapping[str, sql.Composable]) -> None:
    connection.execute(
        sql.SQL(
            "insert into raw._historial (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'modificacion', to_jsonb(t.*), g.nueva from {raw} t, {input} e, "
            "_entra n, _carga g where n.cambia and n.fila_id = e.{order} and {join}"
        ).format(**parts)
    )
    connection.execute(
        sql.SQL(
            "update {raw} t set {set}, {load} = g.nueva from {input} e, _entra n, _carga g "
            "where n.cambia and n.fila_id = e.{order} and {join}"
        ).format(**parts)
    )
    # Equal rows of a table without a key are one row in quarantine and `veces` rows in raw.
    connection.execute(
        sql.SQL(
            "insert into {raw} ({columns}, {audit}) select {e}, g.nueva{place} from {input} e "
            "join _entra n on n.fila_id = e.{order} and not n.cambia "
            "join quarantine.fila f on f.fila_id = n.fila_id "
            "join _carga g on g.carga_id is null or g.carga_id = f.carga_id "
            "cross join generate_series(1, {weight})"
        ).format(**parts)
    )


def _note_other_versions(connection: Connection, parts: Mapping[str, sql.Composable]) -> None:
    """After landing: rows that did not land and differ from what raw holds under their key."""
    connection.execute(
        sql.SQL(
            "update _intento i set nota = {note} from {input} e, {raw} t "
            "where i.fila_id = e.{order} and i.nota is null and {join} "
            "and ({t}) is distinct from ({e}) "
            "and not exists (select from _entra n where n.fila_id = i.fila_id)"
        ).format(note=sql.Literal(_OTHER_VERSION), **parts)
    )
    # An older version of a row whose newest one did not land either.
    connection.execute(
        sql.SQL(
            "update _intento i set nota = {note} from {input} e "
            "where i.fila_id = e.{order} and i.nota is null "
            "and not exists (select from {raw} t where {join})"
        ).format(note=sql.Literal(_REMOVED), **parts)
    )


def _group_report(
    connection: Connection, contract: Contract, original: int | None
) -> tuple[LoadReport, int]:
    condition: LiteralString = "" if original is None else "where f.carga_id = %(original)s"
    counted = _count(connection, contract, condition, {"original": original})
    number = connection.execute(
        "select nueva from _carga where carga_id is not distinct from %s", [original]
    ).fetchone()
    assert number is not None
    report = LoadReport(contract.id, "cargada" if counted.loaded else "sin_cambios")
    report.read, report.loaded = counted.read, counted.loaded
    report.known, report.quarantined = counted.known, counted.pending
    return report, int(number[0])


def _close(connection: Connection, contract: Contract) -> None:
    """Say in quarantine what became of each row."""
    connection.execute(
        "update quarantine.fila f set contrato_sha256 = %(sha)s, clave = i.clave, "
        "ultimo_intento = i.nota, ultimo_intento_en = now(), "
        "estado = case when i.nota is null then 'reprocesada' else f.estado end, "
        "resuelta_en = case when i.nota is null then now() end, "
        "resolucion = case when i.nota is not null then null "
        "when n.fila_id is null then 'ya estaba en raw con los mismos valores' "
        "else 'entró con la versión ' || %(version)s || ' del contrato' end, "
        "reproceso_carga_id = case when n.fila_id is not null then (select g.nueva from _carga g "
        "where g.carga_id is null or g.carga_id = f.carga_id) end "
        "from _intento i left join _entra n on n.fila_id = i.fila_id where f.fila_id = i.fila_id",
        {"sha": contract.sha256, "version": contract.version},
    )


def _counted(connection: Connection, contract: Contract) -> ReplayReport:
    counted = _count(connection, contract, "", {})
    reasons = connection.execute(
        sql.SQL(
            "select i.nota, sum({weight})::bigint from _intento i join quarantine.fila f "
            "using (fila_id) where i.nota is not null group by 1 order by 2 desc, 1 limit 20"
        ).format(weight=_weight(contract))
    ).fetchall()
    return dataclasses.replace(counted, reasons=tuple((str(why), int(n)) for why, n in reasons))


def _count(
    connection: Connection,
    contract: Contract,
    condition: LiteralString,
    parameters: Mapping[str, Any],
) -> ReplayReport:
    row = connection.execute(
        sql.SQL(
            "select coalesce(sum({weight}), 0)::bigint, "
            "coalesce(sum({weight}) filter (where n.fila_id is not null), 0)::bigint, "
            "coalesce(sum({weight}) filter (where i.nota is not null), 0)::bigint "
            "from _intento i join quarantine.fila f using (fila_id) "
            "left join _entra n using (fila_id) {condition}"
        ).format(weight=_weight(contract), condition=sql.SQL(condition)),
        parameters,
    ).fetchone()
    assert row is not None
    read, loaded, pending = (int(value) for value in row)
    return ReplayReport(contract.id, read, loaded, read - loaded - pending, pending)


def _weight(contract: Contract) -> sql.Composable:
    """How many rows a row of quarantine stands for."""
    single = contract.load_mode == "files" or contract.key
    return sql.SQL("1") if single else sql.SQL("f.veces")


def _names(contract: Contract) -> dict[str, sql.Composable]:
    columns = [column.name for column in contract.columns]
    in_files = contract.load_mode == "files"
    place = sql.SQL(", f.numero_fila") if contract.from_files else sql.SQL("")
    audit = [LOAD_ID, SOURCE_ROW] if contract.from_files else [LOAD_ID]
    key = () if in_files else contract.key
    joined = [sql.SQL("t.{0} = e.{0}").format(sql.Identifier(name)) for name in key]
    gone = [
        sql.SQL("h.fila -> {} = to_jsonb(e.{})").format(sql.Literal(name), sql.Identifier(name))
        for name in key
    ]
    cursor = sql.Identifier(contract.cursor or columns[0])
    return {
        "raw": table_name(contract),
        "input": _RAW_INPUT,
        "dataset": sql.Literal(contract.id),
        "order": sql.Identifier(ORDER),
        "load": sql.Identifier(LOAD_ID),
        "columns": names_of(columns),
        "audit": names_of(audit),
        "place": place,
        "weight": _weight(contract),
        "e": sql.SQL(", ").join(sql.Identifier("e", name) for name in columns),
        "t": sql.SQL(", ").join(sql.Identifier("t", name) for name in columns),
        "set": sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("e", name))
            for name in columns
        ),
        "e_key": sql.SQL(", ").join(sql.Identifier("e", name) for name in key),
        "join": sql.SQL(" and ").join(joined or [_FALSE]),
        "gone": sql.SQL(" and ").join(gone or [_FALSE]),
        "cursor": cursor,
        "newest": (
            sql.SQL("e.{} desc nulls last, ").format(cursor) if contract.cursor else sql.SQL("")
        ),
    }
