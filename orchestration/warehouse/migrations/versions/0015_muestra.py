"""Whether a warehouse holds the synthetic sample."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql" / "0015_muestra.sql"


def upgrade() -> None:
    # Straight to the driver: SQLAlchemy would read a % as a placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(_SQL.read_bytes())


def downgrade() -> None:
    raise NotImplementedError("a warehouse only moves forward: restore a backup instead")
