"""A feed that tells the volume of each interval and no register, from file to hours and days."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestration.catalogue_sync import synchronise
from orchestration.checkers import checkers_for
from orchestration.connections import Connections
from orchestration.warehouse.connection import Warehouse
from sources.contract import CONTRACTS_DIR, load_catalogue
from sources.landing import LoadContext, load
from sources.urls import SourceUrl
from tests.support.water import City, build_models

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "ejemplos" / "medidores"
MODELS = ("agua.fct_consumo_diario", "agua.fct_decision_lectura", "agua.fct_consumo_diario_cuenta")


def test_intervals_become_hours_and_days_and_a_hole_stays_unknown(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    catalogue = load_catalogue([CONTRACTS_DIR, EXAMPLES])
    with warehouse.connect() as connection:
        assert synchronise(connection, catalogue, Connections({}, sample=False)) == []
        city = City(connection)
        for account, kind in ((1, "residencial"), (2, "industrial")):
            city.add(
                "aguas.cuentas", cuenta_id=account, numero_cuenta=str(account), categoria=kind,
                activa=True,
            )  # fmt: skip
        # A tenfold meter, and a compound one: two devices of one account.
        for meter, account, factor in (("0001", 1, 10), ("0002-A", 2, 1), ("0002-B", 2, 1)):
            city.add(
                "aguas.medidores", medidor_id=f"SINT-I-{meter}", cuenta_id=account, digitos=4,
                multiplicador=factor, estado="activo",
            )  # fmt: skip
    contract = catalogue.contracts["telemetria.lecturas_intervalo"]
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    samples = SourceUrl.parse(str(EXAMPLES / "muestras"))
    assert load(contract, samples, context, checkers_for(contract)).loaded == 9

    build_models(warehouse, tmp_path, MODELS)

    assert ask(
        warehouse,
        "select extract(hour from hora at time zone 'America/Argentina/Mendoza')::integer, "
        "consumo_litros, regla_id, segundos from agua.fct_consumo_horario "
        "where medidor_id = 'SINT-I-0001' order by hora",
    ) == [
        (1, 120, None, None),  # how long the first interval was nobody said
        (2, 0, None, 3600),
        (3, 80, None, 3600),
        (7, 200, "R-AGUA-24", None),  # four intervals are missing: their water is not known
        (8, 50, None, 3600),
    ]
    assert ask(
        warehouse,
        "select medidor_id, litros, litros_en_huecos, horas_con_lectura, horas_estimadas, "
        "segundos_nocturnos from agua.fct_consumo_diario order by medidor_id",
    ) == [
        ("SINT-I-0001", 450, 0, 5, 0, 3600),
        ("SINT-I-0002-A", 350, 0, 2, 0, 0),
        ("SINT-I-0002-B", 30, 0, 2, 1, 0),
    ]
    assert ask(
        warehouse, "select cuenta_id, litros from agua.fct_consumo_diario_cuenta order by 1"
    ) == [(1, 450), (2, 380)]
    assert ask(
        warehouse,
        "select medidor_id, regla_id, accion, consumo_litros from agua.fct_decision_lectura",
    ) == [("SINT-I-0001", "R-AGUA-24", "marcado", 200)]

    revised = tmp_path / "nuevos"
    revised.mkdir()
    (revised / "intervalos_2026-06-02.csv").write_text(
        "equipo;fin;consumo;unidad;estimado\n"
        + "".join(f"SINT-I-0001;01/06/2026 0{hour}:00;1;L;no\n" for hour in (4, 5, 6)),
        encoding="utf-8",
    )
    report = load(contract, SourceUrl.parse(str(revised)), context, checkers_for(contract))
    assert report.loaded == 3

    build_models(warehouse, tmp_path, MODELS)

    assert ask(
        warehouse,
        "select count(*)::integer, sum(consumo_litros)::integer, max(regla_id) "
        "from agua.fct_consumo_horario where medidor_id = 'SINT-I-0001'",
    ) == [(8, 480, None)], "the intervals that came late close the hole"
    assert ask(warehouse, "select 1 from agua.fct_decision_lectura") == []


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()
