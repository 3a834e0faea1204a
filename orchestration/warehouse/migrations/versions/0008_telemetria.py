"""Telemetry: messages that were landed, months taken out of raw tables."""

from orchestration.warehouse.migrations import forward

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0008_telemetria.sql")
