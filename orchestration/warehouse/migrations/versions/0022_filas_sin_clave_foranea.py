"""Rows of history and quarantine name their load without a check of each."""

from orchestration.warehouse.migrations import forward

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0022_filas_sin_clave_foranea.sql")
