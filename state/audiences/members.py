"""Who is in each audience by its rule: one table for all of them, made by one query."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import compile_audiences
from millstream.state.audiences.compiling.own_sql import checked_select
from millstream.state.audiences.compiling.query import PEOPLE
from millstream.state.audiences.failing import FailingSqlError
from millstream.state.audiences.rules import Audience
from millstream.state.errors import QueryError, TimeLimitError
from millstream.state.profiles.columns import existing_columns
from millstream.state.sql import identifier
from millstream.state.store import SECONDS, time_limit

if TYPE_CHECKING:
    from millstream.state.store import Connection


def make_members(
    connection: Connection,
    table: str,
    audiences: Mapping[str, Audience],
    *,
    as_of: datetime,
    wanted: Collection[str] | None = None,
    sql_seconds: float = SECONDS,
) -> None:
    """Make a temporary table of ``audience`` and ``profile_id``: who is in each audience by its rule.

    What audiences of SQL give is put into temporary tables first, whose names begin as that one's.

    Args:
        connection: The open store.
        table: Its name.
        audiences: All audiences that rules may refer to, by name, ready-made ones written out.
        as_of: The time of the run, aware.
        wanted: The audiences to work out; all when left out. Members of others are those of the last run.
        sql_seconds: How long the SQL of an audience may take.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, or a rule is wrong.
        FailingSqlError: The SQL of one does not work; the transaction cannot be gone on with.
    """
    traits = existing_columns(connection, PEOPLE.partition(".")[2])
    given = _given_by_sql(connection, table, audiences, wanted=wanted, seconds=sql_seconds)
    compiled = compile_audiences(audiences, traits=traits, as_of=as_of, only_names=wanted, given=given)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(table)} AS {compiled.sql}", list(compiled.values))


def _given_by_sql(
    connection: Connection,
    table: str,
    audiences: Mapping[str, Audience],
    *,
    wanted: Collection[str] | None,
    seconds: float,
) -> dict[str, str]:
    """The tables with what audiences of SQL give, by the audiences' names."""
    written = [name for name, one in audiences.items() if one.sql is not None and (wanted is None or name in wanted)]
    given = {name: f"{table}_sql_{number}" for number, name in enumerate(written)}
    for name, made in given.items():
        where = f"audiences.{name}"
        chosen = checked_select(audiences[name].sql or "", where=where)
        query = f"SELECT DISTINCT profile_id FROM ({chosen}) AS own"
        with failures_of(name), time_limit(connection, seconds, where=where):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(made)} AS {query}")
    return given


@contextmanager
def failures_of(audience: str) -> Iterator[None]:
    """Tell that its SQL does not work, without a value, which might be somebody's; not what else may go wrong."""
    import duckdb

    from millstream.state.traits.checking import said_by_engine

    at_fault = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError, duckdb.OutOfMemoryException)
    try:
        yield
    except TimeLimitError as error:
        raise FailingSqlError(audience, f"{error.what} What to do: {error.remedy}") from error
    except (QueryError, *at_fault) as error:
        remedy = f"mend `audiences.{audience}.sql`; until then nobody enters the audience."
        raise FailingSqlError(audience, f"The SQL fails: {said_by_engine(error)}", remedy=remedy) from error
