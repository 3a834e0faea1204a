"""The states an alert may go through, one rule for whoever changes them."""

from orchestration.warehouse.migrations import forward

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0017_avisos.sql")
