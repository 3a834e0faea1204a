"""References between datasets of one system that no contract has to write.

Belongs here: finding them by the names of keys. Does not belong here: what a reference means
(`table_rules.py`), or evaluating it (`expectations/table_rules.py`).

A column that is called like the key of exactly one other dataset of its system, and has its type,
points there: `facturacion.cuenta_id` to `cuentas.cuenta_id`. Only a warning comes of it, so an
accident of names withholds nothing. A contract that writes `relationships` for the column, also as
an empty list, is taken at its word. Feeds of files are left out: their tables grow without end,
and each rule reads its table whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sources.table_rules import TableRule, reference_to

if TYPE_CHECKING:
    from sources.contract import Contract


def with_default_references(contracts: Mapping[str, Contract]) -> dict[str, Contract]:
    """The same contracts, each with a rule per reference that its column names imply."""
    keys: dict[tuple[str, str], list[Contract]] = {}
    for contract in contracts.values():
        if len(contract.key) == 1:
            keys.setdefault((contract.system, contract.key[0]), []).append(contract)
    return {name: _with_references(contract, keys) for name, contract in contracts.items()}


def _with_references(
    contract: Contract, keys: Mapping[tuple[str, str], list[Contract]]
) -> Contract:
    if contract.from_files and contract.load_mode == "files":
        return contract
    spoken_for = _written(contract)
    found: list[TableRule] = []
    for column in contract.declared:
        targets = [
            other
            for other in keys.get((contract.system, column.name), [])
            if other.landing_table != contract.landing_table
            and other.column(column.name).pg_type == column.pg_type
        ]
        if len(targets) == 1 and column.name not in spoken_for and contract.key != (column.name,):
            found.append(reference_to(column.name, (*targets[0].id.split("."), column.name)))
    taken = {rule.name for rule in contract.table_rules}
    added = tuple(rule for rule in found if rule.name not in taken)
    return replace(contract, table_rules=contract.table_rules + added) if added else contract


def _written(contract: Contract) -> set[str]:
    """Columns whose relationships the document states, even that there is none."""
    return {
        prop.name or ""
        for table in contract.document.schema_ or []
        for prop in table.properties or []
        if prop.relationships is not None
    }
