"""The synthetic sample and real data: which warehouse takes which."""

from __future__ import annotations

import pytest

from orchestration.synthetic import admit_sample, holds_sample
from orchestration.warehouse.connection import Warehouse, WarehouseError
from sources.raw_table import Connection


@pytest.fixture
def connection(warehouse: Warehouse) -> Connection:  # type: ignore[misc]
    with warehouse.connect() as opened:
        yield opened  # type: ignore[misc]


def loaded(connection: Connection, dataset: str, state: str = "cargada") -> None:
    connection.execute(
        "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
        "contrato_sha256, inicio, fin) values ('r', %s, %s, 'full', '1', 'x', now(), now())",
        [dataset, state],
    )


def test_an_empty_warehouse_takes_the_sample_and_remembers_it(connection: Connection) -> None:
    loaded(connection, "mlc.proyectos", "fallida")
    assert not holds_sample(connection)
    admit_sample(connection, label="base")
    admit_sample(connection, label="base")
    assert holds_sample(connection)


def test_a_warehouse_with_real_data_does_not(connection: Connection) -> None:
    loaded(connection, "mlc.proyectos")
    loaded(connection, "aguas.zonas")
    with pytest.raises(WarehouseError, match="aguas, mlc") as caught:
        admit_sample(connection, label="base")
    assert "SOURCE_<SISTEMA>_URL" in str(caught.value)
    assert not holds_sample(connection)
