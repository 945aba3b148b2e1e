"""Budgets of requests that processes share."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables of budgets and of their slices."""
    op.create_table(
        "budgets",
        sa.Column("budget", sa.String(255), primary_key=True),
        sa.Column("allowed", sa.Integer, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("connections", sa.Integer),
        sa.Column("cooling", sa.JSON, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("worst", sa.Integer),
        sa.Column("paused_until", sa.Float, nullable=False),
        sa.Column("probing", sa.Boolean, nullable=False),
        sa.Column("prober", sa.String(255)),
        sa.Column("prober_until", sa.Float),
        sa.Column("daily_left", sa.Integer),
        sa.Column("daily_renews", sa.Float),
        sa.Column("daily_at", sa.Float),
    )
    op.create_table(
        "budget_slices",
        sa.Column("budget", sa.String(255), sa.ForeignKey("budgets.budget"), primary_key=True),
        sa.Column("holder", sa.String(255), primary_key=True),
        sa.Column("places", sa.Integer, nullable=False),
        sa.Column("wanted", sa.Integer, nullable=False),
        sa.Column("connections", sa.Integer, nullable=False),
        sa.Column("connections_wanted", sa.Integer, nullable=False),
        sa.Column("daily", sa.Integer, nullable=False),
        sa.Column("served_at", sa.Float, nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )


def downgrade() -> None:
    """Take the tables away again."""
    op.drop_table("budget_slices")
    op.drop_table("budgets")
