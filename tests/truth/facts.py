"""All that happened, from the sandbox's company alone: one frame of events, as the documents of each source tell them.

Nothing here comes from our store but who is who: which profile each of a vendor's records has become.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from millstream.sandbox.company import Company
from millstream.sandbox.draws import draw
from millstream.sandbox.mixpanel import behaviour
from millstream.sandbox.shift4shop import trade
from millstream.sandbox.surveymonkey.responses import DURATION
from millstream.sandbox.zendesk import people as desk
from millstream.sandbox.zendesk import rows as desk_rows
from tests.truth.club import moment
from tests.truth.project import ACT_COLUMNS, Ran, dollar_rate

Fact = dict[str, Any]

CANCELLED = 5
"""The shop's status of cancelled orders."""

OF_HUBSPOT = {
    "SENT": "Email Sent",
    "DELIVERED": "Email Delivered",
    "OPEN": "Email Opened",
    "CLICK": "Email Link Clicked",
}
OF_MIXPANEL = {"App Opened": "Application Opened", "product_viewed": "Product Viewed", "Search": "Products Searched"}
OF_STATUS = {"solved": "Ticket Solved", "closed": "Ticket Closed"}


def all_facts(ran: Ran) -> pd.DataFrame:
    """Every event up to the run, one a row, by time.

    Columns: ``profile`` (whose record it hangs on), ``person`` (whose it is in truth), ``source``, ``name``, ``at``,
    ``value`` (euros), ``channel``, ``campaign``, ``properties``.
    """
    company = ran.sandbox.company
    found = [
        *_of_hubspot(company),
        *_of_surveys(company),
        *_of_shop(company),
        *_of_desk(company),
        *_of_app(company),
        *_of_club(ran),
    ]
    facts = pd.DataFrame(found, columns=[
        "place", "person", "name", "at", "amount", "currency", "channel", "campaign", "properties",
    ])  # fmt: skip
    facts["at"] = pd.to_datetime(facts["at"], utc=True).astype("datetime64[us, UTC]")
    for column in ("channel", "campaign"):
        facts[column] = facts[column].astype(object).where(facts[column].notna(), None)
    facts["source"] = facts.place.str.split(".", n=1).str[0]
    facts["profile"] = facts.place.map(ran.profile_of_record)
    facts["value"] = [
        _euros(amount, currency, at.date(), company.today)
        for amount, currency, at in zip(facts.amount, facts.currency, facts["at"], strict=True)
    ]
    assert not facts.profile.isna().any(), facts[facts.profile.isna()].place.head().tolist()
    happened = facts[facts["at"] <= pd.Timestamp(ran.described_at)]
    return happened.sort_values("at", kind="stable").reset_index(drop=True)


def shop_time(ms: int) -> datetime:
    """A time of the shop, whose clock does not say which of the two hours it means that an autumn night has."""
    return datetime.fromisoformat(trade.local(ms)).replace(tzinfo=trade.ZONE).astimezone(UTC)


def _euros(amount: Any, currency: Any, day: Any, today: Any) -> float | None:
    if amount is None or pd.isna(amount) or currency == "XTS":
        return None
    return float(amount) * (dollar_rate(day, today) if currency == "USD" else 1.0)


def _fact(place: str, person: int, name: str, at: datetime, **more: Any) -> Fact:
    known = {key: more.pop(key, None) for key in ("amount", "currency", "channel", "campaign")}
    properties = {key: value for key, value in more.items() if value is not None and value != ""}
    return {"place": place, "person": person, "name": name, "at": at, "properties": properties} | known


def _of_hubspot(company: Company) -> Iterator[Fact]:
    for index in range(company.people):
        for deal in company.deals(index):
            place = f"hubspot.deals:hubspot_contact_id:{deal.contact_id}"
            yield _fact(place, index, "Deal Created", moment(deal.created_ms))
            if deal.close_ms is not None:
                name = "Deal Won" if deal.stage == "closedwon" else "Deal Lost"
                order = {"order_id": f"deal {deal.deal_id}"}
                yield _fact(place, index, name, moment(deal.close_ms), amount=deal.amount, currency="EUR", **order)
        for event in company.email_events(index):
            place, campaign = f"hubspot.email_events:email:{event.recipient}", str(event.campaign_id)
            name, at = OF_HUBSPOT[event.type], moment(event.occurred_ms)
            yield _fact(place, index, name, at, channel="email", campaign=campaign)


def _of_surveys(company: Company) -> Iterator[Fact]:
    """An answer counts from when it was begun."""
    for index in range(company.people):
        took = 30 + draw(company.base(index), DURATION) % 300
        for answer in company.survey_answers(index):
            score = answer.score if answer.survey == "nps" else None
            place, begun = f"surveymonkey.responses:{answer.response_id}", answer.answered_ms - took * 1000
            # The vendor tells whole seconds.
            at = moment(begun // 1000 * 1000)
            yield _fact(place, index, "Survey Responded", at, nps_score=score, comment=answer.comment)


def _of_shop(company: Company) -> Iterator[Fact]:
    for order in trade.make_orders(company):
        row, place = trade.order_row(company, order), f"shift4shop.orders:{order.order_id}"
        items: Any = row["OrderItemList"]
        products = [
            {
                "product_id": str(item["CatalogID"]),
                "name": item["ItemDescription"],
                "quantity": item["ItemQuantity"],
                "price": item["ItemUnitPrice"],
            }
            for item in items
        ]
        said = {"amount": row["OrderAmount"], "currency": "USD", "channel": "web", "order_id": str(order.order_id)}
        yield _fact(place, order.index, "Order Completed", shop_time(order.placed_ms), **said, products=products)
        if row["OrderStatusID"] == CANCELLED:
            yield _fact(place, order.index, "Order Cancelled", shop_time(order.updated_ms), **said)


def _of_desk(company: Company) -> Iterator[Fact]:
    tickets = desk.make_tickets(company, desk.make_users(company))
    for number in range(len(tickets.index)):
        index, asks = int(tickets.index[number]), f"zendesk_user_id:{desk_rows.requester_id(tickets, number)}"
        row, ticket = desk_rows.ticket_row(tickets, number), {"ticket_id": str(tickets.ids[number])}
        if not tickets.deleted[number]:
            yield _fact(f"zendesk.tickets:{asks}", index, "Ticket Opened", _read(row["created_at"]), **ticket)
        for at, event in desk_rows.event_rows(tickets, number):
            kinds: Any = event["child_events"]
            if kinds[0]["event_type"] == "Comment":
                yield _fact(f"zendesk.ticket_events:{asks}", index, "Ticket Answered", moment(at * 1000), **ticket)
            elif kinds[0].get("status") in OF_STATUS:
                name = OF_STATUS[kinds[0]["status"]]
                yield _fact(f"zendesk.ticket_events:{asks}", index, name, moment(at * 1000), **ticket)
        score = desk_rows.score_of(tickets, number)
        if tickets.rated[number] and score != "offered":
            rating = desk_rows.rating_row(tickets, number)
            said = {"satisfaction": 1.0 if score == "good" else 0.0, "comment": rating["comment"]}
            yield _fact(
                f"zendesk.satisfaction_ratings:{asks}", index, "Satisfaction Rated", _read(rating["updated_at"]), **said
            )


def _of_app(company: Company) -> Iterator[Fact]:
    """What arrived twice happened once; an id of the product is not told, so that these orders have no lines."""
    events, seen = behaviour.make_events(company), set()
    for number in range(len(events.index)):
        row = behaviour.event_row(company, events, number, milliseconds=False)
        said: Any = row["properties"]
        key = (row["event"], said["time"], said["$insert_id"])
        if key in seen:
            continue
        seen.add(key)
        source = said["utm_source"] if said["utm_source"] not in ("undefined", "<null>") else None
        yield _fact(
            f"mixpanel.events:mixpanel_distinct_id:{said['distinct_id']}",
            int(events.index[number]),
            OF_MIXPANEL.get(str(row["event"]), str(row["event"])),
            moment(said["time"] * 1000),
            amount=said.get("revenue"),
            currency=said.get("currency"),
            order_id=said.get("order_id"),
            utm_source=source,
            os=said["$os"],
            device_id=said["$device_id"],
            city=said["$city"],
            country=said["mp_country_code"],
        )


def _of_club(ran: Ran) -> Iterator[Fact]:
    for act in ran.club.acts:
        said = {name: act.get(name) for name in ACT_COLUMNS}
        money = {"amount": act.get("value"), "currency": act.get("currency"), "campaign": act.get("campaign")}
        yield _fact(f"club.acts:email:{act['email']}", act["index"], act["event"], act["at"], **said, **money)


def _read(text: object) -> datetime:
    return datetime.fromisoformat(str(text)).astimezone(UTC)
