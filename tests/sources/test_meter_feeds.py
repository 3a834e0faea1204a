"""Files of meter vendors, as the examples' contracts read them: from file to normalised rows.

The samples stand beside the contracts in `docs/ejemplos/medidores/` and are synthetic; each holds
rows that must be kept out, so that the examples also show what becomes of those.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.checkers import checkers_for
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import CONTRACTS_DIR, load_catalogue
from sources.landing import LoadContext, LoadReport, load
from sources.urls import SourceUrl

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "ejemplos" / "medidores"
SAMPLES = EXAMPLES / "muestras"
MENDOZA = dt.timezone(dt.timedelta(hours=-3))


def at(day: int, hour: int, month: int = 6) -> dt.datetime:
    return dt.datetime(2026, month, day, hour, tzinfo=MENDOZA)


def load_sample(warehouse: Warehouse, dataset: str) -> LoadReport:
    contract = load_catalogue([CONTRACTS_DIR, EXAMPLES]).contracts[f"telemetria.{dataset}"]
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    return load(contract, SourceUrl.parse(str(SAMPLES)), context, checkers_for(contract))


FILES = {
    "lecturas_badger": "beacon_2026-06-01.csv",
    "lecturas_intervalo": "intervalos_2026-06-01.csv",
    "lecturas_axioma": "axioma_2026-06-01.jsonl",
    "lecturas_registro_fijo": "registro_20260601.txt",
}
# What people and programs do to a file on its way.
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text,
    "lines of Windows": lambda text: text.replace(b"\n", b"\r\n"),
    "no end of the last line": lambda text: text.rstrip(b"\n"),
    "blank lines": lambda text: text.replace(b"\n", b"\n\n"),
}


def load_changed(
    warehouse: Warehouse, folder: Path, dataset: str, change: Callable[[bytes], bytes]
) -> LoadReport:
    """Load the sample of a vendor as the change leaves it."""
    path = folder / FILES[dataset]
    path.write_bytes(change((SAMPLES / path.name).read_bytes()))
    os.utime(path, (0, 0))  # a young file would be taken for one still being written
    contract = load_catalogue([CONTRACTS_DIR, EXAMPLES]).contracts[f"telemetria.{dataset}"]
    context = LoadContext(connect=warehouse.connect, run_id="prueba")
    return load(contract, SourceUrl.parse(str(folder)), context, checkers_for(contract))


def readings(warehouse: Warehouse, columns: str) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            f"select {columns} from raw.telemetria__lecturas order by _source_row".encode()
        ).fetchall()


def set_aside(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select numero_fila, regla, columna from quarantine.fila order by numero_fila"
        ).fetchall()


def test_a_feed_without_register_brings_the_volume_of_each_interval(warehouse: Warehouse) -> None:
    report = load_sample(warehouse, "lecturas_intervalo")

    assert (report.errors, report.read, report.loaded, report.quarantined) == ([], 11, 9, 2)
    rows = readings(warehouse, "medidor_id, fecha_hora, consumo_intervalo, unidad_intervalo")
    assert rows[0] == ("SINT-I-0001", at(1, 1), Decimal("12.000"), "L")
    assert rows[-1] == ("SINT-I-0002-B", at(1, 2), Decimal("0.020"), "m3")
    assert {row[1:] for row in set_aside(warehouse)} == {
        ("obligatorio", "consumo_intervalo"), ("valor_permitido", "unidad_intervalo"),
    }  # fmt: skip


def test_badger_brings_registers_and_intervals_each_with_its_unit(warehouse: Warehouse) -> None:
    report = load_sample(warehouse, "lecturas_badger")

    assert (report.errors, report.read, report.loaded, report.quarantined) == ([], 5, 4, 1)
    assert readings(
        warehouse,
        "medidor_id, fecha_hora, lectura, unidad, consumo_intervalo, unidad_intervalo, estimada",
    ) == [
        ("SINT-B-0001", at(1, 0), Decimal("15320.400"), "GAL", Decimal("12.300"), "GAL", False),
        ("SINT-B-0001", at(1, 1), Decimal("15333.000"), "GAL", Decimal("12.600"), "GAL", False),
        ("SINT-B-0002-A", at(1, 1), Decimal("802.000"), "CF", Decimal("0.500"), "CF", True),
        ("SINT-B-0002-B", at(1, 1), Decimal("41.250"), "CF", Decimal("0.250"), "CF", False),
    ]
    # A unit nobody declared is no number of litres: the row waits for a person.
    ((number, rule, column),) = set_aside(warehouse)
    assert (number, column) == (5, "unidad")
    assert rule == "valor_permitido"


def test_fixed_records_take_meter_and_unit_from_the_record_above(warehouse: Warehouse) -> None:
    report = load_sample(warehouse, "lecturas_registro_fijo")

    assert (report.errors, report.read, report.loaded, report.quarantined) == ([], 6, 3, 3)
    assert readings(warehouse, "medidor_id, fecha_hora, lectura, unidad, estimada, bateria_v") == [
        ("SINT-S-0001", at(1, 0), Decimal("123.456"), "M3", False, Decimal("3.60")),
        ("SINT-S-0001", at(1, 1), Decimal("123.480"), "M3", False, Decimal("3.60")),
        ("SINT-S-0002", at(1, 1), Decimal("1500.000"), "GAL", True, Decimal("2.95")),
    ]
    assert set_aside(warehouse) == [
        (7, "tipo_invalido", "lectura"),
        (8, "linea_malformada", None),
        (9, "linea_malformada", None),
    ]


def test_a_lorawan_message_with_its_last_hours_becomes_one_row_per_hour(
    warehouse: Warehouse,
) -> None:
    report = load_sample(warehouse, "lecturas_axioma")

    assert (report.errors, report.read, report.loaded, report.quarantined) == ([], 22, 21, 1)
    rows = readings(warehouse, "medidor_id, fecha_hora, lectura, consumo_intervalo, bateria_v")
    first, second = rows[:16], rows[16:]
    assert first[0] == ("SINT-A-0001", at(1, 0), Decimal(402118), None, Decimal("3.61"))
    assert first[3] == ("SINT-A-0001", at(1, 3), Decimal(402121), Decimal(3), Decimal("3.61"))
    assert first[15] == ("SINT-A-0001", at(1, 15), Decimal(402275), Decimal(9), Decimal("3.61"))
    # The next message overlaps it: the same hours come again with the same registers.
    assert {row[:3] for row in second[:4]} <= {row[:3] for row in first}
    assert second[4][:3] == ("SINT-A-0001", at(1, 16), Decimal(402289))
    assert set_aside(warehouse) == [(22, "linea_malformada", None)]


def test_a_manual_sheet_is_read_by_its_header_with_numbers_as_people_write_them(
    warehouse: Warehouse,
) -> None:
    report = load_sample(warehouse, "lecturas_manuales")

    assert (report.errors, report.read, report.loaded, report.quarantined) == ([], 4, 3, 1)
    assert readings(warehouse, "medidor_id, fecha_hora, lectura, unidad, estimada") == [
        ("SINT-M-0001", at(3, 0), Decimal("1234.500"), "m3", False),
        ("SINT-M-0002", at(4, 0), Decimal("1250.750"), "m³", True),
        ("SINT-M-0003", at(4, 0), Decimal("88000.000"), "L", False),
    ]
    assert [(rule, column) for _, rule, column in set_aside(warehouse)] == [
        ("tipo_invalido", "lectura")
    ]


@pytest.mark.parametrize("dataset", FILES)
def test_how_a_file_was_carried_changes_no_reading(
    warehouse: Warehouse, tmp_path: Path, dataset: str
) -> None:
    load_sample(warehouse, dataset)
    wanted = contents(warehouse)
    for name, change in CHANGES.items():
        with warehouse.connect() as connection:
            connection.execute(
                "truncate raw.telemetria__lecturas, quarantine.fila, meta.archivo cascade"
            )
        report = load_changed(warehouse, tmp_path, dataset, change)
        assert report.errors == [], name
        assert contents(warehouse) == wanted, name


def contents(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Readings and rows set aside, without what says where in which load they stood."""
    with warehouse.connect() as connection:
        return [
            *connection.execute(
                "select (to_jsonb(t) - '{_load_id,_source_row}'::text[])::text as fila "
                "from raw.telemetria__lecturas t order by fila"
            ),
            *connection.execute("select regla, columna from quarantine.fila order by 1, 2"),
        ]


@pytest.mark.parametrize(
    ("dataset", "change", "loaded", "set_aside_rows"),
    [
        # The header once more, as where two files were put one behind the other.
        ("lecturas_badger", lambda t: again(t, 1, 3), 4, [(3, "tipo_invalido", "fecha_hora")]),
        ("lecturas_intervalo", lambda t: again(t, 1, 3), 9, [(3, "tipo_invalido", "fecha_hora")]),
        ("lecturas_registro_fijo", lambda t: again(t, 1, 3), 3, []),
        # Cut within the last line; a record of fixed width has a trailer that tells it (below).
        ("lecturas_badger", lambda t: t[:-20], 4, [(5, "linea_malformada", None)]),
        ("lecturas_intervalo", lambda t: t[:-8], 9, [(11, "linea_malformada", None)]),
        ("lecturas_axioma", lambda t: t[:-8], 21, [(22, "linea_malformada", None)]),
        # A number as the neighbours write it is not guessed at.
        ("lecturas_badger", lambda t: t.replace(b"15320.4,", b'"15320,4",'), 3,
         [(1, "tipo_invalido", "lectura")]),
        ("lecturas_intervalo", lambda t: t.replace(b"0,250", b"0.250"), 8,
         [(6, "tipo_invalido", "consumo_intervalo")]),
        # A meter whose name cannot be read: its readings are nobody's.
        ("lecturas_registro_fijo", lambda t: t.replace(b"SINT-S-0002", b"SINT-S-\xff002"), 2,
         [(5, "codificacion_invalida", None), (6, "obligatorio", "medidor_id")]),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_set_aside_with_its_line_and_nothing_else_is(
    warehouse: Warehouse,
    tmp_path: Path,
    dataset: str,
    change: Callable[[bytes], bytes],
    loaded: int,
    set_aside_rows: list[tuple[Any, ...]],
) -> None:
    report = load_changed(warehouse, tmp_path, dataset, change)

    assert (report.errors, report.loaded) == ([], loaded)
    assert report.read == report.loaded + report.quarantined
    assert set(set_aside_rows) <= set(set_aside(warehouse))


def again(text: bytes, line: int, before: int) -> bytes:
    """The text with one of its lines repeated further down."""
    lines = text.splitlines(keepends=True)
    return b"".join([*lines[:before], lines[line - 1], *lines[before:]])


def test_a_cut_file_of_fixed_records_is_refused_whole(warehouse: Warehouse, tmp_path: Path) -> None:
    report = load_changed(warehouse, tmp_path, "lecturas_registro_fijo", lambda text: text[:-14])

    assert (report.state, report.loaded) == ("fallida", 0)
    assert "está cortado: falta su registro final (TRL)" in str(report.errors[0])


def test_a_moment_that_tells_its_zone_is_taken_by_it(warehouse: Warehouse, tmp_path: Path) -> None:
    """Others are of the zone that the contract names: those of the city."""
    load_changed(
        warehouse, tmp_path, "lecturas_badger",
        lambda text: text.replace(b"2026-06-01 00:00:00", b"2026-06-01T00:00:00Z"),
    )  # fmt: skip

    moments = [row[0] for row in readings(warehouse, "fecha_hora")]
    assert moments[:2] == [at(1, 0) - dt.timedelta(hours=3), at(1, 1)]


def test_every_vendor_lands_in_the_city_s_table_of_readings(warehouse: Warehouse) -> None:
    catalogue = load_catalogue([CONTRACTS_DIR, EXAMPLES])
    assert catalogue.errors == ()
    examples = [
        c for c in catalogue.contracts.values() if EXAMPLES in c.path.parents and not c.is_live
    ]

    for contract in examples:
        assert contract.landing_table == "telemetria__lecturas", contract.id
        load_sample(warehouse, contract.dataset)

    with warehouse.connect() as connection:
        vendors = connection.execute(
            "select dataset, filas_cargadas from meta.carga order by dataset"
        ).fetchall()
    assert vendors == [
        ("telemetria.lecturas_axioma", 21),
        ("telemetria.lecturas_badger", 4),
        ("telemetria.lecturas_intervalo", 9),
        ("telemetria.lecturas_manuales", 3),
        ("telemetria.lecturas_registro_fijo", 3),
    ]


@pytest.mark.parametrize("dataset", ["lecturas_badger", "lecturas_registro_fijo"])
def test_loading_a_sample_again_changes_nothing(warehouse: Warehouse, dataset: str) -> None:
    load_sample(warehouse, dataset)
    before = readings(warehouse, "*")

    again = load_sample(warehouse, dataset)

    assert (again.state, again.loaded) == ("sin_cambios", 0)
    assert readings(warehouse, "*") == before
