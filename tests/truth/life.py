"""What the traits are made of: behaviour, purchases, refunds, messages, lines of orders, in pandas from the facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import pandas as pd

from tests.truth.project import PURCHASES

DAY = pd.Timedelta(days=1)
OUTGOING = {
    "Email Sent", "Email Processed", "Email Delivered", "Email Deferred", "Email Dropped", "Email Suppressed",
    "Email Bounced", "SMS Sent", "SMS Delivered", "Push Notification Received", "Push Notification Bounced",
    "Campaign Joined",
}  # fmt: skip
BY_OTHERS = {
    "Analytics Audience Member", "Analytics Cohort Member", "Ticket Answered", "Task Completed", "Call Logged",
    "Email Logged", "Deal Created", "Deal Lost", "Order Cancelled", "Order Refunded", "Order Updated",
    "Email Clicked By Program", "Email Opened By Program",
}  # fmt: skip
MESSAGES = {
    "Email Sent": ("email", "sent"),
    "Email Delivered": ("email", "delivered"),
    "Email Opened": ("email", "opened"),
    "Email Link Clicked": ("email", "clicked"),
    "SMS Sent": ("sms", "sent"),
    "SMS Delivered": ("sms", "delivered"),
    "SMS Link Clicked": ("sms", "clicked"),
    "Push Notification Received": ("push", "delivered"),
    "Push Notification Tapped": ("push", "tapped"),
}

Events: TypeAlias = pd.DataFrame
Texts: TypeAlias = "pd.Series[str]"


def lately(events: Events, as_of: pd.Timestamp, days: float) -> Events:
    """What happened in the last so many days."""
    return events[events["at"] > as_of - days * DAY]


def behaviour(events: Events) -> Events:
    """What people did themselves."""
    return events[~events.name.isin(OUTGOING | BY_OTHERS)]


def purchases(events: Events) -> Events:
    """One row a profile's order: the latest event of it, and none of a cancelled one."""
    found = _with_order(events[events.name.isin(PURCHASES)])
    cancelled = _with_order(events[events.name == "Order Cancelled"])
    return _latest_of_orders(found[~_keys(found).isin(_keys(cancelled))])


def refunds(events: Events, bought: Events) -> Events:
    """What was given back of each order, as ``value``; NaN, which adds nothing, where nobody knows."""
    told = _latest_of_orders(_with_order(events[events.name == "Order Refunded"]))
    told = told[_keys(told).isin(_keys(bought))]
    worth = pd.Series(bought.value.astype(float).to_numpy(), index=_keys(bought))
    return told.assign(value=told.value.astype(float).fillna(_keys(told).map(worth)))


def _with_order(events: Events) -> Events:
    told = zip(events.index, events.properties, strict=True)
    return events.assign(order=[said.get("order_id") or f"alone {place}" for place, said in told])


def _latest_of_orders(events: Events) -> Events:
    return events.drop_duplicates(["profile", "order"], keep="last")


def _keys(events: Events) -> Texts:
    return events.profile + " " + events.order


def messages(events: Events) -> Events:
    """Messages and reactions, with ``channel`` and ``kind``; where no sending is told, deliveries count as such."""
    found = events[events.name.isin(MESSAGES)][["profile", "name", "at"]]
    found = found.assign(
        channel=found.name.map(lambda name: MESSAGES[name][0]), kind=found.name.map(lambda name: MESSAGES[name][1])
    )
    through = found.profile + " " + found.channel
    as_sent = (found.kind == "delivered") & ~through.isin(through[found.kind == "sent"])
    return found.assign(kind=found.kind.where(~as_sent, "sent"))


@dataclass(frozen=True)
class Life:
    """What is known of one profile, by time."""

    events: Events
    did: Events
    bought: Events
    refunds: Events
    messages: Events
    items: Events

    @staticmethod
    def of_all(facts: Events) -> Callable[[str], Life]:
        """Gives the life of each profile."""
        bought = purchases(facts)
        parts = (facts, behaviour(facts), bought, refunds(facts, bought), messages(facts), line_items(bought))
        by_profile = [(part.iloc[:0], dict(list(part.groupby("profile")))) for part in parts]
        return lambda profile: Life(*(found.get(profile, nothing) for nothing, found in by_profile))


def line_items(bought: Events) -> pd.DataFrame:
    """The products of orders."""
    rows = [
        {
            "profile": profile,
            "at": at,
            "order": order,
            "product": item["product_id"],
            "label": item.get("name", item["product_id"]),
            "category": item.get("category"),
            "quantity": float(item.get("quantity", 1)),
            "paid": round(float(item.get("quantity", 1)) * item.get("price", 0), 2),
        }
        for profile, at, order, said in zip(bought.profile, bought["at"], bought.order, bought.properties, strict=True)
        for item in said.get("products", ())
    ]
    return pd.DataFrame(rows, columns=["profile", "at", "order", "product", "label", "category", "quantity", "paid"])
