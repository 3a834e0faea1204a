"""The files meters send: one CSV and one JSON-lines file per day, with damaged lines.

Formats and damage to single lines belong here; what the registers show belongs in
``readings.py``. One day is held in memory at a time.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from numpy.typing import NDArray

from seeds.sample.config import PERIOD_DAYS, PERIOD_HOURS, PERIOD_START, SampleSize
from seeds.sample.defects import DefectLog
from seeds.sample.readings import Meters, Readings, hour_text
from seeds.sample.tables import Ints, stream
from seeds.sample.water import Water

Change = Callable[[bytes], bytes]
CSV_HEADER = b"medidor;fecha;lectura_m3;estimada;bateria\n"
UPLINK = (
    '{"deduplicationId":"%s-%s-4%s-8%s-%s","time":"%s:%02dZ","deviceInfo":{"devEui":"%s",'
    '"deviceName":"%s"},"fCnt":%d,"rxInfo":[{"gatewayId":"00000000000000a1","rssi":%d,'
    '"snr":%.1f}],"object":{"volumen_l":%d,"bateria_v":%.2f}}'
)
STRANGER_DAYS = (9, 10, 11)  # days on which a meter nobody registered appears


@dataclass
class Feed:
    """The meters of one format: a slice of the smart meters."""

    dataset: str
    pattern: str
    first: int
    last: int

    @property
    def width(self) -> int:
        """Meters in the feed; a day's lines are hour by hour, meter by meter."""
        return self.last - self.first

    def file_name(self, day: int) -> str:
        """Name of a day's file."""
        return self.pattern.format(PERIOD_START + dt.timedelta(days=day))


@dataclass
class Edits:
    """What happens to single lines of a feed, by day and line number before any loss."""

    replaced: dict[int, dict[int, Change]] = field(default_factory=dict)
    repeated: dict[int, list[tuple[int, Change]]] = field(default_factory=dict)
    postponed: dict[int, list[int]] = field(default_factory=dict)

    def replace(self, day: int, line: int, change: Change) -> None:
        """Write something else in place of a line."""
        self.replaced.setdefault(day, {})[line] = change

    def repeat(self, day: int, line: int, change: Change) -> None:
        """Send a copy at the end of the same file."""
        self.repeated.setdefault(day, []).append((line, change))

    def postpone(self, day: int, line: int) -> None:
        """Send a copy at the end of the next day's file."""
        self.postponed.setdefault(day, []).append(line)


@dataclass
class _Source:
    """Everything the files are made from."""

    folder: Path
    seed: int
    meters: Meters
    readings: Readings
    log: DefectLog


def write_telemetry(
    folder: Path, water: Water, *, seed: int, size: SampleSize, log: DefectLog
) -> dict[str, int]:
    """Write every file; returns the lines of data per dataset."""
    source = _Source(folder, seed, water.meters, water.readings, log)
    csv = Feed("lecturas_csv", "lecturas_{:%Y-%m-%d}.csv", 0, size.csv_meters)
    lorawan = Feed(
        "lecturas_lorawan", "lorawan_{:%Y-%m-%d}.jsonl", size.csv_meters, size.smart_meters
    )
    return {
        csv.dataset: _write_csv(source, csv),
        lorawan.dataset: _write_lorawan(source, lorawan),
    }


def _write_csv(source: _Source, feed: Feed) -> int:
    rng = stream(source.seed, feed.dataset)
    edits = _csv_edits(rng, feed, source)
    names = pa.array(source.meters.ids[feed.first : feed.last] * 24)
    stranger = "telemetria.lecturas_csv.medidor_desconocido"
    strangers = source.log.wanted(stranger) > 0
    total = 0
    late: list[bytes] = []
    for day in range(PERIOD_DAYS):
        estimated = rng.random(feed.width * 24) < 0.0005
        lines = _csv_lines(feed, day, names, source.readings, estimated)
        if strangers and day in STRANGER_DAYS:
            lines += _stranger_csv_lines(day)
        lines, late = _apply(feed, day, lines + late, edits, source.readings)
        text = CSV_HEADER + b"\n".join(lines) + b"\n"
        (source.folder / feed.file_name(day)).write_bytes(text)
        total += len(lines)
    if strangers:
        key = {"medidor_id": "SINT-X-00001", "lecturas": 24 * len(STRANGER_DAYS)}
        source.log.add(stranger, key)
    return total


def _csv_lines(
    feed: Feed, day: int, names: pa.Array[Any], readings: Readings, estimated: NDArray[np.bool_]
) -> list[bytes]:
    hours = slice(day * 24, day * 24 + 24)
    litres = readings.register[feed.first : feed.last, hours].T.ravel()
    date = PERIOD_START + dt.timedelta(days=day)
    stamps = pa.array([f"{date:%d/%m/%Y} {hour:02d}:00:00" for hour in range(24)])
    volts = np.rint(readings.battery[feed.first : feed.last, day] * 100).astype(np.int64)
    table = pa.table(
        {
            "medidor": names,
            "fecha": stamps.take(pa.array(np.repeat(np.arange(24), feed.width), pa.int64())),
            "lectura_m3": _decimal_array(litres, 14, 3),
            "estimada": pa.array(estimated.astype(np.int8)),
            "bateria": _decimal_array(np.tile(volts, 24), 5, 2),
        }
    )
    target = io.BytesIO()
    options = pa_csv.WriteOptions(include_header=False, delimiter=";", quoting_style="none")
    pa_csv.write_csv(table, target, options)
    return target.getvalue().splitlines()


def _decimal_array(scaled: Ints, precision: int, scale: int) -> pa.Array[Any]:
    """Non-negative integers as decimals, without a Python object per value."""
    words = np.zeros((len(scaled), 2), dtype=np.int64)
    words[:, 0] = scaled
    buffer = pa.py_buffer(words.tobytes())
    return pa.Array.from_buffers(pa.decimal128(precision, scale), len(scaled), [None, buffer])


def _stranger_csv_lines(day: int) -> list[bytes]:
    date = PERIOD_START + dt.timedelta(days=day)
    first = (day - STRANGER_DAYS[0]) * 24
    return [
        f"SINT-X-00001;{date:%d/%m/%Y} {h:02d}:00:00;{12 + (first + h) * 0.02:.3f};0;3.50".encode()
        for h in range(24)
    ]


def _write_lorawan(source: _Source, feed: Feed) -> int:
    rng = stream(source.seed, feed.dataset)
    edits = _lorawan_edits(rng, feed, source)
    delay = rng.integers(0, 60, feed.width).tolist()
    stranger = "telemetria.lecturas_lorawan.medidor_desconocido"
    strangers = source.log.wanted(stranger) > 0
    total = 0
    for day in range(PERIOD_DAYS):
        lines = _uplinks(rng, feed, day, source, delay)
        if strangers and day in STRANGER_DAYS:
            lines += [_stranger_uplink(line) for line in lines[:: feed.width]]
        lines, _ = _apply(feed, day, lines, edits, source.readings)
        text = b"\n".join(lines) + b"\n"
        (source.folder / feed.file_name(day)).write_bytes(text)
        total += text.count(b"\n")
    if strangers:
        key = {"medidor_id": "SINT-Y-00001", "lecturas": 24 * len(STRANGER_DAYS)}
        source.log.add(stranger, key)
    return total


def _stranger_uplink(line: bytes) -> bytes:
    """The first meter's message as sent by a device nobody registered."""
    name = line.replace(b"SINT-L-00001", b"SINT-Y-00001").replace(b'"devEui":"5', b'"devEui":"6')
    begin = len(b'{"deduplicationId":"')
    other = b"0" if name[begin : begin + 1] == b"f" else b"f"
    return name[:begin] + other + name[begin + 1 :]


def _uplinks(
    rng: np.random.Generator, feed: Feed, day: int, source: _Source, delay: list[int]
) -> list[bytes]:
    """One ChirpStack uplink event per meter and hour; times in UTC, some seconds late."""
    readings = source.readings
    count = feed.width * 24
    hours = slice(day * 24, day * 24 + 24)
    digits = rng.bytes(15 * count).hex()
    start = dt.datetime.combine(PERIOD_START, dt.time(3)) + dt.timedelta(days=day)
    clock = [f"{start + dt.timedelta(hours=h):%Y-%m-%dT%H:%M}" for h in range(24)]
    names = source.meters.ids[feed.first : feed.last]
    rows = zip(
        (digits[i : i + 30] for i in range(0, 30 * count, 30)),
        (stamp for stamp in clock for _ in range(feed.width)),
        delay * 24,
        [f"53494e5400{i:06x}" for i in range(1, feed.width + 1)] * 24,
        names * 24,
        (day * 24 + h for h in range(24) for _ in range(feed.width)),
        rng.integers(-120, -70, count).tolist(),
        (rng.integers(-80, 100, count) / 10).tolist(),
        readings.register[feed.first : feed.last, hours].T.ravel().tolist(),
        np.round(readings.battery[feed.first : feed.last, day], 2).tolist() * 24,
        strict=True,
    )
    return [
        (UPLINK % (d[:8], d[8:12], d[12:15], d[15:18], d[18:30], *rest)).encode()
        for d, *rest in rows
    ]


def _apply(
    feed: Feed, day: int, lines: list[bytes], edits: Edits, readings: Readings
) -> tuple[list[bytes], list[bytes]]:
    """Carry out a day's edits and losses; returns the file's lines and those sent a day late."""
    copies = [change(lines[i]) for i, change in edits.repeated.get(day, ())]
    postponed = [lines[i] for i in edits.postponed.get(day, ())]
    for index, change in edits.replaced.get(day, {}).items():
        lines[index] = change(lines[index])
    hours = slice(day * 24, day * 24 + 24)
    lost = readings.missing[feed.first : feed.last, hours].T.ravel()
    if lost.any():
        gone = set(np.flatnonzero(lost).tolist())
        lines = [line for i, line in enumerate(lines) if i not in gone]
    return lines + copies, postponed


class _Targets:
    """Hands out lines of healthy meters, each once, away from the ends of the period."""

    def __init__(self, rng: np.random.Generator, feed: Feed, source: _Source, total: int) -> None:
        healthy = np.flatnonzero(source.readings.healthy[feed.first : feed.last])
        span = PERIOD_HOURS - 4
        flat = rng.choice(len(healthy) * span, total, replace=False)
        self._meter = healthy[flat // span].tolist()
        self._hour = (flat % span + 2).tolist()
        self._feed = feed
        self._ids = source.meters.ids

    def take(self, count: int) -> list[tuple[int, int, dict[str, str]]]:
        """(day, line of the day, key) of ``count`` fresh readings."""
        taken = []
        for _ in range(count):
            meter, hour = self._meter.pop(), self._hour.pop()
            day = hour // 24
            key = {
                "archivo": self._feed.file_name(day),
                "medidor_id": self._ids[self._feed.first + meter],
                "fecha_hora": hour_text(hour),
            }
            taken.append((day, hour % 24 * self._feed.width + meter, key))
        return taken


def _csv_edits(rng: np.random.Generator, feed: Feed, source: _Source) -> Edits:
    log = source.log
    edits, prefix = Edits(), f"telemetria.{feed.dataset}"
    replacements: dict[str, Change] = {
        "fecha_imposible": lambda line: _with_date(line, b"31/06/2026"),
        "fecha_sin_dato": lambda line: _with_field(line, 1, b"sin dato"),
        "fecha_futura": lambda line: line.replace(b"/2026 ", b"/2062 "),
        "coma_decimal": lambda line: _with_field(line, 2, line.split(b";")[2].replace(b".", b",")),
        "linea_truncada": lambda line: line[:28],
    }
    copies = ("duplicada_mismo_dia", "reenviada_otro_dia", "duplicada_distinta")
    wanted = {kind: log.wanted(f"{prefix}.{kind}") for kind in (*replacements, *copies)}
    targets = _Targets(rng, feed, source, sum(wanted.values()) * 2)
    for kind, change in replacements.items():
        for day, line, key in targets.take(wanted[kind]):
            edits.replace(day, line, change)
            log.add(f"{prefix}.{kind}", dict(key))
    for kind in copies:
        for day, line, key in _with_next_day(targets, wanted[kind], kind):
            if kind == "reenviada_otro_dia":
                edits.postpone(day, line)
            else:
                edits.repeat(day, line, _estimated if kind == "duplicada_distinta" else bytes)
            log.add(f"{prefix}.{kind}", dict(key))
    return edits


def _with_next_day(
    targets: _Targets, count: int, kind: str
) -> list[tuple[int, int, dict[str, str]]]:
    """Targets; for lines sent a day late, none of the last day (no file would carry them)."""
    chosen: list[tuple[int, int, dict[str, str]]] = []
    while len(chosen) < count:
        target = targets.take(1)[0]
        if kind != "reenviada_otro_dia" or target[0] < PERIOD_DAYS - 1:
            chosen.append(target)
    return chosen


def _with_field(line: bytes, position: int, value: bytes) -> bytes:
    parts = line.split(b";")
    parts[position] = value
    return b";".join(parts)


def _with_date(line: bytes, date: bytes) -> bytes:
    clock = line.split(b";")[1][10:]
    return _with_field(line, 1, date + clock)


def _estimated(line: bytes) -> bytes:
    """Another value for the same hour, flagged as estimated."""
    litres = int(line.split(b";")[2].replace(b".", b"")) + 3
    value = f"{litres // 1000}.{litres % 1000:03d}".encode()
    return _with_field(_with_field(line, 2, value), 3, b"1")


def _lorawan_edits(rng: np.random.Generator, feed: Feed, source: _Source) -> Edits:
    log = source.log
    edits, prefix = Edits(), f"telemetria.{feed.dataset}"
    replacements: dict[str, Change] = {
        "entregada_dos_veces": _second_gateway,
        "sin_decodificar": lambda line: line[: line.index(b'"object":')] + b'"object":{}}',
        "json_roto": lambda line: line[:150],
        "fecha_1970": _clock_lost,
    }
    wanted = {kind: log.wanted(f"{prefix}.{kind}") for kind in replacements}
    targets = _Targets(rng, feed, source, sum(wanted.values()))
    for kind, change in replacements.items():
        for day, line, key in targets.take(wanted[kind]):
            edits.replace(day, line, change)
            log.add(f"{prefix}.{kind}", dict(key))
    return edits


def _second_gateway(line: bytes) -> bytes:
    """The message and, on a line of its own, the copy another gateway delivered."""
    begin = line.index(b'"rssi":') + 7
    end = line.index(b",", begin)
    weaker = str(int(line[begin:end]) - 6).encode()
    copy = line[:begin] + weaker + line[end:]
    return line + b"\n" + copy.replace(b"00000000000000a1", b"00000000000000b2")


def _clock_lost(line: bytes) -> bytes:
    begin = line.index(b'"time":"') + 8
    return line[:begin] + b"1970-01-01T00:00:05Z" + line[line.index(b'"', begin) :]
