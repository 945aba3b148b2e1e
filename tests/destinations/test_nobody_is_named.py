"""Whatever a connector repeats of its vendor's words: what is kept and shown of it names nobody."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
import pytest

from millstream.destinations.contract import DeliveryRow, Destination, Outcome, accepted, rejected
from millstream.destinations.hubspot import HubSpot
from millstream.destinations.modes import SyncMode
from millstream.destinations.preview import Look
from millstream.sandbox import Sandbox
from millstream.state.errors import FatalError, NotFoundError, RefusedError
from tests.destinations.bench import Bench, MakeBench
from tests.destinations.memory import MemoryDestination
from tests.destinations.memory_kinds import MemoryReplaced

MALFORMED = "bartholomew@@leakbox"
WANTED = {MALFORMED: "Zebulonia", "cust-77001": "Xanthippe"}


def repeated(row: DeliveryRow) -> str:
    """A vendor's words, which repeat the row."""
    return f"{row.match_value.upper()}, called {row.fields['NAME']}, is not valid"


class Repeats(MemoryDestination):
    """Refuses each row in words that repeat it."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        return [rejected("invalid", repeated(row)) for row in rows]


class RepeatsAll(MemoryDestination):
    """Refuses a batch by words about one of its rows, which it gives to all."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        return [rejected("invalid", repeated(rows[0]))] * len(rows)


class Raises(MemoryDestination):
    """Refuses each request in words that repeat the row."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        raise RefusedError(repeated(rows[-1]), status=400)


class Stops(MemoryDestination):
    """Ends the sync with words about a row."""

    def upsert(self, rows: Sequence[DeliveryRow], *, match_key: str) -> list[Outcome]:
        raise FatalError(repeated(rows[-1]))


class RepeatsInReplacements(MemoryReplaced):
    """Refuses rows of a replacement in words that repeat them."""

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        return [rejected("invalid", repeated(row)) for batch in batches for row in batch]


class StopsReplacements(MemoryReplaced):
    """Ends a replacement with words about one of its rows."""

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        raise FatalError(repeated(next(iter(batches))[0]))


KINDS = [Repeats, RepeatsAll, Raises, Stops, RepeatsInReplacements, StopsReplacements]


@pytest.mark.parametrize("kind", KINDS)
def test_a_vendors_words_are_kept_without_the_people(on_duckdb: MakeBench, kind: type[MemoryDestination]) -> None:
    mode = SyncMode.REPLACE if SyncMode.REPLACE in kind.modes else SyncMode.MIRROR
    with on_duckdb(mode=mode) as bench:
        bench.connector = kind
        bench.want(WANTED)
        report = bench.run()
        told = orjson.dumps(report.as_json()).decode() + str(report.error) + str(kept(bench))
        assert "is not valid" in told
        for value in (*WANTED, *WANTED.values()):
            assert value.lower() not in told.lower()


def kept(bench: Bench) -> list[object]:
    """What the journal and the store keep of why rows were refused."""
    listed: list[object] = [row["reason"] for row in bench.journal.rejected_rows()]
    return listed + bench.ask("SELECT reason FROM delivery.outcomes")


class KnowsByMatchValue(MemoryReplaced):
    """Gives no ids of its own."""

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        return [accepted(row.match_value) for batch in batches for row in batch]


class KeepsIdentifiers(MemoryReplaced):
    """Has what it was sent kept in place of an id."""

    def replace_members(
        self, audience_id: str, batches: Iterable[Sequence[DeliveryRow]], *, match_key: str, label: str
    ) -> list[Outcome]:
        ids = [orjson.dumps([["extern_id", row.match_value]]).decode() for batch in batches for row in batch]
        return [accepted(one) for one in ids]


@pytest.mark.parametrize("kind", [KnowsByMatchValue, KeepsIdentifiers])
def test_the_journal_forgets_ids_that_tell_who_people_are(on_duckdb: MakeBench, kind: type[MemoryDestination]) -> None:
    with on_duckdb(mode=SyncMode.REPLACE) as bench:
        bench.connector = kind
        bench.want(WANTED)
        assert bench.run().accepted == 2
        ids = {one for (one,) in bench.ask("SELECT external_id FROM delivery.acknowledged")}
        assert all(any(value in str(one) for one in ids) for value in WANTED), "the store has them"
        (plan,) = {row[0] for row in bench.ask("SELECT plan_id FROM delivery.outcomes")}
        outcomes = [batch.outcomes for batch in bench.journal.batches_of(plan)]
        assert [one.external_ids for one in outcomes if one] == [[None, None]]


# Requests that are shown or logged


@pytest.fixture(scope="module")
def hubspot() -> Iterator[Destination[Any]]:
    with Sandbox(people=5, limits=False) as sandbox:
        yield HubSpot(HubSpot.Settings(base_url=f"{sandbox.url}/hubspot", access_token="pat-sandbox-hubspot"))


def test_an_address_that_is_none_is_masked_in_shown_requests(on_duckdb: MakeBench, hubspot: Destination[Any]) -> None:
    with on_duckdb(fields={"firstname": "name"}) as bench:
        bench.want(WANTED)
        bench.delivery.destination = lambda: hubspot
        shown = orjson.dumps(bench.delivery.plan("run", Look(requests=True)).as_json()).decode()
        hubspot.rehearse(False)
        assert "batch/upsert" in shown
        for value in (*WANTED, *WANTED.values()):
            assert value not in shown


def test_debug_logs_say_whom_was_asked_and_not_about_whom(
    hubspot: Destination[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(NotFoundError):
        hubspot.http.get("/crm/v3/objects/contacts/77001", {"properties": "zebulonia"})
    assert '"GET /… HTTP/1.1" 404' in caplog.text
    assert "77001" not in caplog.text
    assert "zebulonia" not in caplog.text
