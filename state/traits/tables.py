"""The tables of computed traits: schema ``traits`` holds a table a set, schema ``customers`` what is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.profiles.tables import create_profile_tables
from millstream.state.traits.report import SetState

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
CREATE SCHEMA IF NOT EXISTS traits;

-- The computed traits of each profile: profile_id and a column a trait, made anew by each run.
CREATE TABLE IF NOT EXISTS customers.computed (profile_id TEXT NOT NULL);

-- How the last run of each set went, and since when its values hold.
CREATE TABLE IF NOT EXISTS customers.trait_sets (
    name TEXT NOT NULL,
    fingerprint TEXT,                   -- of what the values were computed by; NULL where there are none yet
    computed_at TIMESTAMPTZ,            -- when the values were computed
    seconds DOUBLE NOT NULL,            -- how long that took
    people BIGINT NOT NULL,             -- how many of them have values
    status TEXT NOT NULL,               -- computed, kept, failed, unavailable, nothing to learn
    message TEXT NOT NULL               -- why, unless computed or kept
);

-- The traits that ``computed`` has.
CREATE TABLE IF NOT EXISTS customers.computed_traits (
    trait TEXT NOT NULL,
    trait_set TEXT NOT NULL,
    type TEXT NOT NULL,                 -- text, number, boolean, date, timestamp
    unit TEXT NOT NULL,
    description TEXT NOT NULL
);

-- How many people had a value of each trait after each run, and which share of all that is.
CREATE TABLE IF NOT EXISTS customers.trait_coverage (
    as_of TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    trait TEXT NOT NULL,
    people BIGINT NOT NULL,
    share DOUBLE NOT NULL
);

-- What has to be known of the model behind a predicted trait, after each run that computed it.
CREATE TABLE IF NOT EXISTS customers.model_cards (
    as_of TIMESTAMPTZ NOT NULL,
    run_id TEXT NOT NULL,
    trait TEXT NOT NULL,
    card JSON NOT NULL
);
"""


def create_trait_tables(connection: Connection) -> None:
    """Make the tables that are missing, on those of the profiles."""
    create_profile_tables(connection)
    connection.execute(TABLES)


def set_states(connection: Connection) -> dict[str, SetState]:
    """How the last run of each set went, by its name."""
    rows = connection.execute(
        "SELECT name, status, message, fingerprint, computed_at, seconds, people FROM customers.trait_sets"
    ).fetchall()
    return {row[0]: SetState(*row) for row in rows}


def tables_of_sets(connection: Connection) -> set[str]:
    """The sets that have a table of values."""
    rows = connection.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'traits'")
    return {str(name) for (name,) in rows.fetchall()}
