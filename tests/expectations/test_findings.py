"""Findings open, change, close and come back by what is known, and only by that."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from expectations.findings import Change, Finding, Project, acknowledge, close, find, history
from expectations.findings import synchronise as synchronise_all
from expectations.findings.lifecycle import FindingError
from expectations.results import CheckResult, record
from orchestration.warehouse.connection import Warehouse

Connection = psycopg.Connection[tuple[Any, ...]]
DATASET, RAW = "mlc.proyectos", "raw.mlc__proyectos"
NOTHING = Change(0, 0, 0, 0)
PROJECT = Project(["prueba_de_hoy"], {"proyectos.fct_hito": "Obras Públicas"})

MODELS = """
create table calidad.fct_hallazgo (hallazgo_id text, dataset text, clave text, columna text,
    regla_id text, filas_afectadas integer, secretaria text, responsable text);
create table referencia.reglas_limpieza (regla_id text, nombre text, descripcion text,
    dimension text, severidad text, que_hacer text);
insert into referencia.reglas_limpieza values
    ('R-FECHA-03', 'Fechas en orden imposible', 'El fin es anterior al inicio.', 'consistencia',
     'media', 'Corrija la fecha.'),
    ('R-CODIGO-02', 'Código no reconocido', 'No está en la lista.', 'validez', 'media', 'Corrija.');
"""


@pytest.fixture
def city(warehouse: Warehouse) -> Iterator[Connection]:
    """A warehouse with one contract read whole, one read by parts, and the models built."""
    with warehouse.connect() as connection:
        for name, mode in ((DATASET, "full"), ("aguas.facturacion", "incremental")):
            connection.execute(
                "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
                "contrato_sha256, secretaria, responsable, modo_carga) values (%s, 'x', 'x', %s, "
                "'1', 'x', 'Innovación', 'Dirección de Datos', %s)",
                [name, "raw." + name.replace(".", "__"), mode],
            )
        connection.execute(MODELS.encode())
        built(connection, "ok")
        connection.commit()
        yield connection


def built(connection: Connection, state: str) -> None:
    connection.execute(
        "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
        "ultima_carga_id) values ('c', 'calidad.fct_hallazgo', 'n', %s, '', 0)",
        [state],
    )


def data_finding(connection: Connection, key: str, rule: str = "R-FECHA-03",
                 column: str = "fecha_fin") -> None:  # fmt: skip
    connection.execute(
        "insert into calidad.fct_hallazgo values (%s, %s, %s, %s, %s, 1, 'Innovación', "
        "'Dirección de Datos')",
        [key + rule, DATASET, key, column, rule],
    )


def verdict(connection: Connection, run: str, passed: bool | None, **facts: Any) -> None:
    defaults: dict[str, Any] = {
        "control": f"contrato.{DATASET}.estado.valor_permitido", "motor": "pandera", "objeto": RAW,
        "regla": "valor_permitido", "severidad": "advertencia", "columna": "estado",
        "dimension": "validez", "explicacion": "El estado es uno de los previstos.",
        "filas_evaluadas": 10, "filas_fallidas": 0 if passed else 2, "muestra": ({"id": 7},),
    }  # fmt: skip
    record(connection, run, [CheckResult(**(defaults | facts), paso=passed)])


def synchronise(connection: Connection, run: str) -> Change:
    change = synchronise_all(connection, run, PROJECT)
    connection.commit()
    return change


def only(connection: Connection, state: str | None = None) -> Finding:
    (found,) = find(connection, state=state)
    return found


def kinds(connection: Connection, finding_id: int) -> list[str]:
    return [event.tipo for event in history(connection, finding_id)]


def test_a_finding_of_the_data_has_rows_keys_owner_and_next_step(city: Connection) -> None:
    for key in ("3", "1", "2"):
        data_finding(city, key)

    assert synchronise(city, "corrida-1") == Change(1, 0, 0, 0)

    found = only(city)
    assert (found.dataset, found.regla, found.columna) == (DATASET, "R-FECHA-03", "fecha_fin")
    assert (found.area, found.responsable) == ("Innovación", "Dirección de Datos")
    assert found.filas_afectadas == 3
    assert found.muestra == [{"clave": "1"}, {"clave": "2"}, {"clave": "3"}]
    assert found.siguiente_paso == "Corrija la fecha."
    assert found.estado == "abierto" and found.primera_vez == found.abierto_desde


def test_doing_it_twice_changes_nothing_but_the_last_time_seen(city: Connection) -> None:
    data_finding(city, "1")
    verdict(city, "corrida-1", False, columna="otra")
    synchronise(city, "corrida-1")
    before = find(city)

    assert synchronise(city, "corrida-2") == NOTHING

    after = find(city)
    assert [f.hallazgo_id for f in after] == [f.hallazgo_id for f in before]
    assert kinds(city, after[0].hallazgo_id) == ["abierto"]
    assert max(f.ultima_vez for f in after) > max(f.ultima_vez for f in before)


def test_more_and_fewer_rows_are_kept_as_history(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "corrida-1")
    data_finding(city, "2")

    assert synchronise(city, "corrida-2") == Change(0, 0, 1, 0)

    events = history(city, only(city).hallazgo_id)
    assert [(e.tipo, e.filas_afectadas) for e in events] == [("abierto", 1), ("cambio", 2)]


def test_it_closes_by_itself_and_comes_back_under_its_number(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "corrida-1")
    number = only(city).hallazgo_id
    acknowledge(city, number, by="Ana", note="se corrige el lunes")
    city.execute("delete from calidad.fct_hallazgo")

    assert synchronise(city, "corrida-2") == Change(0, 0, 0, 1)

    closed = only(city)
    assert (closed.estado, closed.cierre_corrida) == ("cerrado", "corrida-2")
    assert closed.cerrado_en is not None and find(city, state="abierto") == []
    data_finding(city, "9")
    assert synchronise(city, "corrida-3") == Change(0, 1, 0, 0)
    again = only(city)
    assert (again.hallazgo_id, again.estado, again.veces_abierto) == (number, "abierto", 2)
    assert again.primera_vez == closed.primera_vez < again.abierto_desde
    assert again.visto_por is None, "who knew of it then need not know of it now"
    assert kinds(city, number) == ["abierto", "visto", "cerrado", "reabierto"]


def test_models_that_failed_to_build_neither_open_nor_close(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "corrida-1")
    city.execute("delete from calidad.fct_hallazgo")
    data_finding(city, "5", rule="R-CODIGO-02", column="estado")
    built(city, "error")

    assert synchronise(city, "corrida-2") == NOTHING
    assert only(city).regla == "R-FECHA-03"


def test_history_survives_the_marts(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "corrida-1")
    city.execute("drop table calidad.fct_hallazgo")

    assert synchronise(city, "corrida-2") == NOTHING
    assert only(city).ultima_corrida == "corrida-1"


def test_a_check_opens_on_failure_waits_on_unknown_and_closes_on_pass(city: Connection) -> None:
    verdict(city, "c1", None)
    assert synchronise(city, "c1") == NOTHING
    verdict(city, "c2", False)
    assert synchronise(city, "c2") == Change(1, 0, 0, 0)
    verdict(city, "c3", None)
    assert synchronise(city, "c3") == NOTHING
    assert only(city).ultima_corrida == "c2"
    verdict(city, "c4", True, filas_evaluadas=0)
    assert synchronise(city, "c4") == NOTHING, "no rows tested is no pass"
    verdict(city, "c5", True)
    assert synchronise(city, "c5") == Change(0, 0, 0, 1)


def test_a_pass_on_part_of_the_rows_closes_nothing_a_person_does(city: Connection) -> None:
    part = {"objeto": "raw.aguas__facturacion",
            "control": "contrato.aguas.facturacion.estado.valor_permitido"}  # fmt: skip
    verdict(city, "c1", False, **part)
    synchronise(city, "c1")
    verdict(city, "c2", True, **part)
    assert synchronise(city, "c2") == NOTHING

    close(city, only(city).hallazgo_id, by="Ana", note="se corrigieron las dos facturas")
    city.commit()

    assert only(city).cierre_corrida is None
    assert synchronise(city, "c3") == NOTHING
    verdict(city, "c4", False, **part)
    assert synchronise(city, "c4") == Change(0, 1, 0, 0)


def test_closed_by_hand_is_not_reopened_by_the_verdict_it_was_about(city: Connection) -> None:
    part = {"objeto": "raw.aguas__facturacion",
            "control": "contrato.aguas.facturacion.estado.valor_permitido"}  # fmt: skip
    verdict(city, "c1", False, **part)
    synchronise(city, "c1")
    close(city, only(city).hallazgo_id, by="Ana", note="revisado")
    city.commit()

    assert synchronise(city, "c2") == NOTHING


def test_what_closes_by_itself_cannot_be_closed_by_hand(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "c1")

    with pytest.raises(FindingError, match="se cierra solo"):
        close(city, only(city).hallazgo_id, by="Ana", note="no quiero verlo")
    with pytest.raises(FindingError, match="no hay un hallazgo abierto"):
        acknowledge(city, 999, by="Ana", note="x")


def test_a_check_that_is_no_longer_made_closes_its_finding(city: Connection) -> None:
    old = {"motor": "dbt", "objeto": "proyectos.fct_hito", "dimension": "consistencia"}
    verdict(city, "c1", False, control="prueba_de_ayer", **old)
    verdict(city, "c1", False, control="prueba_de_hoy", columna="otra", **old)
    verdict(city, "c1", False)
    synchronise_all(city, "c1", Project(["prueba_de_ayer", "prueba_de_hoy"], PROJECT.areas))
    assert len(find(city)) == 3
    # The contract lost the rule on `estado`: the next load judges another column only.
    verdict(city, "c2", True, control=f"contrato.{DATASET}.monto.minimo", columna="monto")

    assert synchronise(city, "c2") == Change(0, 0, 0, 2)

    assert [f.regla for f in find(city)] == ["prueba_de_hoy"]
    assert {f.cierre_motivo for f in find(city, state="cerrado")} == {"El control ya no se hace."}


def test_a_check_of_a_mart_belongs_to_the_area_of_the_mart(city: Connection) -> None:
    verdict(city, "c1", False, motor="dbt", control="prueba_de_hoy", objeto="proyectos.fct_hito",
            severidad="bloqueante", regla="relationships")  # fmt: skip
    synchronise(city, "c1")

    found = only(city)
    assert (found.area, found.responsable) == ("Obras Públicas", "Obras Públicas")
    assert (found.severidad, found.titulo) == (
        "alta",
        "Registros que apuntan a otros que no existen",
    )


def test_one_defect_is_said_once(city: Connection) -> None:
    data_finding(city, "7", rule="R-CODIGO-02", column="estado")
    verdict(city, "c1", False)

    synchronise(city, "c1")

    assert only(city).fuente == "dato"


def quarantined(city: Connection, rows: int) -> None:
    city.execute(
        "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
        "contrato_sha256, inicio, fin) values ('c', %s, 'cargada', 'full', '1', 'x', now(), now())",
        [DATASET],
    )
    for row in range(rows):
        city.execute(
            "insert into quarantine.fila (dataset, carga_id, numero_fila, regla, columna, motivo, "
            "fila, huella) select %s, max(carga_id), %s, 'tipo_invalido', 'dni', 'x', "
            '\'{"dni": "30111222"}\', %s from meta.carga',
            [DATASET, row, f"h{row}"],
        )


def test_quarantine_opens_one_finding_a_rule_without_a_value_in_it(city: Connection) -> None:
    quarantined(city, 12)

    synchronise(city, "c1")

    found = only(city)
    assert (found.fuente, found.filas_afectadas, len(found.muestra)) == ("cuarentena", 12, 10)
    assert "lujan quarantine show mlc.proyectos --rule tipo_invalido" in found.siguiente_paso
    assert "30111222" not in repr(found)
    city.execute("update quarantine.fila set estado = 'descartada'")
    assert synchronise(city, "c2") == Change(0, 0, 0, 1)


def test_drift_opens_and_closes_with_its_episode(city: Connection) -> None:
    city.execute(
        "insert into meta.deriva (dataset, tipo, columna, detalle, accion) "
        "values (%s, 'columna_faltante', 'monto', 'no está', 'se conserva')", [DATASET],
    )  # fmt: skip
    synchronise(city, "c1")
    assert (only(city).severidad, only(city).titulo) == ("alta", "Falta una columna en el origen")

    city.execute("update meta.deriva set resuelto_en = now()")

    assert synchronise(city, "c2") == Change(0, 0, 0, 1)


def test_keys_that_say_who_a_person_is_are_not_shown(city: Connection) -> None:
    city.execute(
        "insert into meta.contrato_campo (dataset, orden, campo, campo_origen, tipo_fisico, "
        "obligatorio, es_clave, clasificacion) values (%s, 1, 'dni', 'dni', 'text', true, true, "
        "'sensible')", [DATASET],
    )  # fmt: skip
    data_finding(city, "30111222")
    verdict(city, "c1", False, muestra=({"dni": "30111222"},))

    synchronise(city, "c1")

    assert [f.muestra for f in find(city)] == [[], []]


def test_two_at_once_open_it_once(city: Connection, warehouse: Warehouse) -> None:
    data_finding(city, "1")
    city.commit()
    changes: list[Change] = []

    def run(name: str) -> None:
        with warehouse.connect() as connection:
            changes.append(synchronise_all(connection, name, PROJECT))

    threads = [threading.Thread(target=run, args=[f"c{n}"]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(change.opened for change in changes) == [0, 0, 0, 1]
    assert kinds(city, only(city).hallazgo_id) == ["abierto"]


def test_an_error_half_way_leaves_everything_as_it_was(city: Connection) -> None:
    data_finding(city, "1")
    synchronise(city, "c1")
    city.execute("delete from calidad.fct_hallazgo")
    city.execute("alter table meta.control_vigente rename to otra")  # the last step's table
    city.commit()

    with pytest.raises(psycopg.errors.UndefinedTable):
        synchronise(city, "c2")
    city.rollback()

    assert only(city).estado == "abierto"


def test_filters(city: Connection) -> None:
    data_finding(city, "1")
    verdict(city, "c1", False, motor="dbt", control="prueba_de_hoy", objeto="proyectos.fct_hito",
            severidad="bloqueante")  # fmt: skip
    synchronise(city, "c1")

    assert [f.fuente for f in find(city, area="innov")] == ["dato"]
    assert [f.fuente for f in find(city, dataset="proyectos.fct_hito")] == ["control"]
    assert [f.fuente for f in find(city, severity="alta")] == ["control"]
    assert [f.fuente for f in find(city, source="dato", state=None)] == ["dato"]
    assert find(city, area="innov", severity="alta") == []


def test_what_a_dataset_that_left_the_contracts_failed_is_closed(city: Connection) -> None:
    for engine in ("contrato", "frescura", "monitor"):
        verdict(city, "r1", False, control=f"{engine}.{DATASET}", motor=engine, dataset=DATASET,
                columna=None, regla=engine)  # fmt: skip
    assert synchronise(city, "r1").opened == 3

    city.execute("update meta.contrato set vigente = false where dataset = %s", [DATASET])

    assert synchronise(city, "r2").closed == 3
    assert {f.cierre_motivo for f in find(city, state="cerrado")} == {"El control ya no se hace."}
    city.execute("update meta.contrato set vigente = true")
    assert synchronise(city, "r3").reopened == 3, "and is back with it"
