"""What alerts are about and which channels were told, and which sources or syncs a run is for."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("alerts", sa.Column("facts", sa.JSON))
    op.add_column("alerts", sa.Column("told", sa.JSON))
    op.add_column("runs", sa.Column("about", sa.JSON))
