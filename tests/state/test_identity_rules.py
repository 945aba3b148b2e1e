"""The identity section of the project file: what may be said, what is said when it is wrong, and what is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from millstream.flows.project import load_project
from millstream.flows.project.problems import ProjectError
from millstream.state.identity import IdentityRules, KindRule


def blocked(kind: str, value: str, rules: IdentityRules | None = None) -> bool:
    expression = (rules or IdentityRules()).rule(kind).blocked_expression()
    return expression is not None and re.search(expression, value.lower()) is not None


# What is shipped


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "info@acme.example"),
        ("email", "info+list@acme.example"),
        ("email", "info2@acme.example"),
        ("email", "test@box.example"),
        ("email", "test12@box.example"),
        ("email", "test+ana@box.example"),
        ("email", "kontakt@acme.example"),
        ("email", "contabilidad@acme.example"),
        ("email", "no-reply@acme.example"),
        ("email", "ana@test.com"),
        ("email", "ana@shop.invalid"),
        ("email", "ana@example.com"),
        ("email", "ana@mail.example.org"),
        ("phone", "+4900000000"),
        ("phone", "+12029999999"),
        ("phone", "+441234567890"),
        ("user_id", "NULL"),
        ("user_id", "undefined"),
        ("user_id", "0000"),
        ("user_id", "1111111"),
        ("device_id", "9999999999"),
        ("user_id", "[object Object]"),
        ("device_id", "00000000-0000-0000-0000-000000000000"),
        ("device_id", "0" * 32),
        ("cookie_id", "(not set)"),
        ("anonymous_id", "null"),
        ("address", "unknown"),
        ("hubspot_contact_id", "crm:0"),
        ("hubspot_contact_id", "null"),
    ],
)
def test_values_that_name_nobody_are_blocked(kind: str, value: str) -> None:
    assert blocked(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("email", "ana@box.example"),
        ("email", "informatica@box.example"),
        ("email", "testud@box.example"),
        ("email", "na12@box.example"),
        ("email", "ana.info@box.example"),
        ("email", "ana@testing.com"),
        ("email", "ana@example-shop.com"),
        ("phone", "+12025550123"),
        ("phone", "+491512345678"),
        ("user_id", "C-000001"),
        ("user_id", "100000"),
        ("user_id", "111111"),
        ("user_id", "0000120000"),
        ("device_id", "1033501218.1368477899"),
        ("hubspot_contact_id", "crm:10"),
    ],
)
def test_values_of_people_are_not(kind: str, value: str) -> None:
    assert not blocked(kind, value)


def test_the_shipped_rules_know_people_from_families() -> None:
    rules = IdentityRules()
    assert rules.rule("user_id").max_values == 1
    assert rules.rule("phone").agree_on == "first_name"
    assert [kind for kind, rule in rules.kinds.items() if rule.household] == ["phone", "address"]
    assert not rules.rule("address").merges
    assert {rules.rule(kind).scope for kind in rules.kinds} == {"global"}
    assert rules.rule("hubspot_contact_id").scope == "source"
    strengths = [rules.rule(kind).priority for kind in ("user_id", "email", "phone", "vendor_id", "device_id")]
    assert strengths == sorted(strengths)


# What a project says


def test_a_project_replaces_the_shipped_list_or_adds_to_it() -> None:
    replaced = IdentityRules.model_validate({"kinds": {"email": {"blocked": ["till#@shop.example"]}}})
    assert blocked("email", "till7@shop.example", replaced)
    assert not blocked("email", "till@shop.example", replaced)
    assert not blocked("email", "info@shop.example", replaced)
    added = IdentityRules.model_validate({"kinds": {"email": {"blocked_also": ["TILL?@shop.example"]}}})
    assert blocked("email", "tillx@shop.example", added)
    assert blocked("email", "info@shop.example", added)


def test_what_is_unsaid_is_as_shipped_where_that_makes_sense() -> None:
    rules = IdentityRules.model_validate(
        {
            "kinds": {"phone": {"merges": False}, "device_id": {"max_values": None}, "loyalty_card": {}},
            "other": {"max_records": 3},
        }
    )
    assert rules.rule("phone").agree_on is None
    assert rules.rule("phone").household
    assert rules.rule("device_id").window_days is None
    assert rules.rule("loyalty_card").scope == "global"
    assert rules.rule("some_vendors_id").scope == "source"
    assert rules.rule("some_vendors_id").max_records == 3
    assert IdentityRules.model_validate_json(rules.model_dump_json()) == rules


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({}, "N/A"),
        ({"priority": 5}, "0000"),
        ({"spelling": "digits"}, "0000000000"),
        ({"spelling": "email"}, "info@acme.example"),
        ({"spelling": "phone"}, "+4900000000"),
        ({"spelling": "device"}, "00:00:00:00:00:00"),
        ({"spelling": "address"}, "unknown"),
    ],
)
def test_what_names_nobody_joins_nothing_by_a_projects_own_kinds_either(rule: dict[str, object], value: str) -> None:
    own = IdentityRules.model_validate({"kinds": {"loyalty_card": rule}})
    assert blocked("loyalty_card", value, own)
    replaced = IdentityRules.model_validate({"kinds": {"loyalty_card": {**rule, "blocked": []}}})
    assert not blocked("loyalty_card", value, replaced)


@pytest.mark.parametrize("country", ["DE", "de", "Germany", "UK"])
def test_a_country_is_named_by_its_code_or_in_english(country: str) -> None:
    assert IdentityRules(default_country=country).default_country == country


@pytest.mark.parametrize("country", ["Germny", "D", ""])
def test_numbers_are_not_read_by_a_country_that_is_none(country: str) -> None:
    with pytest.raises(ValidationError, match="is no country that is known"):
        IdentityRules(default_country=country)


def test_kinds_named_elsewhere_mean_the_same_everywhere() -> None:
    rules = IdentityRules.model_validate({"kinds": {"crm_id": {"scope": "source"}}})
    named = rules.naming(["hubspot_contact_id", "crm_id", "email"])
    assert named.rule("hubspot_contact_id") == rules.other.model_copy(update={"scope": "global"})
    assert named.rule("crm_id").scope == "source"
    assert named.rule("email") == rules.rule("email")
    assert rules.naming(["email"]) is rules


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"max_records": 0}, "greater than or equal to 1"),
        ({"max_values": -1}, "greater than or equal to 1"),
        ({"window_days": -1, "max_values": 1}, "greater than or equal to 1"),
        ({"lifetime_days": 0}, "greater than or equal to 1"),
        ({"priority": -1}, "greater than or equal to 0"),
        ({"window_days": 7}, "set max_values too"),
        ({"agree_on": "first_name", "merges": False}, "agree_on needs a kind that joins"),
        ({"spelling": "upper"}, "'text', 'lower', 'digits'"),
        ({"scope": "account"}, "'global' or 'source'"),
        ({"valid": "("}, "is not a regular expression"),
        ({"blocked": ["[ab]@*"]}, r"knows only \*"),
    ],
)
def test_each_mistake_is_said_once(rule: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said) as caught:
        KindRule.model_validate(rule)
    assert caught.value.error_count() == 1


def test_a_project_file_says_where_the_mistakes_are(tmp_path: Path) -> None:
    lines = [
        "name: shop",
        "identity:",
        "  kinds:",
        "    phone:",
        "      max_values: -3",
        "    card:",
        "      spelling: shouting",
        "    other_card: {valid: '('}",
        "    third_card: {window_days: 3}",
        "  household: {max_profiles: 1}",
    ]
    (tmp_path / "millstream.yaml").write_text("\n".join(lines))
    with pytest.raises(ProjectError) as caught:
        load_project(tmp_path / "millstream.yaml")
    places = [(problem.place.rpartition(":")[2], problem.key) for problem in caught.value.problems]
    assert places == [
        ("5", "identity.kinds.phone.max_values"),
        ("7", "identity.kinds.card.spelling"),
        ("8", "identity.kinds.other_card.valid"),
        ("9", "identity.kinds.third_card"),
        ("10", "identity.household.max_profiles"),
    ]


# What a change of rules means


@pytest.mark.parametrize(
    ("change", "profiles", "spellings", "households"),
    [
        ({"kinds": {"email": {"max_records": 7}}}, True, False, False),
        ({"kinds": {"email": {"blocked_also": ["x@*"]}}}, True, False, False),
        ({"kinds": {"email": {"max_values": 3}}}, True, False, False),
        ({"kinds": {"phone": {"agree_on": None}}}, True, False, False),
        ({"kinds": {"phone": {"household": False}}}, False, False, True),
        ({"kinds": {"phone": {"max_records": 7}}}, True, False, True),
        ({"kinds": {"user_id": {"spelling": "lower"}}}, False, True, False),
        ({"kinds": {"user_id": {"valid": "C-.*"}}}, False, True, False),
        ({"kinds": {"user_id": {"scope": "source"}}}, False, True, False),
        ({"kinds": {"user_id": {"lifetime_days": 9}}}, False, False, False),
        ({"email_providers": False}, False, True, False),
        ({"default_country": "DE"}, False, True, False),
        ({"household": {"max_profiles": 3}}, False, False, True),
    ],
)
def test_only_what_a_change_can_touch_is_worked_out_anew(
    change: dict[str, object], profiles: bool, spellings: bool, households: bool
) -> None:
    before, after = IdentityRules(), IdentityRules.model_validate(change)
    kinds = ["email", "phone", "user_id"]
    assert (before.fingerprint() != after.fingerprint()) is profiles
    assert (before.spelling_fingerprint(kinds) != after.spelling_fingerprint(kinds)) is spellings
    assert (before.household_fingerprint() != after.household_fingerprint()) is households


def test_a_stream_is_only_touched_by_the_rules_of_its_own_kinds() -> None:
    before, after = IdentityRules(), IdentityRules(default_country="DE")
    assert before.spelling_fingerprint(["email"]) == after.spelling_fingerprint(["email"])


@pytest.mark.parametrize("kind", ["merge", "linkage"])
def test_kinds_of_joins_that_are_no_identifiers_cannot_be_named(kind: str) -> None:
    with pytest.raises(ValidationError, match=f"'{kind}' is Millstream's own"):
        IdentityRules.model_validate({"kinds": {kind: {"priority": 1}}})
