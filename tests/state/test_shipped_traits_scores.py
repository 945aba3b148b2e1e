"""The shipped traits that need a world of their own: scores beside others, birthdays, settings, sentiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from millstream.state.traits.registry import shipped_sets
from millstream.state.traits.rules import TraitRules
from millstream.state.traits.shipped import sentiment
from tests.state.conftest import Customers
from tests.state.trait_world import DAY, TraitWorld, computed

HOUR = timedelta(hours=1)


@pytest.fixture
def world(new_customers: Callable[[], Customers]) -> Iterator[TraitWorld]:
    made = TraitWorld(new_customers())
    yield made
    made.customers.connection.close()


def by_name(world: TraitWorld, set_name: str) -> dict[str, dict[str, Any]]:
    """What a set computes, by the people's names."""
    found = computed(world, set_name)
    return {name: found[profile] for name, profile in world.names().items() if profile in found}


class TestRecencyFrequencyMonetary:
    def test_customers_are_scored_beside_each_other(self, world: TraitWorld) -> None:
        """Ten customers: the n-th bought n times, n each, and last n days before the tenth."""
        for number in range(1, 11):
            world.person(f"c{number}")
            for order in range(number):
                world.bought(f"c{number}", number, ago=(20 - number + order) * DAY)
        world.person("Nobody")
        found = by_name(world, "rfm")
        assert "Nobody" not in found
        assert [found[f"c{number}"]["rfm_score"] for number in range(1, 11)] == [
            "111", "111", "222", "222", "333", "333", "444", "444", "555", "555",
        ]  # fmt: skip
        assert found["c10"]["rfm_group"] == "champions"
        assert found["c1"]["rfm_group"] == "dormant"
        assert found["c5"]["rfm_group"] == "needs_attention"

    def test_equals_score_alike_however_their_orders_add_up(self, world: TraitWorld) -> None:
        for name, values in {"Ana": [0.1] * 10, "Bo": [1.0], "Cy": [0.3, 0.3, 0.4]}.items():
            world.person(name)
            for value in values:
                world.bought(name, value)
        found = by_name(world, "rfm")
        assert {(one["recency_score"], one["monetary_score"]) for one in found.values()} == {(1, 1)}
        assert [found[name]["frequency_score"] for name in ("Bo", "Cy", "Ana")] == [1, 2, 4]

    def test_an_unknown_value_is_worth_nothing(self, world: TraitWorld) -> None:
        for name, value in {"Foreign": None, "Known": 1.0}.items():
            world.person(name)
            world.bought(name, value)
        found = by_name(world, "rfm")
        assert [found[name]["monetary_score"] for name in ("Foreign", "Known")] == [1, 3]

    def test_a_single_customer_is_the_worst_of_one(self, world: TraitWorld) -> None:
        world.person("Only")
        world.bought("Only")
        assert by_name(world, "rfm")["Only"]["rfm_score"] == "111"

    def test_groups_tell_customers_apart(self, world: TraitWorld) -> None:
        """Each of ten customers: how many days ago they last bought, how often, and for how much each time."""
        customers = {
            "champions": (1, 6, 100),
            "champions too": (2, 6, 100),
            "new": (3, 1, 50),
            "potential_loyal": (4, 2, 50),
            "loyal": (5, 5, 1),
            "needs_attention": (6, 1, 1),
            "at_risk": (100, 2, 1),
            "cannot_lose": (200, 5, 90),
            "dormant": (300, 1, 1),
            "dormant too": (400, 1, 1),
        }
        for name, (ago, orders, value) in customers.items():
            world.person(name)
            for order in range(orders):
                world.bought(name, value, ago=(ago + order) * DAY)
        found = by_name(world, "rfm")
        assert {name: found[name]["rfm_group"] for name in customers} == {
            name: name.removesuffix(" too") for name in customers
        }


class TestBirthdays:
    BORN = {
        "Leapling": date(2000, 2, 29),
        "Today": date(1990, 3, 1),
        "Yesterday": date(1990, 2, 28),
        "Unborn": date(2200, 1, 1),
        "Ancient": date(1604, 3, 2),
    }

    @pytest.mark.parametrize(
        ("now", "leapling", "yesterday"),
        [
            (datetime(2028, 2, 29, 12, tzinfo=UTC), (0, 28), (365, 38)),
            (datetime(2027, 2, 28, 12, tzinfo=UTC), (1, 26), (0, 37)),
            (datetime(2027, 3, 1, 12, tzinfo=UTC), (0, 27), (364, 37)),
            (datetime(2028, 3, 1, 12, tzinfo=UTC), (365, 28), (364, 38)),
        ],
    )
    def test_who_was_born_on_the_29th_of_february_has_it_on_the_1st_of_march(
        self, world: TraitWorld, now: datetime, leapling: tuple[int, int], yesterday: tuple[int, int]
    ) -> None:
        world.now = now
        for name, born in self.BORN.items():
            world.person(name, birth_date=born)
        world.person("Known as birthday", birthday=date(1990, 2, 28))
        world.person("Unknown")
        found = {name: (one["days_to_birthday"], one["age"]) for name, one in by_name(world, "lifecycle").items()}
        assert found["Leapling"] == leapling
        assert found["Yesterday"] == found["Known as birthday"] == yesterday
        assert found["Unborn"] == found["Unknown"] == (None, None)
        assert found["Ancient"][1] is None

    def test_the_day_begins_by_the_time_zone(self, world: TraitWorld) -> None:
        world.now = datetime(2027, 2, 28, 23, 30, tzinfo=UTC)
        world.rules = TraitRules(timezone="Asia/Tokyo")
        world.person("Today", birth_date=date(1990, 3, 1))
        found = by_name(world, "lifecycle")["Today"]
        assert (found["days_to_birthday"], found["age"]) == (0, 37)


class TestSettings:
    def test_purchases_are_the_events_that_the_project_names(self, world: TraitWorld) -> None:
        world.rules = TraitRules(purchases=("Order Completed", "Deal Won"))
        world.person("Ana")
        world.bought("Ana", 1)
        world.did("Ana", "Deal Won", value=2, deal_id="d1")
        found = by_name(world, "purchases")["Ana"]
        assert (found["orders"], found["revenue"]) == (2, 3)

    def test_stages_end_by_the_days_of_the_project(self, world: TraitWorld) -> None:
        world.rules = TraitRules(lapsed_days=91, active_days=7)
        agos = {"Half": 45.5 * DAY - HOUR, "Later": 45.5 * DAY, "Last": 91 * DAY - HOUR, "Lapsed": 91 * DAY}
        for name, ago in agos.items():
            world.person(name)
            world.bought(name, ago=ago)
        world.person("Curious")
        world.did("Curious", "Page Viewed", ago=7 * DAY - HOUR)
        world.person("Once curious")
        world.did("Once curious", "Page Viewed", ago=7 * DAY)
        assert {name: one["lifecycle"] for name, one in by_name(world, "lifecycle").items()} == {
            "Half": "active_customer", "Later": "lapsing", "Last": "lapsing", "Lapsed": "lapsed",
            "Curious": "active_prospect", "Once curious": "prospect",
        }  # fmt: skip

    def test_without_anybody_nothing_is_computed_and_nothing_fails(self, world: TraitWorld) -> None:
        report = world.describe([one for one in shipped_sets(world.rules) if one.sql])
        assert {one.status for one in report.sets} == {"computed"}
        assert {one.people for one in report.sets} == {0}


class TestSentiment:
    def test_comments_are_judged_on_average(self, world: TraitWorld) -> None:
        world.person("Happy")
        world.did("Happy", "Survey Responded", comment="Great service, very friendly!")
        world.did("Happy", "Satisfaction Rated", remark="I love it")
        world.did("Happy", "Survey Responded", comment=" ")
        world.did("Happy", "Survey Responded", comment="Terrible, I hate it.", ago=-DAY)
        world.person("Angry")
        world.did("Angry", "Survey Responded", comment="The size was wrong and nobody cared.")
        world.person("Even")
        world.did("Even", "Survey Responded", comment="Quick delivery")
        world.person("German")
        world.did("German", "Survey Responded", comment="Die Lieferung war gut, danke")
        world.person("Silent")
        world.did("Silent", "Survey Responded", nps_score=10)
        found = by_name(world, "sentiment")
        assert {name: one["survey_sentiment_group"] for name, one in found.items()} == {
            "Happy": "positive", "Angry": "negative", "Even": "neutral",
        }  # fmt: skip
        both = (sentiment.score("Great service, very friendly!"), sentiment.score("I love it"))
        assert found["Happy"]["survey_sentiment"] == pytest.approx(sum(both) / 2)

    @pytest.mark.parametrize(
        ("comment", "english"),
        [
            ("Too expensive", True),
            ("Quick delivery", True),
            ("E-mail was never answered", True),
            (":)", True),
            ("Die Lieferung war leider zu spät", False),
            ("La livraison est rapide", False),
            ("Muy bien, pero caro", False),
            ("Ужасно", False),
            (" ", False),
        ],
    )
    def test_what_is_plainly_in_another_language_is_not_read(self, comment: str, english: bool) -> None:
        assert sentiment.is_english(comment) is english

    @pytest.mark.parametrize(
        ("mean", "group"), [(0.05, "positive"), (0.049, "neutral"), (-0.049, "neutral"), (-0.05, "negative")]
    )
    def test_groups_begin_where_the_lexicons_authors_say(self, mean: float, group: str) -> None:
        assert sentiment.group(mean) == group


def test_shipped_traits_tell_what_they_are() -> None:
    """Each has a sentence; numbers have a unit or the bounds of a score; words that are few are listed."""
    for one in shipped_sets(TraitRules()):
        assert one.description.strip().endswith(".")
        for name, trait in one.traits.items():
            assert trait.description.strip().endswith("."), name
            assert trait.type != "number" or trait.unit or trait.at_most is not None, name
            assert not name.endswith(("_group", "_load")) or trait.allowed, name
