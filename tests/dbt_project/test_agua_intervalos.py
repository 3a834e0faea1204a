"""A feed that tells the volume of each interval and no register, from file to hours and days.

And the same meters through a feed with registers: of each day one of both counts.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from orchestration.catalogue_sync import synchronise
from orchestration.checkers import checkers_for
from orchestration.connections import Connections
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import CONTRACTS_DIR, load_catalogue
from sources.landing import LoadContext, load
from sources.urls import SourceUrl
from tests.dbt_project.test_agua_incremental import rows
from tests.support.water import City, build_models, data_test_passes

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "ejemplos" / "medidores"
MODELS = ("agua.fct_consumo_diario", "agua.fct_decision_lectura", "agua.fct_consumo_diario_cuenta")
BOTH_FEEDS = (*MODELS[:2], "agua.fct_consumo_mensual_zona", "agua.fct_consumo_mensual_cuenta")


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

    of_two_feeds_one_counts_each_day(warehouse, tmp_path, context)


def of_two_feeds_one_counts_each_day(
    warehouse: Warehouse, tmp_path: Path, context: LoadContext
) -> None:
    """Meter 0001 also sends registers: all of 1 June, and a single one on 2 June."""
    contract = load_catalogue([CONTRACTS_DIR, EXAMPLES]).contracts["telemetria.lecturas_intervalo"]
    (tmp_path / "nuevos" / "intervalos_2026-06-03.csv").write_text(
        "equipo;fin;consumo;unidad;estimado\n"
        + "".join(f"SINT-I-0001;02/06/2026 0{hour}:00;3;L;no\n" for hour in range(1, 7)),
        encoding="utf-8",
    )
    folder = SourceUrl.parse(str(tmp_path / "nuevos"))
    assert load(contract, folder, context, checkers_for(contract)).loaded == 6
    midnight = dt.datetime(2026, 6, 1, 3, tzinfo=dt.UTC)
    moments = [*(dt.timedelta(hours=hour, minutes=5) for hour in range(9)), dt.timedelta(days=1.2)]
    with warehouse.connect() as connection:
        City(connection).load(
            [("SINT-I-0001", midnight + m, 1000 + 7 * n, False) for n, m in enumerate(moments)]
        )

    build_models(warehouse, tmp_path, BOTH_FEEDS)

    days = (
        "select dia::text, litros, horas_con_lectura from agua.fct_consumo_diario "
        "where medidor_id = 'SINT-I-0001' order by dia"
    )
    assert ask(warehouse, days) == [
        ("2026-06-01", 560, 8),  # eight differences of 7 litres, tenfold; the intervals said 480
        ("2026-06-02", 180, 6),  # six intervals, and the register would only say that much passed
    ]
    aside = (
        "select dia::text, accion, count(*)::integer, sum(intervalo_informado_litros)::integer, "
        "min(lectura_l)::integer from agua.fct_decision_lectura "
        "where regla_id = 'R-AGUA-25' group by 1, 2 order by 1"
    )
    assert ask(warehouse, aside) == [
        ("2026-06-01", "lectura_apartada", 8, 48, None),
        ("2026-06-02", "lectura_apartada", 1, None, 1063),
    ]
    followed = {name: rows(warehouse, name) for name in BOTH_FEEDS}
    build_models(warehouse, tmp_path, BOTH_FEEDS, "--full-refresh")
    assert {name: rows(warehouse, name) for name in BOTH_FEEDS} == followed
    assert data_test_passes(warehouse, tmp_path, None, "nada_se_pierde_en_lecturas")


def ask(warehouse: Warehouse, query: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode()).fetchall()
