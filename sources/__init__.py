"""From a system of the city to `raw`: contracts, readers and landing.

Belongs here: reading and checking contracts, one reader per kind of source (all give Arrow
record batches), and the load of those batches in one transaction. Does not belong here: Dagster,
quality rules beyond what a type can hold (`expectations/`), and anything that corrects a value
(`dbt_project/`). Plain functions of a connection and a contract, usable from a notebook.
"""
