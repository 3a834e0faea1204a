"""The projections of consumption as a Dagster asset.

Belongs here: when it runs and what its page shows. Does not belong here: reading, keeping
(`orchestration/projections.py`) or calculating (`orchestration/forecasting.py`).

It reads the last model of the series and comes after the marts that show its result. Those are
views, so they show the new projection at once; as a step between two models it would cut the one
dbt command of a run in two.
"""

from dagster import AssetExecutionContext, AssetsDefinition, MaterializeResult, MetadataValue, asset

from orchestration.assets.naming import PROJECTIONS_GROUP, owners, relation_key
from orchestration.progress import observer
from orchestration.projections import SERIES, SHOWN_IN, ZoneOutcome, update_projections
from orchestration.warehouse.connection import locate
from sources.city import city_values
from sources.wording import number

_OWNER = str(city_values()["area_agua"])


def projection_asset() -> AssetsDefinition:
    """Twelve months of consumption per zone, with intervals and measured error."""

    @asset(
        key=relation_key("agua", "proyecciones"),
        deps=[relation_key(*name.split(".")) for name in (SERIES, *SHOWN_IN)],
        group_name=PROJECTIONS_GROUP,
        description=(
            "Proyecta el consumo de cada zona a doce meses, con su intervalo y el error medido en "
            "meses apartados. Se lee en `agua.fct_proyeccion_consumo` y "
            "`agua.kpi_proyeccion_consumo`."
        ),
        owners=owners(_OWNER),
        kinds={"python", "postgres"},
    )
    def projections(context: AssetExecutionContext) -> MaterializeResult[None]:
        watch = observer()
        watch.started("projections", "zonas")
        outcomes = update_projections(locate())
        made = [outcome for outcome in outcomes if outcome.projection is not None]
        watch.finished("projections", "zonas", "ok" if made else "sin_cambios")
        return MaterializeResult(
            metadata={
                "zonas": len(outcomes),
                "zonas_recalculadas": len(made),
                "detalle": MetadataValue.md(_table(made)),
            }
        )

    return projections


def _table(outcomes: list[ZoneOutcome]) -> str:
    if not outcomes:
        return "Ninguna serie cambió desde la última proyección."
    lines = [
        f"| {outcome.zone} | {outcome.months} | {found.method or 'no se proyecta'} | "
        f"{_number(found.model_error_pct)} | {_number(found.baseline_error_pct)} | {found.reason} |"
        for outcome in outcomes
        if (found := outcome.projection) is not None
    ]
    return "\n".join(
        ["| zona | meses | método | error del modelo, % | error de la referencia, % | motivo |",
         "|---|---|---|---|---|---|", *lines]
    )  # fmt: skip


def _number(value: float | None) -> str:
    return "sin dato" if value is None else number(value, 2)
