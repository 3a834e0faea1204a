"""Files of feeds: versions, archive, what of them is in force."""

from orchestration.warehouse.migrations import forward

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0002_archivos.sql")
