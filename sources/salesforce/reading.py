"""How an object is read: few rows by query, many by bulk job; later pulls ask for what changed since.

A stream's notes hold `reached`, the moment up to which everything is stored, and while a bulk job is being read, that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from millstream.sources.salesforce import bulk
from millstream.sources.salesforce.query import LONGEST_QUERY, Query, TooManyRows, paged
from millstream.state.errors import FatalError, IncompleteError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.objects import SObject
    from millstream.sources.salesforce.org import Described, Org
    from millstream.sources.salesforce.query import Record

PAGES_A_PART = 25
"""Pages of a query after which what was read is stored: 50,000 rows."""


def query_of(pull: Pull, org: Org, described: Described, wanted: Iterable[str]) -> Query:
    """What a pull has to ask for: the fields that the user may see, changed in the pull's time."""
    fields = tuple(name for name in wanted if name in described.types)
    return Query(described, fields, since=_since(pull, org), until=pull.until)


def query_for(pull: Pull, org: Org, known: SObject) -> Query:
    """The same for an object that the connector knows; warns where the user may not see what matters of it."""
    described = org.describe(pull, known.api_name)
    hidden = [name for name in (*known.expected, *(one.name for one in known.more)) if name not in described.types]
    if hidden:
        pull.warn(
            f"Salesforce does not show {', '.join(hidden)} of {known.api_name} to this user: give it read access to "
            "the fields (field-level security), or nothing of them is known here."
        )
    return query_of(pull, org, described, (one.name for one in known.fields))


def _since(pull: Pull, org: Org) -> datetime | None:
    if pull.is_backfill:
        return pull.since
    if "reached" in pull.state:
        reached = datetime.fromisoformat(pull.state["reached"])
        return reached - timedelta(minutes=org.settings.lookback_minutes)
    first = org.settings.start_date
    return datetime.combine(first, time.min, UTC) if first else None


def read_records(pull: Pull, org: Org, query: Query) -> Iterator[list[Record]]:
    """Pages of records, each with the place in the notes that belongs to it."""
    if not pull.is_backfill:
        pull.since, pull.place = query.since, pull.state.get("reached")
    org.check_budget()
    job = pull.state.get("job")
    if job is not None and job["fields"] == list(query.fields):
        try:
            yield from _by_job(pull, org, job)
            return
        except bulk.JobGoneError:
            pull.warn("Salesforce no longer has the bulk job that was being read, so a new one was begun.")
    pull.state.pop("job", None)
    begun = org.begun.pop(query.described.api_name, None) if query.since is None else None
    if begun is None and not _is_for_bulk(org, query):
        try:
            yield from _by_query(pull, org, query)
            return
        except TooManyRows:
            if query.since is None:
                _begin_the_others(pull, org)
    try:
        yield from _by_job(pull, org, begun or bulk.begin(pull, org, query))
    except bulk.JobGoneError as error:
        raise IncompleteError("Salesforce lost a bulk job.", remedy="run again: a new job is begun.") from error


def _begin_the_others(pull: Pull, org: Org) -> None:
    """Have whole objects exported side by side in a first pull: those whose streams come after this one.

    Which these are is known by what is stored, so only the engine's pulls do it.
    """
    streams = [known.stream for known in org.objects]
    if pull.stored is None or pull.is_backfill or org.settings.start_date or pull.stream.name not in streams:
        return
    for known in org.objects[streams.index(pull.stream.name) + 1 :]:
        wanted = org.settings.streams is None or known.stream in org.settings.streams
        if not wanted or pull.stored.columns(known.stream):
            continue
        try:
            whole = query_of(pull, org, org.describe(pull, known.api_name), (one.name for one in known.fields))
            org.begun[known.api_name] = bulk.begin(pull, org, replace(whole, since=None))
        except (FatalError, RefusedError):
            continue  # its own stream will say so


def _is_for_bulk(org: Org, query: Query) -> bool:
    return org.settings.bulk_from_rows == 0 or len(query.soql(ordered=True)) > LONGEST_QUERY


def _by_query(pull: Pull, org: Org, query: Query) -> Iterator[list[Record]]:
    pages = paged(pull, org, query, at_most=org.settings.bulk_from_rows)
    for number, page in enumerate(pages, start=1):
        last = query.moment(page[-1]) if page else None
        if last is not None and not pull.is_backfill:
            kept = pull.state.get("reached")
            pull.state["reached"] = max(filter(None, (kept, last.astimezone(UTC).isoformat())))
            pull.place = pull.state["reached"]
        yield page
        if number % PAGES_A_PART == 0:
            yield pull.until_loaded()


def _by_job(pull: Pull, org: Org, job: bulk.Job) -> Iterator[list[Record]]:
    pull.state["job"] = job
    # Stored before the job is looked at: from here on, whoever kills the pull does not lose the job.
    yield pull.until_loaded()
    try:
        for records in bulk.result(pull, org, job):
            if job["locator"] is None:
                del pull.state["job"]
                if not pull.is_backfill:
                    # What changed while the job was working comes again with the next pull.
                    pull.state["reached"] = pull.place = job["at"]
            yield records
            yield pull.until_loaded()
    except bulk.JobEndedError:
        pull.state.pop("job", None)
        raise
