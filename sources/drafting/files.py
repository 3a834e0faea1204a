"""Drafts of files: CSV, JSON lines, Parquet and spreadsheets.

Belongs here: what kind of file it is, how it is written, where its header is. Does not belong
here: reading rows (the readers do it, by a first draft of nothing but text) and which types their
values have (`types.py`).
"""

from __future__ import annotations

import codecs
import csv
import glob
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from sources.arrow_values import from_texts
from sources.casting import NumberStyle, without_missing
from sources.contract import Column, Contract
from sources.drafting.document import (
    Draft,
    DraftColumn,
    DraftError,
    Source,
    address,
    compose,
)
from sources.drafting.types import propose, style_of, words_for_missing
from sources.names import stacked, told_apart
from sources.readers import FeedFile, open_file
from sources.readers.arrow import pc
from sources.readers.detection import guess_encoding
from sources.readers.encoding import open_bytes
from sources.readers.jsonlines import array_elements
from sources.readers.pages import is_page
from sources.readers.paths import leaf_paths
from sources.readers.spreadsheet import header_names, header_text
from sources.readers.workbooks import Area, Sheet, UnusableWorkbook, open_workbook

SAMPLED_ROWS = 20_000
_SAMPLE_BYTES = 1 << 20
_HEADER_ROWS = 20
_JSON_RECORDS = 500
_DELIMITERS = ",;\t|"
_FEWEST_CELLS = 2
_FEWEST_ROWS_OF_A_KEY = 20
_FORMATS = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
            ".json": "jsonl", ".geojson": "jsonl", ".parquet": "parquet", ".xlsx": "xlsx",
            ".xls": "xlsx", ".ods": "xlsx"}  # fmt: skip
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".xz", ".zip")
_ZIP, _OLE = b"PK\x03\x04", bytes.fromhex("d0cf11e0")
_LOOKED_AT = 4096
# Names that say there is a record per line: a line may hold a list of its own.
_ONE_PER_LINE = (".jsonl", ".ndjson")
_DEEPEST_LIST = 3
_SHEETS_LOOKED_AT = 10
_LAST_ROWS = 5
# A quote within a value: after a backslash, or twice.
_ESCAPED = re.compile(r'[^,;\t|\n\\]\\"[^,;\t|\r\n]')
_DOUBLED = re.compile(r'[^,;\t|\n"]""[^,;\t|\n"]')
_TOTAL = re.compile(r"\s*(total(es)?)( |:|$)", re.IGNORECASE)
_SUBTOTAL = re.compile(r"\s*(sub[ -]?total(es)?)( |:|$)", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[^.\[\]]+")
_MEMBER = re.compile(r'[\s,]*"((?:[^"\\.\[\]])*)"\s*:\s*')
_OBJECTS = re.compile(r"\[\s*\{")
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
    bytes_columns: frozenset[str] = frozenset()


def draft(identifier: str, path: Path, sheet: str | None = None) -> Draft:
    """The draft of one file; its folder is the system's address. `sheet` is one of a workbook."""
    if path.is_dir():
        raise DraftError(
            f"{path} es una carpeta.",
            next_step="nombre uno de sus archivos: los demás del mismo conjunto se dicen después, "
            "en `pattern`.",
        )
    try:
        look = _look(path, sheet)
    except (OSError, EOFError) as error:
        raise DraftError(
            f"{path} no se puede leer: {error}.", next_step="revise el archivo."
        ) from None
    texts = [
        DraftColumn(name, "text", format="hex" if name in look.bytes_columns else None)
        for name in look.names
    ]
    plain = compose(identifier, _source(identifier, path, look), texts).contract
    columns, rows = _sample(plain, path)
    nothing = {
        column.name: column.source_name
        for column in plain.columns
        if _UNNAMED.fullmatch(column.source_name) and _is_empty(columns[column.name])
    }
    columns = {name: array for name, array in columns.items() if name not in nothing}
    labels: list[str] = []
    if look.format in ("csv", "xlsx") and (labels := _totals_labels(columns.values())):
        look.options["totalsLabel"] = labels[0] if len(labels) == 1 else labels
        # Read once more without them: a total may stand in a column of another type.
        plain = compose(identifier, _source(identifier, path, look), texts).contract
        sampled, rows = _sample(plain, path)
        columns = {name: sampled[name] for name in columns}
    style = style_of(columns.values()) if look.format in ("csv", "xlsx") else NumberStyle()
    words = {
        name: words_for_missing(plain, plain.column(name), array, style)
        for name, array in columns.items()
    }
    if missing := sorted(set().union(*words.values())):
        look.options["missingValues"] = missing
        columns |= {
            name: _without(columns[name], missing) for name, found in words.items() if found
        }
    look.options.update(_signs(style))
    proposed = [
        _as_digits(column)
        if (column := plain.column(name)).format == "hex"
        else propose(plain, column, array, style)
        for name, array in columns.items()
    ]
    alike = [
        column.source_name
        for column, array in zip(proposed, columns.values(), strict=True)
        if _may_identify(column, array)
    ]
    notes = [*look.notes, _note_of_rows(rows), _more_files(path, look)]
    notes += _notes_of_values(alike, labels, style.signs, missing, [*nothing.values()])
    return compose(
        identifier, _source(identifier, path, look), proposed, [f"{note}." for note in notes],
        ignored=tuple(nothing.values()),
    )  # fmt: skip


def _note_of_rows(rows: int) -> str:
    if not rows:
        return "no había ninguna fila: los tipos son los que declara el archivo, y si no, texto"
    return f"los tipos salen de {rows} filas; lo que no se ajuste va a cuarentena, con su motivo"


def _notes_of_values(
    alike: Sequence[str],
    labels: Sequence[str],
    signs: Sequence[str],
    missing: Sequence[str],
    nothing: Sequence[str],
) -> Iterator[str]:
    """What was taken for something in the values of a file, for a person to look at."""
    if alike:
        yield f"en esas filas no falta ni se repite: {', '.join(alike)}. Puede ser la clave"
    if labels:
        told = " o ".join(map(repr, labels))
        yield f"las filas que empiezan con {told} se toman por totales y no se cargan"
    if signs:
        told = " y ".join(signs)
        yield (
            f"lo que acompaña a los números ({told}) no se carga: 12,5 % es 12,5; dígalo en `unit`"
        )
    if missing:
        yield f"entre números, fechas y síes se toman por dato ausente: {', '.join(missing)}"
    if nothing:
        yield f"sin nombre y sin valores, no se cargan: {', '.join(nothing)}"


def _without(values: pa.ChunkedArray[Any], words: Sequence[str]) -> pa.ChunkedArray[Any]:
    array = pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)
    return pa.chunked_array([without_missing(array, from_texts(words))])


def _totals_labels(columns: Iterable[pa.ChunkedArray[Any]]) -> list[str]:
    """The words that rows of totals begin with: of groups anywhere, of all in the last rows."""
    written = [
        values.cast(pa.string()) for values in columns if not pa.types.is_nested(values.type)
    ]
    if not written:
        return []
    blank = [pc.if_else(pc.match_substring_regex(text, r"\S"), text, None) for text in written]
    first = pc.coalesce(*blank).to_pylist()
    found = {m[1].casefold(): m[1] for text in first if text and (m := _SUBTOTAL.match(text))}
    for text in first[-_LAST_ROWS:]:
        if text and (match := _TOTAL.match(text)):
            found.setdefault(match[1].casefold(), match[1])
    return list(found.values())


def _as_digits(column: Column) -> DraftColumn:
    note = "son bytes y no texto; se lee como dígitos hexadecimales"
    return DraftColumn(column.source_name, "text", format="hex", note=note)


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
        declared = _declared_types(path) if contract.kind == "parquet" else {}
        return {
            column.name: pa.chunked_array([], declared.get(column.source_name, pa.string()))
            for column in contract.columns
        }, 0
    # Batches of a spreadsheet may differ in type: a column of numbers with one text further down.
    kinds = [{batch.column(name).type for batch in batches} for name in names]
    return {
        name: pa.chunked_array(
            [b.column(name).cast(pa.string()) if len(kind) > 1 else b.column(name) for b in batches]
        )
        for name, kind in zip(names, kinds, strict=True)
    }, rows


def _declared_types(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    return {field_.name: field_.type for field_ in pq.read_schema(path)}


def _mode(look: _Look) -> str:
    return "full" if look.format == "xlsx" else "files"


def _more_files(path: Path, look: _Look) -> str:
    told = (
        f"se lee solo {path.name}: si llegan otros del mismo conjunto, `pattern` lleva * en lugar "
        "de lo que cambia de un nombre a otro"
    )
    if _mode(look) == "files":
        return told
    return f"{told}, y `loadMode: files` carga cada uno una vez y los acumula"


def _source(identifier: str, path: Path, look: _Look) -> Source:
    server: dict[str, Any] = {
        "type": "local",
        "path": address(identifier),
        "format": look.format,
    }
    if look.encoding:
        server["encoding"] = look.encoding
    return Source(
        server, path.name, _mode(look), {"pattern": glob.escape(path.name), **look.options}
    )


def _signs(style: NumberStyle) -> dict[str, Any]:
    signs: dict[str, Any] = {"decimal": style.decimal} if style.decimal != "." else {}
    signs |= {"thousands": style.thousands} if style.thousands else {}
    return signs | ({"numberSigns": list(style.signs)} if style.signs else {})


# --- kinds of files -------------------------------------------------------------------------------


def _look(path: Path, sheet: str | None) -> _Look:
    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = path.with_suffix("").suffix.lower()
    with path.open("rb") as stream:
        start = stream.read(_LOOKED_AT)
    if start.startswith(b"PAR1"):
        return _parquet(path)
    zipped_book = start.startswith(_ZIP) and suffix != ".zip" and _is_book(path)
    if zipped_book or start.startswith(_OLE) or is_page(start):
        return _workbook(path, sheet)
    if sheet is not None:
        raise DraftError(
            f"{path.name} no es una planilla y no tiene la hoja {sheet!r}.",
            next_step="quite --table.",
        )
    with open_bytes(path) as stream:
        sample = stream.read(_SAMPLE_BYTES)
    if not sample.strip():
        raise DraftError(f"{path.name} está vacío.", next_step="pida un archivo con datos.")
    encoding = guess_encoding(sample)
    text = _decoded(sample, encoding)
    kind = _FORMATS.get(suffix)
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
    lowest = _header_row(rows)
    top = lowest
    while _tells_apart(rows, top, lowest):
        top -= 1
    number = begins[top - 1]
    options: dict[str, Any] = {} if delimiter == "," else {"delimiter": delimiter}
    notes = []
    if _ESCAPED.search(text) and not _DOUBLED.search(text):
        options["escape"] = "\\"
        notes.append("las comillas de adentro de un valor llevan una barra invertida delante")
    if number > 1:
        options["headerRow"] = number
        notes.append(f"el encabezado parece estar en la fila {number}")
    if top < lowest:
        options["headerRows"] = lowest - top + 1
        notes.append(_of_several_rows(number, begins[lowest] - 1))
    names = told_apart(stacked(rows[top - 1 : lowest]), unnamed=True)
    return _Look("csv", names, options, encoding, tuple(notes))


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
        if width and width >= usual and _filled(row) * 2 > width:
            return number
    return 1


def _width(row: Sequence[Any]) -> int:
    """Cells up to the last one that holds something."""
    return max((at for at, cell in enumerate(row, start=1) if str(cell).strip()), default=0)


def _json(path: Path, text: str, encoding: str | None) -> _Look:
    stem = path.with_suffix("") if path.suffix.lower() in _COMPRESSED else path
    place = None if stem.suffix.lower() in _ONE_PER_LINE else _list_within(text)
    options: dict[str, Any] = {}
    notes = []
    if text.lstrip().startswith("["):
        place, options = (), {"jsonForm": "array"}
    elif place:
        options = {"jsonForm": "array", "dataPath": ".".join(place)}
        notes.append(f"los registros son los de la lista {'.'.join(place)!r} del documento")
    records = list(islice(_records(text, place), _JSON_RECORDS))
    documents = [record for record in records if isinstance(record, dict)]
    if not documents or len(documents) * 2 < len(records):
        raise DraftError(
            f"{path.name}: no se encontró ningún registro JSON con nombres.",
            next_step="un conjunto son registros, uno por línea o en una lista JSON.",
        )
    names, lists = names_of(documents)
    if lists:
        notes.append(
            f"traen una lista, que se guarda entera como texto: {', '.join(lists)}. Para una fila "
            f"por elemento, el nombre en el origen termina en []: `{lists[0]}[]`"
        )
    return _Look("jsonl", names, options, encoding, tuple(notes))


def names_of(documents: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The paths of the documents' values, and those among them that hold lists of objects.

    A list is one value: its first element alone would lose the others. An object that is null in
    some documents is no value where others show what is in it.
    """
    found: dict[str, None] = {}
    lists: dict[str, None] = {}
    for document in documents:
        for name in leaf_paths(document):
            whole, is_list, _ = name.partition("[0]")
            found.setdefault(whole)
            if is_list:
                lists.setdefault(whole)
    below = tuple(found)
    names = [
        name
        for name in found
        if not any(other.startswith((f"{name}.", f"{name}[")) for other in below)
    ]
    return names, [name for name in names if name in lists]


def _list_within(text: str) -> tuple[str, ...] | None:
    """Where a single document has its list of records: the longest, or the one that is cut off."""
    start = text.lstrip()
    if not start.startswith("{"):
        return None
    try:
        document, end = json.JSONDecoder().raw_decode(start)
    except (ValueError, RecursionError):
        return _cut_list(start)
    if start[end:].strip():
        return None  # more documents follow: one per line
    return list_within(document)


def list_within(document: Any) -> tuple[str, ...] | None:
    """Where a decoded document has its longest list of objects."""
    lists = _lists_of_objects(document)
    return max(lists, key=lambda place: lists[place], default=None)


def _lists_of_objects(document: Any, place: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Lists of objects by place, with their lengths; not those within lists."""
    if isinstance(document, list):
        return {place: len(document)} if document and isinstance(document[0], dict) else {}
    if not isinstance(document, dict) or len(place) >= _DEEPEST_LIST:
        return {}
    found: dict[tuple[str, ...], int] = {}
    for name, value in document.items():
        if _PLAIN_NAME.fullmatch(name):
            found |= _lists_of_objects(value, (*place, name))
    return found


def _cut_list(text: str) -> tuple[str, ...] | None:
    """The list that a document breaks off in, by the names of the objects that lead to it."""
    decoder = json.JSONDecoder()
    place: list[str] = []
    at = 1
    while True:
        name = _MEMBER.match(text, at)
        if name is None:
            return None
        at = name.end()
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            place.append(name[1])
            if _OBJECTS.match(text, at):
                return tuple(place)
            if text[at] != "{" or len(place) >= _DEEPEST_LIST:
                return None
            at += 1
            continue
        at = end


def _records(text: str, place: Sequence[str] | None) -> Iterator[Any]:
    """Whole records of the beginning of a file; the last may be cut."""
    if place is None:
        for line in text.split("\n"):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # a bad line is set aside by a load
        return
    with suppress(ValueError):  # the sample ends within the list
        for element in array_elements(io.BytesIO(text.encode()), place):
            yield json.loads(element)


def _parquet(path: Path) -> _Look:
    import pyarrow.parquet as pq

    from sources.readers.parquet import is_bytes

    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            binary = [field_.name for field_ in schema if is_bytes(field_.type)]
            batch = next(file.iter_batches(SAMPLED_ROWS, columns=binary), None) if binary else None
    except (pa.ArrowException, OSError) as error:
        raise DraftError(
            f"{path.name} está dañado: {error}.", next_step="vuelva a copiarlo."
        ) from error
    no_text = () if batch is None else (n for n in binary if not _is_text(batch.column(n)))
    return _Look("parquet", schema.names, bytes_columns=frozenset(no_text))


def _is_text(values: Any) -> bool:
    try:
        pc.cast(pc.cast(values, pa.binary()), pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _workbook(path: Path, wanted: str | None) -> _Look:
    try:
        book = open_workbook(path)
        try:
            visible = [sheet.name for sheet in book.sheets if sheet.visible] or [
                sheet.name for sheet in book.sheets
            ]
            hidden = [sheet.name for sheet in book.sheets if sheet.name not in visible]
            looked_at = _sheets_to_look_at(path, wanted, visible, hidden)
            begins = {name: _beginning(book.read(name)) for name in looked_at}
        finally:
            book.close()
    except UnusableWorkbook as error:
        raise DraftError(f"{path.name} {error.why}.", next_step=error.next_step) from error
    # A cover has no table: the first sheet with a header and something below it.
    name = next((name for name, (rows, _) in begins.items() if _is_table(rows)), looked_at[0])
    rows, merged = begins[name]
    number = _lowest_header_row(rows, _header_row(rows), merged)
    first = number
    while _groups_above(rows, first, merged) or _tells_apart(rows, first, number):
        first -= 1
    names = told_apart(header_names(rows, range(first - 1, number), merged), unnamed=True)
    others = [other for other in visible if other != name]
    told = f"se miró la hoja {name!r}, con encabezado en la fila {first}"
    if others:
        told = f"{told}; hay otras (se eligen con --table): {', '.join(others)}"
    notes = [told]
    options: dict[str, Any] = {"sheet": name, "headerRow": first}
    if first < number:
        options["headerRows"] = number - first + 1
        notes.append(_of_several_rows(first, number))
    return _Look("xlsx", names, options, notes=tuple(notes))


def _beginning(sheet: Sheet) -> tuple[list[list[Any]], Sequence[Area]]:
    """The first rows of a sheet, a cell merged with cells above it as the reader names it; and
    what is merged in them."""
    rows = [list(row) for row in islice(sheet.rows, _HEADER_ROWS)]
    merged = [area for area in sheet.merged if area.bottom < len(rows)]
    for area in merged:
        for row in rows[area.top + 1 : area.bottom + 1]:
            row[area.left] = rows[area.top][area.left]
    return rows, merged


def _lowest_header_row(rows: Sequence[Sequence[Any]], number: int, merged: Sequence[Area]) -> int:
    """The last row of a header of several, where that names more columns than the first does."""
    lowest = max((a.bottom + 1 for a in merged if a.top < number <= a.bottom), default=number)
    return lowest if _filled(rows[lowest - 1]) > _filled(rows[number - 1]) else number


def _groups_above(rows: Sequence[Sequence[Any]], number: int, merged: Sequence[Area]) -> bool:
    """Whether titles right above a header (1-based) are merged over several columns of it.

    One over all of them, or a single one from the first on, is the title of the sheet.
    """
    width = _width(rows[number - 1]) if rows else 0
    return any(
        area.bottom == number - 2 and area.left > 0 and 1 < area.right - area.left + 1 < width
        for area in merged
    )


def _tells_apart(rows: Sequence[Sequence[Any]], first: int, last: int) -> bool:
    """Whether the row above a header's (1-based) gives names that repeat one of their own."""
    if first < 2 or _filled(rows[first - 2]) < _FEWEST_CELLS:
        return False
    texts = [[header_text(cell) for cell in row] for row in rows[first - 2 : last]]

    def repeated(names: Sequence[str]) -> bool:
        given = [name for name in names if name]
        return len(set(given)) < len(given)

    return repeated(stacked(texts[1:])) and not repeated(stacked(texts))


def _of_several_rows(first: int, last: int) -> str:
    return (
        f"el encabezado ocupa las filas {first} a {last}: los títulos de arriba son parte del "
        "nombre de las columnas que agrupan"
    )


def _filled(row: Sequence[Any]) -> int:
    return sum(str(cell).strip() != "" for cell in row)


def _sheets_to_look_at(
    path: Path, wanted: str | None, visible: Sequence[str], hidden: Sequence[str]
) -> Sequence[str]:
    if wanted is None:
        return visible[:_SHEETS_LOOKED_AT]
    if wanted in (*visible, *hidden):
        return [wanted]
    raise DraftError(
        f"{path.name} no tiene la hoja {wanted!r}.",
        next_step=f"elija una de: {', '.join((*visible, *hidden))}.",
    )


def _is_table(rows: Sequence[Sequence[Any]]) -> bool:
    return sum(_width(row) >= _FEWEST_CELLS for row in rows) >= _FEWEST_CELLS
