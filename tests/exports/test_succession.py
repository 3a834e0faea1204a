"""Two releases that differ by a few people: the second waits until more have come or gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from exports.approvals import approve
from exports.definition import DatasetDefinition, columns_fingerprint
from exports.errors import DefinitionError
from exports.export import WAITING, ExportResult, export_dataset
from exports.manifest import Manifest
from exports.portal import LocalPublisher
from exports.succession import SmallChange, small_changes
from tests.exports.conftest import Connection, Define

RULE: dict[str, Any] = {
    "columna_conteo": "n_personas", "medidas": ["edad_promedio"], "umbral_minimo": 10,
    "margenes": [["distrito"]], "diferencia_minima": 10,
}  # fmt: skip


def table(folder: Path, name: str, rows: dict[tuple[str, str], int | None]) -> Path:
    path = folder / name
    lines = [f"{place},{gender},{'' if n is None else n}" for (place, gender), n in rows.items()]
    path.write_text("distrito,genero,n_personas\r\n" + "\r\n".join(lines) + "\r\n", "utf-8")
    return path


BEFORE: dict[tuple[str, str], int | None] = {
    ("Agrelo", "F"): 40, ("Agrelo", "M"): 30, ("Ciudad", "F"): 50, ("Ciudad", "M"): None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({}, []),
        ({("Agrelo", "F"): 41}, [SmallChange(("Agrelo",), 1)]),
        ({("Agrelo", "F"): 36, ("Agrelo", "M"): 34}, [SmallChange(("Agrelo",), 8)]),
        ({("Agrelo", "F"): 35, ("Agrelo", "M"): 35}, []),
        ({("Agrelo", "F"): 50, ("Ciudad", "F"): 49}, [SmallChange(("Ciudad",), 1)]),
        # Hidden in one of both: nothing to subtract.
        ({("Ciudad", "M"): 12}, []),
        ({("Agrelo", "F"): None, ("Agrelo", "M"): 30}, []),
        # A district that was not there before.
        ({("Vistalba", "F"): 12}, []),
    ],
)  # fmt: skip
def test_groups_that_changed_by_a_few_are_found(
    define: Define, people_resource: dict[str, Any], tmp_path: Path,
    now: dict[tuple[str, str], int | None], found: list[SmallChange],
) -> None:  # fmt: skip
    people_resource["divulgacion"] = RULE
    resource = define(recursos=[people_resource]).recursos[0]
    assert resource.divulgacion
    before, after = table(tmp_path, "a.csv", BEFORE), table(tmp_path, "b.csv", BEFORE | now)
    key = ["distrito", "genero"]
    assert small_changes(before, after, resource, resource.divulgacion, key) == found


def test_the_change_of_a_group_is_that_of_the_table_that_moved_most(
    define: Define, people_resource: dict[str, Any], tmp_path: Path
) -> None:
    """One-way tables in long form: `distrito` stands for the programme, `genero` for dimension."""
    people_resource["divulgacion"] = RULE | {
        "margenes": [["distrito", "genero"]],
        "fila_total": {"columna": "genero", "valor": "total"},
    }
    resource = define(recursos=[people_resource]).recursos[0]
    assert resource.divulgacion
    before = {("1", "total"): 100, ("1", "edad"): 60, ("2", "total"): 80}
    now = {("1", "total"): 109, ("1", "edad"): 72, ("2", "total"): 83}
    found = small_changes(
        table(tmp_path, "a.csv", {**before}), table(tmp_path, "b.csv", {**now}),
        resource, resource.divulgacion, ["distrito", "genero"],
    )  # fmt: skip
    assert found == [SmallChange(("2",), 3)]


def test_a_release_waits_and_leaves_with_the_next_changes(
    connection: Connection, define: Define, manifest: Manifest, people_resource: dict[str, Any],
    tmp_path: Path,
) -> None:  # fmt: skip
    people_resource["divulgacion"] = RULE
    people_resource["formatos"] = ["csv", "json"]
    definition: DatasetDefinition = define("beneficiarios", recursos=[people_resource])
    approve(connection, definition, "Comité", "Acta 1")
    connection.commit()
    portal = LocalPublisher(tmp_path / "portal", "https://datos.example.org")

    def release() -> ExportResult:
        return export_dataset(
            connection, definition, manifest, tmp_path / "salida", "corrida", portal
        )

    def come(people: int) -> None:
        connection.execute(
            "update poblacion.fct_beneficiarios set n_personas = n_personas + %s "
            "where genero = 'Masculino'", (people,)
        )  # fmt: skip
        connection.commit()

    def shown() -> int:
        path = tmp_path / "portal" / "beneficiarios" / "beneficiarios.json"
        rows = json.loads(path.read_text("utf-8"))
        return int(next(row["n_personas"] for row in rows if row["genero"] == "Masculino"))

    assert release().estado == "publicada"
    come(4)
    waiting = release()
    assert (waiting.estado, waiting.error, shown()) == ("retenida", None, 30)
    assert waiting.reason.startswith(WAITING) and "menos de 10" in waiting.reason
    come(6)
    assert release().estado == "publicada"
    assert shown() == 40
    assert release().estado == "sin_cambios"

    # What the last release showed is not at hand: nobody can say, so nothing leaves.
    (tmp_path / "salida" / "beneficiarios" / "beneficiarios.csv").unlink()
    come(20)
    blind = release()
    assert blind.estado == "retenida" and blind.error and shown() == 40
    assert "https://datos.example.org/beneficiarios/beneficiarios.csv" in blind.error.next_step


def test_approvals_from_before_the_rule_stand_until_it_is_used(
    define: Define, people_resource: dict[str, Any]
) -> None:
    people_resource["divulgacion"] = RULE
    with_rule = columns_fingerprint(define(recursos=[people_resource]))
    people_resource["divulgacion"] = {**RULE, "diferencia_minima": None}
    assert columns_fingerprint(define(recursos=[people_resource])) != with_rule


def test_it_compares_csv_files(define: Define, people_resource: dict[str, Any]) -> None:
    people_resource["divulgacion"] = RULE
    people_resource["formatos"] = ["json"]
    with pytest.raises(DefinitionError, match="compara archivos csv"):
        define(recursos=[people_resource])
