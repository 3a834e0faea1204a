"""Projections of consumption with their error; months taken out of raw tables and put back."""

from orchestration.warehouse.migrations import forward

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0012_proyecciones_y_meses.sql")
