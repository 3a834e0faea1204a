"""Quarantine decisions and drift."""

from orchestration.warehouse.migrations import forward

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0003_cuarentena.sql")
