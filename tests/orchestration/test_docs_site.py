"""What an analyst meets on opening the dbt documentation."""

from __future__ import annotations

from pathlib import Path

import dbt.task.docs

from orchestration.dbt_project import manifest
from orchestration.docs_site import CUT, describe_columns, with_plain_paths, with_whole_descriptions


def test_the_first_page_speaks_the_language_of_its_readers() -> None:
    page = manifest()["docs"]["doc.lujan.__overview__"]["block_contents"]

    assert "Almacén de datos" in page
    assert "Welcome" not in page


def test_the_first_page_names_the_schemas_that_marts_have() -> None:
    marts = {
        node["schema"]
        for node in manifest()["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
    page = manifest()["docs"]["doc.lujan.__overview__"]["block_contents"]

    assert {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")} == marts


def test_a_column_without_words_has_those_of_the_table_it_comes_from() -> None:
    def node(name: str, columns: dict[str, str], *above: str) -> dict[str, object]:
        described = {key: {"name": key, "description": words} for key, words in columns.items()}
        return {"schema": "s", "alias": name, "columns": described,
                "depends_on": {"nodes": list(above)}}  # fmt: skip

    documents = {
        "sources": {"raw": node("raw", {"tipo": "Clase de cuenta.", "zona": "Zona del padrón."})},
        "nodes": {
            "stg": node("stg", {"zona": "Zona corregida."}, "raw"),
            "mart": node("mart", {}, "stg"),
        },
    }
    tables = {
        "stg": ("tipo", "tipo_original", "zona", "otra"),
        "mart": ("tipo", "zona"),
    }

    describe_columns(
        documents,
        {"nodes": {name: {"columns": dict.fromkeys(columns)} for name, columns in tables.items()}},
    )

    said = {
        f"{table}.{column}": item["description"]
        for table, found in documents["nodes"].items()
        for column, item in found["columns"].items()  # type: ignore[attr-defined]
    }
    assert said == {
        "stg.tipo": "Clase de cuenta. (s.raw)",
        "stg.tipo_original": "Como llegó, sin corregir. Clase de cuenta. (s.raw)",
        "stg.zona": "Zona corregida.",
        "mart.tipo": "Clase de cuenta. (s.raw)",
        "mart.zona": "Zona corregida. (s.stg)",
    }


def test_reference_lists_are_shown_in_a_folder_with_a_name() -> None:
    page = '{"original_file_path": "../seeds/reference/ods.csv"}'

    assert with_plain_paths(page) == '{"original_file_path": "seeds/reference/ods.csv"}'


def test_descriptions_of_columns_are_not_cut() -> None:
    program = (Path(dbt.task.docs.__file__).parent / "index.html").read_text(encoding="utf-8")

    page = with_whole_descriptions(program)

    cut = f'<td style="text-overflow: ellipsis; overflow-x: hidden; white-space: nowrap; {CUT}'
    assert page.count(cut) == 3, "what the style takes hold of is still there"
    head = page.partition("</head>")[0]
    assert f'td[style*="{CUT}"] {{ white-space: normal' in head
