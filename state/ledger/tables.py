"""The journal's tables. ``migrations/`` brings a database of an older version to this shape."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
)

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """A time in UTC. SQLite keeps no zone: it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, without a zone where the database has none."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


runs = Table(
    "runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("status", String(16), nullable=False),  # running, completed, failed, killed
    Column("holder", String(255)),  # host/pid/run, while it runs
    Column("summary", JSON, nullable=False),
    Column("about", JSON),  # the sources or syncs it is for; empty: all
)

plans = Table(
    "plans",
    metadata,
    Column("plan_id", String(64), primary_key=True),
    Column("sync", String(255), nullable=False, index=True),
    Column("run_id", String(64), nullable=False),
    Column("made_at", Moment, nullable=False),
    Column("path", Text, nullable=False),  # the Parquet file with the operations
    Column("audience_id", Text),  # the vendor's id of the audience
    Column("status", String(16), nullable=False),  # planned, sending, settling, settled
    Column("counts", JSON, nullable=False),
    Column("settled_at", Moment),
)

batches = Table(
    "batches",
    metadata,
    Column("batch_id", Integer, primary_key=True, autoincrement=True),
    Column("plan_id", String(64), ForeignKey("plans.plan_id"), nullable=False, index=True),
    Column("operation", String(16), nullable=False),
    Column("rows", LargeBinary, nullable=False),  # numbers of the plan's rows
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("outcomes", LargeBinary),  # one for each row; empty while nobody knows
    Column("label", String(64)),  # of an async job: our name for it, before it is submitted
    Column("job_id", Text),  # of an async job: the vendor's id, before it is asked after
)

rejected = Table(
    "rejected",
    metadata,
    Column("sync", String(255), nullable=False),
    Column("match_hash", String(64), nullable=False),  # SHA-256 of the match value: no clear personal data here
    Column("profile_id", String(64)),
    Column("operation", String(16), nullable=False),
    Column("payload_hash", String(64), nullable=False),
    Column("status", String(16), nullable=False),  # rejected, suppressed, retry_later, unknown
    Column("code", Text),
    Column("reason", Text),
    Column("fault", String(16)),
    Column("attempts", Integer, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("next_try_at", Moment),  # empty: held until the row changes
    Column("aged_out", Text),  # why it is held
    Column("clear_text", JSON),  # match value and fields, only where the project asks for them
    PrimaryKeyConstraint("sync", "match_hash", "operation"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("holder", String(255), nullable=False),  # host/pid/run
    Column("expires", Float, nullable=False),  # seconds since 1970
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("channel", String(32), nullable=False),  # empty: all channels
    Column("value_hash", String(64), nullable=False),  # SHA-256 of an identifier's normalised value or a profile id
    Column("reason", Text, nullable=False),
    Column("since", Moment, nullable=False),
    PrimaryKeyConstraint("channel", "value_hash"),
)

salts = Table(
    "salts",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("salt", String(64), nullable=False),  # never changes: who is held out stays held out
)

alerts = Table(
    "alerts",
    metadata,
    Column("name", String(255), primary_key=True),  # what is watched, as "sync welcome failed"
    Column("state", String(16), nullable=False),  # firing, recovered; watched: not fired yet
    Column("since", Moment, nullable=False),
    Column("told_at", Moment),  # when people were told of this state
    Column("what", Text, nullable=False),
    Column("facts", JSON),  # kind, subject and owner
    Column("told", JSON),  # channels that were told of this state
)

budgets = Table(
    "budgets",
    metadata,
    Column("budget", String(255), primary_key=True),  # system and a hash of the credential
    Column("allowed", Integer, nullable=False),  # requests in each window
    Column("seconds", Float, nullable=False),  # length of the window
    Column("connections", Integer),  # requests at once; empty: any number
    Column("cooling", JSON, nullable=False),  # places given back, and when each is free: [[moment, places], ...]
    Column("changed_at", Float, nullable=False),  # when an adaptive pace last changed
    Column("worst", Integer),  # the lowest adaptive pace that was too quick
    Column("paused_until", Float, nullable=False),
    Column("probing", Boolean, nullable=False),  # a pause has not been followed by a request that was taken
    Column("prober", String(255)),  # who makes that request
    Column("prober_until", Float),
    Column("daily_left", Integer),  # empty: nobody knows
    Column("daily_renews", Float),
    Column("daily_at", Float),  # when it was heard of
)
"""What a credential may do, shared by all processes. Moments are seconds since 1970."""

budget_slices = Table(
    "budget_slices",
    metadata,
    Column("budget", String(255), ForeignKey("budgets.budget"), nullable=False),
    Column("holder", String(255), nullable=False),  # host/pid/number
    Column("places", Integer, nullable=False),  # requests in each window that are the holder's
    Column("wanted", Integer, nullable=False),
    Column("connections", Integer, nullable=False),
    Column("connections_wanted", Integer, nullable=False),
    Column("daily", Integer, nullable=False),  # requests of today, given to the holder and not made yet
    Column("served_at", Float, nullable=False),  # for turns, where there are fewer places than holders
    Column("expires", Float, nullable=False),
    PrimaryKeyConstraint("budget", "holder"),
)
