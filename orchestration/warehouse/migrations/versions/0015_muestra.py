"""Whether a warehouse holds the synthetic sample."""

from orchestration.warehouse.migrations import forward

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0015_muestra.sql")
