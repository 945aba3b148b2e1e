"""What a project may say of survivorship, and what it is told when that makes no sense."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from millstream.state.errors import ConfigurationError
from millstream.state.profiles import SurvivorshipRules


def rules(**traits: object) -> SurvivorshipRules:
    return SurvivorshipRules.model_validate({"traits": traits})


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"vip": {"strategy": "most_restrictive"}}, "vip: most_restrictive has to be told which values permit least"),
        ({"vip": {"restrictive": [True]}}, "vip: restrictive needs `strategy: most_restrictive`"),
        ({"vip": {"strategy": "first", "restrictive": [True]}}, "restrictive is for most_restrictive only"),
        ({"email": {"strategy": "list"}}, "email holds one value; all of them are in customers.profile_identifiers"),
        ({"City": {}, "city": {}}, "two rules are for one trait"),
        ({"city": {"lifetime_days": 0}}, "greater than or equal to 1"),
        ({"city": {"strategy": "newest"}}, "most_recent"),
    ],
)
def test_what_makes_no_sense_is_said(traits: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(")):
        rules(**traits)


def test_an_opt_out_is_most_restrictive_unless_the_project_says_otherwise() -> None:
    assert rules(unsubscribed={"lifetime_days": 9}).rule("unsubscribed").strategy == "most_restrictive"
    assert rules(unsubscribed={"strategy": "most_recent"}).rule("unsubscribed").strategy == "most_recent"
    assert rules(unsubscribed={"restrictive": ["gone"]}).rule("unsubscribed").restrictive == ("gone",)
    assert rules().rule("city").strategy == "most_recent"


@pytest.mark.parametrize(
    ("strategy", "type_", "message"),
    [
        ("highest", "text", "'highest' compares numbers, dates or times, and the trait 'it' is text"),
        ("longest", "number", "'longest' compares texts, and the trait 'it' is number"),
    ],
)
def test_a_strategy_has_to_fit_the_type_that_sources_declare(strategy: str, type_: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        rules(it={"strategy": strategy}).check([("It", type_)])
    assert caught.value.where == "survivorship.traits.it.strategy"
    rules(it={"strategy": strategy}).check([("it", "text"), ("it", "number"), ("other", type_)])


def test_only_what_changes_rows_changes_the_fingerprint() -> None:
    assert rules(city={"lifetime_days": 3}).fingerprint() == rules(city={}).fingerprint()
    assert rules(city={"strategy": "first"}).fingerprint() != rules().fingerprint()
    assert SurvivorshipRules(sources=("a",)).fingerprint() != rules().fingerprint()
