"""Drafts of contracts: what a source shows of itself, and that a draft loads it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
import yaml

from orchestration.checkers import checkers_for
from sources.contract_document import load_contract
from sources.drafting import Draft, draft_file, draft_table, table_names
from sources.drafting.document import DraftError
from sources.errors import SourceUnavailable
from sources.readers import open_file
from sources.rehearsal import Rehearsal, rehearse
from sources.urls import SourceUrl
from tests.sources.reader_support import cast_all, feed_file, read_all
from tests.support.mariadb import MariaDb


def kinds(draft: Draft) -> dict[str, str]:
    """Type of raw by column."""
    return {column.name: column.pg_type for column in draft.contract.columns}


def tried(draft: Draft, folder: Path, url: str) -> Rehearsal:
    """The draft as a file on disk, applied to the source it was made of."""
    path = folder / "borrador.yaml"
    path.write_text(draft.text, encoding="utf-8")
    contract = load_contract(path)
    return rehearse(contract, SourceUrl.parse(url), checkers_for(contract))


def written(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


SHEET = """Presupuesto municipal;;;;
Código;Área;Importe ($);Fecha alta;Activo
0012;Obras Públicas;1.234.567,50;03/02/2026;sí
0013;Ambiente;99,00;25/12/2025;no
0014;Niñez;;31/12/2025;no
"""


def test_a_spanish_csv_says_its_encoding_separator_header_and_signs(tmp_path: Path) -> None:
    draft = draft_file("obras.presupuesto", written(tmp_path / "f", "p.csv", SHEET, "latin-1"))

    assert kinds(draft) == {
        "codigo": "text",
        "area": "text",
        "importe": "numeric(18,2)",
        "fecha_alta": "date",
        "activo": "boolean",
    }
    options = draft.contract.options
    assert (options["delimiter"], options["headerRow"]) == (";", 2)
    assert (options["decimal"], options["thousands"]) == (",", ".")
    assert draft.contract.server.encoding == "latin-1"
    done = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (done.read, done.set_aside, done.unknown, done.notes) == (3, 0, (), ())


@pytest.mark.parametrize(
    ("values", "kind", "form"),
    [
        (["1", "-20", ""], "bigint", None),
        (["007", "123"], "text", None),
        (["1.5", "-20.125"], "numeric(18,3)", None),
        (["1", "2", "x"], "text", None),
        (["true", "false"], "boolean", None),
        (["2026-01-31", "2025-12-01"], "date", None),
        (["03/02/2026", "13/02/2026"], "date", "dd/MM/yyyy"),
        (["03/13/2026", "12/31/2026"], "date", "MM/dd/yyyy"),
        (["31/12/2026 10:15", "01/01/2027 00:00"], "timestamptz", "dd/MM/yyyy HH:mm"),
        (["2026-01-31T10:00:00Z", "2026-01-31T10:00:00-03:00"], "timestamptz", None),
        (["2026-01-31 10:00", "2026-01-31 10:01"], "timestamptz", None),
        (["", ""], "text", None),
        (["12345678901234567890123"], "numeric(26,2)", None),
    ],
)
def test_the_narrowest_type_that_takes_every_value(
    tmp_path: Path, values: list[str], kind: str, form: str | None
) -> None:
    text = "fila,v\n" + "".join(f"f{n},{value}\n" for n, value in enumerate(values))
    draft = draft_file("s.t", written(tmp_path / "f", "v.csv", text))

    found = draft.contract.column("v")
    assert (found.pg_type, found.format) == (kind, form)
    assert tried(draft, tmp_path, str(tmp_path / "f")).set_aside == 0


@pytest.mark.parametrize(
    ("usual", "odd", "kind", "form"),
    [
        ("12", "s/d", "bigint", None),
        ("1,5", "alto", "numeric(18,2)", None),
        ("25/12/2025", "31/02/2026", "date", "dd/MM/yyyy"),
        ("2025-12-25 10:00", "pendiente", "timestamptz", None),
        ("12", "12B", "text", None),  # a code
        ("sí", "tal vez", "text", None),
    ],
)
def test_a_mistake_among_many_values_is_told_and_does_not_make_a_text_of_a_column(
    tmp_path: Path, usual: str, odd: str, kind: str, form: str | None
) -> None:
    values = [usual] * 99 + [odd]
    text = "fila;v\n" + "".join(f"f{n};{value}\n" for n, value in enumerate(values))
    draft = draft_file("s.t", written(tmp_path / "f", "v.csv", text))

    found = draft.contract.column("v")
    assert (found.pg_type, found.format) == (kind, form)
    told = [note for note in draft.notes if note.startswith("v: 1 de 100 valores")]
    assert len(told) == (kind != "text")
    assert tried(draft, tmp_path, str(tmp_path / "f")).set_aside == len(told)


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        # A row below is wider, one has quotes in its midst, and one is short.
        ('a,b,c\n1,2,3\n1,2,3,4\n5,tubo 3" x 2,6\n7,8\n', ["a", "b", "c"], 2),
        ("a;b;c;\n1;2;3;\n4;5;6;\n", ["a", "b", "c"], 2),
        ("zona;2024;2025\nNorte;1;2\nSur;3;4\n", ["zona", "2024", "2025"], 2),
        ("a,,c\n1,2,3\n4,5,6\n", ["a", "(columna 2)", "c"], 2),
        ("Área de Catastro; Padrón\n\nid;titular;monto\n1;Paz;2\n", ["id", "titular", "monto"], 1),
        ("Listado,,\n,,\nid,titular,monto\n1,Paz,2\n", ["id", "titular", "monto"], 1),
        ('"Título en\ndos líneas"\nid,v\n1,2\n', ["id", "v"], 1),
        ('id,"Nombre\ndel medidor"\n1,x\n2,y\n', ["id", "Nombre del medidor"], 2),
        ("monto,monto,Monto\n1,2,3\n", ["monto", "monto (2)", "Monto"], 1),
        ("sep=;\na;b\n1;2\n", ["a", "b"], 1),
    ],
)
def test_the_header_of_a_csv_is_found_and_no_column_is_lost(
    tmp_path: Path, text: str, names: list[str], rows: int
) -> None:
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", text))

    assert [column.source_name for column in draft.contract.columns] == names
    found = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (found.passed, found.unknown) == (rows, ())


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_the_encoding_of_a_csv_is_found(tmp_path: Path, encoding: str) -> None:
    text = "calle;importe\nÑandú;50 €\n" * 3
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", text, encoding))

    found = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (found.passed, found.set_aside) == (5, 0)
    assert [column.source_name for column in draft.contract.columns] == ["calle", "importe"]


def test_a_few_bytes_of_another_encoding_do_not_spoil_the_letters_of_the_others(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "f", "a.csv", "")
    path.write_bytes("calle\nÑandú\nMaipú\n".encode() + "Güemes\n".encode("latin-1"))

    draft = draft_file("s.t", path)

    assert "encoding" not in draft.text
    assert tried(draft, tmp_path, str(tmp_path / "f")).set_aside == 1


def test_commas_between_thousands_are_told_from_decimal_ones(tmp_path: Path) -> None:
    text = 'monto,dia\n"1,234.50",2/5/2026\n"12.00",31/12/2026\n'
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", text))

    assert kinds(draft) == {"monto": "numeric(18,2)", "dia": "date"}
    assert tried(draft, tmp_path, str(tmp_path / "f")).set_aside == 0


def test_names_that_postgresql_keeps_for_itself_get_another(tmp_path: Path) -> None:
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", "ctid,xmin,select\n1,2,3\n"))

    assert list(kinds(draft)) == ["c_ctid", "c_xmin", "select"]


def test_a_file_is_what_its_content_is_and_not_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    for name in ("datos", "datos.dat", "datos.xlsx", "datos.parquet"):
        draft = draft_file("s.t", written(folder, name, "a;b\n1;2\n"))
        assert tried(draft, tmp_path, str(folder)).passed == 1
        assert "por su contenido es texto" in draft.text

    written(folder, "a.csv", "").write_bytes(gzip.compress(b"a;b\n1;2\n"))
    assert tried(draft_file("s.t", folder / "a.csv"), tmp_path, str(folder)).passed == 1


def test_what_may_be_the_key_is_told(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 7},c{n},{n}.5\n" for n in range(30))
    draft = draft_file("s.t", written(tmp_path / "f", "v.csv", "nro,tipo,codigo,precio\n" + rows))

    [told] = [note for note in draft.notes if "Puede ser la clave" in note]
    assert "no falta ni se repite: nro, codigo." in told
    assert draft.contract.key == ()


def test_what_the_first_rows_did_not_show_is_set_aside_and_told(tmp_path: Path) -> None:
    path = written(tmp_path / "f", "v.csv", "fila,v\na,1\nb,2\n")
    draft = draft_file("s.t", path)
    written(tmp_path / "f", "v.csv", "fila,v\na,1\nb,dos\n")

    done = tried(draft, tmp_path, str(tmp_path / "f"))

    assert (done.read, done.passed) == (2, 1)
    [(reason, rows)] = done.examples.items()
    assert reason == ("tipo_invalido", "v")
    assert [(file, row.row_number) for file, row in rows] == [("v.csv", 2)]


def test_json_lines_arrays_and_compressed_files(tmp_path: Path) -> None:
    records = [
        {"id": 1, "cuando": "2026-01-31T10:00:00Z", "lugar": {"lat": -33.01, "etiquetas": [1, 2]}},
        {"id": 2, "cuando": "2026-02-01T10:00:00Z", "lugar": {"lat": -33.5}, "extra": True},
    ]
    folder = tmp_path / "f"
    lines = written(folder, "a.jsonl", "\n".join(map(json.dumps, records)))
    array = written(folder, "b.json", json.dumps(records))
    packed = folder / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.read_bytes()))
    for path in (lines, array, packed):
        draft = draft_file("s.t", path)
        found = kinds(draft)
        assert found["id"] == "bigint" and found["cuando"] == "timestamptz"
        assert found["lugar_lat"] == "numeric(18,2)" and found["extra"] == "boolean"
        assert draft.contract.column("lugar_lat").source_name == "lugar.lat"
        done = tried(draft, tmp_path, str(folder))
        assert (done.read, done.set_aside) == (2, 0)


DOCUMENT = {
    "help": "…",
    "result": {
        "fields": [{"id": "n"}],
        "records": [{"n": 1, "g": {"x.y": 2}}, {"n": 3, "g": None}],
    },
}


@pytest.mark.parametrize("indent", [None, 1])
def test_the_records_of_a_json_document_are_those_of_its_longest_list(
    tmp_path: Path, indent: int | None
) -> None:
    text = json.dumps(DOCUMENT, indent=indent)
    draft = draft_file("s.t", written(tmp_path / "f", "a.json", text))

    assert [column.source_name for column in draft.contract.columns] == ["n", "g['x.y']"]
    found = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (found.passed, found.unknown) == (2, ())


def test_a_long_document_is_drafted_from_its_beginning(tmp_path: Path) -> None:
    features = [{"type": "Feature", "properties": {"n": n, "t": "x" * 99}} for n in range(12_000)]
    text = json.dumps({"type": "FeatureCollection", "crs": {"a": 1}, "features": features})
    assert len(text) > 1 << 20

    draft = draft_file("s.t", written(tmp_path / "f", "a.geojson", text))

    assert kinds(draft) == {"type": "text", "properties_n": "bigint", "properties_t": "text"}
    assert tried(draft, tmp_path, str(tmp_path / "f")).passed == 12_000


def test_a_list_in_a_line_is_kept_whole_and_told(tmp_path: Path) -> None:
    line = {"id": 1, "lecturas": [{"l": 1}, {"l": 2}], "sub": None}
    text = "".join(f"{json.dumps(row)}\n" for row in (line, {"id": 2, "sub": {"a": 1}}, [3]))
    draft = draft_file("s.t", written(tmp_path / "f", "a.jsonl", text))

    assert kinds(draft) == {"id": "bigint", "lecturas": "text", "sub_a": "bigint"}
    assert "`lecturas[]`" in draft.text
    found = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (found.passed, found.set_aside, found.unknown) == (2, 1, ())


def test_parquet_of_no_rows_bytes_and_views(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    nothing = {"n": pa.array([], pa.int64()), "t": pa.array([], pa.timestamp("us"))}
    pq.write_table(pa.table(nothing), folder / "a.parquet")
    assert kinds(draft_file("s.t", folder / "a.parquet")) == {"n": "bigint", "t": "timestamptz"}

    some = {
        "geometria": pa.array([b"\x01\xff", None]),
        "nombre": pa.array([b"x", b"y"]),
        "vista": pa.array(["x", None], pa.string_view()),
    }
    pq.write_table(pa.table(some), folder / "a.parquet")
    draft = draft_file("s.t", folder / "a.parquet")
    assert [column.format for column in draft.contract.columns] == ["hex", None, None]
    assert tried(draft, tmp_path, str(folder)).passed == 2


def test_parquet_keeps_its_types_and_a_sheet_finds_its_header(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    table = pa.table(
        {
            "Id": pa.array([1, 2], pa.int32()),
            "Monto": pa.array(["1.50", None]).cast(pa.decimal128(10, 2)),
            "Cuando": pa.array([0, 1], pa.timestamp("us", tz="UTC")),
            "Detalle": pa.array([{"a": 1}, None]),
        }
    )
    pq.write_table(table, folder / "t.parquet")
    draft = draft_file("s.t", folder / "t.parquet")
    assert kinds(draft) == {
        "id": "bigint", "monto": "numeric(18,2)", "cuando": "timestamptz", "detalle": "jsonb",
    }  # fmt: skip
    assert tried(draft, tmp_path, str(folder)).passed == 2

    book = xlsxwriter.Workbook(str(folder / "o.xlsx"))
    sheet = book.add_worksheet("Obras")
    for number, row in enumerate((
        ["Informe de obras"], [], ["Nº", "Nombre de la obra", "Avance %"],
        [1, "Plaza", 10.5], [2, "Acequia", 20],
    )):  # fmt: skip
        sheet.write_row(number, 0, row)
    book.close()
    draft = draft_file("s.o", folder / "o.xlsx")
    assert kinds(draft) == {
        "no": "bigint", "nombre_de_la_obra": "text", "avance": "numeric(18,2)",
    }  # fmt: skip
    assert (draft.contract.options["sheet"], draft.contract.options["headerRow"]) == ("Obras", 3)
    assert tried(draft, tmp_path, str(folder)).passed == 2


@pytest.mark.parametrize("last", [["Total"], []], ids=["with a total", "without"])
def test_a_header_of_two_rows_is_named_by_both(tmp_path: Path, last: list[str]) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    with xlsxwriter.Workbook(str(folder / "o.xlsx")) as book:
        sheet = book.add_worksheet("Consumo")
        sheet.merge_range(0, 0, 0, 5, "Consumo por zona")
        sheet.merge_range(2, 0, 3, 0, "Zona")
        sheet.merge_range(2, 1, 2, 2, "2025")
        sheet.merge_range(2, 3, 2, 4, "2026")
        sheet.write_row(3, 1, ["enero", "febrero", "enero", "febrero"])
        if last:
            sheet.merge_range(2, 5, 3, 5, "Total")
        for row in (4, 5, 6):
            sheet.write_row(row, 0, [f"Zona {row}", 1, 2, 3, 4, 10][: 5 + len(last)])

    draft = draft_file("s.o", folder / "o.xlsx")

    names = ["Zona", "2025 enero", "2025 febrero", "2026 enero", "2026 febrero", *last]
    assert [c.source_name for c in draft.contract.columns] == names
    options = draft.contract.options
    assert (options["headerRow"], options["headerRows"]) == (3, 2)
    assert any("ocupa las filas 3 a 4" in note for note in draft.notes)
    assert tried(draft, tmp_path, str(folder)).passed == 3


def test_a_csv_under_years_and_months_is_named_by_both(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    path = folder / "c.csv"
    path.write_text(
        "Consumo de agua;;;;\n; ;2025; ;2026;\nCuenta;Barrio;ene;feb;ene;feb\n"
        "1;Centro;10;11;12;13\n2;Norte;20;21;22;23\n"
    )

    draft = draft_file("s.c", path)

    assert [c.source_name for c in draft.contract.columns] == [
        "Cuenta", "Barrio", "2025 ene", "2025 feb", "2026 ene", "2026 feb",
    ]  # fmt: skip
    options = draft.contract.options
    assert (options["headerRow"], options["headerRows"]) == (2, 2)
    assert tried(draft, tmp_path, str(folder)).passed == 2


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("vacio.csv", b"", "vacío"),
        ("foto.png", b"\x89PNG", "formato"),
        ("roto.xlsx", b"PK\x03\x04 nada", "dañado"),
        ("pagina.xls", b"<!DOCTYPE html><html><p>Su sesi\xc3\xb3n venci\xc3\xb3</html>", "HTML"),
        ("lista.json", b"[1, 2]", "registros"),
        ("nota.doc", b"Estimados:\nadjunto el padron.\n", "formato"),
    ],
)
def test_a_file_that_is_none_is_refused_in_words(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DraftError, match=why):
        draft_file("s.t", path)
    with pytest.raises(DraftError, match=r"sistema\.conjunto"):
        draft_file("Sin Punto", path)
    with pytest.raises(DraftError, match="demasiado largo"):
        draft_file(f"{'s' * 30}.{'t' * 30}", path)


def test_a_table_of_postgresql_by_its_own_types_key_and_nulls(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        "create schema obra; create type obra.estado as enum ('abierta', 'cerrada');"
        'create table obra."Obras" ('
        ' "Id" bigint, "fechaAlta" timestamp not null, actualizado timestamptz,'
        " monto numeric(12,2), libre numeric, dni text, email varchar(50), estado obra.estado,"
        " etiquetas text[], lecturas int[], montos numeric(9,2)[], horas timestamptz[],"
        " foto bytea, codigo char(8), letra char, datos jsonb, precio money, plazo interval,"
        ' "1er pago" date, si boolean,'
        ' primary key ("Id", estado));'
        "insert into obra.\"Obras\" values (1, '2026-01-01 10:00', now(), 1.5, 1.23, '30111222',"
        " 'a@b', 'abierta', '{x,y}', '{1,null}', '{1.50}', '{}', '\\x00ff', 'a', 'b', '{}', 12.5,"
        " '3 days', '2026-01-01', true)"
    )
    url = SourceUrl.parse(database)

    pg.execute("comment on column obra.\"Obras\".monto is 'Presupuesto,\n en pesos: sin IVA'")
    pg.execute('create materialized view obra.resumen as select count(*) as n from obra."Obras"')

    assert table_names("s.t", url) == ["obra.Obras", "obra.resumen"]
    draft = draft_table("s.t", url, "obra.Obras")

    assert kinds(draft) == {
        "id": "bigint", "fecha_alta": "timestamptz", "actualizado": "timestamptz",
        "monto": "numeric(12,2)", "libre": "numeric(38,10)", "dni": "text", "email": "text",
        "estado": "text", "etiquetas": "text", "lecturas": "text", "montos": "text",
        "horas": "text", "foto": "text", "codigo": "text", "letra": "text", "datos": "jsonb",
        "precio": "text", "plazo": "text", "c_1er_pago": "date", "si": "boolean",
    }  # fmt: skip
    assert draft.contract.key == ("id", "estado")
    assert draft.contract.column("fecha_alta").required
    assert draft.contract.column("dni").classification == "sensible"
    assert draft.contract.column("monto").classification == "acceso_restringido"
    document = yaml.safe_load(draft.text)
    assert document["team"]["name"] == "(a confirmar)" and document["status"] == "draft"
    assert draft.contract.column("monto").description == "Presupuesto, en pesos: sin IVA"
    assert draft.contract.column("libre").description == "(a describir)"
    assert "codigo: es character(8): sus valores traen los blancos" in draft.text
    assert "letra:" not in draft.text.partition("apiVersion")[0]
    assert "dni, email" in draft.text and "cursor: actualizado" in draft.text
    done = tried(draft, tmp_path, database)
    assert (done.read, done.set_aside) == (1, 0)

    with pytest.raises(SourceUnavailable, match=r"obra\.Obras"):
        draft_table("s.t", url, "obra.no_hay")


def test_a_table_with_points_in_its_name_is_found_and_partitions_are_no_tables(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    pg.execute(
        'create schema "OBRAS"; create table "OBRAS"."Órdenes (final).v2" ("ID" int, nombre text,'
        ' primary key ("ID") include (nombre));'
        'insert into "OBRAS"."Órdenes (final).v2" values (1, \'a\');'
        "create table pagos (dia date, monto int) partition by range (dia);"
        "create table pagos_2026 partition of pagos default"
    )
    url = SourceUrl.parse(database)

    assert table_names("s.t", url) == ["OBRAS.Órdenes (final).v2", "public.pagos"]
    draft = draft_table("s.t", url, "OBRAS.Órdenes (final).v2")

    assert draft.contract.key == ("id",)
    assert tried(draft, tmp_path, database).passed == 1
    assert draft_table("s.t", url, "pagos_2026").contract.columns


def test_rows_that_the_server_keeps_from_its_reader_are_told(
    tmp_path: Path, database: str, pg: psycopg.Connection[Any]
) -> None:
    """Row level security filters rows out of the count at the source, too."""
    reader = "lector_de_algunas"
    pg.execute(f"drop role if exists {reader}".encode())
    pg.execute(f"create role {reader} login password 'x'".encode())
    pg.execute(
        "create table reclamos (id int primary key, area text);"
        "insert into reclamos values (1, 'obras'), (2, 'social');"
        "alter table reclamos enable row level security;"
        "create policy algunas on reclamos for select using (area = 'obras');"
        f"grant select on reclamos to {reader}".encode()
    )
    try:
        parts = urlsplit(database)
        limited = f"postgresql://{reader}:x@{parts.hostname}:{parts.port}{parts.path}"
        draft = draft_table("s.t", SourceUrl.parse(limited), "public.reclamos")
        done = tried(draft, tmp_path, limited)

        assert done.read == 1
        assert "seguridad por fila" in draft.text
        assert [reader in note and "public.reclamos" in note for note in done.notes] == [True]
        assert tried(draft, tmp_path, database).notes == ()
        # A partition is one of a table that may be read.
        pg.execute(
            "create table pagos (dia date) partition by range (dia);"
            "create table pagos_2026 partition of pagos default;"
            f"grant select on pagos_2026 to {reader}".encode()
        )
        assert table_names("s.t", SourceUrl.parse(limited)) == [
            "public.pagos_2026", "public.reclamos",
        ]  # fmt: skip
    finally:
        pg.execute(f"drop owned by {reader}; drop role {reader}".encode())


@pytest.mark.mariadb
def test_a_table_of_mariadb(tmp_path: Path, mariadb: MariaDb) -> None:
    with mariadb.connect() as connection, connection.cursor() as cursor:
        cursor.execute("drop table if exists borrador")
        cursor.execute("create or replace sequence numeros")
        cursor.execute(
            "create table borrador (id int unsigned primary key, chico tinyint(1), grande bigint "
            "unsigned, monto decimal(65,2) comment 'En pesos, con IVA', precio decimal(10,3), "
            "cuando timestamp null, "
            "local datetime(6), dia date, anio year, nombre varchar(10), foto blob, "
            "letras enum('a','b'), bits bit(8), hora time, doble double)"
        )
        cursor.execute(
            "insert into borrador values (4294967295, 2, 18446744073709551615, 1.5, 1.125, "
            "'2026-01-01 10:00', '2026-01-01 10:00:00.5', '2026-01-01', 2026, 'ñ', x'00ff', 'a', "
            "b'101', '10:00', 0.1)"
        )
    url = SourceUrl.parse(mariadb.url)

    draft = draft_table("s.t", url, "borrador")

    found = kinds(draft)
    assert (found["id"], found["grande"], found["chico"]) == ("bigint", "numeric(20,0)", "smallint")
    assert (found["monto"], found["precio"]) == ("text", "numeric(10,3)")
    assert draft.contract.column("foto").format == "hex"
    assert draft.contract.column("monto").description == "En pesos, con IVA"
    assert draft.contract.column("local").timezone and draft.contract.key == ("id",)
    done = tried(draft, tmp_path, mariadb.url)
    assert (done.read, done.set_aside) == (1, 0)
    assert "borrador" in table_names("s.t", url) and "numeros" not in table_names("s.t", url)


def workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for place, cell in enumerate(row):
                    sheet.write(number, place, cell)
    return path


def test_a_cover_is_passed_over_and_a_sheet_may_be_chosen(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "f" / "a.xlsx",
        Portada=[["Informe"], [], ["Obras"]],
        Datos=[["zona", "m3"], ["Norte", 1]],
        Otra=[["x", "y"], [1, 2]],
    )

    draft = draft_file("s.t", path)
    assert list(kinds(draft)) == ["zona", "m3"] and "--table): Portada, Otra" in draft.text
    assert list(kinds(draft_file("s.t", path, "Otra"))) == ["x", "y"]
    with pytest.raises(DraftError, match="no tiene la hoja 'No'"):
        draft_file("s.t", path, "No")
    with pytest.raises(DraftError, match="no es una planilla"):
        draft_file("s.t", written(tmp_path / "f", "a.csv", "a,b\n1,2\n"), "Otra")


def test_a_table_of_an_html_page_named_as_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "padron.xls"
    path.write_text(
        "<table><tr><td>Padrón<tr></table><table><tr><th>Cuenta<th>Deuda ($)"
        + "".join(f"<tr><td>{n}<td>1.{n},50" for n in range(100, 130))
        + "</table>",
        encoding="cp1252",
    )
    draft = draft_file("s.t", path)

    assert kinds(draft) == {"cuenta": "bigint", "deuda": "numeric(18,2)"}
    text = written(tmp_path / "f", "notas.csv", "id,cuerpo\n1,<html><table>\n2,<p>\n")
    assert kinds(draft_file("s.t", text)) == {"id": "bigint", "cuerpo": "text"}
    assert draft.contract.options["sheet"] == "Tabla 2"
    assert "se lee solo padron.xls" in draft.text and "loadMode: files" in draft.text
    assert tried(draft, tmp_path, str(tmp_path)).passed == 30


def test_a_sheet_with_years_for_names_a_name_missing_and_a_total(tmp_path: Path) -> None:
    rows = [["zona", 2024, 2025, "", "monto", "monto", ""], ["Norte", 1, 2, "dudoso", 3, 4, ""],
            ["Sur", 5, 6, "", 7, 8, ""], ["Total", 6, 8, "", 10, 12, ""]]  # fmt: skip
    draft = draft_file("s.t", workbook(tmp_path / "f" / "a.xlsx", Datos=rows))

    sources = [column.source_name for column in draft.contract.columns]
    assert sources == ["zona", "2024", "2025", "(columna 4)", "monto", "monto (2)"]
    found = tried(draft, tmp_path, str(tmp_path / "f"))
    assert (found.read, found.passed, found.unknown) == (2, 2, ())
    assert draft.contract.options["totalsLabel"] == "Total"


@pytest.mark.parametrize(
    ("written", "style", "value"),
    [
        ("$ 1.234,56", (",", ".", ["$"]), Decimal("1234.56")),
        ("-$1.500", (",", ".", ["$"]), Decimal("-1500.00")),
        ("12,5 %", (",", None, ["%"]), Decimal("12.50")),
        ("U$S 1,234.50", (None, ",", ["U$S"]), Decimal("1234.50")),
        ("$\u00a0-7.25", (None, None, ["$"]), Decimal("-7.25")),
    ],
)
def test_amounts_and_shares_with_their_sign_are_numbers(
    tmp_path: Path, written: str, style: tuple[Any, ...], value: Decimal
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"cuenta;monto\nA;{written}\nB;S/D\n")

    draft = draft_file("s.a", path)

    options = draft.contract.options
    signs = tuple(options.get(name) for name in ("decimal", "thousands", "numberSigns"))
    assert signs == style
    monto = draft.contract.column("monto")
    assert monto.logical_type in ("number", "integer")
    good, rejected = cast_all(draft.contract, read_all(open_file(draft.contract, feed_file(path))))
    assert [row["monto"] for row in good] == [value, None] and rejected == []


@pytest.mark.parametrize(
    ("days", "form"),
    [(("1-ene-26", "15-sep-26"), "d-MMM-yy"), (("3 de mayo de 2026",), "d 'de' MMMM 'de' yyyy")],
)
def test_days_with_the_name_of_their_month_are_dates(
    tmp_path: Path, days: tuple[str, ...], form: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("cuenta;vence\n" + "".join(f"A;{day}\n" for day in days))

    found = draft_file("s.a", path).contract.column("vence")

    assert (found.pg_type, found.format) == ("date", form)


def test_a_price_in_words_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("cuenta;monto;nota\nA;$ 5 por m3;50 % pagado\nB;$ 7 por m3;100 %\n")

    draft = draft_file("s.a", path)

    assert kinds(draft) == {"cuenta": "text", "monto": "text", "nota": "text"}
    assert "numberSigns" not in draft.contract.options


def test_totals_of_groups_and_numbers_that_were_worked_out(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    with xlsxwriter.Workbook(str(folder / "p.xlsx")) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Partida", "Monto", "Parte"])
        for row in range(1, 9):
            sheet.write_row(row, 0, [f"P{row}", 100.1 * row, row / 7])
        sheet.write_row(4, 0, ["Sub-total Obras", 5, 1])
        sheet.write_row(9, 0, [None, "Total general"])

    draft = draft_file("s.p", folder / "p.xlsx")

    assert draft.contract.options["totalsLabel"] == ["Sub-total", "Total"]
    assert kinds(draft) == {
        "partida": "text", "monto": "numeric(18,2)", "parte": "double precision",
    }  # fmt: skip
    assert tried(draft, tmp_path, str(folder)).passed == 7


def test_letters_for_yes_and_no_are_told(tmp_path: Path) -> None:
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", "zona,al_dia\nN,sí\nS,no\n"))

    assert kinds(draft) == {"zona": "boolean", "al_dia": "boolean"}
    assert "zona: dice solo N, S" in draft.text


def test_signs_of_a_pattern_in_a_name_are_no_pattern(tmp_path: Path) -> None:
    written(tmp_path / "f", "datos 1.csv", "a,b\n1,2\n")
    draft = draft_file("s.t", written(tmp_path / "f", "datos [1].csv", "a,b\n1,2\n3,4\n"))

    assert tried(draft, tmp_path, str(tmp_path / "f")).read == 2


@pytest.mark.parametrize(
    ("text", "escape"),
    [
        ('a,b\n1,"dijo \\"sí\\""\n', "\\"),
        ('a,b\n1,"dijo ""sí"""\n', None),
        ('a,b\n1,"C:\\"\n', None),
    ],
)
def test_how_quotes_within_a_value_are_written(
    tmp_path: Path, text: str, escape: str | None
) -> None:
    draft = draft_file("s.t", written(tmp_path / "f", "a.csv", text))

    assert draft.contract.options.get("escape") == escape


def test_words_for_no_value_among_numbers_and_dates_are_found_and_load_as_none(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pozos"
    path = written(
        folder,
        "pozos.csv",
        "pozo;caudal_m3;medido;estado\n"
        "1;1,5;01/02/2026;s/d\n2;S/D;-;bueno\n3; s/d ;03/02/2026;-\n4;12,25;-;malo\n",
    )

    draft = draft_file("pozos.caudales", path)

    assert kinds(draft)["caudal_m3"].startswith("numeric")
    assert (kinds(draft)["medido"], kinds(draft)["estado"]) == ("date", "text")
    assert draft.contract.options["missingValues"] == ["-", "s/d"]
    assert any("dato ausente: -, s/d" in note for note in draft.notes)
    done = tried(draft, tmp_path, str(folder))
    assert (done.passed, done.set_aside) == (4, 0)


def test_words_that_do_not_make_a_column_a_text_are_no_words_for_no_value(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("codigo,nota\nA-1,s/d\nB-2,bien\n-,regular\n", encoding="utf-8")

    draft = draft_file("pozos.notas", path)

    assert "missingValues" not in draft.contract.options
    assert set(kinds(draft).values()) == {"text"}
