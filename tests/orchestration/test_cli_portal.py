"""`lujan portal …` as a person at the terminal meets it, against a real CKAN.

The definition, the models and the gate are the city's own; the mart holds a few rows of a test.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import pytest
import requests
from ckanapi import RemoteCKAN
from rich.console import Console

from exports.ckan.publisher import CkanPublisher
from orchestration import settings as settings_module
from orchestration.cli import main, portal_definitions
from orchestration.cli import portal as portal_commands
from orchestration.dbt_project import project_sha256
from orchestration.warehouse.connection import Warehouse
from tests.support.ckan import CkanPortal, forget
from tests.support.marts import make_accounts_of_zones

NAME, MART = "zonas-de-agua", "agua.dim_zona"
BY = ("--by", "Comité de Datos", "--reason", "Acta 12")
ckan = pytest.mark.ckan
slow = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Said:
    """What the command left: its exit code, and both of its outputs as one line."""

    code: int
    text: str


@dataclass
class City:
    """A warehouse with the mart built and checked, and the terminal."""

    warehouse: Warehouse
    patch: pytest.MonkeyPatch
    environment: dict[str, str] = field(default_factory=dict)

    def lujan(self, *arguments: str, answers: str = "", **environment: str) -> Said:
        """Run `lujan portal …`, through the same entry point as the program."""
        out = io.StringIO()
        with self.patch.context() as patch:
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            settings_module.settings.cache_clear()
            for module in (portal_commands, portal_definitions, main):
                patch.setattr(module, "console", Console(file=out, width=400))
            patch.setattr(main, "errors", Console(file=out, width=400))
            patch.setattr(sys, "argv", ["lujan", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(answers))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", out)
            with pytest.raises(SystemExit) as ended:
                main.run()
        settings_module.settings.cache_clear()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, " ".join(out.getvalue().split()))

    def rows(self, statement: LiteralString, *values: object) -> list[Any]:
        with self.warehouse.connect() as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def build(self) -> None:
        """Note the mart as built, as its suite passing, and so as free to leave."""
        self.rows(
            "insert into meta.construccion (corrida_id, objeto, nodo, estado, proyecto_sha256, "
            "ultima_carga_id) values ('r', %s, 'n', 'ok', %s, 0)",
            MART, project_sha256(),
        )  # fmt: skip
        self.verdict(passed=True)

    def verdict(self, *, passed: bool) -> None:
        self.rows(
            "insert into meta.resultado_control (corrida_id, control, motor, objeto, regla, "
            "severidad, paso, explicacion, responsable) values ('r', 'zona.unica', "
            "'great_expectations', %s, 'unica', 'bloqueante', %s, "
            "'Cada zona aparece una sola vez.', 'Obras Públicas')",
            MART, passed,
        )  # fmt: skip


@pytest.fixture
def city(warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> City:
    """No portal is configured yet."""
    made = City(
        warehouse,
        monkeypatch,
        {
            "WAREHOUSE_URL": warehouse.url,
            "LUJAN_DATA_DIR": str(tmp_path / "datos"),
            "LUJAN_CONTACT_EMAIL": "datos@lujandecuyo.gob.ar",
        },
    )
    made.rows(
        "create table agua.dim_zona (zona_id integer, zona_nombre text, cuenca text, "
        "distrito_nombre text, cuentas_activas integer)"
    )
    made.rows(
        "insert into agua.dim_zona values (1, 'Vistalba Alta', 'Vistalba', 'Vistalba', 420), "
        "(2, 'Ciudad Sur', 'Ciudad', 'Ciudad', 910), (3, 'Loteo Nuevo', 'Ciudad', 'Ciudad', 4)"
    )
    with warehouse.connect() as connection:
        make_accounts_of_zones(connection)
    made.build()
    return made


@pytest.fixture
def online(city: City, portal: CkanPortal) -> Iterator[City]:
    """The same with a portal, on which the dataset has never been."""
    city.environment |= {"CKAN_URL": portal.url, "CKAN_TOKEN": portal.token}
    forget(portal, NAME)  # a test of another file may have left it
    yield city
    forget(portal, NAME)


def shown(portal: CkanPortal) -> dict[str, Any] | None:
    answer = requests.get(
        f"{portal.url}/api/3/action/package_show", params={"id": NAME}, timeout=30
    ).json()
    found: dict[str, Any] | None = answer["result"] if answer["success"] else None
    return found


def rows_shown(portal: CkanPortal) -> int:
    package = shown(portal)
    assert package
    csv = next(item for item in package["resources"] if item["fileName"] == "zonas.csv")
    return len(requests.get(csv["url"], timeout=30).text.splitlines()) - 1


@ckan
@slow
def test_the_life_of_a_dataset_from_the_terminal(online: City, portal: CkanPortal) -> None:
    """Looked at, approved, published, published again, changed, gone back from, withdrawn."""
    never = online.lujan("portal", "history", NAME)
    assert (never.code, never.text) == (0, f"{NAME}: nunca se publicó en este portal.")
    before = online.lujan("portal", "diff", NAME)
    assert before.code == 0 and "es nuevo en el portal" in before.text
    assert "zonas.csv (nuevo → 2 filas)" in before.text  # the small zone is left out

    pending = online.lujan("portal", "publish", NAME)
    assert pending.code == 1 and "espera aprobación" in pending.text
    assert shown(portal) is None
    waiting = online.lujan("portal", "history", NAME)
    assert "comparada" in waiting.text
    assert online.lujan("approve", NAME, *BY).code == 0

    dry = online.lujan("portal", "publish", NAME, "--dry-run")
    assert dry.code == 0 and "es nuevo en el portal" in dry.text
    assert shown(portal) is None
    assert online.lujan("portal", "history", NAME) == waiting

    first = online.lujan("portal", "publish", NAME)
    assert (first.code, rows_shown(portal)) == (0, 2)
    assert f"{NAME}: publicado." in first.text and f"{portal.url}/dataset/{NAME}" in first.text
    assert "no hay nada nuevo que enviar" in online.lujan("portal", "publish", NAME).text
    assert "el portal ya lo tiene igual" in online.lujan("portal", "diff", NAME).text

    online.rows("insert into agua.dim_zona values (4, 'Perdriel', 'Drummond', 'Perdriel', 77)")
    online.build()
    changed = online.lujan("portal", "diff", NAME)
    assert "zonas.csv (2 → 3 filas)" in changed.text and "Tablas que se cargarían" in changed.text
    assert online.lujan("portal", "publish", NAME).code == 0
    assert rows_shown(portal) == 3

    told = online.lujan("portal", "rollback", NAME, *BY, "--dry-run")
    assert (
        "volvería a la versión" in told.text and "2 filas" in told.text and rows_shown(portal) == 3
    )
    assert online.lujan("portal", "rollback", NAME, *BY).code == 0
    assert rows_shown(portal) == 2
    assert (
        "se volvió atrás: Comité de Datos: Acta 12" in online.lujan("portal", "history", NAME).text
    )
    kept = online.lujan("portal", "publish", NAME)
    assert kept.code == 1 and "--again" in kept.text and rows_shown(portal) == 2
    assert online.lujan("portal", "publish", NAME, "--again").code == 0
    assert rows_shown(portal) == 3

    looked = online.lujan("portal", "look")
    assert looked.code == 0 and looked.text.startswith(f"{portal.url} muestra ")
    [(seen, resources)] = online.rows(
        "select situacion, recursos from meta.portal_visto where conjunto = %s", NAME
    )
    assert seen == "publicado" and {item["mart"] for item in resources} == {MART, None}

    for answers in ("n\n", "\n", "tal vez\nno\n", ""):
        unsure = online.lujan("portal", "withdraw", NAME, *BY, answers=answers)
        assert unsure.code == 1 and rows_shown(portal) == 3
    assert online.lujan("portal", "withdraw", NAME, *BY, answers="Sí\n").code == 0
    gone = shown(portal)
    assert gone and gone["resources"] == [] and "Motivo: Acta 12" in gone["notes"]
    again = online.lujan("portal", "withdraw", NAME, *BY, "--yes")
    assert again.code == 1 and "ya está retirado" in again.text
    assert "espera aprobación" in online.lujan("portal", "publish", NAME).text

    history = online.lujan("portal", "history", NAME).text
    assert history.count("publicación registrada 3 Comité de Datos") == 2  # three rows, once each
    assert "vuelta atrás registrada 2" in history and "retiro registrada 0" in history


@ckan
@slow
def test_a_red_check_withholds_and_is_told_before_and_after(
    online: City, portal: CkanPortal
) -> None:
    online.lujan("approve", NAME, *BY)
    online.verdict(passed=False)
    told = online.lujan("portal", "diff", NAME)
    assert told.code == 0 and "No sale:" in told.text
    withheld = online.lujan("portal", "publish", NAME)
    assert withheld.code == 1 and f"{NAME}: retenido." in withheld.text
    assert "Cada zona aparece una sola vez." in withheld.text
    assert "Responsable: Obras Públicas" in withheld.text
    assert shown(portal) is None
    online.verdict(passed=True)
    assert online.lujan("portal", "publish", NAME).code == 0


@ckan
@slow
def test_the_page_says_that_the_data_are_withheld_or_late_and_sends_none(
    online: City, portal: CkanPortal
) -> None:
    online.lujan("approve", NAME, *BY)
    online.lujan("portal", "publish", NAME)
    before = page(portal)
    assert "Aviso" not in before["notes"]

    online.verdict(passed=False)
    online.lujan("portal", "publish", NAME)
    withheld = page(portal)
    assert withheld["notes"].startswith("> **Aviso:** La actualización de este conjunto está ret")
    assert withheld["notes"].endswith(before["notes"])
    assert withheld["resources"] == before["resources"]
    assert "el portal ya lo tiene igual" in online.lujan("portal", "diff", NAME).text

    online.verdict(passed=True)
    assert "nada nuevo" in online.lujan("portal", "publish", NAME).text
    assert page(portal) == before

    online.rows("update meta.publicacion set fin = fin - interval '220 days'")
    online.lujan("portal", "look")
    late = page(portal)
    assert "se actualiza cada seis meses y está atrasado" in late["notes"]
    assert late["extras"]["modified"] == before["extras"]["modified"]
    online.rows("insert into agua.dim_zona values (5, 'Agrelo', 'Drummond', 'Agrelo', 66)")
    online.build()
    assert online.lujan("portal", "publish", NAME).code == 0
    assert "Aviso" not in page(portal)["notes"] and rows_shown(portal) == 3


def page(portal: CkanPortal) -> dict[str, Any]:
    """What the dataset says, without what changes with every change of it."""
    found = shown(portal)
    assert found
    return {
        "notes": found["notes"],
        "resources": [
            {key: value for key, value in item.items() if key != "metadata_modified"}
            for item in found["resources"]
        ],
        "extras": {item["key"]: item["value"] for item in found["extras"]},
    }


@ckan
@slow
def test_a_token_that_may_not_is_told_and_not_shown(online: City, portal: CkanPortal) -> None:
    online.lujan("approve", NAME, *BY)
    online.lujan("portal", "publish", NAME)
    online.rows("delete from agua.dim_zona where zona_id = 2")
    online.build()
    administrator = RemoteCKAN(portal.url, apikey=portal.token)
    administrator.action.user_create(
        name="visitante", email="visitante@example.org", password="clave-de-prueba"
    )
    visitor = administrator.action.api_token_create(user="visitante", name="x")["token"]
    for token in (visitor, "eyJ-no-es-un-token", ""):
        for command in ("publish", "withdraw", "rollback"):
            options = () if command == "publish" else BY
            options = (*options, "--yes") if command == "withdraw" else options
            said = online.lujan("portal", command, NAME, *options, CKAN_TOKEN=token)
            assert said.code == 1, said.text
            if command != "rollback":  # nothing to go back to: refused before the portal is asked
                assert "revise CKAN_TOKEN" in said.text
            assert not token or token not in said.text
        assert rows_shown(portal) == 2
    # A withdrawal that was begun is finished by whoever may, before anything else.
    assert "espera aprobación" in online.lujan("portal", "publish", NAME).text
    gone = shown(portal)
    assert gone and gone["resources"] == []


COMMANDS = [
    ("diff", NAME), ("publish", NAME), ("history", NAME), ("look",),
    ("rollback", NAME, *BY), ("withdraw", NAME, *BY, "--yes"),
]  # fmt: skip


def test_a_portal_that_does_not_answer_is_told(city: City) -> None:
    few: dict[str, Any] = CkanPublisher.__init__.__kwdefaults__
    city.patch.setitem(few, "max_wait", 0.01)
    city.lujan("approve", NAME, *BY)
    address = "http://127.0.0.1:9"
    for command in COMMANDS:
        said = city.lujan("portal", *command, CKAN_URL=address, CKAN_TOKEN="secreto-de-la-ciudad")
        assert "secreto" not in said.text
        if command[0] in ("diff", "publish", "look"):
            assert said.code == 1 and f"no se pudo hablar con el portal {address}" in said.text
            assert "revise la red" in said.text
        elif command[0] == "history":  # what was published is known here
            assert said.code == 0 and "se detuvo" in said.text
        else:
            assert said.code == 1 and "publicado" in said.text


def test_commands_that_need_ckan_say_how_to_configure_it(city: City) -> None:
    for command in COMMANDS:
        if command[0] != "publish":  # which without CKAN goes to the folder
            said = city.lujan("portal", *command)
            assert said.code == 1 and "CKAN_URL y CKAN_TOKEN" in said.text


def test_without_ckan_a_dataset_is_published_into_the_folder(city: City, tmp_path: Path) -> None:
    city.lujan("approve", NAME, *BY)
    assert city.lujan("portal", "publish", NAME).code == 0
    table = json.loads((tmp_path / "datos" / "portal" / NAME / "zonas.json").read_text("utf-8"))
    assert [row["zona_id"] for row in table] == [1, 2]


@pytest.mark.parametrize("command", ["diff", "publish"])
def test_a_name_that_does_not_exist_is_told_those_that_are_close(city: City, command: str) -> None:
    said = city.lujan("portal", command, "zonas", CKAN_URL="http://127.0.0.1:9", CKAN_TOKEN="x")
    assert said.code == 1
    assert "no existe el conjunto 'zonas'" in said.text and NAME in said.text


@pytest.mark.parametrize("command", ["withdraw", "rollback"])
def test_who_and_why_are_asked_for(city: City, command: str) -> None:
    said = city.lujan("portal", command, NAME, "--by", "Ana")
    assert said.code == 2 and "--reason" in said.text


def test_definitions_are_drafted_reviewed_and_given_to_editors(city: City, tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path / "definiciones"))
    answers = "agua.dim_zona\nZonas nuevas\nENVI\nR/P1M\nObras Públicas\n"
    made = city.lujan("portal", "new", "zonas-nuevas", *folder, answers=answers)
    assert made.code == 0 and "lujan portal check zonas-nuevas" in made.text
    again = city.lujan("portal", "new", "zonas-nuevas", *folder, answers=answers)
    assert again.code == 1 and "ya existe" in again.text
    assert city.lujan("portal", "check", "zonas-nuevas", *folder).code == 0
    missing = city.lujan("portal", "check", "otra", *folder)
    assert missing.code == 1 and "no existe" in missing.text
    unknown = city.lujan("portal", "new", "x", *folder, answers=answers.replace("zona", "zonas"))
    assert unknown.code == 1 and "agua.dim_zona" in unknown.text
    whole = city.lujan("portal", "check")
    assert whole.code == 0 and " 0 errores" in whole.text
    assert city.lujan("portal", "schema", "--check").code == 0
