"""How columns were read up to a watermark: another reading makes a table be read whole again."""

from orchestration.warehouse.migrations import forward

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None
downgrade = forward.downgrade


def upgrade() -> None:
    forward.run("0019_lectura_de_la_marca.sql")
