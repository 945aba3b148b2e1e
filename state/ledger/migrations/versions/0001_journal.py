"""The journal's first tables."""

import sqlalchemy as sa
from alembic import op

from millstream.state.ledger.tables import Moment

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of the first version."""
    _runs_and_leases()
    _plans_and_batches()
    op.create_table(
        "rejected",
        sa.Column("sync", sa.String(255), primary_key=True),
        sa.Column("match_hash", sa.String(64), primary_key=True),
        sa.Column("profile_id", sa.String(64)),
        sa.Column("operation", sa.String(16), primary_key=True),
        sa.Column("payload_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("fault", sa.String(16)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_at", Moment, nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        sa.Column("next_try_at", Moment),
    )


def _runs_and_leases() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("summary", sa.JSON, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
    )


def _plans_and_batches() -> None:
    op.create_table(
        "plans",
        sa.Column("plan_id", sa.String(64), primary_key=True),
        sa.Column("sync", sa.String(255), nullable=False, index=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("made_at", Moment, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("audience_id", sa.Text),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("settled_at", Moment),
    )
    op.create_table(
        "batches",
        sa.Column("batch_id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("plan_id", sa.String(64), sa.ForeignKey("plans.plan_id"), nullable=False, index=True),
        sa.Column("operation", sa.String(16), nullable=False),
        sa.Column("rows", sa.LargeBinary, nullable=False),
        sa.Column("started_at", Moment, nullable=False),
        sa.Column("finished_at", Moment),
        sa.Column("outcomes", sa.LargeBinary),
    )


def downgrade() -> None:
    """Take the tables away again."""
    for table in ("rejected", "batches", "plans", "leases", "runs"):
        op.drop_table(table)
