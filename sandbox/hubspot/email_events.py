"""The legacy e-mail event endpoint: what happened to marketing e-mails, newest first."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from millstream.sandbox import facts
from millstream.sandbox.draws import bases_of, choose_many, draw, share
from millstream.sandbox.hubspot.errors import invalid
from millstream.sandbox.hubspot.reads import whole_number
from millstream.sandbox.person import EmailEvent
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

if TYPE_CHECKING:
    from millstream.sandbox.company import Company
    from millstream.sandbox.hubspot.tables import Ints

MAX_PAGE = 1000
APP_ID = 113
TYPES = ("SENT", "DELIVERED", "OPEN", "CLICK")
# An event's code says whose it is, of which e-mail, and of which kind.
_PER_PERSON, _PER_SEND = 100, 10


def original_events(company: Company) -> tuple[Ints, Ints]:
    """Times and codes of all events there were at the start, by the arithmetic of `facts.py`."""
    bases = bases_of(company.key, np.arange(company.people, dtype=np.uint64))
    kinds, sends = draw(bases, facts.KINDS), draw(bases, facts.SENDS)
    subscribed = choose_many(facts.SUBSCRIPTION_CUTS, share(kinds, 1)) == 0
    mailed = subscribed & (choose_many(facts.CONTACT_CUTS, share(kinds, 0)) > 0)
    times, codes = [], []
    for number in range(len(facts.SEND)):
        who = np.flatnonzero(mailed if number == 0 else mailed & ((sends & 1) == 1))
        send = draw(bases[who], facts.SEND[number])
        sent = np.uint64(company.today_ms) - facts.sent_age(send)
        delivered = sent + facts.delivery_delay(send)
        opened = delivered + facts.open_delay(send)
        roll = share(send, 3)
        everybody = np.ones(len(who), dtype=np.bool_)
        moments = (
            (sent, everybody),
            (delivered, everybody),
            (opened, roll < facts.OPEN_CUT),
            (opened + facts.click_delay(send), roll < facts.CLICK_CUT),
        )
        for order, (when, happened) in enumerate(moments):
            times.append(when[happened].astype(np.int64))
            codes.append(who[happened] * _PER_PERSON + number * _PER_SEND + order)
    return np.concatenate(times), np.concatenate(codes)


class EmailEvents:
    """Handler of the event endpoint."""

    def __init__(self, company: Company, portal_id: int) -> None:
        self._company = company
        self._portal_id = portal_id
        self._loaded_at = -1
        self._times: Ints = np.empty(0, dtype=np.int64)
        self._codes: Ints = self._times
        self._latest: list[tuple[int, EmailEvent]] = []

    def routes(self) -> list[Route]:
        """The endpoint."""
        return [route("GET", "/email/public/v1/events", self.page, "content")]

    def page(self, call: Call) -> Answer:
        """One page of the events in a window of time; `offset` is opaque."""
        self._load()
        start = whole_number(call, "startTimestamp", 0, 10**14, 0)
        end = whole_number(call, "endTimestamp", 10**14, 10**14, 0)
        limit = call.page_limit(whole_number(call, "limit", 100, MAX_PAGE))
        position = _position(call.query.get("offset"))
        # Newest first: the arrays are sorted by falling time.
        rising = -self._times
        first = int(np.searchsorted(rising, -end, side="left"))
        last = int(np.searchsorted(rising, -start, side="right"))
        wanted = self._filter(call, np.arange(first, last))
        chosen = wanted[position : position + limit]
        events = [self._event(int(self._codes[at])) for at in chosen.tolist()]
        more = position + limit < len(wanted)
        return Answer(
            {
                "hasMore": more,
                "offset": base64.urlsafe_b64encode(f"at:{position + len(events)}".encode()).decode(),
                "events": [self._shown(event) for event in events],
            }
        )

    def _filter(self, call: Call, places: Ints) -> Ints:
        kind = call.query.get("eventType")
        if kind is not None:
            if kind not in TYPES:
                raise invalid(f"{kind} is not an event type", where="eventType")
            orders = np.where(self._codes[places] < 0, 2, self._codes[places] % _PER_SEND)
            places = places[orders == TYPES.index(kind)]
        recipient, campaign = call.query.get("recipient"), call.query.get("campaignId")
        if recipient is not None:
            places = self._kept(places, lambda event: event.recipient == recipient.lower())
        if campaign is not None:
            places = self._kept(places, lambda event: str(event.campaign_id) == campaign)
        return places

    def _kept(self, places: Ints, wanted: Callable[[EmailEvent], bool]) -> Ints:
        kept = [place for place in places.tolist() if wanted(self._event(int(self._codes[place])))]
        return np.asarray(kept, dtype=np.int64)

    def _load(self) -> None:
        if self._loaded_at == self._company.advances:
            return
        self._loaded_at = self._company.advances
        times, codes = original_events(self._company)
        self._latest = [
            (event.occurred_ms, event) for change in self._company.changes.values() for event in change.email_events
        ]
        times = np.concatenate([times, np.asarray([when for when, _ in self._latest], dtype=np.int64)])
        codes = np.concatenate([codes, -1 - np.arange(len(self._latest))])
        order = np.argsort(-times, kind="stable")
        self._times, self._codes = times[order], codes[order]

    def _event(self, code: int) -> EmailEvent:
        if code < 0:
            return self._latest[-1 - code][1]
        index, rest = divmod(code, _PER_PERSON)
        number, order = divmod(rest, _PER_SEND)
        company = self._company
        send = draw(company.base(index), facts.SEND[number])
        sent_ms = company.today_ms - facts.sent_age(send)
        email = company.original(index).email
        return facts.email_events_of_send(send, number, index, email, sent_ms)[order]

    def _shown(self, event: EmailEvent) -> JsonObject:
        body: JsonObject = {
            "id": event.event_id,
            "type": event.type,
            "recipient": event.recipient,
            "created": event.occurred_ms,
            "portalId": self._portal_id,
            "appId": APP_ID,
            "appName": "Batch",
            "emailCampaignId": event.campaign_id,
        }
        if event.type != "SENT":
            body["sentBy"] = {"id": event.sent_id, "created": event.sent_ms}
        if event.type == "CLICK":
            body["url"] = "https://shop.example.com/offers"
        return body


def _position(offset: str | None) -> int:
    if not offset:
        return 0
    try:
        text = base64.urlsafe_b64decode(offset.encode()).decode()
    except (binascii.Error, UnicodeError) as error:
        raise invalid("offset is not one that an earlier page gave", where="offset") from error
    if not text.startswith("at:") or not text[3:].isdigit():
        raise invalid("offset is not one that an earlier page gave", where="offset")
    return int(text[3:])
