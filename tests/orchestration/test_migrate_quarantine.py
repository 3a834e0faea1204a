"""A warehouse of the first version comes to the newest with all its rows in quarantine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from orchestration.warehouse.connection import Warehouse
from orchestration.warehouse.migrate import MIGRATIONS_DIR, migrate
from sources.landing import LoadContext
from sources.landing.replay import replay
from tests.sources.reader_support import column, make_contract

OLD_ROWS = """
insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, contrato_sha256,
    modo_carga)
values ('prueba.tabla', 'prueba', 'Tabla', 'raw.prueba__tabla', '1.0.0', 'viejo', 'files');
insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, contrato_sha256,
    inicio, fin)
values ('vieja', 'prueba.tabla', 'cargada', 'files', '1.0.0', 'viejo', now(), now());
insert into quarantine.fila (dataset, carga_id, archivo, numero_fila, regla, columna, motivo, fila,
    huella) values
('prueba.tabla', 1, 'a.csv', 1, 'maximo', 'm3', 'supera el máximo', '{"m3": "1.234"}', 'h1'),
('prueba.tabla', 1, 'a.csv', 2, 'tipo_invalido', 'm3', 'no es número', '{"m3": "1.234,5"}', 'h2');
insert into meta.deriva (dataset, carga_id, tipo, columna, detalle, accion)
values ('prueba.tabla', 1, 'columna_nueva', 'zona', 'existe', 'no se carga');
create view quarantine.prueba__tabla as select fila_id, archivo, numero_fila, regla, columna,
    motivo, fila, estado, primera_vez, ultima_vez, carga_id
from quarantine.fila where dataset = 'prueba.tabla';
"""


def at_first_version(url: str) -> Warehouse:
    warehouse = Warehouse(url, embedded=True)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    engine = create_engine(warehouse.sqlalchemy_url())
    with engine.connect() as connection:
        connection.execute(text("create schema meta"))
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    return warehouse


def test_old_rows_keep_their_meaning_and_can_be_replayed(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    warehouse = at_first_version(new_database())
    with warehouse.connect() as connection:
        connection.execute(OLD_ROWS.encode())

    migrate(warehouse)

    contract = make_contract(
        tmp_path, "csv", [column("m3", "numeric(10,3)")], decimal=",", thousands="."
    )
    report = replay(contract, LoadContext(connect=warehouse.connect, run_id="prueba"), [])
    with warehouse.connect() as connection:
        landed = connection.execute(
            "select m3::text, _source_row from raw.prueba__tabla order by 2"
        ).fetchall()
        shown = connection.execute(
            "select estado, descripcion is not null, resolucion from quarantine.prueba__tabla"
        ).fetchall()
        drift = connection.execute("select columna, dias from meta.deriva_vigente").fetchall()
    # Rows that a rule refused were stored as cast, with a point; the others as the file wrote them.
    assert landed == [("1.234", 1), ("1234.500", 2)]
    assert report.loaded == 2
    assert shown == [("reprocesada", True, "entró con la versión 1.0.0 del contrato")] * 2
    assert drift == [("zona", 0)]
