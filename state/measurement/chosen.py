"""SQL of the events that figures, funnels, journeys and goals name, chosen as the rules of audiences choose them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from millstream.state.audiences.compiling.query import Compiled, Query
from millstream.state.audiences.compiling.scan import Scan
from millstream.state.audiences.nodes import EventFilter
from millstream.state.spans import timespan


def chosen(events: EventFilter, as_of: datetime, *, since: datetime | None = None) -> Compiled:
    """A SELECT of the profile_id, happened_at and value_base of chosen events, none later than ``as_of``.

    Args:
        events: Which.
        as_of: The time of the run.
        since: Only those that happened after it.
    """
    return chosen_together([events], as_of, lambda _: "profile_id, happened_at, value_base", since=since)


def chosen_together(
    choices: Sequence[EventFilter],
    as_of: datetime,
    columns: Callable[[Sequence[str]], str],
    *,
    since: datetime | None = None,
) -> Compiled:
    """A SELECT of the events that any of several choices mean, by one scan.

    Args:
        choices: Which.
        as_of: The time of the run; none is later.
        columns: Makes the columns, of the expressions that an event is one of each choice.
        since: Only those that happened after it.
    """
    query = Query(traits={}, as_of=as_of)
    scan = Scan(query)
    meant = [f"({' AND '.join([scan.name(choice), *scan.matches(choice, since=since)])})" for choice in choices]
    later = f" AND happened_at > {query.moment(since)}" if since else ""
    wanted = f"({' OR '.join(meant)}){later}"
    return query.compiled(f"SELECT {columns(meant)} FROM ({scan.sql()}) AS event WHERE {wanted}")


def called(events: EventFilter) -> str:
    """What chosen events are called: their names."""
    return " or ".join(events.names())


def hours(span: str) -> str:
    """A span of time as SQL; those of project files are whole hours."""
    return f"INTERVAL '{int(timespan(span) / timedelta(hours=1))}' HOUR"
