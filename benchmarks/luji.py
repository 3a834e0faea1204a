"""How fast the chatbot is answered: `agua.luji_*` for one account, through its own role.

    python -m benchmarks.luji [--json] [--accounts 50000] [--queries 1000]

A warehouse of its own with the views as dbt builds them and, in the tables that they read (the last
good version, schema `entrega`), as many made-up accounts as asked for: consumption, three years of
bills each, an alert for one in twenty. Then a connection with the role `datos_luji` and nothing
else asks for accounts drawn by lot, each time as the service would: set the account, read the
view. Milliseconds include the way to the server and back.

Goal: the 99th percentile of each view under 20 ms at 50,000 accounts. Exit code 1 when a view is
slower, gives another account's rows, or gives rows without an account.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.water.place import Place, RunFailed, place
from orchestration.dbt_project import dbt_executable
from orchestration.settings import DBT_PROJECT_DIR
from orchestration.warehouse.connection import Warehouse
from sources.contract_document import load_catalogue
from sources.raw_table import ensure_raw_table

VIEWS = ("luji_consumo", "luji_alertas", "luji_facturas")
GOAL_MS = 20.0
_FILL = (
    "insert into entrega.luji_consumo (cuenta_id, ultimo_dia, litros_ultimo_dia, "
    "mes, litros_mes, dias_mes, litros_mismo_mes_anio_anterior, mediana_similares_l_dia) "
    "select n, date '2026-06-30', n %% 900, date '2026-06-01', n %% 30000, 30, n %% 29000, 600 "
    "from generate_series(1, %s) n",
    "insert into entrega.luji_facturas (cuenta_id, factura_id, periodo, "
    "m3_facturados, importe, vencimiento, estado) select n, n * 36 + m, "
    "(date '2023-07-01' + make_interval(months => m))::date, n %% 40, n %% 9000, "
    "(date '2023-07-20' + make_interval(months => m))::date, 'pagada' "
    "from generate_series(1, %s) n, generate_series(0, 35) m",
    "insert into agua.alerta_registro (alerta_id, regla_id, sujeto, inicio, fin, episodio_id) "
    "select 'a' || n, 'R-AGUA-14', 'medidor:B' || n, '2026-06-01', '2026-06-03', 'e' || n "
    "from generate_series(1, %s) n where n %% 20 = 0",
    "insert into entrega.luji_alertas (alerta_id, cuenta_id, clase, desde, hasta, "
    "litros_estimados, explicacion, que_hacer, estado) "
    "select 'a' || n, n, 'flujo_continuo', '2026-06-01', '2026-06-03', 100, 'x', 'y', 'nueva' "
    "from generate_series(1, %s) n where n %% 20 = 0",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line per view."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.luji",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("--accounts", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=1_000, help="per view")
    options = parser.parse_args(arguments)
    failed = False
    with place("luji") as made:
        _prepare(made, options.accounts)
        for line in _measure(made.warehouse, options.accounts, options.queries):
            failed |= not line["meets_goal"] or line["foreign_rows"] > 0
            words = "  ".join(f"{name} {value}" for name, value in line.items())
            print(json.dumps(line) if options.json else words, flush=True)
    return int(failed)


def _prepare(made: Place, accounts: int) -> None:
    """The views and what they read, as dbt builds them, then filled."""
    with made.warehouse.connect() as connection:
        for contract in load_catalogue().contracts.values():
            ensure_raw_table(connection, contract)
    done = subprocess.run(
        [dbt_executable(), "build", "--select", *(f"+{view}" for view in VIEWS),
         "--exclude", "resource_type:unit_test", "resource_type:test",
         "--project-dir", str(DBT_PROJECT_DIR), "--profiles-dir", str(DBT_PROJECT_DIR),
         "--target-path", str(made.folder / "target"), "--log-path", str(made.folder)],
        env=os.environ | made.warehouse.environment(), cwd=DBT_PROJECT_DIR,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RunFailed(done.stdout[-3000:])
    with made.warehouse.connect() as connection:
        for statement in _FILL:
            connection.execute(statement.encode(), [accounts])
        connection.execute(
            "insert into meta.entrega (nombre, candidato, destino, corrida_id, datos_al) "
            "select 'agua.' || v, 'x', 'entrega.' || v, 'x', now() from unnest(%s::text[]) as v",
            [list(VIEWS)],
        )
    made.settle()


def _measure(warehouse: Warehouse, accounts: int, queries: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(5)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("set role datos_luji")
        for view in VIEWS:
            read = f"select * from agua.{view}".encode()
            taken, rows, foreign = [], 0, 0
            for _ in range(queries):
                account = dice.randint(1, accounts)
                began = time.perf_counter()
                with connection.transaction():
                    connection.execute(
                        "select set_config('lujan.cuenta', %s, true)", [str(account)]
                    )
                    found = connection.execute(read).fetchall()
                taken.append(1000 * (time.perf_counter() - began))
                rows += len(found)
                foreign += sum(row[0] != account for row in found)
            foreign += len(connection.execute(read).fetchall())  # nobody's account: no rows
            cuts = statistics.quantiles(taken, n=100)
            yield {
                "view": f"agua.{view}",
                "accounts": accounts,
                "queries": queries,
                "median_ms": round(statistics.median(taken), 2),
                "p99_ms": round(cuts[98], 2),
                "max_ms": round(max(taken), 2),
                "rows": rows,
                "foreign_rows": foreign,
                "meets_goal": cuts[98] < GOAL_MS,
            }


if __name__ == "__main__":
    sys.exit(main())
