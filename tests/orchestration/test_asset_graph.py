"""The shape of the asset graph, as a file: every change of it is visible in review.

`LUJAN_UPDATE_SNAPSHOTS=1 pytest tests/orchestration/test_asset_graph.py` rewrites the file after
a change that is wanted.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from dagster import Definitions

SNAPSHOT = Path(__file__).with_name("asset_graph.json")


def shape(definitions: Definitions) -> dict[str, Any]:
    graph = definitions.resolve_asset_graph()
    return {
        node.key.to_user_string(): {
            "group": node.group_name,
            "owners": sorted(node.owners),
            "parents": sorted(key.to_user_string() for key in node.parent_keys),
            "checks": sorted(key.name for key in node.check_keys),
        }
        for node in sorted(graph.asset_nodes, key=lambda node: node.key.to_user_string())
        if node.is_materializable
    }


def test_the_asset_graph_is_the_one_on_file() -> None:
    from orchestration.definitions import defs

    found = shape(defs)
    if os.environ.get("LUJAN_UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(
            json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    assert found == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def test_every_mart_has_an_owner_a_description_and_typed_columns() -> None:
    from orchestration.definitions import defs

    graph = defs.resolve_asset_graph()
    marts = [node for node in graph.asset_nodes if node.group_name == "4_marts"]
    assert marts
    for node in marts:
        name = node.key.to_user_string()
        assert node.owners, name
        assert node.description, name
        schema = node.metadata["dagster/column_schema"]
        assert all(column.description and column.type for column in schema.columns), name


def test_exports_are_downstream_of_every_mart_they_publish() -> None:
    from exports.definition import load_definitions
    from orchestration.assets.naming import export_key, relation_key
    from orchestration.definitions import defs

    graph = defs.resolve_asset_graph()
    loaded = load_definitions()
    assert not loaded.errors
    for name, definition in loaded.definitions.items():
        parents = graph.get(export_key(name)).parent_keys
        assert parents == {relation_key(*mart.split(".")) for mart in definition.marts}


def test_everything_on_screen_says_what_it_is_and_whose() -> None:
    from orchestration.definitions import defs

    nodes = defs.resolve_asset_graph().asset_nodes
    speechless = {
        node.key.to_user_string()
        for node in nodes
        if not (node.description and node.owners and node.kinds) or node.group_name == "default"
    }

    assert speechless == set()


def test_a_check_says_what_it_asks_and_whether_it_withholds() -> None:
    from orchestration.definitions import defs

    checks = defs.resolve_asset_graph()
    words = {
        f"{key.asset_key.to_user_string()}:{key.name}": checks.get_check_spec(key).description
        for key in checks.asset_check_keys
    }

    assert [name for name, text in words.items() if not text] == []
    key = words["agua/dim_cuenta:clave_unica_dim_cuenta_cuenta_id"]
    assert key == (
        "La clave (cuenta_id) está completa y no se repite. Si no pasa, retiene lo que depende de "
        "esta tabla."
    )
    reference = words["agua/dim_cuenta:relationships_dim_cuenta_zona_id__zona_id__ref_dim_zona_"]
    assert reference.endswith("Si no pasa, avisa, y no retiene nada.")
