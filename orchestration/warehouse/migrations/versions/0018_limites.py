"""Why rows are set aside that a raw table cannot hold: the length of keys, impossible months."""

from orchestration.warehouse.migrations import forward

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0018_limites.sql")
