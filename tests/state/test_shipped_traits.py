"""The shipped traits that follow from what people did, each set on a few people with its edges.

A class is a set: ``tell`` tells its people, and the tests ask what was computed of them. All are described together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from millstream.state.traits.registry import shipped_sets
from millstream.state.traits.rules import TraitRules
from tests.state.conftest import Customers
from tests.state.trait_world import DAY, NOW, TraitWorld

HOUR = timedelta(hours=1)
RULES = TraitRules(timezone="Europe/Berlin")
"""Two hours ahead of UTC at the time of the run, one in winter."""

Said = Callable[..., Any]
"""What was computed of somebody: of one trait its value, of several a tuple of them."""


@pytest.fixture(scope="module")
def said(new_customers: Callable[[], Customers]) -> Iterator[Said]:
    world = TraitWorld(new_customers(), rules=RULES)
    for one in vars(sys.modules[__name__]).values():
        if hasattr(one, "tell"):
            one.tell(world)
    world.person("Nobody")
    world.did("Later", "Order Completed", ago=-HOUR, value=10, utm_source="google", os="iOS", country="DE")
    report = world.describe([one for one in shipped_sets(RULES) if one.sql])
    assert not report.failed, [one.message for one in report.failed]
    values: dict[tuple[str, ...], dict[str, tuple[Any, ...]]] = {}

    def ask(name: str, *traits: str) -> Any:
        if traits not in values:
            values[traits] = world.values(*traits)
        found = values[traits][name]
        return found if len(traits) > 1 else found[0]

    yield ask
    world.customers.connection.close()


def vendors(**properties: object) -> dict[str, Any]:
    """Properties by the names of a vendor that marks its own with a dollar."""
    return {f"${name}": value for name, value in properties.items()}


class TestActivity:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Later")
        world.person("Once")
        world.did("Once", "Page Viewed", ago=41 * DAY - HOUR)
        world.person("Written to")
        for event in ("Email Sent", "SMS Delivered", "Push Notification Received", "Ticket Answered", "Deal Created"):
            world.did("Written to", event)
        world.person("Busy")
        for ago in (1 * HOUR, 2 * HOUR, 25 * HOUR, 30 * DAY - HOUR, 30 * DAY, 90 * DAY - HOUR, 90 * DAY, -HOUR):
            world.did("Busy", "Page Viewed", ago=ago)
        world.person("Night owl")
        # 23:30 and 00:30 in Berlin, one day in UTC.
        world.did("Night owl", "Page Viewed", ago=NOW - datetime(2026, 6, 9, 21, 30, tzinfo=UTC))
        world.did("Night owl", "Page Viewed", ago=NOW - datetime(2026, 6, 9, 22, 30, tzinfo=UTC))

    def test_who_did_one_thing_was_active_once(self, said: Said) -> None:
        moment = NOW - 41 * DAY + HOUR
        assert said("Once", "first_active", "last_active", "days_since_active") == (moment, moment, 40)
        assert said("Once", "active_days_30", "actions_30", "actions_90") == (0, 0, 1)

    @pytest.mark.parametrize("name", ["Nobody", "Written to", "Later"])
    def test_who_did_nothing_yet_has_no_activity(self, said: Said, name: str) -> None:
        assert said(name, "first_active", "days_since_active", "active_days_30", "actions_30") == (None,) * 4

    def test_windows_end_where_they_say(self, said: Said) -> None:
        assert said("Busy", "actions_30", "actions_90", "days_since_active") == (4, 6, 0)
        assert said("Busy", "first_active", "last_active") == (NOW - 90 * DAY, NOW - HOUR)

    def test_days_are_those_of_the_time_zone(self, said: Said) -> None:
        assert said("Busy", "active_days_30") == 3
        assert said("Night owl", "active_days_30") == 2

    def test_everybody_has_been_known_for_a_while(self, said: Said) -> None:
        assert said("Nobody", "tenure_days") == (NOW - datetime(2026, 1, 1, tzinfo=UTC)).days
        assert said("Once", "tenure_days") >= 40


class TestPurchases:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Regular")
        world.bought("Regular", 10, ago=400 * DAY, order_id="r1")
        world.bought("Regular", 20, ago=365 * DAY, order_id="r2")
        world.bought("Regular", 60, ago=365 * DAY - HOUR, order_id="r3")
        world.bought("Regular", None, ago=6 * DAY - HOUR, order_id="r4")
        world.bought("Regular", 99, ago=-HOUR, order_id="r5")
        world.did("Regular", "Order Refunded", ago=2 * DAY, value=5, order_id="r3")
        world.person("Small change")
        world.bought("Small change", 0.1, ago=3 * DAY)
        world.bought("Small change", 0.2, ago=2 * DAY)
        world.did("Regular", "Order Refunded", ago=1 * DAY, value=7, order_id="r3")
        world.did("Regular", "Order Refunded", ago=1 * DAY, order_id="r2")
        world.person("Foreign")
        world.bought("Foreign", None, ago=DAY)
        world.person("Cancelled")
        world.bought("Cancelled", 50, ago=3 * DAY, order_id="c1")
        world.did("Cancelled", "Order Cancelled", ago=2 * DAY, order_id="c1")
        world.did("Cancelled", "Order Refunded", ago=1 * DAY, order_id="c1", value=50)
        world.bought("Cancelled", 8, ago=3 * DAY, order_id="c2")
        world.person("Changed her mind")
        world.bought("Changed her mind", 30, ago=3 * DAY, order_id="m1")
        world.did("Changed her mind", "Order Cancelled", ago=-HOUR, order_id="m1")
        world.person("Told twice")
        world.person("Told twice", source="shop")
        world.bought("Told twice", 40, ago=3 * DAY, order_id="t1")
        world.bought("Told twice", 44, ago=3 * DAY - HOUR, order_id="t1", source="shop")
        world.person("Same number")
        world.bought("Same number", 1, order_id="t1")
        world.person("Unnumbered")
        world.bought("Unnumbered", 3)
        world.bought("Unnumbered", 3)
        world.person("Old")
        world.bought("Old", 3, ago=500 * DAY)

    def test_sums_have_no_digits_of_the_adding_up(self, said: Said) -> None:
        assert said("Small change", "revenue", "average_order", "net_revenue") == (0.3, 0.15, 0.3)

    def test_who_never_bought_has_no_orders_and_nothing_else(self, said: Said) -> None:
        for name in ("Nobody", "Later"):
            assert said(name, "orders", "revenue", "last_order_at", "orders_365", "refunded") == (0, *[None] * 4)

    def test_orders_add_up(self, said: Said) -> None:
        assert said("Regular", "orders", "revenue", "average_order") == (4, 90, 30)
        assert said("Regular", "first_order_at", "last_order_at") == (NOW - 400 * DAY, NOW - 6 * DAY + HOUR)
        assert said("Regular", "days_since_order", "orders_365", "revenue_365") == (5, 2, 60)

    def test_the_latest_refund_of_an_order_counts_and_one_without_an_amount_is_of_the_whole(self, said: Said) -> None:
        assert said("Regular", "refunded", "net_revenue") == (27, 63)
        assert said("Old", "refunded", "net_revenue") == (0, 3)

    def test_what_cannot_be_converted_is_an_order_of_unknown_value(self, said: Said) -> None:
        assert said("Foreign", "orders", "revenue", "average_order", "revenue_365", "net_revenue") == (1, *[None] * 4)

    def test_a_year_without_orders_is_a_year_without_revenue(self, said: Said) -> None:
        assert said("Old", "orders", "orders_365", "revenue_365") == (1, 0, 0)

    def test_a_cancelled_order_and_its_refund_do_not_count(self, said: Said) -> None:
        assert said("Cancelled", "orders", "revenue", "refunded", "net_revenue") == (1, 8, 0, 8)
        assert said("Changed her mind", "orders", "revenue") == (1, 30)

    def test_an_order_told_by_two_sources_counts_once_as_last_told(self, said: Said) -> None:
        assert said("Told twice", "orders", "revenue") == (1, 44)
        assert said("Same number", "orders", "revenue") == (1, 1)
        assert said("Unnumbered", "orders", "revenue") == (2, 6)


class TestAttribution:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Won by ad")
        world.did("Won by ad", "Page Viewed", ago=9 * DAY)
        world.did(
            "Won by ad", "Page Viewed", ago=8 * DAY, utm_source="google", utm_medium="cpc", referrer="https://g.co/x?y"
        )
        world.did("Won by ad", "Email Sent", ago=7 * DAY, campaign="spring")
        world.did("Won by ad", "Email Link Clicked", ago=6 * DAY, channel="email", campaign="spring")
        world.did("Won by ad", "Page Viewed", ago=-DAY, utm_source="bing")
        world.person("Referred")
        world.did("Referred", "Page Viewed", ago=DAY, referrer="https://News.example:443/a/b?c=d#e")
        world.person("Clicks on")
        world.did(
            "Clicks on", "Page Viewed", ago=3 * DAY, url="https://shop.example/a", referrer="https://blog.example/"
        )
        world.did(
            "Clicks on", "Page Viewed", ago=2 * DAY, url="https://shop.example/b", referrer="http://shop.example/a"
        )
        world.person("Came once")
        for ago in (3, 2, 1):
            world.did("Came once", "Page Viewed", ago=ago * DAY, first_referrer="search.example")
        world.did("Came once", "Page Viewed", ago=2 * DAY, utm_source="letter", first_referrer="search.example")
        world.person("By campaign")
        world.did("By campaign", "Page Viewed", ago=3 * DAY, campaign="spring")
        world.did("By campaign", "Page Viewed", ago=2 * DAY, utm_source="letter", utm_medium="email")
        world.did("By campaign", "Page Viewed", ago=1 * DAY, utm_source="letter")
        world.person("Typed the address")
        world.did("Typed the address", "Page Viewed", first_referrer="$direct")
        world.person("Two at once")
        world.did("Two at once", "Page Viewed", ago=DAY, utm_source="first")
        world.did("Two at once", "Page Viewed", ago=DAY, utm_source="second")

    def test_the_first_touch_is_the_first_event_that_tells_where_from(self, said: Said) -> None:
        touch = [f"first_touch_{part}" for part in ("at", "channel", "source", "campaign", "referrer")]
        assert said("Won by ad", *touch) == (NOW - 8 * DAY, "cpc", "google", None, "https://g.co/x?y")

    def test_the_last_touch_is_told_as_a_whole(self, said: Said) -> None:
        touch = [f"last_touch_{part}" for part in ("at", "channel", "source", "campaign", "referrer")]
        assert said("Won by ad", *touch) == (NOW - 6 * DAY, "email", None, "spring", None)

    def test_what_a_touch_does_not_tell_stays_empty(self, said: Said) -> None:
        assert said("By campaign", "first_touch_campaign", "first_touch_source") == ("spring", None)
        assert said("By campaign", "last_touch_source", "last_touch_channel") == ("letter", None)

    def test_a_referring_page_is_a_source_by_its_host(self, said: Said) -> None:
        assert said("Referred", "first_touch_channel", "first_touch_source") == ("referral", "news.example")

    def test_pages_of_the_same_site_brought_nobody_here(self, said: Said) -> None:
        assert said("Clicks on", "first_touch_source", "last_touch_source") == ("blog.example", "blog.example")

    def test_how_somebody_came_first_counts_once_though_all_events_tell_it(self, said: Said) -> None:
        assert said("Came once", "first_touch_at", "first_touch_source") == (NOW - 3 * DAY, "search.example")
        assert said("Came once", "last_touch_at", "last_touch_source") == (NOW - 2 * DAY, "letter")

    def test_of_two_at_once_the_ids_decide(self, said: Said) -> None:
        assert said("Two at once", "first_touch_source", "last_touch_source") == ("first", "second")

    @pytest.mark.parametrize("name", ["Nobody", "Later", "Written to", "Typed the address"])
    def test_without_a_touch_there_is_none(self, said: Said, name: str) -> None:
        assert said(name, "first_touch_at", "last_touch_at") == (None, None)


class TestTechnology:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Phone", ("device_id", "d1"), ("device_id", "d2"))
        world.person("Phone", ("device_id", "d2"), source="shop")
        world.did("Phone", "Page Viewed", ago=3 * DAY, os_name="Android 14", browser="Chrome", device_type="mobile")
        world.did("Phone", "Page Viewed", ago=2 * DAY, os="", browser=None, **vendors(browser="Firefox"))
        world.did("Phone", "Page Viewed", ago=1 * DAY, path="/")
        world.person("Both keys")
        world.did("Both keys", "Page Viewed", device="iPhone", device_type="mobile", os="", **vendors(os="iOS"))
        world.person("Switched")
        world.did("Switched", "Page Viewed", os="Windows")
        world.did("Switched", "Page Viewed", os="macOS")

    def test_the_latest_event_that_names_one_tells_it(self, said: Said) -> None:
        assert said("Phone", "device", "os", "browser") == ("mobile", "Android 14", "Firefox")

    def test_the_more_exact_key_counts(self, said: Said) -> None:
        assert said("Both keys", "device", "os") == ("iPhone", "iOS")

    def test_of_two_at_once_the_later_id_counts(self, said: Said) -> None:
        assert said("Switched", "os") == "macOS"

    def test_devices_are_counted_once(self, said: Said) -> None:
        assert said("Phone", "devices") == 2
        assert said("Nobody", "device", "os", "browser", "devices") == (None,) * 4
        assert said("Later", "os") is None


class TestPlace:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Known", country="DE", region="Bavaria", city="Munich")
        world.did("Known", "Page Viewed", country="FR", region="IDF", city="Paris")
        world.person("Known in part", country="de", city=" ")
        world.did("Known in part", "Page Viewed", ago=2 * DAY, country="DE", region="Berlin", city="Berlin")
        world.person("Travelling", country="DE")
        world.did("Travelling", "Page Viewed", ago=2 * DAY, country="DE", city="Berlin")
        world.did("Travelling", "Page Viewed", ago=1 * DAY, country="FR", city="Paris")
        world.person("Seen")
        world.did("Seen", "Page Viewed", ago=3 * DAY, country="DE", region="Berlin", city="Berlin")
        world.did("Seen", "Page Viewed", ago=2 * DAY, country="FR", city="")
        world.did("Seen", "Page Viewed", ago=1 * DAY, country=None)
        world.person("In a state", state="Ohio", country="US")

    def test_records_count_more_than_events(self, said: Said) -> None:
        place = ("place_country", "place_region", "place_city")
        assert said("Known", *place) == ("DE", "Bavaria", "Munich")
        assert said("In a state", *place) == ("US", "Ohio", None)

    def test_events_fill_up_what_records_lack(self, said: Said) -> None:
        assert said("Known in part", "place_country", "place_region", "place_city") == ("de", "Berlin", "Berlin")

    def test_another_place_fills_up_nothing(self, said: Said) -> None:
        assert said("Travelling", "place_country", "place_city") == ("DE", None)

    def test_the_latest_event_with_a_place_tells_it_as_a_whole(self, said: Said) -> None:
        assert said("Seen", "place_country", "place_region", "place_city") == ("FR", None, None)
        assert said("Nobody", "place_country") is None
        assert said("Later", "place_country") is None


class TestEngagement:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Reader")
        for ago in (1, 2, 3, 100):
            world.did("Reader", "Email Sent", ago=ago * DAY)
            world.did("Reader", "Email Delivered", ago=ago * DAY)
        for ago in (1, 1, 1, 2, 100):
            world.did("Reader", "Email Opened", ago=ago * DAY)
        world.did("Reader", "Email Link Clicked", ago=1 * DAY)
        world.did("Reader", "Email Opened By Program", ago=1 * DAY)
        world.did("Reader", "Email Opened", ago=-DAY)
        world.person("Texter")
        for ago in (10, 20, 30, 40):
            world.did("Texter", "SMS Delivered", ago=ago * DAY)
        world.did("Texter", "SMS Link Clicked", ago=40 * DAY)
        world.did("Texter", "Push Notification Received", ago=29 * DAY)
        world.did("Texter", "Push Notification Tapped", ago=29 * DAY)
        world.person("Asleep")
        world.did("Asleep", "Email Delivered", ago=3 * DAY)
        world.did("Asleep", "Email Opened", ago=365 * DAY)
        world.person("Faint")
        world.did("Faint", "Email Delivered", ago=200 * DAY)
        world.did("Faint", "Email Opened", ago=365 * DAY - HOUR)
        world.person("Opens only")
        world.did("Opens only", "Email Opened", ago=2 * DAY)
        world.did("Opens only", "Email Opened", ago=3 * DAY)
        world.person("Never arrived")
        world.did("Never arrived", "Email Bounced", ago=2 * DAY)
        world.person("Early bird")
        for day, hour in ((1, 4), (2, 4), (3, 7), (4, 7), (5, 9)):
            world.did("Early bird", "Page Viewed", ago=NOW - datetime(2026, 6, day, hour, 59, tzinfo=UTC))
        world.did("Early bird", "Email Sent", ago=NOW - datetime(2026, 6, 5, 9, tzinfo=UTC))
        world.person("In winter")
        world.did("In winter", "Page Viewed", ago=NOW - datetime(2026, 1, 5, 23, 5, tzinfo=UTC))

    def test_reactions_and_sent_messages_are_counted_by_channel(self, said: Said) -> None:
        counts = ("emails_sent_90", "emails_opened_90", "emails_clicked_90", "sms_clicked_90", "push_tapped_90")
        assert said("Reader", *counts) == (3, 4, 1, 0, 0)
        assert said("Texter", *counts) == (0, 0, 0, 1, 1)
        assert said("Texter", "sms_sent_90", "push_sent_90") == (4, 1)
        assert said("Nobody", *counts) == (None,) * 5

    def test_rates_are_shares_of_what_was_sent(self, said: Said) -> None:
        assert said("Reader", "email_open_rate_90") == 1
        assert said("Reader", "email_click_rate_90") == pytest.approx(1 / 3)
        assert said("Texter", "sms_click_rate_90", "push_tap_rate_90", "email_open_rate_90") == (0.25, 1, None)
        assert said("Asleep", "email_open_rate_90") == 0
        assert said("Opens only", "emails_sent_90", "email_open_rate_90") == (0, None)

    @pytest.mark.parametrize(
        ("name", "engagement"),
        [
            ("Reader", "high"),
            ("Texter", "medium"),
            ("Opens only", "medium"),
            ("Faint", "low"),
            ("Asleep", "none"),
            ("Never arrived", None),
            ("Nobody", None),
        ],
    )
    def test_engagement_is_told_in_a_word(self, said: Said, name: str, engagement: str | None) -> None:
        assert said(name, "engagement") == engagement

    def test_the_preferred_channel_has_most_reactions(self, said: Said) -> None:
        assert said("Reader", "preferred_channel", "last_engaged_at") == ("email", NOW - DAY)
        assert said("Texter", "preferred_channel") == "push"
        assert said("Asleep", "preferred_channel", "last_engaged_at") == (None, NOW - 365 * DAY)

    def test_the_preferred_hour_is_that_of_the_time_zone_and_the_earliest_of_several(self, said: Said) -> None:
        assert said("Early bird", "preferred_hour") == 6
        assert said("In winter", "preferred_hour") == 0
        assert said("Nobody", "preferred_hour") is None


class TestProducts:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        shirt = {"product_id": "p1", "name": "Shirt", "category": "Clothes", "price": 20, "quantity": 2}
        sock = {"sku": "p2", "name": "Sock", "category": "Clothes", "price": 5, "quantity": 3}
        lamp = {"product_id": "p3", "name": "Tall lamp", "category": "Home", "price": 99, "quantity": 1}
        world.person("Shopper")
        world.bought("Shopper", order_id="s1", products=[shirt, sock])
        world.bought("Shopper", order_id="s2", products=[{"product_id": "p1", "name": "Shirt"}, {"sku": "p2"}])
        world.bought("Shopper", order_id="s3", products=[lamp])
        world.bought("Shopper", order_id="s4", products=[lamp | {"quantity": 99}], ago=-DAY)
        world.person("Even")
        world.bought("Even", products=[shirt | {"quantity": 1}, lamp])
        world.person("Very even")
        world.bought("Very even", products=[{"name": "B", "category": "z"}, {"name": "A", "category": "y"}])
        world.person("Unlisted")
        world.bought("Unlisted")
        world.bought("Unlisted", products="none")
        world.person("Nameless")
        world.bought("Nameless", products=[{"product_id": "p9", "quantity": "many"}, {"note": "gift"}])
        world.person("Sent back")
        world.bought("Sent back", order_id="b1", products=[lamp])
        world.did("Sent back", "Order Cancelled", ago=HOUR, order_id="b1")

    def test_favourites_are_what_was_bought_most(self, said: Said) -> None:
        favourites = ("favourite_category", "favourite_product", "products_bought")
        assert said("Shopper", *favourites) == ("Clothes", "Shirt", 3)

    def test_of_even_ones_more_was_paid_for_the_favourite_or_it_is_first_by_alphabet(self, said: Said) -> None:
        assert said("Even", "favourite_category", "favourite_product") == ("Home", "Tall lamp")
        assert said("Very even", "favourite_category", "favourite_product") == ("y", "A")

    def test_products_may_have_no_names(self, said: Said) -> None:
        assert said("Nameless", "favourite_category", "favourite_product", "products_bought") == (None, "p9", 1)

    @pytest.mark.parametrize("name", ["Nobody", "Unlisted", "Sent back"])
    def test_orders_without_products_tell_of_none(self, said: Said, name: str) -> None:
        assert said(name, "favourite_category", "favourite_product", "products_bought") == (None,) * 3


class TestSurveys:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Promoter")
        world.did("Promoter", "Survey Responded", ago=9 * DAY, nps_score=2)
        world.did("Promoter", "Survey Responded", ago=2 * DAY, nps_score="9")
        world.did("Promoter", "Survey Responded", ago=1 * DAY, nps_score=None)
        world.did("Promoter", "Survey Responded", ago=-DAY, nps_score=1)
        world.person("Passive")
        world.did("Passive", "Survey Responded", nps_score=10)
        world.did("Passive", "Survey Responded", nps_score=7)
        world.person("Detractor")
        world.did("Detractor", "Survey Responded", ago=2 * DAY, nps_score=0)
        world.did("Detractor", "Survey Responded", ago=1 * DAY, nps_score=11)
        world.person("Rated")
        world.did("Rated", "Satisfaction Rated", ago=2 * DAY, value=1, score="good")
        world.did("Rated", "Satisfaction Rated", ago=1 * DAY, value=2, rating=2, source="app")

    def test_the_latest_score_counts(self, said: Said) -> None:
        promoter = ("nps", "nps_group", "nps_at", "surveys_answered")
        assert said("Promoter", *promoter) == (9, "promoter", NOW - 2 * DAY, 3)

    def test_of_two_at_once_the_later_id_counts(self, said: Said) -> None:
        assert said("Passive", "nps", "nps_group") == (7, "passive")

    def test_scores_out_of_range_are_none(self, said: Said) -> None:
        assert said("Detractor", "nps", "nps_group", "surveys_answered") == (0, "detractor", 2)

    def test_satisfaction_is_a_share(self, said: Said) -> None:
        assert said("Rated", "satisfaction", "nps", "nps_group", "surveys_answered") == (0.25, None, None, 2)
        assert said("Promoter", "satisfaction") is None
        assert said("Nobody", "nps", "satisfaction", "surveys_answered") == (None,) * 3


class TestSupport:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        world.person("Demanding")
        for number, ago in enumerate((1, 2, 90, 100)):
            world.did("Demanding", "Ticket Opened", ago=ago * DAY, id=f"d{number}")
        world.did("Demanding", "Ticket Opened", ago=90 * DAY - HOUR, ticket_id="d9")
        world.did("Demanding", "Ticket Solved", ago=DAY - HOUR, ticket_id="d0")
        world.did("Demanding", "Ticket Solved", ago=80 * DAY, ticket_id="d2")
        world.did("Demanding", "Ticket Reopened", ago=70 * DAY, ticket_id="d2")
        world.did("Demanding", "Ticket Reopened", ago=60 * DAY, ticket_id="d2")
        world.did("Demanding", "Ticket Opened", ago=-DAY, id="d10")
        world.person("Modest")
        world.did("Modest", "Ticket Opened", ago=DAY, id="m1")
        world.person("Content")
        world.did("Content", "Ticket Opened", ago=100 * DAY, id="k1")
        for event, ago in (("Ticket Closed", 99), ("Ticket Reopened", 98), ("Ticket Closed", 97)):
            world.did("Content", event, ago=ago * DAY, ticket_id="k1")

    def test_tickets_are_counted(self, said: Said) -> None:
        counts = ("tickets", "tickets_90", "open_tickets", "tickets_reopened", "last_ticket_at")
        assert said("Demanding", *counts) == (5, 3, 4, 1, NOW - DAY)
        assert said("Content", *counts) == (1, 0, 0, 1, NOW - 100 * DAY)

    def test_the_load_is_that_of_the_last_quarter(self, said: Said) -> None:
        loads = [said(name, "support_load") for name in ("Demanding", "Modest", "Content", "Nobody")]
        assert loads == ["heavy", "light", "none", None]


class TestLifecycle:
    @staticmethod
    def tell(world: TraitWorld) -> None:
        for name, agos in {
            "New": (30 * DAY - HOUR,),
            "Not so new": (30 * DAY,),
            "Active": (300 * DAY, 182.5 * DAY - HOUR),
            "Back": (300 * DAY, 5 * DAY),
            "Slipping": (182.5 * DAY,),
            "Still slipping": (365 * DAY - HOUR,),
            "Gone": (365 * DAY,),
        }.items():
            world.person(name)
            for ago in agos:
                world.bought(name, ago=ago)
        world.person("Curious")
        world.did("Curious", "Page Viewed", ago=90 * DAY - HOUR)
        world.person("Once curious")
        world.did("Once curious", "Page Viewed", ago=90 * DAY)

    @pytest.mark.parametrize(
        ("name", "stage"),
        [
            ("New", "new_customer"),
            ("Not so new", "active_customer"),
            ("Active", "active_customer"),
            ("Back", "active_customer"),
            ("Slipping", "lapsing"),
            ("Still slipping", "lapsing"),
            ("Gone", "lapsed"),
            ("Curious", "active_prospect"),
            ("Once curious", "prospect"),
            ("Written to", "prospect"),
            ("Nobody", "prospect"),
        ],
    )
    def test_everybody_has_a_stage(self, said: Said, name: str, stage: str) -> None:
        assert said(name, "lifecycle") == stage
