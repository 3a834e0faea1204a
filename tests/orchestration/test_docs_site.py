"""What an analyst meets on opening the dbt documentation."""

from __future__ import annotations

from pathlib import Path

import dbt.task.docs

from orchestration.dbt_project import manifest
from orchestration.docs_site import CUT, with_plain_paths, with_whole_descriptions


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
