"""Records that are gone for good: Salesforce says nothing of them, so that all ids are compared with those stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from millstream.sources.salesforce import bulk
from millstream.sources.salesforce.query import Query, TooManyRows, paged
from millstream.state.errors import IncompleteError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.org import Described, Org
    from millstream.sources.salesforce.query import Record

RECYCLE_BIN = timedelta(days=15)
"""How long Salesforce keeps deleted records: a later pull learns of them only here."""

_MOST_GONE = 0.5
"""Share of the stored records above which it is rather the user's sight that is gone."""


def is_due(pull: Pull, org: Org) -> bool:
    """Whether ids are to be compared in this pull, by what is noted of the pulls before it."""
    pulled, swept = (_noted(pull, name) for name in ("pulled", "swept"))
    if pull.is_backfill or pulled is None or swept is None:
        return False  # a first pull reads everything that there is
    days = org.settings.sweep_days
    is_day = days is not None and pull.pulled_at - swept >= timedelta(days=days)
    return is_day or pull.pulled_at - pulled > RECYCLE_BIN


def _noted(pull: Pull, name: str) -> datetime | None:
    return datetime.fromisoformat(pull.state[name]) if name in pull.state else None


def vanished(pull: Pull, org: Org, described: Described, *, mark: str) -> Iterator[pa.Table]:
    """At the end of a pull: the stored rows whose records are no longer there, if they are to be looked for.

    Args:
        pull: The pull.
        org: Whom to ask.
        described: The object.
        mark: The stream's column that says whether a row is deleted.
    """
    if is_due(pull, org):
        yield from _vanished(pull, org, described, mark)
    if not pull.is_backfill:
        pull.state["pulled"] = pull.pulled_at.isoformat()
        pull.state.setdefault("swept", pull.state["pulled"])


def _vanished(pull: Pull, org: Org, described: Described, mark: str) -> Iterator[pa.Table]:
    import pyarrow.compute as pc

    if pull.stored is None:
        pull.warn(
            "Records may have been deleted for good since the last pull; that is only found out where the pull is "
            "loaded by `millstream ingest`."
        )
        return
    name = pull.stream.name
    stored = pull.stored.rows(name, columns=("id",), unequal={mark: True})
    known = stored["id"].combine_chunks() if len(stored) else pa.array([], pa.string())
    ids = pa.concat_arrays([pa.array([], pa.string()), *_all_ids(pull, org, described)])
    gone = known.filter(pc.invert(pc.is_in(known, value_set=ids)))
    if len(gone) > _MOST_GONE * len(known) and not pull.accept_empty:
        pull.warn(
            f"{len(gone)} of {len(known)} stored records of {described.api_name} are no longer to be seen, which is so "
            "many that they were left as they are: look whether the user may still read them all. If they really "
            "are gone, run `millstream ingest --accept-empty`."
        )
        return
    pull.state["swept"] = pull.pulled_at.isoformat()
    if len(gone):
        yield from pull.stored.rows_of_keys(name, pa.table({"id": gone}))


def _all_ids(pull: Pull, org: Org, described: Described) -> Iterator[pa.Array]:
    """The ids of all records, those in the recycle bin too."""
    query = Query(described, ("Id",) if described.stamp is None else ("Id", described.stamp))
    try:
        yield from map(_ids, paged(pull, org, query, at_most=org.settings.bulk_from_rows))
        return
    except TooManyRows:
        job = bulk.begin(pull, org, Query(described, ("Id",)))
    try:
        yield from map(_ids, bulk.result(pull, org, job))
    except bulk.JobGoneError as error:
        raise IncompleteError("Salesforce lost a bulk job.", remedy="run again: a new job is begun.") from error


def _ids(records: list[Record]) -> pa.Array:
    return pa.array([record.get("Id") for record in records], pa.string())
