"""From the marts to the people outside: portal datasets, their files, metadata and publication.

Belongs here: `datasets/<name>.yaml` (one per portal dataset, readable by city staff), the files
made from them, disclosure control, metadata and the portal client. Does not belong here: Dagster,
the decision whether a failed check withholds a dataset (`orchestration/`), and any computation
on the data (`dbt_project/`): an export selects, orders and formats, nothing else. Plain functions
of a connection and a definition, usable from a notebook.
"""
