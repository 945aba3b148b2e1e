"""Meta Custom Audiences: normalising, how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import requests
import responses
from hypothesis import given
from hypothesis.strategies import sampled_from, text
from pydantic import ValidationError

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome, PlanFacts
from millstream.destinations.hashing import is_sha256
from millstream.destinations.http import Http
from millstream.destinations.meta_custom_audiences import MetaCustomAudiences, MetaCustomAudiencesSettings
from millstream.destinations.meta_custom_audiences.keys import keys_of
from millstream.destinations.modes import Status
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    UnavailableError,
)
from millstream.state.http import Retries

SYSTEM = "meta_custom_audiences"
ROOT = "https://graph.test"
USERS = f"{ROOT}/v25.0/5/users"
KEYS = keys_of(None)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=100, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, **changes: Any) -> MetaCustomAudiences:
    facts = {"ad_account_id": "act_1001001001", "access_token": "EAAsandboxMeta"}
    base_url = f"{sandbox.url}/meta_custom_audiences"
    return MetaCustomAudiences(MetaCustomAudiencesSettings.model_validate({"base_url": base_url, **facts, **changes}))


@pytest.fixture
def meta(sandbox: Sandbox) -> MetaCustomAudiences:
    return connect(sandbox)


def offline(**changes: Any) -> MetaCustomAudiences:
    """Against no vendor but ``alone``, with waits too short to notice."""
    facts = {"base_url": ROOT, "ad_account_id": "act_1", "access_token": "token", **changes}
    made = MetaCustomAudiences(MetaCustomAudiencesSettings.model_validate(facts))
    made._https[""] = Http(
        system=made.name,
        base_url=ROOT,
        auth=made.auth(),
        limit=made.rate_limit,
        classify=made.classify,
        retries=Retries(attempts=2, first_wait=0.001, longest_wait=0.001),
    )
    return made


def row(number: int, match_value: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    return DeliveryRow(number=number, match_value=match_value, fields=fields, external_id=external_id)


def add(meta: MetaCustomAudiences, audience: str, *rows: DeliveryRow, match_key: str = "email") -> list[Outcome]:
    return meta.add_members(audience, rows, match_key=match_key)


def statuses(outcomes: Sequence[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def members(sandbox: Sandbox, audience: str) -> list[list[str]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/{SYSTEM}", timeout=10).json()
    found: list[list[str]] = state["audiences"][audience]["members"]
    return found


def taken(alone: responses.RequestsMock, *answers: dict[str, Any]) -> list[dict[str, Any]]:
    """Have the vendor take what is sent; what came stands in the list."""
    came: list[dict[str, Any]] = []
    left = list(answers)

    def take(request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        came.append(orjson.loads(request.body or b"{}"))
        sent = len(came[-1]["payload"]["data"])
        answer = left.pop(0) if left else {"num_received": sent, "num_invalid_entries": 0, "invalid_entry_samples": {}}
        return 200, {}, orjson.dumps(answer).decode()

    for method in ("POST", "DELETE"):
        for path in ("users", "usersreplace"):
            url = f"{ROOT}/v25.0/5/{path}"
            alone.add_callback(method, url, take)
    alone.assert_all_requests_are_fired = False
    return came


# Normalising


@pytest.mark.parametrize(
    ("key", "value", "hashed"),
    [
        # Examples that Meta publishes, with their hashes.
        ("email", "John_Smith@gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
        ("phone", "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
        ("fn", "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
        ("fn", "정", "8fa8cd9c440be61d0151429310034083132b35975c4bea67fdd74158eb51db14"),
        ("fn", "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
    ],
)
def test_published_examples_have_their_published_hashes(key: str, value: str, hashed: str) -> None:
    assert KEYS[key].rule(value) == hashed


@pytest.mark.parametrize(
    ("key", "value", "normal"),
    [
        ("email", "  Ana.Li+News@Gmail.COM ", "ana.li+news@gmail.com"),
        ("email", "zoë@exämple.org", "zoë@exämple.org"),
        ("email", "bad@@box.example", None),
        ("email", "ana@localhost", None),
        ("email", "ana li@box.example", None),
        ("phone", "0041 44 668 18 00", "41446681800"),
        ("phone", "+44 (0)20 7946 0018", "442079460018"),
        ("phone", "16505551212", "16505551212"),
        ("phone", "+1 650 555 1212 ext. 5", "16505551212"),
        ("phone", "(650) 555-1212", None),
        ("phone", "079 123 45 67", None),
        ("phone", "none", None),
        ("fn", "  Jean-Luc ", "jeanluc"),
        ("fn", "Vale\u0301ry", "valéry"),
        ("fn", "MARY ANN", "maryann"),
        ("fn", "...", None),
        ("ln", "O'Brien, Jr.", "obrienjr"),
        ("ln", "Sørensen", "sørensen"),
        ("fi", " élise", "é"),
        ("gen", "Female", "f"),
        ("gen", "M", "m"),
        ("gen", "x", None),
        ("doby", "1990-05-07", "1990"),
        ("doby", "1990", "1990"),
        ("doby", "90", None),
        ("doby", "1066-10-14", None),
        ("dobm", "1990-05-07", "05"),
        ("dobm", "5", "05"),
        ("dobm", "13", None),
        ("dobd", "1990-05-07 00:00:00+00", "07"),
        ("dobd", "31", "31"),
        ("dobd", "05/07/1990", None),
        ("ct", "New York", "newyork"),
        ("ct", "St. John's", "stjohns"),
        ("ct", "São Paulo", "sopaulo"),
        ("ct", "東京", None),
        ("st", "California", "ca"),
        ("st", "NY", "ny"),
        ("st", "Québec", "qc"),
        ("st", "Nordrhein-Westfalen", "nordrheinwestfalen"),
        ("zip", "94025-3215", "94025"),
        ("zip", "SW1A 1AA", "sw1a1"),
        ("zip", "01310-100", "01310100"),
        ("zip", "K1A 0B1", "k1a0b1"),
        ("country", "US", "us"),
        ("country", "United Kingdom", "gb"),
        ("country", "germany ", "de"),
        ("country", "Atlantis", None),
    ],
)
def test_values_are_normalised_as_meta_says(key: str, value: str, normal: str | None) -> None:
    assert KEYS[key].rule(value) == (None if normal is None else sha(normal))


def test_a_hash_is_not_hashed_again() -> None:
    assert KEYS["email"].rule(f" {sha('ana@box.example').upper()}") == sha("ana@box.example")
    assert KEYS["fn"].rule(sha("ana")) == sha("ana")


@given(key=sampled_from([name for name, key in KEYS.items() if not key.is_clear]), value=text())
def test_whatever_the_value_is_only_a_hash_of_it_comes_out(key: str, value: str) -> None:
    cell = KEYS[key].rule(value)
    assert cell is None or (is_sha256(cell) and KEYS[key].rule(cell) == cell)


@pytest.mark.parametrize(
    ("key", "value", "cell"),
    [
        ("madid", "AEBE52E7-03EE-455A-B3C4-E57283966239", "aebe52e7-03ee-455a-b3c4-e57283966239"),
        ("madid", "00000000-0000-0000-0000-000000000000", None),
        ("madid", "ana@box.example", None),
        ("extern_id", " Customer-42 ", "Customer-42"),
        ("extern_id", "ana@box.example", None),
        ("extern_id", "+41 44 668 18 00", None),
    ],
)
def test_what_is_not_hashed_cannot_be_a_person_s_address_or_number(key: str, value: str, cell: str | None) -> None:
    assert KEYS[key].rule(value) == cell


def test_numbers_without_calling_code_are_those_of_the_country_that_the_connection_names() -> None:
    german = keys_of("DE")["phone"].rule
    assert german("030 123456") == sha("4930123456")
    assert german("+1 650 555 1212") == sha("16505551212")


# What is sent


def test_a_row_is_sent_by_all_its_keys_and_nothing_in_clear(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    rows = [
        row(
            1,
            "Ana@Box.example",
            phone="+1 650 555 1212",
            fn="Ana",
            ln="Líndqvist",
            ct="Genoa",
            zip="16121",
            doby="1990",
        ),
        row(2, "ben@box.example", phone="no number", fn=None, extern_id="c-42"),
        row(3, "cleo@box.example"),
    ]
    outcomes = add(offline(), "5", *rows)
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED_ASYNC}
    schema = ["EMAIL", "PHONE", "EXTERN_ID", "FN", "LN", "DOBY", "CT", "ZIP"]
    ana = [sha(text) for text in ("ana@box.example", "16505551212", "", "ana", "líndqvist", "1990", "genoa", "16121")]
    ana[2] = ""
    blanks = [""] * 5
    assert came == [
        {
            "payload": {
                "schema": schema,
                "data": [
                    ana,
                    [sha("ben@box.example"), "", "c-42", *blanks],
                    [sha("cleo@box.example"), "", "", *blanks],
                ],
            }
        }
    ]
    sent = orjson.dumps(came).lower()
    for clear in (b"ana@", b"box.example", b"6505551212", "líndqvist".encode(), b"genoa", b"16121", b"1990"):
        assert clear not in sent


def test_the_token_and_the_proof_go_along_once_also_when_a_request_is_repeated(alone: responses.RequestsMock) -> None:
    proof = hmac.new(b"app-secret", b"token", hashlib.sha256).hexdigest()
    alone.get(
        f"{ROOT}/v25.0/act_1", status=500, json={"error": {"code": 2, "message": "Try again.", "is_transient": True}}
    )
    alone.get(f"{ROOT}/v25.0/act_1", json={"id": "act_1"})
    offline(app_secret="app-secret").probe()
    for call in alone.calls:
        assert call.request.headers["Authorization"] == "Bearer token"
        assert str(call.request.url).count(f"appsecret_proof={proof}") == 1
        assert "fields=name" in str(call.request.url)


def test_limited_data_use_is_said_of_each_row(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    add(offline(limited_data_use=True), "5", row(1, "ana@box.example"))
    assert came[0]["payload"] == {
        "schema": ["EMAIL", "DATA_PROCESSING_OPTIONS"],
        "data": [[sha("ana@box.example"), ["LDU"]]],
    }


@pytest.mark.parametrize(
    "wrong",
    [{"ad_account_id": "act_x"}, {"phone_country": "Atlantis"}, {"version": "25"}, {"rows_per_request": 10_001}],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        offline(**wrong)


# Who is taken out


def test_people_are_taken_out_by_all_keys_that_they_were_ever_put_in_with(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    meta = offline()
    first = add(meta, "5", row(1, "ana@box.example", phone="+16505551212", fn="Ana"))[0]
    later = add(meta, "5", row(1, "ana@box.example", first.external_id, phone="+16505550000", fn="Anna"))[0]
    plain = add(meta, "5", row(2, "ben@box.example"))[0]
    assert plain.external_id is None
    leavers = [row(1, "ana@box.example", later.external_id), row(2, "ben@box.example", plain.external_id)]
    assert {one.status for one in meta.remove_members("5", leavers, match_key="email")} == {Status.ACCEPTED_ASYNC}
    payload = came[-1]["payload"]
    assert payload["schema"] == ["EMAIL", "PHONE", "FN"]
    assert payload["data"] == [
        [sha("ana@box.example"), sha("16505550000"), sha("anna")],
        ["", sha("16505551212"), ""],
        [sha("ben@box.example"), "", ""],
    ]


def test_nobody_is_taken_out_by_a_key_that_somebody_who_stays_has(alone: responses.RequestsMock) -> None:
    """A household shares a number; and a name with a city alone would be the one who stays, too."""
    came = taken(alone)
    meta = offline()
    shared, own = "+16505551212", "+16505550000"
    first = add(meta, "5", row(1, "ana@box.example", phone=shared, fn="Kim"))[0]
    later = add(meta, "5", row(1, "ana@box.example", first.external_id, phone=own, fn="Kim"))[0]
    ben = add(meta, "5", row(2, "ben@box.example", phone=shared))[0]
    meta.staying = frozenset(meta.known_as("ben@box.example", ben.external_id, match_key="email"))
    assert meta.staying == {f"EMAIL {sha('ben@box.example')}", f"PHONE {sha(shared[1:])}"}
    stays_as = meta.stays_as("ana@box.example", later.external_id, match_key="email")
    assert stays_as == [f"EMAIL {sha('ana@box.example')}", f"PHONE {sha(own[1:])}"], "not the number of before"
    meta.remove_members("5", [row(1, "ana@box.example", later.external_id)], match_key="email")
    assert came[-1]["payload"] == {
        "schema": ["EMAIL", "PHONE", "FN"],
        "data": [[sha("ana@box.example"), sha(own[1:]), sha("kim")]],
    }
    spelled_otherwise = row(3, "BEN@box.example ", orjson.dumps([["FN", sha("ben")]]).decode())
    assert statuses(meta.remove_members("5", [spelled_otherwise], match_key="email")) == [("accepted_async", None)]
    assert len(came) == 4, "nothing of that row is its own"


def test_a_key_that_somebody_no_longer_has_is_not_told_as_if_it_was_of_the_others(
    alone: responses.RequestsMock,
) -> None:
    came = taken(alone)
    meta = offline()
    first = add(meta, "5", row(1, "ana@box.example", phone="+16505551212", fn="Ana"))[0]
    later = add(meta, "5", row(1, "ana@box.example", first.external_id, fn="Anna"))[0]
    meta.remove_members("5", [row(1, "ana@box.example", later.external_id)], match_key="email")
    assert came[-1]["payload"]["schema"] == ["EMAIL", "PHONE", "FN"]
    assert came[-1]["payload"]["data"] == [
        [sha("ana@box.example"), "", sha("anna")],
        ["", sha("16505551212"), ""],
    ]


def test_of_who_got_no_answer_the_same_is_kept_as_of_who_was_taken(alone: responses.RequestsMock) -> None:
    taken(alone)
    meta = offline()
    ana = row(1, "ana@box.example", orjson.dumps([["PHONE", sha("1")]]).decode(), phone="+16505551212", fn="Ana")
    assert meta.kept_as(ana, match_key="email") == add(meta, "5", ana)[0].external_id is not None
    assert meta.kept_as(row(2, "bad@@example", phone="+16505551212"), match_key="email") is None, "it was not sent"


def test_removals_with_more_keys_than_a_request_takes_go_in_several(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    meta = offline(rows_per_request=2)
    known = orjson.dumps([["PHONE", sha("1")], ["PHONE", sha("2")]]).decode()
    outcomes = meta.remove_members(
        "5", [row(1, "ana@box.example", known), row(2, "ben@box.example")], match_key="email"
    )
    assert len(outcomes) == 2
    assert [len(one["payload"]["data"]) for one in came] == [2, 1]


def test_whoever_has_no_key_counts_as_out_without_a_request(alone: responses.RequestsMock) -> None:
    outcomes = offline().remove_members("5", [row(1, "bad@@example")], match_key="email")
    assert statuses(outcomes) == [("accepted_async", None)]


def test_a_forgotten_person_leaves_all_audiences_of_the_account(sandbox: Sandbox, meta: MetaCustomAudiences) -> None:
    first, second = meta.ensure_audience("Forget one"), meta.ensure_audience("Forget two")
    for audience in (first, second):
        add(meta, audience, row(1, "ana@box.example"), row(2, "ben@box.example"))
    meta.erase([row(1, "ana@box.example")], match_key="email")
    for audience in (first, second):
        assert members(sandbox, audience) == [[sha("ben@box.example")]]


# What answers mean for rows


def test_rows_that_no_key_can_be_made_of_are_rejected_unsent(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    outcomes = add(offline(), "5", row(1, "bad@@example"), row(2, "ana@box.example"), row(3, "ANA@box.example"))
    assert statuses(outcomes) == [("rejected", "invalid_match_value"), *[("accepted_async", None)] * 2]
    assert "bad" not in str(outcomes[0].reason)
    assert len(came[0]["payload"]["data"]) == 1


def test_rows_that_meta_names_are_rejected_and_those_it_only_counts_are_told(
    alone: responses.RequestsMock, caplog: pytest.LogCaptureFixture
) -> None:
    named = orjson.dumps([sha("ben@box.example")]).decode()
    answer = {"num_received": 4, "num_invalid_entries": 2, "invalid_entry_samples": {named: "No such hash."}}
    taken(alone, answer)
    people = [row(number, f"{name}@box.example") for number, name in enumerate(("ana", "ben", "cleo", "dora"))]
    with caplog.at_level(logging.WARNING):
        outcomes = add(offline(), "5", *people)
    assert [one.status for one in outcomes] == [
        Status.ACCEPTED_ASYNC,
        Status.REJECTED,
        Status.ACCEPTED_ASYNC,
        Status.ACCEPTED_ASYNC,
    ]
    assert outcomes[1].code == "invalid_entry"
    assert "No such hash." in str(outcomes[1].reason)
    assert outcomes[0].reason == "Meta counted 1 of 4 rows as invalid without naming them."
    assert "1 of 4 rows" in caplog.text


def test_all_are_rejected_where_meta_could_read_none(alone: responses.RequestsMock) -> None:
    taken(alone, {"num_received": 2, "num_invalid_entries": 2, "invalid_entry_samples": {}})
    outcomes = add(offline(), "5", row(1, "ana@box.example"), row(2, "ben@box.example"))
    assert statuses(outcomes) == [("rejected", "invalid_entry")] * 2


def test_who_meta_could_not_read_in_a_removal_is_not_taken_for_out(alone: responses.RequestsMock) -> None:
    people = [row(number, f"{name}@box.example") for number, name in enumerate(("ana", "ben", "cleo"))]
    named = orjson.dumps([sha("ben@box.example")]).decode()
    taken(
        alone,
        {"num_received": 3, "num_invalid_entries": 1, "invalid_entry_samples": {named: "No such hash."}},
        {"num_received": 3, "num_invalid_entries": 2, "invalid_entry_samples": {named: "No such hash."}},
    )
    meta = offline()
    outcomes = meta.remove_members("5", people, match_key="email")
    assert statuses(outcomes) == [("accepted_async", None), ("rejected", "invalid_entry"), ("accepted_async", None)]
    assert statuses(meta.remove_members("5", people, match_key="email")) == [("rejected", "invalid_entry")] * 3


def error(code: int, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": "Words of Meta.", "code": code, "error_subcode": subcode, **more}}


@pytest.mark.parametrize(
    ("status", "answer", "kind", "told"),
    [
        (400, error(190, 463), AuthenticationError, "new token"),
        (400, error(102), AuthenticationError, "new token"),
        (400, error(100, message="Invalid appsecret_proof provided"), AuthenticationError, "app_secret"),
        (403, error(200), PermissionDeniedError, "ads_management"),
        (403, error(294), PermissionDeniedError, "ads_management"),
        (403, error(10), PermissionDeniedError, "ads_management"),
        (400, error(2655), ConfigurationError, "customaudiences/tos/?act=1"),
        (400, error(2663), ConfigurationError, "customaudiences/tos/?act=1"),
        (400, error(100, 33), NotFoundError, "shared"),
        (400, error(100, 1713230), ConfigurationError, "appeal"),
        (400, error(100, 1487366), NotFoundError, "audience"),
        (400, error(100), ConfigurationError, "whole"),
        (400, error(2635), ConfigurationError, "version"),
        (400, error(2650), ConfigurationError, "customer list"),
        (400, error(2650, 1870145), UnavailableError, "another replacement"),
        (400, error(80003), RateLimitedError, ""),
        (400, error(17, 2446079), RateLimitedError, ""),
        (400, error(4), RateLimitedError, ""),
        (400, error(613, 1487742), RateLimitedError, ""),
        (500, error(1), UnavailableError, ""),
        (400, error(368), UnavailableError, ""),
        (400, error(9999, is_transient=True), UnavailableError, ""),
        (502, {"no": "error"}, UnavailableError, ""),
    ],
)
def test_errors_say_what_is_to_be_done(
    alone: responses.RequestsMock, status: int, answer: dict[str, Any], kind: type[MillstreamError], told: str
) -> None:
    alone.post(USERS, status=status, json=answer)
    with pytest.raises(kind) as raised:
        add(offline(), "5", row(1, "ana@box.example"))
    assert type(raised.value) is kind
    assert told in str(raised.value.remedy)
    if "error" in answer:
        assert answer["error"]["message"] in str(raised.value)


def usage(**parts: int) -> dict[str, str]:
    told = {"7": [{"type": "ads_management", "call_count": 99}, {"type": "custom_audience", **parts}]}
    return {"X-Business-Use-Case-Usage": orjson.dumps(told).decode()}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        (usage(call_count=75, total_time=3), 0),
        (usage(call_count=80), 12),
        (usage(call_count=10, total_cputime=100), 60),
        (usage(call_count=100, estimated_time_to_regain_access=2), 120),
        ({"X-Ad-Account-Usage": '{"acc_id_util_pct": 87.5}'}, 30),
        ({"X-App-Usage": "no json"}, 0),
    ],
)
def test_requests_are_spread_when_most_of_the_budget_is_used(
    alone: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], seconds: float
) -> None:
    meta = offline()
    pauses: list[float] = []
    monkeypatch.setattr(meta.http.pacer, "pause", pauses.append)
    alone.get(f"{ROOT}/v25.0/act_1", json={"id": "act_1"}, headers=headers)
    meta.probe()
    assert sum(pauses) == pytest.approx(seconds)


def test_a_throttle_waits_as_long_as_meta_says(alone: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = offline()
    pauses: list[float] = []
    monkeypatch.setattr(meta.http.pacer, "pause", pauses.append)
    alone.get(f"{ROOT}/v25.0/act_1", status=400, json=error(80003), headers=usage(estimated_time_to_regain_access=3))
    alone.get(f"{ROOT}/v25.0/act_1", json={"id": "act_1"})
    meta.probe()
    assert set(pauses) == {180.0}
    alone.get(f"{ROOT}/v25.0/act_1", status=400, json=error(80003), headers=usage(estimated_time_to_regain_access=90))
    with pytest.raises(QuotaExhaustedError):
        meta.probe()


# Audiences


def test_an_audience_is_made_with_the_source_of_its_people(sandbox: Sandbox) -> None:
    meta = connect(sandbox, customer_file_source="BOTH_USER_AND_PARTNER_PROVIDED")
    made = meta.ensure_audience("With a source")
    found = meta.http.get(f"v25.0/{made}", {"fields": "subtype,customer_file_source"})
    assert (found["subtype"], found["customer_file_source"]) == ("CUSTOM", "BOTH_USER_AND_PARTNER_PROVIDED")
    assert connect(sandbox).ensure_audience("With a source") == made


def test_all_processes_take_the_oldest_of_audiences_of_one_name(alone: responses.RequestsMock) -> None:
    audiences = f"{ROOT}/v25.0/act_1/customaudiences"
    alone.get(audiences, json={"data": []})
    alone.post(audiences, json={"id": "12"})
    alone.get(audiences, json={"data": [{"id": "12", "name": "VIPs"}, {"id": "9", "name": "VIPs"}]})
    assert offline().ensure_audience("VIPs") == "9"


def test_audiences_are_looked_for_on_all_pages(alone: responses.RequestsMock) -> None:
    audiences = f"{ROOT}/v25.0/act_1/customaudiences"
    paging = {"cursors": {"after": "abc"}, "next": "https://elsewhere.test/?access_token=token"}
    alone.get(audiences, json={"data": [{"id": "1", "name": "Other"}], "paging": paging})
    alone.get(audiences, json={"data": [{"id": "2", "name": "VIPs"}], "paging": {"cursors": {"after": "def"}}})
    assert offline().ensure_audience("VIPs") == "2"
    assert "after=abc" in str(alone.calls[1].request.url)


@pytest.mark.parametrize(
    ("name", "told"),
    [("Web site visitors", "WEBSITE"), ("Arthritis relief", "flagged")],
    ids=["of visitors", "flagged"],
)
def test_audiences_that_take_nobody_stop_the_sync_at_the_start(meta: MetaCustomAudiences, name: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        meta.ensure_audience(name)


def test_an_audience_of_a_single_key_is_kept_by_one_key(sandbox: Sandbox, meta: MetaCustomAudiences) -> None:
    audience = meta.ensure_audience("Newsletter readers 2023")
    ana, ben = row(1, "ana@box.example"), row(2, "ben@box.example")
    assert statuses(add(meta, audience, ana, ben)) == [("accepted_async", None)] * 2
    meta.remove_members(audience, [ana], match_key="email")
    assert [sha("ben@box.example")] in members(sandbox, audience)
    assert [sha("ana@box.example")] not in members(sandbox, audience)
    replace(meta, audience, [ana])
    assert members(sandbox, audience) == [[sha("ana@box.example")]]
    meta.plan = PlanFacts(sync="s", plan="p", made_at=datetime.now(UTC), fields=("phone",))
    with pytest.raises(ConfigurationError, match="single key"):
        meta.ensure_audience("Newsletter readers 2023")


def test_the_schema_of_a_single_key_is_no_list(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    meta = offline()
    source = {"sub_type": "HASHES_OR_USER_IDS"}
    alone.get(f"{ROOT}/v25.0/act_1/customaudiences", json={"data": [{"id": "5", "name": "Old", "data_source": source}]})
    add(meta, meta.ensure_audience("Old"), row(1, "ana@box.example"))
    assert came == [{"payload": {"schema": "EMAIL_SHA256", "data": [sha("ana@box.example")]}}]


def test_keys_that_an_audience_was_not_made_for_stop_the_sync(alone: responses.RequestsMock) -> None:
    words = "This audience was created from data source X, which does not support data source Y."
    alone.post(USERS, status=400, json=error(2650, message=words))
    with pytest.raises(ConfigurationError, match="does not support"):
        add(offline(), "5", row(1, "ana@box.example", phone="+16505551212"))


def test_terms_that_nobody_accepted_name_the_page(sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError) as raised:
        connect(sandbox, ad_account_id="1001001002").ensure_audience("VIPs")
    assert "customaudiences/tos/?act=1001001002" in str(raised.value)


def test_a_token_that_may_only_read_and_a_foreign_account_are_told_apart_from_wrong_ones(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError):
        connect(sandbox, access_token="EAAsandboxMetaReadOnly").ensure_audience("Read only")
    with pytest.raises(PermissionDeniedError):
        connect(sandbox, ad_account_id="1001001003").probe()
    with pytest.raises(ConfigurationError, match="deprecated"):
        connect(sandbox, version="v20.0").probe()
    with pytest.raises(AuthenticationError, match="appsecret_proof"):
        connect(sandbox, access_token="EAAsandboxMetaProof").probe()


# Replacement


def replace(
    meta: MetaCustomAudiences, audience: str, *batches: Sequence[DeliveryRow], label: str = "r"
) -> list[Outcome]:
    return meta.replace_members(audience, iter(batches), match_key="email", label=label)


def people(*names: str) -> list[DeliveryRow]:
    return [row(number, f"{name}@box.example") for number, name in enumerate(names)]


def test_a_replacement_is_one_session_of_numbered_batches(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    batches = (people("ana", "ben"), people("bad@"), people("cleo"), people("dora", "eve"), people("bad@", "worse@"))
    outcomes = replace(offline(), "5", *batches)
    assert statuses(outcomes) == [
        *[("accepted_async", None)] * 2,
        ("rejected", "invalid_match_value"),
        *[("accepted_async", None)] * 3,
        *[("rejected", "invalid_match_value")] * 2,
    ]
    sessions = [one["session"] for one in came]
    assert [(one["batch_seq"], one["last_batch_flag"]) for one in sessions] == [(1, False), (2, False), (3, True)]
    assert len({one["session_id"] for one in sessions}) == 1
    assert [one["estimated_num_total"] for one in sessions] == [3, 5, 5]
    assert 0 < sessions[0]["session_id"] < 2**53


def test_another_replacement_is_another_session(alone: responses.RequestsMock) -> None:
    came = taken(alone)
    for label in ("monday", "tuesday", "monday"):
        replace(offline(), "5", people("ana"), label=label)
    first, second, again = (one["session"]["session_id"] for one in came)
    assert first == again != second


def test_a_batch_whose_answer_was_lost_is_repeated_under_its_number(
    sandbox: Sandbox, meta: MetaCustomAudiences, faults: Callable[..., None]
) -> None:
    audience = meta.ensure_audience("Replaced")
    replace(meta, audience, people("ana", "ben"), label="before")
    faults(kind="reset", when="after", method="POST", times=1)
    replace(meta, audience, people("cleo"), people("dora"), label="after")
    assert sorted(members(sandbox, audience)) == sorted([[sha("cleo@box.example")], [sha("dora@box.example")]])


def test_a_replacement_by_nobody_leaves_nobody_real(sandbox: Sandbox, meta: MetaCustomAudiences) -> None:
    audience = meta.ensure_audience("Emptied")
    add(meta, audience, row(1, "ana@box.example"))
    assert replace(meta, audience) == []
    assert [sha("ana@box.example")] not in members(sandbox, audience)


def test_a_replacement_by_rows_that_are_none_changes_nothing(alone: responses.RequestsMock) -> None:
    with pytest.raises(ConfigurationError, match="None of 2 rows"):
        replace(offline(), "5", people("bad@", "worse@"))


def test_a_replacement_waits_for_the_next_run_while_another_is_under_way(
    sandbox: Sandbox, meta: MetaCustomAudiences
) -> None:
    audience = meta.ensure_audience("Contested")
    session = {"session_id": 7, "batch_seq": 1, "last_batch_flag": False, "estimated_num_total": 9}
    payload = {"schema": ["EMAIL"], "data": [[sha("eve@box.example")]]}
    meta.http.post(f"v25.0/{audience}/usersreplace", {"session": session, "payload": payload})
    meta._https.clear()
    hasty = connect(sandbox)
    hasty._https[""] = Http(
        system=hasty.name,
        base_url=hasty.settings.base_url,
        auth=hasty.auth(),
        limit=hasty.rate_limit,
        classify=hasty.classify,
        retries=Retries(attempts=1),
    )
    with pytest.raises(UnavailableError, match="replaced by another session"):
        replace(hasty, audience, people("ana"))
