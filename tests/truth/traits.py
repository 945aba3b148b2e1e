"""The shipped traits by their definitions, in pandas from the facts: nothing of our SQL, nothing of our store.

The definitions are those of ``docs/traits.md``. Times are UTC; days and hours are those of the project's zone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pandas as pd
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from tests.truth.club import COMMENTS
from tests.truth.life import DAY, OUTGOING, Events, Life, lately
from tests.truth.project import ACTIVE_DAYS, LAPSED_DAYS, TIMEZONE

ZONE = ZoneInfo(TIMEZONE)
REACTIONS = ("opened", "clicked", "tapped")
GERMAN = COMMENTS[3]

Values: TypeAlias = Mapping[str, Any]


def whole_days(as_of: pd.Timestamp, at: pd.Timestamp) -> float:
    """Full spans of 24 hours."""
    return float((as_of - at) // DAY)


# One set of traits after the other; each is given one profile's events by time


def activity(life: Life, as_of: pd.Timestamp) -> Values:
    did = life.did
    if did.empty:
        return {}
    month = lately(did, as_of, 30)
    return {
        "first_active": did["at"].min(),
        "last_active": did["at"].max(),
        "days_since_active": whole_days(as_of, did["at"].max()),
        "active_days_30": month["at"].dt.tz_convert(ZONE).dt.date.nunique(),
        "actions_30": len(month),
        "actions_90": len(lately(did, as_of, 90)),
    }


def buying(life: Life, as_of: pd.Timestamp) -> Values:
    bought = life.bought
    if bought.empty:
        return {"orders": 0}
    values, year = bought.value.dropna().astype(float), lately(bought, as_of, 365)
    revenue, refunded = (values.sum() if len(values) else None), life.refunds.value.sum()
    return {
        "orders": len(bought),
        "revenue": revenue,
        "average_order": values.mean() if len(values) else None,
        "first_order_at": bought["at"].min(),
        "last_order_at": bought["at"].max(),
        "days_since_order": whole_days(as_of, bought["at"].max()),
        "orders_365": len(year),
        "revenue_365": year.value.astype(float).sum() if year.empty or year.value.notna().any() else None,
        "refunded": refunded,
        "net_revenue": None if revenue is None else revenue - refunded,
    }


def attribution(life: Life, as_of: pd.Timestamp) -> Values:
    del as_of
    touches = [found for found in map(_touch, *(life.events[column] for column in _TOUCHES)) if found is not None]
    found: dict[str, Any] = {}
    for which, touch in zip(("first", "last"), (touches[0], touches[-1]) if touches else (), strict=False):
        found |= {f"{which}_touch_{part}": value for part, value in touch.items()}
    return found


_TOUCHES = ("at", "name", "channel", "campaign", "properties")


def _touch(at: pd.Timestamp, name: str, channel: str | None, campaign: str | None, said: Values) -> Values | None:
    referrer = said.get("referrer")
    if referrer is not None and urlsplit(referrer).hostname == urlsplit(said.get("url", "")).hostname:
        referrer = None
    speaks = (campaign, referrer, said.get("utm_source"), said.get("utm_medium"), said.get("utm_campaign"))
    if name in OUTGOING or not any(speaks):
        return None
    return {
        "at": at,
        "channel": said.get("utm_medium") or channel or ("referral" if referrer else None),
        "source": said.get("utm_source") or (urlsplit(referrer).hostname if referrer else None),
        "campaign": campaign or said.get("utm_campaign"),
        "referrer": referrer,
    }


def technology(life: Life, as_of: pd.Timestamp) -> Values:
    del as_of
    keys = {"device": "device_type", "os": "os", "browser": "browser"}
    return {trait: _latest(life.events, key) for trait, key in keys.items()}


def _latest(events: Events, key: str) -> Any:
    told = [said[key] for said in events.properties if key in said]
    return told[-1] if told else None


def engagement(life: Life, as_of: pd.Timestamp) -> Values:
    told = life.messages
    if told.empty:
        return {}
    reactions, recent = told[told.kind.isin(REACTIONS)], lately(told, as_of, 90)
    year, month = lately(reactions, as_of, 365), lately(reactions, as_of, 30)

    counts = Counter(zip(recent.channel, recent.kind, strict=True))

    def count(channel: str, kind: str) -> int:
        return counts[channel, kind]

    emails, texts, pushes = (count(channel, "sent") for channel in ("email", "sms", "push"))
    opened, clicked = count("email", "opened"), count("email", "clicked")
    by_channel = year.channel.value_counts()
    return {
        "emails_sent_90": emails,
        "emails_opened_90": opened,
        "emails_clicked_90": clicked,
        "email_open_rate_90": _rate(opened, emails),
        "email_click_rate_90": _rate(clicked, emails),
        "sms_sent_90": texts,
        "sms_clicked_90": count("sms", "clicked"),
        "sms_click_rate_90": _rate(count("sms", "clicked"), texts),
        "push_sent_90": pushes,
        "push_tapped_90": count("push", "tapped"),
        "push_tap_rate_90": _rate(count("push", "tapped"), pushes),
        "preferred_channel": min(by_channel.index, key=lambda one: (-by_channel[one], one), default=None),
        "last_engaged_at": reactions["at"].max() if len(reactions) else None,
        "engagement": _how_engaged(len(month), len(year)),
    }


def _rate(reactions: int, sent: int) -> float | None:
    return min(1.0, reactions / sent) if sent else None


def _how_engaged(month: int, year: int) -> str:
    return "high" if month >= 3 else "medium" if month else "low" if year else "none"


def hours(life: Life, as_of: pd.Timestamp) -> Values:
    year = lately(life.did, as_of, 365)
    if year.empty:
        return {}
    by_hour = year["at"].dt.tz_convert(ZONE).dt.hour.value_counts()
    return {"preferred_hour": min(by_hour.index, key=lambda one: (-by_hour[one], one))}


def products(life: Life, as_of: pd.Timestamp) -> Values:
    del as_of
    items = life.items
    if items.empty:
        return {}
    return {
        "favourite_category": _favourite(items[items.category.notna()], "category"),
        "favourite_product": _favourite(items, "label"),
        "products_bought": items["product"].nunique(),
    }


def _favourite(items: pd.DataFrame, by: str) -> str | None:
    sums = items.groupby(by)[["quantity", "paid"]].sum().round(2)
    return min(sums.index, key=lambda one: (-sums.quantity[one], -sums.paid[one], one), default=None)


def surveys(life: Life, as_of: pd.Timestamp) -> Values:
    del as_of
    answers = _answers(life)
    if answers.empty:
        return {}
    scored = answers[[said.get("nps_score") is not None for said in answers.properties]]
    score = _latest(answers, "nps_score")
    group = None if score is None else "promoter" if score >= 9 else "passive" if score >= 7 else "detractor"
    return {
        "nps": score,
        "nps_group": group,
        "nps_at": scored["at"].max() if len(scored) else None,
        "satisfaction": _latest(answers, "satisfaction"),
        "surveys_answered": len(answers),
    }


@cache
def _judge() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def _answers(life: Life) -> Events:
    return life.events[life.events.name.isin(("Survey Responded", "Satisfaction Rated"))]


def comments(life: Life) -> list[str]:
    """What somebody wrote in English."""
    said = [answer.get("comment") for answer in _answers(life).properties]
    return [comment for comment in said if comment and comment != GERMAN]


def sentiment(life: Life, as_of: pd.Timestamp) -> Values:
    del as_of
    points = [_judge().polarity_scores(comment)["compound"] for comment in comments(life)]
    if not points:
        return {}
    mean = sum(points) / len(points)
    group = "positive" if mean >= 0.05 else "negative" if mean <= -0.05 else "neutral"
    return {"survey_sentiment": mean, "survey_sentiment_group": group}


def support(life: Life, as_of: pd.Timestamp) -> Values:
    told = life.events[life.events.name.isin(("Ticket Opened", "Ticket Solved", "Ticket Closed", "Ticket Reopened"))]
    ids = [said["ticket_id"] for said in told.properties]
    tickets = [_ticket(ticket) for _, ticket in told.groupby([told.source, pd.Series(ids, told.index, dtype=object)])]
    if not tickets:
        return {}
    recent = sum(opened > as_of - 90 * DAY for opened, _, _ in tickets)
    return {
        "tickets": len(tickets),
        "tickets_90": recent,
        "open_tickets": sum(is_open for _, is_open, _ in tickets),
        "tickets_reopened": sum(again for _, _, again in tickets),
        "last_ticket_at": max(opened for opened, _, _ in tickets),
        "support_load": "none" if not recent else "light" if recent < 3 else "heavy",
    }


def _ticket(told: Events) -> tuple[pd.Timestamp, bool, bool]:
    """When it was opened, whether it is open still, and whether it ever was opened again."""
    opened = told[told.name == "Ticket Opened"]["at"]
    begun = told[told.name.isin(("Ticket Opened", "Ticket Reopened"))]["at"].max()
    solved = told[told.name.isin(("Ticket Solved", "Ticket Closed"))]["at"].max()
    is_open = pd.isna(solved) or (not pd.isna(begun) and begun > solved)
    return (opened if len(opened) else told["at"]).min(), bool(is_open), bool((told.name == "Ticket Reopened").any())


def lifecycle(life: Life, as_of: pd.Timestamp) -> Values:
    bought, did = life.bought, life.did
    if len(bought):
        first, last = as_of - bought["at"].min(), as_of - bought["at"].max()
        if first < 30 * DAY:
            stage = "new_customer"
        elif last < LAPSED_DAYS / 2 * DAY:
            stage = "active_customer"
        else:
            stage = "lapsing" if last < LAPSED_DAYS * DAY else "lapsed"
    else:
        stage = "active_prospect" if len(lately(did, as_of, ACTIVE_DAYS)) else "prospect"
    return {"lifecycle": stage}


def birthday(born: date | None, as_of: pd.Timestamp) -> Values:
    if born is None:
        return {}
    today = as_of.tz_convert(ZONE).date()
    this_year, next_year = _anniversary(born, today.year), _anniversary(born, today.year + 1)
    coming = this_year if this_year >= today else next_year
    age = today.year - born.year - (this_year > today)
    return {"days_to_birthday": (coming - today).days, "age": age if age <= 120 else None}


def _anniversary(born: date, year: int) -> date:
    try:
        return born.replace(year=year)
    except ValueError:
        return date(year, 3, 1)


def place(recorded: Values, events: Events) -> Values:
    """What records say, filled up by the latest event that tells of a place, unless it is another one."""
    parts = ("country", "region", "city")
    told = [said for said in events.properties if any(part in said for part in parts)]
    latest = told[-1] if told else {}
    same = all(_alike(recorded.get(part), latest.get(part)) for part in parts)
    return {f"place_{part}": recorded.get(part) or (latest.get(part) if same else None) for part in parts}


def _alike(recorded: str | None, told: str | None) -> bool:
    return not recorded or not told or recorded.lower() == told.lower()


def rfm(bought: pd.DataFrame) -> pd.DataFrame:
    """Scores of all buyers beside each other; ``bought`` is by profile, with last_order_at, orders, revenue."""
    measures = {
        "recency_score": bought.last_order_at,
        "frequency_score": bought.orders.astype(float),
        "monetary_score": bought.revenue.astype(float).fillna(0.0).round(2),
    }
    scores = pd.DataFrame({name: _score(values) for name, values in measures.items()})
    scores["rfm_score"] = scores.astype(int).astype(str).agg("".join, axis=1)
    scores["rfm_group"] = [
        _rfm_group(*row) for row in zip(*(scores[name] for name in measures), bought.orders, strict=True)
    ]
    return scores


def _score(values: pd.Series[Any]) -> pd.Series[Any]:
    worse = values.rank(method="min") - 1
    return 1 + (5 * worse) // len(values)


def _rfm_group(recency: int, frequency: int, monetary: int, orders: int) -> str:
    rules: Iterable[tuple[str, bool]] = (
        ("champions", recency >= 4 and frequency >= 4 and monetary >= 4),
        ("loyal", recency >= 3 and frequency >= 4),
        ("cannot_lose", recency <= 2 and frequency >= 4 and monetary >= 4),
        ("at_risk", recency <= 2 and frequency >= 3),
        ("new", recency >= 4 and orders == 1),
        ("potential_loyal", recency >= 4),
        ("dormant", recency <= 2),
    )
    return next((name for name, holds in rules if holds), "needs_attention")


OF_EVENTS: tuple[Callable[[Life, pd.Timestamp], Values], ...] = (
    activity, attribution, buying, engagement, hours, lifecycle, products, sentiment, support, surveys, technology,
)  # fmt: skip
"""Each trait set that follows from one profile's events alone."""


def all_traits(facts: Events, records: pd.DataFrame, described_at: datetime) -> pd.DataFrame:
    """Every trait of every profile.

    Args:
        facts: ``all_facts``.
        records: What records say, by profile: ``birth_date``, ``country``, ``region``, ``city``, ``first_seen``,
            ``devices``.
        described_at: The moment of the run.
    """
    as_of, life_of = pd.Timestamp(described_at), Life.of_all(facts)
    rows = {}
    for record in records.itertuples():
        life = life_of(record.Index)
        found: dict[str, Any] = {}
        for compute in OF_EVENTS:
            found |= compute(life, as_of)
        found |= birthday(record.birth_date, as_of)
        found |= place({"country": record.country, "region": record.region, "city": record.city}, life.events)
        found["tenure_days"] = whole_days(as_of, min(record.first_seen, as_of))
        found["devices"] = record.devices or None
        rows[record.Index] = found
    traits = pd.DataFrame.from_dict(rows, orient="index")
    return traits.join(rfm(traits[traits.orders > 0]))
