"""Who withdraws a consent leaves an audience that asks for it, also while the audience stands still."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from millstream.state.audiences import Audience, AudienceReport, select_audiences
from millstream.state.audiences.failing import Failing, without_failing
from millstream.state.store import kept_whole
from tests.state.audience_world import AS_OF, AudienceWorld
from tests.state.conftest import Customers

GOOD = "SELECT profile_id FROM customers.people"
BROKEN = "SELECT profile_id FROM customers.people WHERE gone = 1"
EMAIL = {"consent": "email"}
DENIED = "SELECT profile_id FROM customers.profile_consents WHERE channel = 'email' AND status = 'denied'"


@pytest.fixture
def world(customers: Customers) -> AudienceWorld:
    """Ana and bo granted e-mail, dora denied it; cy was not asked for it, and granted messages."""
    world = AudienceWorld(customers.connection)
    for name in ("ana", "bo", "cy", "dora"):
        world.person(name)
    for name, channel, status in (
        ("ana", "email", "granted"), ("bo", "email", "granted"), ("bo", "sms", "granted"), ("cy", "sms", "granted"),
        ("dora", "email", "denied"),
    ):  # fmt: skip
        world.consents(name, channel, status)
    return world


def select(world: AudienceWorld, run: str, audiences: Mapping[str, object]) -> dict[str, AudienceReport]:
    given = {name: Audience.model_validate(one) for name, one in audiences.items()}

    def work(failing: Failing) -> list[AudienceReport]:
        with kept_whole(world.connection):
            return select_audiences(world.connection, given, run_id=run, as_of=AS_OF, failing=failing)

    return {one.name: one for one in without_failing(work)}


def members(world: AudienceWorld, audience: str) -> list[str]:
    rows = world.connection.execute(
        "SELECT profile_id FROM customers.memberships WHERE left_at IS NULL AND audience = ? ORDER BY 1", [audience]
    ).fetchall()
    return [str(profile_id) for (profile_id,) in rows]


def withdraw(world: AudienceWorld, profile_id: str, status: str = "denied") -> None:
    world.connection.execute(
        "UPDATE customers.profile_consents SET status = ? WHERE profile_id = ? AND channel = 'email'",
        [status, profile_id],
    )


def rule(*conditions: object, way: str = "all") -> dict[str, object]:
    return {"rule": {way: list(conditions)}}


ON_GOOD = {"audience": "good"}
MAILABLE = {"mailable": rule(ON_GOOD, EMAIL)}


@pytest.mark.parametrize("status", ["denied", "unknown"])
def test_who_withdraws_leaves_and_the_others_stay(world: AudienceWorld, status: str) -> None:
    select(world, "run-1", {"good": {"sql": GOOD}, **MAILABLE})
    assert members(world, "mailable") == ["ana", "bo"]
    withdraw(world, "bo", status)
    world.consents("cy", "email", "granted")
    found = select(world, "run-2", {"good": {"sql": BROKEN}, **MAILABLE})

    assert members(world, "mailable") == ["ana"]
    assert members(world, "good") == ["ana", "bo", "cy", "dora"]
    still = found["mailable"]
    assert (still.size, still.entered, still.left) == (1, 0, 1)
    assert still.held == "it builds on 'good', which stands still"
    left = world.connection.execute("SELECT profile_id, reason FROM customers.memberships WHERE left_run = 'run-2'")
    assert left.fetchall() == [("bo", "consent withdrawn")]
    select(world, "run-3", {"good": {"sql": GOOD}, **MAILABLE})
    assert members(world, "mailable") == ["ana", "cy"]


def test_what_to_do_about_sql_that_fails_is_said(world: AudienceWorld) -> None:
    found = select(world, "run-1", {"good": {"sql": BROKEN}})
    assert "What to do: mend `audiences.good.sql`" in str(found["good"].held)


EVERYBODY = ["ana", "bo", "cy", "dora"]


@pytest.mark.parametrize(
    ("audiences", "before", "after"),
    [
        ({"low": rule(ON_GOOD, EMAIL), "top": rule({"audience": "low"})}, ["ana", "bo"], ["ana"]),
        ({"low": rule(EMAIL), "top": rule(ON_GOOD, {"audience": "low"})}, ["ana", "bo"], ["ana"]),
        ({"top": rule(ON_GOOD, rule(rule(EMAIL, way="none")["rule"], way="none")["rule"])}, ["ana", "bo"], ["ana"]),
        ({"low": rule(EMAIL, way="none"), "top": rule(ON_GOOD, {"not_audience": "low"})}, ["ana", "bo"], ["ana"]),
        ({"top": rule(ON_GOOD, rule(EMAIL, {"consent": "sms"}, way="any")["rule"])}, ["ana", "bo", "cy"],
         ["ana", "bo", "cy"]),
        ({"top": rule(ON_GOOD, EMAIL, way="any")}, EVERYBODY, ["ana", "cy"]),
        ({"top": rule(ON_GOOD, rule(EMAIL, way="none")["rule"])}, ["cy", "dora"], ["cy", "dora"]),
        ({"top": rule(ON_GOOD, {"consent": "email", "topic": "news"}, way="any")}, EVERYBODY, EVERYBODY),
        ({"low": rule({"identifier": "email"}), "top": rule(ON_GOOD, {"not_audience": "low"})}, EVERYBODY, EVERYBODY),
        ({"low": {"sql": DENIED.replace("denied", "granted")}, "top": rule(ON_GOOD, {"audience": "low"})},
         ["ana", "bo"], ["ana"]),
        ({"low": {"sql": DENIED}, "top": rule(ON_GOOD, {"not_audience": "low"})}, ["ana", "bo", "cy"], ["ana", "cy"]),
        ({"low": {"sql": DENIED}, "top": rule(ON_GOOD, {"audience": "low"})}, ["dora"], ["dora"]),
    ],
    ids=[
        "a lower one asks", "one asks that is computed", "not none", "not among those without", "another one will do",
        "one of several ways", "only those without", "another topic", "no consent", "by sql",
        "not among those who denied by sql", "those who denied",
    ],
)  # fmt: skip
def test_consents_are_found_wherever_a_rule_asks_for_them(
    world: AudienceWorld, audiences: dict[str, object], before: list[str], after: list[str]
) -> None:
    select(world, "run-1", {"good": {"sql": GOOD}, **audiences})
    assert members(world, "top") == before
    withdraw(world, "bo")
    assert select(world, "run-2", {"good": {"sql": BROKEN}, **audiences})["top"].held
    assert members(world, "top") == after


@pytest.mark.parametrize(
    ("sql", "before", "after"),
    [
        (DENIED.replace("denied", "granted"), ["ana", "bo"], ["ana"]),
        (f"{GOOD} EXCEPT {DENIED}", ["ana", "bo", "cy"], ["ana", "cy"]),
        (f"{GOOD} WHERE profile_id NOT IN ({DENIED})", ["ana", "bo", "cy"], ["ana", "cy"]),
        ("SELECT profile_id FROM customers.profile_consents WHERE status <> 'denied'", ["ana", "bo", "cy"],
         ["ana", "cy"]),
        (DENIED, ["dora"], ["dora"]),
        (DENIED.replace("email", "sms").replace("denied", "granted"), ["bo", "cy"], ["bo", "cy"]),
    ],
    ids=["granted", "except", "not in", "any channel", "denied", "another channel"],
)  # fmt: skip
def test_sql_that_reads_consents_keeps_nobody_who_denied(
    world: AudienceWorld, sql: str, before: list[str], after: list[str]
) -> None:
    select(world, "run-1", {"top": {"sql": sql}})
    assert members(world, "top") == before
    withdraw(world, "bo")
    failing = f"SELECT profile_id FROM ({sql}) AS asked JOIN customers.lost USING (profile_id)"
    found = select(world, "run-2", {"top": {"sql": failing}})["top"]
    assert found.held is not None
    assert "lost" in found.held
    assert members(world, "top") == after


def test_the_rule_by_which_they_became_members_counts_too(world: AudienceWorld) -> None:
    select(world, "run-1", {"good": {"sql": GOOD}, **MAILABLE, "all": rule(ON_GOOD)})
    withdraw(world, "bo")
    changed = {"mailable": rule(ON_GOOD), "all": rule(ON_GOOD, EMAIL)}
    select(world, "run-2", {"good": {"sql": BROKEN}, **changed})
    assert (members(world, "mailable"), members(world, "all")) == (["ana"], ["ana"])


def test_rules_that_refer_to_each_other_over_time_come_to_an_end(world: AudienceWorld) -> None:
    select(world, "run-1", {"good": {"sql": GOOD}, "one": rule(ON_GOOD, EMAIL), "two": rule({"audience": "one"})})
    withdraw(world, "bo")
    changed = {"one": rule({"audience": "two"}), "two": rule(ON_GOOD)}
    select(world, "run-2", {"good": {"sql": BROKEN}, **changed})
    assert (members(world, "one"), members(world, "two")) == (["ana"], ["ana"])
