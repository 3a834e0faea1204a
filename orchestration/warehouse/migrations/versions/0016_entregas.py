"""Last good versions for those who read the warehouse directly: the chatbot and the boards."""

from orchestration.warehouse.migrations import forward

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0016_entregas.sql")
