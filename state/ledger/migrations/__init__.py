"""Alembic migrations of the journal; ``upgrade`` runs those that a database lacks."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

_LOCK = 0x4D696C6C4A6F75
"""The advisory lock of whoever brings a journal on PostgreSQL up to date; any constant does."""


def upgrade(engine: sa.Engine) -> None:
    """Bring the journal to the newest version, under the database's own lock."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        elif engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        context = MigrationContext.configure(
            connection, opts={"fn": lambda revision, _: scripts._upgrade_revs("head", revision)}
        )
        with Operations.context(context):
            context.run_migrations()
        connection.commit()
