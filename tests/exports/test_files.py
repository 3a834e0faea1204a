"""Files: the text form of every type, one snapshot, the same bytes for the same data."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exports import files
from exports.errors import ExportError
from exports.manifest import Manifest
from tests.exports.conftest import Connection, Define


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "salida"
    path.mkdir()
    return path


def test_csv_is_rfc_4180_with_iso_dates_and_no_formulas(
    connection: Connection, define: Define, manifest: Manifest, folder: Path
) -> None:
    with files.snapshot(connection):
        written = files.write_dataset(connection, define(), manifest, folder)
    assert (folder / "proyectos.csv").read_bytes().decode() == (
        "proyecto_id,proyecto_nombre,avance_pct,es_climatico,fecha_inicio,actualizado_en\r\n"
        "1,Cañería Perdriel,100.00,true,2026-01-31,2026-06-01T09:30:00.5-03:00\r\n"
        '2,"Plaza ""Norte"", etapa 2",0.50,false,,2026-06-02T00:00:00-03:00\r\n'
        '3,"\'=HYPERLINK(""http://x"")\nsegunda línea",,,2026-02-01,\r\n'
    )
    assert [(item.path, item.rows, item.format) for item in written] == [
        ("proyectos.csv", 3, "csv"),
        ("proyectos.json", 3, "json"),
    ]
    assert written[0].bytes == (folder / "proyectos.csv").stat().st_size


@pytest.mark.parametrize(
    ("column", "last"), [("mes", dt.date(2028, 2, 29)), ("fecha", dt.date(2028, 2, 1))]
)
def test_a_period_of_months_reaches_the_end_of_the_last(
    connection: Connection, define: Define, manifest: Manifest, document: dict[str, Any],
    column: str, last: dt.date,
) -> None:  # fmt: skip
    connection.execute(
        f"alter table proyectos.fct_proyecto add {column} date; "
        f"update proyectos.fct_proyecto set {column} = '2028-02-01' where proyecto_id = 1; "
        f"update proyectos.fct_proyecto set {column} = '2027-12-01' where proyecto_id = 2"
    )
    changed = {
        **document["recursos"][0],
        "columna_fecha": column,
        "columnas": ["proyecto_id", column],
    }
    [resource] = define(recursos=[changed]).recursos

    found = files.date_range(connection, resource, manifest.mart("proyectos.fct_proyecto"))

    assert found == (dt.date(2027, 12, 1), last)


def test_json_is_one_array_one_object_a_line_with_exact_texts(
    connection: Connection, define: Define, manifest: Manifest, folder: Path
) -> None:
    with files.snapshot(connection):
        files.write_dataset(connection, define(), manifest, folder)
    text = (folder / "proyectos.json").read_text(encoding="utf-8")
    rows = json.loads(text)
    assert len(text.splitlines()) == len(rows) + 2
    assert rows[1] == {
        "proyecto_id": 2,
        "proyecto_nombre": 'Plaza "Norte", etapa 2',
        "avance_pct": 0.5,
        "es_climatico": False,
        "fecha_inicio": None,
        "actualizado_en": "2026-06-02T00:00:00-03:00",
    }
    assert rows[2]["proyecto_nombre"] == '=HYPERLINK("http://x")\nsegunda línea'


def test_parquet_keeps_types(
    connection: Connection,
    define: Define,
    document: dict[str, Any],
    manifest: Manifest,
    folder: Path,
) -> None:
    import pyarrow.parquet as pq

    document["recursos"][0]["formatos"] = ["parquet"]
    with files.snapshot(connection):
        files.write_dataset(connection, define(), manifest, folder)
    rows = pq.read_table(folder / "proyectos.parquet").to_pylist()
    assert rows[0]["avance_pct"] == Decimal("100.00")
    assert rows[0]["fecha_inicio"] == dt.date(2026, 1, 31)
    assert rows[0]["actualizado_en"] == dt.datetime(2026, 6, 1, 12, 30, 0, 500000, tzinfo=dt.UTC)
    assert rows[2]["es_climatico"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("  @SUMA(A1)", "'  @SUMA(A1)"),
        ("-5+cmd|' /C calc'!A0", "'-5+cmd|' /C calc'!A0"),
        ("- ítem", "'- ítem"),
        ("\tx", "'\tx"),
        ("＝1+1", "'＝1+1"),
        ("-12.5", "-12.5"),
        ("+54", "+54"),
        ("a=b", "a=b"),
        ("0164A", "0164A"),
        ("\\n", "\\n"),
        ("\\.", "\\."),
        ("línea\r\notra", "línea\r\notra"),
        ("\x01\x02", "\x01\x02"),
    ],
)
def test_text_survives_and_never_runs(
    connection: Connection,
    define: Define,
    manifest: Manifest,
    folder: Path,
    text: str,
    shown: str,
) -> None:
    connection.execute("delete from proyectos.fct_proyecto where proyecto_id > 1")
    connection.execute("update proyectos.fct_proyecto set proyecto_nombre = %s", (text,))
    connection.commit()
    with files.snapshot(connection):
        files.write_dataset(connection, define(), manifest, folder)
    content = (folder / "proyectos.csv").read_bytes().decode()
    assert list(csv.reader(io.StringIO(content, newline="")))[1][1] == shown
    assert json.loads((folder / "proyectos.json").read_bytes())[0]["proyecto_nombre"] == text


def test_the_same_rows_in_another_physical_order_give_the_same_bytes(
    connection: Connection, define: Define, manifest: Manifest, tmp_path: Path
) -> None:
    hashes = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        with files.snapshot(connection):
            written = files.write_dataset(connection, define(), manifest, tmp_path / turn)
        hashes.append([item.sha256 for item in written])
        connection.execute(
            "create temporary table kept as select * from proyectos.fct_proyecto; "
            "truncate proyectos.fct_proyecto; insert into proyectos.fct_proyecto "
            "select * from kept order by proyecto_id desc; drop table kept"
        )
        connection.execute("set timezone = 'Asia/Tokyo'; set datestyle = 'SQL, DMY'")
        connection.commit()
    assert hashes[0] == hashes[1]


def test_no_rows_still_give_a_header_and_an_empty_array(
    connection: Connection, define: Define, manifest: Manifest, folder: Path
) -> None:
    connection.execute("truncate proyectos.fct_proyecto")
    connection.commit()
    with files.snapshot(connection):
        written = files.write_dataset(connection, define(), manifest, folder)
    assert [item.rows for item in written] == [0, 0]
    assert (folder / "proyectos.csv").read_bytes().count(b"\r\n") == 1
    assert json.loads((folder / "proyectos.json").read_bytes()) == []


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([{"columna": "proyecto_id", "valor": 2}], [2]),
        ([{"columna": "avance_pct", "operador": "mayor", "valor": 0.4}], [1, 2]),
        ([{"columna": "es_climatico", "operador": "distinto", "valor": True}], [2, 3]),
        ([{"columna": "fecha_inicio", "operador": "vacio"}], [2]),
        ([{"columna": "fecha_inicio", "operador": "mayor_o_igual", "valor": "2026-02-01"}], [3]),
        ([{"columna": "proyecto_id", "operador": "en", "valor": [1, 3]}], [1, 3]),
        ([{"columna": "proyecto_nombre", "valor": "'; drop table x; --"}], []),
    ],
)
def test_filters_choose_rows(
    connection: Connection,
    define: Define,
    document: dict[str, Any],
    manifest: Manifest,
    folder: Path,
    filters: list[dict[str, Any]],
    expected: list[int],
) -> None:
    document["recursos"][0]["filtros"] = filters
    with files.snapshot(connection):
        files.write_dataset(connection, define(), manifest, folder)
    rows = json.loads((folder / "proyectos.json").read_bytes())
    assert [row["proyecto_id"] for row in rows] == expected


def test_all_resources_are_read_from_one_moment(
    connection: Connection,
    warehouse_url: str,
    define: Define,
    document: dict[str, Any],
    manifest: Manifest,
    tmp_path: Path,
) -> None:
    first = dict(document["recursos"][0], nombre="primero", formatos=["json"])
    second = dict(first, nombre="segundo")
    one, two = tmp_path / "uno", tmp_path / "dos"
    one.mkdir()
    two.mkdir()
    with files.snapshot(connection):
        files.write_dataset(connection, define(recursos=[first]), manifest, one)
        with psycopg.connect(warehouse_url) as other:
            other.execute("delete from proyectos.fct_proyecto")
        written = files.write_dataset(connection, define(recursos=[second]), manifest, two)
    assert written[0].rows == 3


def test_a_snapshot_inside_a_transaction_is_refused(connection: Connection) -> None:
    connection.execute("select 1")
    with (
        pytest.raises(ValueError, match="must not be inside a transaction"),
        files.snapshot(connection),
    ):
        pass


def test_a_mart_that_was_not_built_is_named(
    connection: Connection, define: Define, manifest: Manifest, folder: Path
) -> None:
    connection.execute("drop table proyectos.fct_proyecto")
    connection.commit()
    with pytest.raises(ExportError) as caught, files.snapshot(connection):
        files.write_dataset(connection, define(), manifest, folder)
    assert "no se pudo leer proyectos.fct_proyecto" in str(caught.value)
    assert "construcción de los marts" in caught.value.next_step
    assert caught.value.owner == "Obras Públicas"


def test_install_replaces_only_what_changed(tmp_path: Path) -> None:
    source, target = tmp_path / "nuevo", tmp_path / "destino" / "archivo.csv"
    source.write_bytes(b"a")
    assert files.install(source, target)
    before = target.stat()
    assert not files.install(source, target)
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    source.write_bytes(b"b")
    assert files.install(source, target)
    assert target.read_bytes() == b"b"
    assert [path.name for path in target.parent.iterdir()] == ["archivo.csv"]
