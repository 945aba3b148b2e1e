"""The audiences that come with Millstream, held against their definitions in docs/audiences.md."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from millstream.state.audiences import Audience, written_out
from millstream.state.audiences.nodes import leaves
from millstream.state.audiences.ready_made import ready_made
from millstream.state.audiences.rules import READY_MADE
from millstream.state.errors import ConfigurationError
from millstream.state.traits.registry import shipped_sets
from millstream.state.traits.rules import TraitRules
from tests.state.audience_world import AudienceWorld, Did, ago

if TYPE_CHECKING:
    from tests.state.conftest import Customers

DOCS = Path(__file__).parents[2] / "docs" / "audiences.md"
NUMBERS = ("actions_30", "actions_90", "days_since_active", "orders", "days_since_order", "revenue", "days_to_birthday")
TEXTS = ("lifecycle", "rfm_group", "nps_group", "next_product")
Person = dict[str, Any]

GROUPS = ["champions", "loyal", "potential_loyal", "at_risk", "cannot_lose", "dormant", None]
PEOPLE: dict[str, Person] = {
    f"p{number}": {
        "actions_30": [None, 0, 1, 5, 9][number % 5],
        "actions_90": [None, 0, 1, 9, 9][number % 5],
        "days_since_active": [29, 89, 90, 91, 364, None][number % 6],
        "orders": number % 4,
        "days_since_order": [0, 29, 30, 365, 394, 395][number % 6] if number % 4 else None,
        "revenue": float(number * 7 % 11) if number % 4 else None,
        "rfm_group": GROUPS[number % 7] if number % 4 else None,
        "lifecycle": ["lapsed", "lapsing", "active_customer"][number % 3] if number % 4 else "prospect",
        "nps_group": ["promoter", "passive", "detractor", None][number // 3 % 4],
        "next_product": "shoes" if number % 2 else None,
        "days_to_birthday": [0, 6, 7, 365, None][number // 2 % 5],
        "carts": [[], [1], [71, 200], [73], [200]][number // 5 % 5],
        "paid": [[], [0.5], [1], [72], [150]][number // 7 % 5],
    }
    for number in range(80)
}  # fmt: skip


def at_least(person: Person, trait: str, bound: float) -> bool:
    return person[trait] is not None and person[trait] >= bound


def less_than(person: Person, trait: str, bound: float) -> bool:
    return person[trait] is not None and person[trait] < bound


def on_top(person: Person, trait: str, percent: int) -> bool:
    had = sorted((one[trait] for one in PEOPLE.values() if one[trait] is not None), reverse=True)
    return at_least(person, trait, had[ceil(len(had) * percent / 100) - 1])


def is_power_user(person: Person) -> bool:
    return on_top(person, "actions_30", 10) and person["actions_30"] >= 1


def left_cart(person: Person) -> bool:
    carts, paid = ([hours for hours in person[what] if hours < 72] for what in ("carts", "paid"))
    return bool(carts) and not any(later < cart for cart in carts for later in paid)


DEFINITIONS: dict[str, Callable[[Person], bool]] = {
    "power_users": is_power_user,
    "casual_users": lambda one: at_least(one, "actions_90", 1) and not is_power_user(one),
    "dormant_users": lambda one: at_least(one, "days_since_active", 90),
    "first_time_buyers": lambda one: one["orders"] == 1 and less_than(one, "days_since_order", 30),
    "lapsed_customers": lambda one: one["lifecycle"] == "lapsed",
    "high_value_at_risk": lambda one: on_top(one, "revenue", 25) and one["rfm_group"] in ("at_risk", "cannot_lose"),
    "cart_left": left_cart,
    "promoters": lambda one: one["nps_group"] == "promoter",
    "detractors": lambda one: one["nps_group"] == "detractor",
    "newly_churned": lambda one: one["lifecycle"] == "lapsed" and less_than(one, "days_since_order", 395),
    "upsell_candidates": lambda one: (
        one["orders"] >= 2
        and one["rfm_group"] in ("champions", "loyal", "potential_loyal")
        and one["next_product"] is not None
    ),
    "birthday_this_week": lambda one: one["days_to_birthday"] is not None and one["days_to_birthday"] <= 6,
}


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    return AudienceWorld(customers.connection)


def shipped() -> dict[str, Audience]:
    return {name: Audience.model_validate({"ready_made": name}) for name in READY_MADE}


def with_everybody(world: AudienceWorld) -> AudienceWorld:
    world.have_traits(**dict.fromkeys(NUMBERS, "DOUBLE"), **dict.fromkeys(TEXTS, "TEXT"))
    for name, one in PEOPLE.items():
        did = [Did("Product Added", ago(hours=hours)) for hours in one["carts"]]
        did += [Did("Order Completed", ago(hours=hours)) for hours in one["paid"]]
        world.person(name, *did, **{trait: one[trait] for trait in (*NUMBERS, *TEXTS)})
    return world


def test_each_is_as_it_is_defined(world: AudienceWorld) -> None:
    found = with_everybody(world).members_of(shipped())
    expected = {
        name: {profile_id for profile_id, one in PEOPLE.items() if holds(one)} for name, holds in DEFINITIONS.items()
    }
    assert found == expected
    assert all(0 < len(members) < len(PEOPLE) for members in expected.values())


def test_the_project_says_what_active_and_lapsed_and_a_purchase_are(world: AudienceWorld) -> None:
    rules = TraitRules(active_days=30, lapsed_days=300, purchases=("Paid", "Ordered"))
    with_everybody(world)
    for name, event in (("paid", "Paid"), ("ordered", "Ordered"), ("completed", "Order Completed")):
        world.person(name, Did("Product Added", ago(hours=5)), Did(event, ago(hours=4)))
    found = world.members_of(shipped(), rules=rules)
    assert found["dormant_users"] == {name for name, one in PEOPLE.items() if at_least(one, "days_since_active", 30)}
    assert found["newly_churned"] == {
        name for name, one in PEOPLE.items() if one["lifecycle"] == "lapsed" and less_than(one, "days_since_order", 330)
    }
    assert {"paid", "ordered", "completed"} & found["cart_left"] == {"completed"}


def test_few_who_did_something_are_all_the_power_users_there_are(world: AudienceWorld) -> None:
    world.have_traits(actions_30="DOUBLE", actions_90="DOUBLE")
    for number in range(30):
        world.person(str(number), actions_30=float(number == 7), actions_90=float(number in (7, 8)))
    some = {name: Audience.model_validate({"ready_made": name}) for name in ("power_users", "casual_users")}
    assert world.members_of(some) == {"power_users": {"7"}, "casual_users": {"8"}}


def test_a_trait_of_a_source_does_not_stand_in_for_a_computed_one(world: AudienceWorld) -> None:
    world.have_traits(nps_group="TEXT", computed_nps_group="TEXT")
    world.person("says so", nps_group="promoter", computed_nps_group="detractor")
    world.person("is one", nps_group="detractor", computed_nps_group="promoter")
    promoters = Audience.model_validate({"ready_made": "promoters"})
    assert world.members_of({"fans": promoters}) == {"fans": {"is one"}}


def test_without_its_traits_it_says_what_to_run(world: AudienceWorld) -> None:
    world.person("ana")
    promoters = Audience.model_validate({"ready_made": "promoters"})
    with pytest.raises(
        ConfigurationError, match=r"audiences\.fans: No profile has a trait 'nps_group'.*run `millstream describe`"
    ):
        world.members_of({"fans": promoters})


def test_each_rests_on_traits_that_are_computed() -> None:
    computed = {name for one in shipped_sets(TraitRules()) for name in one.traits}
    for name, audience in ready_made().items():
        assert audience.traits() <= computed, name
        assert audience.description


def test_a_description_of_ones_own_and_the_rule_that_counts() -> None:
    mine = Audience.model_validate({"ready_made": "promoters", "description": "Fans."})
    written = written_out({"fans": mine})["fans"]
    assert (written.description, written.ready_made, len(list(leaves(written.rule)))) == ("Fans.", None, 1)
    assert written.fingerprint() == ready_made()["promoters"].fingerprint()
    dormant = {"quiet": Audience.model_validate({"ready_made": "dormant_users"})}
    assert written_out(dormant, TraitRules(active_days=9))["quiet"].fingerprint() != (
        written_out(dormant)["quiet"].fingerprint()
    )


def test_all_are_in_the_docs() -> None:
    told = DOCS.read_text(encoding="utf-8")
    assert [name for name in READY_MADE if f"`{name}`" not in told] == []


def test_the_examples_in_the_docs_are_audiences() -> None:
    found = 0
    for block in DOCS.read_text(encoding="utf-8").split("```yaml\n")[1:]:
        content = yaml.safe_load(block.partition("```")[0])
        if isinstance(content, list):
            said = [{"rule": rule} for rule in content]
        else:
            said = list(content.get("audiences", content).values())
        for one in said:
            assert Audience.model_validate(one)
            found += 1
    assert found > 20
