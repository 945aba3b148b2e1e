"""Probabilistic linkage on the store: what joins, what is only suggested, and what never joins."""

from __future__ import annotations

import random

import pytest

from millstream.state.errors import ConfigurationError
from millstream.state.identity import linkage
from millstream.state.identity.decisions import unmerge
from millstream.state.identity.linkage import LinkageRules, LinkReport, rules
from tests.state.conftest import Customers

FIRST = ("Ana", "Boris", "Clara", "Dmitri", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas", "Karla", "Leo", "Mira")
LAST = ("Alvarez", "Brandt", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Horvat", "Ivanov", "Jansen", "Keller")
CAUTIOUS = 0.999999999
"""Merges next to nothing by itself."""
CITIES = ("Bern", "Ghent", "Lyon", "Porto", "Turin")


@pytest.fixture
def people(customers: Customers) -> Customers:
    """Sixty people, each known to the shop; every second also to the desk, under other identifiers."""
    chance = random.Random(4)
    for number in range(60):
        said = {
            "first_name": chance.choice(FIRST),
            "last_name": chance.choice(LAST) + chance.choice(("", "", "son")),
            "birth_date": f"{chance.randint(1940, 2005)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
            "city": chance.choice(CITIES),
            "postcode": str(chance.randint(10000, 99999)),
        }
        tell(customers, f"shop.people:{number}", ("shop_id", str(number)), **said)
        if number % 2 == 0:
            said["last_name"] = said["last_name"][:-1] if number % 10 == 0 else said["last_name"]
            tell(customers, f"desk.people:{number}", ("desk_id", str(number)), **said)
    customers.resolve()
    return customers


def tell(customers: Customers, record_id: str, *identifiers: tuple[str, str], **traits: str) -> None:
    customers.record(record_id, *identifiers)
    for name, value in traits.items():
        customers.trait(record_id, name, value)


def link(customers: Customers, *, full: bool = False, merge_at: float = 0.95, suggest_at: float = 0.5) -> LinkReport:
    customers.runs += 1
    return linkage.link(
        customers.connection,
        LinkageRules(enabled=True, merge_at=merge_at, suggest_at=suggest_at),
        run_id=f"link-{customers.runs}",
        now=customers.tick(),
        full=full,
    )


def links(customers: Customers) -> dict[tuple[str, str], str]:
    rows = customers.rows("SELECT record_a, record_b, status FROM customers.links")
    return {(str(a), str(b)): str(status) for a, b, status in rows}


def together(customers: Customers) -> list[int]:
    return [
        number
        for number in range(60)
        if customers.profile(f"shop.people:{number}") == customers.profile(f"desk.people:{number}")
    ]


def test_people_without_a_common_identifier_become_one(people: Customers) -> None:
    assert together(people) == []
    report = link(people)
    assert report.trained
    assert report.merged == 30
    people.resolve()
    assert together(people) == list(range(0, 60, 2))
    assert len(people.partition()) == 60


def test_a_link_tells_how_its_records_compare_but_not_their_values(people: Customers) -> None:
    link(people)
    ((levels, weight),) = people.rows(
        "SELECT levels, match_weight FROM customers.links WHERE record_b = 'shop.people:2'"
    )
    assert '"first name": {"level": "same"' in str(levels)
    assert '"birth date": {"level": "same"' in str(levels)
    assert float(str(weight)) > 5
    assert not [name for name in (*FIRST, *LAST, *CITIES) if name.lower() in str(levels).lower()]


def test_linking_again_changes_nothing(people: Customers) -> None:
    link(people)
    people.resolve()
    before = people.rows("SELECT * FROM customers.links ORDER BY link_id")
    again = link(people, full=True)
    assert again.changed == 0
    assert {row[:4] for row in before} == {
        row[:4] for row in people.rows("SELECT * FROM customers.links ORDER BY link_id")
    }
    people.resolve()
    assert together(people) == list(range(0, 60, 2))


def test_a_model_of_other_comparisons_is_not_used_again(people: Customers, monkeypatch: pytest.MonkeyPatch) -> None:
    link(people)
    people.resolve()
    settings, before = LinkageRules(enabled=True), LinkageRules(enabled=True).fingerprint()
    monkeypatch.setattr(rules, "VERSION", rules.VERSION + 1)
    assert settings.fingerprint() != before
    tell(people, "till.people:1", ("till_id", "1"), first_name="Ana")
    people.resolve()
    assert link(people).trained


def test_a_new_record_is_compared_by_the_model_that_is_kept(people: Customers) -> None:
    link(people)
    people.resolve()
    ((trained_at,),) = people.rows("SELECT trained_at FROM customers.linkage_model")
    said = people.rows("SELECT name, value FROM customers.traits WHERE record_id = 'shop.people:1'")
    tell(people, "till.people:1", ("till_id", "1"), **{str(name): str(value) for name, value in said})
    people.resolve()
    report = link(people)
    assert not report.trained
    assert not report.full
    assert people.rows("SELECT trained_at FROM customers.linkage_model") == [(trained_at,)]
    people.resolve()
    assert people.profile("till.people:1") == people.profile("shop.people:1")
    assert together(people) == list(range(0, 60, 2))


def test_a_link_goes_with_its_evidence(people: Customers) -> None:
    link(people)
    people.resolve()
    people.connection.execute("DELETE FROM customers.traits WHERE record_id = 'desk.people:4'")
    for name, value in (("first_name", "Zoe"), ("last_name", "Quist"), ("birth_date", "1999-09-09")):
        people.trait("desk.people:4", name, value)
    people.resolve()
    report = link(people)
    assert report.withdrawn == 1
    people.resolve()
    assert people.profile("desk.people:4") != people.profile("shop.people:4")
    assert together(people) == [number for number in range(0, 60, 2) if number != 4]


def test_a_link_goes_with_its_record(people: Customers) -> None:
    link(people)
    people.resolve()
    people.delete("desk.people:4")
    people.resolve()
    link(people)
    assert links(people)["desk.people:4", "shop.people:4"] == "withdrawn"


def test_between_the_thresholds_a_link_is_only_suggested(people: Customers) -> None:
    report = link(people, merge_at=CAUTIOUS)
    assert report.merged == 0
    assert report.suggested >= 30
    people.resolve()
    suggested = linkage.suggestions(people.connection)
    assert len(suggested) == report.suggested
    assert all(one.profile_a != one.profile_b for one in suggested)
    assert suggested == sorted(suggested, key=lambda one: (-one.match_weight, one.link_id))


def test_an_accepted_suggestion_joins_and_stays(people: Customers) -> None:
    link(people, merge_at=CAUTIOUS)
    first = linkage.suggestions(people.connection)[0]
    linkage.accept(people.connection, first.link_id, reason="they called", made_by="ana", now=people.tick())
    people.resolve()
    assert people.profile(first.record_a) == people.profile(first.record_b)
    link(people, full=True, merge_at=CAUTIOUS)
    assert links(people)[first.record_a, first.record_b] == "accepted"


def test_a_refused_suggestion_is_never_made_again(people: Customers) -> None:
    link(people, merge_at=CAUTIOUS)
    first = linkage.suggestions(people.connection)[0]
    linkage.refuse(people.connection, first.link_id, reason="father and son", made_by="ana", now=people.tick())
    link(people, full=True, merge_at=0.9)
    people.resolve()
    assert links(people)[first.record_a, first.record_b] == "refused"
    assert people.profile(first.record_a) != people.profile(first.record_b)


def test_links_never_join_what_a_limit_holds_apart(people: Customers) -> None:
    for source in ("shop", "desk"):
        people.connection.execute(
            "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
            "VALUES (?, 'user_id', ?, ?, TRUE, ?)",
            [f"{source}.people:6", source, source, source],
        )
        people.touch(f"{source}.people:6")
    people.resolve()
    link(people)
    assert ("desk.people:6", "shop.people:6") not in links(people)


def test_links_never_join_what_was_taken_apart_by_hand(people: Customers) -> None:
    link(people)
    people.resolve()
    profile = people.profile("shop.people:8")
    assert profile is not None
    unmerge(people.connection, profile, records=["desk.people:8"], reason="twins", made_by="ana", now=people.tick())
    people.resolve()
    link(people, full=True)
    people.resolve()
    assert people.profile("shop.people:8") != people.profile("desk.people:8")
    assert links(people)["desk.people:8", "shop.people:8"] == "withdrawn"


def test_an_accepted_link_obeys_limits(people: Customers) -> None:
    link(people, merge_at=CAUTIOUS)
    first = linkage.suggestions(people.connection)[0]
    for record in (first.record_a, first.record_b):
        people.connection.execute(
            "INSERT INTO customers.identifiers (record_id, kind, value, original, merges, contact) "
            "VALUES (?, 'user_id', ?, ?, TRUE, ?)",
            [record, record, record, record],
        )
        people.touch(record)
    people.resolve()
    with pytest.raises(ConfigurationError, match="holds apart"):
        linkage.accept(people.connection, first.link_id, reason="", made_by="ana", now=people.tick())


def test_an_unknown_link_is_named(people: Customers) -> None:
    with pytest.raises(ConfigurationError, match="no link 'l_none'"):
        linkage.refuse(people.connection, "l_none", reason="", made_by="ana", now=people.tick())


@pytest.mark.parametrize("records", [0, 1, 2])
def test_next_to_nobody_is_no_error(customers: Customers, records: int) -> None:
    for number in range(records):
        tell(customers, f"shop.people:{number}", ("shop_id", str(number)), first_name="Ana")
    customers.resolve()
    assert link(customers).profiles == records


def test_records_that_say_nothing_are_not_linked(customers: Customers) -> None:
    for number in range(5):
        customers.record(f"shop.people:{number}", ("shop_id", str(number)))
    customers.resolve()
    assert link(customers).merged == 0


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="suggest_at must not be above merge_at"):
        LinkageRules(merge_at=0.6, suggest_at=0.9)
