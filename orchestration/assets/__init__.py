"""Dagster assets and checks, one module per stage: raw, dbt, controls, exports."""
