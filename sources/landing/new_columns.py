"""Columns of a source that its contract does not name: added to raw as text, and remembered.

Belongs here: which of them are added and under what name, the contract with them in it, and
`meta.columna_agregada`. Does not belong here: reporting them (`drift.py`), or reading and writing
them: to readers and loads they are optional text columns like any other.

Only loads see a contract with them. Whatever else is derived from a contract (checks, dbt sources,
dictionary, samples) has the document's columns alone: unclassified means restricted. Their names
begin with `_nueva_`, which no contract can use, so that a later declaration of the same column is a
column of its own beside it, and nothing is lost of what came before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sources.contract import Column, Contract
from sources.names import folded, slug
from sources.raw_table import Connection, ensure_raw_table

PREFIX = "_nueva_"
# A source that suddenly has more than this is more likely another table than a grown one.
MOST = 50
# With prefix and mark well below the 63 bytes of a name in PostgreSQL.
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """`contract` with every column that is carried; `fresh` are those seen for the first time.

    `left_out` gives, for new columns that are not carried, why: in words for a person.
    """

    contract: Contract
    fresh: tuple[Column, ...]
    left_out: Mapping[str, str]


def with_known(connection: Connection, contract: Contract) -> Contract:
    """The contract with the columns that earlier loads added and it still does not name."""
    if contract.new_columns != "add" or _only_adds_up(contract):
        return contract
    rows = connection.execute(
        "select nombre_origen, columna from meta.columna_agregada where dataset = %s "
        "and tabla = %s order by agregada_en, columna",
        [contract.id, contract.landing_table],
    ).fetchall()
    declared = _declared_names(contract)
    columns = [_column(source, name) for source, name in rows if folded(source) not in declared]
    return replace(contract, columns=(*contract.columns, *columns)) if columns else contract


def plan(connection: Connection, contract: Contract, found: Iterable[str]) -> Plan:
    """What becomes of the columns found at the source; `contract` is one of `with_known`."""
    new = unnamed(contract, found)
    if contract.new_columns == "ignore":
        why = "se informó y no se carga: el contrato dice `newColumns: ignore`"
        return Plan(contract, (), dict.fromkeys(new, why))
    if contract.new_columns == "refuse":
        why = "no se cargó nada: el contrato dice `newColumns: refuse`; la tabla conserva sus "
        return Plan(contract, (), dict.fromkeys(new, f"{why}últimos datos buenos"))
    if not new:
        return Plan(contract, (), {})
    left_out: dict[str, str] = {}
    if contract.new_columns == "add" and _only_adds_up(contract):
        why = "se informó y no se carga: la tabla recibe filas sin clave, y no se podría saber si "
        left_out = dict.fromkeys(new, f"{why}una fila ya está. Agréguela al contrato")
        return Plan(contract, (), left_out)
    taken = _taken(connection, contract)
    room = MOST - sum(column.undeclared for column in contract.columns)
    fresh: list[Column] = []
    for name in new:
        if not name.strip():
            left_out[name] = "se informó y no se carga: la columna no tiene nombre"
        elif len(fresh) >= room:
            left_out[name] = (
                f"se informó y no se carga: la tabla ya tiene {MOST} columnas sin declarar, el "
                "máximo. Revise si el origen es el mismo y actualice el contrato"
            )
        else:
            column = _column(name, _name_for(name, taken))
            taken[column.name] = name
            fresh.append(column)
    extended = replace(contract, columns=(*contract.columns, *fresh)) if fresh else contract
    return Plan(extended, tuple(fresh), left_out)


def unnamed(contract: Contract, found: Iterable[str]) -> list[str]:
    """Columns of a source that its contract neither names nor says are not to be loaded."""
    named = _declared_names(contract)
    return [name for name in dict.fromkeys(found) if folded(name) not in named]


def add_columns(connection: Connection, planned: Plan) -> None:
    """Add the fresh columns to raw and note them, in the load's transaction: all or nothing."""
    contract = planned.contract
    ensure_raw_table(connection, contract)
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into meta.columna_agregada (dataset, nombre_origen, tabla, columna) "
            "values (%s, %s, %s, %s) on conflict do nothing",
            [(contract.id, c.source_name, contract.landing_table, c.name) for c in planned.fresh],
        )


def _taken(connection: Connection, contract: Contract) -> dict[str, str]:
    """The source's name behind each column added to the table, by any of its feeds."""
    rows = connection.execute(
        "select columna, nombre_origen from meta.columna_agregada where tabla = %s",
        [contract.landing_table],
    )
    return {str(column): str(source) for column, source in rows}


def _name_for(source: str, taken: Mapping[str, str]) -> str:
    """A safe name; with a mark of its own where another column's would be the same."""
    name = f"{PREFIX}{slug(source)[:_LONGEST] or 'columna'}"
    if taken.get(name, source) != source:
        name = f"{name}_{hashlib.sha256(source.encode()).hexdigest()[:8]}"
    return name


def _column(source: str, name: str) -> Column:
    return Column(
        name=name,
        source_name=source,
        logical_type="string",
        pg_type="text",
        description=f"Columna {source!r} del origen, que el contrato no declara: como texto, sin "
        "clasificar y por eso restringida.",
        required=False,
        unique=False,
        primary_key=False,
        classification="acceso_restringido",
        format=None,
        timezone=None,
        constant=None,
        unit=None,
        protocol_field=None,
        rules=(),
        undeclared=True,
    )


def _only_adds_up(contract: Contract) -> bool:
    """Rows that are told apart by all their values: with one more, each would be another row."""
    return contract.load_mode == "append" and not contract.key


def _declared_names(contract: Contract) -> set[str]:
    """Columns that are no news: the document's own, and those it says are not to be loaded."""
    named = (*(column.source_name for column in contract.columns), *contract.ignored_columns)
    return {folded(name) for name in named}
