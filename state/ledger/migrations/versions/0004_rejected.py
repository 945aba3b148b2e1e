"""Why a rejected row is not tried any more, and its values where the project asks for them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add two columns."""
    op.add_column("rejected", sa.Column("aged_out", sa.Text))
    op.add_column("rejected", sa.Column("clear_text", sa.JSON))
