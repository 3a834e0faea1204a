"""Marts dbt did not build, and what the run that built and checked them would have recorded."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from expectations.results import CheckResult, Engine, record
from orchestration.dbt_project import manifest, project_sha256, relation_of, relations


def make_mart(connection: psycopg.Connection[Any], relation: str) -> None:
    """An empty table with the columns that the dbt project declares."""
    columns = relations()[relation]["columns"].values()
    connection.execute(
        sql.SQL("create table {} ({})").format(
            sql.Identifier(*relation.split(".")),
            sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(c["name"]), sql.SQL(c["data_type"]))
                for c in columns
            ),
        )
    )


def make_accounts_of_zones(connection: psycopg.Connection[Any]) -> None:
    """Who makes up `agua.dim_zona`, whatever is in it: as many accounts of each zone as it says."""
    connection.execute(
        "create schema if not exists intermediate; "
        "create view intermediate.int_agua__contribuciones_cuentas as "
        "select zona_id, zona_id || '-' || n as unidad, 'medidor' as clase, "
        "array[1]::numeric[] as medidas from agua.dim_zona, generate_series(1, cuentas_activas) n"
    )


def say_built(
    connection: psycopg.Connection[Any], relation: str, state: str = "ok", run: str = "r"
) -> None:
    """dbt built the relation, failed, or left it out."""
    connection.execute(
        "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
        "ultima_carga_id) values (%s, %s, 'n', %s, %s, 0)",
        [run, relation, state, project_sha256()],
    )


def say_known(connection: psycopg.Connection[Any], dataset: str) -> None:
    """The contract is one of those in force."""
    connection.execute(
        "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
        "contrato_sha256, modo_carga) values (%s, 'aguas', 'Zonas', %s, '1', 'x', 'full')",
        [dataset, "raw." + dataset.replace(".", "__")],
    )


def judge(
    connection: psycopg.Connection[Any],
    engine: Engine,
    relation: str,
    passed: bool | None,
    *,
    dataset: str | None = None,
    run: str = "r",
) -> None:
    """A blocking check of that kind spoke of the relation."""
    record(connection, run, [verdict(engine, relation, passed=passed, dataset=dataset)])


def verdict(
    engine: Engine, relation: str, *, passed: bool | None = False, dataset: str | None = None
) -> CheckResult:
    """What a blocking check of that kind says of the relation."""
    return CheckResult(
        control=_test_of(relation) if engine == "dbt" else f"{engine}:{relation}",
        motor=engine, objeto=relation, regla="prueba", severidad="bloqueante", paso=passed,
        explicacion="La cuenca es una de las cuatro.", responsable="Obras Públicas",
        dataset=dataset,
    )  # fmt: skip


def _test_of(relation: str) -> str:
    """The name of some data test that the project has on the relation."""
    nodes = manifest()["nodes"]
    return next(
        str(node["name"])
        for node in nodes.values()
        if node["resource_type"] == "test"
        and node.get("attached_node")
        and relation_of(nodes[node["attached_node"]]) == relation
    )
