"""Names that are probably one: proposed where they are, and not where they only look like it."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from millstream.state.model.plan_proposal import as_canonical, proposal_text, propose
from millstream.state.model.similar_names import KnownNames, Similar, words_of
from millstream.state.model.tracking_plan import TrackingPlan, fold

KNOWN = ("Order Completed", "Signed Up", "Application Installed", "Email Subscribed", "Level 1 Completed", "Покупка")


def closest(name: str) -> Similar | None:
    known = KnownNames()
    for one in KNOWN:
        known.add(one, one)
    return known.closest(name)


@pytest.mark.parametrize(
    ("name", "meant", "reason"),
    [
        ("order_completed", "Order Completed", "letters"),
        ("OrderCompleted", "Order Completed", "letters"),
        ("sign up", "Signed Up", "words"),
        ("Completed Order", "Order Completed", "words"),
        ("orders.complete", "Order Completed", "words"),
        ("Order Compelted", "Order Completed", "spelling"),
        ("Oder Completed", "Order Completed", "spelling"),
        ("appplication instaled", "Application Installed", "spelling"),
        ("Levle 1 Completed", "Level 1 Completed", "spelling"),
        ("покупки", "Покупка", "spelling"),
    ],
)
def test_what_is_meant_for_a_known_name_is_found(name: str, meant: str, reason: str) -> None:
    assert closest(name) == Similar(meant, reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "Application Uninstalled", "applicationuninstaled", "Email Unsubscribed", "Level 2 Completed", "Signed In",
        "Order Cancelled", "Order Compared", "Order", "", "!", "up",
    ],
)  # fmt: skip
def test_what_is_another_thing_is_left_apart(name: str) -> None:
    assert closest(name) is None


@pytest.mark.parametrize("name", ["signedUp", "signed_up", "Signed Up", "SIGNED-UP", "signed.up"])
def test_words_are_found_however_they_are_set_apart(name: str) -> None:
    assert words_of(name) == ["signed", "up"]
    assert as_canonical(name) == "Signed Up"


def test_words_of_capitals_stay_together() -> None:
    assert words_of("SMSSent2Users") == ["sms", "sent2", "users"]


OWN = TrackingPlan.model_validate(
    {"events": {"Order Completed": {"owner": "shop: team", "required": ["it's"], "aliases": ["bought"]}}}
)


def pasted(unknown: list[str]) -> TrackingPlan:
    proposals, _ = propose(OWN, unknown)
    section = yaml.safe_load(proposal_text(OWN, proposals) or "tracking_plan: {}")["tracking_plan"]
    events = {**OWN.model_dump(exclude_unset=True)["events"], **section.get("events", {})}
    return TrackingPlan.model_validate({"events": events})


def test_what_is_proposed_can_be_pasted_and_makes_one_event_of_them() -> None:
    plan = pasted(["signed_up", "Sign Up", "SignUp", "order compelted", "Order: Completed #", "no", "yes: it's"])
    assert plan.events["Order Completed"].owner == "shop: team"
    assert plan.events["Order Completed"].aliases == ("bought", "order compelted")
    names = plan.names()
    assert {names[fold(name)] for name in ("signed_up", "Sign Up", "SignUp")} == {"Signed Up"}
    assert fold("no") not in names


def test_the_most_frequent_spelling_names_the_event() -> None:
    proposals, similar = propose(TrackingPlan(), ["Invoice Payed", "invoice paid", "InvoicePaid"])
    assert [(one.event, one.names) for one in proposals] == [
        ("Invoice Payed", ["Invoice Payed", "invoice paid", "InvoicePaid"])
    ]
    assert set(similar) == {"invoice paid", "InvoicePaid"}


def test_a_name_with_somebody_in_it_is_not_proposed() -> None:
    assert propose(TrackingPlan(), ["Wrote ana@box.example", "wrote ana@box.example"]) == ([], {})


@given(st.lists(st.text(max_size=12), max_size=8, unique=True))
def test_any_names_give_a_plan_in_which_each_name_is_said_once(unknown: list[str]) -> None:
    unknown = [name for name in unknown if fold(name) not in OWN.names() and name.strip()]
    plan = pasted(unknown)
    assert not plan.ambiguous()
    proposals, _ = propose(OWN, unknown)
    for proposal in proposals:
        assert {plan.names()[fold(name)] for name in proposal.names} == {proposal.event}
