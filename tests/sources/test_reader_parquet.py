"""Parquet files keep their types until casting."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.errors import DriftError, SourceDataError
from sources.readers import open_file
from tests.sources.reader_support import (
    cast_all,
    column,
    feed_file,
    make_contract,
    numbers_of,
    read_all,
)

COLUMNS = [
    column("id", "integer", source="ID", key=True),
    column("monto", "numeric(9,2)"),
    column("dia", "date"),
    column("momento", "timestamptz"),
    column("unidad", constant="m3"),
]


def write(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_typed_columns_arrive_exactly_in_batches(tmp_path: Path) -> None:
    path = write(
        tmp_path / "f.parquet",
        id=pa.array([1, 2, 3], pa.int64()),
        monto=pa.array([Decimal("1.50"), None, Decimal("1.005")], pa.decimal128(20, 3)),
        dia=pa.array([date(2026, 6, 1)] * 3),
        momento=pa.array([datetime(2026, 6, 1, 9)] * 3, pa.timestamp("ns")),
        otra=pa.array(["x"] * 3),
    )
    contract = make_contract(tmp_path, "parquet", COLUMNS)

    with open_file(contract, feed_file(path), batch_rows=2) as reader:
        assert reader.columns() == ("id", "monto", "dia", "momento", "otra")
        assert reader.source_count() == 3
        batches = list(reader.batches())
    good, rejected = cast_all(contract, batches)

    assert numbers_of(batches) == [1, 2, 3]
    assert good[0] == {
        "id": 1, "monto": Decimal("1.50"), "dia": date(2026, 6, 1),
        "momento": datetime(2026, 6, 1, 12, tzinfo=UTC), "unidad": "m3",
    }  # fmt: skip
    assert [(row.row_number, row.rule, row.values["monto"]) for row in rejected] == [
        (3, "fuera_de_rango", "1.005")
    ]


def test_a_last_day_written_as_others_do_is_that_day(tmp_path: Path) -> None:
    """Times of 96 bits, as Spark and Hive write them, reach further than Arrow's nanoseconds."""
    moments = [datetime(9999, 12, 31, 23, 59, 59), datetime(1, 1, 1), datetime(2026, 6, 1, 9)]
    path = tmp_path / "f.parquet"
    table = pa.table({"v": pa.array(moments, pa.timestamp("ms"))})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, store_schema=False)
    contract = make_contract(tmp_path, "parquet", [column("v", "timestamp")])

    good, rejected = cast_all(contract, read_all(open_file(contract, feed_file(path))))

    assert [row["v"] for row in good] == moments and rejected == []


def test_a_missing_column_is_drift(tmp_path: Path) -> None:
    path = write(tmp_path / "f.parquet", ID=pa.array([1]))

    with pytest.raises(DriftError, match="faltan las columnas monto, dia, momento"):
        read_all(open_file(make_contract(tmp_path, "parquet", COLUMNS), feed_file(path)))


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    path.write_bytes(b"PAR1 nada de esto")

    with pytest.raises(SourceDataError, match=r"no se puede leer el archivo f\.parquet"):
        read_all(open_file(make_contract(tmp_path, "parquet", COLUMNS), feed_file(path)))


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_every_compression_inside_a_file_is_read(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"n": pa.array(range(1000))}), path, compression=codec)
    contract = make_contract(tmp_path, "parquet", [column("n", "integer")])

    assert numbers_of(read_all(open_file(contract, feed_file(path)))) == list(range(1, 1001))
