"""Landing: what a reader gives goes into `raw` in one transaction, and every row is accounted for.

Belongs here: the load of one contract (or of one file of it), its load record, its quarantine, its
watermark, its drift. Does not belong here: reading (`readers/`), the rules a row must meet (they
are handed in as `Checker`s), correcting values (staging), and any word of Dagster.

Invariants held by construction:
  * rows, quarantine, load record and watermark are written by one transaction;
  * read = loaded + quarantined + already known (also a CHECK on `meta.carga`);
  * memory is bounded by a batch, whatever the size of the table;
  * two loads of one table at the same time wait for each other.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

import pgpq
import pgpq.encoders
import pgpq.schema
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql
from psycopg.types.json import Jsonb

from sources.casting import cast_batch
from sources.contract import Contract
from sources.errors import LoadRefused, PipelineError, SourceDataError
from sources.raw_table import (
    Connection,
    audit_columns,
    ensure_month_partitions,
    ensure_raw_table,
    table_name,
)
from sources.readers import (
    FeedFile,
    RawBatch,
    Reader,
    RejectedRow,
    list_files,
    open_file,
    open_reader,
)
from sources.urls import SourceUrl, redact

LoadState = Literal["cargada", "sin_cambios", "fallida", "sin_configurar"]
# Below this many rows a share says nothing: one bad row of two must not stop a load.
_REFUSAL_MIN_ROWS = 50
_INPUT = sql.Identifier("_entrada")
_ORDER = "_orden"
_HISTORY = sql.Identifier("raw", "_historial")


class RowFailure(Protocol):
    """A row a checker keeps out: where it stood, which rule, and why (no personal values)."""

    @property
    def index(self) -> int: ...
    @property
    def rule(self) -> str: ...
    @property
    def column(self) -> str | None: ...
    @property
    def reason(self) -> str: ...


class CheckedBatch(Protocol):
    """A batch after a checker: the rows that may pass and the failures of those that may not."""

    @property
    def good(self) -> pa.RecordBatch: ...
    @property
    def good_rows(self) -> pa.Int64Array: ...
    @property
    def failures(self) -> Sequence[RowFailure]: ...


class Checker(Protocol):
    """What is asked of every batch before it is written; made by `expectations`."""

    def check(self, batch: pa.RecordBatch, row_numbers: pa.Int64Array) -> CheckedBatch: ...


@dataclass(slots=True)
class LoadReport:
    """What became of one load; the sum over files for feeds of files."""

    dataset: str
    state: LoadState
    read: int = 0
    loaded: int = 0
    quarantined: int = 0
    known: int = 0
    deleted: int = 0
    source_count: int | None = None
    files: int = 0
    files_known: int = 0
    seconds: float = 0.0
    watermark: str | None = None
    reasons: Counter[str] = field(default_factory=Counter)
    errors: list[PipelineError] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether raw holds something else than before."""
        return self.loaded > 0 or self.deleted > 0

    def add(self, other: LoadReport) -> None:
        """Add one file's figures to the feed's."""
        for name in ("read", "loaded", "quarantined", "known", "deleted", "files", "files_known"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)
        self.errors.extend(other.errors)
        self.drift.extend(item for item in other.drift if item not in self.drift)


Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class LoadContext:
    """What every load of a run shares.

    `connect` opens a connection to the warehouse; `run_id` names the run in the load records;
    `progress` hears of rows as they are read.
    """

    connect: Callable[[], Connection]
    run_id: str
    batch_rows: int = 65_536
    progress: Progress = lambda rows: None
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)


def load(
    contract: Contract, url: SourceUrl | None, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Bring one dataset up to date, and say what happened.

    Never raises for what a source can do wrong: the error is in the report and in `meta.carga`,
    the table keeps its last good data. Errors of the warehouse itself are raised.
    """
    started = context.clock()
    if url is None:
        return LoadReport(contract.id, "sin_configurar")
    if contract.load_mode == "files":
        report = _load_files(contract, url, context, checkers)
    else:
        report = _load_guarded(
            contract, context, str(url), lambda: _load_table(contract, url, context, checkers)
        )
    report.seconds = (context.clock() - started).total_seconds()
    return report


# --- feeds of files -------------------------------------------------------------------------------


def _load_files(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    total = LoadReport(contract.id, "sin_cambios")
    listing: list[FeedFile] = []

    def list_them() -> LoadReport:
        listing.extend(list_files(contract, url))
        return LoadReport(contract.id, "sin_cambios")

    listed = _load_guarded(contract, context, str(url), list_them)
    total.errors.extend(listed.errors)
    with context.connect() as connection:
        known = {
            str(row[0])
            for row in connection.execute(
                "select sha256 from meta.archivo where dataset = %s", [contract.id]
            )
        }
    for file in listing:
        if file.sha256 in known:
            total.add(LoadReport(contract.id, "sin_cambios", files=1, files_known=1))
            continue
        known.add(file.sha256)
        total.add(
            _load_guarded(
                contract,
                context,
                file.name,
                lambda file=file: _load_file(contract, file, context, checkers),  # type: ignore[misc]
            )
        )
    if total.errors:
        total.state = "fallida"
    elif total.files > total.files_known:
        total.state = "cargada"
    return total


def _load_file(
    contract: Contract, file: FeedFile, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Append one file to raw. Copied straight into the table: a roll-back leaves nothing."""
    started = context.clock()
    with context.connect() as connection:
        _lock(connection, contract)
        if _file_is_known(connection, contract, file):
            return LoadReport(contract.id, "sin_cambios", files=1, files_known=1)
        ensure_raw_table(connection, contract)
        load_id = _new_load_id(connection)
        report = LoadReport(contract.id, "cargada", files=1)
        quarantine = _Quarantine(connection, contract, load_id, context.clock())
        with open_file(contract, file, batch_rows=context.batch_rows) as reader:
            _note_drift(connection, contract, reader, load_id, report)
            writer = _Writer(connection, table_name(contract), contract, load_id)
            for batch, rows in _checked(
                reader.batches(), contract, checkers, quarantine, report, context.progress
            ):
                _prepare_partitions(connection, contract, batch)
                writer.write(batch, rows)
            _finish_reading(reader, report)
        report.loaded = report.read - report.quarantined
        _refuse_if_mostly_bad(contract, report, file.name)
        _record(connection, contract, context, report, load_id, started, file.name)
        connection.execute(
            "insert into meta.archivo (dataset, sha256, nombre, bytes, filas_leidas, "
            "filas_cuarentena, carga_id) values (%s, %s, %s, %s, %s, %s, %s)",
            [contract.id, file.sha256, file.name, file.bytes, report.read,
             report.quarantined, load_id],
        )  # fmt: skip
    return report


def _file_is_known(connection: Connection, contract: Contract, file: FeedFile) -> bool:
    """Asked again under the lock: another run may have loaded it meanwhile."""
    found = connection.execute(
        "select 1 from meta.archivo where dataset = %s and sha256 = %s", [contract.id, file.sha256]
    ).fetchone()
    return found is not None


def _prepare_partitions(connection: Connection, contract: Contract, batch: pa.RecordBatch) -> None:
    if not contract.partition_by or batch.num_rows == 0:
        return
    months = pc.unique(
        pc.cast(pc.floor_temporal(batch.column(contract.partition_by), unit="month"), pa.date32())
    )
    ensure_month_partitions(connection, contract, sorted(m for m in months.to_pylist() if m))


# --- tables ---------------------------------------------------------------------------------------


def _load_table(
    contract: Contract, url: SourceUrl, context: LoadContext, checkers: Sequence[Checker]
) -> LoadReport:
    """Merge a table into raw by its key, so that readers never see it empty or half written."""
    started = context.clock()
    with context.connect() as connection:
        _lock(connection, contract)
        ensure_raw_table(connection, contract)
        watermark = _watermark(connection, contract)
        load_id = _new_load_id(connection)
        report = LoadReport(contract.id, "sin_cambios", watermark=watermark)
        quarantine = _Quarantine(connection, contract, load_id, context.clock())
        _create_input(connection, contract)
        with open_reader(
            contract, url, watermark=watermark, batch_rows=context.batch_rows
        ) as reader:
            report.source_count = reader.source_count()
            _note_drift(connection, contract, reader, load_id, report)
            writer = _Writer(connection, _INPUT, contract, load_id, with_order=True)
            for batch, rows in _checked(
                reader.batches(), contract, checkers, quarantine, report, context.progress
            ):
                writer.write(batch, rows)
            origin = reader.description
            _finish_reading(reader, report)
        _move_repeated_keys(connection, contract, quarantine, report)
        _refuse_if_mostly_bad(contract, report, origin)
        _merge(connection, contract, report, quarantine, load_id)
        if contract.load_mode == "full":
            quarantine.close_absent()
        if contract.cursor:
            report.watermark = _store_watermark(connection, contract, load_id) or watermark
        report.state = "cargada" if report.changed or quarantine.new_rows else "sin_cambios"
        _record(connection, contract, context, report, load_id, started, origin)
    return report


def _create_input(connection: Connection, contract: Contract) -> None:
    """The temporary table a load is read into; it goes with the transaction."""
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.pg_type))
        for c in contract.columns
    ]
    columns += [
        sql.SQL("{} bigint").format(sql.Identifier(name))
        for name in (*audit_columns(contract), _ORDER)
    ]
    connection.execute(
        sql.SQL("create temporary table {} ({}) on commit drop").format(
            _INPUT, sql.SQL(", ").join(columns)
        )
    )


def _move_repeated_keys(
    connection: Connection, contract: Contract, quarantine: _Quarantine, report: LoadReport
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
        input=_INPUT,
        key=_names(contract.key),
        order=sql.Identifier(_ORDER),
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
    quarantine: _Quarantine,
    load_id: int,
) -> None:
    connection.execute(sql.SQL("analyze {}").format(_INPUT))
    good = report.read - report.quarantined
    if not contract.key:
        _replace_without_key(connection, contract, report, good)
        return
    columns = [column.name for column in contract.columns]
    parts = {
        "raw": table_name(contract),
        "input": _INPUT,
        "history": _HISTORY,
        "join": sql.SQL(" and ").join(
            sql.SQL("t.{0} = e.{0}").format(sql.Identifier(name)) for name in contract.key
        ),
        "t": sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(n)) for n in columns),
        "e": sql.SQL(", ").join(sql.SQL("e.{}").format(sql.Identifier(n)) for n in columns),
        "all": _names([*columns, *audit_columns(contract)]),
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
    columns = _names([column.name for column in contract.columns])
    parts = {"raw": table_name(contract), "input": _INPUT, "columns": columns}
    differs = connection.execute(
        sql.SQL(
            "select exists ((select {columns} from {input} except all select {columns} from {raw}) "
            "union all (select {columns} from {raw} except all select {columns} from {input}))"
        ).format(**parts)
    ).fetchone()
    if differs == (False,):
        report.known = good
        return
    names = _names([*(c.name for c in contract.columns), *audit_columns(contract)])
    report.deleted = connection.execute(
        sql.SQL("delete from {}").format(table_name(contract))
    ).rowcount
    connection.execute(
        sql.SQL("insert into {raw} ({names}) select {names} from {input}").format(
            names=names, **parts
        )
    )
    report.loaded = good


def _watermark(connection: Connection, contract: Contract) -> str | None:
    if contract.load_mode != "incremental":
        return None
    row = connection.execute(
        "select valor from meta.marca where dataset = %s and columna = %s",
        [contract.id, contract.cursor],
    ).fetchone()
    return None if row is None else str(row[0])


def _store_watermark(connection: Connection, contract: Contract, load_id: int) -> str | None:
    """The highest cursor value read so far; it never goes back."""
    cursor = contract.cursor or ""
    kind = contract.column(cursor).pg_type
    row = connection.execute(
        sql.SQL("select max({}) from {}").format(sql.Identifier(cursor), _INPUT)
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


# --- shared steps ---------------------------------------------------------------------------------

_Result = TypeVar("_Result")


def _load_guarded(
    contract: Contract, context: LoadContext, origin: str, action: Callable[[], LoadReport]
) -> LoadReport:
    """Run one load; what a source did wrong becomes a failed load record and a report."""
    started = context.clock()
    try:
        return action()
    except PipelineError as error:
        error.dataset = error.dataset or contract.id
        error.owner = error.owner or contract.owner
        failure = error
    except psycopg.Error:
        raise  # the warehouse itself: no other table would fare better
    except Exception as error:  # a reader met what nobody foresaw: the other datasets go on
        failure = SourceDataError(
            f"no se pudo leer {redact(origin)}: {redact(str(error) or type(error).__name__)}.",
            dataset=contract.id,
            owner=contract.owner,
            next_step="revise el origen; la tabla conserva sus últimos datos buenos.",
        )
        failure.__cause__ = error
    report = LoadReport(contract.id, "fallida", errors=[failure])
    _record_outcome(contract, context, report, started, origin)
    return report


def _checked(
    batches: Iterable[RawBatch],
    contract: Contract,
    checkers: Sequence[Checker],
    quarantine: _Quarantine,
    report: LoadReport,
    progress: Progress,
) -> Iterator[tuple[pa.RecordBatch, pa.Int64Array]]:
    """Cast and check each batch; what does not pass goes to quarantine, the rest is yielded."""
    for raw in batches:
        cast = cast_batch(contract, raw)
        bad = list(cast.rejected)
        report.read += cast.good.num_rows + len(bad)
        batch, rows = cast.good, cast.rows
        for checker in checkers:
            checked = checker.check(batch, rows)
            bad.extend(_refused(batch, rows, checked.failures))
            batch, rows = checked.good, checked.good_rows
        quarantine.add(bad, raw.file)
        report.quarantined += len(bad)
        report.reasons.update(row.rule for row in bad)
        progress(report.read)
        yield batch, rows


def _refused(
    batch: pa.RecordBatch, rows: pa.Int64Array, failures: Sequence[RowFailure]
) -> list[RejectedRow]:
    """One quarantined row per failing row, with the first rule that it broke and all reasons."""
    by_index: dict[int, list[RowFailure]] = {}
    for failure in failures:
        by_index.setdefault(failure.index, []).append(failure)
    if not by_index:
        return []
    indices = sorted(by_index)
    values = batch.take(pa.array(indices, pa.int64())).to_pylist()
    return [
        RejectedRow(
            row_number=rows[index].as_py(),
            rule=by_index[index][0].rule,
            column=by_index[index][0].column,
            reason="; ".join(dict.fromkeys(failure.reason for failure in by_index[index])),
            values={name: _as_text(value) for name, value in row.items()},
        )
        for index, row in zip(indices, values, strict=True)
    ]


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _finish_reading(reader: Reader, report: LoadReport) -> None:
    """A database that gave another number of rows than it counted changed its mind mid-read."""
    if report.source_count is not None and report.source_count != report.read:
        raise SourceDataError(
            f"el origen contó {report.source_count} filas y entregó {report.read}.",
            next_step="vuelva a ejecutar; si se repite, revise la conexión con el sistema.",
        )


def _refuse_if_mostly_bad(contract: Contract, report: LoadReport, origin: str) -> None:
    share = report.quarantined / report.read if report.read else 0.0
    if report.read < _REFUSAL_MIN_ROWS or share <= contract.max_quarantine_share:
        return
    reasons = ", ".join(f"{rule} ({count})" for rule, count in report.reasons.most_common(3))
    raise LoadRefused(
        f"{redact(origin)}: {report.quarantined} de {report.read} filas no pasan ({reasons}); "
        f"el máximo admitido es {contract.max_quarantine_share:.0%}. No se cargó nada y la tabla "
        "conserva sus últimos datos buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step="corrija el origen o el contrato y vuelva a ejecutar.",
    )


class _Writer:
    """COPY of Arrow batches, in PostgreSQL's binary format."""

    def __init__(
        self,
        connection: Connection,
        target: sql.Identifier,
        contract: Contract,
        load_id: int,
        *,
        with_order: bool = False,
    ) -> None:
        self._connection = connection
        self._contract = contract
        self._load_id = pa.scalar(load_id, pa.int64())
        self._with_order = with_order
        extra = [*audit_columns(contract), *([_ORDER] if with_order else [])]
        self._schema = pa.schema(
            [*contract.arrow_schema, *(pa.field(name, pa.int64()) for name in extra)]
        )
        self._encoders = {f.name: _encoder(f, contract) for f in self._schema}
        self._statement = sql.SQL("copy {} ({}) from stdin (format binary)").format(
            target, _names(self._schema.names)
        )

    def write(self, batch: pa.RecordBatch, rows: pa.Int64Array) -> None:
        """Append a batch of the contract's schema; `rows` are its source row numbers."""
        if batch.num_rows == 0:
            return
        arrays = [*batch.columns, pa.repeat(self._load_id, batch.num_rows)]
        if self._contract.from_files:
            arrays.append(rows)
        if self._with_order:
            arrays.append(rows)
        encoder: Any = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(
            self._schema, self._encoders
        )
        with (
            self._connection.cursor() as cursor,
            cursor.copy(self._statement) as copy,
        ):
            copy.write(encoder.write_header())
            copy.write(encoder.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema)))
            copy.write(encoder.finish())


def _encoder(field_: pa.Field[Any], contract: Contract) -> Any:
    if field_.name in contract.arrow_schema.names:
        column = contract.column(field_.name)
        if column.pg_type == "jsonb":
            return pgpq.encoders.StringEncoderBuilder.new_with_output(field_, pgpq.schema.Jsonb())
    return pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field_)


class _Quarantine:
    """Writes rows kept out of raw, batch by batch, inside the load's transaction."""

    def __init__(
        self, connection: Connection, contract: Contract, load_id: int, now: dt.datetime
    ) -> None:
        self._connection = connection
        self._contract = contract
        self._load_id = load_id
        self._now = now
        self.new_rows = 0
        self._kept: list[tuple[str, ...]] = []

    def add(self, rows: Sequence[RejectedRow], file: str | None = None) -> None:
        """Store rows (of `file`, for feeds); one met again only gets a new `ultima_vez`."""
        if not rows:
            return
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


def _note_drift(
    connection: Connection, contract: Contract, reader: Reader, load_id: int, report: LoadReport
) -> None:
    """Columns at the source that the contract does not name: loaded without them, and reported."""
    expected = {column.source_name.strip().casefold() for column in contract.columns}
    for name in reader.columns():
        if name.strip().casefold() in expected:
            continue
        report.drift.append(f"columna nueva en el origen: {name}")
        connection.execute(
            "insert into meta.deriva (dataset, carga_id, tipo, columna, detalle, accion) "
            "values (%s, %s, 'columna_nueva', %s, %s, %s) "
            "on conflict (dataset, tipo, columna, detalle) "
            "do update set visto_por_ultima_vez = now()",
            [contract.id, load_id, name, "existe en el origen y no en el contrato",
             "no se carga hasta que el contrato la clasifique"],
        )  # fmt: skip


def _lock(connection: Connection, contract: Contract) -> None:
    """One load of a raw table at a time; freed with the transaction."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"raw.{contract.landing_table}"]
    )


def _new_load_id(connection: Connection) -> int:
    row = connection.execute(
        "select nextval(pg_get_serial_sequence('meta.carga', 'carga_id'))"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _record_outcome(
    contract: Contract,
    context: LoadContext,
    report: LoadReport,
    started: dt.datetime,
    origin: str | None,
) -> None:
    """A load record for what did not load; in a transaction of its own."""
    with context.connect() as connection:
        _record(connection, contract, context, report, _new_load_id(connection), started, origin)


def _record(
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


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
