"""Every kind of file: what it holds, equal bytes for equal data, and what large ones become."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from exports import files
from exports.definition import DatasetDefinition
from exports.disclosure import check_request
from exports.errors import DefinitionError, DisclosureError, ExportError
from exports.manifest import Manifest
from tests.exports.conftest import MANIFEST, Connection, Define

ALL = ["csv", "json", "jsonl", "parquet", "xlsx"]
NOTE = "Datos sintéticos de muestra."


@pytest.fixture
def everything(define: Define, document: dict[str, Any]) -> DatasetDefinition:
    """The correct definition, in every format that needs no coordinates."""
    document["recursos"][0]["formatos"] = ALL
    return define(advertencias=["El avance lo declara cada área."])


def write(
    connection: Connection,
    definition: DatasetDefinition,
    manifest: Manifest,
    folder: Path,
    **limits: int,
) -> dict[str, files.ExportedFile]:
    folder.mkdir(parents=True, exist_ok=True)
    with files.snapshot(connection):
        written = files.write_dataset(
            connection, definition, manifest, folder, notes=[NOTE], **limits
        )
    return {item.path: item for item in written}


def sheets(path: Path) -> tuple[list[list[Any]], list[list[Any]]]:
    book = CalamineWorkbook.from_path(path)
    assert book.sheet_names == ["Léame", "Datos"]
    readme, data = (book.get_sheet_by_name(name).to_python() for name in book.sheet_names)
    return readme, data


def test_json_lines_hold_the_same_objects_as_the_array(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path
) -> None:
    write(connection, everything, manifest, tmp_path)
    lines = (tmp_path / "proyectos.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(
        (tmp_path / "proyectos.json").read_text(encoding="utf-8")
    )


def test_a_workbook_explains_itself_and_keeps_types(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path
) -> None:
    write(connection, everything, manifest, tmp_path)
    readme, data = sheets(tmp_path / "proyectos.xlsx")
    text = "\n".join(str(cell) for row in readme for cell in row)
    for words in (NOTE, "El avance lo declara", "Obras Públicas", "creativecommons.org", "Avance."):
        assert words in text
    assert data[0] == list(everything.recursos[0].columnas)
    assert data[1] == [
        1.0, "Cañería Perdriel", 100.0, True, dt.date(2026, 1, 31),
        dt.datetime(2026, 6, 1, 9, 30, 0, 500000),
    ]  # fmt: skip
    assert data[2][4] == ""
    assert data[3][1] == '=HYPERLINK("http://x")\nsegunda línea'


def test_a_workbook_holds_no_formula_and_no_link(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path
) -> None:
    connection.execute("update proyectos.fct_proyecto set proyecto_nombre = '=1+1'")
    connection.execute(
        "update proyectos.fct_proyecto set proyecto_nombre = 'http://x.example' "
        "where proyecto_id = 1"
    )
    connection.commit()
    write(connection, everything, manifest, tmp_path)
    with zipfile.ZipFile(tmp_path / "proyectos.xlsx") as book:
        parts = {name: book.read(name) for name in book.namelist()}
    assert not any(b"<f>" in part or b"<hyperlink" in part for part in parts.values())
    assert b"=1+1" in parts["xl/worksheets/sheet2.xml"]


@pytest.mark.parametrize(
    ("pg_type", "value", "shown"),
    [
        ("bigint", "9007199254740993", "9007199254740993"),
        ("bigint", "123456789012345", 123456789012345.0),
        ("numeric(38,20)", "0.12345678901234567890", "0.12345678901234567890"),
        ("numeric(5,2)", "100.00", 100.0),
        ("date", "1899-12-31", "1899-12-31"),
        ("date", "9999-12-31", dt.date(9999, 12, 31)),
        ("text", "0164A", "0164A"),
        ("text", "00164", "00164"),
        ("text", "a\x01b", "a\x01b"),
        ("time", "08:30", dt.time(8, 30)),
        ("uuid", "7d444840-9dc0-11d1-b245-5ffdce74fad2", "7d444840-9dc0-11d1-b245-5ffdce74fad2"),
        ("jsonb", '{"a": 1}', '{"a": 1}'),
    ],
)
def test_what_excel_cannot_hold_exactly_is_text(
    connection: Connection, define: Define, document: dict[str, Any], tmp_path: Path,
    pg_type: str, value: str, shown: Any,
) -> None:  # fmt: skip
    connection.execute(f"create table proyectos.uno (valor {pg_type})".encode())
    connection.execute("insert into proyectos.uno values (%s)", (value,))
    connection.commit()
    column = {"data_type": pg_type, "description": "x", "meta": {"clasificacion": "libre_acceso"}}
    node = {"resource_type": "model", "schema": "proyectos", "name": "uno",
            "columns": {"valor": column}}  # fmt: skip
    resource = {"nombre": "uno", "titulo": "Uno", "mart": "proyectos.uno", "columnas": ["valor"],
                "formatos": ALL}  # fmt: skip
    write(connection, define(recursos=[resource]), Manifest({"nodes": {"m": node}}), tmp_path)
    _, data = sheets(tmp_path / "uno.xlsx")
    assert data == [["valor"], [shown]]


def test_a_text_longer_than_a_cell_is_an_error_and_not_cut(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path
) -> None:
    connection.execute("update proyectos.fct_proyecto set proyecto_nombre = repeat('x', 32768)")
    connection.commit()
    with pytest.raises(ExportError, match=r"proyecto_nombre tiene 32768 .* 32767"):
        write(connection, everything, manifest, tmp_path)


def test_every_kind_of_file_is_the_same_for_the_same_data(
    connection: Connection,
    everything: DatasetDefinition,
    manifest: Manifest,
    tmp_path: Path,
) -> None:
    hashes = []
    for turn in ("a", "b"):
        written = write(connection, everything, manifest, tmp_path / turn, max_rows=2, max_bytes=90)
        hashes.append({name: item.sha256 for name, item in written.items()})
        connection.execute(
            "create temporary table kept as select * from proyectos.fct_proyecto; "
            "truncate proyectos.fct_proyecto; insert into proyectos.fct_proyecto "
            "select * from kept order by proyecto_id desc; drop table kept"
        )
        connection.execute("set timezone = 'Asia/Tokyo'; set datestyle = 'SQL, DMY'")
        connection.commit()
    assert hashes[0] == hashes[1]
    assert {"proyectos-parte-01.csv.gz", "proyectos-parte-02.xlsx"} <= hashes[0].keys()


def test_another_process_on_another_day_writes_the_same_bytes(
    warehouse_url: str, everything: DatasetDefinition, connection: Connection, manifest: Manifest,
    tmp_path: Path,
) -> None:  # fmt: skip
    here = write(connection, everything, manifest, tmp_path / "a", max_bytes=90)
    (tmp_path / "manifest.json").write_text(json.dumps(MANIFEST), encoding="utf-8")
    program = (
        "import sys, time, psycopg; from pathlib import Path; from exports import files;"
        "time.time = lambda now=time.time: now() + 3 * 86400;"
        "from exports.definition import load_definition;"
        "from exports.manifest import load_manifest;"
        "c = psycopg.connect(sys.argv[1]); f = Path(sys.argv[4]); f.mkdir();"
        "m = load_manifest(Path(sys.argv[3])); d = load_definition(Path(sys.argv[2]));"
        "s = files.snapshot(c); s.__enter__();"
        f"w = files.write_dataset(c, d, m, f, max_bytes=90, notes=[{NOTE!r}]);"
        "print(*(i.path + '=' + i.sha256 for i in w))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, warehouse_url, str(everything.ruta),
         str(tmp_path / "manifest.json"), str(tmp_path / "b")],
        env={**os.environ, "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [f"{item.path}={item.sha256}" for item in here.values()]


@pytest.mark.parametrize(("limit", "parts"), [(1, 3), (2, 2), (3, 1), (4, 1)])
def test_above_the_limit_of_rows_there_are_several_files(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path,
    limit: int, parts: int,
) -> None:  # fmt: skip
    written = write(connection, everything, manifest, tmp_path, max_rows=limit)
    assert len(written) == parts * len(ALL)
    assert files.rows_of(written.values()) == 3
    names = sorted(name for name in written if name.endswith(".csv"))
    if parts == 1:
        assert names == ["proyectos.csv"]
        return
    assert names == [f"proyectos-parte-{number:02}.csv" for number in range(1, parts + 1)]
    assert written[names[1]].part == (2, parts)
    tables = [list(csv.reader(io.StringIO((tmp_path / name).read_text("utf-8"), newline="")))
              for name in names]  # fmt: skip
    assert {tuple(table[0]) for table in tables} == {everything.recursos[0].columnas}
    assert [row[0] for table in tables for row in table[1:]] == ["1", "2", "3"]
    arrays = [json.loads((tmp_path / name.replace("csv", "json")).read_bytes()) for name in names]
    assert [row["proyecto_id"] for array in arrays for row in array] == [1, 2, 3]


def test_large_text_files_are_compressed_without_name_or_date(
    connection: Connection, everything: DatasetDefinition, manifest: Manifest, tmp_path: Path
) -> None:
    plain = write(connection, everything, manifest, tmp_path / "a")
    packed = write(connection, everything, manifest, tmp_path / "b", max_bytes=100)
    assert [name for name in packed if name.endswith(".gz")] == [
        "proyectos.csv.gz", "proyectos.json.gz", "proyectos.jsonl.gz",
    ]  # fmt: skip
    content = (tmp_path / "b" / "proyectos.csv.gz").read_bytes()
    assert gzip.decompress(content) == (tmp_path / "a" / "proyectos.csv").read_bytes()
    assert content[3] == 0 and content[4:8] == b"\0\0\0\0"
    assert not (tmp_path / "b" / "proyectos.csv").exists()
    assert packed["proyectos.csv.gz"].format == "csv" and packed["proyectos.csv.gz"].compressed
    assert not plain["proyectos.csv"].compressed


@pytest.fixture
def places(connection: Connection) -> Manifest:
    """Public places with coordinates, one of them not known."""
    connection.execute(
        "create table proyectos.dim_plaza "
        "(plaza text, latitud numeric(9,6), longitud numeric(9,6));"
        "insert into proyectos.dim_plaza values ('Central', -33.035678, -68.876543), "
        "('Sin ubicar', null, null)"
    )
    connection.commit()
    open_ = {"description": "x", "meta": {"clasificacion": "libre_acceso"}}
    columns = {
        "plaza": {"data_type": "text", **open_},
        "latitud": {"data_type": "numeric(9,6)", **open_},
        "longitud": {"data_type": "numeric(9,6)", **open_},
    }
    node = {"resource_type": "model", "schema": "proyectos", "name": "dim_plaza",
            "columns": columns}  # fmt: skip
    return Manifest({"nodes": {"m": node}})


@pytest.fixture
def places_resource() -> dict[str, Any]:
    return {
        "nombre": "plazas", "titulo": "Plazas", "mart": "proyectos.dim_plaza",
        "columnas": ["plaza", "latitud", "longitud"], "formatos": ["csv", "geojson"],
        "coordenadas": {"latitud": "latitud", "longitud": "longitud", "decimales": 3},
    }  # fmt: skip


def test_geojson_has_longitude_first_and_no_more_decimals_than_allowed(
    connection: Connection, define: Define, places: Manifest, places_resource: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    definition = define(recursos=[places_resource])
    check_request(definition, places)
    write(connection, definition, places, tmp_path)
    assert json.loads((tmp_path / "plazas.geojson").read_bytes()) == {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [-68.877, -33.036]},
             "properties": {"plaza": "Central"}},
            {"type": "Feature", "geometry": None, "properties": {"plaza": "Sin ubicar"}},
        ],
    }  # fmt: skip
    assert (tmp_path / "plazas.csv").read_text() == (
        "plaza,latitud,longitud\n"
        "Central,-33.036,-68.877\n"
        "Sin ubicar,,\n"
    )  # fmt: skip


def test_objects_are_whole_whatever_a_column_is_named(
    connection: Connection, define: Define, tmp_path: Path
) -> None:
    connection.execute(
        "create table proyectos.dim_letra (p text, r text, latitud numeric, longitud numeric);"
        "insert into proyectos.dim_letra values ('a', 'b', -33, -68)"
    )
    connection.commit()
    kinds = {"p": "text", "r": "text", "latitud": "numeric", "longitud": "numeric"}
    columns = {
        name: {"data_type": kind, "description": "x", "meta": {"clasificacion": "libre_acceso"}}
        for name, kind in kinds.items()
    }
    node = {"resource_type": "model", "schema": "proyectos", "name": "dim_letra",
            "columns": columns}  # fmt: skip
    resource = {
        "nombre": "letras", "titulo": "Letras", "mart": "proyectos.dim_letra",
        "columnas": list(columns), "formatos": ["json", "geojson"],
        "coordenadas": {"latitud": "latitud", "longitud": "longitud", "decimales": 3},
    }  # fmt: skip

    write(connection, define(recursos=[resource]), Manifest({"nodes": {"m": node}}), tmp_path)

    [row] = json.loads((tmp_path / "letras.json").read_bytes())
    [feature] = json.loads((tmp_path / "letras.geojson").read_bytes())["features"]
    assert (row["p"], row["r"]) == ("a", "b")
    assert feature["properties"] == {"p": "a", "r": "b"}


@pytest.mark.parametrize("change", ["latitud = -95", "longitud = null where plaza = 'Central'"])
def test_a_place_that_is_none_is_an_error(
    connection: Connection, define: Define, places: Manifest, places_resource: dict[str, Any],
    tmp_path: Path, change: str,
) -> None:  # fmt: skip
    connection.execute(f"update proyectos.dim_plaza set {change}".encode())
    connection.commit()
    with pytest.raises(ExportError, match="coordenadas incompletas o fuera de rango"):
        write(connection, define(recursos=[places_resource]), places, tmp_path)


def test_a_map_needs_to_know_where(define: Define, places_resource: dict[str, Any]) -> None:
    del places_resource["coordenadas"]
    with pytest.raises(DefinitionError, match="geojson necesita `coordenadas`"):
        define(recursos=[places_resource])


@pytest.mark.parametrize(
    ("meta", "columns"),
    [({"contiene_personas": True}, []), ({"nivel": "hogar"}, []), ({}, ["nivel_ingreso"])],
)
def test_what_is_about_people_gets_no_coordinates(
    define: Define, places: Manifest, places_resource: dict[str, Any],
    meta: dict[str, Any], columns: list[str],
) -> None:  # fmt: skip
    mart = places.mart("proyectos.dim_plaza")
    described = {"data_type": "text", "description": "x", "meta": {"clasificacion": "libre_acceso"}}
    node = {
        "resource_type": "model", "schema": "proyectos", "name": "dim_plaza", "meta": meta,
        "columns": {**mart.raw_columns, **dict.fromkeys(columns, described)},
    }  # fmt: skip
    places_resource["columnas"] += columns
    places_resource["divulgacion"] = {"columna_conteo": "plaza"}
    with pytest.raises(DisclosureError, match=r"coordenadas|una fila por persona"):
        check_request(define(recursos=[places_resource]), Manifest({"nodes": {"m": node}}))


def test_a_coordinate_column_leaves_only_rounded(
    define: Define, places: Manifest, places_resource: dict[str, Any]
) -> None:
    del places_resource["coordenadas"]
    places_resource["formatos"] = ["csv"]
    with pytest.raises(DisclosureError, match=r"latitud, longitud .* `coordenadas`"):
        check_request(define(recursos=[places_resource]), places)
