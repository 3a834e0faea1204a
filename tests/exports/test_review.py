"""Reviewing and drafting definitions: everything at once, with its line, and drafts that hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from exports.definition import DATASETS_DIR, SCHEMA_FILE, definition_schema, load_definition
from exports.errors import DisclosureError
from exports.manifest import Manifest, check_definition
from exports.review import draft, line_of, review
from orchestration.cli import portal_definitions
from orchestration.cli.main import app
from tests.exports.conftest import Define

WRONG = """\
titulo: Proyectos
descripcion: Corta
tema: AGUA
etiquetas: [proyectos]
frecuencia: R/P1|
secretaria: Obras Públicas
contacto: {nombre: Equipo}
fuentes: [MLC]
color: rojo
recursos:
  - nombre: proyectos
    titulo: Proyectos
    mart: raw.mlc__proyectos
    columnas: [proyecto_id]
  - nombre: Otros
    titulo: Otros
    mart: proyectos.fct_proyecto
    columnas:
      - proyecto_id
      - Nombre
"""
FACTS = {
    "titulo": "Proyectos por distrito", "recurso": "proyectos", "tema": "GOVE",
    "frecuencia": "R/P1M", "secretaria": "Obras Públicas", "fuentes": ["MLC"],
}  # fmt: skip


def test_all_errors_come_at_once_with_their_lines(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "proyectos.yaml"
    path.write_text(WRONG, encoding="utf-8")
    found = {(item.line, item.field) for item in review(path, manifest)}
    assert found == {
        (3, "tema"), (5, "frecuencia"), (9, "color"), (13, "recursos.0.mart"),
        (15, "recursos.1.nombre"), (20, "recursos.1.columnas.1"),
    }  # fmt: skip
    assert all(item.blocking and item.next_step for item in review(path, manifest))


def test_columns_that_may_not_leave_are_pointed_at(
    define: Define, document: dict[str, Any], manifest: Manifest
) -> None:
    document["recursos"][0]["columnas"] += ["responsable", "inexistente"]
    path = define().ruta
    lines = path.read_text("utf-8").splitlines()
    found = [item for item in review(path, manifest) if item.blocking]
    assert [lines[item.line - 1].strip(" -") for item in found] == ["responsable", "inexistente"]
    assert "acceso_restringido" in found[0].what and "no existe" in found[1].what


def test_people_without_protection_are_found_and_texts_are_only_advised(
    define: Define, people_resource: dict[str, Any], manifest: Manifest
) -> None:
    del people_resource["divulgacion"]
    found = review(define(recursos=[people_resource], descripcion="Corta").ruta, manifest)
    assert [item.blocking for item in found if "divulgacion" in item.what] == [True]
    assert {item.field for item in found if not item.blocking} == {
        "descripcion", "etiquetas", "recursos.0",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["titulo: [sin cerrar\n", "a: 1\n b: 2\n", "", "- una lista\n"])
def test_what_is_no_document_is_one_finding(tmp_path: Path, manifest: Manifest, text: str) -> None:
    path = tmp_path / "rota.yaml"
    path.write_text(text, encoding="utf-8")
    (found,) = review(path, manifest)
    assert found.blocking and found.line >= 1


def test_a_line_is_that_of_the_nearest_thing_written() -> None:
    assert line_of(WRONG, ("recursos", 1, "columnas", 1)) == 20
    assert line_of(WRONG, ("recursos", 1, "orden")) == 15
    assert line_of(WRONG, ("licencia",)) == 1


def test_a_draft_is_valid_and_leaves_out_what_may_not_leave(
    tmp_path: Path, manifest: Manifest
) -> None:
    text, hidden = draft(manifest.mart("proyectos.fct_proyecto"), manifest, FACTS)
    path = tmp_path / "proyectos-por-distrito.yaml"
    path.write_text(text, encoding="utf-8")
    definition = load_definition(path)
    assert hidden == ["responsable", "sin_describir"]
    assert not set(hidden) & set(definition.recursos[0].columnas)
    assert check_definition(definition, manifest) == []
    assert [item for item in review(path, manifest) if item.blocking] == []
    assert text.startswith("# yaml-language-server: $schema=../dataset.schema.json\n")


def test_nothing_open_gives_no_draft() -> None:
    node = {"resource_type": "model", "schema": "agua", "name": "fct_x",
            "columns": {"a": {"data_type": "text", "description": "x"}}}  # fmt: skip
    manifest = Manifest({"nodes": {"m": node}})
    with pytest.raises(DisclosureError, match="ninguna columna"):
        draft(manifest.mart("agua.fct_x"), manifest, FACTS)


def test_the_schema_for_editors_is_current() -> None:
    """When this fails: `lujan portal schema`."""
    assert json.loads(SCHEMA_FILE.read_text("utf-8")) == definition_schema()


def test_the_schema_accepts_what_the_model_accepts_and_names_what_it_does_not() -> None:
    validator = jsonschema.Draft202012Validator(definition_schema())
    for path in DATASETS_DIR.glob("*.yaml"):
        text = path.read_text("utf-8")
        assert text.startswith("# yaml-language-server: $schema=../dataset.schema.json\n"), path
        assert list(validator.iter_errors(yaml.safe_load(text))) == [], path
    wrong = {error.json_path for error in validator.iter_errors(yaml.safe_load(WRONG))}
    assert {"$", "$.tema", "$.frecuencia"} <= wrong


def test_the_schema_speaks_spanish_to_staff() -> None:
    text = SCHEMA_FILE.read_text("utf-8")
    assert "Which columns" not in text and "one by one" not in text
    assert "columnas que se publican" in text.casefold()


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, manifest: Manifest) -> Any:
    monkeypatch.setattr(portal_definitions, "_manifest", lambda: manifest)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["portal", *arguments])

    return run


def test_new_then_check_then_a_mistake(cli: Any, tmp_path: Path, capsys: Any) -> None:
    folder = str(tmp_path)
    options = ["--mart", "proyectos.fct_proyecto", "--title", "Proyectos", "--theme", "GOVE",
               "--frequency", "R/P1M", "--owner", "Obras Públicas", "--folder", folder]  # fmt: skip
    with capsys.disabled():
        assert cli("new", "proyectos", *options).exit_code == 0
        assert cli("check", "proyectos", "--folder", folder).exit_code == 0
        assert cli("new", "proyectos", *options).exit_code != 0
        path = tmp_path / "proyectos.yaml"
        path.write_text(path.read_text("utf-8").replace("GOVE", "AGUA"), encoding="utf-8")
        assert cli("check", "--folder", folder).exit_code == 1
        assert cli("new", "otro", *options[:4], "--theme", "AGUA", *options[6:]).exit_code != 0
    assert not (tmp_path / "otro.yaml").exists()
