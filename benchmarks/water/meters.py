"""Synthetic hourly readings, as files a vendor would send and as Parquet.

Belongs here: making readings. Does not belong here: the warehouse they go into (`place.py`), any
measurement. Nothing is wrong with these readings: registers only grow, one reading per hour, so
that three engines that only add must give the same litres as the warehouse's rules.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

# Mendoza keeps UTC-3 all year.
MENDOZA = dt.timezone(dt.timedelta(hours=-3))
# Litres per hour of a household over the day: nothing at night, peaks at breakfast and dinner.
_DAY = np.array([0, 0, 0, 0, 1, 3, 9, 14, 12, 8, 7, 9, 13, 12, 7, 5, 5, 7, 10, 13, 15, 12, 6, 2])
ZONES = 20


@dataclass(frozen=True, slots=True)
class Meters:
    """`count` meters that are read every hour from `first` on."""

    count: int
    first: dt.date
    seed: int = 7

    def ids(self) -> list[str]:
        return [f"B-{number:06d}" for number in range(1, self.count + 1)]

    def registers(self, day: dt.date) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Litres on each register at the 24 hours of a day: hours × meters.

        A day depends on its number only, so that any stretch can be made without those before it:
        a meter gains the same litres every day, spread otherwise over its hours.
        """
        number = (day - self.first).days
        dice = np.random.default_rng([self.seed, number])
        weights = _DAY[:, None] * dice.uniform(0.3, 1.7, (24, self.count))
        litres = np.random.default_rng(self.seed).integers(150, 1200, self.count)
        hours = np.cumsum(np.floor(weights / weights.sum(axis=0) * litres), axis=0).astype(np.int64)
        hours[-1] = litres
        start = 100_000 + number * litres
        # The reading at 00:00 closes the day before: the register stands where that day ended.
        return np.vstack([start, start + hours[:-1]])

    def table(self, day: dt.date) -> pa.Table:
        """Columns `medidor`, `momento` (timestamp of UTC) and `litros`, by hour and meter."""
        begin = dt.datetime.combine(day, dt.time(), MENDOZA)
        moments = np.repeat(
            np.array(
                [np.datetime64(int(begin.timestamp()) + 3600 * h, "s") for h in range(24)],
                dtype="datetime64[s]",
            ),
            self.count,
        )
        return pa.table({
            "medidor": pa.DictionaryArray.from_arrays(
                pa.array(np.tile(np.arange(self.count), 24), pa.int32()), pa.array(self.ids())
            ),
            "momento": pa.array(moments, pa.timestamp("s", "UTC")),
            "litros": pa.array(self.registers(day).ravel()),
        })  # fmt: skip


def days(first: dt.date, count: int) -> Iterator[dt.date]:
    """`count` days from `first` on."""
    return (first + dt.timedelta(days=number) for number in range(count))


def write_feed(meters: Meters, wanted: Iterator[dt.date], path: Path) -> int:
    """One file of the city's own telemetry layout with these days; gives its rows."""
    rows = 0
    options = pa_csv.WriteOptions(include_header=False, delimiter=";", quoting_style="none")
    with path.open("wb") as sink:
        sink.write(b"medidor;fecha;lectura_m3;estimada;bateria\n")
        ids = pa.array(np.tile(np.arange(meters.count), 24), pa.int32())
        hours = pa.array(np.repeat(np.arange(24), meters.count), pa.int32())
        texts = pa.array(meters.ids())
        for day in wanted:
            moments = pa.array([f"{day:%d/%m/%Y} {hour:02d}:00:00" for hour in range(24)])
            cubic = pa.array(meters.registers(day).ravel() / 1000)
            shown = pa.table({
                "medidor": texts.take(ids),
                "fecha": moments.take(hours),
                "lectura_m3": pc.round(cubic, 3),
                "estimada": pa.repeat(pa.scalar(0, pa.int8()), len(ids)),
                "bateria": pa.repeat(pa.scalar(3.6), len(ids)),
            })  # fmt: skip
            pa_csv.write_csv(shown, sink, options)
            rows += len(ids)
    return rows


def write_parquet(meters: Meters, wanted: Iterator[dt.date], path: Path) -> None:
    """The same readings in one Parquet file, a row group per day, beside a file of their zones."""
    with pq.ParquetWriter(path, meters.table(meters.first).schema) as writer:
        for day in wanted:
            writer.write_table(meters.table(day))
    pq.write_table(
        pa.table({
            "medidor": pa.array(meters.ids()),
            "zona_id": pa.array([number % ZONES + 1 for number in range(meters.count)]),
        }),
        path.with_name("zonas.parquet"),
    )  # fmt: skip


def write_daiad_like(path: Path, meters: int = 92, seed: int = 11) -> int:
    """A file of DAIAD's layout and size: about hourly, its clock and its gaps, in litres; its rows.

    674,019 readings of 92 meters in 365 days are 0.836 of the hours: the others are left out in
    runs of a few hours, as there.
    """
    dice = np.random.default_rng(seed)
    rows = 0
    with path.open("w", encoding="utf-8") as sink:
        sink.write("user key;datetime;meter reading;diff\n")
        for meter in range(meters):
            minute, register = int(dice.integers(0, 60)), 68_000
            silent = 0
            for number in range(365 * 24):
                register += int(dice.poisson(_DAY[number % 24] * 1.6))
                if silent == 0 and dice.random() < 0.041:
                    silent = int(dice.integers(1, 9))
                if silent:
                    silent -= 1
                    continue
                moment = dt.datetime(2016, 3, 1, 0, minute) + dt.timedelta(hours=number)
                sink.write(f"casa-{meter:03d};{moment:%d/%m/%Y %H:%M:%S};{register};0\n")
                rows += 1
    return rows
