"""Quality: verdicts over whole tables, releases by hand, profiles."""

from orchestration.warehouse.migrations import forward

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0005_calidad.sql")
