"""Google Ads Customer Match: normalising, how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
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
from millstream.destinations.google_ads_customer_match import GoogleAdsCustomerMatch, GoogleAdsCustomerMatchSettings
from millstream.destinations.google_ads_customer_match.members import rules_of
from millstream.destinations.hashing import is_sha256
from millstream.destinations.http import Http
from millstream.destinations.modes import Operation, Status
from millstream.destinations.preview.rehearsal import example_requests
from millstream.destinations.sending.plan_rows import Batch
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    MillstreamError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
)
from millstream.state.http import Retries
from tests.destinations.bench import MakeBench

SYSTEM = "google_ads_customer_match"
ROOT = "https://google.test"
INGEST, REMOVE = f"{ROOT}/v1/audienceMembers:ingest", f"{ROOT}/v1/audienceMembers:remove"
LISTS = f"{ROOT}/v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists"
RULES = rules_of(None)
CONSENT = {"ad_user_data": "granted", "ad_personalization": "granted", "customer_match_terms": "accepted"}
USER = {"client_id": "sandbox-client", "client_secret": "sandbox-secret", "refresh_token": "sandbox-refresh"}


AT_HOME = {"given_name": "Ana", "family_name": "Líndqvist", "region_code": "Italy", "postal_code": "16121"}
PLACE = "destinations[0].product_destination_id"
LOGIN = "destinations[0].login_account"


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=100, limits=False) as running:
        yield running


def connect(sandbox: Sandbox, **changes: Any) -> GoogleAdsCustomerMatch:
    base_url = f"{sandbox.url}/{SYSTEM}"
    facts = {"base_url": base_url, "token_url": f"{base_url}/token", "customer_id": 1234567890, **CONSENT, **USER}
    return GoogleAdsCustomerMatch(GoogleAdsCustomerMatchSettings.model_validate({**facts, **changes}))


@pytest.fixture
def google(sandbox: Sandbox) -> GoogleAdsCustomerMatch:
    return connect(sandbox)


@pytest.fixture
def vendor(alone: responses.RequestsMock) -> responses.RequestsMock:
    """A vendor that answers what a test says, and gives tokens."""
    alone.assert_all_requests_are_fired = False
    alone.post(f"{ROOT}/token", json={"access_token": "t", "expires_in": 3600})
    return alone


def offline(**changes: Any) -> GoogleAdsCustomerMatch:
    """Against no vendor but ``vendor``, with waits too short to notice."""
    facts = {"base_url": ROOT, "token_url": f"{ROOT}/token", "customer_id": "123-456-7890", **CONSENT, **USER}
    made = GoogleAdsCustomerMatch(GoogleAdsCustomerMatchSettings.model_validate({**facts, **changes}))
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


def add(google: GoogleAdsCustomerMatch, *rows: DeliveryRow, into: str = "5", match_key: str = "email") -> list[Outcome]:
    return google.add_members(into, rows, match_key=match_key)


def statuses(outcomes: Sequence[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def members(sandbox: Sandbox, user_list: str) -> list[set[str]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/{SYSTEM}", timeout=10).json()
    return [set(found) for found in state["audiences"][user_list]["members"]]


def sent(vendor: responses.RequestsMock, *urls: str) -> list[dict[str, Any]]:
    """Bodies of what was posted to these."""
    return [orjson.loads(call.request.body or b"") for call in vendor.calls if call.request.url in urls]


# Normalising


@pytest.mark.parametrize(
    ("name", "value", "hashed"),
    [
        # Examples in the tests of Google's own library, with their hashes.
        ("email", "  ALEXZ@example.com   ", "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
        ("phone", "   +1-800-555-0100", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
        ("phone", "1-800-555-0100   ", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
        ("given_name", "  GivenName  ", "128a07bfe2df877c52076e60d7774cf5baaa046c5a6c48daf30ff43ecca2f814"),
        ("family_name", "  FamilyName ", "77762c287e61ce065bee5c15464012c6fbe088398b8057627d5577249430d574"),
    ],
)
def test_published_examples_have_their_published_hashes(name: str, value: str, hashed: str) -> None:
    assert RULES[name](value) == hashed


@pytest.mark.parametrize(
    ("name", "value", "normal"),
    [
        ("email", "Cloudy.SanFrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"),
        ("email", "Jefferson.LOVES.Hiking@googlemail.com", "jeffersonloveshiking@googlemail.com"),
        ("email", "user.name+NYC@Box.example", "user.name+nyc@box.example"),
        ("email", "ana . li @ box.example", "ana.li@box.example"),
        ("email", "...@gmail.com", None),
        ("email", "+all@gmail.com", None),
        ("email", "bad@@box.example", None),
        ("phone", "0041 44 668 18 00", "+41446681800"),
        ("phone", "441134960987", "+441134960987"),
        ("phone", "(800) 555-0100", None),
        ("phone", "079 123 45 67", None),
        ("given_name", "Mrs. Ana", "ana"),
        ("given_name", "Dr Prof. Zoë", "zoë"),
        ("given_name", "Drew", "drew"),
        ("given_name", "Mrs.", None),
        ("given_name", "Mary Ann", "mary ann"),
        ("given_name", "Jean-Luc", "jeanluc"),
        ("given_name", "Vale\u0301ry", "valéry"),
        ("family_name", "O\u2019Brien, Jr.", "obrien"),
        ("family_name", "King III", "king"),
        ("family_name", "Lee, Jr., DDS", "lee"),
        ("family_name", "Ivanov", "ivanov"),
        ("family_name", "李", "李"),
        ("family_name", "---", None),
    ],
)
def test_values_are_normalised_as_google_says(name: str, value: str, normal: str | None) -> None:
    assert RULES[name](value) == (None if normal is None else sha(normal))


@given(name=sampled_from(["email", "phone", "given_name", "family_name"]), value=text())
def test_whatever_the_value_is_only_a_hash_of_it_comes_out(name: str, value: str) -> None:
    hashed = RULES[name](value)
    assert hashed is None or (is_sha256(hashed) and RULES[name](hashed) == hashed)


@pytest.mark.parametrize(
    ("name", "value", "sent_as"),
    [
        ("region_code", " us", "US"),
        ("region_code", "United Kingdom", "GB"),
        ("region_code", "Atlantis", None),
        ("postal_code", " 1229-076 ", "1229-076"),
        ("postal_code", "  ", None),
        ("email", sha("ana@box.example").upper(), sha("ana@box.example")),
    ],
)
def test_country_and_postal_code_are_not_hashed_and_a_hash_not_again(
    name: str, value: str, sent_as: str | None
) -> None:
    assert RULES[name](value) == sent_as


# What is sent


def test_a_row_is_sent_by_all_its_identifiers_with_consent_and_terms(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, json={"requestId": "r1"})
    rows = [
        row(1, "Ana@Box.example", phone="+1 800 555 0100", **AT_HOME),
        row(2, "ben@box.example", phone="no number", given_name="Ben", family_name="Li", region_code="IT"),
    ]
    outcomes = add(offline(login_customer_id="999-888-7770"), *rows)
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED_ASYNC}
    assert outcomes[0].reason == "Google works on it as request r1."
    address = {
        "givenName": sha("ana"),
        "familyName": sha("líndqvist"),
        "regionCode": "IT",
        "postalCode": "16121",
    }
    ana = [{"emailAddress": sha("ana@box.example")}, {"phoneNumber": sha("+18005550100")}, {"address": address}]
    assert sent(vendor, INGEST) == [
        {
            "destinations": [
                {
                    "operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
                    "productDestinationId": "5",
                    "loginAccount": {"accountType": "GOOGLE_ADS", "accountId": "9998887770"},
                }
            ],
            "audienceMembers": [
                {"userData": {"userIdentifiers": ana}},
                {"userData": {"userIdentifiers": [{"emailAddress": sha("ben@box.example")}]}},
            ],
            "encoding": "HEX",
            "consent": {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"},
            "termsOfService": {"customerMatchTermsOfServiceStatus": "ACCEPTED"},
        }
    ]
    body = orjson.dumps(sent(vendor, INGEST)).lower()
    for clear in (b"ana@", b"box.example", b"8005550100", "líndqvist".encode(), b'"ana"', b"ben"):
        assert clear not in body


def test_people_are_found_by_their_numbers_alone(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, json={"requestId": "r1"})
    outcomes = add(offline(phone_country="DE"), row(1, "030 123456"), row(2, "none"), match_key="phone")
    assert statuses(outcomes) == [("accepted_async", None), ("rejected", "invalid_match_value")]
    (body,) = sent(vendor, INGEST)
    assert body["audienceMembers"] == [{"userData": {"userIdentifiers": [{"phoneNumber": sha("+4930123456")}]}}]


def test_people_are_taken_out_by_all_identifiers_that_they_were_ever_put_in_with(
    vendor: responses.RequestsMock,
) -> None:
    vendor.post(INGEST, json={"requestId": "r1"})
    vendor.post(REMOVE, json={"requestId": "r2"})
    google = offline()
    first = add(google, row(1, "ana@box.example", phone="+18005550100", **AT_HOME))[0]
    later = add(google, row(1, "ana@box.example", first.external_id, phone="+18005550111"))[0]
    assert add(google, row(2, "ben@box.example"))[0].external_id is None
    google.remove_members(
        "5", [row(1, "ana@box.example", later.external_id), row(2, "ben@box.example"), row(3, "bad")], match_key="email"
    )
    (body,) = sent(vendor, REMOVE)
    assert "termsOfService" not in body
    assert "consent" not in body
    address = {"givenName": sha("ana"), "familyName": sha("líndqvist"), "regionCode": "IT", "postalCode": "16121"}
    assert [one["userData"]["userIdentifiers"] for one in body["audienceMembers"]] == [
        [
            {"emailAddress": sha("ana@box.example")},
            {"phoneNumber": sha("+18005550111")},
            {"phoneNumber": sha("+18005550100")},
            {"address": address},
        ],
        [{"emailAddress": sha("ben@box.example")}],
    ]


def test_of_who_got_no_answer_the_same_is_kept_as_of_who_was_taken(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, json={"requestId": "r1"})
    google = offline(ad_user_data="by_person")
    ana = row(1, "ana@box.example", phone="+18005550100", ad_user_data=True)
    assert google.kept_as(ana, match_key="email") == add(google, ana)[0].external_id is not None
    denied = row(2, "ben@box.example", phone="+18005550100", ad_user_data=False)
    assert google.kept_as(denied, match_key="email") is None, "it was not sent"


def test_no_member_has_more_than_ten_identifiers(vendor: responses.RequestsMock) -> None:
    vendor.post(REMOVE, json={"requestId": "r1"})
    known = orjson.dumps([["phone", sha(str(number))] for number in range(14)]).decode()
    offline().remove_members("5", [row(1, "ana@box.example", known)], match_key="email")
    (body,) = sent(vendor, REMOVE)
    assert [len(one["userData"]["userIdentifiers"]) for one in body["audienceMembers"]] == [10, 5]


def test_whoever_has_no_identifier_counts_as_out_without_a_request(vendor: responses.RequestsMock) -> None:
    assert statuses(offline().remove_members("5", [row(1, "bad")], match_key="email")) == [("accepted_async", None)]
    assert not vendor.calls


# Consent


@pytest.mark.parametrize("missing", sorted(CONSENT))
def test_consent_and_terms_have_no_default(missing: str) -> None:
    facts = {"customer_id": "1234567890", **CONSENT, **USER}
    del facts[missing]
    with pytest.raises(ValidationError, match=missing):
        GoogleAdsCustomerMatchSettings.model_validate(facts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ad_user_data": "denied"},
        {"customer_id": "12"},
        {"refresh_token": None},
        {"service_account": "{}"},
        {"membership_days": 541},
        {"phone_country": "Atlantis"},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        offline(**wrong)


def test_nobody_is_sent_who_has_not_consented(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, json={"requestId": "r1"})
    google = offline(ad_personalization="by_person")
    said = ("granted", True, "denied", False, None, "perhaps")
    rows = [row(number, f"p{number}@box.example", ad_personalization=value) for number, value in enumerate(said)]
    outcomes = add(google, *rows)
    assert statuses(outcomes) == [
        *[("accepted_async", None)] * 2,
        *[("suppressed", "consent_denied")] * 2,
        *[("suppressed", "no_consent")] * 2,
    ]
    (body,) = sent(vendor, INGEST)
    both = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
    assert [one["consent"] for one in body["audienceMembers"]] == [both] * 2
    assert body["consent"] == {"adUserData": "CONSENT_GRANTED"}


def test_nobody_is_taken_out_by_an_identifier_that_somebody_who_stays_has(vendor: responses.RequestsMock) -> None:
    """A household shares a number; and Google reads two spellings of an address of its own mail as one."""
    vendor.post(INGEST, json={"requestId": "r1"})
    vendor.post(REMOVE, json={"requestId": "r2"})
    google = offline()
    phone = "+18005550100"
    ana = add(google, row(1, "ana@box.example", phone=phone))[0]
    ben = add(google, row(2, "ben.ten@gmail.com", phone=phone))[0]
    google.staying = frozenset(google.known_as("ben.ten@gmail.com", ben.external_id, match_key="email"))
    later = add(google, row(2, "ben.ten@gmail.com", ben.external_id, phone="+18005550199"))[0]
    stays_as = google.stays_as("ben.ten@gmail.com", later.external_id, match_key="email")
    assert stays_as == [f"email {sha('benten@gmail.com')}", f"phone {sha('+18005550199')}"], "not the number of before"
    leavers = [row(1, "ana@box.example", ana.external_id), row(3, "benten@gmail.com")]
    assert len(google.remove_members("5", leavers, match_key="email")) == 2
    (body,) = sent(vendor, REMOVE)
    assert body["audienceMembers"] == [{"userData": {"userIdentifiers": [{"emailAddress": sha("ana@box.example")}]}}]


def test_who_withdraws_consent_is_taken_out(sandbox: Sandbox, on_duckdb: MakeBench) -> None:
    google = connect(sandbox, ad_user_data="by_person")
    with on_duckdb(fields={"ad_user_data": "name"}, into="By person") as bench:
        bench.delivery.destination = lambda: connect(sandbox, ad_user_data="by_person")
        bench.want({"ana@box.example": "granted", "ben@box.example": "granted"})
        bench.run()
        into = google.ensure_audience("By person")
        assert len(members(sandbox, into)) == 2
        bench.want({"ana@box.example": "denied", "ben@box.example": "granted"})
        assert bench.run().codes == {"consent_denied": 1}
        assert members(sandbox, into) == [{sha("ben@box.example")}]


def test_a_mapped_refusal_counts_also_where_everybody_is_said_to_have_consented(
    vendor: responses.RequestsMock,
) -> None:
    outcomes = add(offline(), row(1, "ana@box.example", ad_user_data="denied"))
    assert statuses(outcomes) == [("suppressed", "consent_denied")]
    assert not vendor.calls


def test_consent_by_person_has_to_be_mapped(vendor: responses.RequestsMock) -> None:
    google = offline(ad_personalization="by_person")
    google.plan = PlanFacts(sync="vips", plan="p", made_at=datetime.now(UTC), fields=("phone",))
    with pytest.raises(ConfigurationError, match="no field ad_personalization"):
        google.ensure_audience("VIPs")
    assert not vendor.calls


# What answers mean for rows


def refusal(*violations: tuple[str, str], status: int = 400, reason: str = "INVALID_ARGUMENT") -> dict[str, Any]:
    kinds = "type.googleapis.com/google.rpc"
    found = [{"field": field, "reason": why, "description": f"Words on {why}."} for field, why in violations]
    details: list[dict[str, Any]] = [{"@type": f"{kinds}.ErrorInfo", "reason": reason}]
    if found:
        details.append({"@type": f"{kinds}.BadRequest", "fieldViolations": found})
    return {"error": {"code": status, "message": "There was a problem.", "status": reason, "details": details}}


def test_members_that_google_points_to_are_rejected_and_the_others_sent_again(vendor: responses.RequestsMock) -> None:
    places = [
        ("audience_members.audience_members[1].user_data.user_identifiers", "INVALID_SHA256_FORMAT"),
        ("audienceMembers[3].userData", "NO_IDENTIFIERS_PROVIDED"),
    ]
    vendor.post(INGEST, status=400, json=refusal(*places))
    vendor.post(INGEST, status=400, json=refusal(("audience_members[0].user_data", "INVALID_AUDIENCE_MEMBER")))
    vendor.post(INGEST, json={"requestId": "r1"})
    outcomes = add(offline(), *[row(number, f"p{number}@box.example") for number in range(5)])
    assert statuses(outcomes) == [
        ("rejected", "invalid_audience_member"),
        ("rejected", "invalid_sha256_format"),
        ("accepted_async", None),
        ("rejected", "no_identifiers_provided"),
        ("accepted_async", None),
    ]
    assert "Words on INVALID_SHA256_FORMAT." in str(outcomes[1].reason)
    assert [len(body["audienceMembers"]) for body in sent(vendor, INGEST)] == [5, 3, 2]


def test_a_request_that_is_refused_again_and_again_is_left_to_be_halved(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, status=400, json=refusal(("audience_members[0].user_data", "INVALID_AUDIENCE_MEMBER")))
    with pytest.raises(RefusedError):
        add(offline(), *[row(number, f"p{number}@box.example") for number in range(9)])
    assert len(sent(vendor, INGEST)) == 5


def test_warnings_are_counted(vendor: responses.RequestsMock, caplog: pytest.LogCaptureFixture) -> None:
    vendor.post(INGEST, json={"requestId": "r1", "fieldWarnings": [{"field": "x", "reason": "Y"}]})
    with caplog.at_level(logging.WARNING):
        add(offline(), row(1, "ana@box.example"))
    assert "warns of 1 fields" in caplog.text


@pytest.mark.parametrize(
    ("status", "answer", "kind", "told"),
    [
        (401, refusal(status=401, reason="UNAUTHENTICATED"), AuthenticationError, "refresh token"),
        (403, refusal(status=403, reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT"), PermissionDeniedError, "auth/datamanager"),
        (403, refusal(status=403, reason="SERVICE_DISABLED"), PermissionDeniedError, "enable the Data Manager API"),
        (403, refusal(status=403, reason="NOT_ALLOWLISTED"), PermissionDeniedError, "policy"),
        (403, refusal(status=403, reason="PERMISSION_DENIED"), PermissionDeniedError, "login_customer_id"),
        (404, refusal(status=404, reason="NOT_FOUND"), NotFoundError, "customer_id"),
        (400, refusal(("terms_of_service", "TERMS_AND_CONDITIONS_NOT_SIGNED")), ConfigurationError, "accept the"),
        (400, refusal((LOGIN, "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH")), ConfigurationError, "linked"),
        (400, refusal((PLACE, "INVALID_USER_LIST_ID")), ConfigurationError, "user list"),
        (400, refusal(), ConfigurationError, "whole"),
        (413, {}, RefusedError, ""),
        (500, refusal(status=500, reason="INTERNAL_ERROR"), UnavailableError, ""),
        (504, refusal(status=504, reason="DEADLINE_EXCEEDED"), UnavailableError, ""),
        (503, {}, UnavailableError, ""),
    ],
)  # fmt: skip
def test_errors_say_what_is_to_be_done(
    vendor: responses.RequestsMock, status: int, answer: dict[str, Any], kind: type[MillstreamError], told: str
) -> None:
    vendor.post(INGEST, status=status, json=answer)
    with pytest.raises(kind) as raised:
        add(offline(), row(1, "ana@box.example"))
    assert type(raised.value) is kind
    assert told in str(raised.value.remedy)


def exhausted(quota: str, delay: str | None = None) -> dict[str, Any]:
    kinds = "type.googleapis.com/google.rpc"
    details: list[dict[str, Any]] = [{"@type": f"{kinds}.ErrorInfo", "metadata": {"quota_limit": quota}}]
    if delay:
        details.append({"@type": f"{kinds}.RetryInfo", "retryDelay": delay})
    return {"error": {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": details}}


def test_a_minute_s_quota_is_waited_for_as_long_as_google_says(
    vendor: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    google = offline()
    pauses: list[float] = []
    monkeypatch.setattr(google.http.pacer, "pause", pauses.append)
    quota = "IngestionMutateRequestsPerMinutePerProject"
    vendor.post(INGEST, status=429, json=exhausted(quota, "12.5s"))
    vendor.post(INGEST, json={"requestId": "r1"})
    assert statuses(add(google, row(1, "ana@box.example"))) == [("accepted_async", None)]
    assert set(pauses) == {12.5}


def test_a_minute_s_quota_without_a_delay_is_tried_again_later(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, status=429, json=exhausted("IngestionMutateRequestsPerMinutePerProject"))
    with pytest.raises(RateLimitedError):
        add(offline(), row(1, "ana@box.example"))


def test_a_day_s_quota_ends_the_run(vendor: responses.RequestsMock) -> None:
    vendor.post(INGEST, status=429, json=exhausted("IngestionMutateRequestsPerDayPerProject", "3s"))
    with pytest.raises(QuotaExhaustedError) as raised:
        add(offline(), row(1, "ana@box.example"))
    assert raised.value.resets_in is not None
    assert 0 < raised.value.resets_in <= 25 * 3600


# User lists


def user_list(number: str, name: str, **more: Any) -> dict[str, Any]:
    kinds = {"ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]}}
    return {"id": number, "displayName": name, "membershipStatus": "OPEN", **kinds, **more}


def test_a_list_is_made_with_the_days_that_people_stay(sandbox: Sandbox) -> None:
    google = connect(sandbox, membership_days=30)
    made = google.ensure_audience("For a month")
    found = google.http.get(f"v1/accountTypes/GOOGLE_ADS/accounts/1234567890/userLists/{made}")
    assert found["membershipDuration"] == f"{30 * 86_400}s"
    assert found["ingestedUserListInfo"]["uploadKeyTypes"] == ["CONTACT_ID"]
    assert connect(sandbox).ensure_audience("For a month") == made


def test_a_list_that_another_process_made_first_is_taken(vendor: responses.RequestsMock) -> None:
    vendor.get(LISTS, json={})
    vendor.post(LISTS, status=409, json=refusal(status=409, reason="ALREADY_EXISTS"))
    vendor.get(LISTS, json={"userLists": [user_list("9", "VIPs")]})
    assert offline().ensure_audience("VIPs") == "9"


def test_names_are_quoted_in_the_filter_and_compared_whole(vendor: responses.RequestsMock) -> None:
    name = 'Say "hi" \\ bye'
    vendor.get(LISTS, json={"userLists": [user_list("8", name.upper())], "nextPageToken": "more"})
    vendor.get(LISTS, json={"userLists": [user_list("9", name)]})
    assert offline().ensure_audience(name) == "9"
    asked = [call.request.params for call in vendor.calls if call.request.method == "GET"]  # type: ignore[attr-defined]
    assert asked[0]["filter"] == 'display_name = "Say \\"hi\\" \\\\ bye"'
    assert asked[1]["pageToken"] == "more"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"ingestedUserListInfo": {"uploadKeyTypes": ["MOBILE_ID"]}}, "MOBILE_ID"),
        ({"membershipStatus": "CLOSED"}, "closed"),
        ({"readOnly": True}, "cannot be changed"),
        ({"accountAccessStatus": "DISABLED"}, "cannot be changed"),
    ],
)
def test_lists_that_take_nobody_stop_the_sync_at_the_start(
    vendor: responses.RequestsMock, facts: dict[str, Any], told: str
) -> None:
    vendor.get(LISTS, json={"userLists": [user_list("9", "VIPs", **facts)]})
    with pytest.raises(ConfigurationError, match=told):
        offline().ensure_audience("VIPs")


def test_a_partner_says_by_which_accounts_it_comes(vendor: responses.RequestsMock) -> None:
    vendor.get(LISTS, json={"userLists": [user_list("9", "VIPs")]})
    partner = offline(
        login_customer_id="7770001110", login_account_type="DATA_PARTNER", linked_customer_id="222-333-4440"
    )
    partner.ensure_audience("VIPs")
    headers = vendor.calls[-1].request.headers
    assert headers["login-account"] == "accountTypes/DATA_PARTNER/accounts/7770001110"
    assert headers["linked-account"] == "accountTypes/GOOGLE_ADS/accounts/2223334440"
    place = partner.settings.destination("9")
    assert place["loginAccount"] == {"accountType": "DATA_PARTNER", "accountId": "7770001110"}
    assert place["linkedAccount"] == {"accountType": "GOOGLE_ADS", "accountId": "2223334440"}


def test_a_service_account_comes_through_a_manager(sandbox: Sandbox) -> None:
    account = requests.get(f"{sandbox.url}/_sandbox/credentials/{SYSTEM}", timeout=10).json()
    nobody = dict.fromkeys(USER)
    key = orjson.dumps(account).decode()
    facts = {"customer_id": "2223334440", "service_account": key, **nobody}
    google = connect(sandbox, login_customer_id="9998887770", **facts)
    into = google.ensure_audience("Through a manager")
    assert statuses(add(google, row(1, "ana@box.example"), into=into)) == [("accepted_async", None)]
    assert members(sandbox, into) == [{sha("ana@box.example")}]
    with pytest.raises(PermissionDeniedError, match="permission"):
        connect(sandbox, **facts).probe()


def test_a_credential_without_the_scope_and_a_barred_account_are_told(sandbox: Sandbox) -> None:
    with pytest.raises(PermissionDeniedError) as raised:
        connect(sandbox, refresh_token="sandbox-refresh-adwords-only").probe()
    assert "auth/datamanager" in str(raised.value)
    with pytest.raises(PermissionDeniedError, match="NOT_ALLOWLISTED"):
        connect(sandbox, customer_id="5550001110").probe()


# Everybody, and nobody


def test_a_replacement_that_fails_half_way_takes_nobody_out(vendor: responses.RequestsMock) -> None:
    vendor.get(f"{LISTS}/5", json=user_list("5", "VIPs"))
    vendor.post(INGEST, json={"requestId": "r1"})
    vendor.post(INGEST, status=503)
    batches = iter([[row(1, "ana@box.example")], [row(2, "ben@box.example")]])
    google = offline()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("millstream.destinations.google_ads_customer_match.destination._CLOCK_SECONDS", 0.0)
        with pytest.raises(UnavailableError):
            google.replace_members("5", batches, match_key="email", label="r")
    assert not [call for call in vendor.calls if str(call.request.url).endswith("removeAll")]


def test_a_replacement_by_rows_that_are_none_takes_nobody_out(vendor: responses.RequestsMock) -> None:
    vendor.get(f"{LISTS}/5", json=user_list("5", "VIPs"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("millstream.destinations.google_ads_customer_match.destination._CLOCK_SECONDS", 0.0)
        with pytest.raises(ConfigurationError, match="None of 1 rows"):
            offline().replace_members("5", iter([[row(1, "bad")]]), match_key="email", label="r")
    assert len(vendor.calls) == 2  # the token and the list


def test_a_replacement_removes_those_of_before_by_google_s_clock(vendor: responses.RequestsMock) -> None:
    vendor.get(f"{LISTS}/5", json=user_list("5", "VIPs"), headers={"Date": "Mon, 23 Nov 2026 07:00:00 GMT"})
    vendor.post(INGEST, json={"requestId": "r1"})
    remove_all = f"{ROOT}/v1/audienceMembers:removeAll"
    vendor.post(remove_all, json={"requestId": "r2"})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("millstream.destinations.google_ads_customer_match.destination.sleep_unless_stopped", float)
        outcomes = offline().replace_members("5", iter([[row(1, "ana@box.example")]]), match_key="email", label="r")
    assert statuses(outcomes) == [("accepted_async", None)]
    (body,) = sent(vendor, remove_all)
    assert body["removeAsOfTime"] == "2026-11-23T07:00:02Z"
    assert body["destinations"][0]["productDestinationId"] == "5"


def test_a_forgotten_person_leaves_all_lists_of_contact_data(sandbox: Sandbox, google: GoogleAdsCustomerMatch) -> None:
    lists = [google.ensure_audience(f"Forget {number}") for number in range(11)]
    for into in (lists[0], lists[-1]):
        add(google, row(1, "ana@box.example"), row(2, "ben@box.example"), into=into)
    assert statuses(google.erase([row(1, "ana@box.example")], match_key="email")) == [("accepted_async", None)]
    for into in (lists[0], lists[-1]):
        assert members(sandbox, into) == [{sha("ben@box.example")}]


def test_an_example_of_a_removal_shows_nobody() -> None:
    known = orjson.dumps([["phone", sha("+18005550100")], ["address", f"{sha('ana')}|{sha('li')}|IT|16121"]]).decode()
    leaver = Batch(Operation.REMOVE, [row(1, "ana@box.example", known)], {}, as_job=False)
    sync = Sync.model_validate({"destination": "g", "table": "t.p", "into": "VIPs", "consent": "not_needed"})
    google: Any = offline()
    (audience, removal) = example_requests(google, sync, iter([leaver]))
    assert audience.operation == "audience"
    shown = orjson.dumps(removal.body).decode()
    assert "userIdentifiers" in shown
    for told in (sha("ana@box.example"), sha("+18005550100"), sha("ana"), sha("li"), "16121"):
        assert told not in shown
