"""Async jobs, who runs a run, the suppression list, salts of holdouts, and alerts."""

import sqlalchemy as sa
from alembic import op

from millstream.state.ledger.tables import Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add what delivery at full depth needs."""
    op.add_column("runs", sa.Column("holder", sa.String(255)))
    op.add_column("batches", sa.Column("label", sa.String(64)))
    op.add_column("batches", sa.Column("job_id", sa.Text))
    op.create_table(
        "suppressions",
        sa.Column("channel", sa.String(32), primary_key=True),
        sa.Column("value_hash", sa.String(64), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", Moment, nullable=False),
    )
    op.create_table(
        "salts",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("salt", sa.String(64), nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.Column("told_at", Moment),
        sa.Column("what", sa.Text, nullable=False),
    )
