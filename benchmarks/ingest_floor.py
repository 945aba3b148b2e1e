"""The floor of ingest: requests side by side, Arrow tables, DuckDB; the least that brings the same rows and columns.

No retries, no pacing, no merge by key, no state, no check of anything. Each vendor is read as parallel as its API lets
itself be: HubSpot's contacts from several ids on, Mixpanel's days several at once. Zendesk's export is a chain, each
page naming the next: one page is asked for while the one before is made a table.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import requests

from benchmarks.playback import HUBSPOT_TOKEN, MIXPANEL_DAYS, MIXPANEL_USER, ZENDESK_USER
from millstream.sources.contract import Column
from millstream.sources.hubspot import HubSpotSettings
from millstream.sources.hubspot.contacts import contact_object

Row = dict[str, Any]
Rows = list[Row]

_CHUNK = 5_000
_SQL_TYPES = {"timestamp": "TIMESTAMPTZ", "bool": "BOOLEAN", "bigint": "BIGINT", "double": "DOUBLE", "json": "JSON"}
_PLACES = {
    "$city": "city",
    "$region": "region",
    "mp_country_code": "country",
    "$os": "os",
    "$browser": "browser",
    "$app_version_string": "app_version",
    "mp_lib": "library",
    "$current_url": "url",
    "$initial_referring_domain": "first_referrer",
    "utm_source": "utm_source",
    "utm_medium": "utm_medium",
    "utm_campaign": "utm_campaign",
    "currency": "currency",
}
_TAKEN = {*_PLACES, "time", "distinct_id", "$insert_id", "$device_id", "$user_id", "mp_processing_time_ms"} - {
    "currency"
}


def load(
    path: Path, table: str, columns: Iterable[Column], pages: Iterator[Rows], types: Mapping[str, pa.DataType]
) -> int:
    """Insert pages of rows into a new table, some thousand rows at a time.

    Args:
        path: The database.
        table: Its name.
        columns: What the rows have.
        pages: The rows.
        types: How the vendor writes what is no text.

    Returns:
        How many rows.
    """
    columns = tuple(columns)
    schema = pa.schema([(one.name, types.get(one.type, pa.string())) for one in columns])
    found, rows = 0, []
    with duckdb.connect(str(path)) as connection:
        declared = ", ".join(f"{one.name} {_SQL_TYPES.get(one.type, 'VARCHAR')}" for one in columns)
        connection.execute(f"CREATE TABLE {table} ({declared})")
        for page in pages:
            rows += page
            if len(rows) >= _CHUNK:
                found += _insert(connection, table, rows, schema)
                rows = []
        return found + _insert(connection, table, rows, schema)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Rows, schema: pa.Schema) -> int:
    chunk = pa.Table.from_pylist(rows, schema)  # noqa: F841 - DuckDB finds it by its name
    connection.execute(f"INSERT INTO {table} SELECT * FROM chunk")
    return len(rows)


def session(connections: int) -> requests.Session:
    """A plain session."""
    found = requests.Session()
    found.trust_env = False
    found.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=connections))
    return found


def hubspot_contacts(url: str, *, at_once: int) -> Iterator[Rows]:
    """Contacts, from several ids on at once: the cursor of the list is an id."""
    contact = contact_object(HubSpotSettings.model_construct(properties=(), identifiers={}, traits={}))
    property_of = {p.column: p.name for p in contact.properties} | {"modified_at": contact.modified}
    fact_of = {"id": "id", "created_at": "createdAt", "deleted": "archived", "archived_at": "archivedAt"}
    names = ",".join(contact.names)

    def row(record: Mapping[str, Any]) -> Row:
        properties = record["properties"]
        found = {column: properties.get(name) or None for column, name in property_of.items()}
        found |= {column: record.get(name) for column, name in fact_of.items()}
        return found | {"deleted": str(found["deleted"])}

    with session(at_once) as http:
        http.headers["Authorization"] = f"Bearer {HUBSPOT_TOKEN}"
        contacts = f"{url}/crm/v3/objects/contacts"

        def edge(direction: str) -> int:
            body = {"sorts": [{"propertyName": "hs_object_id", "direction": direction}], "limit": 1}
            return int(http.post(f"{contacts}/search", json=body).json()["results"][0]["id"])

        def read(first: int, last: int, pages: SimpleQueue[Rows | None]) -> None:
            while first < last:
                query: dict[str, str | int] = {"limit": 100, "properties": names, "after": first}
                found = orjson.loads(http.get(contacts, params=query).content)["results"]
                pages.put([row(one) for one in found if int(one["id"]) <= last])
                first = int(found[-1]["id"]) if found else last
            pages.put(None)

        lowest, highest = edge("ASCENDING") - 1, edge("DESCENDING")
        edges = [lowest + (highest - lowest) * number // at_once for number in range(at_once + 1)]
        yield from _side_by_side([partial(read, first, last) for first, last in pairwise(edges)])


def _side_by_side(readers: Sequence[Callable[[SimpleQueue[Rows | None]], None]]) -> Iterator[Rows]:
    """Pages as they come; each reader has a thread, and says None at its end."""
    pages: SimpleQueue[Rows | None] = SimpleQueue()
    with ThreadPoolExecutor(len(readers)) as threads:
        for read in readers:
            threads.submit(read, pages)
        left = len(readers)
        while left:
            page = pages.get()
            if page is None:
                left -= 1
            else:
                yield page


def zendesk_users(url: str, *, at_once: int) -> Iterator[Rows]:
    """Users of the incremental export with their identities."""
    del at_once  # a chain
    with session(1) as http, ThreadPoolExecutor(1) as thread:
        http.auth = ZENDESK_USER

        def page(**place: str | int) -> bytes:
            query = {"per_page": 1000, "include": "identities", **place}
            return http.get(f"{url}/api/v2/incremental/users/cursor.json", params=query).content

        asked: Future[bytes] | None = thread.submit(page, start_time=1)
        while asked:
            body = orjson.loads(asked.result())
            asked = None if body["end_of_stream"] else thread.submit(page, cursor=body["after_cursor"])
            identities: dict[int, Rows] = {}
            for one in body["identities"]:
                identities.setdefault(one["user_id"], []).append(one)
            yield [_user(user, identities.get(user["id"], [])) for user in body["users"]]


_PLAIN = (
    *("name", "email", "phone", "shared_phone_number", "external_id", "role", "verified", "suspended", "locale"),
    *("time_zone", "created_at", "updated_at"),
)


def _user(user: Row, identities: Rows) -> Row:
    found = {name: user[name] for name in _PLAIN}
    found["id"] = str(user["id"])
    found["organization_id"] = str(user["organization_id"]) if user["organization_id"] else None
    found["own_phone"] = None if user["shared_phone_number"] else user["phone"]
    emails = [one for one in identities if one["type"] == "email" and one["value"] != user["email"]]
    phones = [one["value"] for one in identities if one["type"] == "phone_number"]
    found["other_emails"] = " ".join(one["value"] for one in emails if one["verified"]) or None
    found["unverified_emails"] = " ".join(one["value"] for one in emails if not one["verified"]) or None
    found["other_phones"] = ";".join(one for one in phones if one != user["phone"]) or None
    kept = [{name: one[name] for name in ("type", "value", "primary", "verified")} for one in identities]
    found["identities"] = orjson.dumps(kept).decode()
    found["tags"] = orjson.dumps(user["tags"]).decode()
    found["user_fields"] = orjson.dumps(user["user_fields"]).decode()
    found["deleted"] = not user["active"]
    found["is_no_customer"] = not user["active"] or user["role"] != "end-user"
    return found


def mixpanel_events(url: str, *, at_once: int) -> Iterator[Rows]:
    """Raw events, a request a day."""
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=number)).isoformat() for number in reversed(range(MIXPANEL_DAYS))]
    with session(at_once) as http, ThreadPoolExecutor(at_once) as threads:
        http.auth = MIXPANEL_USER

        def file(day: str) -> bytes:
            query = {"project_id": "2195193", "from_date": day, "to_date": day, "time_in_ms": "true"}
            answer = http.get(f"{url}/api/2.0/export", params=query, headers={"Accept-Encoding": "gzip"}, stream=True)
            return bytes(answer.raw.read(decode_content=False))

        asked = [threads.submit(file, day) for day in days[:at_once]]
        for number in range(len(days)):
            packed = asked[number].result()
            asked[number] = Future()  # its file is not kept
            asked += [threads.submit(file, day) for day in days[len(asked) : len(asked) + 1]]
            rows = [_event(orjson.loads(line)) for line in gzip.decompress(packed).splitlines()]
            for start in range(0, len(rows), _CHUNK):
                yield rows[start : start + _CHUNK]


def _event(event: Row) -> Row:
    name, given = event["event"], event["properties"]
    known = {key: value for key, value in given.items() if value not in ("undefined", "<null>") and value is not None}
    seconds, distinct, device = known["time"] // 1000, known["distinct_id"], known.get("$device_id")
    is_device = distinct.startswith("$device:")
    rest = {key.lstrip("$"): value for key, value in known.items() if key not in _TAKEN}
    return {
        "event_id": blake2b(f"{name}\0{seconds}\0{known['$insert_id']}".encode(), digest_size=16).hexdigest(),
        "event": name,
        "name": name,
        "time": known["time"],
        "processed_at": known["mp_processing_time_ms"],
        "insert_id": known["$insert_id"],
        "distinct_id": distinct,
        "user_id": known.get("$user_id") or (None if is_device else distinct),
        "device_id": device,
        "linked_device_id": device,
        "value": known.get("revenue"),
        "property_email": known.get("$email"),
        "properties": orjson.dumps(rest).decode(),
        **{column: known.get(key) for key, column in _PLACES.items()},
    }


Pages = Callable[..., Iterator[Rows]]
FLOORS: Mapping[str, tuple[Pages, Mapping[str, pa.DataType]]] = {
    "hubspot": (hubspot_contacts, {}),
    "zendesk": (zendesk_users, {"bool": pa.bool_()}),
    "mixpanel": (mixpanel_events, {"timestamp": pa.timestamp("ms", tz="UTC"), "double": pa.float64()}),
}
"""What reads a vendor's stream, and how it writes what is no text, by type of column."""
