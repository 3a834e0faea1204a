"""What was published of each cell, and who made it up: nobody reads it but its owner."""

from orchestration.warehouse.migrations import forward

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0021_divulgacion.sql")
