"""Publications on a portal: versions, steps, what the portal shows."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql" / "0009_portal.sql"


def upgrade() -> None:
    # Straight to the driver: SQLAlchemy would read a % as a placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(_SQL.read_bytes())


def downgrade() -> None:
    raise NotImplementedError("a warehouse only moves forward: restore a backup instead")
