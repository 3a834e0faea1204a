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
