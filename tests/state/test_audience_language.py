"""Conditions on time, percentiles, look-alikes, and audiences that build on each other, by one query."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from math import sqrt
from statistics import mean, pstdev
from typing import TYPE_CHECKING

import pytest
from pydantic import ValidationError

from millstream.state.audiences import Audience, compile_audiences, why
from millstream.state.errors import ConfigurationError
from millstream.state.traits.rules import TraitRules
from tests.state.audience_world import AS_OF, AudienceWorld, Did, ago

if TYPE_CHECKING:
    from tests.state.conftest import Customers

TICK = timedelta(microseconds=1)


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    return AudienceWorld(customers.connection)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"within": "30d"}, {"later"}),
        ({"after": "30d"}, {"later"}),
        ({"before": "30d"}, {"earlier", "then"}),
        ({"before": "2026-05-02"}, {"earlier"}),
        ({"before": date(2026, 5, 2)}, {"earlier"}),
        ({"before": "2026-05-02T02:00:00+02:00"}, {"earlier"}),
        ({"after": "2026-05-02"}, {"then", "later"}),
        ({"after": datetime(2026, 5, 2, tzinfo=UTC)}, {"then", "later"}),
        ({"after": "2026-05-02", "before": "2026-05-03"}, {"then", "later"}),
        ({"within": "31d", "before": "30d"}, {"earlier", "then"}),
        ({"within": "30d", "before": "30d"}, set()),
        ({"within": "30d", "did": False}, {"earlier", "then", "never"}),
    ],
)
def test_a_span_and_a_day_divide_time(world: AudienceWorld, bounds: dict[str, object], expected: set[str]) -> None:
    world.person("earlier", Did("Paid", ago(days=30) - TICK))
    world.person("then", Did("Paid", ago(days=30)))
    world.person("later", Did("Paid", ago(days=30) + TICK))
    world.person("never")
    assert world.who({"event": "Paid", **bounds}) == expected


@pytest.mark.parametrize(
    "bounds",
    [{"before": "soon"}, {"after": "2 months"}, {"within": "9999999d"}, {"before": "4000w3"}, {"within": "0d"}],
)
def test_what_is_neither_span_nor_day_is_refused(bounds: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"neither a span|too long a span|no span"):
        Audience.model_validate({"rule": {"event": "Paid", **bounds}})


def test_conditions_on_one_event_have_each_their_own_time(world: AudienceWorld) -> None:
    world.person("lately", Did("Paid", ago(hours=1)))
    world.person("once", Did("Paid", ago(days=20)))
    world.person("long ago", Did("Paid", ago(days=200)))
    day, month, ever = {"event": "Paid", "within": "1d"}, {"event": "Paid", "within": "30d"}, {"event": "Paid"}
    assert world.members({"day": day, "month": month}) == {"day": {"lately"}, "month": {"lately", "once"}}
    assert world.members({"day": day, "ever": ever}) == {"day": {"lately"}, "ever": {"lately", "once", "long ago"}}
    twice = [{"event": "Paid"}, {"event": "Left", "did": False}]
    rules = {"soon": {"sequence": twice, "within": "1d"}, "late": {"sequence": twice, "after": "30d"}}
    assert world.members(rules) == {"soon": {"lately"}, "late": {"lately", "once"}}


def test_one_of_several_events(world: AudienceWorld) -> None:
    world.person("both", Did("Paid", ago(days=1), value=4), Did("Ordered", ago(days=2), value=5))
    world.person("one", Did("Ordered", ago(days=1), value=5))
    either = {"event": ["Paid", "Ordered"]}
    assert world.who(either) == {"both", "one"}
    assert world.who({**either, "count": {"at_least": 2}}) == {"both"}
    assert world.who({**either, "value": {"at_least": 9}}) == {"both"}
    assert world.who({**either, "event": ["Paid", "Paid"], "count": {"at_least": 2}}) == set()
    assert world.members({"paid": {"event": "Paid"}, "either": either}) == {"paid": {"both"}, "either": {"both", "one"}}
    assert world.members({"either": either, "paid": {"event": "Paid"}})["paid"] == {"both"}


def test_what_has_no_value_adds_nothing_and_happened(world: AudienceWorld) -> None:
    world.person("unpriced", Did("Paid", ago(days=1)))
    world.person("nothing")
    assert world.who({"event": "Paid", "value": {"at_most": 5}}) == {"unpriced"}
    assert world.who({"event": "Paid", "value": {"at_most": 5}, "did": False}) == {"nothing"}


def scored(world: AudienceWorld, *scores: float | None) -> None:
    world.have_traits(score="DOUBLE", stage="TEXT", born="DATE")
    for number, score in enumerate(scores):
        world.person(str(number), score=score)


@pytest.mark.parametrize(
    ("comparison", "expected"),
    [
        ({"top_percent": 20}, "9"),
        ({"top_percent": 21}, "89"),
        ({"top_percent": 0.0001}, "9"),
        ({"top_percent": 100}, "56789"),
        ({"bottom_percent": 20}, "5"),
        ({"bottom_percent": 40, "top_percent": 80}, "6"),
        ({"top_percent": 60, "at_most": 8}, "78"),
    ],
)
def test_percentiles_are_among_those_who_have_the_trait(
    world: AudienceWorld, comparison: dict[str, float], expected: str
) -> None:
    scored(world, None, None, None, None, None, 5, 6, 7, 8, 9)
    assert world.who({"trait": "score", **comparison}) == set(expected)


def test_ties_at_the_edge_of_a_percentile_are_all_in(world: AudienceWorld) -> None:
    scored(world, 1, 2, 2, 2, 3)
    assert world.who({"trait": "score", "top_percent": 40}) == set("1234")
    assert world.who({"trait": "score", "bottom_percent": 20}) == set("0")
    assert world.who({"none": [{"trait": "score", "top_percent": 40}]}) == set("0")


def test_a_share_of_people_is_counted_exactly(world: AudienceWorld) -> None:
    # In floating point, 7 % of 100 and 0.07 % of 10,000 are a bit more than 7.
    scored(world, *range(100))
    assert len(world.who({"trait": "score", "top_percent": 7})) == 7
    assert len(world.who({"trait": "score", "bottom_percent": 29})) == 29
    assert len(world.who({"trait": "score", "bottom_percent": 28.01})) == 29


def test_percentiles_of_days_and_none_of_texts(world: AudienceWorld) -> None:
    scored(world)
    world.person("old", born=date(1950, 1, 1))
    world.person("young", born=date(2000, 1, 1))
    assert world.who({"trait": "born", "top_percent": 50}) == {"young"}
    with pytest.raises(ConfigurationError, match="The trait 'stage' is text and has no highest and lowest values"):
        world.who({"trait": "stage", "top_percent": 50})
    for percent in (0, 101, float("nan")):
        with pytest.raises(ValidationError):
            Audience.model_validate({"rule": {"trait": "score", "top_percent": percent}})


SHOPPERS = {
    "best1": (10.0, "Oslo", True), "best2": (12.0, "Oslo", True), "best3": (14.0, "Rome", None),
    "near": (12.0, "Oslo", True), "far": (0.0, "Oslo", True), "abroad": (12.0, "Lima", True),
    "other": (12.0, "Oslo", False), "half": (12.0, None, None), "nobody": (None, None, None),
}  # fmt: skip


def shoppers(world: AudienceWorld) -> None:
    world.have_traits(orders="DOUBLE", city="TEXT", vip="BOOLEAN", best="BOOLEAN", born="DATE")
    for name, (orders, city, vip) in SHOPPERS.items():
        world.person(name, orders=orders, city=city, vip=vip, best=name.startswith("best") or None)


def distance(name: str) -> float:
    """What docs/audiences.md says, for the traits orders, city and vip."""
    orders, city, vip = SHOPPERS[name]
    known = [one for one, _, _ in SHOPPERS.values() if one is not None]
    best = [SHOPPERS[one] for one in ("best1", "best2", "best3")]
    parts = [
        1.0 if orders is None else (orders - mean(one[0] for one in best if one[0] is not None)) / pstdev(known),
        1.0 if city is None else 1 - sum(one[1] == city for one in best) / 3,
        1.0 if vip is None else 1 - sum(one[2] == vip for one in best) / 2,
    ]
    return sqrt(mean(part**2 for part in parts))


BEST = {"trait": "best", "equals": True}


def likes(world: AudienceWorld, **wanted: object) -> set[str]:
    rule = {"looks_like": {"audience": "best", **wanted}}
    return world.members({"best": BEST, "like": rule})["like"]


def test_look_alikes_are_the_nearest_outside_the_audience(world: AudienceWorld) -> None:
    shoppers(world)
    others = sorted(
        (name for name in SHOPPERS if not name.startswith("best") and name != "nobody"),
        key=lambda name: (round(distance(name), 9), name),
    )
    by = ["orders", "City", "vip"]
    for size in range(1, 9):
        assert likes(world, size=size, by=by) == set(others[:size])
    assert others[0] == "near"


def test_look_alikes_of_the_same_distance_are_taken_by_their_ids(world: AudienceWorld) -> None:
    shoppers(world)
    assert likes(world, size=1, by=["orders"]) == {"abroad"}
    assert likes(world, size=3, by=["orders"]) == {"abroad", "half", "near"}


def test_a_trait_that_no_member_has_or_that_all_share_tells_nothing(world: AudienceWorld) -> None:
    shoppers(world)
    world.have_traits(size="DOUBLE", shop="TEXT", rank="DOUBLE")
    world.connection.execute("UPDATE customers.profiles SET size = 3")
    world.connection.execute("UPDATE customers.profiles SET shop = 'x', rank = 9 WHERE profile_id = 'far'")
    assert likes(world, size=2, by=["orders", "shop", "rank"]) == {"abroad", "half"}
    assert likes(world, size=9, by=["shop", "rank"]) == set()
    assert likes(world, size=2, by=["size"]) == {"abroad", "far"}


def test_numbers_are_measured_by_how_all_people_differ(world: AudienceWorld) -> None:
    # The standard deviation of 0, 0, 1, 0, -2 is a little less than 1 (more, if taken as that of a sample).
    world.have_traits(orders="DOUBLE", city="TEXT", best="BOOLEAN")
    for name, orders, city in (("m", 0, "Oslo"), ("n", 0, "Oslo"), ("p", 1, "Oslo"), ("q", 0, "Lima"), ("r", -2, "x")):
        world.person(name, orders=orders, city=city, best=name in "mn" or None)
    assert likes(world, size=1, by=["orders", "city"]) == {"q"}


def test_texts_are_measured_by_the_members_who_have_one(world: AudienceWorld) -> None:
    world.have_traits(city="TEXT", stage="TEXT", best="BOOLEAN")
    world.person("m", city="Oslo", stage="a", best=True)
    world.person("n", stage="b", best=True)
    world.person("p", city="Oslo", stage="c")
    world.person("a", city="Lima", stage="a")
    assert likes(world, size=1, by=["city", "stage"]) == {"p"}


TELLING_NOTHING = {
    "few members have it": ("DOUBLE", {"best1": 1, "other": 1, "far": 9}),
    "it has too many values": ("TEXT", {"best1": "x", "best2": "x", "best3": "x", "other": "x", "near": "y"}),
    "it is the same for all": ("DOUBLE", {"best1": 1, "best2": 1, "best3": 1, "other": 1}),
}


@pytest.mark.parametrize("reason", TELLING_NOTHING)
def test_without_a_choice_only_traits_are_compared_that_tell_something(world: AudienceWorld, reason: str) -> None:
    # By each of the two traits, "other" would be as the members are, and "near" would not.
    shoppers(world)
    sql_type, values = TELLING_NOTHING[reason]
    world.have_traits(one=sql_type, two=sql_type)
    for name, value in values.items():
        world.connection.execute(
            "UPDATE customers.profiles SET one = ?, two = ? WHERE profile_id = ?", [value, value, name]
        )
    world.connection.execute("UPDATE customers.profiles SET best = NULL")
    world.keep({"best": ["best1", "best2", "best3"]})
    if sql_type == "TEXT":
        for number in range(50):
            world.person(f"z{number}", one=str(number), two=str(number))
    like = Audience.model_validate({"rule": {"looks_like": {"audience": "best", "size": 1}}})
    by = Audience.model_validate(
        {"rule": {"looks_like": {"audience": "best", "size": 1, "by": ["orders", "city", "vip", "one", "two"]}}}
    )
    best = Audience.model_validate({"rule": BEST})
    found = world.members_of({"best": best, "like": like, "by": by}, only_names=["like", "by"])
    assert found == {"like": {"near"}, "by": {"other"}}


def test_nobody_is_like_an_empty_audience(world: AudienceWorld) -> None:
    shoppers(world)
    rules = {"best": {"trait": "orders", "more_than": 99}, "like": {"looks_like": {"audience": "best", "size": 5}}}
    assert world.members(rules) == {"best": set(), "like": set()}


def test_traits_that_cannot_be_compared_are_refused(world: AudienceWorld) -> None:
    shoppers(world)
    with pytest.raises(ConfigurationError, match=r"audiences\.like: The trait 'born' is a date and cannot be compared"):
        likes(world, size=1, by=["born"])
    with pytest.raises(
        ConfigurationError, match=r"audiences\.like: No profile has a trait 'ordrs'.*did you mean 'orders'"
    ):
        likes(world, size=1, by=["ordrs"])


def test_audiences_build_on_each_other_in_stages(world: AudienceWorld) -> None:
    shoppers(world)
    world.did("near", [Did("Paid", ago(days=1))])
    rules = {
        "last": {"all": [{"audience": "like"}, {"not_audience": "payers"}, {"trait": "city", "equals": "Oslo"}]},
        "like": {"any": [{"looks_like": {"audience": "best", "size": 3, "by": ["orders"]}}, {"audience": "payers"}]},
        "payers": {"event": "Paid"},
        "best": BEST,
        "like of like": {"looks_like": {"audience": "last", "size": 1, "by": ["city"]}},
        "none": {"none": [{"any": [{"audience": "like"}, {"audience": "best"}]}, {"trait": "vip", "is_set": False}]},
    }
    assert world.members(rules) == {
        "best": {"best1", "best2", "best3"},
        "payers": {"near"},
        "like": {"abroad", "half", "near"},
        "last": set(),
        "like of like": set(),
        "none": {"far", "other"},
    }
    del rules["last"]["all"][1]
    assert world.members(rules)["last"] == {"near"}
    assert world.members(rules)["like of like"] == {"best1"}


def test_audiences_that_are_not_asked_for_are_those_of_the_store(world: AudienceWorld) -> None:
    world.person("ana")
    world.person("bo", Did("Paid", ago(days=1)))
    world.keep({"payers": ["ana"]})
    audiences = {
        "payers": Audience.model_validate({"rule": {"event": "Paid"}}),
        "rest": Audience.model_validate({"rule": {"not_audience": "payers"}}),
    }
    assert world.members_of(audiences, only_names=["rest"]) == {"rest": {"bo"}}
    assert world.members_of(audiences) == {"payers": {"bo"}, "rest": {"ana"}}
    assert world.members_of(audiences, only_names=[]) == {}
    assert world.members_of({}) == {}
    with pytest.raises(ConfigurationError, match=r"no audience 'payer'.*did you mean 'payers'"):
        world.members_of(audiences, only_names=["payer"])


def test_equal_conditions_are_told_once(world: AudienceWorld) -> None:
    often = {"event": "Paid", "count": {"at_least": 2}, "where": {"size": 1}}
    rules = {
        "a": {"all": [often, {"consent": "email"}, {"trait": "email", "is_set": True}]},
        "b": {"any": [{**often, "did": False}, {"consent": "email"}]},
        "c": {"none": [{"event": "Paid", "where": {"size": 1}, "value": {"more_than": 2}}]},
        "d": {"event": "Signed Up"},
    }
    audiences = {name: Audience.model_validate({"rule": rule}) for name, rule in rules.items()}
    sql = compile_audiences(audiences, traits={"email": "TEXT"}, as_of=AS_OF).sql
    assert sql.count("customers.profile_events") == 2
    assert sql.count("customers.profile_consents") == 1
    assert sql.count("count(*) FILTER") == 1
    assert sql.count("json_extract_string") == 1


def test_why_tells_of_steps_percentiles_and_likes(world: AudienceWorld) -> None:
    shoppers(world)
    world.did("near", [Did("Cart", ago(days=3)), Did("Paid", ago(days=2))])
    world.keep({"best": ["best1", "best2", "best3"]})
    rule = Audience.model_validate(
        {
            "rule": {
                "any": [
                    {"sequence": [{"event": "Cart"}, {"event": "Paid"}, {"event": "Sent"}], "within": "30d"},
                    {"trait": "orders", "top_percent": 10},
                    {"looks_like": {"audience": "best", "size": 1, "by": ["orders", "city"]}},
                ]
            }
        }
    )
    told = why(world.connection, rule, "near", as_of=AS_OF)
    sequence, percent, like = told.parts
    assert (sequence.holds, sequence.seen) == (False, "2 of 3 steps, last 2026-05-30 00:00:00+00:00")
    assert (percent.holds, percent.seen) == (False, "12, number 2 of 8 from the top")
    assert (like.holds, like.seen) == (True, "best: no member")
    assert like.condition == "looks_like: {audience: best, size: 1, by: [orders, city]}"
    assert told.holds


def test_a_trait_that_is_not_computed_yet_is_told_how_to_get(world: AudienceWorld) -> None:
    world.person("ana")
    named = {"a": Audience.model_validate({"rule": {"trait": "rfm_group", "equals": "champions"}})}
    with pytest.raises(ConfigurationError, match=r"run `millstream describe`, which computes it \(trait set 'rfm'\)"):
        world.members_of(named)
    with pytest.raises(ConfigurationError, match=r"take 'rfm' out of `traits\.without`"):
        world.members_of(named, rules=TraitRules(without=("rfm",)))
    with pytest.raises(ConfigurationError, match="did you mean 'rfm_group'"):
        world.who({"trait": "rfm_grop", "equals": "champions"})
