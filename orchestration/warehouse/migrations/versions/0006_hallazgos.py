"""Findings, digests, scores by day, corrections by load."""

from orchestration.warehouse.migrations import forward

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0006_hallazgos.sql")
