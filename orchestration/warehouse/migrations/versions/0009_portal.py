"""Publications on a portal: versions, steps, what the portal shows."""

from orchestration.warehouse.migrations import forward

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0009_portal.sql")
