"""Queries in SOQL: what changed in a time, by REST in the order of its change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from millstream.sources.contract import Endpoint
from millstream.sources.pull import records_at
from millstream.sources.salesforce.errors import BAD_LOCATOR, TIMEOUT, TOO_LARGE, code_of
from millstream.state.errors import IncompleteError, RefusedError, SchemaError

if TYPE_CHECKING:
    from millstream.sources.pull import Pull
    from millstream.sources.salesforce.org import Described, Org

Record = Mapping[str, Any]

IDS_A_QUERY = 200
LONGEST_QUERY = 12_000
"""Characters that fit into an address, escaped, with room to spare; longer queries go by bulk job."""

_RECORDS = Endpoint(path="queryAll", records="records")
_MOST_RESTARTS = 5


class TooManyRows(Exception):
    """More rows than a query should page through: no error, since a bulk job takes over."""


@dataclass(frozen=True)
class Query:
    """Records of an object.

    Attributes:
        described: The object.
        fields: Which fields of it.
        since: Changed since then; None: from the beginning.
        until: Changed before then; None: to now.
    """

    described: Described
    fields: tuple[str, ...]
    since: datetime | None = None
    until: datetime | None = None

    def soql(self, *, ordered: bool) -> str:
        """As text. A bulk job is not ordered: that would keep Salesforce from reading its parts side by side."""
        stamp = self.described.stamp
        tests = []
        if stamp and self.since:
            # Literals have whole seconds, so the second is read from its beginning.
            tests.append(f"{stamp} >= {_literal(self.since)}")
        if stamp and self.until:
            tests.append(f"{stamp} < {_literal(_whole_second_after(self.until))}")
        where = f" WHERE {' AND '.join(tests)}" if tests else ""
        order = f" ORDER BY {stamp}, Id" if stamp and ordered else ""
        return f"SELECT {', '.join(self.fields)} FROM {self.described.api_name}{where}{order}"

    def moment(self, record: Record) -> datetime | None:
        """When a record changed.

        Raises:
            SchemaError: It does not say so, although it was asked.
        """
        if self.described.stamp is None:
            return None
        try:
            return datetime.fromisoformat(str(record.get(self.described.stamp)))
        except ValueError as error:
            raise SchemaError(
                f"A record of {self.described.api_name} has no readable {self.described.stamp!r}.",
                remedy="the API may have changed: update the connector, or leave the stream out for now.",
            ) from error


def paged(pull: Pull, org: Org, query: Query, *, at_most: int | None) -> Iterator[list[Record]]:
    """Pages of records in the order of their change.

    Args:
        pull: The pull.
        org: Whom to ask.
        query: What to ask for.
        at_most: Rows up to which this is the way to read them; None: any number.

    Raises:
        TooManyRows: There are more, or Salesforce takes too long to find them.
        IncompleteError: The last page came before as many records as were announced.
    """
    restarts = 0
    while True:
        reached = query.since
        try:
            for page in _once(pull, org, query, at_most):
                reached = (query.moment(page[-1]) if page else None) or reached
                yield page
            return
        except RefusedError as error:
            code = code_of(error)
            if code in (TIMEOUT, TOO_LARGE) and at_most is not None:
                raise TooManyRows from error
            restarts = restarts + 1 if reached == query.since else 1
            if code != BAD_LOCATOR or restarts > _MOST_RESTARTS or query.described.stamp is None:
                raise
            query, at_most = replace(query, since=reached), None


def _once(pull: Pull, org: Org, query: Query, at_most: int | None) -> Iterator[list[Record]]:
    body = pull.get(f"{org.root}/queryAll", {"q": query.soql(ordered=True)})
    records, seen = records_at(body, _RECORDS), 0
    total = int(body.get("totalSize", len(records)))
    if at_most is not None and total > at_most:
        raise TooManyRows
    while True:
        seen += len(records)
        yield records
        if body.get("done") is not False:
            break
        org.check_budget(total - seen, len(records))
        body = pull.get(str(body["nextRecordsUrl"]).lstrip("/"))
        records = records_at(body, _RECORDS)
    if seen < total:
        raise IncompleteError(
            f"Salesforce announced {total} records of {query.described.api_name} and gave {seen}.",
            remedy="run again; what was read so far is kept.",
        )


def by_ids(pull: Pull, org: Org, query: Query, ids: Sequence[str]) -> Iterator[list[Record]]:
    """The records with these ids, some hundred a page."""
    for start in range(0, len(ids), IDS_A_QUERY):
        some = ", ".join(f"'{_escaped(one)}'" for one in ids[start : start + IDS_A_QUERY])
        soql = f"SELECT {', '.join(query.fields)} FROM {query.described.api_name} WHERE Id IN ({some})"
        org.check_budget(len(ids) - start, IDS_A_QUERY)
        yield records_at(pull.get(f"{org.root}/queryAll", {"q": soql}), _RECORDS)


def _literal(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _whole_second_after(moment: datetime) -> datetime:
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
