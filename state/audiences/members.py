"""Who is in each audience by its rule: one table for all of them, made by one query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from millstream.state.audiences.compile import compile_audiences
from millstream.state.audiences.compiling.query import PEOPLE
from millstream.state.audiences.rules import Audience
from millstream.state.profiles.columns import existing_columns
from millstream.state.sql import identifier

if TYPE_CHECKING:
    from millstream.state.store import Connection


def make_members(
    connection: Connection,
    table: str,
    audiences: Mapping[str, Audience],
    *,
    as_of: datetime,
    wanted: Collection[str] | None = None,
) -> None:
    """Make a temporary table of ``audience`` and ``profile_id``: who is in each audience by its rule.

    Args:
        connection: The open store.
        table: Its name.
        audiences: All audiences that rules may refer to, by name, ready-made ones written out.
        as_of: The time of the run, aware.
        wanted: The audiences to work out; all when left out. Members of others are those of the last run.

    Raises:
        ConfigurationError: Audiences build on each other in a circle or on one that is not there, or a rule is wrong.
    """
    traits = existing_columns(connection, PEOPLE.partition(".")[2])
    compiled = compile_audiences(audiences, traits=traits, as_of=as_of, only_names=wanted)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(table)} AS {compiled.sql}", list(compiled.values))
