"""Columns that a contract does not declare; keys that a source declares."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SQL = Path(__file__).parents[1] / "sql" / "0010_columnas_nuevas.sql"


def upgrade() -> None:
    # Straight to the driver: SQLAlchemy would read a % as a placeholder.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(_SQL.read_bytes())


def downgrade() -> None:
    raise NotImplementedError("a warehouse only moves forward: restore a backup instead")
