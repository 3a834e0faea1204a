"""The catalogue of defects can be trusted, and a few of its defects are caught end to end."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.defects import stopping
from benchmarks.defects.__main__ import judged
from benchmarks.defects.catalogue import (
    CLASSES,
    SYSTEMS,
    CatalogueError,
    Defect,
    load_catalogue,
)
from benchmarks.defects.city import City, open_city
from benchmarks.defects.inject import STEPS, InjectionError, Sources, inject
from benchmarks.defects.signals import Signal, raised
from benchmarks.defects.verdict import (
    CONSEQUENCES,
    LEGITIMATE,
    Known,
    false_alarms,
    judge,
    load_known,
    not_injected,
    on_target,
    totals,
)
from orchestration.settings import REFERENCE_DIR
from sources.contract_document import load_catalogue as load_contracts

CATALOGUE = load_catalogue()
BY_ID = {defect.id: defect for defect in CATALOGUE}
SMALLEST = 0.004  # ten of everything


def rules() -> dict[str, str]:
    """Severity by rule, as the seed has it."""
    with (REFERENCE_DIR / "reglas_limpieza.csv").open(encoding="utf-8") as file:
        return {row["regla_id"]: row["severidad"] for row in csv.DictReader(file)}


# --- the catalogue -----------------------------------------------------------------------------


def test_the_catalogue_is_large_and_leaves_no_system_and_no_kind_out() -> None:
    assert len(CATALOGUE) >= 60
    assert {defect.system for defect in CATALOGUE} == set(SYSTEMS)
    assert {defect.kind for defect in CATALOGUE} == set(CLASSES)
    feeds = {defect.dataset for defect in CATALOGUE if defect.system == "telemetria"}
    assert feeds == {"telemetria.lecturas_csv", "telemetria.lecturas_lorawan"}


def test_every_dataset_has_a_contract_and_answers_with_its_people() -> None:
    contracts = load_contracts().contracts
    for defect in CATALOGUE:
        if not defect.in_sources:
            continue
        assert defect.dataset in contracts, defect.id
        _, _, subject = defect.detects.partition("@")
        if subject.startswith(("control:", "raw.", "")) and subject not in contracts:
            subject = defect.dataset
        about_a_mart = defect.detects.startswith("control:") and not defect.detects.startswith(
            ("control:contrato", "control:protocolo", "control:*")
        )
        if not about_a_mart:
            assert defect.owner == contracts[subject].responsible, defect.id


def test_a_finding_is_expected_with_the_severity_of_its_rule() -> None:
    severities = rules()
    for defect in CATALOGUE:
        kind, _, rest = defect.detects.partition(":")
        rule = rest.partition("@")[0]
        if kind == "hallazgo" and "[" not in rule:
            assert severities.get(rule) == defect.severity, defect.id


def test_every_step_of_the_catalogue_exists() -> None:
    known = {*STEPS, "almacen", "definicion"}
    used = Counter(action for defect in CATALOGUE for step in defect.injection for action in step)
    assert set(used) <= known
    assert set(STEPS) - set(used) <= {"escribir", "quitar_lineas", "agregar_lineas",
                                      "conservar_registros"}  # fmt: skip


def test_the_known_conditions_say_why() -> None:
    for path in (LEGITIMATE, CONSEQUENCES):
        assert all(known.reason.strip() for known in load_known(path))


def test_a_known_condition_explains_no_more_rows_than_it_says() -> None:
    known = [Known("control:estandar.*", "la encuesta", rows=1)]
    one = Signal("control", "estandar.cumple", "calidad.kpi", "advertencia", "", rows=1)
    assert false_alarms([one], known) == []
    more = replace(one, rows=2)
    assert false_alarms([more], known) == [more]


ENTRY = {
    "id": "a.b.c",
    "dataset": "aguas.zonas",
    "clase": "filas",
    "problema": "algo",
    "inyectar": [{"sql": "delete from zonas"}],
    "detecta": "hallazgo:R-CLAVE-01",
    "severidad": "alta",
    "responsable": "Alguien",
}


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([ENTRY, ENTRY], "dos veces"),
        ([ENTRY | {"clase": "otra"}], "`clase`"),
        ([ENTRY | {"severidad": "grave"}], "`severidad`"),
        ([ENTRY | {"detecta": "rumor:algo"}], "detecta"),
        ([ENTRY | {"gravedad": "alta"}], "gravedad"),
        ([{k: v for k, v in ENTRY.items() if k != "responsable"}], "responsable"),
        ([ENTRY | {"inyectar": "delete"}], "inyectar"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(
    tmp_path: Path, entries: list[dict[str, Any]], says: str
) -> None:
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(entries, allow_unicode=True), encoding="utf-8")
    with pytest.raises(CatalogueError, match=says):
        load_catalogue(tmp_path)


# --- verdicts ----------------------------------------------------------------------------------

DEFECT = BY_ID["aguas.facturacion.vence_antes_del_periodo"]
FOUND = Signal("hallazgo", "R-FECHA-03", "aguas.facturacion", "media", DEFECT.owner)
STRAY = Signal("hallazgo", "R-CLAVE-01", "mlc.hitos", "alta", "Dirección de Datos")


def test_a_defect_is_caught_only_by_the_right_rule_with_severity_and_owner() -> None:
    assert judge(DEFECT, [FOUND], 1).caught
    for wrong in (
        Signal("hallazgo", "R-FECHA-04", "aguas.facturacion", "media", DEFECT.owner),
        Signal("hallazgo", "R-FECHA-03", "aguas.facturacion", "alta", DEFECT.owner),
        Signal("hallazgo", "R-FECHA-03", "aguas.facturacion", "media", ""),
    ):
        assert not judge(DEFECT, [wrong], 1).caught


def test_any_other_alarm_is_told_and_a_correction_is_none() -> None:
    corrected = Signal("correccion", "R-TEXTO-02", "mlc.hitos", "baja", "")
    assert judge(DEFECT, [FOUND, STRAY, corrected], 1).others == (STRAY,)


def test_the_same_cause_told_again_by_the_contract_is_no_other_alarm() -> None:
    again = Signal("control", "contrato.aguas.facturacion.vencimiento.minimo",
                   "raw.aguas__facturacion", "advertencia", DEFECT.owner)  # fmt: skip
    elsewhere = Signal("control", "contrato.aguas.cuentas.latitud.minimo",
                       "raw.aguas__cuentas", "advertencia", DEFECT.owner)  # fmt: skip
    verdict = judge(DEFECT, [FOUND, again, elsewhere], 1, load_known(CONSEQUENCES))
    assert verdict.others == (elsewhere,)


def test_only_what_is_new_or_more_counts_as_raised() -> None:
    more = Signal("hallazgo", "R-CLAVE-01", "mlc.hitos", "alta", "Dirección de Datos", rows=3)
    assert raised([FOUND, STRAY], [FOUND, more]) == [more]


def test_the_target_is_missed_by_one_false_alarm_or_too_many_misses() -> None:
    caught, missed = judge(DEFECT, [FOUND], 1), judge(DEFECT, [], 1)
    broken = not_injected(DEFECT, InjectionError("nada cambió"), 1)
    good, bad = caught.as_row(), missed.as_row()
    stray = judge(DEFECT, [FOUND, STRAY], 1).as_row()
    assert on_target(totals([good] * 98 + [bad] * 2, []))
    assert not on_target(totals([good] * 97 + [bad] * 3, []))
    assert not on_target(totals([good], [STRAY]))
    assert not on_target(totals([stray], []))
    assert not on_target(totals([broken.as_row()], []))


# --- stopping and going on ---------------------------------------------------------------------


@pytest.fixture
def orders() -> Iterator[None]:
    """Nothing was ordered before, and nothing is left of it after."""
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
    stopping.listen()
    yield
    stopping._ORDERS.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_an_order_to_stop_is_obeyed_though_dbt_takes_it_for_a_failure(order: int) -> None:
    began = time.monotonic()
    with pytest.raises(SystemExit) as stopped, stopping.interrupting(), suppress(BaseException):
        os.kill(os.getpid(), order)
        time.sleep(30)
    assert stopped.value.code == 128 + order
    assert time.monotonic() - began < 20, "dbt is interrupted, not waited for"


@pytest.mark.usefixtures("orders")
def test_an_order_that_came_up_where_python_drops_exceptions_is_obeyed_at_the_next_step() -> None:
    with suppress(SystemExit):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    with pytest.raises(SystemExit, match="143"):
        stopping.obey()


def test_a_run_that_was_interrupted_goes_on_where_it_stood(tmp_path: Path) -> None:
    caught = judge(DEFECT, [FOUND], 1).as_row()
    broken = not_injected(BY_ID["aguas.zonas.borrada"], InjectionError("se cayó"), 1).as_row()
    left = tmp_path / "interrumpida.jsonl"
    left.write_text("\n".join([json.dumps(caught), json.dumps(broken), '{"defect": "mlc.hi']))
    assert judged(left) == {DEFECT.id: caught}, "what broke is tried again"


# --- injections --------------------------------------------------------------------------------


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    for system in ("telemetria", "milujan"):
        (tmp_path / system).mkdir()
    with sqlite3.connect(tmp_path / "aguas.sqlite") as file:
        file.execute("create table zonas (zona_id integer, nombre text)")
        file.execute("insert into zonas values (1, 'Centro')")
    lines = [f"SINT-C-00001;20/06/2026 {h:02d}:00:00;{100 + h}.000;0;3.50" for h in range(4)]
    (tmp_path / "telemetria" / "lecturas_2026-06-20.csv").write_text(
        "medidor;fecha;lectura_m3;estimada;bateria\n" + "\n".join(lines) + "\n"
    )
    (tmp_path / "milujan" / "tramites_digitales.json").write_text('[{"id": "a", "canal": "web"}]')
    return Sources(tmp_path, "")


def readings(sources: Sources) -> list[str]:
    lines = (sources.feed("telemetria") / "lecturas_2026-06-20.csv").read_text().splitlines()[1:]
    return [" ".join(line.split(";")[1:3])[11:] for line in lines]


@pytest.mark.parametrize(
    ("change", "gives"),
    [
        ({"hacer": "congelar"}, ["00:00:00 100.000", "01:00:00 101.000", "02:00:00 101.000",
                                 "03:00:00 101.000"]),
        ({"hacer": "caudal_adicional", "litros": 10},
         ["00:00:00 100.000", "01:00:00 101.000", "02:00:00 102.010", "03:00:00 103.020"]),
        ({"hacer": "poner_en_cero"}, ["00:00:00 100.000", "01:00:00 0.000", "02:00:00 1.000",
                                      "03:00:00 2.000"]),
        ({"hacer": "multiplicar", "factor": 10, "consumo": True},
         ["00:00:00 100.000", "01:00:00 101.000", "02:00:00 111.000", "03:00:00 121.000"]),
        ({"hacer": "callar"}, ["00:00:00 100.000"]),
        ({"hacer": "atrasar_reloj", "minutos": 7}, ["00:00:00 100.000", "01:07:00 101.000",
                                                    "02:07:00 102.000", "03:07:00 103.000"]),
    ],
)  # fmt: skip
def test_a_meter_is_spoilt_from_a_time_on(
    sources: Sources, change: dict[str, Any], gives: list[str]
) -> None:
    step = {"lecturas": {"medidor": "SINT-C-00001", "desde": "2026-06-20T01", **change}}
    inject(sources, "telemetria.lecturas_csv", [step])
    assert readings(sources) == gives


def test_a_record_of_the_api_is_spoilt(sources: Sources) -> None:
    inject(sources, "milujan.tramites_digitales", [{"registro": {"poner": {"canal": "fax"}}}])
    records = json.loads((sources.feed("milujan") / "tramites_digitales.json").read_text())
    assert records == [{"id": "a", "canal": "fax"}]


@pytest.mark.parametrize(
    ("dataset", "step"),
    [
        ("aguas.zonas", {"sql": "delete from zonas where zona_id = 9"}),
        ("telemetria.lecturas_csv",
         {"sustituir": {"archivo": "lecturas_*.csv", "patron": "nunca", "por": "x"}}),
        ("telemetria.lecturas_csv", {"borrar": {"archivo": "otro.csv"}}),
        ("milujan.tramites_digitales", {"registro": {"poner": {"canal": "web"}}}),
        ("aguas.zonas", {"embrujar": {}}),
    ],
)  # fmt: skip
def test_a_step_without_effect_is_an_error_and_no_missed_defect(
    sources: Sources, dataset: str, step: dict[str, Any]
) -> None:
    with pytest.raises(InjectionError):
        inject(sources, dataset, [step])


# --- end to end --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def city() -> Iterator[City]:
    """The smallest clean city, loaded and built once."""
    with open_city(SMALLEST) as made:
        yield made


def test_the_clean_city_raises_no_alarm(city: City) -> None:
    assert false_alarms(city.clean_alarms, load_known(LEGITIMATE)) == []


@pytest.mark.parametrize(
    "name",
    [
        "aguas.facturacion.vence_antes_del_periodo",
        "aguas.facturacion.columna_con_dato_personal",
        "milujan.tramites_digitales.satisfaccion_en_palabras",
        "planillas.inventario_datasets.hoja_renombrada",
        "almacen.umbral_bajado",
    ],
)
def test_a_defect_is_caught_with_severity_and_owner_and_nothing_else_cries_out(
    city: City, name: str
) -> None:
    defect: Defect = BY_ID[name]
    verdict = judge(defect, city.observe(defect).raised, 0, load_known(CONSEQUENCES))
    assert verdict.caught, verdict
    assert verdict.others == ()
