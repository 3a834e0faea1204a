"""`lujan live` as it is run for months: what it holds is stored when it is asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from orchestration.settings import PROJECT_ROOT
from orchestration.warehouse.connection import Warehouse
from tests.support.mosquitto import broker

CONTRACT = PROJECT_ROOT / "docs" / "ejemplos" / "medidores" / "lecturas_mqtt.yaml"
PATIENCE_S = 60.0


def test_sigterm_stores_what_was_received_and_ends_well(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    contract = tmp_path / CONTRACT.name
    contract.write_text(
        CONTRACT.read_text(encoding="utf-8")
        .replace("flushMessages, value: 500", "flushMessages, value: 3")
        .replace("flushSeconds, value: 5", "flushSeconds, value: 600"),
        encoding="utf-8",
    )
    with broker(tmp_path / "mosquitto") as server:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("lujan")), "live", "--contracts", str(contract)],
            env=os.environ | {
                "WAREHOUSE_URL": warehouse.url, "LUJAN_DATA_DIR": str(tmp_path / "data"),
                "SOURCE_TIEMPO_REAL_URL": server.url, "COLUMNS": "200", "PYTHONUNBUFFERED": "1"},
            cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = [next(process.stdout)]
            while "conectado" not in said[-1].lower():
                said.append(next(process.stdout))
            reading = '{{"hora": "2026-06-01T{:02}:00:00", "volumen_m3": {}.5, "bateria_v": 3.6}}'
            server.publish(("medidores/V-1/lectura", reading.format(n, n)) for n in range(1, 5))
            server.publish([("medidores/V-1/lectura", "no es JSON")])
            _wait_for(warehouse, 3)
            time.sleep(1)  # the other two are there, and too few to be stored by themselves
            assert len(_registers(warehouse)) == 3
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.wait()

    assert process.returncode == 0, rest
    assert [str(row[0]) for row in _registers(warehouse)] == ["1.500", "2.500", "3.500", "4.500"]
    assert (
        "Terminado: 5 mensajes en 2 cargas; 4 filas cargadas, 1 en cuarentena, 0 ya conocidas."
        in rest
    )


def _registers(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        if connection.execute("select to_regclass('raw.telemetria__lecturas')").fetchone() == (
            None,
        ):
            return []
        return connection.execute(
            "select lectura from raw.telemetria__lecturas order by 1"
        ).fetchall()


def _wait_for(warehouse: Warehouse, rows: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while len(_registers(warehouse)) < rows:
        assert time.monotonic() < deadline
        time.sleep(0.1)
