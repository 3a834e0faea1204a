"""Landing: one transaction per load, every row accounted for, nothing lost when it breaks."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from sources.contract_document import load_contract
from sources.landing import LoadContext, LoadReport, load
from sources.urls import SourceUrl

COLUMNS = [
    {"name": "cuenta_id", "logicalType": "integer", "physicalType": "integer", "primaryKey": True},
    {"name": "nombre", "logicalType": "string", "physicalType": "text"},
    {"name": "saldo", "logicalType": "number", "physicalType": "numeric(10,2)"},
    {"name": "actualizado_en", "logicalType": "timestamp", "physicalType": "timestamp"},
]


@pytest.fixture
def contract_of(tmp_path: Path) -> Callable[..., Contract]:
    """Writes a contract of system `aguas` and reads it back."""

    def make(
        columns: Sequence[dict[str, Any]] = COLUMNS,
        *,
        server: dict[str, Any] | None = None,
        **own: Any,
    ) -> Contract:
        document = {
            "apiVersion": "v3.1.0",
            "kind": "DataContract",
            "id": "aguas.cuentas",
            "name": "Cuentas",
            "version": "1.0.0",
            "status": "active",
            "team": {"name": "Obras Públicas"},
            "servers": [
                server or {"server": "aguas", "type": "mysql", "host": "x", "database": "x"}
            ],
            "schema": [
                {
                    "name": "cuentas",
                    "properties": [{"description": "Una columna.", **column} for column in columns],
                }
            ],
            "customProperties": [{"property": k, "value": v} for k, v in own.items()],
        }
        path = tmp_path / f"contract_{len(list(tmp_path.iterdir()))}.yaml"
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        return load_contract(path)

    return make


class Source:
    """A table `cuentas` in a SQLite file, which stands for the city's MySQL."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("create table cuentas (cuenta_id, nombre, saldo, actualizado_en)")

    @property
    def url(self) -> SourceUrl:
        return SourceUrl.parse(f"sqlite:///{self.path}")

    def run(self, statement: str, rows: Sequence[Sequence[Any]] | None = None) -> None:
        connection = sqlite3.connect(self.path)
        with connection:
            if rows is None:
                connection.execute(statement)
            else:
                connection.executemany(statement, rows)
        connection.close()

    def fill(self, *rows: Sequence[Any]) -> None:
        self.run("insert into cuentas values (?, ?, ?, ?)", rows)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "aguas.sqlite")


def context(warehouse: Warehouse, **options: Any) -> LoadContext:
    return LoadContext(connect=warehouse.connect, run_id="prueba", **options)


def rows(warehouse: Warehouse, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(query.encode(), parameters).fetchall()


def content(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return rows(
        warehouse,
        "select cuenta_id, nombre, saldo::text from raw.aguas__cuentas order by cuenta_id",
    )


def figures(report: LoadReport) -> tuple[int, int, int, int, int]:
    return report.read, report.loaded, report.quarantined, report.known, report.deleted


def test_a_first_load_brings_every_row_with_its_load_record(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 10.5, "2026-06-01 10:00:00"), (2, "", None, "2026-06-01 10:00:00"))

    report = load(contract_of(), source.url, context(warehouse), [])

    assert report.state == "cargada"
    assert figures(report) == (2, 2, 0, 0, 0)
    assert content(warehouse) == [(1, "Ana", "10.50"), (2, "", None)]
    assert rows(
        warehouse,
        "select l.filas_origen, l.filas_leidas, l.corrida_id, count(*) from raw.aguas__cuentas c "
        "join meta.carga l on l.carga_id = c._load_id group by 1, 2, 3",
    ) == [(2, 2, "prueba", 2)]


def test_an_unchanged_table_is_recognised_and_not_rewritten(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 10.5, "2026-06-01 10:00:00"))
    load(contract_of(), source.url, context(warehouse), [])
    before = rows(warehouse, "select ctid, _load_id from raw.aguas__cuentas")

    report = load(contract_of(), source.url, context(warehouse), [])

    assert (report.state, figures(report)) == ("sin_cambios", (1, 0, 0, 1, 0))
    assert rows(warehouse, "select ctid, _load_id from raw.aguas__cuentas") == before


def test_changes_and_removals_keep_what_was_there_before(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill(
        (1, "Ana", 1, "2026-06-01"), (2, "Blas", 2, "2026-06-01"), (3, "Eva", 3, "2026-06-01")
    )
    load(contract_of(), source.url, context(warehouse), [])
    source.run("update cuentas set nombre = 'Ana María' where cuenta_id = 1")
    source.run("delete from cuentas where cuenta_id = 2")

    report = load(contract_of(), source.url, context(warehouse), [])

    assert figures(report) == (2, 1, 0, 1, 1)
    assert [row[1] for row in content(warehouse)] == ["Ana María", "Eva"]
    assert rows(
        warehouse,
        "select operacion, fila ->> 'nombre' from raw._historial order by historial_id",
    ) == [("modificacion", "Ana"), ("baja", "Blas")]


def test_a_row_that_cannot_be_represented_is_quarantined_verbatim(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 10, "2026-06-01"), (2, "Blas", "diez", "2026-06-01"))

    report = load(contract_of(), source.url, context(warehouse), [])

    assert figures(report) == (2, 1, 1, 0, 0)
    [(rule, column, values, number)] = rows(
        warehouse, "select regla, columna, fila, numero_fila from quarantine.aguas__cuentas"
    )
    assert (rule, column, number) == ("tipo_invalido", "saldo", 2)
    assert values["saldo"] == "diez" and values["nombre"] == "Blas"


def test_a_bad_update_keeps_the_last_good_version_of_the_row(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 10, "2026-06-01"), (2, "Blas", 20, "2026-06-01"))
    load(contract_of(), source.url, context(warehouse), [])
    source.run("update cuentas set saldo = 'veinte' where cuenta_id = 2")

    report = load(contract_of(), source.url, context(warehouse), [])

    assert figures(report) == (2, 0, 1, 1, 0)
    assert content(warehouse) == [(1, "Ana", "10.00"), (2, "Blas", "20.00")]


def test_a_quarantined_row_that_is_mended_at_the_source_is_loaded_and_closed(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", "mucho", "2026-06-01"))
    load(contract_of(), source.url, context(warehouse), [])
    load(contract_of(), source.url, context(warehouse), [])
    assert rows(warehouse, "select estado from quarantine.fila") == [("pendiente",)]
    source.run("update cuentas set saldo = 7")

    load(contract_of(), source.url, context(warehouse), [])

    assert content(warehouse) == [(1, "Ana", "7.00")]
    assert rows(warehouse, "select estado from quarantine.fila") == [("reprocesada",)]


def test_a_repeated_key_keeps_the_first_row_and_quarantines_the_rest(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 1, "2026-06-01"), (1, "Otra", 2, "2026-06-01"))

    report = load(contract_of(), source.url, context(warehouse), [])

    assert figures(report) == (2, 1, 1, 0, 0)
    assert [row[1] for row in content(warehouse)] == ["Ana"]
    assert rows(warehouse, "select regla, fila ->> 'nombre' from quarantine.fila") == [
        ("clave_repetida", "Otra")
    ]


def test_a_load_with_too_many_bad_rows_is_refused_as_a_whole(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill(*((n, "x", 1, "2026-06-01") for n in range(60)))
    load(contract_of(), source.url, context(warehouse), [])
    source.run("update cuentas set saldo = 'roto'")

    report = load(contract_of(), source.url, context(warehouse), [])

    assert report.state == "fallida"
    assert "60 de 60 filas no pasan (tipo_invalido (60))" in str(report.errors[0])
    assert "Obras Públicas" in str(report.errors[0])
    assert len(content(warehouse)) == 60
    assert rows(warehouse, "select count(*) from quarantine.fila") == [(0,)]
    assert rows(warehouse, "select estado from meta.carga order by carga_id") == [
        ("cargada",),
        ("fallida",),
    ]


def test_an_incremental_load_reads_from_the_watermark_and_keeps_what_it_does_not_see(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    contract = contract_of(loadMode="incremental", cursor="actualizado_en", lookback="P1D")
    source.fill((1, "Ana", 1, "2026-06-01 00:00:00"), (2, "Blas", 2, "2026-06-10 00:00:00"))
    load(contract, source.url, context(warehouse), [])
    source.run("update cuentas set nombre = 'no se ve' where cuenta_id = 1")
    source.fill((3, "tarde", 3, "2026-06-09 12:00:00"), (4, "nueva", 4, "2026-06-11 00:00:00"))

    report = load(contract, source.url, context(warehouse), [])

    assert figures(report) == (3, 2, 0, 1, 0)
    assert [row[1] for row in content(warehouse)] == ["Ana", "Blas", "tarde", "nueva"]
    assert rows(warehouse, "select valor from meta.marca") == [("2026-06-11T00:00:00",)]


def test_a_new_column_is_reported_and_a_missing_one_keeps_the_last_good_data(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill((1, "Ana", 1, "2026-06-01"))
    source.run("alter table cuentas add column telefono")
    report = load(contract_of(), source.url, context(warehouse), [])
    assert report.drift == ["columna nueva en el origen: telefono"]
    assert rows(warehouse, "select tipo, columna from meta.deriva") == [
        ("columna_nueva", "telefono")
    ]
    source.run("alter table cuentas drop column saldo")

    report = load(contract_of(), source.url, context(warehouse), [])

    assert report.state == "fallida"
    message = str(report.errors[0])
    assert "saldo" in message and "aguas" in message and "Obras Públicas" in message
    assert content(warehouse) == [(1, "Ana", "1.00")]


def test_two_loads_of_one_table_at_the_same_time_give_what_one_would(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    source.fill(*((n, f"cuenta {n}", n, "2026-06-01") for n in range(2000)))
    contract = contract_of()
    fork = multiprocessing.get_context("fork")
    both = [
        fork.Process(target=load, args=(contract, source.url, context(warehouse), []))
        for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)

    assert [process.exitcode for process in both] == [0, 0]
    assert len(content(warehouse)) == 2000
    assert sorted(
        rows(warehouse, "select estado, filas_cargadas, filas_conocidas from meta.carga")
    ) == [("cargada", 2000, 0), ("sin_cambios", 0, 2000)]


CSV_SERVER = {
    "server": "aguas",
    "type": "local",
    "path": "x",
    "format": "csv",
    "customProperties": [
        {"property": "pattern", "value": "*.csv"},
        {"property": "delimiter", "value": ";"},
    ],
}
CSV_COLUMNS = [
    {"name": "medidor_id", "logicalType": "string", "physicalType": "text", "required": True},
    {
        "name": "fecha_hora",
        "logicalType": "timestamp",
        "physicalType": "timestamptz",
        "logicalTypeOptions": {
            "format": "dd/MM/yyyy HH:mm:ss",
            "defaultTimezone": "America/Argentina/Mendoza",
        },
    },
    {"name": "lectura", "logicalType": "number", "physicalType": "numeric(14,3)"},
]


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    folder = tmp_path / "lecturas"
    folder.mkdir()
    return folder


@pytest.fixture
def feed_contract(contract_of: Callable[..., Contract]) -> Contract:
    return contract_of(CSV_COLUMNS, server=CSV_SERVER, partitionBy="fecha_hora")


def write_day(folder: Path, day: int, meters: int = 3, name: str | None = None) -> Path:
    path = folder / (name or f"dia_{day:02d}.csv")
    lines = [
        f"m{meter};{day:02d}/06/2026 {hour:02d}:00:00;{day * 100 + hour}.{meter:03d}"
        for meter in range(meters)
        for hour in range(24)
    ]
    path.write_text("medidor_id;fecha_hora;lectura\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def readings(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    return rows(
        warehouse,
        "select medidor_id, fecha_hora, lectura::text from raw.aguas__cuentas order by 1, 2, 3",
    )


def test_each_file_is_loaded_once_whatever_its_name(
    warehouse: Warehouse, feed: Path, feed_contract: Contract
) -> None:
    first = write_day(feed, 1)
    url = SourceUrl.parse(str(feed))
    assert figures(load(feed_contract, url, context(warehouse), [])) == (72, 72, 0, 0, 0)
    first.rename(feed / "otra_vez.csv")
    write_day(feed, 2)

    report = load(feed_contract, url, context(warehouse), [])

    assert (report.files, report.files_known, report.loaded) == (2, 1, 72)
    assert len(readings(warehouse)) == 144
    assert readings(warehouse)[0][1] == dt.datetime(2026, 6, 1, 3, tzinfo=dt.UTC)


def test_readings_land_in_the_partition_of_their_month(
    warehouse: Warehouse, feed: Path, feed_contract: Contract
) -> None:
    (feed / "borde.csv").write_text(
        "medidor_id;fecha_hora;lectura\nm;30/06/2026 20:59:59;1\nm;30/06/2026 21:00:00;2\n"
    )
    load(feed_contract, SourceUrl.parse(str(feed)), context(warehouse), [])

    assert rows(
        warehouse,
        "select tableoid::regclass::text, lectura::int from raw.aguas__cuentas order by 2",
    ) == [("raw.aguas__cuentas_2026_06", 1), ("raw.aguas__cuentas_2026_07", 2)]


@pytest.mark.parametrize(
    ("content_", "words"),
    [
        pytest.param(b"", "vac", id="empty"),
        pytest.param(b"fecha;valor\n1;2\n", "medidor_id", id="another layout"),
    ],
)
def test_a_bad_file_keeps_the_others_and_names_dataset_owner_and_next_step(
    warehouse: Warehouse, feed: Path, feed_contract: Contract, content_: bytes, words: str
) -> None:
    write_day(feed, 1)
    (feed / "malo.csv").write_bytes(content_)

    report = load(feed_contract, SourceUrl.parse(str(feed)), context(warehouse), [])

    assert report.state == "fallida" and len(readings(warehouse)) == 72
    message = str(report.errors[0])
    assert words in message and "malo.csv" in message
    assert "aguas.cuentas" in message and "Obras Públicas" in message and "Qué hacer:" in message
    [(recorded,)] = rows(warehouse, "select error from meta.carga where estado = 'fallida'")
    assert recorded == message


def test_a_truncated_file_loses_no_line(
    warehouse: Warehouse, feed: Path, feed_contract: Contract
) -> None:
    path = write_day(feed, 1)
    path.write_bytes(path.read_bytes()[:-20])

    report = load(feed_contract, SourceUrl.parse(str(feed)), context(warehouse), [])

    assert figures(report) == (72, 71, 1, 0, 0)
    [(values,)] = rows(warehouse, "select fila from quarantine.fila")
    assert "m2;23/06" in str(values) or "m2" in str(values)


def test_an_unreachable_source_is_one_message_and_no_change(
    warehouse: Warehouse, feed_contract: Contract
) -> None:
    report = load(feed_contract, SourceUrl.parse("/no/existe"), context(warehouse), [])

    assert report.state == "fallida"
    assert "/no/existe" in str(report.errors[0]) and "Obras Públicas" in str(report.errors[0])


def test_a_system_that_is_not_configured_is_no_error(
    warehouse: Warehouse, feed_contract: Contract
) -> None:
    report = load(feed_contract, None, context(warehouse), [])

    assert (report.state, report.errors) == ("sin_configurar", [])


class Refusing:
    """A checker that keeps out what a test names."""

    def __init__(self, *meters: str) -> None:
        self.meters = meters

    def check(self, batch: pa.RecordBatch, numbers: pa.Int64Array) -> Any:
        bad = [meter in self.meters for meter in batch.column("medidor_id").to_pylist()]
        keep = pa.array([not item for item in bad])
        failures = [
            type("F", (), {"index": i, "rule": "prueba", "column": "medidor_id", "reason": "no"})()
            for i, item in enumerate(bad)
            if item
        ]
        return type(
            "C",
            (),
            {"good": batch.filter(keep), "good_rows": numbers.filter(keep), "failures": failures},
        )()


def test_rows_refused_by_a_checker_are_quarantined_with_their_place_in_the_file(
    warehouse: Warehouse, feed: Path, feed_contract: Contract
) -> None:
    write_day(feed, 1, meters=8)

    report = load(feed_contract, SourceUrl.parse(str(feed)), context(warehouse), [Refusing("m1")])

    assert figures(report) == (192, 168, 24, 0, 0)
    assert rows(
        warehouse,
        "select archivo, min(numero_fila), max(numero_fila) from quarantine.fila group by 1",
    ) == [("dia_01.csv", 25, 48)]


def test_json_columns_are_stored_as_json(
    warehouse: Warehouse, source: Source, contract_of: Callable[..., Contract]
) -> None:
    columns = [
        COLUMNS[0],
        {"name": "nombre", "logicalType": "object", "physicalType": "jsonb"},
    ]
    source.run("drop table cuentas")
    source.run("create table cuentas (cuenta_id, nombre)")
    source.run("insert into cuentas values (?, ?)", [(1, '{"a": [1, "ñ"]}'), (2, "{roto")])

    report = load(contract_of(columns), source.url, context(warehouse), [])

    assert figures(report) == (2, 1, 1, 0, 0)
    assert rows(warehouse, "select nombre #>> '{a,1}' from raw.aguas__cuentas") == [("ñ",)]
