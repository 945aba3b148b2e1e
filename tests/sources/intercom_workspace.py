"""An Intercom workspace in a test's own hands: its searches match days of its own time zone, as the vendor's do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import requests
import responses

from millstream.sources.intercom import Intercom, IntercomSettings

ROOT = "https://api.intercom.test"
Json = dict[str, Any]


def intercom(**settings: Any) -> Intercom:
    """The connector, at the workspace."""
    facts = {"base_url": ROOT, "access_token": "a-token", "requests_per_minute": 60_000, "requests_at_once": 2}
    return Intercom(IntercomSettings(**{**facts, **settings}))


def a_contact(number: int, changed: datetime, **more: Any) -> Json:
    """A user who was made ten days before their last change."""
    return {
        "type": "contact",
        "id": f"c{number}",
        "external_id": f"C-{number}",
        "role": "user",
        "email": f"p{number}@box.example",
        "phone": None,
        "name": "Ada Example",
        "unsubscribed_from_emails": False,
        "location": {"country": "France", "city": "Lille"},
        "tags": {"data": [], "has_more": False},
        "companies": {"data": []},
        "created_at": int((changed - timedelta(days=10)).timestamp()),
        "updated_at": int(changed.timestamp()),
    } | more


def a_conversation(number: int, changed: datetime, **more: Any) -> Json:
    """A conversation that a contact began."""
    return {
        "type": "conversation",
        "id": str(number),
        "state": "open",
        "open": True,
        "source": {
            "type": "conversation",
            "delivered_as": "customer_initiated",
            "subject": "Late",
            "body": "<p>Where is my order?</p>",
            "url": "https://shop.example.com/cart?email=ada@box.example",
            "author": {"type": "user", "id": "c1"},
        },
        "contacts": {"contacts": [{"type": "contact", "id": "c1", "external_id": "C-1"}]},
        "created_at": int(changed.timestamp()) - 600,
        "updated_at": int(changed.timestamp()),
    } | more


@dataclass
class Workspace:
    """What it holds; each search and each list is answered from it."""

    mock: responses.RequestsMock
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    contacts: list[Json] = field(default_factory=list)
    conversations: list[Json] = field(default_factory=list)
    deleted: list[Json] = field(default_factory=list)
    asked: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._search("contacts", "data", lambda: self.contacts)
        self._search("conversations", "conversations", lambda: self.conversations)
        self.mock.add_callback(responses.GET, f"{ROOT}/conversations/deleted", self._deleted)

    def _search(self, what: str, records: str, rows: Callable[[], list[Json]]) -> None:
        def answer(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
            body = json.loads(request.body or "{}")
            self.asked.append(body)
            order = body["sort"]["field"]
            found = sorted((one for one in rows() if self._matches(one, body["query"])), key=lambda one: one[order])
            size, start = body["pagination"]["per_page"], int(body["pagination"].get("starting_after", 0))
            rest = start + size < len(found)
            pages = {"next": {"starting_after": str(start + size)} if rest else None}
            return _ok({records: found[start : start + size], "total_count": len(found), "pages": pages})

        self.mock.add_callback(responses.POST, f"{ROOT}/{what}/search", answer)

    def _matches(self, row: Json, query: Json) -> bool:
        return all(self._holds(row, one) for one in ([query] if "field" in query else query["value"]))

    def _holds(self, row: Json, one: Json) -> bool:
        day = datetime.combine(datetime.fromtimestamp(one["value"], self.zone).date(), time.min, self.zone)
        value = datetime.fromtimestamp(row[one["field"]], UTC)
        if one["operator"] == ">":
            return value >= datetime.combine(day.date() + timedelta(days=1), time.min, self.zone)
        assert one["operator"] == "<"
        return value < day

    def _deleted(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        asked = parse_qs(urlsplit(str(request.url)).query)
        start = (int(asked["page"][0]) - 1) * int(asked["per_page"][0])
        latest = sorted(self.deleted, key=lambda one: -one["deleted_at"])
        return _ok({"conversations": latest[start : start + int(asked["per_page"][0])]})


def _ok(body: Json) -> tuple[int, dict[str, str], str]:
    return 200, {}, json.dumps(body)


def refusal(code: str, message: str = "No") -> Json:
    """The body of an error."""
    return {"type": "error.list", "errors": [{"code": code, "message": message}]}


def days_before(now: datetime) -> Iterator[datetime]:
    """Moments every seven hours, back from one."""
    return (now - timedelta(hours=7 * number) for number in range(60))
