"""What the attacks share: a source in two states, and the comparison with a clean run.

Belongs here: the scenarios (one per load mode), the tables that count, what a broken load may not
leave behind. Does not belong here: the ways of breaking a load (`tests/support/`, the tests).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg import sql

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.landing import LoadContext, LoadReport, load
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract
from tests.support.mariadb import MariaDb
from tests.support.processes import APPLICATION, Job
from tests.support.ways import Ways, watched

KEY = [column("cuenta_id", "integer", key=True)]
NO_KEY = [column("cuenta_id", "integer")]
# `saldo` is text at the source: what is no number there goes to quarantine.
REST = [
    column("nombre"),
    column("saldo", "numeric(10,2)"),
    column("actualizado_en", "timestamp"),
]
TABLE_MODES = ("full", "full_without_key", "incremental", "append")
MODES = (*TABLE_MODES, "files")
# All of the table, read over several connections.
IN_PARTS = "full_in_parts"
_PARTS = 3
# Of these some new rows wait for the merge, and some are written into raw at once.
BEYOND_MODES = ("incremental", "append")
# What must be new at the end of a batch to be written so: batches here are small.
_WORTH_ROWS = 20
_LEFT_BEHIND_S = 10.0


class Database(Protocol):
    """A source: its address, and a session with every right."""

    url: str
    kind: str

    def run(self, *statements: str) -> None: ...


@dataclass(frozen=True)
class PostgresSource:
    url: str
    kind: str = "postgresql"
    row: str = (
        "select n, 'Cuenta ' || n, case when n % 997 = 0 then 'roto ' || n "
        "else (n % 5000) || '.25' end, timestamp '2026-06-01 00:00:00' + n * interval '1 second' "
        "from generate_series({first}, {last}) n"
    )

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@dataclass(frozen=True)
class MariaSource:
    server: MariaDb
    kind: str = "mysql"
    row: str = (
        "select seq, concat('Cuenta ', seq), if(seq % 997 = 0, concat('roto ', seq), "
        "concat(seq % 5000, '.25')), timestamp '2026-06-01 00:00:00' + interval seq second "
        "from seq_{first}_to_{last}"
    )

    @property
    def url(self) -> str:
        return self.server.url

    def run(self, *statements: str) -> None:
        connection = self.server.connect()
        with connection.cursor() as cursor:
            cursor.execute("begin")
            for statement in statements:
                cursor.execute(statement)
            cursor.execute("commit")
        connection.close()


TableSource = PostgresSource | MariaSource


def create_table(source: TableSource, rows: int) -> None:
    """A table `cuentas` of accounts 1 to `rows`; each 997th has a balance that is no number."""
    source.run(
        "drop table if exists cuentas",
        "create table cuentas (cuenta_id integer not null, nombre varchar(80), saldo varchar(20), "
        "actualizado_en timestamp not null)",
        insertion(source, 1, rows),
    )


def insertion(source: TableSource, first: int, last: int) -> str:
    return f"insert into cuentas {source.row.format(first=first, last=last)}"


def table_contract(folder: Path, mode: str, kind: str = "postgresql", **options: Any) -> Contract:
    """The contract of `cuentas` for one of TABLE_MODES, or IN_PARTS."""
    folder.mkdir(parents=True, exist_ok=True)
    key = NO_KEY if mode == "full_without_key" else KEY
    settings: dict[str, Any] = {"loadMode": mode.partition("_")[0]}
    if mode == IN_PARTS:
        settings |= {"parallelRanges": _PARTS, "maxConnections": _PARTS}
    if mode in ("incremental", "append"):
        settings["cursor"] = "actualizado_en"
    return make_contract(folder, kind, [*key, *REST], table="cuentas", **settings, **options)


FEED_COLUMNS = [
    column("medidor_id"),
    column("fecha_hora", "timestamp"),
    column("lectura", "numeric(10,2)"),
]


def feed_contract(folder: Path, **options: Any) -> Contract:
    folder.mkdir(parents=True, exist_ok=True)
    return make_contract(folder, "csv", FEED_COLUMNS, loadMode="files", **options)


def write_feed(folder: Path, days: Sequence[int], rows: int) -> None:
    """One file a day of June; in each, every 997th reading is no number."""
    folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        lines = [
            f"m{n},2026-06-{day:02d} {n // 60 % 24:02d}:{n % 60:02d}:00,"
            f"{'roto' if n % 997 == 0 else f'{n}.25'}"
            for n in range(1, rows + 1)
        ]
        path = folder / f"dia_{day:02d}.csv"
        path.write_text("\n".join(["medidor_id,fecha_hora,lectura", *lines, ""]), encoding="utf-8")


@dataclass(frozen=True)
class Scenario:
    """A dataset whose source holds a first state; `change` makes it the second.

    `ways` are those of the loads made in this process.
    """

    contract: Contract
    url: str
    change: Callable[[], None] = field(repr=False)
    batch_rows: int = 1000
    ways: Ways = field(default_factory=Ways, repr=False)

    def load(self, warehouse: Warehouse, **options: Any) -> LoadReport:
        """One load, in this process."""
        settings = {"batch_rows": self.batch_rows} | options
        context = LoadContext(
            connect=lambda: warehouse.connect(application_name=APPLICATION),
            run_id="prueba",
            **settings,
        )
        with watched(self.ways, worth_rows=_WORTH_ROWS):
            return load(self.contract, SourceUrl.parse(self.url), context, [])

    def job(self, warehouse: Warehouse, **options: Any) -> Job:
        """The same load, for a process of its own."""
        return Job(
            contract=self.contract.path,
            source=self.url,
            warehouse=warehouse.url,
            batch_rows=self.batch_rows,
            worth_rows=_WORTH_ROWS,
            **options,
        )


def table_scenario(
    folder: Path, source: TableSource, mode: str, rows: int, **options: Any
) -> Scenario:
    """`rows` accounts; then some are added, changed, broken, mended and (except in append) gone.

    Some of the new ones have a key below all that were known, and come last.
    """
    create_table(source, rows)
    later = "actualizado_en = timestamp '2026-06-20 00:00:00'"
    mended = "saldo = '1.00'"
    broken = f"saldo = 'roto', {later}"
    statements = [
        insertion(source, rows + 1, rows + rows // 5),
        f"update cuentas set cuenta_id = -cuenta_id, {later} where cuenta_id > {rows + rows // 6}",
    ]
    if mode != "append":
        statements += [
            f"update cuentas set nombre = 'Otro nombre', {later} where cuenta_id % 7 = 0",
            f"update cuentas set {broken} where cuenta_id % 1499 = 3",
            f"update cuentas set {mended}, {later} where cuenta_id % 997 = 0",
            "delete from cuentas where cuenta_id % 50 = 1",
            # A key that comes twice, in equal rows: either may be the one that stays.
            "insert into cuentas select * from cuentas where cuenta_id % 5000 = 5",
        ]
    return Scenario(
        contract=table_contract(folder / "contrato", mode, source.kind, **options),
        url=source.url,
        change=lambda: source.run(*statements),
    )


def feed_scenario(folder: Path, rows: int, **options: Any) -> Scenario:
    """Two files of `rows` / 10 readings; then ten more such files, one of them sent twice."""
    feed, size = folder / "lecturas", rows // 10
    write_feed(feed, [1, 2], size)

    def change() -> None:
        write_feed(feed, range(3, 13), size)
        (feed / "dia_04_copia.csv").write_bytes((feed / "dia_04.csv").read_bytes())

    return Scenario(feed_contract(folder / "contrato", **options), str(feed), change)


# --- what must be equal -------------------------------------------------------------------------

Tables = dict[str, Counter[tuple[str, ...]]]


def tables_of(warehouse: Warehouse) -> Tables:
    """Every row of raw, quarantine and the books, as texts that two warehouses can agree on.

    Left out: identity numbers and times of day. A load number is replaced by the dataset and the
    place of that load among those of the dataset that changed something. Watermarks and quarantine
    name the load that saw them last, which may have changed nothing: there it is left out.
    """
    with warehouse.connect() as connection:
        loads = {
            str(number): f"{dataset} {place}"
            for number, dataset, place in connection.execute(
                "select carga_id, dataset, row_number() over (partition by dataset order by "
                "carga_id) from meta.carga where estado = 'cargada'"
            )
        }
        raw = connection.execute(
            "select c.relname from pg_class c where c.relnamespace = 'raw'::regnamespace "
            "and c.relkind in ('r', 'p') and not c.relispartition order by 1"
        ).fetchall()
        tables = [("raw", str(name)) for (name,) in raw]
        tables += [("quarantine", "fila"), ("meta", "marca"), ("meta", "archivo")]
        found = {
            f"{schema}.{name}": _rows(connection, schema, name, loads) for schema, name in tables
        }
        found["meta.carga"] = Counter(
            tuple(map(str, row))
            for row in connection.execute(
                "select dataset, modo, contrato_sha256, filas_leidas, filas_cargadas, "
                "filas_cuarentena, filas_conocidas, filas_eliminadas, filas_origen, marca "
                "from meta.carga where estado = 'cargada'"
            )
        )
    return found


def _rows(
    connection: psycopg.Connection[tuple[Any, ...]], schema: str, name: str, loads: dict[str, str]
) -> Counter[tuple[str, ...]]:
    columns = connection.execute(
        "select attname, attidentity <> '' or (atttypid = 'timestamptz'::regtype and %s) "
        "from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        [schema != "raw" or name == "_historial", f"{schema}.{name}"],
    ).fetchall()
    names = [str(column) for column, _ in columns]
    number = next(
        (n for n in ("_load_id", "carga_id") if n in names and name not in ("marca", "fila")), None
    )
    ignored = [str(column) for column, left_out in columns if left_out] + ["_load_id", "carga_id"]
    query = sql.SQL(
        # A row of a table has its place in one read only, and a run again reads another part.
        "select ((to_jsonb(t) - %s::text[] - case when to_jsonb(t) ->> 'archivo' is null "
        "then 'numero_fila' else '' end) #- '{{fila,_load_id}}')::text, {number}::text, "
        "to_jsonb(t) #>> '{{fila,_load_id}}' from {table} t"
    ).format(
        number=sql.Identifier("t", number) if number else sql.NULL,
        table=sql.Identifier(schema, name),
    )
    return Counter(
        (text, loads.get(load, "?") if load else "", loads.get(inner, "?") if inner else "")
        for text, load, inner in connection.execute(query, [ignored])
    )


def assert_same_tables(attacked: Warehouse, clean: Warehouse) -> None:
    """Fails with the first rows that differ, table by table."""
    left, right = tables_of(attacked), tables_of(clean)
    assert sum(map(len, right.values())) > 0, "the clean run is empty: nothing is compared"
    differences = []
    for name in sorted({*left, *right}):
        more = left.get(name, Counter()) - right.get(name, Counter())
        less = right.get(name, Counter()) - left.get(name, Counter())
        if more or less:
            differences.append(
                f"{name}: {more.total()} rows only after the attack, e.g. {list(more)[:3]}; "
                f"{less.total()} only in the clean run, e.g. {list(less)[:3]}"
            )
    assert not differences, "\n".join(differences)


# --- what must not stay behind ------------------------------------------------------------------


def left_behind(warehouse: Warehouse) -> list[str]:
    """Sessions, advisory locks and temporary tables that outlive a load; waits for them to go."""
    deadline = time.monotonic() + _LEFT_BEHIND_S
    while (found := _left_behind(warehouse)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def _left_behind(warehouse: Warehouse) -> list[str]:
    with warehouse.connect(application_name="observer") as connection:
        rows = connection.execute(
            "select 'session ' || coalesce(state, '') || ' ' || query from pg_stat_activity "
            "where datname = current_database() and application_name = %s "
            "union all select 'advisory lock ' || pid from pg_locks "
            "where locktype = 'advisory' and database = (select oid from pg_database "
            "where datname = current_database()) "
            "union all select 'temporary table ' || relname from pg_class "
            "where relpersistence = 't' and relkind = 'r'",
            [APPLICATION],
        ).fetchall()
    return [str(row[0]) for row in rows]


def reading_sessions(source: PostgresSource) -> int:
    """Sessions of loads at the source that outlive them; waits for them to go."""
    deadline = time.monotonic() + _LEFT_BEHIND_S
    with psycopg.connect(source.url, autocommit=True) as connection:
        while True:
            row = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid()"
            ).fetchone()
            assert row is not None
            if row[0] == 0 or time.monotonic() > deadline:
                return int(row[0])
            time.sleep(0.02)


def rows_without_record(warehouse: Warehouse, contract: Contract) -> int:
    """Rows of raw whose load is not in the books: what a half-committed load would leave."""
    with warehouse.connect() as connection:
        if not connection.execute("select to_regclass(%s)", [contract.raw_name]).fetchone()[0]:  # type: ignore[index]
            return 0
        row = connection.execute(
            sql.SQL(
                "select count(*) from {} t where not exists "
                "(select from meta.carga c where c.carga_id = t._load_id)"
            ).format(sql.Identifier("raw", contract.landing_table))
        ).fetchone()
    assert row is not None
    return int(row[0])


def query(warehouse: Warehouse, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def states_of(warehouse: Warehouse) -> list[str]:
    """Outcomes of all loads so far, in order."""
    return [
        str(row[0]) for row in query(warehouse, "select estado from meta.carga order by carga_id")
    ]
