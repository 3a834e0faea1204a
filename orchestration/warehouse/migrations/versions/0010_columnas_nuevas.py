"""Columns that a contract does not declare; keys that a source declares."""

from orchestration.warehouse.migrations import forward

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0010_columnas_nuevas.sql")
