"""Whom a denial reaches: every bearer of the address it was given for, in whatever order things become known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from millstream.state.consent import ConsentRequirement, consented_profiles
from millstream.state.identity import IdentityRules, KindRule
from millstream.state.profiles import SurvivorshipRules, build_profiles, merge_consents
from tests.state.describing import contents, describe, pairs

if TYPE_CHECKING:
    from tests.state.conftest import Customers

SMS = ConsentRequirement(channel="sms")
EMAIL = ConsentRequirement(channel="email")
HOME = ("phone", "+4915100000001")


def statuses(customers: Customers, record_id: str) -> set[tuple[object, ...]]:
    return set(
        customers.rows(
            "SELECT channel, status FROM customers.profile_consents WHERE profile_id = ?", customers.profile(record_id)
        )
    )


def test_a_denial_on_a_shared_phone_reaches_all_who_bear_it(customers: Customers) -> None:
    for name in ("ana", "ben"):
        record_id = customers.record(f"crm.c:{name}", HOME)
        customers.trait(record_id, "first_name", name)
        customers.consent(record_id, "sms", "granted")
    describe(customers)
    assert customers.profile("crm.c:ana") != customers.profile("crm.c:ben")
    assert len(consented_profiles(customers.connection, SMS)) == 2
    customers.consent("crm.c:ana", "sms", "denied")
    report = describe(customers)
    assert not report.full
    assert consented_profiles(customers.connection, SMS) == set()


def test_a_denial_reaches_a_profile_that_did_not_change(customers: Customers) -> None:
    customers.rules = IdentityRules(kinds={"email": KindRule(max_records=1)})
    for number in range(3):
        customers.record(f"a.s:{number}", ("user_id", f"u{number}"), ("email", "hot@box.example"))
        customers.consent(f"a.s:{number}", "email", "granted")
    describe(customers)
    customers.consent("a.s:0", "email", "denied")
    assert describe(customers).described == 1
    assert consented_profiles(customers.connection, EMAIL) == set()
    customers.connection.execute("DELETE FROM customers.consents WHERE status = 'denied'")
    customers.touch("a.s:0")
    assert describe(customers).described == 1
    assert len(consented_profiles(customers.connection, EMAIL)) == 3
    assert customers.rows("SELECT * FROM customers.denied_values") == []
    customers.consent("a.s:0", "email", "denied")
    describe(customers)
    assert consented_profiles(customers.connection, EMAIL) == set()


def test_one_spelling_of_an_address_speaks_for_the_others(customers: Customers) -> None:
    for number, spelling in enumerate(("ana.maria@gmail.com", "anamaria+shop@gmail.com")):
        customers.record(f"a.s:{number}", ("email", "anamaria@gmail.com"), merges=False)
        customers.connection.execute(
            "UPDATE customers.identifiers SET contact = ? WHERE record_id = ?", [spelling, f"a.s:{number}"]
        )
        customers.consent(f"a.s:{number}", "email", ("denied", "granted")[number])
    describe(customers)
    assert customers.profile("a.s:0") != customers.profile("a.s:1")
    assert consented_profiles(customers.connection, EMAIL) == set()


def test_a_record_that_comes_in_deleted_still_denies(customers: Customers) -> None:
    customers.record("a.s:1", ("user_id", "1"))
    customers.consent("a.s:1", "email", "granted")
    describe(customers)
    customers.record("b.s:1", ("user_id", "1"), deleted=True)
    customers.consent("b.s:1", "email", "denied")
    assert describe(customers).described == 0
    assert statuses(customers, "a.s:1") == {("email", "denied")}


def test_an_unknown_status_grants_nothing_and_denies_nothing(customers: Customers) -> None:
    customers.record("a.s:1", HOME)
    customers.consent("a.s:1", "sms", "unknown")
    customers.consent("a.s:1", "email", "unknown")
    customers.consent("a.s:1", "email", "granted")
    describe(customers)
    assert statuses(customers, "a.s:1") == {("sms", "unknown"), ("email", "granted")}


def test_consents_can_be_merged_by_themselves(customers: Customers) -> None:
    customers.record("a.s:1", HOME)
    customers.consent("a.s:1", "sms", "granted")
    describe(customers)
    customers.consent("a.s:1", "sms", "denied")
    merge_consents(customers.connection, full=True)
    assert consented_profiles(customers.connection, SMS) == set()


def expected(customers: Customers) -> set[tuple[object, ...]]:
    """What should be known of consents, by the words of the rule."""
    members = pairs(customers, "SELECT record_id, profile_id FROM customers.members")
    deleted = pairs(customers, "SELECT record_id, deleted FROM customers.records")
    identifiers = customers.rows("SELECT record_id, kind, value, merges FROM customers.identifiers")
    blocked = set(customers.rows("SELECT kind, value FROM customers.blocked_values"))
    weights: dict[tuple[object, ...], int] = defaultdict(int)
    order = ("unknown", "granted", "denied")
    consents = customers.rows("SELECT record_id, channel, topic, status FROM customers.consents")
    for record_id, channel, topic, status in consents:
        if record_id in members:
            about = (members[record_id], channel, topic)
            weights[about] = max(weights[about], order.index(str(status)))
        if status != "denied" or record_id not in deleted:
            continue
        reached = {"email": "email", "sms": "phone", "phone": "phone"}.get(str(channel))
        given_for = {
            (kind, value)
            for bearer, kind, value, merges in identifiers
            if bearer == record_id
            and (kind == reached or (deleted[record_id] and merges and (kind, value) not in blocked))
        }
        for bearer, kind, value, _ in identifiers:
            if (kind, value) in given_for and bearer in members:
                weights[members[bearer], channel, topic] = 2
    return {(*about, order[weight]) for about, weight in weights.items()}


numbers = st.integers(0, 6)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("bear"), numbers, st.sampled_from(["email", "phone", "user_id"]), st.integers(0, 2)),
        st.tuples(
            st.just("consent"), numbers, st.sampled_from(["email", "sms", "post"]),
            st.sampled_from(["granted", "denied", "unknown"]),
        ),
        st.tuples(st.just("withdraw"), numbers, st.none(), st.none()),
        st.tuples(st.just("delete"), numbers, st.none(), st.none()),
        st.tuples(st.just("erase"), numbers, st.none(), st.none()),
        st.tuples(st.just("name"), numbers, st.sampled_from(["ana", "ben"]), st.none()),
    ),
    max_size=6,
)  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(batches=st.lists(changes, min_size=1, max_size=5))
@example(
    batches=[
        [("bear", 0, "user_id", 0), ("bear", 1, "user_id", 0), ("consent", 0, "email", "denied")],
        [("delete", 0, None, None)],
        [("erase", 0, None, None)],
    ]
)
def test_consents_kept_in_steps_are_those_of_the_whole(
    new_customers: Callable[[], Customers], batches: list[list[tuple[str, int, str | None, object]]]
) -> None:
    customers = new_customers()
    customers.rules = IdentityRules(kinds={"email": KindRule(max_records=3), "phone": KindRule(agree_on="first_name")})
    for batch in batches:
        for what, number, detail, other in batch:
            _change(customers, what, f"{'ab'[number % 2]}.s:{number}", detail, other)
        describe(customers)
        found = customers.rows("SELECT profile_id, channel, topic, status FROM customers.profile_consents")
        assert len(set(found)) == len(found)
        assert set(found) == expected(customers)
    stepwise = contents(customers)[3:]
    build_profiles(customers.connection, SurvivorshipRules(), now=customers.now, full=True)
    assert contents(customers)[3:] == stepwise
    customers.connection.close()


def _change(customers: Customers, what: str, record_id: str, detail: str | None, other: object) -> None:
    known = [
        (str(kind), str(value))
        for kind, value in customers.rows(
            "SELECT kind, value FROM customers.identifiers WHERE record_id = ?", record_id
        )
    ]
    if what == "bear":
        customers.record(record_id, *{*known, (str(detail), f"value {other}")})
    elif what == "consent":
        customers.consent(record_id, str(detail), str(other))
    elif what == "withdraw":
        customers.connection.execute("DELETE FROM customers.consents WHERE record_id = ?", [record_id])
        customers.touch(record_id)
    elif what == "delete":
        customers.delete(record_id)
    elif what == "erase":
        customers.erase(record_id)
    else:
        customers.trait(record_id, "first_name", detail)
