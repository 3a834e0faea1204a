"""Whether a warehouse holds the synthetic sample, which must never pass for the city's data.

Belongs here: remembering it in the warehouse, keeping the sample out of one with real data, and
saying that it is still there.
Does not belong here: the words on published pages (`exports/metadata.py`), or building the sample.
"""

from __future__ import annotations

from orchestration.warehouse.connection import WarehouseError
from sources.raw_table import Connection

_LEFT_OVER = (
    "el almacén todavía tiene el municipio sintético de muestra, y todo lo que sale de él lo dice. "
    "Para empezar sin él: `lujan clean`, o WAREHOUSE_URL con una base nueva."
)


def holds_sample(connection: Connection) -> bool:
    """Whether the sample was ever loaded here; systems connected later do not undo it."""
    return connection.execute("select 1 from meta.muestra").fetchone() is not None


def left_over(connection: Connection, *, sample: bool) -> list[str]:
    """What a person should hear of a sample that is still here; `sample`: it is what is loaded."""
    return [] if sample or not holds_sample(connection) else [_LEFT_OVER]


def admit_sample(connection: Connection, *, label: str) -> None:
    """Note that the sample is about to be loaded.

    Raises WarehouseError when the warehouse has loads of the city's own systems: without their
    addresses (a lost `.env`, another user) a run would otherwise mix the sample into them.
    """
    if holds_sample(connection):
        return
    loaded = connection.execute(
        "select array_agg(distinct split_part(dataset, '.', 1)) from meta.carga "
        "where estado <> 'fallida'"
    ).fetchone()
    if loaded and loaded[0]:
        systems = ", ".join(sorted(loaded[0]))
        raise WarehouseError(
            f"el almacén {label} tiene datos de sistemas reales ({systems}) y no hay ninguna "
            "dirección configurada: no se carga la muestra sintética encima.",
            next_step="defina SOURCE_<SISTEMA>_URL como antes (vea .env.example), o use otro "
            "almacén para la muestra (LUJAN_DATA_DIR o WAREHOUSE_URL).",
        )
    connection.execute("insert into meta.muestra default values on conflict do nothing")
