"""Whoever keeps every release of a dataset never subtracts his way to a few accounts."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import psycopg
import pytest

from exports.approvals import approve
from exports.contributions import KEPT_STATES, contributions_turn
from exports.disclosure import check_request
from exports.errors import DisclosureError, ExportError
from exports.export import ExportResult, export_dataset
from exports.manifest import Manifest
from exports.metadata import CatalogFacts
from exports.portal import LocalPublisher, Publisher
from tests.exports.conftest import MANIFEST, Connection, Define

LEAST = 3
# What arrived so far, and the models made of it. Rebuilt after every change, as a run does.
WATER_SQL = """
create table agua.lecturas (cuenta integer, zona text, mes date, litros integer);
create table intermediate.contribuciones_agua (
    zona text, mes date, unidad text, clase text, medidas numeric[]
);
create table agua.fct_zona (
    zona text, mes date, cuentas integer, litros bigint, mayor_pct numeric(5, 1)
);
create table agua.dim_lugar (zona text, mes date, litros bigint, cuentas integer);
"""
BUILD_SQL = """
truncate intermediate.contribuciones_agua, agua.fct_zona, agua.dim_lugar;
insert into intermediate.contribuciones_agua
select zona, mes, cuenta || ' ' || mes, 'cuenta', array[sum(litros)]
from agua.lecturas group by zona, mes, cuenta;
insert into agua.fct_zona
select zona, mes, count(*), sum(litros), round(100.0 * max(litros) / nullif(sum(litros), 0), 1)
from (select zona, mes, cuenta, sum(litros) as litros from agua.lecturas group by 1, 2, 3) as c
group by zona, mes;
insert into agua.dim_lugar select zona, mes, litros, cuentas from agua.fct_zona;
"""
RESOURCE: dict[str, Any] = {
    "nombre": "consumo",
    "titulo": "Consumo",
    "mart": "agua.fct_zona",
    "columnas": ["zona", "mes", "cuentas", "litros"],
    "orden": ["mes", "zona"],
    "formatos": ["csv"],
    "divulgacion": {
        "umbral_minimo": LEAST,
        "justificacion": "Datos de prueba.",
        "diferencia_minima": LEAST,
        "columna_conteo": "cuentas",
        "medidas": ["litros"],
        "celdas_inseguras": "omitir",
    },
}


def mart(schema: str, name: str, columns: dict[str, str], meta: dict[str, Any]) -> dict[str, Any]:
    return {
        "resource_type": "model", "schema": schema, "name": name, "description": "Prueba.",
        "config": {"meta": {"clasificacion": "libre_acceso", **meta}},
        "columns": {
            column: {"data_type": kind, "description": f"Columna {column}."}
            for column, kind in columns.items()
        },
    }  # fmt: skip


@pytest.fixture
def manifest() -> Manifest:
    return water_manifest()


def water_manifest() -> Manifest:
    """The small marts, and those made of contributions."""
    columns = {"zona": "text", "mes": "date", "cuentas": "integer", "litros": "bigint",
               "mayor_pct": "numeric(5,1)"}  # fmt: skip
    made_up = {
        "relacion": "intermediate.contribuciones_agua",
        "celda": ["zona", "mes"],
        "suma": "litros",
    }
    requests = {"mes": "date", "dimension": "text", "valor": "text", "pedidos": "bigint"}
    nodes = {
        "a": mart("agua", "fct_zona", columns, {"contribuciones": made_up}),
        "b": mart("agua", "dim_lugar", columns, {"contribuciones": made_up}),
        "c": mart("intermediate", "contribuciones_agua", {}, {}),
        "d": mart("poblacion", "fct_pedidos", requests, {"contribuciones": {
            "relacion": "intermediate.contribuciones_pedidos", "celda": ["mes"],
            "suma": "pedidos", "clase": ["dimension", "valor"],
        }}),
        "e": mart("intermediate", "contribuciones_pedidos", {}, {}),
    }  # fmt: skip
    return Manifest({"nodes": MANIFEST["nodes"] | nodes})


class City:
    """The accounts of a city, its releases, and what somebody who keeps them all has."""

    def __init__(
        self, connection: Connection, define: Define, manifest: Manifest, folder: Path
    ) -> None:
        self.connection, self.manifest, self._define = connection, manifest, define
        self.folder = folder
        self.facts: CatalogFacts | None = None
        connection.execute(WATER_SQL)
        connection.commit()
        self.portal: Publisher = LocalPublisher(folder / "portal", "https://datos.example.org")
        self.resource = {**RESOURCE, "divulgacion": dict(RESOURCE["divulgacion"])}
        self.seen: list[dict[tuple[str, str], tuple[int, int]]] = []

    def reads(self, account: int, litres: int, zone: str = "A", month: str = "2026-05-01") -> None:
        self.connection.execute(
            "insert into agua.lecturas values (%s, %s, %s, %s)", (account, zone, month, litres)
        )
        self.connection.commit()

    def forget(self, account: int) -> None:
        self.connection.execute("delete from agua.lecturas where cuenta = %s", (account,))
        self.connection.commit()

    def build(self) -> None:
        self.connection.execute(BUILD_SQL)
        self.connection.commit()

    def publish(self, name: str = "consumo-de-agua", *, build: bool = True,
                **changes: Any) -> ExportResult:  # fmt: skip
        if build:
            self.build()
        resource = {**self.resource, **changes}
        definition = self._define(name, recursos=[resource])
        approve(self.connection, definition, "Comité", "Acta 1")
        self.connection.commit()
        result = export_dataset(
            self.connection, definition, self.manifest, self.folder / "salida", "corrida",
            self.portal, facts=self.facts,
        )  # fmt: skip
        if result.error is None and isinstance(self.portal, LocalPublisher):
            self.seen.append(self.shown(name, resource["nombre"]))
        return result

    def shown(self, name: str = "consumo-de-agua", resource: str = "consumo") -> Any:
        path = self.folder / "portal" / name / f"{resource}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            return {
                (row["zona"], row["mes"]): (int(row["cuentas"]), int(row["litros"]))
                for row in csv.DictReader(stream)
            }


@pytest.fixture
def city(
    connection: Connection, define: Define, manifest: Manifest, tmp_path: Path
) -> Iterator[City]:
    city = City(connection, define, manifest, tmp_path)
    for account in range(1, 11):
        city.reads(account, 1000 * account)
    yield city


MAY = ("A", "2026-05-01")


def test_one_late_reading_is_not_the_difference_of_two_releases(city: City) -> None:
    assert city.publish().estado == "publicada"
    city.reads(11, 777)
    waiting = city.publish()
    assert city.seen[1][MAY][1] - city.seen[0][MAY][1] != 777
    assert city.seen[0] == city.seen[1] == {MAY: (10, 55_000)}
    assert (waiting.estado, waiting.error) == ("sin_cambios", None)
    assert "zona A, mes 2026-05-01" in waiting.reason and "menos de 3" in waiting.reason
    city.reads(12, 10)
    city.reads(13, 20)
    assert city.publish().estado == "publicada"
    assert city.seen[-1] == {MAY: (13, 55_807)}
    assert city.publish().estado == "sin_cambios"


def test_the_other_cells_of_the_release_go_on(city: City) -> None:
    city.publish()
    city.reads(1, 5)
    for account in range(5):
        city.reads(account, 100, month="2026-06-01")
    result = city.publish()
    assert result.estado == "publicada" and "1 celda sale" in result.reason
    assert city.shown() == {MAY: (10, 55_000), ("A", "2026-06-01"): (5, 500)}


def test_accounts_that_leave_and_readings_that_shrink_are_changes_too(city: City) -> None:
    city.publish()
    city.forget(4)
    city.reads(5, -4000)
    city.publish()
    assert city.shown() == {MAY: (10, 55_000)}
    for account in (6, 7):
        city.forget(account)
    city.publish()
    # Three left; the one that shrank is alone in that.
    assert city.shown() == {MAY: (10, 55_000)}
    for account in (8, 9):
        city.reads(account, -1)
    city.publish()
    assert city.shown() == {MAY: (7, 55_000 - 4000 - 6000 - 7000 - 4000 - 2)}


def test_a_correction_of_many_that_is_taken_back_brings_no_two_releases_close(city: City) -> None:
    """10 accounts change, 9 of them change back: against the first release it is one account."""
    city.publish()
    for account in range(1, 11):
        city.reads(account, 100)
    city.publish()
    assert city.shown() == {MAY: (10, 56_000)}
    for account in range(1, 10):
        city.reads(account, -100)
    city.publish()
    # It leaves as it was when it was nearest to what it is.
    assert city.shown() == {MAY: (10, 55_000)}


def test_one_that_makes_up_most_of_a_change_is_not_hidden_by_many(city: City) -> None:
    city.resource["divulgacion"]["dominancia"] = {"columna": "mayor_pct", "maximo_pct": 60}
    city.publish()
    for account in (1, 2, 3):
        city.reads(account, 1)
    city.reads(4, 900)
    city.publish()
    assert city.shown() == {MAY: (10, 55_000)}
    for account in (1, 2, 3):
        city.reads(account, 400)
    city.publish()
    assert city.shown() == {MAY: (10, 57_103)}


def test_accounts_that_change_zone_are_told_apart_from_those_that_change(city: City) -> None:
    """3 move from A to B and one of each reads late: the sum of both zones would give the two."""
    for account in range(21, 30):
        city.reads(account, 100, zone="B")
    city.publish()
    before = city.shown()
    city.connection.execute("update agua.lecturas set zona = 'B' where cuenta <= 3")
    city.reads(9, 50)
    city.reads(22, 60, zone="B")
    city.publish()
    assert city.shown() == before
    city.connection.execute("update agua.lecturas set litros = litros - 50 where litros = 9000")
    city.connection.execute("delete from agua.lecturas where litros in (50, 60)")
    city.connection.execute("update agua.lecturas set litros = 9000 where litros = 8950")
    city.publish()
    assert city.shown() == {MAY: (7, 49_000), ("B", "2026-05-01"): (12, 6900)}


def test_a_cell_that_shares_movers_with_one_that_waits_waits_with_it(city: City) -> None:
    for account in range(21, 30):
        city.reads(account, 100, zone="B")
    city.publish()
    before = city.shown()
    city.connection.execute("update agua.lecturas set zona = 'B' where cuenta <= 3")
    city.reads(9, 50)
    city.publish()
    assert city.shown() == before


def test_movers_do_not_make_up_for_one_that_leaves_and_one_that_comes(city: City) -> None:
    """In each zone three change alike; in both together only two."""
    for account in range(21, 30):
        city.reads(account, 100, zone="B")
    city.publish()
    before = city.shown()
    city.connection.execute("update agua.lecturas set zona = 'B' where cuenta <= 2")
    city.forget(3)
    city.reads(50, 60, zone="B")
    city.publish()
    assert city.shown() == before


def test_two_datasets_of_the_same_figure_wait_for_each_other(city: City) -> None:
    def other() -> Any:
        return city.publish("lugares", nombre="lugares", mart="agua.dim_lugar")

    city.publish()
    other()
    for account in (11, 12, 13):
        city.reads(account, 10)
    city.publish()
    city.reads(14, 777)
    other()
    # Four have come since the last release of this one, but one since that of the other.
    assert city.shown("lugares", "lugares") == {MAY: (10, 55_000)}
    assert city.shown() == {MAY: (13, 55_030)}
    # However often the other changes, this one has something to show.
    for step in range(KEPT_STATES + 1):
        for account in (1, 2, 3):
            city.reads(account, step + 1)
        city.publish()
    city.reads(15, 1)
    other()
    assert city.shown("lugares", "lugares") == {MAY: (10, 55_000)}


def test_exports_of_the_same_figures_take_turns(
    city: City, define: Define, manifest: Manifest, warehouse_url: str
) -> None:
    """One that looks at the memory while the other is about to write it would miss its state."""
    definition = define("consumo-de-agua", recursos=[city.resource])
    free = "select pg_try_advisory_lock(hashtextextended(%s, 0))"
    key = ["exports:contribuciones:intermediate.contribuciones_agua"]
    with psycopg.connect(warehouse_url) as other:
        with contributions_turn(city.connection, definition, manifest):
            assert other.execute(free, key).fetchone() == (False,)
        assert other.execute(free, key).fetchone() == (True,)


def test_another_name_or_a_withdrawal_does_not_forget(city: City) -> None:
    city.publish()
    city.reads(11, 777)
    city.publish("agua-de-la-ciudad")
    assert city.shown("agua-de-la-ciudad") == {MAY: (10, 55_000)}


def test_another_threshold_is_that_of_all_releases_from_then_on(city: City) -> None:
    city.publish()
    for account in (11, 12, 13):
        city.reads(account, 10)
    city.resource["divulgacion"]["diferencia_minima"] = 5
    city.publish()
    assert city.shown() == {MAY: (10, 55_000)}
    city.resource["divulgacion"]["umbral_minimo"] = 11
    assert city.publish().error is None
    # What it showed is too few for the new rule, and what it is now is too near to that.
    assert city.shown() == {}


def test_a_text_that_changes_needs_nobody_to_change(city: City) -> None:
    city.resource["columnas"] = ["zona", "mes", "cuentas", "litros", "mayor_pct"]
    city.publish()
    city.build()
    city.connection.execute("update agua.fct_zona set mayor_pct = 1.5")
    city.connection.commit()
    assert city.publish(build=False).estado == "publicada"
    text = (city.folder / "portal/consumo-de-agua/consumo.csv").read_text("utf-8")
    assert text.splitlines()[1].endswith(",1.5")


def test_what_is_of_different_builds_does_not_leave(city: City) -> None:
    city.publish()
    city.reads(11, 777)
    city.build()
    city.connection.execute("update agua.fct_zona set litros = litros - 777")
    city.connection.commit()
    result = city.publish(build=False)
    assert result.estado == "retenida" and result.error
    assert "construcciones distintas" in str(result.error)


def test_it_dies_after_remembering_and_goes_on(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    city.publish()
    for account in (11, 12, 13):
        city.reads(account, 10)

    def die(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("exports.export._install", die)
        with pytest.raises(KeyboardInterrupt):
            city.publish()
    assert city.shown() == {MAY: (10, 55_000)}
    # One more: near to what was remembered, whether anybody saw it or not.
    city.reads(14, 777)
    city.publish()
    assert city.shown() == {MAY: (13, 55_030)}


def test_a_release_that_is_repeated_adds_nothing_to_the_memory(city: City) -> None:
    def memory() -> Any:
        return city.connection.execute(
            "select estado_id, orden, (select count(*) from divulgacion.contribucion as c "
            "where c.estado_id = e.estado_id) from divulgacion.estado as e order by 1"
        ).fetchall()

    city.publish()
    before = memory()
    city.publish()
    assert memory() == before and len(before) == 1 and before[0][2] == 10
    for step in range(2 * KEPT_STATES):
        for account in (1, 2, 3):
            city.reads(account, step + 1)
        city.publish()
    assert len(memory()) == KEPT_STATES
    left = "select count(*) from divulgacion.contribucion"
    assert city.connection.execute(left).fetchone() == (10 * KEPT_STATES,)


def test_a_dataset_that_was_not_released_is_not_remembered(
    city: City, define: Define, manifest: Manifest
) -> None:
    city.build()
    definition = define("consumo-de-agua", recursos=[city.resource])
    result = export_dataset(
        city.connection, definition, manifest, city.folder / "salida", "corrida", city.portal
    )
    assert result.estado == "pendiente_aprobacion"
    assert city.connection.execute("select count(*) from divulgacion.estado").fetchone() == (0,)


def test_a_cell_that_was_hidden_is_not_compared_with(city: City) -> None:
    for account in (1, 2):
        city.reads(account, 100, zone="B")
    city.publish()
    city.reads(3, 100, zone="B")
    city.publish()
    assert city.shown()[("B", "2026-05-01")] == (3, 300)


def test_the_definition_cannot_forget_the_rule(
    city: City, define: Define, manifest: Manifest
) -> None:
    del city.resource["divulgacion"]["diferencia_minima"]
    with pytest.raises(DisclosureError, match="diferencia entre publicaciones"):
        check_request(define(recursos=[city.resource]), manifest)


@pytest.mark.parametrize(
    "written",
    [
        {"relacion": "intermediate.contribuciones_agua", "celda": ["zona"]},
        {"relacion": "intermediate.contribuciones_agua", "celda": ["sona"], "suma": "litros"},
        {"relacion": "intermediate.otra", "celda": ["zona"], "suma": "litros"},
        "intermediate.contribuciones_agua",
    ],
)  # fmt: skip
def test_a_mart_that_says_it_wrongly_is_refused(define: Define, written: Any) -> None:
    columns = {"zona": "text", "mes": "date", "cuentas": "integer", "litros": "bigint"}
    manifest = Manifest({"nodes": {
        "a": mart("agua", "fct_zona", columns, {"contribuciones": written}),
        "c": mart("intermediate", "contribuciones_agua", {}, {}),
    }})  # fmt: skip
    with pytest.raises(ExportError, match="recurso consumo"):
        check_request(define(recursos=[RESOURCE]), manifest)


@pytest.mark.parametrize("role", ["datos_equipo", "datos_analista", "datos_powerbi", "datos_luji"])
def test_no_role_reads_the_memory(city: City, role: str) -> None:
    city.publish()
    city.connection.execute(f"set role {role}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        city.connection.execute("select * from divulgacion.contribucion")
    city.connection.rollback()


@pytest.mark.parametrize("seed", [1, 3, 5])
def test_whoever_sees_all_releases_never_sees_fewer_than_the_least(city: City, seed: int) -> None:
    """Random late readings, corrections, accounts that come, go, move and change back.

    The attacker knows every release; what each was made of is looked up by its figures. Any two
    releases of a cell differ by nobody or by at least `LEAST` accounts, and so do any two that
    follow each other of both cells together.
    """
    chance = random.Random(seed)
    for account in range(20, 50):
        city.reads(account, chance.randint(1, 500), zone=chance.choice("AB"))
    made_of: dict[tuple[tuple[str, str], tuple[int, int]], dict[int, int]] = {}
    releases: list[dict[tuple[str, str], dict[int, int]]] = []
    for number in range(KEPT_STATES + 1):
        for _ in range(chance.randint(1, 2)):
            _happens(city, chance)
        if number == 3:
            city.connection.execute("update agua.lecturas set litros = litros + cuenta")
            city.connection.commit()
        assert city.publish().error is None
        for cell, made in contributions(city.connection).items():
            made_of.setdefault((cell, (len(made), sum(made.values()))), made)
        releases.append({cell: made_of[cell, figure] for cell, figure in city.seen[-1].items()})
    changes = 0
    for one, other in combinations(releases, 2):
        for cell in one.keys() & other.keys():
            found = _differing(one[cell], other[cell])
            changes += bool(found)
            assert not 0 < len(found) < LEAST
    for one, other in pairwise(releases):
        if one.keys() == other.keys():
            assert not 0 < len(_differing(_together(one), _together(other))) < LEAST
    assert changes, "nothing was ever updated"


def _happens(city: City, chance: random.Random) -> None:
    """Something that befalls one account or many."""
    first = chance.randint(1, 50)
    last = first + chance.choice((0, 0, 1, 12, 25))
    match chance.choice(("late", "late", "new", "gone", "move", "undo", "undo")):
        case "late":
            city.connection.execute(
                "insert into agua.lecturas select distinct on (cuenta) cuenta, zona, mes, "
                "10000 + (%s * cuenta) %% 99991 from agua.lecturas where cuenta between %s and %s",
                (chance.randint(1, 10**4), first, last),
            )
        case "new":
            for account in range(first, last + 1):
                city.reads(1000 + account, chance.randint(1, 500), zone=chance.choice("AB"))
        case "gone":
            for account in range(first, min(first + 3, last) + 1):
                city.forget(account)
        case "move":
            city.connection.execute(
                "update agua.lecturas set zona = 'B' where cuenta between %s and %s", (first, last)
            )
        case _:
            city.connection.execute(
                "delete from agua.lecturas where litros > 10000 and cuenta between %s and %s",
                (first, last),
            )
    city.connection.commit()


def _differing(one: dict[int, int], other: dict[int, int]) -> set[int]:
    return {account for account in one.keys() | other.keys()
            if one.get(account) != other.get(account)}  # fmt: skip


def _together(release: dict[tuple[str, str], dict[int, int]]) -> dict[int, int]:
    """What both cells add up to, account by account."""
    found: dict[int, int] = {}
    for made in release.values():
        for account, litres in made.items():
            found[account] = found.get(account, 0) + litres
    return found


def contributions(connection: Connection) -> dict[tuple[str, str], dict[int, int]]:
    found: dict[tuple[str, str], dict[int, int]] = {}
    rows: list[tuple[str, dt.date, int, int]] = connection.execute(
        "select zona, mes, cuenta, sum(litros)::int from agua.lecturas group by 1, 2, 3"
    ).fetchall()
    connection.rollback()
    for zone, month, account, litres in rows:
        found.setdefault((zone, month.isoformat()), {})[account] = litres
    return found


REQUESTS_SQL = """
create table poblacion.pedidos (pedido integer primary key, mes date, distrito text, canal text);
create table intermediate.contribuciones_pedidos (
    mes date, unidad text, clase text, medidas numeric[]
);
create table poblacion.fct_pedidos (mes date, dimension text, valor text, pedidos bigint);
"""
# Cells under 3 are hidden; where they add up to less, the next smallest too.
BUILD_REQUESTS_SQL = """
truncate intermediate.contribuciones_pedidos, poblacion.fct_pedidos;
insert into intermediate.contribuciones_pedidos
select mes, pedido || ' ' || dimension, dimension || '=' || valor, array[1]
from poblacion.pedidos
cross join lateral (
    values ('total', 'Total'), ('distrito', distrito), ('canal', canal)
) as d (dimension, valor);
insert into poblacion.fct_pedidos
select mes, dimension, valor, case when not (
    n < 3 or (menor < 3 and (lugar <= 2 or menores < 3))
) then n end
from (
    select *, min(n) over por as menor, row_number() over w as lugar,
        coalesce(sum(n) over (w rows between unbounded preceding and 1 preceding), 0) as menores
    from (
        select mes, split_part(clase, '=', 1) as dimension, split_part(clase, '=', 2) as valor,
            count(*) as n
        from intermediate.contribuciones_pedidos group by 1, 2, 3
    ) as c
    window por as (partition by mes, dimension), w as (por order by n, valor)
) as o;
"""


class Requests:
    """Requests of neighbours, published by month and one characteristic at a time."""

    def __init__(self, city: City) -> None:
        self.city = city
        city.connection.execute(REQUESTS_SQL)
        city.connection.commit()
        city.resource = {
            "nombre": "pedidos", "titulo": "Pedidos", "mart": "poblacion.fct_pedidos",
            "columnas": ["mes", "dimension", "valor", "pedidos"], "formatos": ["csv"],
            "divulgacion": {
                "umbral_minimo": 3, "justificacion": "Datos de prueba.", "diferencia_minima": 3,
                "columna_conteo": "pedidos", "margenes": [["mes", "dimension"]],
                "fila_total": {"columna": "dimension", "valor": "total"},
            },
        }  # fmt: skip
        self._next = 1

    def come(self, people: int, district: str, channel: str = "web", month: int = 5) -> None:
        for _ in range(people):
            self.city.connection.execute(
                "insert into poblacion.pedidos values (%s, make_date(2026, %s, 1), %s, %s)",
                (self._next, month, district, channel),
            )
            self._next += 1
        self.city.connection.commit()

    def publish(self) -> dict[str, str]:
        """Figures of May as they are seen; empty where one is hidden."""
        self.city.connection.execute(BUILD_REQUESTS_SQL)
        self.city.connection.commit()
        definition = self.city._define("pedidos", recursos=[self.city.resource])
        approve(self.city.connection, definition, "Comité", "Acta 1")
        self.city.connection.commit()
        result = export_dataset(
            self.city.connection, definition, self.city.manifest, self.city.folder / "salida",
            "corrida", self.city.portal,
        )  # fmt: skip
        assert result.error is None, result.reason
        with (self.city.folder / "portal/pedidos/pedidos.csv").open(encoding="utf-8") as stream:
            return {
                row["valor"]: row["pedidos"]
                for row in csv.DictReader(stream) if row["mes"] == "2026-05-01"
            }  # fmt: skip


@pytest.fixture
def requests(city: City) -> Requests:
    requests = Requests(city)
    requests.come(8, "Agrelo")
    requests.come(6, "Perdriel")
    return requests


def test_one_late_request_moves_neither_its_cell_nor_the_total(requests: Requests) -> None:
    first = requests.publish()
    assert first == {"Total": "14", "Agrelo": "8", "Perdriel": "6", "web": "14"}
    requests.come(1, "Agrelo")
    # Another cell has enough, and would give the one away: the total less the others.
    requests.come(5, "Perdriel")
    assert requests.publish() == first
    requests.come(2, "Agrelo")
    assert requests.publish() == {"Total": "22", "Agrelo": "11", "Perdriel": "11", "web": "22"}


def test_a_request_that_changes_its_district_changes_two_cells_by_one(requests: Requests) -> None:
    first = requests.publish()
    requests.city.connection.execute(
        "update poblacion.pedidos set distrito = 'Perdriel' where pedido = 1"
    )
    requests.come(4, "Agrelo")
    assert requests.publish() == first


def test_hidden_cells_change_together_as_the_total_shows_them(requests: Requests) -> None:
    requests.come(1, "Chacras")
    requests.come(2, "Lunlunta")
    first = requests.publish()
    assert (first["Total"], first["Chacras"], first["Lunlunta"]) == ("17", "", "")
    requests.come(1, "Chacras")
    requests.come(1, "El Carrizal")
    assert requests.publish() == first
    # Three of what is hidden, none of the rest: only their sum is seen.
    requests.come(1, "Lunlunta")
    later = requests.publish()
    assert (later["Total"], later["Agrelo"], later["El Carrizal"]) == ("20", "8", "")


def test_the_other_months_go_on(requests: Requests) -> None:
    first = requests.publish()
    requests.come(1, "Agrelo")
    requests.come(7, "Agrelo", month=6)
    assert requests.publish() == first
    text = (requests.city.folder / "portal/pedidos/pedidos.csv").read_text("utf-8")
    assert "2026-06-01,total,Total,7" in text


@pytest.mark.parametrize("seed", [2, 4])
def test_no_sum_of_cells_of_a_month_changes_by_fewer(requests: Requests, seed: int) -> None:
    """Every combination of what is shown of a dimension, its total and what is missing to it."""
    chance = random.Random(seed)
    requests.come(12, "Agrelo", "app")
    releases: list[tuple[dict[str, str], dict[int, tuple[str, str]]]] = []
    known: dict[tuple[tuple[str, str], ...], dict[int, tuple[str, str]]] = {}
    for _ in range(7):
        for _ in range(chance.randint(1, 3)):
            district = chance.choice(["Agrelo", "Perdriel", "Chacras", "Lunlunta"])
            requests.come(chance.choice((1, 3, 4, 6)), district, chance.choice(("web", "app")))
        if chance.random() < 0.5:
            requests.city.connection.execute(
                "update poblacion.pedidos set distrito = 'Chacras' where pedido <= %s",
                (chance.choice((1, 4)),),
            )
        shown = requests.publish()
        rows: list[tuple[int, str, str]] = requests.city.connection.execute(
            "select pedido, distrito, canal from poblacion.pedidos where mes = '2026-05-01'"
        ).fetchall()
        requests.city.connection.rollback()
        key = tuple(sorted(shown.items()))
        made = known.setdefault(key, {number: (where, how) for number, where, how in rows})
        releases.append((shown, made))
    assert len({tuple(sorted(shown.items())) for shown, _ in releases}) > 1
    for (shown, made), (later, since) in pairwise(releases):
        for dimension in (0, 1):
            both = {v for v in shown if shown[v] and later.get(v)} - {"Total"}
            values = sorted({where[dimension] for where in (*made.values(), *since.values())})
            seen = [v for v in values if v in both]
            hidden = frozenset(v for v in values if v not in both)
            for size in range(len(seen) + 1):
                for chosen in combinations(seen, size):
                    for cells in (frozenset(chosen), frozenset(chosen) | hidden):
                        before = {n for n, where in made.items() if where[dimension] in cells}
                        after = {n for n, where in since.items() if where[dimension] in cells}
                        assert not 0 < len(before ^ after) < 3
