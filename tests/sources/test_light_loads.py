"""A load imports neither pandas nor Pandera, 0.5 s and 100 MB of it, unless a row breaks a rule."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse.connection import Warehouse
from sources.contract import Contract
from tests.sources.reader_support import column, make_contract

_PROGRAM = """
import sys
from pathlib import Path
from expectations.contract_schema import BatchChecker
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_contract
from sources.landing import LoadContext, load
from sources.urls import SourceUrl

contract, source, target = sys.argv[1:]
contract = load_contract(Path(contract))
context = LoadContext(connect=Warehouse(target, embedded=True).connect, run_id="prueba")
report = load(contract, SourceUrl.parse(source), context, [BatchChecker(contract)])
print("loaded:", report.loaded, report.quarantined, [str(error) for error in report.errors])
print("heavy:", sorted({"pandas", "pandera", "great_expectations"} & set(sys.modules)))
"""
OF_FILES = {"loadMode": "files", "settleSeconds": 0}
MODES: dict[str, dict[str, Any]] = {
    "by month": {**OF_FILES, "partitionBy": "momento"},
    "postgresql": {"loadMode": "full"},
    "incremental": {"loadMode": "incremental", "cursor": "momento"},
}


def _columns() -> list[dict[str, Any]]:
    columns = [
        column("lectura_id", "bigint", required=True), column("medidor", required=True),
        column("momento", "timestamptz"), column("dia", "date"), column("activo", "boolean"),
        column("consumo", "numeric(12,3)"), column("presion", "double precision"),
    ]  # fmt: skip
    columns[0]["logicalTypeOptions"]["minimum"] = 1
    columns[1]["logicalTypeOptions"] |= {"pattern": "^M-", "minLength": 3, "maxLength": 10}
    columns[5]["logicalTypeOptions"] |= {"minimum": 0, "maximum": 100.5}
    return columns


@pytest.mark.parametrize(
    "kind", ["csv", "by month", "parquet", "xlsx", "postgresql", "incremental"]
)
def test_a_clean_load_goes_without_pandas(
    kind: str,
    tmp_path: Path,
    warehouse: Warehouse,
    new_database: Callable[[], str],
) -> None:
    options, columns = MODES.get(kind, OF_FILES), _columns()
    if kind == "incremental":
        kind, columns[0]["primaryKey"] = "postgresql", True
    if kind == "by month":
        kind = "csv"
    contract = make_contract(tmp_path, kind, columns, **options)
    source = _fill(kind, tmp_path / "carpeta", new_database)

    assert _loaded(contract, source, warehouse) == ["loaded: 2 0 []", "heavy: []"]


@pytest.mark.parametrize("kind", ["csv", "postgresql", "incremental"])
def test_a_load_with_rows_that_do_not_fit_goes_without_pandas(
    kind: str,
    tmp_path: Path,
    warehouse: Warehouse,
    new_database: Callable[[], str],
) -> None:
    """A date that is none, a number that is none, text that is none, a key that comes twice."""
    options, columns = MODES.get(kind, OF_FILES), _columns()
    columns[0]["primaryKey"] = True
    contract = make_contract(
        tmp_path, "csv" if kind == "csv" else "postgresql", columns, **options, encoding="utf-8"
    )
    if kind == "csv":
        source = _fill(kind, tmp_path / "carpeta", new_database)
        bad = (
            b"2,M-2,2026-01-01T00:00:00Z,ayer,no,1e3,0.5\n"
            b"3,M-3,2026-01-01T00:00:00Z,2026-01-01,no,mucho,0.5\n"
            b"4,M-\xff4,2026-01-01T00:00:00Z,2026-01-01,no,1,0.5\n5,M-5\n"
        )
        with (tmp_path / "carpeta" / "a.csv").open("ab") as file:
            file.write(bad)
        expected = "loaded: 2 4 []"
    else:
        source = new_database()
        with psycopg.connect(source) as connection:
            connection.execute(
                "create table tabla as select n::bigint as lectura_id, 'M-' || n as medidor, "
                "now() as momento, case n when 2 then 'ayer' else '2026-01-01' end as dia, "
                "true as activo, case n when 3 then 'mucho' else '1e1' end as consumo, "
                "0.5::float8 as presion from unnest(array[1, 2, 3, 4, 4]) n"
            )
        expected = "loaded: 2 3 []"

    assert _loaded(contract, source, warehouse) == [expected, "heavy: []"]


def _loaded(contract: Contract, source: str, warehouse: Warehouse) -> list[str]:
    """What a load in a process of its own says: rows loaded and set aside, libraries imported."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(contract.path), source, warehouse.url],
        env={"PATH": os.environ["PATH"], "HOME": str(contract.path.parent)}, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def _fill(kind: str, folder: Path, new_database: Callable[[], str]) -> str:
    """Two good rows at a new source; gives its address."""
    if kind == "postgresql":
        url = new_database()
        with psycopg.connect(url) as connection:
            connection.execute(
                "create table tabla as select n::bigint as lectura_id, 'M-' || n as medidor, "
                "now() as momento, current_date as dia, true as activo, 1.5::numeric(12,3) as "
                "consumo, 0.5::float8 as presion from generate_series(1, 2) n"
            )
        return url
    folder.mkdir()
    header = "lectura_id,medidor,momento,dia,activo,consumo,presion"
    if kind == "csv":
        row = "1,M-1,2026-01-01T00:00:00Z,2026-01-01,sí,1.500,0.5"
        (folder / "a.csv").write_text(f"{header}\n{row}\n{row}\n")
    elif kind == "xlsx":
        with xlsxwriter.Workbook(folder / "a.xlsx") as book:
            sheet, when = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
            cells = [1, "M-1", dt.datetime(2026, 1, 1, 8, 30), dt.date(2026, 1, 1), True, 1.5, 0.5]
            sheet.write_row(0, 0, header.split(","))
            for line in (1, 2):
                for place, cell in enumerate(cells):
                    is_moment = isinstance(cell, dt.date)
                    sheet.write(line, place, cell, when if is_moment else None)
    else:
        values: list[Any] = [1, "M-1", "2026-01-01", "2026-01-01", True, "1.5", 0.5]
        table = {name: [value] * 2 for name, value in zip(header.split(","), values, strict=True)}
        pq.write_table(pa.table(table), folder / "a.parquet")
    return str(folder)
