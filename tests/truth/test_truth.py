"""Every shipped trait and audience is what pandas makes of the truth of the sandbox's company.

All in one file, because pytest's workers share out whole files, and each would run the project anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

import numpy as np
import pandas as pd
import pytest

from millstream.state.audiences.rules import READY_MADE
from millstream.state.traits.registry import trait_sets
from millstream.state.traits.rules import TraitRules
from tests.truth import predicted
from tests.truth.audiences import EXPECTED, Known
from tests.truth.project import OWN_AUDIENCES, PEOPLE, Ran

PREDICTIONS = ("churn", "next_product", "propensity", "value")
TRAITS = sorted(
    (found.name, trait)
    for found in trait_sets(TraitRules(), root=None)
    for trait in found.traits
    if found.name not in PREDICTIONS
)
"""Each shipped trait that is no prediction, with its set."""

FEWEST = {
    "place_region": 30, "satisfaction": 50, "sms_click_rate_90": 100, "push_tap_rate_90": 100, "devices": 100,
    "first_touch_referrer": 100, "first_touch_campaign": 100, "last_touch_campaign": 100,
}  # fmt: skip
"""People who must have a value for the comparison to mean anything; 150 unless said here."""

TOLD_APART: Mapping[str, Set[object]] = {
    "tickets_reopened": {0, 1}, "refunded": {0}, "lifecycle": {"new_customer", "active_customer", "lapsing", "lapsed"},
    "support_load": {"none", "light", "heavy"}, "nps_group": {"promoter", "passive", "detractor"},
    "engagement": {"high", "medium", "low", "none"}, "preferred_channel": {"email", "sms", "push"},
    "survey_sentiment_group": {"positive", "neutral", "negative"}, "first_touch_channel": {"email", "referral", "cpc"},
    "rfm_group": {
        "champions", "loyal", "cannot_lose", "at_risk", "new", "potential_loyal", "dormant", "needs_attention",
    },
}  # fmt: skip
"""Values that somebody must have, so that each case of a definition is met."""


def shown(trait: str, people: pd.DataFrame) -> pd.Series:
    """What people have; a trait whose name a source's bears stands beside it."""
    found: pd.Series = people[f"computed_{trait}" if f"computed_{trait}" in people else trait]
    return found


def same(one: object, other: object) -> bool:
    """Equal, or both missing; numbers to nine digits and six decimals."""
    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one)) and bool(pd.isna(other))
    if isinstance(one, (int, float, np.number)) and isinstance(other, (int, float, np.number)):
        return bool(np.isclose(float(one), float(other), rtol=1e-9, atol=1e-6))
    return bool(one == other)


def test_most_people_are_one_profile_and_nobody_shares_one(known: Known) -> None:
    # Answers that name nobody, and devices on which nobody signed in, are profiles of their own and compared as such.
    shared = known.records.people.map(len) > 1
    assert not shared.any(), f"profiles of several people: {list(known.records[shared].people)[:3]}"
    profiles = Counter(person for people in known.records.people for person in people)
    whole = sum(count == 1 for count in profiles.values())
    assert len(profiles) == PEOPLE
    assert whole >= 0.8 * PEOPLE, f"only {whole} of {PEOPLE} people are one profile"
    assert set(known.ran.people.index) == known.everybody


def test_every_set_was_computed(ran: Ran) -> None:
    assert {name: told for name, told in ran.sets.items() if told != ("computed", "")} == {}
    assert set(ran.trait_sets.values()) == {name for name, _ in TRAITS} | set(PREDICTIONS)


@pytest.mark.parametrize(("trait_set", "trait"), TRAITS)
def test_trait_is_what_the_truth_says(trait_set: str, trait: str, known: Known) -> None:
    del trait_set
    wanted, found = known.traits[trait], shown(trait, known.ran.people)
    there, fewest = int(found.notna().sum()), FEWEST.get(trait, 150)
    assert there >= fewest, f"only {there} people have {trait}: nothing is shown by so few"
    assert TOLD_APART.get(trait, frozenset()) <= set(wanted.dropna()), f"nobody with some values of {trait}"
    assert found.nunique() > 1, f"everybody has the same {trait}"
    wrong = [one for one in found.index if not same(found[one], wanted.get(one))]
    examples = [
        f"person {set(known.records.people[one])}: {found[one]!r}, should be {wanted.get(one)!r}" for one in wrong[:3]
    ]
    assert not wrong, f"{trait} is wrong of {len(wrong)} of {len(found)} people, such as {'; '.join(examples)}"


# Audiences

FEWEST_MEMBERS = {"birthday_this_week": 3, "newly_churned": 3, "first_time_buyers": 5, "dormant_users": 5}
"""People who must be in an audience for the comparison to mean anything; 10 unless said here."""


def test_all_of_them_are_compared(ran: Ran) -> None:
    assert set(EXPECTED) == {*READY_MADE, *OWN_AUDIENCES}
    assert set(ran.members) <= set(EXPECTED)


@pytest.mark.parametrize("audience", EXPECTED)
def test_audience_has_whom_the_truth_says(audience: str, known: Known) -> None:
    wanted, found = EXPECTED[audience](known), known.ran.members.get(audience, set())
    missing, strangers = wanted - found, found - wanted
    told = {
        what: [set(known.records.people[one]) for one in sorted(some)[:3]]
        for what, some in (("missing", missing), ("strangers", strangers))
    }
    assert wanted == found, f"{audience}: {len(missing)} missing, {len(strangers)} strangers, such as people {told}"
    assert FEWEST_MEMBERS.get(audience, 10) <= len(found) < len(known.everybody), f"{audience} has {len(found)} people"


# Predictions

VALUE = ("expected_purchases", "expected_order_value", "predicted_value", "probability_active")
FORMULAS = {
    "expected_purchases": predicted.expected_purchases,
    "expected_order_value": predicted.expected_order_value,
    "probability_active": predicted.probability_active,
}


@pytest.fixture(scope="session")
def bought(known: Known) -> pd.DataFrame:
    """How everybody bought."""
    return predicted.histories(known)


@pytest.fixture(scope="session")
def items(known: Known) -> pd.DataFrame:
    """What everybody bought."""
    return predicted.baskets(known)


def differ(found: pd.Series, wanted: pd.Series, known: Known, trait: str) -> str:
    """How far two columns differ, in words; empty where they do not. Predictions have four decimals."""
    assert set(found.index) == set(wanted.index), f"{trait}: not the people who should have it"
    wanted = wanted.reindex(found.index)
    wrong = found[~np.isclose(found.astype(float), wanted.astype(float), rtol=1e-5, atol=6e-5)]
    told = [
        f"person {set(known.records.people[one])}: {found[one]}, should be {wanted[one]}" for one in wrong.index[:3]
    ]
    return f"{trait} is wrong of {len(wrong)} of {len(found)} people, such as {'; '.join(told)}" if told else ""


def told_of(trait: str, known: Known, bought: pd.DataFrame) -> pd.Series:
    """What a trait of customer value should be: the baseline where its card says so, else the formula."""
    card, learned = known.ran.cards[trait], known.ran.cards["predicted_value"].parameters
    if card.used == "baseline":
        return predicted.as_before(trait, bought)
    if trait == "predicted_value":
        return told_of("expected_purchases", known, bought) * told_of("expected_order_value", known, bought)
    return FORMULAS[trait]({**learned, **card.parameters}, bought)


@pytest.mark.parametrize("trait", VALUE)
def test_value_follows_from_what_the_models_learned(trait: str, known: Known, bought: pd.DataFrame) -> None:
    found = shown(trait, known.ran.people).dropna()
    assert len(found) >= 300
    wanted = told_of(trait, known, bought)
    assert differ(found, wanted, known, trait) == ""


@pytest.mark.parametrize("trait", sorted(FORMULAS))
def test_the_formula_says_something_where_the_baseline_stands(trait: str, known: Known, bought: pd.DataFrame) -> None:
    # So that a formula above is not left out unseen: what the model would say is a sensible number of everybody.
    learned = {**known.ran.cards["predicted_value"].parameters, **known.ran.cards[trait].parameters}
    said = FORMULAS[trait](learned, bought)
    assert said.between(0, 1 if trait == "probability_active" else 1e4).all()
    assert said.nunique() > 100


def test_what_was_learned_of_buying_is_the_likeliest(known: Known, bought: pd.DataFrame) -> None:
    learned = dict(known.ran.cards["expected_purchases"].parameters)
    best = predicted.log_likelihood(learned, bought)
    for name in ("r", "alpha", "a", "b"):
        for factor in (0.97, 1.03):
            other = predicted.log_likelihood(learned | {name: learned[name] * factor}, bought)
            assert other <= best + 1e-6 * abs(best), f"with {name} times {factor} the histories are likelier"


def test_probabilities_are_probabilities(known: Known) -> None:
    people = known.ran.people
    for trait in ("probability_active", "churn_risk", "propensity_page", "next_product_score"):
        values = people[trait].dropna()
        assert len(values) >= 300
        assert values.between(0, 1).all(), f"{trait}: {values[~values.between(0, 1)].iloc[:3].tolist()}"
        assert values.nunique() > 1


def test_churn_is_of_customers_and_its_groups_follow_from_the_risk(known: Known, bought: pd.DataFrame) -> None:
    found = known.ran.people[["churn_risk", "churn_group"]].dropna(how="all")
    assert set(found.index) == set(bought.index)
    groups = np.select([found.churn_risk < 1 / 3, found.churn_risk >= 2 / 3], ["low", "high"], "medium")
    wrong = found[found.churn_group != groups]
    assert wrong.empty, f"churn_group does not follow of {len(wrong)} people: {wrong.iloc[:3].values.tolist()}"
    assert found.churn_group.nunique() > 1


def test_propensity_is_of_everybody_who_did_anything(known: Known) -> None:
    assert set(known.ran.people.propensity_page.dropna().index) == set(known.facts.profile)


def test_next_product_was_not_bought_yet_and_is_for_who_bought_products(known: Known, items: pd.DataFrame) -> None:
    found = known.ran.people[["next_product", "next_product_id", "next_product_score"]].dropna(how="all")
    owned = items.groupby("profile")["product"].agg(set)
    assert len(found) >= 300
    assert set(found.index) <= set(owned.index)
    without = {one for one in set(owned.index) - set(found.index) if len(owned[one]) < items["product"].nunique()}
    assert without == set(), f"{len(without)} people bought products and have no next one"
    again = {one for one, product in found.next_product_id.items() if product in owned[one]}
    assert again == set(), f"{len(again)} people should buy what they have"
    labels = items.drop_duplicates("product", keep="last").set_index("product").label
    assert (found.next_product == found.next_product_id.map(labels)).all()
    latest = items.groupby("product")["at"].max()
    assert (found.next_product_id.map(latest) > known.as_of - pd.Timedelta(days=366)).all()


def test_products_bought_together_are_counted_right(known: Known, items: pd.DataFrame) -> None:
    table, pairs = known.ran.together, predicted.bought_together(items)
    orders = items.groupby(["profile", "order"]).ngroups
    bought_in = items.groupby("product").apply(lambda one: one.groupby(["profile", "order"]).ngroups)
    assert len(table) >= 100
    for row in table.itertuples():
        both, where = pairs.get((row.product_a, row.product_b), 0), f"{row.product_a} with {row.product_b}"
        first, second = bought_in[row.product_a], bought_in[row.product_b]
        wanted = (both, both / orders, both / first, both / first / (second / orders))
        assert np.allclose((row.orders, row.support, row.confidence, row.lift), wanted, rtol=1e-6), where
    told = {(row.product_a, row.product_b) for row in table.itertuples()}
    missing = [pair for pair, count in pairs.items() if count >= 3 and pair not in told]
    full = table.groupby("product_a").size()
    assert [pair for pair in missing if full.get(pair[0], 0) < 20] == [], "pairs are left out though there is room"
