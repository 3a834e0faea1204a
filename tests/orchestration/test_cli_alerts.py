"""`lujan alerts` at the terminal: every move that a state admits, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from orchestration import settings as settings_module
from orchestration.alerts import AlertError
from orchestration.cli import alerts, main
from orchestration.warehouse.connection import Warehouse

Lujan = Callable[..., Result]
LEAK, BURST, ZONE = "a1b2c3d4aaaa", "a1b2c3ffbbbb", "0f0f0f0fcccc"
_REFUSED = psycopg.errors.InvalidParameterValue
SIGNED = ("--by", "Ana Pérez", "--reason", "se habló por teléfono")


@pytest.fixture
def lujan(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Lujan:  # type: ignore[misc]
    monkeypatch.setenv("WAREHOUSE_URL", warehouse.url)
    monkeypatch.setenv("COLUMNS", "200")
    settings_module.settings.cache_clear()

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(alerts, "console", Console())
        return CliRunner().invoke(main.app, ["alerts", *arguments])

    yield run  # type: ignore[misc]
    settings_module.settings.cache_clear()


@pytest.fixture
def three(warehouse: Warehouse) -> None:
    """Three new alerts, shown by a view with the columns of the model agua.alerta_agua."""
    with warehouse.connect() as connection:
        connection.execute(
            "insert into agua.alerta_registro (alerta_id, regla_id, sujeto, inicio, fin) values "
            "(%s, 'R-AGUA-14', 'medidor:M-1', '2026-06-01 03:00Z', '2026-06-03 03:00Z'), "
            "(%s, 'R-AGUA-15', 'medidor:M-2', '2026-06-02 03:00Z', '2026-06-02 12:00Z'), "
            "(%s, 'R-AGUA-21', 'zona:3', '2026-05-01 03:00Z', '2026-06-01 03:00Z')",
            [LEAK, BURST, ZONE],
        )
        connection.execute(
            "create view agua.alerta_agua as select alerta_id, case regla_id when 'R-AGUA-14' "
            "then 'flujo_continuo' when 'R-AGUA-15' then 'rotura' else 'desbalance_zona' end as "
            "clase, regla_id, case when sujeto like 'medidor:%' then split_part(sujeto, ':', 2) "
            "end as medidor_id, case when sujeto = 'medidor:M-1' then 120 end as cuenta_id, "
            "3 as zona_id, inicio as desde, fin as hasta, false as sigue_abierta, "
            "24000::bigint as litros_estimados, null::numeric(14, 2) as importe_estimado, "
            "'Pasó agua sin interrupción.' as explicacion, 'Revise inodoros.' as que_hacer, "
            "estado, decidido_por, motivo, vista_en, cambiada_en from agua.alerta_registro"
        )


def flat(result: Result) -> str:
    return " ".join(result.output.split())


def states(lujan: Lujan) -> dict[str, str]:
    document: list[dict[str, Any]] = json.loads(lujan("list", "--state", "todas", "--json").output)
    return {item["alerta_id"]: item["estado"] for item in document}


def test_before_the_first_run_it_says_what_to_do(lujan: Lujan) -> None:
    refused = lujan("list")
    assert isinstance(refused.exception, AlertError)
    assert "lujan run" in str(refused.exception)


def test_the_list_says_why_since_when_how_much_and_what_to_do(lujan: Lujan, three: None) -> None:
    words = flat(lujan("list", "--kind", "flujo_continuo"))
    for expected in ("a1b2c3d4 nueva flujo_continuo · medidor M-1, cuenta 120, zona 3",
                     "Pasó agua sin interrupción.", "desde 01/06/2026 00:00", "24.000 litros",
                     "qué hacer: Revise inodoros.", "1 aviso."):  # fmt: skip
        assert expected in words, expected
    assert "cuenta sin dato" in flat(lujan("list", "--kind", "rotura"))
    assert flat(lujan("list", "--account", "9")) == "No hay avisos con esas condiciones."


def test_an_alert_goes_from_new_to_informed_to_resolved_and_can_be_reopened(
    lujan: Lujan, three: None
) -> None:
    assert flat(lujan("inform", "a1b2c3d4", *SIGNED)) == "Aviso a1b2c3d4: informada, por Ana Pérez."
    assert states(lujan)[LEAK] == "informada"
    assert lujan("resolve", LEAK, "--by", "Luis", "--reason", "se reparó").exit_code == 0
    assert states(lujan) == {LEAK: "resuelta", BURST: "nueva", ZONE: "nueva"}
    assert "a1b2c3d4" not in flat(lujan("list")), "a closed alert is not among the open ones"
    assert lujan("reopen", LEAK, *SIGNED).exit_code == 0

    told = flat(lujan("show", LEAK))
    for expected in ("informada, Ana Pérez: se habló por teléfono", "resuelta, Luis: se reparó"):
        assert expected in told, expected
    assert states(lujan)[LEAK] == "nueva"


@pytest.mark.parametrize(
    ("before", "command", "words"),
    [
        (["inform"], "inform", "ya está así"),
        (["discard"], "inform", "lujan alerts reopen"),
        (["discard"], "resolve", "lujan alerts reopen"),
        (["resolve"], "discard", "lujan alerts reopen"),
        (["inform"], "reopen", "puede pasar a: descartada, resuelta"),
    ],
)
def test_a_move_that_the_state_does_not_admit_is_refused_and_changes_nothing(
    lujan: Lujan, three: None, before: list[str], command: str, words: str
) -> None:
    for step in before:
        assert lujan(step, ZONE, *SIGNED).exit_code == 0
    kept = states(lujan)

    refused = lujan(command, ZONE, *SIGNED)

    assert isinstance(refused.exception, AlertError)
    assert words in str(refused.exception) and "lo puso Ana Pérez" in str(refused.exception)
    assert states(lujan) == kept


def test_sql_admits_the_moves_that_the_command_line_admits(
    lujan: Lujan, three: None, warehouse: Warehouse
) -> None:
    ask = "select agua.cambiar_estado_alerta(%s, %s, %s, %s)"
    with warehouse.connect() as connection:
        legal = set(connection.execute("select desde, hasta from agua.alerta_transicion"))
        assert lujan("resolve", LEAK, *SIGNED).exit_code == 0
        for wrong in ("informada", "descartada"):
            with pytest.raises(_REFUSED) as refused, connection.transaction():
                connection.execute(ask, [LEAK, wrong, "Luis", "por error"])
            assert refused.value.diag.message_hint == "Desde «resuelta» puede pasar a: nueva."
        with pytest.raises(_REFUSED, match="no puede pasar"), connection.transaction():
            connection.execute(
                "update agua.alerta_registro set estado = 'informada' where alerta_id = %s", [LEAK]
            )
        for unsigned in (["", "motivo"], ["Luis", None], ["Luis", " "]):
            with pytest.raises(_REFUSED, match="Falta quién"), connection.transaction():
                connection.execute(ask, [BURST, "informada", *unsigned])
        connection.execute(ask, [LEAK, "nueva", "Luis", "volvió"])
    assert states(lujan) == {LEAK: "nueva", BURST: "nueva", ZONE: "nueva"}
    assert ("nueva", "nueva") not in legal and ("resuelta", "nueva") in legal


def test_wrong_arguments_are_explained(lujan: Lujan, three: None) -> None:
    for which, words in (("a1b2", "muy corto"), ("ffffff", "no hay ningún"),
                         ("a1b2c3", "más de un aviso"), ("%%%%%%", "no hay ningún")):  # fmt: skip
        refused = lujan("inform", which, *SIGNED)
        assert words in str(refused.exception), which
    blank = lujan("inform", LEAK, "--by", " ", "--reason", "x")
    assert "falta quién decide" in str(blank.exception)
    assert lujan("inform", LEAK, "--by", "Ana").exit_code == 2, "no decision without a reason"
    assert "flujo_continuo, rotura" in flat(lujan("list", "--kind", "fuga"))
    assert set(states(lujan).values()) == {"nueva"}
