"""Spoiling the sources of the sample city, as people and systems would.

Belongs here: one function per step an entry of the catalogue may name, and the table of them.
Does not belong here: loading, or what should come of it. A step that changes nothing is an error:
a defect that was not put in must not count as missed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import xlsxwriter
from python_calamine import CalamineWorkbook

from seeds.sample.api import DATA_FILE

Lines = list[bytes]


class InjectionError(ValueError):
    """A step that is unknown, or that left the sources as they were."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the sample's systems live: a folder and the database of projects."""

    folder: Path
    mlc_url: str

    def feed(self, system: str) -> Path:
        return self.folder / system


def inject(sources: Sources, dataset: str, steps: Iterable[Mapping[str, Any]]) -> None:
    """Carry out the steps on the sources of `dataset` ('<system>.<dataset>').

    Raises InjectionError for an unknown step or one without effect.
    """
    system, _, name = dataset.partition(".")
    for step in steps:
        ((action, argument),) = step.items()
        if action not in STEPS:
            raise InjectionError(f"paso desconocido: {action}")
        try:
            STEPS[action](sources, system, name, argument)
        except (KeyError, IndexError, TypeError, re.error, sqlite3.Error, psycopg.Error) as error:
            raise InjectionError(f"{dataset}: {action}: {error!r} no se puede usar") from error


# --- databases ---------------------------------------------------------------------------------


def _sql(sources: Sources, system: str, _name: str, statement: str) -> None:
    if system == "mlc":
        with psycopg.connect(sources.mlc_url) as connection:
            changed = connection.execute(statement.encode()).rowcount
    else:
        with contextlib.closing(sqlite3.connect(sources.folder / f"{system}.sqlite")) as file:
            changed = file.execute(statement).rowcount
            file.commit()
    if not changed:
        raise InjectionError(f"{system}: la sentencia no cambió ninguna fila: {statement}")


# --- files of lines ----------------------------------------------------------------------------


def _in_lines(
    sources: Sources, system: str, pattern: str, change: Callable[[Lines], Lines]
) -> None:
    """Apply `change` to the lines of every file that `pattern` names."""
    touched = False
    for path in sorted(sources.feed(system).glob(pattern)):
        before = path.read_bytes().splitlines()
        after = change(before)
        if after != before:
            path.write_bytes(b"\n".join(after) + b"\n")
            touched = True
    if not touched:
        raise InjectionError(f"{system}: ningún archivo {pattern} cambió")


def _replace(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """`patron` → `por` in the first `veces` lines that have it (all of them without `veces`)."""
    pattern = re.compile(str(argument["patron"]).encode())
    target = str(argument["por"]).encode()
    limit = argument.get("veces")

    def change(lines: Lines) -> Lines:
        left = limit
        for number, line in enumerate(lines):
            if left is not None and left <= 0:
                break
            new = pattern.sub(target, line)
            if new != line and left is not None:
                left -= 1
            lines[number] = new
        return lines

    _in_lines(sources, system, argument["archivo"], lambda lines: change(list(lines)))


def _append(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    text = str(argument["texto"]).encode().splitlines()
    _in_lines(sources, system, argument["archivo"], lambda lines: [*lines, *text])


def _drop_lines(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Drop every line with `patron`, or all but the first `hasta` lines."""

    def change(lines: Lines) -> Lines:
        if "hasta" in argument:
            return lines[: int(argument["hasta"])]
        pattern = re.compile(str(argument["patron"]).encode())
        return [line for line in lines if not pattern.search(line)]

    _in_lines(sources, system, argument["archivo"], change)


def _recode(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Write the file in another encoding, as a program of another office would save it."""
    path = sources.feed(system) / argument["archivo"]
    text = path.read_text(encoding="utf-8")
    path.write_bytes((str(argument.get("antes", "")) + text).encode(argument["a"]))


def _cut(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Keep only the first bytes: a transfer that broke off, or a full disk."""
    path = sources.feed(system) / argument["archivo"]
    path.write_bytes(path.read_bytes()[: int(argument["bytes"])])


def _copy(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    shutil.copy(sources.feed(system) / argument["archivo"], sources.feed(system) / argument["a"])


def _remove(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    found = list(sources.feed(system).glob(argument["archivo"]))
    if not found:
        raise InjectionError(f"{system}: no hay ningún archivo {argument['archivo']}")
    for path in found:
        path.unlink()


def _write(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    (sources.feed(system) / argument["archivo"]).write_text(argument["texto"], encoding="utf-8")


# --- meter readings ----------------------------------------------------------------------------


@dataclass(slots=True)
class _Reading:
    """One reading of a line: when, and litres on the register."""

    line: bytes
    moment: dt.datetime
    litres: int


def _readings(sources: Sources, system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Change what one meter sends between two local times: see docs/defectos.md for `hacer`."""
    meter = str(argument["medidor"])
    since = dt.datetime.fromisoformat(argument.get("desde", "2000-01-01T00"))
    until = dt.datetime.fromisoformat(argument.get("hasta", "2100-01-01T00"))
    state: dict[str, int] = {}

    def one(reading: _Reading) -> Lines:
        if not since <= reading.moment < until:
            return [reading.line]
        return _READING_CHANGES[argument["hacer"]](reading, argument, state)

    pattern = "lorawan_*.jsonl" if "-L-" in meter else "lecturas_*.csv"
    name = meter.encode()

    def change(lines: Lines) -> Lines:
        found: Lines = []
        for line in lines:
            found += one(_parse(line)) if name in line else [line]
        return found

    _in_lines(sources, system, pattern, change)


def _parse(line: bytes) -> _Reading:
    if line.startswith(b"{"):
        message = json.loads(line)
        sent = dt.datetime.fromisoformat(message["time"].replace("Z", "+00:00"))
        local = sent.astimezone(dt.timezone(dt.timedelta(hours=-3))).replace(tzinfo=None)
        return _Reading(line, local, int(message["object"]["volumen_l"]))
    parts = line.decode().split(";")
    moment = dt.datetime.strptime(parts[1], "%d/%m/%Y %H:%M:%S")
    return _Reading(line, moment, int(Decimal(parts[2]) * 1000))


def _with_litres(reading: _Reading, litres: int) -> bytes:
    if reading.line.startswith(b"{"):
        return re.sub(rb'"volumen_l":-?\d+', b'"volumen_l":%d' % litres, reading.line)
    return _with_field(reading.line, 2, f"{Decimal(litres) / 1000:.3f}")


def _with_field(line: bytes, position: int, value: str) -> bytes:
    parts = line.split(b";")
    parts[position] = value.encode()
    return b";".join(parts)


def _with_moment(reading: _Reading, moment: dt.datetime) -> bytes:
    if reading.line.startswith(b"{"):
        sent = (moment + dt.timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return re.sub(rb'"time":"[^"]*"', f'"time":"{sent}"'.encode(), reading.line)
    return _with_field(reading.line, 1, moment.strftime("%d/%m/%Y %H:%M:%S"))


def _first(state: dict[str, int], litres: int) -> int:
    return state.setdefault("first", litres)


def _steadily(reading: _Reading, argument: Mapping[str, Any], state: dict[str, int]) -> Lines:
    base = _first(state, reading.litres)
    state["hours"] = state.get("hours", -1) + 1
    return [_with_litres(reading, base + state["hours"] * int(argument["litros"]))]


def _in_addition(reading: _Reading, argument: Mapping[str, Any], state: dict[str, int]) -> Lines:
    state["hours"] = state.get("hours", -1) + 1
    return [_with_litres(reading, reading.litres + state["hours"] * int(argument["litros"]))]


def _multiplied(reading: _Reading, argument: Mapping[str, Any], state: dict[str, int]) -> Lines:
    base = _first(state, reading.litres) if argument.get("consumo") else 0
    return [_with_litres(reading, round(base + (reading.litres - base) * argument["factor"]))]


_ReadingChange = Callable[[_Reading, Mapping[str, Any], dict[str, int]], Lines]
_READING_CHANGES: dict[str, _ReadingChange] = {
    # The register shows the same number from then on.
    "congelar": lambda r, a, s: [_with_litres(r, _first(s, r.litres))],
    "sumar": lambda r, a, s: [_with_litres(r, r.litres + int(a["litros"]))],
    # The same flow every hour, and nothing else; or on top of what is used.
    "caudal_constante": _steadily,
    "caudal_adicional": _in_addition,
    # The whole number (`factor`), or with `consumo: true` only what was used since then.
    "multiplicar": _multiplied,
    "poner_en_cero": lambda r, a, s: [_with_litres(r, r.litres - _first(s, r.litres))],
    "callar": lambda r, a, s: [],
    "repetir": lambda r, a, s: [r.line, r.line],
    "repetir_distinto": lambda r, a, s: [r.line, _with_litres(r, r.litres + int(a["litros"]))],
    "atrasar_reloj": lambda r, a, s: [
        _with_moment(r, r.moment + dt.timedelta(minutes=int(a["minutos"])))
    ],
}


# --- workbooks ---------------------------------------------------------------------------------


@dataclass(slots=True)
class _Book:
    """One sheet as rows of cells; `header` is the row (from 0) of the column names."""

    sheet: str
    rows: list[list[Any]]
    header: int

    def column(self, name: str) -> int:
        return self.rows[self.header].index(name)

    def row(self, number: int) -> list[Any]:
        """Row of data, from 1."""
        return self.rows[self.header + number]


_HEADERS = {"inventario_datasets": 2}


def _with_book(sources: Sources, name: str, change: Callable[[_Book], None]) -> None:
    path = sources.feed("planillas") / f"{name}.xlsx"
    workbook = CalamineWorkbook.from_path(str(path))
    sheet = workbook.sheet_names[0]
    rows = [list(r) for r in workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)]
    book = _Book(sheet, rows, _HEADERS.get(name, 0))
    change(book)
    with xlsxwriter.Workbook(str(path), {"default_date_format": "dd/mm/yyyy"}) as target:
        page = target.add_worksheet(book.sheet)
        for line, row in enumerate(book.rows):
            for cell, value in enumerate(row):
                if isinstance(value, dt.date):
                    page.write_datetime(line, cell, dt.datetime.combine(value, dt.time()))
                elif isinstance(value, str):
                    page.write_string(line, cell, value)
                elif value is not None:
                    page.write_number(line, cell, value)


def _cell(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    """Put `valor` into `columna` of row `fila` (from 1), or of every row."""

    def change(book: _Book) -> None:
        column = book.column(argument["columna"])
        last = len(book.rows) - book.header
        wanted = [argument["fila"]] if "fila" in argument else range(1, last)
        for number in wanted:
            book.row(number)[column] = argument["valor"]

    _with_book(sources, name, change)


def _head(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    """Rename a column of the sheet."""

    def change(book: _Book) -> None:
        book.rows[book.header][book.column(argument["columna"])] = argument["a"]

    _with_book(sources, name, change)


def _drop_column(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    def change(book: _Book) -> None:
        column = book.column(argument["columna"])
        for row in book.rows[book.header :]:
            del row[column]

    _with_book(sources, name, change)


def _add_column(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    def change(book: _Book) -> None:
        for number, row in enumerate(book.rows[book.header :]):
            row.append(argument["columna"] if number == 0 else argument["valor"])

    _with_book(sources, name, change)


def _add_row(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    """Add a row: `celdas` as they stand, or a copy of row `copia_de` with `poner` on top."""

    def change(book: _Book) -> None:
        if "celdas" in argument:
            book.rows.append(list(argument["celdas"]))
            return
        row = list(book.row(argument["copia_de"]))
        for column, value in (argument.get("poner") or {}).items():
            row[book.column(column)] = value
        book.rows.append(row)

    _with_book(sources, name, change)


def _keep_rows(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    """Keep only the first `filas` rows of data."""

    def change(book: _Book) -> None:
        del book.rows[book.header + 1 + int(argument["filas"]) :]

    _with_book(sources, name, change)


def _rename_sheet(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    def change(book: _Book) -> None:
        book.sheet = argument["a"]

    _with_book(sources, name, change)


def _add_title(sources: Sources, _system: str, name: str, argument: Mapping[str, Any]) -> None:
    """Somebody puts a title above the header."""
    _with_book(sources, name, lambda book: book.rows.insert(0, [argument["texto"]]))


# --- the API -----------------------------------------------------------------------------------


def _with_records(sources: Sources, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = sources.folder / DATA_FILE
    records = json.loads(path.read_text(encoding="utf-8"))
    before = json.dumps(records)
    change(records)
    if json.dumps(records) == before:
        raise InjectionError("milujan: los registros quedaron como estaban")
    path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")


def _record(sources: Sources, _system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Put values into one record (`numero`, from the end when negative) or into all."""

    def change(records: list[dict[str, Any]]) -> None:
        chosen = [records[argument["numero"]]] if "numero" in argument else records
        for record in chosen:
            for field in argument.get("quitar", ()):
                del record[field]
            record.update(argument.get("poner", {}))

    _with_records(sources, change)


def _add_record(sources: Sources, _system: str, _name: str, argument: Mapping[str, Any]) -> None:
    """Add copies of a record with some values changed; `{n}` in a value is the copy's number."""

    def change(records: list[dict[str, Any]]) -> None:
        original = records[argument["copia_de"]]
        for number in range(int(argument.get("veces", 1))):
            new = {k: v.replace("{n}", f"{number:04d}") if isinstance(v, str) else v
                   for k, v in argument.get("poner", {}).items()}  # fmt: skip
            records.append(original | new)

    _with_records(sources, change)


def _keep_records(sources: Sources, _system: str, _name: str, argument: Mapping[str, Any]) -> None:
    def change(records: list[dict[str, Any]]) -> None:
        del records[int(argument["registros"]) :]

    _with_records(sources, change)


Step = Callable[[Sources, str, str, Any], None]
STEPS: Mapping[str, Step] = {
    "sql": _sql,
    "sustituir": _replace,
    "agregar_lineas": _append,
    "quitar_lineas": _drop_lines,
    "recodificar": _recode,
    "cortar": _cut,
    "copiar": _copy,
    "borrar": _remove,
    "escribir": _write,
    "lecturas": _readings,
    "celda": _cell,
    "renombrar_columna": _head,
    "quitar_columna": _drop_column,
    "agregar_columna": _add_column,
    "agregar_fila": _add_row,
    "conservar_filas": _keep_rows,
    "renombrar_hoja": _rename_sheet,
    "agregar_titulo": _add_title,
    "registro": _record,
    "agregar_registro": _add_record,
    "conservar_registros": _keep_records,
}
