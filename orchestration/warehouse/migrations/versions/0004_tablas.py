"""Loads of tables: key comparisons, checksums."""

from orchestration.warehouse.migrations import forward

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0004_tablas.sql")
