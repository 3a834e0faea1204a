"""Telemetry: messages that were landed, months taken out of raw tables."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql" / "0008_telemetria.sql"


def upgrade() -> None:
    # Straight to the driver: SQLAlchemy would read a % as a placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(_SQL.read_bytes())


def downgrade() -> None:
    raise NotImplementedError("a warehouse only moves forward: restore a backup instead")
