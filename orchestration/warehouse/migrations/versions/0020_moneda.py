"""Amounts whose names do not say a currency: it is the city's, written once."""

from orchestration.warehouse.migrations import forward

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0020_moneda.sql")
