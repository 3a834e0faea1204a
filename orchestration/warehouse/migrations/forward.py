"""What every migration but the first does: run its SQL, and never go back.

Belongs here: that. Does not belong here: any statement (`sql/`), or the order of versions.
"""

from pathlib import Path

from alembic import op

_SQL = Path(__file__).parent / "sql"


def run(name: str) -> None:
    """Execute `sql/<name>`, straight by the driver: SQLAlchemy would read a % as a placeholder."""
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute((_SQL / name).read_bytes())


def downgrade() -> None:
    """Refuse: what a migration changed is undone from a backup."""
    raise NotImplementedError("a warehouse only moves forward: restore a backup instead")
