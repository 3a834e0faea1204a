"""Drafts of files: CSV, JSON lines, Parquet and spreadsheets.

Belongs here: what kind of file it is, how it is written, where its header is. Does not belong
here: reading rows (the readers do it, by a first draft of nothing but text) and which types their
values have (`types.py`).
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from sources.casting import NumberStyle
from sources.contract import Contract
from sources.drafting.document import (
    Draft,
    DraftColumn,
    DraftError,
    Source,
    address,
    compose,
)
from sources.drafting.types import propose, style_of
from sources.names import told_apart
from sources.readers import FeedFile, open_file
from sources.readers.arrow import pc
from sources.readers.detection import guess_encoding
from sources.readers.encoding import open_bytes
from sources.readers.paths import leaf_paths
from sources.readers.workbooks import UnusableWorkbook, open_workbook

SAMPLED_ROWS = 20_000
_SAMPLE_BYTES = 1 << 20
_HEADER_ROWS = 20
_JSON_RECORDS = 500
_DELIMITERS = ",;\t|"
_FEWEST_CELLS = 2
_FEWEST_ROWS_OF_A_KEY = 20
_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
            ".json": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx", ".xls": "xlsx",
            ".ods": "xlsx"}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".xz", ".zip")
_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0")
_HTML = re.compile(r"\s*(<!doctype html|<html|<table|<head|<meta)", re.IGNORECASE)
_LOOKED_AT = 4096
# A column without a name, as `names.told_apart` calls it.
_UNNAMED = re.compile(r"\(columna \d+\)")


@dataclass(frozen=True, slots=True)
class _Look:
    """How a file is written: its format, the names of its columns, and options of the contract."""

    format: str
    names: Sequence[str]
    options: dict[str, Any] = field(default_factory=dict)
    encoding: str | None = None
    notes: tuple[str, ...] = ()


def draft(identifier: str, path: Path) -> Draft:
    """The draft of one file; its folder is the system's address."""
    if path.is_dir():
        raise DraftError(
            f"{path} es una carpeta.",
            next_step="nombre uno de sus archivos: los demás del mismo conjunto se dicen después, "
            "en `pattern`.",
        )
    try:
        look = _look(path)
    except (OSError, EOFError) as error:
        raise DraftError(
            f"{path} no se puede leer: {error}.", next_step="revise el archivo."
        ) from None
    texts = [DraftColumn(name, "text") for name in look.names]
    plain = compose(identifier, _source(identifier, path, look), texts).contract
    columns, rows = _sample(plain, path)
    nothing = {
        column.name: column.source_name
        for column in plain.columns
        if _UNNAMED.fullmatch(column.source_name) and _is_empty(columns[column.name])
    }
    columns = {name: array for name, array in columns.items() if name not in nothing}
    style = style_of(columns.values()) if look.format in ("csv", "xlsx") else NumberStyle()
    look.options.update(_signs(style))
    proposed = [propose(plain, plain.column(name), array, style) for name, array in columns.items()]
    seen = f"los tipos salen de {rows} filas; lo que no se ajuste va a cuarentena, con su motivo"
    notes = [*look.notes, seen if rows else "no había ninguna fila: todo quedó como texto"]
    if alike := [
        column.source_name
        for column, array in zip(proposed, columns.values(), strict=True)
        if _may_identify(column, array)
    ]:
        notes.append(f"en esas filas no falta ni se repite: {', '.join(alike)}. Puede ser la clave")
    if nothing:
        notes.append(f"sin nombre y sin valores, no se cargan: {', '.join(nothing.values())}")
    return compose(
        identifier, _source(identifier, path, look), proposed, [f"{note}." for note in notes],
        ignored=tuple(nothing.values()),
    )  # fmt: skip


def _is_empty(values: pa.ChunkedArray[Any]) -> bool:
    if not pa.types.is_string(values.type):
        return values.null_count == len(values)
    return not pc.any(pc.match_substring_regex(values, r"\S")).as_py()


def _may_identify(column: DraftColumn, values: pa.ChunkedArray[Any]) -> bool:
    """Whether a column of whole numbers or texts tells all the rows of a sample apart."""
    if column.logical_type not in ("integer", "string") or len(values) < _FEWEST_ROWS_OF_A_KEY:
        return False
    return values.null_count == 0 and pc.count_distinct(values).as_py() == len(values)


def _sample(contract: Contract, path: Path) -> tuple[dict[str, pa.ChunkedArray[Any]], int]:
    """The first rows, by column of the contract, as the reader gives them; and how many."""
    facts = path.stat()
    file = FeedFile(path.name, path, facts.st_size, facts.st_mtime)
    batches: list[pa.RecordBatch] = []
    rows = 0
    with open_file(contract, file, batch_rows=SAMPLED_ROWS) as reader:
        for batch in reader.batches():
            batches.append(batch.data)
            rows += batch.data.num_rows
            if rows >= SAMPLED_ROWS:
                break
    names = [column.name for column in contract.columns]
    if not batches:
        return {name: pa.chunked_array([], pa.string()) for name in names}, 0
    # Batches of a spreadsheet may differ in type: a column of numbers with one text further down.
    kinds = [{batch.column(name).type for batch in batches} for name in names]
    return {
        name: pa.chunked_array(
            [b.column(name).cast(pa.string()) if len(kind) > 1 else b.column(name) for b in batches]
        )
        for name, kind in zip(names, kinds, strict=True)
    }, rows


def _source(identifier: str, path: Path, look: _Look) -> Source:
    server: dict[str, Any] = {
        "type": "local",
        "path": address(identifier),
        "format": look.format,
    }
    if look.encoding:
        server["encoding"] = look.encoding
    mode = "full" if look.format == "xlsx" else "files"
    return Source(server, path.name, mode, {"pattern": path.name, **look.options})


def _signs(style: NumberStyle) -> dict[str, str]:
    signs = {"decimal": style.decimal} if style.decimal != "." else {}
    return signs | ({"thousands": style.thousands} if style.thousands else {})


# --- kinds of files -------------------------------------------------------------------------------


def _look(path: Path) -> _Look:
    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = path.with_suffix("").suffix.lower()
    with path.open("rb") as stream:
        start = stream.read(8)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    if start.startswith(_OLE) or (start.startswith(_ZIP) and suffix != ".zip" and _is_book(path)):
        return _workbook(path)
    with open_bytes(path) as stream:
        sample = stream.read(_SAMPLE_BYTES)
    if not sample.strip():
        raise DraftError(f"{path.name} está vacío.", next_step="pida un archivo con datos.")
    encoding = guess_encoding(sample)
    text = _decoded(sample, encoding)
    kind = _FORMATS.get(suffix)
    if _HTML.match(text):
        raise DraftError(
            f"{path.name} es una página HTML, no un archivo de datos.",
            next_step="ábralo, guárdelo como .xlsx o .csv y use ese.",
        )
    if "\x00" in text[:_LOOKED_AT] and kind not in ("csv", "jsonl"):
        raise _unknown(path)
    declared = None if encoding == "utf-8" else encoding
    if text.lstrip()[:1] in ("{", "[") or kind == "jsonl":
        return _json(path, text, declared)
    look = _delimited(path, text, declared)
    if kind == "csv":
        return look
    if len(look.names) < _FEWEST_CELLS:
        raise _unknown(path)  # with such a name, text is a table only where it has columns
    return replace(look, notes=("por su contenido es texto separado (csv)", *look.notes))


def _is_book(path: Path) -> bool:
    """Whether a zip is a workbook, or so named that it should be one."""
    try:
        with zipfile.ZipFile(path) as package:
            names = {name.lower() for name in package.namelist()}
    except zipfile.BadZipFile:
        return True
    return bool(names & {"xl/workbook.xml", "xl/workbook.bin", "content.xml"})


def _decoded(sample: bytes, encoding: str) -> str:
    """A sample as text, without the half of a character or of a line that it may end with."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(sample).removeprefix("\ufeff")
    whole = len(sample) < _SAMPLE_BYTES
    return text if whole or "\n" not in text else text[: text.rindex("\n") + 1]


def _unknown(path: Path) -> DraftError:
    return DraftError(
        f"{path.name} no es de un formato que se reconozca.",
        next_step="se reconocen csv, jsonl, json, parquet, xlsx, xls y ods. Los registros de "
        "largo fijo y las API se escriben a mano: vea docs/contratos.md.",
    )


def _delimited(path: Path, text: str, encoding: str | None) -> _Look:
    delimiter = _delimiter(text, path.suffix.lower())
    # Where each of the first records begins, counting lines as `headerRow` does.
    records = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    begins = [1]
    try:
        for row in islice(records, _HEADER_ROWS):
            rows.append(row)
            begins.append(records.line_num + 1)
    except csv.Error:
        if not rows:  # the reader's own words for it
            return _Look("csv", ["columna"], {}, encoding)
    turn = _header_row(rows) - 1
    number = begins[turn]
    options: dict[str, Any] = {} if delimiter == "," else {"delimiter": delimiter}
    notes = []
    if number > 1:
        options["headerRow"] = number
        notes.append(f"el encabezado parece estar en la fila {number}")
    return _Look("csv", told_apart(rows[turn], unnamed=True), options, encoding, tuple(notes))


def _delimiter(text: str, suffix: str) -> str:
    """The sign that parts most of the first lines into the same number of cells."""
    if suffix == ".tsv":
        return "\t"

    def agreement(sign: str) -> tuple[int, int]:
        with suppress(csv.Error):
            records = csv.reader(io.StringIO(text, newline=""), delimiter=sign)
            widths = [len(row) for row in islice(records, _HEADER_ROWS) if row]
            if not widths:
                return (0, 0)
            most = max(set(widths), key=lambda width: (widths.count(width), width))
            return (widths.count(most), most) if most >= _FEWEST_CELLS else (0, 0)
        return (0, 0)

    best = max(_DELIMITERS, key=agreement)
    return best if agreement(best) > (0, 0) else ","


def _header_row(rows: Sequence[Sequence[Any]]) -> int:
    """The first row as wide as the most are, and mostly filled: titles above it are narrower.

    A row further down may be wider: a value with the separator in it. Blank ends do not count.
    """
    widths = [_width(row) for row in rows]
    counts = Counter(width for width in widths if width)
    usual = max(counts, key=lambda width: (counts[width], width), default=0)
    for number, (row, width) in enumerate(zip(rows, widths, strict=True), start=1):
        filled = sum(str(cell).strip() != "" for cell in row)
        if width and width >= usual and filled * 2 > width:
            return number
    return 1


def _width(row: Sequence[Any]) -> int:
    """Cells up to the last one that holds something."""
    return max((at for at, cell in enumerate(row, start=1) if str(cell).strip()), default=0)


def _json(path: Path, text: str, encoding: str | None) -> _Look:
    is_array = text.lstrip().startswith("[")
    names: dict[str, None] = {}
    for record in islice(_records(text, is_array), _JSON_RECORDS):
        if not isinstance(record, dict):
            raise DraftError(
                f"{path.name}: sus elementos no son registros con nombres.",
                next_step="un conjunto son registros, uno por línea o en una lista JSON.",
            )
        names.update(dict.fromkeys(leaf_paths(record)))
    if not names:
        raise DraftError(
            f"{path.name}: no se encontró ningún registro JSON.",
            next_step="un conjunto son registros, uno por línea o en una lista JSON.",
        )
    return _Look("jsonl", list(names), {"jsonForm": "array"} if is_array else {}, encoding)


def _records(text: str, is_array: bool) -> Iterator[Any]:
    """Whole records of the beginning of a file; the last may be cut."""
    if not is_array:
        for line in text.split("\n"):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    return
        return
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            record, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield record


def _parquet(path: Path) -> _Look:
    import pyarrow.parquet as pq

    try:
        return _Look("parquet", pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise DraftError(
            f"{path.name} está dañado: {error}.", next_step="vuelva a copiarlo."
        ) from error


def _workbook(path: Path) -> _Look:
    try:
        book = open_workbook(path)
        try:
            visible = [sheet.name for sheet in book.sheets if sheet.visible] or [
                sheet.name for sheet in book.sheets
            ]
            rows = list(islice(book.read(visible[0]).rows, _HEADER_ROWS))
        finally:
            book.close()
    except UnusableWorkbook as error:
        raise DraftError(f"{path.name} {error.why}.", next_step=error.next_step) from error
    number = _header_row(rows)
    names = told_apart([str(cell) for cell in rows[number - 1]]) if rows else []
    others = f"; hay otras: {', '.join(visible[1:])}" if visible[1:] else ""
    return _Look(
        "xlsx",
        [name for name in names if name],
        {"sheet": visible[0], "headerRow": number},
        notes=(f"se miró la hoja {visible[0]!r}, con encabezado en la fila {number}{others}",),
    )
