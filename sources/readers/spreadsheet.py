"""Spreadsheets: xlsx, xls, ods and tables of HTML pages.

Belongs here: finding the sheet and its header, what is not data (blank rows, totals), and cells
that cannot be trusted (a formula's error, a number of more digits than a cell holds). Does not
belong here: the formats (`workbooks/`), or types, except where a spreadsheet itself blurs them:
it has one kind of number, and a date is a number with a format. So whole numbers lose their `.0`,
a number with a fraction has the 15 digits that a spreadsheet shows (what a sum leaves behind them,
700.6999999999999, is in no cell that a person sees; `double precision` keeps it), a bare number in
a date column is the day it counts, and a date in a text column is written in the column's format.

Options of the contract: `sheet` (a name, or a list of names, read one after the other; `*` in a
name stands for any text and takes visible sheets only; default: the first visible one),
`headerRow` (1-based, default 1; `auto`: the first of 50 rows that has all columns of the
contract, without `sheet` in the first visible sheet that has such a row), `headerRows` (how many
rows the header has from there on, default 1; names are joined from the upper one down, a title
above several columns being part of the name of each), `totalsLabel` (a row that begins with this
word, or one of these, is not data; default: none), `mergedCells` (`first`: only the first row of a
merged area has its value, as in the file; `repeat`: all of them have it), `skipHidden` (leave out
hidden rows; default: they are data).
A column whose source is `_hoja` holds the sheet's name.

A sheet is in memory as a whole while it is read: the format allows nothing else, and limits it to
about a million rows. Row 1 is the row below the header, blank rows included, so that a person
finds it again; rows of a second sheet are numbered from 10,000,001, of a third from 20,000,001.
"""

from __future__ import annotations

import fnmatch
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import chain, compress, islice
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from sources.arrow_values import from_flags, from_memory, from_numbers, from_texts
from sources.casting import number_style
from sources.contract import Column, Contract
from sources.errors import ContractError, DriftError, PipelineError, SourceDataError
from sources.names import folded, stacked, told_apart
from sources.readers.arrow import Array, pc
from sources.readers.base import (
    RULE_IMPRECISE,
    FeedFile,
    RawBatch,
    RejectedRow,
    as_text,
    build_batch,
    column_from_values,
    in_its_words,
    match_columns,
    problem,
    row_values,
    source_columns,
    totals_pattern,
    unreadable,
)
from sources.readers.time_format import written_as
from sources.readers.workbooks import Area, Flaw, Sheet, UnusableWorkbook, Workbook, open_workbook

# Name under which a contract may ask for the sheet's name as a column.
# How far down columns without a name are looked at for values.
_ROWS_AHEAD = 200
SHEET_COLUMN = "_hoja"
_AUTO = "auto"
_HEADER_SEARCH_ROWS = 50
_SHEET_STEP = 10_000_000
_TURNED_ROWS = 1024
_MOST_BATCH_ROWS = 4 * _TURNED_ROWS
# Numbers of the day that a bare number in a date column may stand for. Days 1 to 60 differ by one
# in spreadsheets, no date of the city is so old, and 1900 to 2100 are rather meant as years.
_FIRST_DAY, _LAST_DAY = 61, 2_958_465
_LIKE_A_YEAR = (1900, 2100)
# Whole numbers from here on may stand for others: a cell holds a double.
_FIRST_IMPRECISE = float(2**53)
_DIGITS_SHOWN, _EXACT_POWER = 15, 22
_TEMPORAL = ("date", "timestamp", "timestamptz")
_DAY_1970 = float((date(1970, 1, 1) - date(1899, 12, 30)).days)
_PER_SECOND = {"ms": 1_000, "us": 1_000_000}
_EPOCH, _MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)
_EPOCH_DAY = _EPOCH.toordinal()


@dataclass(slots=True)
class _Table:
    """A sheet's header and the rows below it. `top` is the sheet's row of the first of them."""

    sheet: Sheet
    header: tuple[str, ...]
    width: int
    positions: Mapping[str, int]
    rows: Iterator[Sequence[Any]]
    top: int


@dataclass(frozen=True, slots=True)
class _BadCell:
    """A cell that sends its row to quarantine."""

    column: str
    rule: str
    reason: str
    text: str | None


class SpreadsheetReader:
    """The sheets of one workbook that the contract names."""

    def __init__(self, contract: Contract, file: FeedFile, *, batch_rows: int = 65_536) -> None:
        self.description = str(file.path)
        self._contract = contract
        self._file = file
        # Cells become columns one batch at a time, while the warehouse writes the one before.
        self._batch_rows = min(batch_rows, _MOST_BATCH_ROWS)
        options = contract.options
        wanted = options.get("sheet")
        self._wanted = wanted if isinstance(wanted, list) else [wanted] if wanted else []
        self._header_row = options.get("headerRow", 1)
        self._header_rows = int(options.get("headerRows", 1))
        self._repeat = options.get("mergedCells", "first") == "repeat"
        self._skip_hidden = options.get("skipHidden", False) is True
        totals = totals_pattern(contract)
        self._totals = None if totals is None else re.compile(totals)
        # Covers stand before the data: a header that is looked for may be in any sheet.
        self._chooses = not self._wanted and self._header_row == _AUTO
        self._decimal = number_style(options).decimal
        self._tables: list[_Table] = []
        self._epoch_offset = 0.0
        self._hidden_read = 0
        self._check_options()

    def __enter__(self) -> Self:
        """Read the sheets and check their headers.

        Raises SourceDataError when the workbook or a sheet cannot be read (`batches` does, too:
        a sheet is read while its first rows are loaded), DriftError when a sheet or a column of
        the contract is missing.
        """
        try:
            book = open_workbook(self._file.path)
        except (UnusableWorkbook, OSError) as error:
            raise self._unusable(error) from error
        try:
            self._epoch_offset = float((book.epoch - datetime(1899, 12, 30)).days)
            names = self._sheet_names(book)
            self._tables = (
                [self._first_with_header(book, names)]
                if self._chooses
                else [self._table(book.read(name)) for name in names]
            )
        except UnusableWorkbook as error:
            raise self._unusable(error) from error
        finally:
            book.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tables = []

    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for table in self._tables for name in table.header))

    def source_count(self) -> int | None:
        return None

    def notes(self) -> tuple[str, ...]:
        """What a person should know of the file, once it was read."""
        if not self._hidden_read:
            return ()
        return (
            f"{self._file.name}: {self._hidden_read} filas ocultas se leyeron como las demás; "
            "para dejarlas afuera, declare skipHidden en el contrato",
        )

    def batches(self) -> Iterator[RawBatch]:
        for at, table in enumerate(self._tables):
            first = 0
            anchors: dict[Area, Any] = {}
            while columns := self._next_columns(table):
                yield self._batch(table, columns, first, at * _SHEET_STEP, anchors)
                first += len(columns[0])
            if beyond := self._only_flaws(table, first, at * _SHEET_STEP):
                yield beyond

    def _next_columns(self, table: _Table) -> list[list[Any]]:
        try:
            return _columns(table.rows, self._batch_rows)
        except UnusableWorkbook as error:
            raise self._unusable(error) from error

    # --- the sheet and its header -----------------------------------------------------------------

    def _sheet_names(self, book: Workbook) -> list[str]:
        """The wanted sheets, in the contract's order and, for a pattern, the workbook's."""
        visible = [sheet.name for sheet in book.sheets if sheet.visible]
        every = [sheet.name for sheet in book.sheets]
        if not every:
            raise UnusableWorkbook.damaged("no tiene hojas")
        if not self._wanted:
            return (visible or every)[: None if self._chooses else 1]
        found: dict[str, None] = {}
        for wanted in map(str, self._wanted):
            folded = wanted.strip().casefold()
            if "*" in wanted:
                names = [n for n in visible if fnmatch.fnmatchcase(n.strip().casefold(), folded)]
            else:
                same = [name for name in every if name.strip().casefold() == folded]
                names = [wanted] if wanted in every else same[:1]
            if not names:
                raise self._missing_sheet(wanted, every)
            found.update(dict.fromkeys(names))
        return list(found)

    def _first_with_header(self, book: Workbook, names: Sequence[str]) -> _Table:
        """The first of these sheets that has all columns of the contract.

        Raises what is wrong with the one that lacks the fewest.
        """
        errors: list[PipelineError] = []
        for name in names:
            try:
                return self._table(book.read(name))
            except (DriftError, SourceDataError) as error:
                errors.append(error)
        raise min(
            errors, key=lambda e: len(e.columns) if isinstance(e, DriftError) else sys.maxsize
        )

    def _missing_sheet(self, wanted: str, names: Sequence[str]) -> DriftError:
        return problem(
            DriftError,
            self._contract,
            f"el archivo {self._file.name} no tiene la hoja {wanted!r}; tiene: {', '.join(names)}.",
            f"devuelva su nombre a la hoja o actualice el contrato {self._contract.path.name}.",
        )

    def _table(self, sheet: Sheet) -> _Table:
        if self._header_row == _AUTO:
            start = list(islice(sheet.rows, _HEADER_SEARCH_ROWS))
            first = self._find_header(start, sheet)
        else:
            first = int(self._header_row)
            start = list(islice(sheet.rows, first + self._header_rows - 1))
        number = first + self._header_rows - 1
        names = self._names(start, range(first - 1, number), sheet)
        if not any(names):
            raise unreadable(
                self._contract,
                self._file.name,
                f"la hoja no tiene encabezado en la fila {first}",
                "revise que la planilla conserve su formato.",
            )
        where = f"la fila {first} de {self._file.name}"
        if len(self._wanted) > 1 or "*" in str(self._wanted):
            where = f"{where}, hoja {sheet.name}"
        asked = [c.source_name for c in source_columns(self._contract)]
        virtual = [SHEET_COLUMN] if SHEET_COLUMN in asked else []
        positions = match_columns(self._contract, [*names, *virtual], where)
        # A header of several rows ends where the last area that touches it ends.
        top = max([number, *(a.bottom + 1 for a in sheet.merged if a.top < number <= a.bottom)])
        below = islice(chain(start[number:], sheet.rows), top - number, None)
        # What stands below no name would else be left out without a word.
        ahead = list(islice(below, _ROWS_AHEAD))
        used = {at for row in ahead for at, cell in enumerate(row) if not _is_blank(cell)}
        every = told_apart(names, unnamed=True)
        found = tuple(name for at, name in enumerate(every) if names[at] or at in used)
        rows = chain(ahead, below)
        return _Table(sheet, found, len(names), positions, rows, top)

    def _names(self, rows: Sequence[Sequence[Any]], places: range, sheet: Sheet) -> Sequence[str]:
        return in_its_words(self._contract, header_names(rows, places, sheet.merged))

    def _find_header(self, rows: Sequence[Sequence[Any]], sheet: Sheet) -> int:
        """The first row that has every column of the contract, else the one that has most."""
        wanted = {folded(column.source_name) for column in source_columns(self._contract)}
        wanted -= {SHEET_COLUMN}
        best, most = 1, 0
        for number in range(1, len(rows) - self._header_rows + 2):
            here = range(number - 1, number - 1 + self._header_rows)
            names = {name.casefold() for name in self._names(rows, here, sheet)}
            if len(wanted & names) > most:
                best, most = number, len(wanted & names)
        return best

    # --- rows -------------------------------------------------------------------------------------

    def _batch(
        self,
        table: _Table,
        columns: Sequence[Sequence[Any]],
        first: int,
        offset: int,
        anchors: dict[Area, Any],
    ) -> RawBatch:
        count = len(columns[0])
        top = table.top + first
        flaws = self._flaws(table, range(top, top + count))
        keep, blank = self._data_rows(columns, count, flaws)
        hidden = [n - top for n in table.sheet.hidden_rows if 0 <= n - top < count]
        hidden = [at for at in hidden if keep[at]]
        if self._skip_hidden:
            keep[hidden] = False
        else:
            self._hidden_read += len(hidden)
        if self._repeat:
            columns = _repeated(columns, table.sheet.merged, top, count, anchors)
        kept = np.flatnonzero(keep)
        position = dict(zip(kept.tolist(), range(len(kept)), strict=True)) if flaws else {}
        bad = {position[at]: list(cells) for at, cells in flaws.items() if at in position}
        selected = None if keep.all() else keep.tolist()
        arrays: dict[str, Array] = {}
        for name, at in table.positions.items():
            if at >= len(columns):
                arrays[name] = pa.repeat(from_texts([table.sheet.name])[0], len(kept))
                continue
            cells = columns[at] if selected is None else list(compress(columns[at], selected))
            arrays[name] = self._column(self._contract.column(name), cells, bad)
        numbers = kept + (first + 1 + offset)
        rejected: list[RejectedRow] = []
        if bad:
            arrays, numbers, rejected = self._set_aside(arrays, numbers, bad)
        return build_batch(
            self._contract,
            arrays,
            numbers,
            file=self._file.name,
            rejected=rejected,
            skipped=count - blank - len(kept),
        )

    def _flaws(self, table: _Table, rows: range) -> dict[int, list[_BadCell]]:
        """Cells of the contract's columns that hold no value to trust, by place in the batch."""
        if not table.sheet.flaws:
            return {}
        names: dict[int, str] = {}
        for name, at in table.positions.items():
            names.setdefault(at, name)
        found: dict[int, list[_BadCell]] = {}
        for row, flaws in table.sheet.flaws.items():
            cells = [_bad_cell(names[f.column], f) for f in flaws if f.column in names]
            if cells and row in rows:
                found[row - rows.start] = cells
        return found

    def _data_rows(
        self, columns: Sequence[Sequence[Any]], count: int, flaws: Mapping[int, Any]
    ) -> tuple[Any, int]:
        """Which rows are data, and how many of the others are blank (the rest are totals)."""
        keep = np.ones(count, bool)
        undecided: Sequence[int] = range(count)
        begun = np.zeros(count, bool)
        for cells in columns:
            if self._totals is not None:
                for at in undecided:
                    if not begun[at] and cells[at] != "":
                        begun[at] = True
                        keep[at] = self._totals.match(str(cells[at])) is None
            undecided = [at for at in undecided if _is_blank(cells[at])]
            if not undecided:
                break
        blank = [at for at in undecided if at not in flaws]
        keep[blank] = False
        return keep, len(blank)

    def _set_aside(
        self, arrays: Mapping[str, Array], numbers: Any, bad: Mapping[int, list[_BadCell]]
    ) -> tuple[dict[str, Array], Any, list[RejectedRow]]:
        indices = np.array(sorted(bad), np.int64)
        rejected = []
        for at, values in zip(
            indices.tolist(), row_values(self._contract, arrays, indices), strict=True
        ):
            cells = bad[at]
            values |= {cell.column: cell.text for cell in cells}
            rejected.append(
                RejectedRow(
                    row_number=int(numbers[at]),
                    rule=cells[0].rule,
                    column=cells[0].column,
                    reason="; ".join(f"{cell.column}: {cell.reason}" for cell in cells),
                    values=values,
                )
            )
        good = np.ones(len(numbers), bool)
        good[indices] = False
        mask = from_flags(good)
        kept = {name: array.filter(mask) for name, array in arrays.items()}
        return kept, numbers[good], rejected

    def _only_flaws(self, table: _Table, count: int, offset: int) -> RawBatch | None:
        """Rows below the last one that holds a value: formulas without a result, nothing else."""
        last = max(table.sheet.flaws, default=-1)
        if last < table.top + count:
            return None
        nothing = [""] * (last + 1 - table.top - count)
        batch = self._batch(table, [nothing] * table.width, count, offset, {})
        return batch if batch.rejected else None

    # --- columns ----------------------------------------------------------------------------------

    def _column(
        self, column: Column, cells: Sequence[Any], bad: dict[int, list[_BadCell]]
    ) -> Array:
        """A column's cells as Arrow, typed where all agree; empty cells are null.

        Cells whose number may stand for another one are added to `bad`.
        """
        kinds = set(map(type, cells))
        if kinds <= {str}:
            return _text_cells(cells)
        if str in kinds:
            cells = [None if cell == "" else cell for cell in cells]
            kinds = set(map(type, cells)) - {type(None)}
        if kinds <= {int, float}:
            return self._numbers(column, cells, bad)
        if kinds == {bool}:
            return from_flags(np.array(cells, bool), _valid(cells))
        if kinds <= {date, datetime} and column.pg_type in _TEMPORAL:
            return _moments(cells, kinds)
        self._note_imprecise(column, cells, bad)
        return self._texts(column, cells)

    def _numbers(
        self, column: Column, cells: Sequence[Any], bad: dict[int, list[_BadCell]]
    ) -> Array:
        valid = _valid(cells)
        values = np.array(cells, np.float64)
        known = values if valid is None else values[valid]
        if column.pg_type in _TEMPORAL:
            days = values + self._epoch_offset
            if _are_days(known, known + self._epoch_offset):
                return _from_days(days, valid)
            return self._texts(column, cells)
        if column.pg_type == "double precision":
            return from_numbers(values, valid)
        values = _shown(values)
        if not (np.abs(known) < _FIRST_IMPRECISE).all():
            self._note_imprecise(column, cells, bad)
        elif (np.floor(known) == known).all():
            whole = values if valid is None else np.where(valid, values, 0)
            return from_numbers(whole.astype(np.int64), valid)
        elif self._decimal == "." and column.pg_type != "text":
            return from_numbers(values, valid)
        texts = pc.cast(from_numbers(values, valid), pa.string())
        if pc.any(pc.match_substring(texts, "e")).as_py():
            texts = self._texts(column, cells)
        elif self._decimal != ".":
            texts = pc.replace_substring(texts, ".", self._decimal)
        return texts

    def _note_imprecise(
        self, column: Column, cells: Sequence[Any], bad: dict[int, list[_BadCell]]
    ) -> None:
        if column.pg_type == "double precision":
            return
        for at, cell in enumerate(cells):
            if type(cell) is float and abs(cell) >= _FIRST_IMPRECISE:
                found = _BadCell(
                    column.name,
                    RULE_IMPRECISE,
                    "el número tiene más cifras de las que guarda una celda y pudo cambiar: "
                    "escríbalo como texto",
                    repr(cell),
                )
                bad.setdefault(at, []).append(found)

    def _texts(self, column: Column, cells: Sequence[Any]) -> Array:
        return column_from_values([self._text(column, cell) for cell in cells])

    def _text(self, column: Column, cell: Any) -> str | None:
        """A single cell as the column wants it written."""
        match cell:
            case float():
                return self._number_text(column, cell)
            case date() if column.pg_type == "text" and column.format:
                return cell.strftime(written_as(self._contract, column.format))
            case datetime() | date() | time():
                return cell.isoformat()
            case timedelta():
                return str(cell)
            case _:
                return as_text(cell)

    def _number_text(self, column: Column, number: float) -> str:
        if column.pg_type not in _TEMPORAL:
            if column.pg_type != "double precision":
                number = float(_shown(np.array([number]))[0])
            return _plain_number(number, self._decimal)
        day = number + self._epoch_offset
        if _is_day(number, day):
            # Rounded as spreadsheets show it: a day's fraction has no exact microseconds.
            moment = datetime(1899, 12, 30) + timedelta(seconds=round(day * 86_400, 3))
            return moment.isoformat(" ")
        return _plain_number(number, ".")

    # --- errors -----------------------------------------------------------------------------------

    def _check_options(self) -> None:
        options = self._contract.options
        row = self._header_row
        if row != _AUTO and (isinstance(row, bool) or not str(row).isdecimal() or int(row) < 1):
            raise self._wrong_option("headerRow", row, "un número desde 1, o auto")
        if options.get("mergedCells", "first") not in ("first", "repeat"):
            raise self._wrong_option("mergedCells", options["mergedCells"], "first o repeat")
        if not isinstance(options.get("skipHidden", False), bool):
            raise self._wrong_option("skipHidden", options["skipHidden"], "true o false")

    def _wrong_option(self, name: str, value: Any, allowed: str) -> ContractError:
        return problem(
            ContractError,
            self._contract,
            f"`{name}` debe ser {allowed}, no {value!r}.",
            f"corrija el contrato {self._contract.path.name}.",
        )

    def _unusable(self, error: UnusableWorkbook | OSError) -> SourceDataError:
        if isinstance(error, OSError):
            error = UnusableWorkbook.damaged(error.strerror or error)
        return unreadable(self._contract, self._file.name, error.why, error.next_step)


def header_names(rows: Sequence[Sequence[Any]], header: range, merged: Sequence[Area]) -> list[str]:
    """Names in the rows of a header (counted from 0); a merged cell has its area's first one's.

    A title above the lowest row stands above all columns it is merged over or, in a sheet that
    merges none, above those to its right up to the next.
    """
    if len(rows) < header.stop:
        return []
    levels = [[header_text(cell) for cell in rows[number]] for number in header]
    groups = False
    for area in merged:
        if area.bottom < header.start or area.top >= header.stop or area.left >= len(levels[0]):
            continue
        text = header_text(rows[area.top][area.left])
        lowest = area.bottom >= header.stop - 1
        groups = groups or (not lowest and area.right > area.left)
        for number in range(max(area.top, header.start), min(area.bottom + 1, header.stop)):
            level = levels[number - header.start]
            last = area.left if lowest else min(area.right, len(level) - 1)
            level[area.left : last + 1] = [text] * (last + 1 - area.left)
    return stacked(levels, carried=not groups)


def header_text(cell: Any) -> str:
    """The name a header's cell gives a column: 2024 for the number, 2026-03-01 for the day."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    elif isinstance(cell, datetime) and cell.time() == time():
        cell = cell.date()
    return " ".join(str(cell).split())


def _columns(rows: Iterator[Sequence[Any]], count: int) -> list[list[Any]]:
    """The next `count` rows as columns; empty after the last.

    Turned a few at a time: thousands of living row lists keep the garbage collector busy.
    """
    columns: list[list[Any]] = []
    while count > 0 and (few := list(islice(rows, min(count, _TURNED_ROWS)))):
        count -= len(few)
        turned = zip(*few, strict=True)
        if not columns:
            columns = [list(cells) for cells in turned]
        else:
            for column, cells in zip(columns, turned, strict=True):
                column.extend(cells)
    return columns


def _is_blank(cell: Any) -> bool:
    return cell == "" or (isinstance(cell, str) and not cell.strip())


def _bad_cell(name: str, flaw: Flaw) -> _BadCell:
    return _BadCell(name, flaw.rule, flaw.reason, flaw.text)


def _repeated(
    columns: Sequence[Sequence[Any]],
    merged: Sequence[Area],
    top: int,
    count: int,
    anchors: dict[Area, Any],
) -> list[Sequence[Any]]:
    """The columns with the value of each merged area in all its rows (of its first column).

    `anchors` carries values of areas that go on in the next batch.
    """
    changed: dict[int, list[Any]] = {}
    for area in merged:
        if area.bottom < top or area.top >= top + count or area.left >= len(columns):
            continue
        cells = changed.setdefault(area.left, list(columns[area.left]))
        if area.top >= top:
            anchors[area] = cells[area.top - top]
        for row in range(max(area.top, top), min(area.bottom + 1, top + count)):
            cells[row - top] = anchors.get(area, "")
    return [changed.get(at, cells) for at, cells in enumerate(columns)]


def _valid(cells: Sequence[Any]) -> Any:
    """Which cells hold something; None when all do."""
    if None not in cells:
        return None
    return np.fromiter((cell is not None for cell in cells), bool, len(cells))


def _text_cells(cells: Sequence[str]) -> Array:
    """Texts, null where a cell is empty; as bytes where one is not valid Unicode."""
    try:
        return from_texts(cells, empty_is_null=True)
    except UnicodeEncodeError:
        return column_from_values([cell or None for cell in cells])


def _moments(cells: Sequence[Any], kinds: set[type]) -> Array:
    # In Python: NumPy takes five times as long over dates, and twenty times over days.
    valid, count = _valid(cells), len(cells)
    if kinds == {date}:
        days = np.fromiter((_EPOCH_DAY if c is None else c.toordinal() for c in cells), int, count)
        return from_memory(pa.date32(), (days - _EPOCH_DAY).astype(np.int32), valid)
    if date in kinds:
        cells = [datetime(c.year, c.month, c.day) if type(c) is date else c for c in cells]
    micros = (0 if c is None else (c - _EPOCH) // _MICROSECOND for c in cells)
    return _times(np.fromiter(micros, np.int64, count), valid, "us")


def _times(counts: Any, valid: Any, unit: Literal["ms", "us"]) -> Array:
    """In seconds where no value has a part of one: a rejected one reads as a person wrote it."""
    known = counts if valid is None else np.where(valid, counts, 0)
    seconds, rest = np.divmod(known, _PER_SECOND[unit])
    if rest.any():
        return from_memory(pa.timestamp(unit), known, valid)
    return from_memory(pa.timestamp("s"), seconds, valid)


def _are_days(values: Any, days: Any) -> bool:
    year = (np.floor(values) == values) & (values >= _LIKE_A_YEAR[0]) & (values <= _LIKE_A_YEAR[1])
    return bool(((days >= _FIRST_DAY) & (days < _LAST_DAY + 1) & ~year).all())


def _is_day(number: float, day: float) -> bool:
    year = number.is_integer() and _LIKE_A_YEAR[0] <= number <= _LIKE_A_YEAR[1]
    return _FIRST_DAY <= day < _LAST_DAY + 1 and not year


def _from_days(days: Any, valid: Any) -> Array:
    """Day numbers as times, rounded to the millisecond as spreadsheets show them."""
    known = days if valid is None else np.where(valid, days, _DAY_1970)
    milliseconds = np.rint((known - _DAY_1970) * 86_400_000.0).astype(np.int64)
    return _times(milliseconds, valid, "ms")


def _shown(values: Any) -> Any:
    """Numbers with a fraction rounded to 15 significant digits; whole ones as they are.

    15 is what Excel keeps ("Excel specifications and limits", number precision). Very small ones
    are left alone: a power of ten is exact up to 22, and so is a whole number divided by it.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        places = _DIGITS_SHOWN - 1 - np.floor(np.log10(np.abs(values)))
        rounded = (values != np.floor(values)) & (places >= 0) & (places <= _EXACT_POWER)
        power = 10.0 ** np.where(rounded, places, 0)
        return np.where(rounded, np.rint(values * power) / power, values)


def _plain_number(number: float, decimal: str) -> str:
    """A number as a person would write it: 5.0 is 5, and no digit is invented or lost."""
    if number.is_integer() and abs(number) < _FIRST_IMPRECISE:
        return str(int(number))
    return repr(number).replace(".", decimal)
