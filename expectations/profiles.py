"""Profiles: what the columns of a dataset looked like in a run, in figures, kept as history.

Belongs here: measuring in the warehouse, by statements over a set, and storing. Does not belong
here: judging (`monitors.py`) or proposing rules (`proposals.py`).

What is measured: a dataset loaded whole is measured whole, any other by the rows that came since
its last profile: the work follows what came, not what the table holds. Rows are counted exactly;
statistics of more than `SAMPLE_ROWS` rows are taken from a sample of about that many (blocks drawn
by `tablesample system`, seeded by the load, or rows by a hash of their place: the same come again),
and `filas_medidas` says how many they were.

Of a column that is not `libre_acceso`, or answers to the protocol, only nulls and distinct values
are counted: no value, length or pattern of it is ever stored. Of the others, a value is stored
only when at least `FEWEST_ROWS` rows share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from sources.city import city_timezone
from sources.contract import Column, Contract

SAMPLE_ROWS = 50_000
FEWEST_ROWS = 5
TOP = 20
QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
# Blocks are drawn from the table where the rows wanted are at least this share of it; drawing ever
# more of them for the sake of a few would in the end read a table that has grown for years whole.
# Otherwise the rows wanted are all looked up, and some of them kept.
_MOST_OF_IT = 0.1
_BUCKETS = 1 << 20
_NUMBERS = ("smallint", "integer", "bigint", "double precision")
_MOMENTS = ("date", "timestamp", "timestamptz")


def changes_since_profile(connection: psycopg.Connection[Any], contract: Contract) -> list[int]:
    """Loads that changed rows of the dataset since it was last profiled, oldest first."""
    return [
        int(row[0])
        for row in connection.execute(
            "select carga_id from meta.carga where dataset = %(dataset)s and estado = 'cargada' "
            "and modo <> 'relectura' and (filas_cargadas > 0 or filas_eliminadas > 0) "
            "and carga_id > coalesce((select max(hasta_carga_id) from meta.perfil "
            "where dataset = %(dataset)s), 0) "
            "order by carga_id",
            {"dataset": contract.id},
        ).fetchall()
    ]


def take(
    connection: psycopg.Connection[Any],
    contract: Contract,
    run_id: str,
    loads: Sequence[int],
    *,
    sample_rows: int = SAMPLE_ROWS,
) -> int:
    """Measure the dataset as `loads` left it and store the profile; its number.

    One transaction of the caller's; the rows measured stand in a temporary table meanwhile.
    """
    whole = contract.load_mode == "full"
    rows = _draw(connection, contract, loads, whole, sample_rows)
    measured = _scalar(connection, sql.SQL("select count(*) from _perfil"))
    row = connection.execute(
        "insert into meta.perfil (corrida_id, dataset, objeto, alcance, hasta_carga_id, filas, "
        "filas_medidas, columnas, dia) values (%s, %s, %s, %s, %s, %s, %s, %s, "
        "(now() at time zone %s)::date) returning perfil_id",
        [
            run_id, contract.id, contract.raw_name, "tabla" if whole else "llegadas",
            max(loads), rows, measured, Jsonb(_columns_now(connection, contract)),
            city_timezone().key,
        ],
    ).fetchone()  # fmt: skip
    assert row is not None
    profile_id = int(row[0])
    counts = _counts(connection, contract.columns)
    with connection.cursor() as cursor:
        cursor.executemany(
            _INSERT_COLUMN,
            [
                _measure(connection, profile_id, column, *counts[column.name])
                for column in contract.columns
            ],
        )
    connection.execute("drop table _perfil")
    return profile_id


_INSERT_COLUMN = """
insert into meta.perfil_columna (
    perfil_id, columna, tipo, publicable, nulos, distintos, minimo, maximo, cuantiles,
    largo_minimo, largo_maximo, largo_medio, patrones, valores
) values (
    %(perfil)s, %(columna)s, %(tipo)s, %(publicable)s, %(nulos)s, %(distintos)s, %(minimo)s,
    %(maximo)s, %(cuantiles)s, %(largo_minimo)s, %(largo_maximo)s, %(largo_medio)s, %(patrones)s,
    %(valores)s
)
"""


def publishable(column: Column) -> bool:
    """Whether figures that show values of the column may be kept."""
    return column.classification == "libre_acceso" and column.protocol_field is None


def _draw(
    connection: psycopg.Connection[Any],
    contract: Contract,
    loads: Sequence[int],
    whole: bool,
    sample_rows: int,
) -> int:
    """Fill `_perfil` with the rows to measure; how many there were to choose from."""
    table = sql.Identifier(*contract.raw_name.split("."))
    condition: sql.Composable = sql.SQL("true")
    if not whole:
        _summarise_new_blocks(connection, contract)
        condition = sql.SQL("_load_id = any({})").format(sql.Literal(list(loads)))
        condition = sql.SQL("{} and {}").format(condition, _range(connection, contract, loads))
    rows = _came(connection, contract, loads, table, condition)
    sample: sql.Composable = sql.SQL("")
    if rows > sample_rows:
        share = sample_rows / rows
        if whole or rows >= _MOST_OF_IT * _about_held(connection, contract):
            sample = sql.SQL("tablesample system ({}) repeatable ({})").format(
                sql.Literal(round(100.0 * share, 6)), sql.Literal(max(loads))
            )
        else:
            condition = sql.SQL("{} and (hashtext(ctid::text) & {}) < {}").format(
                condition, sql.Literal(_BUCKETS - 1), sql.Literal(round(_BUCKETS * share))
            )
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in contract.columns)
    connection.execute(
        sql.SQL("create temporary table _perfil on commit drop as select {} from {} {} where {}")
        .format(names, table, sample, condition)
    )  # fmt: skip
    return rows


def _came(
    connection: psycopg.Connection[Any],
    contract: Contract,
    loads: Sequence[int],
    table: sql.Identifier,
    condition: sql.Composable,
) -> int:
    """Rows to choose from. Where rows are only added the loads have counted them already."""
    if contract.load_mode in ("files", "append"):
        row = connection.execute(
            "select coalesce(sum(filas_cargadas), 0) from meta.carga where carga_id = any(%s)",
            [list(loads)],
        ).fetchone()
        return int(row[0]) if row else 0
    return _scalar(connection, sql.SQL("select count(*) from {} where {}").format(table, condition))


def _about_held(connection: psycopg.Connection[Any], contract: Contract) -> float:
    """Rows of the table as PostgreSQL last estimated them; 0 while it never did."""
    row = connection.execute(
        "select coalesce(sum(c.reltuples) filter (where c.reltuples > 0), 0)::float8 "
        "from pg_partition_tree(to_regclass(%s)) as t join pg_class as c on c.oid = t.relid "
        "where t.isleaf",
        [contract.raw_name],
    ).fetchone()
    return float(row[0]) if row else 0.0


def _summarise_new_blocks(connection: psycopg.Connection[Any], contract: Contract) -> None:
    """Note in the table's index of loads which blocks the last ones wrote.

    PostgreSQL does so by itself, but later; until then every search reads all such blocks.
    """
    connection.execute(
        "select brin_summarize_new_values(i.indexrelid) "
        "from pg_partition_tree(to_regclass(%s)) as t "
        "join pg_index as i on i.indrelid = t.relid "
        "join pg_class as c on c.oid = i.indexrelid join pg_am as a on a.oid = c.relam "
        "where t.isleaf and a.amname = 'brin' and pg_has_role(c.relowner, 'member')",
        [contract.raw_name],
    )


def _range(
    connection: psycopg.Connection[Any], contract: Contract, loads: Sequence[int]
) -> sql.Composable:
    """The stretch of the partition column that the files hold: only those months are read."""
    anything = sql.SQL("true")
    if not (contract.partition_by and contract.from_files):
        return anything
    row = connection.execute(
        "select count(*), count(desde), min(desde::timestamptz), max(hasta::timestamptz) "
        "from meta.archivo where carga_id = any(%s) and rango_columna = %s",
        [list(loads), contract.partition_by],
    ).fetchone()
    if row is None or not row[0] or row[0] != row[1] or row[0] != len(loads):
        return anything
    return sql.SQL("{} between {} and {}").format(
        sql.Identifier(contract.partition_by), sql.Literal(row[2]), sql.Literal(row[3])
    )


def _columns_now(connection: psycopg.Connection[Any], contract: Contract) -> list[list[str]]:
    """Names and types of the table's columns, ours left out, in order of name."""
    return [
        [str(name), str(kind)]
        for name, kind in connection.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute "
            "where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped "
            "and attname !~ '^_' order by attname",
            [contract.raw_name],
        ).fetchall()
    ]


def _counts(
    connection: psycopg.Connection[Any], columns: Sequence[Column]
) -> dict[str, tuple[int, int | None]]:
    """Nulls and distinct values of every column, in one pass; json has no equality to count by."""
    parts: list[sql.Composable] = []
    for column in columns:
        name = sql.Identifier(column.name)
        parts.append(sql.SQL("count(*) filter (where {} is null)").format(name))
        parts.append(
            sql.SQL("null::bigint")
            if column.pg_type == "jsonb"
            else sql.SQL("count(distinct {})").format(name)
        )
    row = connection.execute(
        sql.SQL("select {} from _perfil").format(sql.SQL(", ").join(parts))
    ).fetchone()
    assert row is not None
    return {column.name: (row[2 * n], row[2 * n + 1]) for n, column in enumerate(columns)}


def _measure(
    connection: psycopg.Connection[Any],
    profile_id: int,
    column: Column,
    nulls: int,
    distinct: int | None,
) -> dict[str, Any]:
    """The row of `meta.perfil_columna` of one column."""
    figures: dict[str, Any] = dict.fromkeys(
        ("minimo", "maximo", "cuantiles", "largo_minimo", "largo_maximo", "largo_medio",
         "patrones", "valores")
    )  # fmt: skip
    open_to_all = publishable(column)
    if open_to_all and distinct:
        figures |= _open_figures(connection, column, distinct)
    return {
        "perfil": profile_id, "columna": column.name, "tipo": column.pg_type,
        "publicable": open_to_all, "nulos": nulls, "distintos": distinct,
    } | {
        key: Jsonb(value) if isinstance(value, dict | list) else value
        for key, value in figures.items()
    }  # fmt: skip


def _open_figures(
    connection: psycopg.Connection[Any], column: Column, distinct: int
) -> dict[str, Any]:
    """Figures of a column that anybody may see."""
    name = sql.Identifier(column.name)
    found: dict[str, Any] = {}
    number = _as_number(column)
    if number is not None:
        row = connection.execute(
            sql.SQL(
                "select min({0})::text, max({0})::text, percentile_disc({1}::float8[]) "
                "within group (order by {2}) from _perfil where {0} is not null"
            ).format(name, sql.Literal(list(QUANTILES)), number)
        ).fetchone()
        if row is not None and row[2] is not None:
            found["minimo"], found["maximo"] = row[0], row[1]
            found["cuantiles"] = {
                f"{at:g}": _finite(value) for at, value in zip(QUANTILES, row[2], strict=True)
            }
    elif column.pg_type == "text":
        row = connection.execute(
            sql.SQL(
                "select min(length({0})), max(length({0})), avg(length({0}))::float8 from _perfil"
            ).format(name)
        ).fetchone()
        assert row is not None
        found["largo_minimo"], found["largo_maximo"], found["largo_medio"] = row
        found["patrones"] = _patterns(connection, name)
    if distinct <= 1000 and column.pg_type in ("text", "boolean", "smallint", "integer", "bigint"):
        found["valores"] = _frequent(connection, "left({0}::text, 80)", name)
    return found


def _frequent(
    connection: psycopg.Connection[Any], expression: LiteralString, name: sql.Identifier
) -> list[list[Any]]:
    """The most frequent results of `expression` over the rows, each shared by enough of them."""
    rows = connection.execute(
        sql.SQL(
            "select {}, count(*) from _perfil where {} is not null group by 1 "
            "having count(*) >= {} order by 2 desc, 1 limit {}"
        ).format(sql.SQL(expression).format(name), name, sql.Literal(FEWEST_ROWS), sql.Literal(TOP))
    ).fetchall()
    return [[str(value), int(count)] for value, count in rows]


def _patterns(connection: psycopg.Connection[Any], name: sql.Identifier) -> list[list[Any]]:
    """The most frequent shapes of a text; each value is looked at once, however often it stands."""
    rows = connection.execute(
        sql.SQL(
            "select regexp_replace(regexp_replace(texto, '[[:alpha:]]+', 'a', 'g'), "
            "'[0-9]', '9', 'g'), sum(filas) from ("
            "select left({0}, 40) as texto, count(*) as filas from _perfil "
            "where {0} is not null group by 1) as textos "
            "group by 1 having sum(filas) >= {1} order by 2 desc, 1 limit {2}"
        ).format(name, sql.Literal(FEWEST_ROWS), sql.Literal(TOP))
    ).fetchall()
    return [[str(value), int(count)] for value, count in rows]


def _as_number(column: Column) -> sql.Composable | None:
    """The column as a number; moments in seconds since 1970. None for what has no order."""
    name = sql.Identifier(column.name)
    if column.pg_type in _NUMBERS or column.pg_type.startswith("numeric"):
        return sql.SQL("{}::float8").format(name)
    if column.pg_type in _MOMENTS:
        return sql.SQL("extract(epoch from {})::float8").format(name)
    return None


def _finite(value: float) -> float | None:
    """JSON has no infinities."""
    return value if abs(value) != float("inf") and value == value else None  # noqa: PLR0124


def _scalar(connection: psycopg.Connection[Any], statement: sql.SQL | sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
