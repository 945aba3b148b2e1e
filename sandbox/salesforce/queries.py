"""`query` and `queryAll`, the pages that follow, and the ids of what was changed or deleted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import numpy as np

from millstream.sandbox.salesforce.errors import malformed_query, not_found, refusal
from millstream.sandbox.salesforce.fields import Field
from millstream.sandbox.salesforce.ids import record_id
from millstream.sandbox.salesforce.objects import Sobject
from millstream.sandbox.salesforce.records import Records
from millstream.sandbox.salesforce.rows import Row, Value, id_of
from millstream.sandbox.salesforce.searching import find
from millstream.sandbox.salesforce.soql import Statement, parse
from millstream.sandbox.system import Answer, Call, JsonObject

LARGEST_PAGE, SMALLEST_PAGE = 2000, 200
LONGEST_URI = 16_384
REPLICATED_DAYS = {"deleted": 15, "updated": 30}
Visible = Callable[[Call], Callable[[str], Sobject | None]]


@dataclass(frozen=True, slots=True)
class Cursor:
    """The rest of a query's result."""

    statement: Statement
    rows: tuple[Row, ...]
    size: int


class Queries:
    """Handlers of the query resources. A query's result stands still while it is paged through."""

    def __init__(self, records: Records, visible: Visible) -> None:
        self._records = records
        self._visible = visible
        self.cursors: dict[str, Cursor] = {}

    def query(self, call: Call) -> Answer:
        """`GET /query?q=`: what is there."""
        return self._query(call, all_rows=False)

    def query_all(self, call: Call) -> Answer:
        """`GET /queryAll?q=`: also what was deleted, merged or archived."""
        return self._query(call, all_rows=True)

    def _query(self, call: Call, *, all_rows: bool) -> Answer:
        if len(call.path) + len(urlencode(call.query_list)) > LONGEST_URI:
            raise refusal(414, "URI_TOO_LONG", "The length of the URI exceeds the 16,384-byte limit.")
        if not call.query.get("q"):
            raise malformed_query("A query string has to be specified")
        statement = parse(call.query["q"], self._visible(call))
        places = find(self._records, statement, all_rows=all_rows)
        if statement.counts:
            return Answer({"totalSize": len(places), "done": True, "records": []})
        # Rows are made now, so that a change while the client turns pages does not show.
        rows = tuple(self._records.row(statement.sobject.name, place) for place in places)
        return self._page(call, Cursor(statement, rows, _page_size(call)), "", 0)

    def more(self, call: Call) -> Answer:
        """`GET /query/<locator>-<rows passed>`."""
        locator, _, passed = call.params["locator"].rpartition("-")
        cursor = self.cursors.get(locator)
        if cursor is None or not passed.isdigit() or int(passed) >= len(cursor.rows):
            raise refusal(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(call, cursor, locator, int(passed))

    def _page(self, call: Call, cursor: Cursor, locator: str, start: int) -> Answer:
        end = start + call.page_limit(cursor.size)
        root = f"/services/data/{call.params['version']}"
        name, fields = cursor.statement.sobject.name, cursor.statement.fields
        body: JsonObject = {"totalSize": len(cursor.rows), "done": end >= len(cursor.rows)}
        if end < len(cursor.rows):
            if not locator:
                locator = record_id("0r8", len(self.cursors) + 1)
                self.cursors[locator] = cursor
            body["nextRecordsUrl"] = f"{root}/query/{locator}-{end}"
        body["records"] = [
            {"attributes": {"type": name, "url": f"{root}/sobjects/{name}/{row['Id']}"}}
            | {field.name: shown(field, row[field.name]) for field in fields}
            | self._parents(root, cursor.statement, row)
            for row in cursor.rows[start:end]
        ]
        return Answer(body)

    def _parents(self, root: str, statement: Statement, row: Row) -> JsonObject:
        """The records that references lead to, with the fields asked for; null where there is none."""
        found: dict[str, JsonObject | None] = {}
        for one in statement.parents:
            name, text = one.reference.relationship, row[one.reference.name]
            parent = None if text is None else self._records.by_id(one.target, str(text))
            if parent is None or parent["IsDeleted"]:
                found[name] = None
                continue
            url = f"{root}/sobjects/{one.target.name}/{parent['Id']}"
            body = found.get(name) or {"attributes": {"type": one.target.name, "url": url}}
            found[name] = body | {one.field.name: shown(one.field, parent[one.field.name])}
        return dict(found)

    def deleted(self, call: Call) -> Answer:
        """`GET /sobjects/<object>/deleted`: ids and times, no further back than the recycle bin."""
        sobject, since, until = self._period(call, "deleted")
        table = self._records.table(sobject.name)
        places = np.flatnonzero(table.deleted & (table.stamp >= since) & (table.stamp < until)).tolist()
        return Answer(
            {
                "deletedRecords": [
                    {
                        "id": id_of(sobject.name, int(table.number[place])),
                        "deletedDate": moment(int(table.stamp[place])),
                    }
                    for place in places
                ],
                "earliestDateAvailable": moment(int(_now().timestamp()) - 15 * 86_400),
                "latestDateCovered": moment(until),
            }
        )

    def updated(self, call: Call) -> Answer:
        """`GET /sobjects/<object>/updated`: ids alone."""
        sobject, since, until = self._period(call, "updated")
        table = self._records.table(sobject.name)
        places = np.flatnonzero(~table.deleted & (table.stamp >= since) & (table.stamp < until)).tolist()
        ids = [id_of(sobject.name, int(table.number[place])) for place in places]
        return Answer({"ids": ids, "latestDateCovered": moment(until)})

    def _period(self, call: Call, kind: str) -> tuple[Sobject, int, int]:
        """The object and the period asked for; its seconds count for nothing, and the end must be a minute later."""
        sobject = self._visible(call)(call.params["object"])
        if sobject is None:
            raise not_found()
        since, until = (_minute(call, name) for name in ("start", "end"))
        if since >= until:
            raise refusal(400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date")
        if since < int((_now() - timedelta(days=REPLICATED_DAYS[kind], hours=1)).timestamp()):
            raise refusal(400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago")
        return sobject, since, until


def _page_size(call: Call) -> int:
    found = re.search(r"batchSize\s*=\s*(\d+)", call.headers.get("sforce-query-options", ""))
    return min(LARGEST_PAGE, max(SMALLEST_PAGE, int(found.group(1)))) if found else LARGEST_PAGE


def _minute(call: Call, name: str) -> int:
    # A plus sign that was not encoded arrives as a space.
    text = call.query.get(name, "").replace(" ", "+")
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise refusal(400, "MALFORMED_QUERY", f"{name}: '{text}' is not a valid dateTime") from error
    if at.tzinfo is None:
        raise refusal(400, "MALFORMED_QUERY", f"{name}: '{text}' is not a valid dateTime")
    return int(at.timestamp()) // 60 * 60


def _now() -> datetime:
    return datetime.now(UTC)


def moment(seconds: int) -> str:
    """A time as the REST API writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def shown(field: Field, value: Value) -> Value:
    """A value as the REST API writes it."""
    return moment(value) if field.type == "datetime" and isinstance(value, int) else value
