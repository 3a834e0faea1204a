"""What the cleaning rules changed: counted by load, kept for good, asked for by month.

Belongs here: keeping the counts of `calidad.fct_correccion`, and asking for them. Does not belong
here: a rule (`dbt_project/macros/`), or its meaning (`seeds/reference/reglas_limpieza.csv`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from psycopg.rows import class_row

from sources.raw_table import Connection


@dataclass(frozen=True, slots=True)
class Correction:
    """Values of one column that one rule changed in the rows that arrived in one month."""

    dataset: str
    mes: dt.date
    regla_id: str
    regla_nombre: str
    columna: str
    valores: int
    sin_dato: int
    cargas: int
    ultima_carga: dt.datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of corrections, and how what it did is taken back (`reversion`)."""

    regla_id: str
    nombre: str
    descripcion: str
    dimension: str
    reversion: str


def record_corrections(connection: Connection) -> int:
    """Keep how many values each rule corrected in the rows of each load.

    A row that is put right at its source leaves the models; what was counted for the load that
    brought it stays. Doing it again changes nothing. Returns the counts that are new or higher: 0
    when the models never were built or their last build failed. The caller owns the transaction;
    raises what psycopg raises.
    """
    built = connection.execute(
        "select estado from meta.construccion where objeto = 'calidad.fct_correccion' "
        "order by construccion_id desc limit 1"
    ).fetchone()
    if built is None or built[0] != "ok":
        return 0
    return connection.execute(_KEEP).rowcount


def corrections(
    connection: Connection, month: dt.date, dataset: str | None = None
) -> list[Correction]:
    """What was corrected in a month, in all data sets or in one; the most values first."""
    with connection.cursor(row_factory=class_row(Correction)) as cursor:
        return cursor.execute(
            "select dataset, mes, regla_id, coalesce(regla_nombre, regla_id) as regla_nombre, "
            "columna, valores, sin_dato, cargas, ultima_carga from calidad.fct_correccion_mensual "
            "where mes = %(month)s and (%(dataset)s::text is null or dataset = %(dataset)s) "
            "order by dataset, valores desc, regla_id, columna",
            {"month": month.replace(day=1), "dataset": dataset},
        ).fetchall()


def rules(connection: Connection) -> list[Rule]:
    """Every rule that corrects something."""
    with connection.cursor(row_factory=class_row(Rule)) as cursor:
        return cursor.execute(
            "select regla_id, nombre, descripcion, dimension, reversion "
            "from referencia.reglas_limpieza where reversion <> 'no_corrige' order by regla_id"
        ).fetchall()


def models_ready(connection: Connection) -> bool:
    """Whether there is anything to ask: the models were built at least once."""
    row = connection.execute(
        "select to_regclass('calidad.fct_correccion_mensual') is not null"
    ).fetchone()
    return bool(row and row[0])


_KEEP = """
insert into meta.correccion as anterior (
    carga_id, dataset, columna, regla_id, valores, sin_dato, cargado_en, corrida_id
)
select
    cargas.carga_id, correcciones.dataset, correcciones.columna, correcciones.regla_id, count(*),
    count(*) filter (where correcciones.queda_sin_dato), cargas.fin, cargas.corrida_id
from calidad.fct_correccion as correcciones
inner join meta.carga as cargas on correcciones.carga_id = cargas.carga_id
group by cargas.carga_id, correcciones.dataset, correcciones.columna, correcciones.regla_id
on conflict (carga_id, dataset, columna, regla_id) do update set
    valores = excluded.valores,
    sin_dato = greatest(anterior.sin_dato, excluded.sin_dato),
    contado_en = now()
where excluded.valores > anterior.valores
"""
