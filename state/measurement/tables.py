"""The tables of what was measured, in schema ``customers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millstream.state.audiences.tables import create_audience_tables
from millstream.state.ledger.acknowledged import create_tables as create_delivery_tables

if TYPE_CHECKING:
    from millstream.state.store import Connection

TABLES = """
-- One row for each day and figure. Where a figure is a share or a mean, value = numerator / denominator (net promoter
-- score: times 100), and NULL on days on which there is nothing to divide by.
CREATE TABLE IF NOT EXISTS customers.figures (
    day DATE NOT NULL,
    figure TEXT NOT NULL,
    value DOUBLE,
    numerator DOUBLE NOT NULL,
    denominator DOUBLE,                 -- NULL: the figure is a count or a sum
    as_of TIMESTAMPTZ NOT NULL          -- when it was computed
);

-- What each figure means, after the last run.
CREATE TABLE IF NOT EXISTS customers.figure_definitions (
    figure TEXT NOT NULL,
    unit TEXT NOT NULL,                 -- people, orders, events, currency, share, score, or the project's own
    description TEXT NOT NULL,
    north_star BOOLEAN NOT NULL,
    fingerprint TEXT NOT NULL           -- of what it is computed by
);

-- How many people of those who began in a cohort's week or month came back in its period-th after that.
CREATE TABLE IF NOT EXISTS customers.retention (
    retention TEXT NOT NULL,
    as_of TIMESTAMPTZ NOT NULL,
    cohort DATE NOT NULL,               -- the first day of the week or month
    period INTEGER NOT NULL,            -- 0: the cohort's own
    people BIGINT NOT NULL,
    active BIGINT NOT NULL,
    complete BOOLEAN NOT NULL           -- whether the period is over
);

CREATE TABLE IF NOT EXISTS customers.funnels (
    as_of TIMESTAMPTZ NOT NULL,
    funnel TEXT NOT NULL,
    step INTEGER NOT NULL,              -- 1: the first
    event TEXT NOT NULL,
    people BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS customers.journeys (
    as_of TIMESTAMPTZ NOT NULL,
    journey TEXT NOT NULL,
    path TEXT NOT NULL,                 -- events in their order with ' > ' between, the goal last
    people BIGINT NOT NULL
);

-- Who was addressed against who was held out, and variants against the first one.
CREATE TABLE IF NOT EXISTS customers.lifts (
    as_of TIMESTAMPTZ NOT NULL,
    name TEXT NOT NULL,                 -- the sync, 'audience <name>' where no sync sends it, or the experiment
    kind TEXT NOT NULL,                 -- holdout, experiment
    variant TEXT NOT NULL,              -- 'addressed', or the variant
    goal TEXT NOT NULL,
    window_days DOUBLE NOT NULL,
    treated BIGINT NOT NULL,
    treated_converted BIGINT NOT NULL,
    control BIGINT NOT NULL,
    control_converted BIGINT NOT NULL,
    difference DOUBLE,                  -- of the shares; NULL, as all that follows from it, with too few people
    low DOUBLE,
    high DOUBLE,
    p_value DOUBLE,
    sample_ratio_p DOUBLE,
    sample_ratio_ok BOOLEAN NOT NULL,
    planned_share DOUBLE NOT NULL,      -- of the control group among both
    treated_value DOUBLE,               -- mean value of the goal's events a person
    control_value DOUBLE,
    value_difference DOUBLE,
    value_low DOUBLE,
    value_high DOUBLE,
    value_p_value DOUBLE,
    sentence TEXT NOT NULL              -- what it comes to
);
"""


def create_measurement_tables(connection: Connection) -> None:
    """Make the tables that are missing, with those that are read."""
    create_audience_tables(connection)
    create_delivery_tables(connection)
    connection.execute(TABLES)
