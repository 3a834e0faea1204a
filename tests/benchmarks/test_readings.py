"""Made-up readings: what the benchmarks of water measure is what they say it is."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.readings import copy_daiad, main
from benchmarks.water.meters import Meters, days, write_daiad_like, write_feed, write_parquet

FIRST = dt.date(2025, 6, 1)


def test_registers_only_grow_and_a_day_is_the_same_whoever_made_those_before() -> None:
    meters = Meters(50, FIRST)
    week = np.vstack([meters.registers(day) for day in days(FIRST, 7)])

    assert (np.diff(week, axis=0) >= 0).all()
    assert (week[24:] - week[:-24] >= 0).all()
    again = Meters(50, FIRST).registers(FIRST + dt.timedelta(days=3))
    assert (again == week[72:96]).all()


def test_the_file_and_the_parquet_hold_the_same_readings(tmp_path: Path) -> None:
    meters = Meters(3, FIRST)
    rows = write_feed(meters, days(FIRST, 2), tmp_path / "lecturas_x.csv")
    write_parquet(meters, days(FIRST, 2), tmp_path / "x.parquet")

    with (tmp_path / "lecturas_x.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter=";"))
    table = pq.read_table(tmp_path / "x.parquet").to_pylist()

    assert rows == len(lines) == len(table) == 3 * 48
    mendoza = dt.timezone(dt.timedelta(hours=-3))
    for line, row in zip(lines, table, strict=True):
        assert line["medidor"] == row["medidor"]
        assert round(float(line["lectura_m3"]) * 1000) == row["litros"]
        assert f"{row['momento'].astimezone(mendoza):%d/%m/%Y %H:%M:%S}" == line["fecha"]


def test_the_file_of_daiads_layout_has_its_size(tmp_path: Path) -> None:
    rows = write_daiad_like(tmp_path / "a.csv", meters=4)
    (tmp_path / "feed").mkdir()

    assert abs(rows / 4 - 674_019 / 92) < 300
    assert copy_daiad(tmp_path / "a.csv", tmp_path / "feed") == rows


def test_a_part_that_does_not_exist_is_named() -> None:
    assert main(["--only", "dia"]) == 2
