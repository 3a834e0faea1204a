"""Letting something pass by hand: for the very verdict it was given for, named, and for a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from expectations.results import CheckResult, record
from exports.approvals import approve
from orchestration import publishing
from orchestration.dbt_project import project_sha256, relations
from orchestration.gate import Obstacle, obstacles
from orchestration.releases import ReleaseError, covering, history, release, revoke
from orchestration.settings import settings
from orchestration.warehouse.connection import Warehouse
from tests.support.marts import make_accounts_of_zones

MART = "agua.dim_zona"
RED = CheckResult(
    control="agua.dim_zona.zona_id.unica",
    motor="great_expectations",
    objeto=MART,
    regla="expect_column_values_to_be_unique",
    severidad="bloqueante",
    paso=False,
    filas_evaluadas=10,
    filas_fallidas=2,
    explicacion="Cada zona está una vez.",
)


@pytest.fixture
def red(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
            "ultima_carga_id) values ('r', %s, 'n', 'ok', %s, 0)",
            [MART, project_sha256()],
        )
    verdict(warehouse, "r1", RED)
    return warehouse


def verdict(warehouse: Warehouse, run: str, result: CheckResult) -> None:
    with warehouse.connect() as connection:
        record(connection, run, [result])


def in_a_transaction(warehouse: Warehouse, act: Callable[..., Any], **given: Any) -> Any:
    with warehouse.connect() as connection:
        found = obstacles(connection, [MART])
        return act(connection, found, **given)


def let_pass(warehouse: Warehouse, by: str = "Ana Díaz", reason: str = "acta 12") -> Any:
    def act(connection: Any, found: list[Obstacle]) -> Any:
        return release(connection, "zonas", found, by=by, reason=reason)

    return in_a_transaction(warehouse, act)


def passes(warehouse: Warehouse, dataset: str = "zonas") -> bool:
    def act(connection: Any, found: list[Obstacle]) -> bool:
        assert found
        return covering(connection, dataset, found) is not None

    return bool(in_a_transaction(warehouse, act))


def test_a_release_says_who_why_what_and_until_when(red: Warehouse) -> None:
    made = let_pass(red)

    assert (made.by, made.reason) == ("Ana Díaz", "acta 12")
    assert [(relation, control) for relation, control, _ in made.scope] == [(MART, RED.control)]
    assert (made.expires_at - made.created_at).days == 7
    assert passes(red)
    assert not passes(red, "otro-conjunto")


def test_the_same_verdict_on_the_same_data_stays_released_in_later_runs(red: Warehouse) -> None:
    let_pass(red)
    verdict(red, "r2", RED)
    assert passes(red)


@pytest.mark.parametrize(
    "other",
    [
        replace(RED, filas_fallidas=3),
        replace(RED, muestra=({"zona_id": 4},)),
        replace(RED, paso=None, filas_fallidas=None),
    ],
    ids=["more rows fail", "other rows fail", "could not run"],
)
def test_another_verdict_is_withheld_again(red: Warehouse, other: CheckResult) -> None:
    let_pass(red)
    verdict(red, "r2", other)
    assert not passes(red)


def test_newer_data_are_withheld_again_though_as_many_rows_fail(red: Warehouse) -> None:
    let_pass(red)
    with red.connect() as connection:
        connection.execute(
            "insert into meta.contrato (dataset, sistema, nombre, tabla_raw, version, "
            "contrato_sha256, modo_carga) values ('aguas.zonas', 'aguas', 'Zonas', "
            "'raw.aguas__zonas', '1', 'x', 'full')"
        )
        connection.execute(
            "insert into meta.carga (corrida_id, dataset, estado, modo, contrato_version, "
            "contrato_sha256, inicio, fin, filas_leidas, filas_cargadas) "
            "values ('r2', 'aguas.zonas', 'cargada', 'full', '1', 'x', now(), now(), 1, 1)"
        )
    verdict(red, "r2", RED)
    assert not passes(red)


def test_a_second_red_check_is_not_covered_by_the_release_of_the_first(red: Warehouse) -> None:
    let_pass(red)
    verdict(red, "r1", replace(RED, control="agua.dim_zona.cuenca"))
    assert not passes(red)


def test_a_release_ends_by_itself_and_can_be_taken_back(red: Warehouse) -> None:
    let_pass(red)
    with red.connect() as connection:
        [ended] = revoke(connection, "zonas", by="Luis Paz", reason="se entendió mal")
    assert ended.revoked_by == "Luis Paz"
    assert not passes(red)

    let_pass(red)
    assert passes(red)
    with red.connect() as connection:
        connection.execute(
            "update meta.liberacion set creada_en = now() - interval '8 days', "
            "vence_en = now() - interval '1 day' where revocada_en is null"
        )
    assert not passes(red)
    with red.connect() as connection:
        assert len(history(connection, "zonas")) == 2
        with pytest.raises(ReleaseError, match="no tiene liberaciones"):
            revoke(connection, "zonas", by="Luis Paz", reason="x")


@pytest.mark.parametrize(("by", "reason"), [("", "acta"), ("Ana", "  ")])
def test_nobody_releases_without_a_name_and_a_reason(red: Warehouse, by: str, reason: str) -> None:
    with pytest.raises(ReleaseError, match="nombre de quien decide"):
        let_pass(red, by, reason)


def test_what_is_not_withheld_or_was_never_built_cannot_be_released(red: Warehouse) -> None:
    verdict(red, "r2", replace(RED, paso=True))
    with pytest.raises(ReleaseError, match="no está retenido"):
        let_pass(red)
    with red.connect() as connection:
        connection.execute("delete from meta.construccion")
    with pytest.raises(ReleaseError, match="no hay un veredicto"):
        let_pass(red)


# --- publishing by hand ------------------------------------------------------------------------

ZONES = "zonas-de-agua"


@pytest.fixture
def zones(red: Warehouse, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """The mart of the red check with two zones in it, and its portal dataset approved."""
    monkeypatch.setattr(publishing, "locate", lambda: red)
    data_dir.mkdir()
    columns = relations()[MART]["columns"].values()
    with red.connect() as connection:
        connection.execute("create schema if not exists agua")
        connection.execute(
            sql.SQL("create table agua.dim_zona ({})").format(
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(sql.Identifier(c["name"]), sql.SQL(c["data_type"]))
                    for c in columns
                )
            )
        )
        connection.execute(
            "insert into agua.dim_zona (zona_id, zona_nombre) values (1, 'Norte'), (2, 'Sur')"
        )
        make_accounts_of_zones(connection)
        approve(connection, publishing.find_definition(ZONES), "Comité", "acta 1")
    return red


def published(warehouse: Warehouse) -> list[tuple[str, bool]]:
    """Every attempt: its state, and whether it names a release."""
    with warehouse.connect() as connection:
        return [
            (str(row[0]), row[1] is not None)
            for row in connection.execute(
                "select estado, liberacion_id from meta.publicacion where conjunto = %s "
                "order by publicacion_id", [ZONES],
            )
        ]  # fmt: skip


def test_publishing_by_hand_asks_the_gate_and_honours_a_release(zones: Warehouse) -> None:
    assert publishing.publish(ZONES).estado == "retenida"

    in_a_transaction(
        zones, lambda c, found: release(c, ZONES, found, by="Ana Díaz", reason="acta 12")
    )
    assert publishing.publish(ZONES).estado == "publicada"
    page = (settings().portal_dir / ZONES / "index.html").read_text(encoding="utf-8")
    assert "Esta versión se publicó por decisión expresa" in page

    verdict(zones, "r2", replace(RED, filas_fallidas=3))
    assert publishing.publish(ZONES).estado == "retenida", "another verdict was not released"
    assert published(zones) == [("retenida", False), ("publicada", True), ("retenida", False)]
