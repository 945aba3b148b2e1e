"""Who should be in each audience, by hand from its description: pandas over facts and the traits made of them.

One function an audience, so that nothing here interprets rules. Predictions alone are taken from the run: what they
should be is another test's question.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tests.truth.project import ACTIVE_DAYS, LAPSED_DAYS, PURCHASES, Ran

DAY = pd.Timedelta(days=1)
Ids = set[str]


@dataclass
class Known:
    """All that audiences are computed from.

    Attributes:
        ran: The run: predictions, identifiers, and the moment of the audiences.
        facts: Every event.
        records: What records say, by profile.
        traits: Every trait as it should be, by profile, predictions among them.
    """

    ran: Ran
    facts: pd.DataFrame
    records: pd.DataFrame
    traits: pd.DataFrame

    @property
    def as_of(self) -> pd.Timestamp:
        """The moment of the audiences."""
        return pd.Timestamp(self.ran.selected_at)

    @property
    def everybody(self) -> Ids:
        """All profiles."""
        return set(self.traits.index)

    def day(self, ago: int) -> pd.Timestamp:
        """Midnight of a day of the sandbox."""
        return pd.Timestamp(self.ran.sandbox.company.day(ago), tz="UTC")

    def where(self, holds: pd.Series[Any]) -> Ids:
        """The profiles of whom it holds."""
        return set(holds[holds.fillna(value=False).astype(bool)].index)

    def top(self, trait: str, percent: float) -> Ids:
        """The highest so many percent of those who have it, parts of a person rounded up, ties in."""
        values = self.traits[trait].dropna().astype(float)
        edge = values.sort_values(ascending=False).iloc[math.ceil(len(values) * percent / 100) - 1]
        return set(values[values >= edge].index)

    def bottom(self, trait: str, percent: float) -> Ids:
        """The lowest so many percent likewise."""
        values = self.traits[trait].dropna().astype(float)
        edge = values.sort_values().iloc[math.ceil(len(values) * percent / 100) - 1]
        return set(values[values <= edge].index)

    def events(self, *names: str, after: pd.Timestamp | None = None, until: pd.Timestamp | None = None) -> pd.DataFrame:
        """Events of these names, later than one moment and not later than another."""
        found = self.facts[self.facts.name.isin(names)]
        found = found if after is None else found[found["at"] > after]
        return found if until is None else found[found["at"] <= until]

    def saying(self, events: pd.DataFrame, **wanted: Collection[str]) -> pd.DataFrame:
        """Events whose properties are among these."""
        fits = [all(said.get(key) in values for key, values in wanted.items()) for said in events.properties]
        return events[fits]

    def times(self, events: pd.DataFrame) -> dict[str, list[pd.Timestamp]]:
        """When each profile did it."""
        return {profile: list(found) for profile, found in events.groupby("profile")["at"]}


def power_users(known: Known) -> Ids:
    return known.top("actions_30", 10) & known.where(known.traits.actions_30 >= 1)


def casual_users(known: Known) -> Ids:
    return known.where(known.traits.actions_90 >= 1) - power_users(known)


def dormant_users(known: Known) -> Ids:
    return known.where(known.traits.days_since_active >= ACTIVE_DAYS)


def first_time_buyers(known: Known) -> Ids:
    return known.where((known.traits.orders == 1) & (known.traits.days_since_order < 30))


def lapsed_customers(known: Known) -> Ids:
    return known.where(known.traits.lifecycle == "lapsed")


def high_value_at_risk(known: Known) -> Ids:
    return known.top("revenue", 25) & known.where(known.traits.rfm_group.isin(["at_risk", "cannot_lose"]))


def cart_left(known: Known) -> Ids:
    since = known.as_of - 3 * DAY
    added, bought = known.times(known.events("Product Added", after=since)), known.events(*PURCHASES, after=since)
    paid = known.times(bought)
    return {one for one, carts in added.items() if not any(at > min(carts) for at in paid.get(one, ()))}


def promoters(known: Known) -> Ids:
    return known.where(known.traits.nps >= 9)


def detractors(known: Known) -> Ids:
    return known.where(known.traits.nps <= 6)


def newly_churned(known: Known) -> Ids:
    return lapsed_customers(known) & known.where(known.traits.days_since_order < LAPSED_DAYS + 30)


def upsell_candidates(known: Known) -> Ids:
    loyal = known.where(known.traits.rfm_group.isin(["champions", "loyal", "potential_loyal"]))
    return loyal & known.where(known.traits.orders >= 2) & known.where(known.traits.next_product.notna())


def birthday_this_week(known: Known) -> Ids:
    return known.where(known.traits.days_to_birthday <= 6)


# The project's own: every kind of condition


def spenders(known: Known) -> Ids:
    return known.top("revenue", 12.5) & known.where(known.traits.orders >= 2)


def little_active(known: Known) -> Ids:
    return known.bottom("days_since_active", 80) & known.where(known.traits.days_since_active > 3)


def of_some_cities(known: Known) -> Ids:
    return known.where(known.traits.place_city.isin(["Linz", "Berlin", "Boston"]))


def not_champions(known: Known) -> Ids:
    return known.everybody - known.where(known.traits.rfm_group.isin(["champions", "dormant"]))


def in_business(known: Known) -> Ids:
    return known.where(known.traits.lifecycle != "prospect")


def no_browser(known: Known) -> Ids:
    return known.where(known.traits.browser.isna() & known.traits.os.notna())


def phone_like(known: Known) -> Ids:
    return known.where(known.traits.device.str.contains("hon", regex=False))


def lately_engaged(known: Known) -> Ids:
    return known.where(known.traits.last_engaged_at >= known.day(60))


def ordered_often(known: Known) -> Ids:
    counts = known.events("Order Completed", after=known.as_of - 365 * DAY).groupby("profile").size()
    return known.where(counts >= 3)


def paid_much(known: Known) -> Ids:
    events = known.events("Order Completed", "Deal Won")
    paid = events[events["at"] >= known.day(200)].groupby("profile").value.sum()
    return known.where(paid > 150)


def in_between(known: Known) -> Ids:
    pages = known.events("Page Viewed", after=known.as_of - 90 * DAY, until=known.as_of - 20 * DAY)
    return set(pages.profile)


def long_ago(known: Known) -> Ids:
    orders = known.events("Order Completed")
    return set(orders[orders["at"] < known.day(200)].profile)


def no_page(known: Known) -> Ids:
    return known.everybody - set(known.events("Page Viewed", after=known.as_of - 60 * DAY).profile)


def pro_pages(known: Known) -> Ids:
    pages = known.saying(known.events("Page Viewed"), plan=("pro",), browser=("Firefox", "Safari"))
    return set(pages.profile)


def spring_campaign(known: Known) -> Ids:
    orders = known.events("Order Completed")
    return set(orders[orders.campaign == "spring"].profile)


def by_web(known: Known) -> Ids:
    orders = known.events("Order Completed")
    return set(orders[orders.channel == "web"].profile)


def viewed_then_bought(known: Known) -> Ids:
    since = known.as_of - 300 * DAY
    pages, orders = (known.times(known.events(*names, after=since)) for names in (["Page Viewed"], PURCHASES))
    return {one for one, seen in pages.items() if _has_chain(seen, orders.get(one, []))}


def _has_chain(pages: Iterable[pd.Timestamp], orders: Iterable[pd.Timestamp]) -> bool:
    seen, paid, soon = list(pages), list(orders), pd.Timedelta(0)
    return any(
        soon < again - first <= 20 * DAY and soon < bought - again <= 15 * DAY and bought - first <= 25 * DAY
        for first in seen
        for again in seen
        for bought in paid
    )


def cart_not_paid(known: Known) -> Ids:
    since, wait = known.as_of - 7 * DAY, 1.5 * DAY
    carts = known.times(known.saying(known.events("Product Added", after=since), plan=("pro",)))
    paid = known.times(known.events("Order Completed", after=since))
    return {
        one
        for one, added in carts.items()
        if any(
            at + wait <= known.as_of and not any(at < bought <= at + wait for bought in paid.get(one, ()))
            for at in added
        )
    }


def never_paid_cart(known: Known) -> Ids:
    until = known.as_of - DAY
    carts = known.times(known.events("Product Added", until=until))
    paid = known.times(known.events("Order Completed", until=until))
    return known.everybody - {one for one, added in carts.items() if any(at > min(added) for at in paid.get(one, ()))}


def may_be_mailed(known: Known) -> Ids:
    return known.where(known.records.may_be_mailed)


def may_be_texted(known: Known) -> Ids:
    return known.where(known.records.may_be_texted) & _with(known, "phone")


def with_number(known: Known) -> Ids:
    return _with(known, "user_id")


def _with(known: Known, kind: str) -> Ids:
    identifiers = known.ran.identifiers
    return set(identifiers[identifiers.kind == kind].profile_id)


def built_on_others(known: Known) -> Ids:
    return (spenders(known) | ordered_often(known)) - may_be_mailed(known) - power_users(known)


def like_spenders(known: Known) -> Ids:
    return nearest(known.traits[["orders", "average_order", "rfm_group"]], spenders(known), 25)


def like_promoters(known: Known) -> Ids:
    alike = nearest(known.traits[["nps", "actions_90", "device"]], promoters(known), 60)
    return alike & known.where(known.traits.orders >= 1)


def by_sql(known: Known) -> Ids:
    return known.where(known.traits.orders >= 2) & known.where(known.traits.survey_sentiment.notna())


def of_now(known: Known) -> Ids:
    return known.top("predicted_value", 10)


def nearest(traits: pd.DataFrame, members: Ids, size: int) -> Ids:
    """The people outside an audience who are nearest to it by these traits (``docs/audiences.md``, look-alikes)."""
    inside = traits.loc[sorted(members)]
    distances = pd.DataFrame(
        {trait: _distance(traits[trait], inside[trait]) for trait in traits if inside[trait].notna().any()}
    )
    outside = distances[~distances.index.isin(inside.index) & traits.notna().any(axis=1)]
    far = ((outside**2).mean(axis=1) ** 0.5).round(9)
    order = sorted(far.index, key=lambda one: (far[one], one))
    return set(order[:size])


def _distance(values: pd.Series[Any], inside: pd.Series[Any]) -> pd.Series[float]:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum():
        spread = numbers.std(ddof=0)
        return ((numbers - numbers[inside.index].mean()) / spread).abs().fillna(1.0)
    shares = inside.value_counts(normalize=True)
    return (1.0 - values.map(shares).fillna(0.0).astype(float)).where(values.notna(), 1.0)


EXPECTED: dict[str, Callable[[Known], Ids]] = {
    found.__name__: found
    for found in (
        power_users, casual_users, dormant_users, first_time_buyers, lapsed_customers, high_value_at_risk, cart_left,
        promoters, detractors, newly_churned, upsell_candidates, birthday_this_week,
        spenders, little_active, of_some_cities, not_champions, in_business, no_browser, phone_like, lately_engaged,
        ordered_often,
        paid_much, in_between, long_ago, no_page, pro_pages, spring_campaign, by_web, viewed_then_bought,
        cart_not_paid, never_paid_cart, may_be_mailed, may_be_texted, with_number, built_on_others, like_spenders,
        like_promoters, by_sql, of_now,
    )
}  # fmt: skip
"""What should be in each audience, by its name."""
