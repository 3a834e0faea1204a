"""What becomes of the rows a load was read into: compared with raw once, then only changes written.

Belongs here: the statements that compare and that change raw, its history, and the refusal to
remove too much. Does not belong here: filling the temporary table (`intake.py`), the flow of a load
(`tables.py`).

Raw and what was read are joined once by the key. What differs goes into a temporary table with the
earlier version beside it, and raw is changed from there: unchanged rows keep their place, and
readers see the old state or the new one. The statements run on PostgreSQL 15 and later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from sources.contract import Contract
from sources.errors import LoadRefused
from sources.landing.intake import INPUT, Intake, create_input, set_aside_repeated
from sources.landing.keys import SOURCE_KEYS
from sources.landing.quarantine import Quarantine
from sources.landing.records import names_of
from sources.landing.report import LoadReport
from sources.landing.writer import ORDER
from sources.raw_table import LOAD_ID, Connection, audit_columns, table_name
from sources.wording import number, percent

CHANGES = sql.Identifier("_cambios")
_HISTORY = sql.Identifier("raw", "_historial")
# From this many rows on the planner needs to know them: an ANALYZE costs 0.03 to 0.15 s.
_ANALYZE_ROWS = 100_000
_JOIN_MEMORY = "64MB"


@dataclass(slots=True)
class Merge:
    """One load's merge into raw. `whole` tells that all rows of the source were read."""

    connection: Connection
    contract: Contract
    report: LoadReport
    quarantine: Quarantine
    intake: Intake
    load_id: int
    whole: bool

    def compare(self) -> None:
        """Find what differs, and set aside rows whose key came twice. Changes nothing in raw."""
        if self.intake.straight:
            self.intake.settle_straight(self.quarantine, self.report)
            return
        if not self.intake.wrote:
            if not self.whole:
                return
            create_input(self.connection, self.contract)
        if self.whole or self._waiting > _ANALYZE_ROWS:
            self._prepare_for_many()
        if not self.contract.key:
            return
        if self.whole:
            self._compare_whole()
        else:
            self._compare_increment()
        if self.contract.load_mode == "append":
            self._refuse_changes()

    def apply(self) -> None:
        """Write the changes, earlier versions into the history, and count all in the report.

        Raises LoadRefused when more rows than the contract admits would be removed.
        """
        if self.intake.straight:
            self.report.loaded = self._good
        elif not self.intake.wrote and not self.whole:
            return
        elif self.contract.key:
            self._apply_changes()
        elif self.whole:
            self._replace_without_key()
        else:
            self._append_without_key()
        self.report.known = self._good - self.report.loaded

    @property
    def _good(self) -> int:
        return self.report.read - self.report.quarantined

    @property
    def _waiting(self) -> int:
        return self._good - self.intake.beyond

    def _prepare_for_many(self) -> None:
        widen_memory(self.connection)
        if self._waiting > _ANALYZE_ROWS:
            self._run("analyze {input}")

    def _compare_whole(self) -> None:
        """One pass over both. A row of raw meets one row at most: a surplus is repeated keys."""
        kept = self.quarantine.kept_condition()
        stood = self._count(table_name(self.contract))
        self._find_changes(kept)
        found = self._changes_by_kind()
        met_here = self._good - found.get("alta", 0)
        met_there = stood - found.get("baja", 0) - found.get("retenida", 0)
        if met_here != met_there or self._has_repeated(CHANGES, sql.SQL("_cambio = 'alta'")):
            self.intake.move_repeated(self.quarantine, self.report)
            self._run("drop table {changes}")
            self._find_changes(kept)
            found = self._changes_by_kind()
        refuse_mass_deletion(self.contract, found.get("baja", 0), stood)

    def _compare_increment(self) -> None:
        """Keys beyond the highest of raw meet nothing there: they are not looked for."""
        if not self.intake.ascends and (
            self.intake.beyond or self._has_repeated(INPUT, sql.SQL("true"))
        ):
            self.intake.move_repeated(self.quarantine, self.report)
        self._find_changes(sql.SQL("false"))

    def _find_changes(self, kept: sql.Composable) -> None:
        """Fill `CHANGES`: each row that differs, the earlier version and its key beside it."""
        first = self.contract.key[0]
        self._run(
            "create temporary table {changes} on commit drop as select "
            "case when _r.{first} is null then 'alta' when _e.{first} is not null "
            "then 'modificacion' when {kept} then 'retenida' else 'baja' end as _cambio, "
            "case when _r.{first} is not null then to_jsonb(_r) end as _antes, {keys}, _e.* "
            "from {raw} _r {kind} join {input} _e on {match} "
            "where {among} "
            "and (_r.{first} is null or _e.{first} is null or ({t}) is distinct from ({e}))",
            first=sql.Identifier(first),
            kept=kept,
            among=sql.SQL("true") if self.whole else self._parts()["within"],
            kind=sql.SQL("full" if self.whole else "right"),
            keys=sql.SQL(", ").join(
                sql.SQL("_r.{} as {}").format(sql.Identifier(name), sql.Identifier(f"_clave_{at}"))
                for at, name in enumerate(self.contract.key)
            ),
        )

    def _changes_by_kind(self) -> dict[str, int]:
        rows = self._run("select _cambio, count(*) from {changes} group by 1").fetchall()
        return {str(kind): int(count) for kind, count in rows}

    def _apply_changes(self) -> None:
        self._run(
            "insert into {history} (dataset, operacion, fila, carga_id) "
            "select {dataset}, _cambio, _antes, {load} from {changes} "
            "where _cambio in ('modificacion', 'baja')"
        )
        updated = self._run(
            "update {raw} _r set {set} from {changes} _e "
            "where {old} and _e._cambio = 'modificacion'"
        ).rowcount
        inserted = self._insert_new()
        if self.whole:
            self.report.deleted = self._run(
                "delete from {raw} _r using {changes} _e where {old} and _e._cambio = 'baja'"
            ).rowcount
        self.report.loaded = inserted + updated + self.intake.beyond

    def _insert_new(self) -> int:
        """Rows that met nothing: those compared, and of an increment those beyond all of raw."""
        statement = "insert into {raw} ({all}) select {all} from {changes} where _cambio = 'alta'"
        if not self.whole:
            statement += " union all select {all} from {input} _e where not {within}"
        return int(self._run(statement).rowcount)

    def _refuse_changes(self) -> None:
        """What `append` brought once does not change: another version is set aside, not written."""
        set_aside_repeated(
            self.connection, self.contract, self.quarantine, self.report,
            sql.SQL("select {order}, {texts} from {changes} where _cambio = 'modificacion'").format(
                **self._parts()
            ),
            "ya está cargada con otros valores y la tabla solo recibe filas nuevas",
        )  # fmt: skip
        self._run("delete from {changes} where _cambio = 'modificacion'")

    def _append_without_key(self) -> None:
        """Add what raw lacks, equal rows counted: as many of them as the source has, no more.

        Raw rows below the lowest cursor value read cannot equal any of them.
        """
        self.report.loaded = self._run(
            "insert into {raw} ({columns}, {load_id}) select {columns}, {load} from ("
            "select {columns}, sum(_n) as _n from ("
            "select {columns}, 1 as _n from {input} union all "
            "select {columns}, -1 from {raw} where {cursor} is null "
            "or {cursor} >= (select min({cursor}) from {input})) as _todas "
            "group by {columns} having sum(_n) > 0) as _nuevas, generate_series(1, _n::bigint) "
            "order by {cursor}",
            cursor=sql.Identifier(self.contract.cursor or ""),
            load_id=sql.Identifier(LOAD_ID),
        ).rowcount

    def _replace_without_key(self) -> None:
        """A table without key: equal rows are counted, and only the difference is written."""
        stood = self._count(table_name(self.contract))
        differs = self._run(
            "select exists (select from (select {columns}, 1 as _n from {input} union all "
            "select {columns}, -1 from {raw}) as _todas group by {columns} having sum(_n) <> 0)"
        ).fetchone()
        if differs == (False,):
            return
        # The n-th of equal rows here meets the n-th there.
        self._run(
            "create temporary table {changes} on commit drop as select "
            "_r._lugar, _r._parte, _e._place from "
            "(select ctid as _lugar, tableoid as _parte, ({row})::text as _texto, row_number() "
            "over (partition by ({row})::text order by ctid) as _turno from {raw}) _r full join "
            "(select ctid as _place, ({row})::text as _texto, row_number() "
            "over (partition by ({row})::text order by {order}) as _turno from {input}) _e "
            "on _r._texto = _e._texto and _r._turno = _e._turno "
            "where _r._lugar is null or _e._place is null",
            row=sql.SQL("row({})").format(names_of(c.name for c in self.contract.columns)),
        )
        # A changed row is one gone and one new: what counts is by how much the table would shrink.
        shrinks = self._run("select count(_lugar) - count(_place) from {changes}").fetchone()
        assert shrinks is not None
        refuse_mass_deletion(self.contract, int(shrinks[0]), stood)
        self.report.deleted = self._run(
            "with _gone as (delete from {raw} _r using {changes} _e "
            "where _r.ctid = _e._lugar and _r.tableoid = _e._parte returning _r.*) "
            "insert into {history} (dataset, operacion, fila, carga_id) "
            "select {dataset}, 'baja', to_jsonb(_gone), {load} from _gone"
        ).rowcount
        self.report.loaded = self._run(
            "insert into {raw} ({all}) select {all} from {input} i "
            "where i.ctid in (select _place from {changes} where _place is not null) "
            "order by {order}"
        ).rowcount

    def _has_repeated(self, table: sql.Identifier, where: sql.Composable) -> bool:
        row = self._run(
            "select exists (select from {table} where {where} group by {key} having count(*) > 1)",
            table=table,
            where=where,
        ).fetchone()
        return bool(row and row[0])

    def _count(self, table: sql.Identifier) -> int:
        row = self._run("select count(*) from {table}", table=table).fetchone()
        assert row is not None
        return int(row[0])

    def _run(self, text: str, **own: sql.Composable) -> Any:
        return self.connection.execute(sql.SQL(text).format(**self._parts(), **own))

    def _parts(self) -> dict[str, sql.Composable]:
        contract = self.contract
        columns = [column.name for column in contract.columns]
        declared = [column.name for column in contract.declared]
        # What `append` brought once is not another row because the source has one column more.
        compared = declared if contract.load_mode == "append" else columns
        everything = [*columns, *audit_columns(contract)]

        def each(pattern: str, names: list[str], by: str = ", ") -> sql.Composed:
            return sql.SQL(by).join(sql.SQL(pattern).format(sql.Identifier(n)) for n in names)

        return {
            "raw": table_name(contract),
            "input": INPUT,
            "changes": CHANGES,
            "history": _HISTORY,
            "key": names_of(contract.key),
            "match": each("_r.{0} = _e.{0}", list(contract.key), " and "),
            "old": sql.SQL(" and ").join(
                sql.SQL("_r.{} = _e.{}").format(
                    sql.Identifier(name), sql.Identifier(f"_clave_{at}")
                )
                for at, name in enumerate(contract.key)
            ),
            "t": each("_r.{}", compared),
            "e": each("_e.{}", compared),
            # Not `max`: booleans have none.
            "within": sql.SQL(
                "coalesce(_e.{0} <= (select {0} from {1} order by {0} desc limit 1), false)"
            ).format(names_of(contract.key[:1]), table_name(contract)),
            "columns": names_of(columns),
            "texts": each("{}::text", declared),
            "all": names_of(everything),
            "set": each("{0} = _e.{0}", everything),
            "order": sql.Identifier(ORDER),
            "dataset": sql.Literal(contract.id),
            "load": sql.Literal(self.load_id),
        }


def widen_memory(connection: Connection) -> None:
    """Memory for joins of whole tables, to the end of the transaction; never less than before."""
    connection.execute(
        "select set_config('work_mem', greatest(pg_size_bytes(%s), "
        "pg_size_bytes(current_setting('work_mem'))) / 1024 || 'kB', true)",
        [_JOIN_MEMORY],
    )


def remove_gone(
    connection: Connection, contract: Contract, load_id: int, report: LoadReport
) -> tuple[int, int]:
    """Remove the rows whose key is not in `SOURCE_KEYS`; gives removed and missing.

    Missing are keys of the source that raw lacks and quarantine does not hold: rows that came with
    a cursor value older than the look-back. Raises LoadRefused when too much would be removed.
    """
    raw = table_name(contract)
    match = sql.SQL(" and ").join(
        sql.SQL("_r.{0} = c.{0}").format(sql.Identifier(name)) for name in contract.key
    )
    parts = {
        "raw": raw, "keys": SOURCE_KEYS, "match": match, "history": _HISTORY,
        "first": sql.Identifier(contract.key[0]), "dataset": sql.Literal(contract.id),
        "load": sql.Literal(load_id), "changes": sql.Identifier("_ausentes"),
        "t": sql.SQL(", ").join(sql.SQL("_r.{}").format(sql.Identifier(n)) for n in contract.key),
    }  # fmt: skip
    widen_memory(connection)
    connection.execute(sql.SQL("analyze {keys}").format(**parts))
    connection.execute(
        sql.SQL(
            "create temporary table {changes} on commit drop as select {t} from {raw} _r "
            "where not exists (select from {keys} c where {match})"
        ).format(**parts)
    )
    row = connection.execute(
        sql.SQL(
            "select (select count(*) from {changes}), (select count(*) from {raw}), "
            "(select count(*) from {keys})"
        ).format(**parts)
    ).fetchone()
    assert row is not None
    gone, stood, at_source = (int(value) for value in row)
    refuse_mass_deletion(contract, gone, stood)
    if gone:
        report.deleted += connection.execute(
            sql.SQL(
                "with _gone as (delete from {raw} _r using {changes} c where {match} "
                "returning _r.*) "
                "insert into {history} (dataset, operacion, fila, carga_id) "
                "select {dataset}, 'baja', to_jsonb(_gone), {load} from _gone"
            ).format(**parts)
        ).rowcount
    # What the source has beyond raw is a key raw lacks, or one that comes twice there.
    if at_source == stood - gone:
        return gone, 0
    return gone, _count_missing(connection, contract)


def _count_missing(connection: Connection, contract: Contract) -> int:
    """Keys of the source that neither raw nor the rows in quarantine have."""
    row = connection.execute(
        sql.SQL(
            "select count(*) from (select distinct {key} from {keys}) c "
            "where not exists (select from {raw} _r where {match}) and not exists "
            "(select from (select {held} from quarantine.fila where dataset = {dataset} "
            "and contrato_sha256 = {sha} and clave is not null offset 0) _r where {match})"
        ).format(
            key=names_of(contract.key),
            keys=SOURCE_KEYS,
            raw=table_name(contract),
            match=sql.SQL(" and ").join(
                sql.SQL("_r.{0} = c.{0}").format(sql.Identifier(name)) for name in contract.key
            ),
            dataset=sql.Literal(contract.id),
            # Keys judged by this very contract are of its types.
            sha=sql.Literal(contract.sha256),
            held=sql.SQL(", ").join(
                sql.SQL("clave[{}]::{} as {}").format(
                    sql.Literal(at), sql.SQL(contract.column(name).pg_type), sql.Identifier(name)
                )
                for at, name in enumerate(contract.key, start=1)
            ),
        )
    ).fetchone()
    assert row is not None
    return int(row[0])


def refuse_mass_deletion(contract: Contract, gone: int, stood: int) -> None:
    """A source that lost much of a table at once is more likely cut short than right.

    Raises LoadRefused when more than the contract's `maxDeletionShare` of the `stood` rows of raw,
    50 at least, would be removed.
    """
    if contract.may_lose(gone, stood):
        return
    raise LoadRefused(
        f"el sistema {contract.system} ya no tiene {number(gone)} de las {number(stood)} filas de "
        f"{contract.raw_name}; el máximo admitido es {percent(contract.max_deletion_share)}. No se "
        "cargó ni se borró nada y la tabla conserva sus últimos datos buenos.",
        dataset=contract.id,
        owner=contract.owner,
        next_step="confirme con el área si las bajas son ciertas; si lo son, suba "
        f"`maxDeletionShare` (hasta 1) en {contract.path.name} y vuelva a ejecutar.",
    )
