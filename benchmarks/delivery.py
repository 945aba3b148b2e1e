"""Delivery: people kept in step with HubSpot's contacts and a static list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import httpx
import orjson
import pyarrow as pa

from benchmarks.measuring import Comparison, Meter, Side, compare
from benchmarks.vendor import TOKEN, Vendor
from millstream.destinations.delivery import Delivery
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.sync import Sync
from millstream.state.consent import ConsentRequirement
from millstream.state.ledger.journal import Journal
from millstream.state.store import DuckDBStore

_LIST = "Benchmark"
_SYNC = Sync(
    destination="hubspot",
    table="bench.people",
    into=_LIST,
    fields={"firstname": "first_name", "lastname": "last_name", "city": "city", "company": "company"},
    consent=ConsentRequirement(channel="email"),
)
_PEOPLE = """
CREATE SCHEMA bench;
CREATE TABLE bench.people AS
SELECT 'p_' || i AS profile_id, 'reader-' || i || '@bench.box.example' AS email, 'First' || i % 97 AS first_name,
    'Last' || i AS last_name, 'City ' || i % 50 AS city, 'Company ' || i % 500 AS company, i
FROM range({people}) AS numbers (i);
CREATE SCHEMA customers;
CREATE TABLE customers.profile_consents AS
SELECT profile_id, 'email' AS channel, 'marketing' AS topic, 'granted' AS status FROM bench.people;
"""


def run(vendor: Vendor, *, people: int, repeat: int, alone: bool = False) -> list[Comparison]:
    """All people, then one in a hundred changed and one in a hundred gone, then nothing new; ``alone``: no floor."""
    floor = None if alone else _side(vendor, people, _floor)
    return compare("delivery", _side(vendor, people, _ours), floor, repeat=repeat)


Deliver = Callable[[], int]
"""Does it, and tells how many requests it made."""


def _side(vendor: Vendor, people: int, make: Callable[[Vendor, Path], Deliver]) -> Side:
    few = max(1, people // 100)
    changed = [f"reader-{number}@bench.box.example" for number in range(min(few, 100))]

    def side(folder: Path, meter: Meter) -> None:
        vendor.reset()
        path = folder / "store.duckdb"
        _execute(path, _PEOPLE.format(people=people))
        deliver = make(vendor, folder)
        for name, before in {
            "everybody new": "",
            "1 % changed, 1 % gone": f"UPDATE bench.people SET city = 'Elsewhere' WHERE i < {few};"
            f"DELETE FROM bench.people WHERE i >= {people - few}",
            "nothing changed": "",
        }.items():
            _execute(path, before)
            with meter.phase(name) as phase:
                phase.requests = deliver()
            phase.rows = people if name == "everybody new" else people - few
            phase.least = _least(people, few, name)
            phase.result = (vendor.members_of(_LIST), vendor.cities_of(changed))
            _check_members(phase.result[0], phase.rows)

    return side


def _least(people: int, few: int, phase: str) -> int:
    """The fewest requests that the vendor's batches allow, those that find the list included."""
    everybody = {"everybody new": (people, people, 2), "1 % changed, 1 % gone": (few, few, 1)}
    if phase not in everybody:
        return 0
    fields, members, for_the_list = everybody[phase]
    return -(-fields // HubSpot.batch_size) + -(-members // HubSpot.membership_batch_size) + for_the_list


def _check_members(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"the list has {found} members, and {wanted} were to be on it")


def _ours(vendor: Vendor, folder: Path) -> Deliver:
    store = DuckDBStore(folder / "store.duckdb")
    runs = iter(range(1_000))

    def deliver() -> int:
        journal = Journal("sqlite:///journal.sqlite", root=folder)
        delivery = Delivery("bench", _SYNC, vendor.destination, store, journal, folder / "plans")
        report = delivery.activate(f"run-{next(runs)}")
        journal.close()
        if not report.ok:
            raise report.error or RuntimeError(f"delivery ended {report.status}: {report.codes}")
        return report.requests

    return deliver


def _floor(vendor: Vendor, folder: Path) -> Deliver:
    """A ledger of hashes in DuckDB, batches by asyncio, as many in flight as ours.

    Nothing is planned, kept while sending, retried, paced or judged: an answer is good or ends it all.
    """

    def deliver() -> int:
        with duckdb.connect(str(folder / "store.duckdb")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS ledger (email TEXT PRIMARY KEY, hash TEXT, contact_id TEXT)")
            changes = _floor_changes(connection)
            gone = connection.execute(
                "SELECT email, contact_id FROM ledger ANTI JOIN bench.people USING (email)"
            ).fetchall()
            written, requests = asyncio.run(_floor_send(vendor, changes, gone))
            _floor_keep(connection, written)
        return requests

    return deliver


async def _floor_send(
    vendor: Vendor, changes: Sequence[tuple[Any, ...]], gone: Sequence[tuple[Any, ...]]
) -> tuple[list[tuple[str, str, str]], int]:
    """Write what changed, take out who is gone; email, hash and contact id of those written, and the requests made."""
    at_once = HubSpot.rate_limit.concurrency
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(limits=limits, headers=headers, timeout=60, trust_env=False) as client:
        send = _FloorSender(vendor, client)
        await send.find_list()
        batches = _chunks(changes, HubSpot.batch_size)  # those who are at it take the next one from here

        async def work() -> list[tuple[str, str, str]]:
            return [row for rows in batches for row in await send.upsert(rows)]

        written = await asyncio.gather(*(work() for _ in range(at_once)))
        for rows in _chunks(gone, HubSpot.membership_batch_size):
            await send.remove(rows)
    return [row for rows in written for row in rows], send.requests


def _floor_changes(connection: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    """Email, properties as JSON, their hash, and the contact id of whoever is on the list, for who is not as sent."""
    return connection.execute(
        """
        WITH wanted AS (
            SELECT email, to_json({firstname: first_name, lastname: last_name, city: city, company: company}) AS body
            FROM bench.people JOIN customers.profile_consents USING (profile_id)
            WHERE channel = 'email' AND topic = 'marketing' AND status = 'granted'
        )
        SELECT email, body, md5(body) AS hash, contact_id FROM wanted LEFT JOIN ledger USING (email)
        WHERE ledger.hash IS DISTINCT FROM md5(body) ORDER BY contact_id IS NULL
        """
    ).fetchall()


def _floor_keep(connection: duckdb.DuckDBPyConnection, written: Sequence[tuple[str, str, str]]) -> None:
    names = ("email", "hash", "contact_id")
    news = pa.table(  # noqa: F841 - DuckDB finds it by its name
        {name: pa.array([row[at] for row in written], pa.string()) for at, name in enumerate(names)}
    )
    connection.execute("INSERT OR REPLACE INTO ledger SELECT * FROM news")
    connection.execute("DELETE FROM ledger WHERE email NOT IN (SELECT email FROM bench.people)")


class _FloorSender:
    def __init__(self, vendor: Vendor, client: httpx.AsyncClient) -> None:
        self._url = vendor.url
        self._client = client
        self._members = ""
        self.requests = 0

    async def find_list(self) -> None:
        """Find the list, or make it."""
        lists = f"{self._url}/crm/v3/lists"
        self.requests += 1
        answer = await self._client.get(f"{lists}/object-type-id/0-1/name/{_LIST}")
        if answer.status_code == 404:
            body = {"name": _LIST, "objectTypeId": "0-1", "processingType": "MANUAL"}
            found = await self._call("POST", lists, body)
        else:
            found = orjson.loads(answer.raise_for_status().content)
        self._members = f"{lists}/{found['list']['listId']}/memberships"

    async def upsert(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[str, str, str]]:
        """Write contacts, put those who are new on the list, and give email, hash and contact id."""
        inputs = [{"id": email, "idProperty": "email", "properties": orjson.loads(body)} for email, body, _, _ in rows]
        answer = await self._call("POST", f"{self._url}/crm/v3/objects/contacts/batch/upsert", {"inputs": inputs})
        ids = {str(found["properties"]["email"]): str(found["id"]) for found in answer["results"]}
        new = [ids[email] for email, _, _, contact_id in rows if contact_id is None]
        if new:
            await self._call("PUT", f"{self._members}/add", new)
        return [(email, digest, ids[email]) for email, _, digest, _ in rows]

    async def remove(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take contacts off the list."""
        await self._call("PUT", f"{self._members}/remove", [contact_id for _, contact_id in rows])

    async def _call(self, method: str, url: str, body: object) -> Any:
        headers = {"Content-Type": "application/json"}
        self.requests += 1
        answer = await self._client.request(method, url, content=orjson.dumps(body), headers=headers)
        return orjson.loads(answer.raise_for_status().content)


def _chunks(rows: Sequence[tuple[Any, ...]], size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _execute(path: Path, statements: str) -> None:
    if statements:
        with duckdb.connect(str(path)) as connection:
            connection.execute(statements)
