"""Water: progress of incremental models, alerts and their states."""

from orchestration.warehouse.migrations import forward

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0007_agua.sql")
