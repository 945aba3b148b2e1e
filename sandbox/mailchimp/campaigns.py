"""Campaigns that were sent to the list, and their reports: who got one, opened it, clicked, bounced or left.

Ten weekly newsletters and one draft. Who did what is drawn anew for each campaign and member; people whom
`POST /_sandbox/advance` changed open the latest campaign once more at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from millstream.sandbox import facts
from millstream.sandbox.company import Company
from millstream.sandbox.draws import cut, draw, share, topic
from millstream.sandbox.facts import DAY_MS
from millstream.sandbox.mailchimp.listing import check_query, moment, one_of, page_of, shaped, stamp
from millstream.sandbox.mailchimp.members import CLEANED, SUBSCRIBED, UNSUBSCRIBED, Member, Register
from millstream.sandbox.mailchimp.problems import not_found
from millstream.sandbox.system import Answer, Call, JsonObject, Route, route

SENT = 10
ENGAGEMENT = tuple(topic(670 + number) for number in range(SENT))
OPEN_CUT, SECOND_OPEN_CUT, CLICK_CUT = cut(0.42), cut(0.15), cut(0.12)
HOUR_MS = 3_600_000
REASONS = ("None given", "No longer interested", "Never signed up", "Inappropriate content")
LINKS = ("https://shop.example.com/new", "https://shop.example.com/sale", "https://shop.example.com/account")
_PAGING = ("sort_field", "sort_dir")


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign; a draft was never sent."""

    number: int
    created_ms: int
    sent_ms: int | None

    @property
    def id(self) -> str:
        """Ten hexadecimal digits."""
        return f"{0xC0FFEE0000 + self.number:010x}"

    @property
    def subject(self) -> str:
        """Its subject line."""
        return f"News of week {self.number + 1}"


@dataclass(frozen=True, slots=True)
class Deed:
    """What a member did with a campaign."""

    member: Member
    action: str
    at_ms: int
    url: str | None = None


class Campaigns:
    """Handlers of campaigns and reports."""

    def __init__(self, company: Company, register: Register, list_id: str) -> None:
        self._company = company
        self._register = register
        self._list_id = list_id

    def routes(self) -> list[Route]:
        """The paths under `/campaigns` and `/reports`."""
        one = "/3.0/reports/{campaign_id}"
        return [
            route("GET", "/3.0/campaigns", self._list_campaigns),
            route("GET", "/3.0/campaigns/{campaign_id}", self._get_campaign),
            route("GET", "/3.0/reports", self._list_reports),
            route("GET", one, self._get_report),
            route("GET", f"{one}/email-activity", self._email_activity),
            route("GET", f"{one}/open-details", self._open_details),
            route("GET", f"{one}/click-details", self._click_details),
            route("GET", f"{one}/click-details/{{link_id}}/members", self._click_members),
            route("GET", f"{one}/sent-to", self._sent_to),
            route("GET", f"{one}/unsubscribed", self._unsubscribed),
        ]

    # Campaigns

    def _all(self) -> list[Campaign]:
        today = self._company.today_ms
        sent = [
            Campaign(number, today - (7 * (SENT - number) + 1) * DAY_MS, today - (7 * (SENT - number) - 3) * DAY_MS)
            for number in range(SENT)
        ]
        return [*sent, Campaign(SENT, today - DAY_MS, None)]

    def _list_campaigns(self, call: Call) -> Answer:
        times = ("since_send_time", "before_send_time", "since_create_time", "before_create_time")
        check_query(call, *times, "status", "list_id", "type", *_PAGING)
        status = one_of(call, "status", ("save", "paused", "schedule", "sending", "sent"))
        found = [one for one in self._in_time(call) if status in (None, "sent" if one.sent_ms else "save")]
        if call.query.get("list_id", self._list_id) != self._list_id:
            found = []
        rows = [self._campaign(one) for one in _sorted(call, found)]
        return shaped(call, {"campaigns": list(page_of(call, rows)), "total_items": len(rows)})

    def _in_time(self, call: Call) -> Iterator[Campaign]:
        bounds = {name: moment(call, name) for name in call.query if name.endswith(("send_time", "create_time"))}
        for one in self._all():
            for name, bound in bounds.items():
                when = one.sent_ms if "send" in name else one.created_ms
                if bound is None:
                    continue
                if when is None or (when // 1000 <= bound if name.startswith("since") else when // 1000 >= bound):
                    break
            else:
                yield one

    def _get_campaign(self, call: Call) -> Answer:
        check_query(call)
        return shaped(call, self._campaign(self._named(call, drafts=True)))

    def _named(self, call: Call, *, drafts: bool = False) -> Campaign:
        name = call.params["campaign_id"]
        found = next((one for one in self._all() if one.id == name and (drafts or one.sent_ms)), None)
        if found is None:
            raise not_found(f"campaign {name}")
        return found

    def _campaign(self, one: Campaign) -> JsonObject:
        return {
            "id": one.id,
            "web_id": 200_000 + one.number,
            "type": "regular",
            "create_time": stamp(one.created_ms),
            "archive_url": f"https://news.shop.example.com/{one.id}",
            "status": "sent" if one.sent_ms else "save",
            "emails_sent": len(self._recipients(one)),
            "send_time": stamp(one.sent_ms),
            "content_type": "template",
            "recipients": {"list_id": self._list_id, "list_name": "Customers", "segment_text": ""},
            "settings": {
                "subject_line": one.subject,
                "title": f"Newsletter {one.number + 1}",
                "from_name": "Example Shop",
                "reply_to": "news@shop.box.example",
            },
        }

    # What people did

    def _recipients(self, one: Campaign) -> list[int]:
        if one.sent_ms is None:
            return []
        statuses = self._register.statuses
        listed = np.flatnonzero((statuses == SUBSCRIBED) | (statuses == UNSUBSCRIBED) | (statuses == CLEANED))
        return [position for position in listed.tolist() if self._was_addressable(self._register.member(position), one)]

    def _was_addressable(self, member: Member, one: Campaign) -> bool:
        """On the list when it was sent, and not gone before: somebody left with the last campaign they got."""
        assert one.sent_ms is not None
        if member.created_ms >= one.sent_ms:
            return False
        return member.status == "subscribed" or one.number <= self._last_of(member)

    @staticmethod
    def _last_of(member: Member) -> int:
        return member.position % SENT

    def _deeds(self, one: Campaign) -> Iterator[Deed]:
        """In the order of members, each one's own in the order of time."""
        assert one.sent_ms is not None
        latest = one.number == SENT - 1
        for position in self._recipients(one):
            member = self._register.member(position)
            if member.status == "cleaned" and one.number == self._last_of(member):
                yield Deed(member, "bounce", one.sent_ms + HOUR_MS // 60)
                continue
            yield from self._reading(one, member)
            if latest and (changed := self._register.advanced_ms(position)) is not None:
                yield Deed(member, "open", changed)

    def _reading(self, one: Campaign, member: Member) -> Iterator[Deed]:
        bits = draw(self._base(member), ENGAGEMENT[one.number])
        opened = (one.sent_ms or 0) + facts.open_delay(bits)
        if opened >= self._company.today_ms or share(bits, 0) >= OPEN_CUT:
            return
        yield Deed(member, "open", opened)
        if share(bits, 1) < CLICK_CUT:
            yield Deed(member, "click", opened + 60_000, LINKS[bits % len(LINKS)])
        if share(bits, 2) < SECOND_OPEN_CUT and opened + 2 * HOUR_MS < self._company.today_ms:
            yield Deed(member, "open", opened + 2 * HOUR_MS)

    def _base(self, member: Member) -> int:
        return self._company.base(self._register.person_of(member.position))

    # Reports

    def _list_reports(self, call: Call) -> Answer:
        check_query(call, "since_send_time", "before_send_time", "type")
        rows = [self._report(one) for one in self._in_time(call) if one.sent_ms]
        return shaped(call, {"reports": list(page_of(call, rows)), "total_items": len(rows)})

    def _get_report(self, call: Call) -> Answer:
        check_query(call)
        return shaped(call, self._report(self._named(call)))

    def _report(self, one: Campaign) -> JsonObject:
        deeds = list(self._deeds(one))
        sent = len(self._recipients(one))
        opens = [deed for deed in deeds if deed.action == "open"]
        clicks = [deed for deed in deeds if deed.action == "click"]
        openers = {deed.member.position for deed in opens}
        return {
            "id": one.id,
            "campaign_title": f"Newsletter {one.number + 1}",
            "type": "regular",
            "list_id": self._list_id,
            "list_is_active": True,
            "list_name": "Customers",
            "subject_line": one.subject,
            "emails_sent": sent,
            "abuse_reports": 0,
            "unsubscribed": len(self._leavers(one)),
            "send_time": stamp(one.sent_ms),
            "bounces": {
                "hard_bounces": sum(deed.action == "bounce" for deed in deeds),
                "soft_bounces": 0,
                "syntax_errors": 0,
            },
            "opens": {
                "opens_total": len(opens),
                "unique_opens": len(openers),
                "open_rate": len(openers) / sent if sent else 0,
                "last_open": stamp(max((deed.at_ms for deed in opens), default=None)),
            },
            "clicks": {
                "clicks_total": len(clicks),
                "unique_clicks": len({deed.member.position for deed in clicks}),
                "last_click": stamp(max((deed.at_ms for deed in clicks), default=None)),
            },
        }

    def _email_activity(self, call: Call) -> Answer:
        check_query(call, "since")
        one, since = self._named(call), moment(call, "since")
        emails: dict[int, list[Deed]] = {position: [] for position in self._recipients(one)} if since is None else {}
        for deed in self._deeds(one):
            if since is None or deed.at_ms // 1000 > since:
                emails.setdefault(deed.member.position, []).append(deed)
        rows = [
            {**self._email(one, self._register.member(position)), "activity": [_activity(deed) for deed in deeds]}
            for position, deeds in page_of(call, list(emails.items()))
        ]
        return shaped(call, {"emails": rows, "campaign_id": one.id, "total_items": len(emails)})

    def _open_details(self, call: Call) -> Answer:
        check_query(call, "since", *_PAGING)
        since = moment(call, "since")
        opens: dict[int, list[Deed]] = {}
        one = self._named(call)
        for deed in self._deeds(one):
            if deed.action == "open" and (since is None or deed.at_ms // 1000 > since):
                opens.setdefault(deed.member.position, []).append(deed)
        rows = [
            {
                **self._contact(one, deeds[0].member),
                "opens_count": len(deeds),
                "opens": [{"timestamp": stamp(deed.at_ms)} for deed in deeds],
            }
            for deeds in page_of(call, list(opens.values()))
        ]
        return shaped(call, {"members": rows, "campaign_id": one.id, "total_items": len(opens)})

    def _click_details(self, call: Call) -> Answer:
        check_query(call, *_PAGING)
        one = self._named(call)
        clicks = [deed for deed in self._deeds(one) if deed.action == "click"]
        rows = []
        for number, url in enumerate(LINKS):
            here = [deed for deed in clicks if deed.url == url]
            rows.append(
                {
                    "id": f"{one.id}{number}",
                    "url": url,
                    "total_clicks": len(here),
                    "unique_clicks": len({deed.member.position for deed in here}),
                    "last_click": stamp(max((deed.at_ms for deed in here), default=None)),
                    "campaign_id": one.id,
                }
            )
        return shaped(
            call, {"urls_clicked": list(page_of(call, rows)), "campaign_id": one.id, "total_items": len(rows)}
        )

    def _click_members(self, call: Call) -> Answer:
        check_query(call)
        one, link = self._named(call), call.params["link_id"]
        known = {f"{one.id}{number}": url for number, url in enumerate(LINKS)}
        if link not in known:
            raise not_found(f"link {link}")
        counted: dict[int, int] = {}
        for deed in self._deeds(one):
            if deed.url == known[link]:
                counted[deed.member.position] = counted.get(deed.member.position, 0) + 1
        rows = [
            {**self._contact(one, self._register.member(position)), "clicks": clicks, "url_id": link}
            for position, clicks in page_of(call, list(counted.items()))
        ]
        return shaped(call, {"members": rows, "campaign_id": one.id, "total_items": len(counted)})

    def _sent_to(self, call: Call) -> Answer:
        check_query(call)
        one = self._named(call)
        recipients = self._recipients(one)
        opened = {deed.member.position: 0 for deed in self._deeds(one)}
        rows = []
        for position in page_of(call, recipients):
            member = self._register.member(position)
            bounced = member.status == "cleaned" and one.number == self._last_of(member)
            rows.append(
                {
                    **self._contact(one, member),
                    "status": "hard" if bounced else "sent",
                    "open_count": int(position in opened and not bounced),
                    "last_open": "",
                    "absplit_group": "",
                    "gmt_offset": 0,
                }
            )
        return shaped(call, {"sent_to": rows, "campaign_id": one.id, "total_items": len(recipients)})

    def _leavers(self, one: Campaign) -> list[Member]:
        members = map(self._register.member, self._recipients(one))
        return [member for member in members if member.status == "unsubscribed" and self._last_of(member) == one.number]

    def _unsubscribed(self, call: Call) -> Answer:
        check_query(call)
        one = self._named(call)
        leavers = self._leavers(one)
        rows = [
            {
                **self._contact(one, member),
                "timestamp": stamp((one.sent_ms or 0) + 2 * HOUR_MS),
                "reason": REASONS[member.position % len(REASONS)],
            }
            for member in page_of(call, leavers)
        ]
        return shaped(call, {"unsubscribes": rows, "campaign_id": one.id, "total_items": len(leavers)})

    def _email(self, one: Campaign, member: Member) -> JsonObject:
        return {
            "campaign_id": one.id,
            "list_id": self._list_id,
            "list_is_active": True,
            "email_id": member.key,
            "email_address": member.email,
        }

    def _contact(self, one: Campaign, member: Member) -> JsonObject:
        return {**self._email(one, member), "merge_fields": member.merge_fields, "vip": member.vip}


def _activity(deed: Deed) -> JsonObject:
    known: JsonObject = {"action": deed.action, "timestamp": stamp(deed.at_ms)}
    if deed.url is not None:
        known["url"] = deed.url
    if deed.action == "bounce":
        return {**known, "type": "hard"}
    return {**known, "ip": "192.0.2.7"}


def _sorted(call: Call, campaigns: list[Campaign]) -> list[Campaign]:
    by = one_of(call, "sort_field", ("create_time", "send_time"))
    key: Callable[[Campaign], int] = lambda one: (one.sent_ms or 0) if by == "send_time" else one.created_ms  # noqa: E731
    return sorted(campaigns, key=key, reverse=one_of(call, "sort_dir", ("ASC", "DESC")) == "DESC")
