"""What the closing report of a run is made from: read back from the books, not remembered."""

from __future__ import annotations

import datetime as dt
import io
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from orchestration.catalogue_sync import synchronise
from orchestration.cli.live import LiveView
from orchestration.cli.report import show
from orchestration.connections import Connections
from orchestration.loading import load_raw_table
from orchestration.progress import observe
from orchestration.run import KeptNotes
from orchestration.summary import EXIT_CRASHED, EXIT_SOURCE_FAILED, LoadLine, RunSummary, summarise
from orchestration.warehouse.connection import KeptConnection, Warehouse
from sources.contract_document import load_catalogue
from sources.urls import SourceUrl

RUN = "corrida-1"
CATALOGUE = load_catalogue()
LOAD = (
    "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
    "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas, filas_cuarentena, error, detalle) "
    "values (%s, %s, %s, %s, '1', 'x', now(), now(), %s, %s, %s, %s, %s)"
)


PUBLISHED = (
    "insert into meta.publicacion (corrida_id, conjunto, estado, definicion_sha256) "
    "values ('antes', %s, %s, 'x')"
)
TABLES = frozenset(CATALOGUE.by_landing_table())


def read_back(
    warehouse: Warehouse, *crashed: str, looked_at: frozenset[str] = TABLES
) -> RunSummary:
    return summarise(
        warehouse, run_id=RUN, catalogue=CATALOGUE,
        linked=Connections({"aguas": SourceUrl.parse("sqlite:///aguas.sqlite")}, sample=False),
        contract_errors=(), notes=(), crashed=crashed, looked_at=looked_at,
        load_notes=[("aguas.zonas", "no hay ningún archivo")], seconds=1.0,
    )  # fmt: skip


def test_loads_are_added_up_by_dataset_and_those_of_other_runs_left_out(
    warehouse: Warehouse, data_dir: Path
) -> None:
    with warehouse.connect() as connection:
        for values in (
            (RUN, "aguas.zonas", "cargada", "full", 10, 9, 1, None, "{}"),
            (RUN, "aguas.zonas", "cargada", "full", 5, 5, 0, None, "{}"),
            (RUN, "aguas.cuentas", "fallida", "full", 0, 0, 0, "no responde", "{}"),
            (RUN, "aguas.cuentas", "fallida", "full", 0, 0, 0, "otro archivo", "{}"),
            ("otra", "aguas.medidores", "cargada", "full", 9, 9, 0, None, "{}"),
        ):
            connection.execute(LOAD, values)

    summary = read_back(warehouse)

    lines = {line.dataset: line for line in summary.loads}
    assert lines["aguas.zonas"] == LoadLine(
        "aguas.zonas", CATALOGUE.contracts["aguas.zonas"].title, "cargada", 15, 14, 1, ()
    )
    assert (lines["aguas.cuentas"].state, set(lines["aguas.cuentas"].errors)) == (
        "fallida", {"no responde", "otro archivo"},
    )  # fmt: skip
    assert lines["aguas.medidores"].state == "sin_cambios"
    assert {name.partition(".")[0] for name in lines} == {"aguas"}
    assert set(summary.unconfigured) == set(CATALOGUE.systems()) - {"aguas"}
    assert summary.exit_code == EXIT_SOURCE_FAILED
    assert ("aguas.zonas", "no hay ningún archivo") in summary.load_notes

    broken_off = read_back(
        warehouse, "la corrida: se cortó la luz", looked_at=TABLES - {"aguas__medidores"}
    )
    states = {line.dataset: line.state for line in broken_off.loads}
    assert states["aguas.medidores"] == "sin_cargar", "its turn never came"
    assert states["aguas.zonas"] == "cargada"
    later = read_back(warehouse, "exports__zonas: el portal no responde")
    assert {line.dataset: line.state for line in later.loads}["aguas.medidores"] == "sin_cambios"
    assert broken_off.exit_code == EXIT_CRASHED


def test_days_worked_through_again_are_told_as_days_and_are_no_load(
    warehouse: Warehouse, data_dir: Path
) -> None:
    range_ = '{"rango": {"desde": "2026-06-01T03:00:00Z", "hasta": "2026-06-04T03:00:00Z"}}'
    with warehouse.connect() as connection:
        connection.execute(
            LOAD, (RUN, "aguas.zonas", "cargada", "recalculo", 7, 7, 0, None, range_)
        )

    summary = read_back(warehouse)

    assert summary.again == (dt.date(2026, 6, 1), dt.date(2026, 6, 3))
    assert {line.state for line in summary.loads} == {"sin_cambios"}
    assert summary.nothing_new


def test_a_folder_without_the_files_of_its_feed_is_noticed(
    warehouse: Warehouse, data_dir: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "lecturas"
    folder.mkdir()
    (folder / "Lecturas_junio.CSV").write_text("x\n", encoding="utf-8")
    linked = Connections({"telemetria": SourceUrl.parse(str(folder))}, sample=False)
    noticed = KeptNotes(LiveView(Console(file=io.StringIO())))
    with warehouse.connect() as connection:
        synchronise(connection, CATALOGUE, linked)

    observe(noticed)
    try:
        with closing(KeptConnection(warehouse)) as kept:
            load_raw_table([CATALOGUE.contracts["telemetria.lecturas_csv"]], kept, linked, RUN)
    finally:
        observe(None)

    [(dataset, note)] = noticed.found
    assert dataset == "telemetria.lecturas_csv"
    assert "no hay ningún archivo lecturas_*.csv" in note and "Lecturas_junio.CSV" in note


def test_what_waits_for_an_approval_is_told_in_every_run(
    warehouse: Warehouse, data_dir: Path
) -> None:
    def told() -> str:
        said = io.StringIO()
        show(read_back(warehouse), Console(file=said, width=200))
        return said.getvalue()

    with warehouse.connect() as connection:
        connection.execute(PUBLISHED, ("red-de-agua", "pendiente_aprobacion"))
    first = told()
    with warehouse.connect() as connection:
        connection.execute(PUBLISHED, ("zonas-de-agua", "publicada"))
    then = told()

    assert "todavía no salió ninguna" in first and "al día" not in first
    assert "al día en" in then
    for words in (first, then):
        assert "Esperan aprobación (lujan approve NOMBRE …): red-de-agua\n" in words


def test_what_a_check_or_a_model_says_is_shown_to_the_last_sign(
    warehouse: Warehouse, data_dir: Path
) -> None:
    words = "codigo debe tener la forma [a-z]{2}[/x]"
    said = io.StringIO()

    show(
        replace(read_back(warehouse), blocking=(words,), build_failures=(words,)),
        Console(file=said, width=200),
    )

    assert said.getvalue().count(words) == 2
