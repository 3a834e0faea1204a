"""Names that Dagster shows: asset keys, groups, owners.

One place, because dbt's sources must resolve to the very keys the raw assets have.
"""

from __future__ import annotations

from dagster import AssetKey

from orchestration.wording import area_of
from sources.names import slug

RAW_GROUP = "1_raw"
STAGING_GROUP = "2_staging"
INTERMEDIATE_GROUP = "3_intermediate"
MARTS_GROUP = "4_marts"
BOOKS_GROUP = "0_contabilidad"
REFERENCE_GROUP = "0_referencia"
EXPORTS_GROUP = "5_exports"
PROJECTIONS_GROUP = "6_proyecciones"


def raw_key(table: str) -> AssetKey:
    """Key of a raw table: `raw/<system>__<dataset>`."""
    return AssetKey(["raw", table])


def relation_key(schema: str, table: str) -> AssetKey:
    """Key of a dbt relation: `<schema>/<table>`."""
    return AssetKey([schema, table])


def export_key(name: str) -> AssetKey:
    """Key of a portal dataset: `exports/<name>` (Dagster keys take no hyphens)."""
    return AssetKey(["exports", name.replace("-", "_")])


def owners(area: str | None) -> list[str]:
    """Dagster's owner notation for a secretariat; empty when unknown."""
    return [f"team:{slug(area_of(area))}"] if area else []
