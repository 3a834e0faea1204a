"""Alembic's entry: runs the versions on the connection `migrate.py` hands over, in one transaction.

There is no offline mode: a warehouse is always migrated by the program that will use it.
"""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table="version_esquema",
    version_table_schema="meta",
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
