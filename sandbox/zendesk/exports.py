"""The incremental exports: by cursor for users and tickets, by time for organizations and ticket events."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Sequence

import numpy as np

from millstream.sandbox.company import Company
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.system import Answer, Call, JsonObject
from millstream.sandbox.zendesk.errors import invalid, refusal
from millstream.sandbox.zendesk.people import Longs, Tickets, Users, make_tickets, make_users
from millstream.sandbox.zendesk.rows import (
    AGENTS,
    ORGANIZATIONS,
    agent_row,
    event_rows,
    identities_of,
    organization_row,
    ticket_row,
    user_row,
)

LARGEST_PAGE = 1000
YOUNGEST_START = 60


class Exports:
    """Handlers for the incremental exports, and the arrays behind them.

    The vendor leaves the newest minute out; here it is given, so that tests need not wait for it.
    """

    def __init__(self, company: Company) -> None:
        self._company = company
        self._advances = -1
        self._users: Users
        self._tickets: Tickets

    @property
    def users(self) -> Users:
        """The end users by the time of their last change."""
        self._refresh()
        return self._users

    @property
    def tickets(self) -> Tickets:
        """The tickets by the time of their last change."""
        self._refresh()
        return self._tickets

    def _refresh(self) -> None:
        if self._advances != self._company.advances:
            self._users = make_users(self._company)
            self._tickets = make_tickets(self._company, self._users)
            self._advances = self._company.advances

    # By cursor

    def users_by_cursor(self, call: Call) -> Answer:
        """`GET /api/v2/incremental/users/cursor`: the shop's own people first, then end users."""
        check_query(call, "start_time", "cursor", "per_page", "include")
        include = call.query.get("include", "")
        if include not in ("", "identities"):
            raise invalid("include", "must be identities")
        # Agents are older than every end user.
        oldest = self._company.today_ms // 1000 - 900 * DAY_MS // 1000
        agents = [agent_row(number, oldest) for number in range(len(AGENTS))]
        times = np.concatenate([np.arange(len(AGENTS), dtype=np.int64) + oldest, self.users.updated])
        ids = np.concatenate([np.asarray([agent for agent, _ in AGENTS], dtype=np.int64), self.users.ids])

        def row(place: int) -> JsonObject:
            return agents[place] if place < len(agents) else user_row(self._company, self.users, place - len(agents))

        places, envelope = self._after_cursor(call, times, ids)
        rows = [row(place) for place in places]
        body: JsonObject = {"users": rows, **envelope}
        if include:
            known = [int(str(one["id"])) for one in rows if one["role"] == "end-user"]
            body["identities"] = [identity for user in known for identity in identities_of(self._company, user)]
        return Answer(body)

    def tickets_by_cursor(self, call: Call) -> Answer:
        """`GET /api/v2/incremental/tickets/cursor`."""
        check_query(call, "start_time", "cursor", "per_page", "include", "exclude_deleted", "support_type_scope")
        tickets = self.tickets
        places, envelope = self._after_cursor(call, tickets.generated, tickets.ids)
        if call.query.get("exclude_deleted") == "true":
            places = [place for place in places if not tickets.deleted[place]]
        return Answer({"tickets": [ticket_row(tickets, place) for place in places], **envelope})

    def _after_cursor(self, call: Call, times: Longs, ids: Longs) -> tuple[Sequence[int], JsonObject]:
        """Which rows the page holds, and the envelope with the next cursor."""
        size = page_size(call, "per_page", LARGEST_PAGE)
        cursor = call.query.get("cursor")
        if cursor is None:
            start = int(np.searchsorted(times, start_time(call), side="left"))
        else:
            at, last = _decoded(cursor)
            start = int(np.searchsorted(times, at, side="left"))
            while start < len(times) and times[start] == at and ids[start] <= last:
                start += 1
        end = min(len(times), start + call.page_limit(size))
        edge = (int(times[end - 1]), int(ids[end - 1])) if end > start else (_decoded(cursor) if cursor else (0, 0))
        after = base64.urlsafe_b64encode(f"{edge[0]}.{edge[1]}".encode()).decode()
        done = end >= len(times)
        return range(start, end), {
            "after_url": f"{call.base_url}{call.path}?cursor={after}",
            "after_cursor": after,
            "before_url": None,
            "before_cursor": None,
            "end_of_stream": done,
        }

    # By time

    def organizations(self, call: Call) -> Answer:
        """`GET /api/v2/incremental/organizations`."""
        check_query(call, "start_time", "per_page")
        first = self._company.today_ms // 1000 - 800 * DAY_MS // 1000
        times = np.arange(ORGANIZATIONS, dtype=np.int64) * (DAY_MS // 1000) + first
        return self._from_time(call, "organizations", times, lambda place: organization_row(self._company, place))

    def ticket_events(self, call: Call) -> Answer:
        """`GET /api/v2/incremental/ticket_events`; comments only with `include=comment_events`."""
        check_query(call, "start_time", "per_page", "include")
        tickets, start = self.tickets, start_time(call)
        events = []
        for place in np.flatnonzero(tickets.generated >= start).tolist():
            events += [event for event in event_rows(tickets, place) if event[0] >= start]
        if call.query.get("include") != "comment_events":
            events = [(at, row) for at, row in events if "Comment" not in str(row["child_events"])]
        events.sort(key=lambda event: (event[0], str(event[1]["id"])))
        times = np.asarray([at for at, _ in events], dtype=np.int64)
        return self._from_time(call, "ticket_events", times, lambda place: events[place][1])

    def _from_time(self, call: Call, name: str, times: Longs, row: Callable[[int], JsonObject]) -> Answer:
        """A page from a time on. Rows of its last second stay together, and come again on the next page."""
        size = page_size(call, "per_page", LARGEST_PAGE)
        asked = start_time(call)
        start = int(np.searchsorted(times, asked, side="left"))
        end = min(len(times), start + call.page_limit(size))
        if end > start:
            end = int(np.searchsorted(times, times[end - 1], side="right"))
        last = int(times[end - 1]) if end > start else asked
        rows = [row(place) for place in range(start, end)]
        return Answer(
            {
                name: rows,
                "count": len(rows),
                "end_time": last,
                "next_page": f"{call.base_url}{call.path}?start_time={last}",
                "end_of_stream": end >= len(times),
            }
        )


def check_query(call: Call, *allowed: str) -> None:
    """Refuse parameters that the endpoint does not have (the vendor passes over them in silence)."""
    for name in sorted(set(call.query) - set(allowed)):
        raise invalid(name, "is not a parameter of this endpoint")


def page_size(call: Call, name: str, most: int) -> int:
    """How many rows a page is to hold."""
    text = call.query.get(name, str(most))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise invalid(name, f"must be a whole number from 1 to {most}")
    return int(text)


def start_time(call: Call) -> int:
    """The first second to look at."""
    text = call.query.get("start_time", "")
    if not (text.isascii() and text.isdigit()):
        raise invalid("start_time", "must be seconds since 1970")
    if int(text) > time.time() - YOUNGEST_START:
        raise refusal(400, "InvalidValue", "Too recent start_time. Use a start_time older than one minute.")
    return int(text)


def _decoded(cursor: str) -> tuple[int, int]:
    try:
        at, _, last = base64.urlsafe_b64decode(cursor).decode().partition(".")
        return int(at), int(last)
    except (binascii.Error, ValueError) as error:
        raise refusal(400, "InvalidPaginationParameter", "Invalid cursor") from error
