"""Data the repository brings with it: reference lists (``reference/``) and a sample city.

Nothing here knows Dagster, dbt or the warehouse.
"""
