"""Every planted defect is where ground_truth.json says it is, and healthy data are healthy."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from psycopg.rows import dict_row
from python_calamine import CalamineWorkbook

from orchestration.warehouse.embedded import EmbeddedServer
from seeds.sample import CATALOGUE, SEED, SampleSize, build
from seeds.sample.defects import DefectLog
from seeds.sample.water import Water, build_water

SMALL = SampleSize().reduced(0.05)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def mlc_url(postgres: EmbeddedServer) -> str:
    """An empty PostgreSQL database of its own."""
    return postgres.ensure_database("mlc_defects")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, mlc_url: str) -> Path:
    """A small sample, built once."""
    folder = tmp_path_factory.mktemp("muestra") / "m"
    build(folder, mlc_url=mlc_url, size=SMALL)
    return folder


@pytest.fixture(scope="module")
def truth(sample: Path) -> dict[str, list[Row]]:
    """Keys per defect id."""
    document = json.loads((sample / "ground_truth.json").read_text(encoding="utf-8"))
    return {defect["id"]: defect["claves"] for defect in document["defectos"]}


@pytest.fixture(scope="module")
def water() -> Water:
    """The water system of the same sample, with its readings as arrays."""
    return build_water(SEED, SMALL, DefectLog(SMALL))


class Rows:
    """Rows of any table of the sample, by key."""

    def __init__(self, sample: Path, mlc_url: str) -> None:
        self._sample = sample
        self._mlc_url = mlc_url

    def all(self, dataset: str) -> list[Row]:
        system, table = dataset.split(".")
        if system == "mlc":
            with psycopg.connect(self._mlc_url, row_factory=dict_row) as connection:
                return connection.execute(f'select * from "{table}"').fetchall()
        if system == "milujan":
            return json.loads((self._sample / "milujan/tramites_digitales.json").read_text())
        connection = sqlite3.connect(self._sample / f"{system}.sqlite")
        connection.row_factory = sqlite3.Row
        with connection:
            return [dict(row) for row in connection.execute(f'select * from "{table}"')]

    def affected(self, dataset: str, keys: list[Row]) -> list[Row]:
        """The row of each key (only the key's columns that the table has count)."""
        rows = self.all(dataset)
        names = [name for name in keys[0] if name in rows[0] and name != "valor"]
        by_key = {tuple(str(row[name]) for name in names): row for row in rows}
        return [by_key[tuple(str(key[name]) for name in names)] for key in keys]


@pytest.fixture(scope="module")
def rows(sample: Path, mlc_url: str) -> Rows:
    return Rows(sample, mlc_url)


def outside(row: Row) -> bool:
    lat, lon = float(row["latitud"]), float(row["longitud"])
    return not (-33.392 <= lat <= -32.619 and -70.094 <= lon <= -68.619)


SHOWS = {
    "mlc.proyectos.nombre_mal_codificado": lambda r: "Ã" in r["nombre"],
    "mlc.proyectos.estado_variante": lambda r: (
        r["estado"] != r["estado"].strip().lower() or " " in r["estado"]
    ),
    "mlc.proyectos.programa_inexistente": lambda r: r["programa_id"] == 999,
    "mlc.proyectos.fin_antes_de_inicio": lambda r: r["fecha_fin_prevista"] < r["fecha_inicio"],
    "mlc.proyectos.completo_y_planificado": lambda r: (
        (r["estado"], r["avance_pct"]) == ("planificado", 100)
    ),
    "mlc.proyectos.avance_mayor_a_100": lambda r: r["avance_pct"] == Decimal("120.00"),
    "mlc.proyectos.ods_invalido": lambda r: "18" in r["ods"].split(","),
    "mlc.hitos.cumplido_sin_fecha": lambda r: (
        r["estado"] == "cumplido" and r["fecha_cumplido"] is None
    ),
    "mlc.indicadores.nombre_mal_codificado": lambda r: "Ã" in r["nombre"],
    "mlc.metas.sin_vinculo": lambda r: r["indicador_id"] is None and r["proyecto_id"] is None,
    "mlc.mediciones.indicador_inexistente": lambda r: r["indicador_id"] == 9999,
    "aguas.cuentas.sin_zona": lambda r: r["zona_id"] is None,
    "aguas.cuentas.coordenadas_fuera": outside,
    "aguas.cuentas.coordenadas_intercambiadas": lambda r: r["latitud"] < -60,
    "aguas.cuentas.distrito_variante": lambda r: r["distrito"] != r["distrito"].strip().title(),
    "aguas.cuentas.inactiva_con_consumo": lambda r: r["activa"] == 0,
    "aguas.medidores.sin_cuenta": lambda r: r["cuenta_id"] is None,
    "aguas.medidores.fecha_cero": lambda r: r["fecha_retiro"] == "0000-00-00",
    "aguas.medidores.retirado_con_lecturas": lambda r: r["estado"] == "retirado",
    "aguas.lecturas_macromedidor.volumen_negativo": lambda r: r["volumen_m3"] < 0,
    "aguas.facturacion.importe_negativo": lambda r: r["importe_ars"] < 0,
    "aguas.red_infraestructura.anio_futuro": lambda r: r["anio_instalacion"] == 2062,
    "aguas.calidad_agua.turbidez_alta": lambda r: (r["parametro"], r["valor"]) == ("turbidez", 9),
    "aguas.calidad_agua.ph_imposible": lambda r: (r["parametro"], r["valor"]) == ("ph", 71),
    "aguas.energia_bombeo.estacion_inexistente": lambda r: r["estacion_id"] == 9999,
    "aguas.energia_bombeo.energia_desproporcionada": lambda r: (
        r["energia_kwh"] > 3 * r["volumen_bombeado_m3"]
    ),
    "aguas.reportes_servicio.reparado_antes_del_reporte": lambda r: (
        r["fecha_reparacion"] < r["fecha_reporte"]
    ),
    "aguas.reportes_servicio.reparado_sin_fecha": lambda r: (
        r["estado"] == "reparado" and r["fecha_reparacion"] is None
    ),
    "aguas.reportes_servicio.zona_inexistente": lambda r: r["zona_id"] == 88,
    "aguas.reportes_servicio.tipo_variante": lambda r: r["tipo"] not in {"fuga", "corte"},
    "citymis.solicitudes.cierre_antes_de_ingreso": lambda r: r["fecha_cierre"] < r["fecha_ingreso"],
    "citymis.solicitudes.coordenadas_fuera": outside,
    "citymis.solicitudes.distrito_desconocido": lambda r: r["distrito"] == "Distrito inexistente",
    "citymis.tramites.resolucion_antes_de_inicio": lambda r: (
        r["fecha_resolucion"] < r["fecha_inicio"]
    ),
    "citymis.tramites.secretaria_inexistente": lambda r: r["secretaria_id"] == 99,
    "citymis.beneficiarios.genero_variante": lambda r: r["genero"] in ("M", "F", "Hombre", "Varón"),
    "citymis.beneficiarios.genero_fuera_de_lista": lambda r: r["genero"] == "X",
    "citymis.beneficiarios.edad_en_lugar_de_fecha": lambda r: r["fecha_nacimiento"].isdigit(),
    "citymis.beneficiarios.fecha_imposible": lambda r: r["fecha_nacimiento"] == "31/02/1980",
    "citymis.beneficiarios.fecha_orden_iso": lambda r: r["fecha_nacimiento"][4:5] == "-",
    "citymis.beneficiarios.educacion_fuera_de_lista": lambda r: (
        r["nivel_educativo"] == "Curso de oficios"
    ),
    "citymis.beneficiarios.programa_inexistente": lambda r: r["programa_id"] == 999,
    "milujan.tramites_digitales.satisfaccion_fuera_de_rango": lambda r: r["satisfaccion"] == 9,
    "milujan.tramites_digitales.fin_antes_de_inicio": lambda r: r["fecha_fin"] < r["fecha_inicio"],
    "milujan.tramites_digitales.secretaria_mal_escrita": lambda r: (
        r["secretaria"] == "Obras Publicas"
    ),
    "milujan.tramites_digitales.estado_variante": lambda r: (
        r["estado"] not in {"iniciado", "en_curso", "finalizado", "rechazado"}
    ),
}


@pytest.mark.parametrize("defect_id", SHOWS)
def test_rows_carry_their_defect_and_no_others_do(
    defect_id: str, truth: dict[str, list[Row]], rows: Rows
) -> None:
    dataset = defect_id.rsplit(".", 1)[0]
    affected = rows.affected(dataset, truth[defect_id])
    assert all(SHOWS[defect_id](row) for row in affected)
    exclusive = ("variante", "coordenadas_fuera", "inactiva")  # other kinds look alike
    if not any(word in defect_id for word in exclusive):
        found = sum(_holds(SHOWS[defect_id], row) for row in rows.all(dataset))
        assert found == len(affected)


def _holds(shows: Any, row: Row) -> bool:
    try:
        return bool(shows(row))
    except TypeError:  # a comparison with a missing value
        return False


def test_the_catalogue_covers_every_system(truth: dict[str, list[Row]]) -> None:
    assert len(CATALOGUE) >= 30
    assert len({defect.id for defect in CATALOGUE}) == len(CATALOGUE)
    assert {defect.system for defect in CATALOGUE} == {
        *("mlc", "aguas", "citymis", "planillas", "telemetria", "milujan")
    }
    for defect in CATALOGUE:
        assert len(truth[defect.id]) == SMALL.planted(defect.count), defect.id


def test_no_row_carries_two_defects(truth: dict[str, list[Row]]) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for defect in CATALOGUE:
        if defect.system in {"mlc", "citymis", "milujan"}:
            for key in truth[defect.id]:
                seen[defect.dataset, str(next(iter(key.values())))] += 1
    assert max(seen.values()) == 1


def test_damaged_texts_say_what_they_were(truth: dict[str, list[Row]]) -> None:
    for key in truth["mlc.proyectos.nombre_mal_codificado"]:
        assert key["valor"].encode("latin-1").decode("utf-8") == key["correcto"]


def test_repeated_rows_point_to_the_original(truth: dict[str, list[Row]], rows: Rows) -> None:
    requests = {row["solicitud_id"]: row for row in rows.all("citymis.solicitudes")}
    for key in truth["citymis.solicitudes.duplicada"]:
        copy, original = requests[key["solicitud_id"]], requests[key["original"]]
        assert copy["descripcion"] == original["descripcion"]
        assert copy["fecha_ingreso"] == original["fecha_ingreso"]
    people = {row["beneficiario_id"]: row for row in rows.all("citymis.beneficiarios")}
    for key in truth["citymis.beneficiarios.documento_duplicado"]:
        twin = people[key["original"]]
        assert people[key["beneficiario_id"]]["documento"] == twin["documento"]


def test_a_report_follows_the_request_that_began_it(rows: Rows) -> None:
    requests = {row["solicitud_id"]: row for row in rows.all("citymis.solicitudes")}
    kinds = {"Fuga de agua en vía pública": "fuga", "Corte de agua": "corte"}
    began = [r for r in rows.all("aguas.reportes_servicio") if r["solicitud_id"] is not None]
    assert len(began) >= 10
    for report in began:
        request = requests[report["solicitud_id"]]
        assert report["tipo"].strip().lower() == kinds[request["tipo"]]
        assert report["fecha_reporte"][:19] > request["fecha_ingreso"][:19].replace("T", " ")


def test_days_without_volume_are_absent(truth: dict[str, list[Row]], rows: Rows) -> None:
    present = {(r["macromedidor_id"], r["fecha"]) for r in rows.all("aguas.lecturas_macromedidor")}
    for key in truth["aguas.lecturas_macromedidor.dia_faltante"]:
        assert (key["macromedidor_id"], key["fecha"]) not in present


def sheet(sample: Path, name: str) -> list[list[Any]]:
    book = CalamineWorkbook.from_path(sample / "planillas" / f"{name}.xlsx")
    return book.get_sheet_by_index(0).to_python()


def test_the_inventory_looks_like_a_sheet_kept_by_hand(
    sample: Path, truth: dict[str, list[Row]]
) -> None:
    lines = sheet(sample, "inventario_datasets")
    assert lines[2][:2] == ["dataset_codigo", "nombre"]
    blank = truth["planillas.inventario_datasets.fila_en_blanco"][0]["despues_de_fila"]
    assert set(lines[3 + blank]) == {""}
    assert lines[-1][0] == "TOTAL"
    by_code = {line[0]: line for line in lines[3:]}
    for key in truth["planillas.inventario_datasets.sin_responsable"]:
        assert by_code[key["dataset_codigo"]][3] == ""
    for key in truth["planillas.inventario_datasets.fecha_como_numero"]:
        assert by_code[key["dataset_codigo"]][10] == key["valor"]


def test_kpis_have_decimal_commas_a_total_and_absent_codes(
    sample: Path, truth: dict[str, list[Row]]
) -> None:
    lines = sheet(sample, "kpi_manuales")[1:]
    values = {(line[0], str(line[1])): line[2] for line in lines}
    for key in truth["planillas.kpi_manuales.coma_decimal"]:
        assert "," in values[key["kpi_codigo"], key["periodo"]]
    assert lines[-1][0] == "TOTAL"
    assert not {"kpi_r33", "kpi_r36"} & {line[0] for line in lines}


def csv_lines(sample: Path, name: str) -> list[str]:
    return (sample / "telemetria" / name).read_text(encoding="utf-8").splitlines()[1:]


CSV_SHOWS = {
    "fecha_imposible": lambda line: ";31/06/2026 " in line,
    "fecha_sin_dato": lambda line: ";sin dato;" in line,
    "fecha_futura": lambda line: "/2062 " in line,
    "coma_decimal": lambda line: "," in line,
    "linea_truncada": lambda line: line.count(";") < 4,
}


@pytest.mark.parametrize("kind", CSV_SHOWS)
def test_damaged_csv_lines(kind: str, sample: Path, truth: dict[str, list[Row]]) -> None:
    keys = truth[f"telemetria.lecturas_csv.{kind}"]
    for key in keys:
        own = [ln for ln in csv_lines(sample, key["archivo"]) if ln.startswith(key["medidor_id"])]
        assert sum(map(CSV_SHOWS[kind], own)) == 1
    files = (sample / "telemetria").glob("*.csv")
    total = sum(CSV_SHOWS[kind](line) for path in files for line in csv_lines(sample, path.name))
    assert total == len(keys)


def test_resent_csv_lines(sample: Path, truth: dict[str, list[Row]]) -> None:
    files = (sample / "telemetria").glob("*.csv")
    copies = Counter(line for path in files for line in csv_lines(sample, path.name))
    expected = {
        (key["medidor_id"], key["fecha_hora"][:13])
        for kind in ("duplicada_mismo_dia", "reenviada_otro_dia")
        for key in truth[f"telemetria.lecturas_csv.{kind}"]
    }
    assert {moment_of(line) for line, times in copies.items() if times == 2} == expected
    assert max(copies.values()) == 2


def moment_of(line: str) -> tuple[str, str]:
    meter, date, *_ = line.split(";")
    return meter, f"{date[6:10]}-{date[3:5]}-{date[:2]}T{date[11:13]}"


def test_lorawan_messages(sample: Path, truth: dict[str, list[Row]]) -> None:
    messages, broken = [], 0
    for path in sorted((sample / "telemetria").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                messages.append(json.loads(line))
            except json.JSONDecodeError:
                broken += 1
    prefix = "telemetria.lecturas_lorawan"
    assert broken == len(truth[f"{prefix}.json_roto"])
    assert sum(not m["object"] for m in messages) == len(truth[f"{prefix}.sin_decodificar"])
    assert sum(m["time"] < "2000" for m in messages) == len(truth[f"{prefix}.fecha_1970"])
    gateways: dict[str, set[str]] = {}
    for message in messages:
        gateway = message["rxInfo"][0]["gatewayId"]
        gateways.setdefault(message["deduplicationId"], set()).add(gateway)
    twice = sum(len(names) == 2 for names in gateways.values())
    assert twice == len(truth[f"{prefix}.entregada_dos_veces"])
    assert len(messages) == len(gateways) + twice


def test_line_counts_are_those_of_the_manifest(sample: Path) -> None:
    rows = json.loads((sample / "sample.json").read_text(encoding="utf-8"))["filas"]
    folder = sample / "telemetria"
    csv = sum(len(csv_lines(sample, path.name)) for path in folder.glob("*.csv"))
    jsonl = sum(len(path.read_bytes().splitlines()) for path in folder.glob("*.jsonl"))
    assert rows["telemetria.lecturas_csv"] == csv
    assert rows["telemetria.lecturas_lorawan"] == jsonl


def longest_run_without_rest(use: np.ndarray) -> int:
    """Longest run of hours with use, per the busiest meter."""
    run = longest = np.zeros(len(use), dtype=int)
    for hour in range(use.shape[1]):
        run = np.where(use[:, hour] > 0, run + 1, 0)
        longest = np.maximum(longest, run)
    return int(longest.max())


def test_healthy_meters_rest_once_in_any_24_hours(water: Water) -> None:
    readings = water.readings
    assert longest_run_without_rest(readings.use[readings.healthy]) < 24


def test_a_leak_runs_every_hour_from_its_start(water: Water, truth: dict[str, list[Row]]) -> None:
    start = np.datetime64("2026-06-01T00", "h")
    for leak in truth["telemetria.lecturas.fuga_continua"]:
        begin = int((np.datetime64(leak["inicio"][:13], "h") - start).astype(int))
        use = water.readings.use[water.meters.ids.index(leak["medidor_id"])]
        assert leak["horas"] >= 48
        assert use[begin : begin + leak["horas"]].min() >= leak["litros_hora"]
        assert longest_run_without_rest(use[None, :begin]) < 24


def test_registers_tell_the_use(water: Water) -> None:
    readings, factor = water.readings, water.meters.multiplier[:, None]
    steps = np.diff(readings.register, axis=1) * factor
    assert (steps == readings.use[:, :-1])[readings.healthy].all()


def test_registers_misbehave_where_the_truth_says(
    water: Water, truth: dict[str, list[Row]]
) -> None:
    steps = np.diff(water.readings.register, axis=1)
    falls = {water.meters.ids[i] for i in np.flatnonzero((steps < 0).any(axis=1))}
    expected = {
        key["medidor_id"]
        for kind in ("retroceso", "vuelta_de_contador", "pico")
        for key in truth[f"telemetria.lecturas.{kind}"]
    }
    assert falls == expected


def test_june_bills_follow_the_meter_except_the_planted_ones(
    water: Water, truth: dict[str, list[Row]]
) -> None:
    bills = next(table for table in water.tables if table.name == "facturacion")
    wrong = {key["factura_id"] for key in truth["aguas.facturacion.m3_distinto_del_medidor"]}
    litres = water.readings.registered[:, :-1].sum(axis=1)
    june = SMALL.accounts * 11
    differing = {
        bills["factura_id"][june + meter]
        for meter, used in enumerate(litres.tolist())
        if bills["m3_facturados"][june + meter] != Decimal(used).scaleb(-3)
    }
    assert differing == wrong
