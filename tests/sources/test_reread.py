"""Files read again after their contract changed: in their own place, with history, or not."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from typing import Any

import pytest

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.errors import ContractError
from sources.landing import LoadContext, LoadReport, load
from sources.landing.months import detach
from sources.landing.reread import reread
from sources.urls import SourceUrl
from tests.sources.reader_support import column, make_contract

METER, DAY, LITRES = column("medidor"), column("dia", "date"), column("litros", "integer")


class City:
    """A folder of files, a warehouse, an archive."""

    def __init__(self, folder: Path, warehouse: Warehouse) -> None:
        self.folder = folder / "lecturas"
        self.folder.mkdir()
        self.archive = folder / "archivo"
        self._contracts = folder
        self._warehouse = warehouse
        self._clock = 1_000_000_000

    @property
    def url(self) -> SourceUrl:
        return SourceUrl.parse(str(self.folder))

    @property
    def context(self) -> LoadContext:
        return LoadContext(connect=self._warehouse.connect, run_id="prueba", archive=self.archive)

    def contract(self, *columns: dict[str, Any], **options: Any) -> Contract:
        return make_contract(self._contracts, "csv", columns, **options)

    def write(self, name: str, *rows: str) -> None:
        path = self.folder / name
        path.write_text("\n".join(["medidor,dia,litros", *rows, ""]))
        self._clock += 1
        os.utime(path, (self._clock, self._clock))

    def load(self, contract: Contract) -> LoadReport:
        return load(contract, self.url, self.context, [])

    def reread(self, contract: Contract, url: SourceUrl | None = None) -> LoadReport:
        return reread(contract, url, self.context, [])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with self._warehouse.connect() as connection:
            return connection.execute(statement.encode()).fetchall()

    def litres(self) -> dict[str, int | None]:
        return dict(self.query("select medidor, litros from raw.prueba__tabla"))


@pytest.fixture
def city(tmp_path: Path, warehouse: Warehouse) -> City:
    return City(tmp_path, warehouse)


def test_a_column_that_the_contract_names_later_is_filled_from_the_archive(city: City) -> None:
    city.write("a.csv", "m1,2026-06-01,5")
    city.write("b.csv", "m2,2026-06-01,6", "m3,2026-06-01,7")
    city.load(city.contract(METER, DAY, ignoredColumns=["litros"]))
    for path in city.folder.iterdir():
        path.unlink()
    now = city.contract(METER, DAY, LITRES)

    told = city.load(now)
    report = city.reread(now)

    assert any("columnas nuevas (litros)" in note for note in told.notes)
    assert (report.state, report.errors, report.files) == ("cargada", [], 2)
    assert (report.read, report.loaded, report.deleted) == (3, 3, 3)
    assert city.litres() == {"m1": 5, "m2": 6, "m3": 7}
    assert city.query("select count(*) from raw._historial where operacion = 'baja'") == [(3,)]
    assert city.query(
        "select c.modo, a.vigente, a.filas_leidas from meta.archivo a "
        "join meta.carga c using (carga_id) order by a.nombre"
    ) == [("relectura", True, 1), ("relectura", True, 2)]
    # Once is enough, and a run knows them.
    assert city.reread(now).state == "sin_cambios"
    city.write("a.csv", "m1,2026-06-01,5")
    again = city.load(now)
    assert (again.state, again.files_known, again.notes) == ("sin_cambios", 1, [])


def test_rows_that_the_contract_reads_the_same_stay_known_and_bad_ones_are_judged_anew(
    city: City,
) -> None:
    city.write("a.csv", "m1,2026-06-01,5", "m2,2026-06-01,s/d", "m3,2026-06-01,roto")
    city.load(city.contract(METER, DAY, LITRES))

    report = city.reread(city.contract(METER, DAY, LITRES, missingValues=["s/d"]))

    assert (report.known, report.loaded, report.quarantined, report.deleted) == (1, 1, 1, 0)
    assert city.litres() == {"m1": 5, "m2": None}
    states = "select fila ->> 'medidor', estado from quarantine.fila order by fila_id"
    assert city.query(states) == [
        ("m2", "reemplazada"), ("m3", "pendiente"),
    ]  # fmt: skip


def test_a_file_whose_copy_is_gone_is_read_at_the_source_or_keeps_its_rows(city: City) -> None:
    for name, meter in (("a.csv", "m1"), ("b.csv", "m2"), ("c.csv", "m3")):
        city.write(name, f"{meter},2026-06-01,5")
    city.load(city.contract(METER, DAY, ignoredColumns=["litros"]))
    copies = {path.name.rpartition("-")[2]: path for path in city.archive.rglob("*.csv")}
    copies["b.csv"].unlink()
    copies["c.csv"].write_text("otra cosa")
    city.write("c.csv", "m3,2026-06-01,9")  # a new version that no run has seen
    now = city.contract(METER, DAY, LITRES)

    offline = city.reread(now)
    report = city.reread(now, city.url)

    assert (offline.files, len(offline.errors), len(report.errors)) == (1, 2, 1)
    assert "c.csv no se puede leer otra vez" in str(report.errors[0])
    assert city.litres() == {"m1": 5, "m2": 5, "m3": None}
    assert copies["b.csv"].exists()  # and the archive has it again
    assert city.load(now).loaded == 1
    assert city.litres()["m3"] == 9


def test_only_versions_in_force_are_read_again_each_in_its_own_place(city: City) -> None:
    city.write("a.csv", "m1,2026-06-01,1")
    before = city.contract(METER, DAY, ignoredColumns=["litros"])
    city.load(before)
    city.write("a.csv", "m1,2026-06-02,2")
    city.load(before)

    report = city.reread(city.contract(METER, DAY, LITRES))

    assert (report.files, city.litres()) == (1, {"m1": 2})
    assert city.query("select vigente from meta.archivo order by cargado_en") == [(False,), (True,)]


def test_a_contract_by_which_most_rows_would_go_changes_nothing(city: City) -> None:
    city.write("a.csv", *(f"m{n},25/06/2026,{n}" for n in range(100)))
    city.write("b.csv", "x,25/06/2026,1")
    city.load(city.contract(METER, column("dia", "date", format="dd/MM/yyyy"), LITRES))

    report = city.reread(city.contract(METER, column("dia", "date", format="MM/dd/yyyy"), LITRES))

    assert ["100 de 100 filas no pasan" in str(e) for e in report.errors] == [True, False]
    assert "con el contrato de hoy pasan 0 filas y hay 1 cargadas" in str(report.errors[1])
    assert len(city.litres()) == 101
    assert city.query("select count(*) from quarantine.fila") == [(0,)]


def test_a_month_that_is_apart_has_to_come_back_first(city: City, warehouse: Warehouse) -> None:
    city.write("a.csv", "m1,2026-05-01,5", "m2,2026-06-01,6")
    before = city.contract(METER, DAY, partitionBy="dia", ignoredColumns=["litros"])
    city.load(before)
    with warehouse.connect() as connection:
        detach(connection, before, dt.date(2026, 5, 1), by="Ana", reason="viejo", run_id="prueba")

    report = city.reread(city.contract(METER, DAY, LITRES, partitionBy="dia"))

    assert "está separado" in str(report.errors[0])
    assert city.query("select count(*) from raw.prueba__tabla") == [(1,)]


def test_a_table_that_is_read_whole_has_nothing_to_read_again(city: City) -> None:
    with pytest.raises(ContractError, match="no hay archivos que leer otra vez"):
        city.reread(city.contract(METER, DAY, loadMode="full"))
