"""Drift: where a source's columns differ from its contract.

Belongs here: finding and recording it. Does not belong here: what a missing column does to a load
(the readers refuse it).
"""

from __future__ import annotations

from sources.contract import Contract
from sources.landing.report import LoadReport
from sources.raw_table import Connection
from sources.readers import Reader


def note_drift(
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
