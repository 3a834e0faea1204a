"""The same consumption by zone and month, four ways, on the same readings.

Belongs here: the statements and their comparison. Does not belong here: making the readings.

Ours are the models as they are built: every rule of validation, every column, indexes and all. The
limits only subtract a register from the one before it and add up. `postgresql` is the limit of the
warehouse's own engine; `duckdb` and `polars` are those of the machine: columns read from Parquet by
both cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.water.place import Place

MODELS = (
    "agua.fct_consumo_horario",
    "agua.fct_consumo_estimado",
    "agua.fct_consumo_diario",
    "agua.fct_consumo_mensual_medidor",
    "agua.fct_consumo_mensual_zona",
)
Litres = dict[tuple[int, str], int]

_POSTGRESQL = """
with diferencias as (
    select medidor_id, fecha_hora,
        (lectura * 1000)::bigint - lag((lectura * 1000)::bigint) over (
            partition by medidor_id order by fecha_hora) as litros
    from raw.telemetria__lecturas
),
dias as (
    select medidor_id, (fecha_hora at time zone 'America/Argentina/Mendoza')::date as dia,
        sum(litros) as litros
    from diferencias group by 1, 2
)
select m.zona_id, to_char(d.dia, 'YYYY-MM') as mes, sum(d.litros)::bigint
from dias d join raw.aguas__medidores m using (medidor_id) group by 1, 2
"""
_DUCKDB = """
with diferencias as (
    select medidor, momento,
        litros - lag(litros) over (partition by medidor order by momento) as litros
    from read_parquet($lecturas)
),
dias as (
    select medidor, cast(momento - interval 3 hour as date) as dia, sum(litros) as litros
    from diferencias group by 1, 2
)
select z.zona_id, strftime(d.dia, '%Y-%m') as mes, cast(sum(d.litros) as bigint)
from dias d join read_parquet($zonas) z using (medidor) group by 1, 2
"""
_OURS = """
select zona_id, to_char(mes, 'YYYY-MM'), litros from agua.fct_consumo_mensual_zona
where zona_id is not null
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds of one way, and whether it gave the litres that the others gave."""

    way: str
    seconds: float
    agrees: bool


def compare(place: Place, models: Mapping[str, float], parquet: Path) -> list[Timed]:
    """`models` are the seconds of the build that made the marts of these very readings."""
    ours = _litres(place.query(_OURS))
    found = [Timed("marts", sum(models.get(name, 0.0) for name in MODELS), bool(ours))]
    ways: dict[str, Callable[[], Litres]] = {
        "postgresql": lambda: _litres(place.query(_POSTGRESQL)),
        "duckdb": lambda: _duckdb(parquet),
        "polars": lambda: _polars(parquet),
    }
    for way, run in ways.items():
        run()  # once to warm caches and imports: the marts had theirs warm from the load
        began = time.monotonic()
        litres = run()
        found.append(Timed(way, time.monotonic() - began, litres == ours))
    return found


def _litres(rows: list[tuple[int, str, int]]) -> Litres:
    return {(int(zone), str(month)): int(litres) for zone, month, litres in rows if litres}


def _duckdb(parquet: Path) -> Litres:
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.execute(
            _DUCKDB,
            {"lecturas": str(parquet), "zonas": str(parquet.with_name("zonas.parquet"))},
        ).fetchall()
    return _litres(rows)


def _polars(parquet: Path) -> Litres:
    import polars as pl

    readings = pl.scan_parquet(parquet).sort("medidor", "momento")
    zones = pl.scan_parquet(parquet.with_name("zonas.parquet"))
    found = (
        readings.with_columns(
            pl.col("litros").diff().over("medidor").alias("litros"),
            pl.col("momento").dt.offset_by("-3h").dt.date().alias("dia"),
        )
        .group_by("medidor", "dia")
        .agg(pl.col("litros").sum())
        .with_columns(
            pl.col("medidor").cast(pl.String), pl.col("dia").dt.strftime("%Y-%m").alias("mes")
        )
        .join(zones, on="medidor")
        .group_by("zona_id", "mes")
        .agg(pl.col("litros").sum())
        .collect()
    )
    return _litres(found.select("zona_id", "mes", "litros").rows())
