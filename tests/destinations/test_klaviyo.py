"""Klaviyo as a destination: how it uses the sandbox, and answers that the sandbox does not give."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr
from responses import matchers

from millstream.destinations.contract import DeliveryRow, FieldValue, Outcome
from millstream.destinations.klaviyo import Klaviyo, KlaviyoSettings, api
from millstream.destinations.klaviyo.api import Endpoint
from millstream.destinations.klaviyo.imports import JobId
from millstream.destinations.modes import Operation, Status, SyncMode
from millstream.destinations.needed_fields import ensure_fields
from millstream.destinations.rendering import Renderer
from millstream.destinations.sync import FieldMapping, Sync
from millstream.sandbox import Sandbox
from millstream.sandbox.klaviyo.account import Klaviyo as KlaviyoAccount
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    RefusedError,
)

ROOT = "https://klaviyo.test/api"
JOBS = f"{ROOT}/profile-bulk-import-jobs"
MEMBERS = f"{ROOT}/lists/L1/relationships/profiles"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        account = running.systems["klaviyo"]
        assert isinstance(account, KlaviyoAccount)
        account.later.seconds = 0.0
        yield running


def connect(sandbox: Sandbox, key: str = "pk_sandbox_klaviyo", **settings: str) -> Klaviyo:
    given = {"base_url": f"{sandbox.url}/klaviyo/api", "access_token": key, **settings}
    return Klaviyo(KlaviyoSettings.model_validate(given))


@pytest.fixture
def klaviyo(sandbox: Sandbox) -> Klaviyo:
    return connect(sandbox)


@pytest.fixture
def offline() -> Klaviyo:
    """Against no vendor but ``alone``."""
    return Klaviyo(KlaviyoSettings(base_url=ROOT, access_token=SecretStr("pk_test"), job_ids=False))


def row(number: int, email: str, external_id: str | None = None, **fields: FieldValue) -> DeliveryRow:
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return DeliveryRow(number=number, match_value=email, fields=named, external_id=external_id)


def statuses(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status.value, outcome.code) for outcome in outcomes]


def people(sandbox: Sandbox) -> dict[str, dict[str, Any]]:
    state = requests.get(f"{sandbox.url}/_sandbox/state/klaviyo", timeout=10).json()
    return {str(one["match"]["email"]).lower(): one for one in state["people"]}


def with_standing(sandbox: Sandbox, standing: str) -> str:
    return next(email for email, one in people(sandbox).items() if one["standing"] == standing)


def import_(
    klaviyo: Klaviyo,
    rows: list[DeliveryRow],
    *,
    audience: str | None = None,
    creates: bool = True,
    match_key: str = "email",
    operation: Operation = Operation.ADD,
) -> list[Outcome]:
    """The outcomes of rows that go as a job."""
    job = klaviyo.submit_job(operation, rows, match_key=match_key, audience_id=audience, creates=creates, label="test")
    until = time.monotonic() + 10
    while not klaviyo.poll_job(job).done:
        assert time.monotonic() < until
        time.sleep(0.01)
    return klaviyo.job_outcomes(job, operation, rows)


def sent(call: responses.Call) -> Any:
    return orjson.loads(call.request.body or b"null")


def fault(code: str, detail: str, pointer: str) -> dict[str, Any]:
    return {"code": code, "title": "Invalid input.", "detail": detail, "source": {"pointer": pointer}}


def job_of(status: str = "complete", failed: int | None = 0, job_id: str = "J1") -> dict[str, Any]:
    counts = {"total_count": 3, "completed_count": 3, "failed_count": failed}
    return {"data": {"type": "profile-bulk-import-job", "id": job_id, "attributes": {"status": status, **counts}}}


# Nobody's consent changes


def test_no_endpoint_can_change_a_consent() -> None:
    paths = [one.path for one in vars(api).values() if isinstance(one, Endpoint)]
    assert len(paths) == 14
    assert not [path for path in paths if "subscription" in path or "suppression" in path]


@pytest.mark.parametrize("standing", ["unsubscribed", "bounced", "spam", "suppressed", "invalid", "never_subscribed"])
def test_an_import_into_a_list_leaves_consent_alone(sandbox: Sandbox, klaviyo: Klaviyo, standing: str) -> None:
    email = with_standing(sandbox, standing)
    before = people(sandbox)[email]
    audience = klaviyo.ensure_audience("Everybody")
    rows = [row(1, email, first_name="Ana")]
    assert statuses(import_(klaviyo, rows, audience=audience)) == [("accepted", None)]
    members = klaviyo.upsert(rows, match_key="email")
    known_row = [row(1, email, members[0].external_id)]
    klaviyo.add_members(audience, known_row, match_key="email")
    assert "Everybody" in people(sandbox)[email]["audiences"]
    klaviyo.remove_members(audience, known_row, match_key="email")
    after = people(sandbox)[email]
    assert (after["standing"], after["sms"], after["audiences"]) == (standing, before["sms"], before["audiences"])


@pytest.mark.parametrize("as_job", [False, True], ids=["one by one", "job"])
@pytest.mark.parametrize("known", [False, True], ids=["by our id", "by Klaviyo's"])
def test_who_unsubscribed_gets_no_other_address(sandbox: Sandbox, klaviyo: Klaviyo, as_job: bool, known: bool) -> None:
    """Klaviyo keeps an opt-out with the address: a new one would get mail."""
    ids = {
        standing: (str(one["match"]["external_id"]), str(one["id"]), email)
        for email, one in people(sandbox).items()
        for standing in [one["standing"]]
        if one["match"].get("external_id") and "@" in email
    }
    (left, left_id, address), (stays, stays_id, _) = ids["unsubscribed"], ids["subscribed"]
    before = people(sandbox)[address]
    stays_address = f"moved-{as_job}-{known}@box.example".lower()
    given: list[tuple[str, str, dict[str, FieldValue]]] = [
        (left, left_id, {"email": "new-address@box.example", "first_name": "Ana"}),
        (stays, stays_id, {"email": stays_address}),
        (left, left_id, {"email": address.upper(), "title": "Dr"}),
    ]
    rows = [
        DeliveryRow(number=number, match_value=ours, fields=fields, external_id=theirs if known else None)
        for number, (ours, theirs, fields) in enumerate(given)
    ]
    for some in (rows[:2], rows[2:]):
        outcomes = (
            import_(klaviyo, some, match_key="external_id") if as_job else klaviyo.upsert(some, match_key="external_id")
        )
        expected = [("suppressed", "unsubscribed"), ("accepted", None)] if len(some) == 2 else [("accepted", None)]
        assert statuses(outcomes) == expected
    outcomes = klaviyo.update(rows[:1], match_key="external_id")
    assert statuses(outcomes) == [("suppressed", "unsubscribed")]
    after = people(sandbox)
    assert "new-address@box.example" not in after
    assert after[address]["standing"] == before["standing"] == "unsubscribed"
    assert stays_address in after


@pytest.mark.parametrize("name", ["$consent", "$consent_method", "subscriptions", "sms_consent"])
def test_consent_is_not_a_field(offline: Klaviyo, name: str) -> None:
    with pytest.raises(ConfigurationError, match="consent"):
        ensure_fields(offline, "all", sync_of(name), {})
    assert offline.calls == 0


@pytest.mark.parametrize("name", ["id", "$first_name", "location", "location.planet", "properties", "meta"])
def test_names_that_klaviyo_keeps_are_refused(offline: Klaviyo, name: str) -> None:
    with pytest.raises(ConfigurationError, match="keeps the name"):
        ensure_fields(offline, "all", sync_of(name), {})


def sync_of(*names: str) -> Sync:
    fields = dict.fromkeys(names, "some")
    return Sync(destination="k", table="t.t", mode=SyncMode.UPSERT, fields=fields, consent="not_needed")


# Values


def test_values_keep_their_kinds_and_moments_are_rfc_3339(sandbox: Sandbox, klaviyo: Klaviyo) -> None:
    values: Mapping[str, Any] = {
        "Lifetime value": 120.5,
        "Is VIP": True,
        "Last order": "2026-11-01 10:00:00+00",
        "Birthday": "1990-02-03",
        "Tier": "gold",
        "location.city": "Genoa",
        "location.latitude": 44.4,
    }
    mappings = {name: FieldMapping(column="any") for name in values}
    rendered = Renderer(klaviyo.fields, mappings, klaviyo.custom_field_type).render(values)
    assert isinstance(rendered, dict)
    rows = [DeliveryRow(number=1, match_value="values@box.example", fields=rendered)]
    assert statuses(klaviyo.upsert(rows, match_key="email")) == [("accepted", None)]
    held = people(sandbox)["values@box.example"]["fields"]
    assert held["Lifetime value"] == 120.5
    assert held["Is VIP"] is True
    assert (held["Last order"], held["Birthday"], held["Tier"], held["city"]) == (
        "2026-11-01T10:00:00+00:00",
        "1990-02-03",
        "gold",
        "Genoa",
    )


@pytest.mark.parametrize("as_job", [False, True], ids=["one by one", "as a job"])
def test_null_clears_and_what_is_left_out_stays(sandbox: Sandbox, klaviyo: Klaviyo, as_job: bool) -> None:
    email = f"clears-{int(as_job)}@box.example"
    full: dict[str, FieldValue] = {
        "first_name": "Ana",
        "last_name": "Li",
        "location.city": "Genoa",
        "Tier": "gold",
        "Points": 5,
    }
    [made] = klaviyo.upsert([DeliveryRow(number=1, match_value=email, fields=full)], match_key="email")
    cleared = {"first_name": None, "location.city": None, "Tier": None}
    for external_id in (None, made.external_id):
        rows = [DeliveryRow(number=1, match_value=email, fields=cleared, external_id=external_id)]
        done = import_(klaviyo, rows) if as_job else klaviyo.update(rows, match_key="email")
        assert statuses(done) == [("accepted", None)]
    held = people(sandbox)[email]["fields"]
    assert {name: value for name, value in held.items() if value is not None} == {"last_name": "Li", "Points": 5}


def test_after_a_job_only_what_is_there_is_emptied(klaviyo: Klaviyo) -> None:
    emails = [f"empty-{number}@box.example" for number in range(120)]
    klaviyo.upsert([row(1, emails[5], first_name="Ana"), row(2, emails[6], location__city="Genoa")], match_key="email")
    calls = klaviyo.calls
    rows = [row(n, email, Tier="gold", first_name=None, location__city=None) for n, email in enumerate(emails)]
    assert {outcome.status for outcome in import_(klaviyo, rows)} == {Status.ACCEPTED}
    # The job and one look at it, two pages of ids, three look-ups for 120 people, and two who had something.
    assert klaviyo.calls - calls == 2 + 2 + 3 + 2


@pytest.mark.parametrize(
    ("match_key", "value"), [("email", "by-mail@box.example"), ("phone_number", "+14155550142"), ("external_id", "C 9")]
)
def test_people_are_found_by_each_match_key(klaviyo: Klaviyo, match_key: str, value: str) -> None:
    rows = [row(1, value, first_name="Ana")]
    audience = klaviyo.ensure_audience(f"By {match_key}")
    [made] = klaviyo.upsert(rows, match_key=match_key)
    assert statuses(import_(klaviyo, rows, audience=audience, match_key=match_key)) == [("accepted", None)]
    [member] = klaviyo.read_members(audience)
    assert (member.external_id, value in member.match_values) == (made.external_id, True)
    assert list(klaviyo.read_back(audience)) == [value]
    klaviyo.remove_members(audience, rows, match_key=match_key)
    assert list(klaviyo.read_back(audience)) == []
    # Somebody without the value is not found by it, so deleted by it neither.
    assert {outcome.status for outcome in klaviyo.erase(rows, match_key=match_key)} == {Status.ACCEPTED_ASYNC}
    assert statuses(klaviyo.update(rows, match_key=match_key)) == [("rejected", "not_found")]


# Requests


def test_requests_are_these(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    """One request of each kind, whole."""
    headers = {"revision": "2026-07-15", "Authorization": "Klaviyo-API-Key pk_test"}
    typed = matchers.header_matcher({**headers, "Content-Type": "application/vnd.api+json"})
    fields: dict[str, FieldValue] = {"first_name": "Ana", "location.city": "Genoa", "LTV": 1.5}
    fields |= {"Tier": None, "title": None}
    ana = DeliveryRow(number=7, match_value="ana@box.example", fields=fields, external_id="P1")
    named = {"email": "ana@box.example", "first_name": "Ana", "properties": {"LTV": 1.5}}
    unset = {"meta": {"patch_properties": {"unset": ["Tier"]}}}
    whole = named | {"title": None, "location": {"city": "Genoa"}}
    profile = {"type": "profile", "attributes": whole, **unset}
    alone.post(
        f"{ROOT}/profile-import",
        match=[typed, matchers.json_params_matcher({"data": profile})],
        json={"data": {"id": "P1"}},
    )
    changed = {**profile, "id": "P1", "attributes": {name: whole[name] for name in whole if name != "email"}}
    alone.patch(
        f"{ROOT}/profiles/P1", match=[typed, matchers.json_params_matcher({"data": changed})], json={"data": {}}
    )
    imported = {"type": "profile", "attributes": named | {"location": {"city": "Genoa"}}, **unset}
    job = {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": [imported]}},
        "relationships": {"lists": {"data": [{"type": "list", "id": "L1"}]}},
    }
    alone.post(JOBS, match=[typed, matchers.json_params_matcher({"data": job})], json=job_of())
    member = {"data": [{"type": "profile", "id": "P1"}]}
    alone.post(MEMBERS, match=[typed, matchers.json_params_matcher(member)], status=204)
    alone.delete(MEMBERS, match=[typed, matchers.json_params_matcher(member)], status=204)
    offline.upsert([ana], match_key="email")
    offline.update([ana], match_key="email")
    offline.submit_job(Operation.ADD, [ana], match_key="email", audience_id="L1", creates=True, label="x")
    offline.add_members("L1", [ana], match_key="email")
    offline.remove_members("L1", [ana], match_key="email")


def test_limits_come_from_the_headers_of_each_endpoint(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    """The headers tell of the minute; what is left of it at one endpoint says nothing of another."""
    left = {"RateLimit-Limit": "750", "RateLimit-Remaining": "0", "RateLimit-Reset": "1"}
    alone.get(f"{ROOT}/lists", json={"data": [{"id": "L1"}]}, headers=left)
    alone.get(f"{ROOT}/lists/L1/profiles", json={"data": [], "links": {}})
    offline.ensure_audience("VIP")
    began = time.monotonic()
    assert list(offline.read_back("L1")) == []
    meanwhile = time.monotonic() - began
    offline.ensure_audience("VIP")
    assert meanwhile < 0.5
    assert time.monotonic() - began >= 0.9


def test_the_limit_of_a_second_is_kept_without_being_told() -> None:
    with Sandbox(people=60) as limited:
        connect(limited).upsert([row(number, f"pace-{number}@box.example") for number in range(100)], match_key="email")
        seen = requests.get(f"{limited.url}/_sandbox/requests", timeout=10).json()["systems"]["klaviyo"]
    assert {one["status"] for one in seen} == {201}


def test_a_throttle_that_says_how_long_is_waited_for(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/accounts", status=429, headers={"Retry-After": "1"}, json={"errors": []})
    alone.get(f"{ROOT}/accounts", json={"data": []})
    began = time.monotonic()
    offline.probe()
    assert time.monotonic() - began >= 1.0


# Jobs


def test_a_job_is_two_requests_for_fields_and_membership(sandbox: Sandbox) -> None:
    klaviyo = connect(sandbox, job_ids="false")
    audience = klaviyo.ensure_audience("Two requests")
    calls = klaviyo.calls
    rows = [row(number, f"job-{number}@box.example", first_name="Ana", LTV=number) for number in range(2_000)]
    assert {outcome.status for outcome in import_(klaviyo, rows, audience=audience)} == {Status.ACCEPTED}
    assert klaviyo.calls - calls == klaviyo.requests_for(Operation.ADD, 2_000, in_audience=True) == 2
    assert len(list(klaviyo.read_back(audience))) == 2_000


def test_who_came_by_a_job_and_has_another_address_there_leaves_by_the_profile_id(
    klaviyo: Klaviyo, sandbox: Sandbox
) -> None:
    audience = klaviyo.ensure_audience("By id")
    calls = klaviyo.calls
    rows = [row(number, f"Came-{number}@box.example") for number in range(250)]
    outcomes = import_(klaviyo, rows, audience=audience)
    assert klaviyo.calls - calls == klaviyo.requests_for(Operation.ADD, 250, in_audience=True) == 5
    assert len({outcome.external_id for outcome in outcomes} - {None}) == 250
    moved = {"data": {"type": "profile", "id": outcomes[7].external_id, "attributes": {"email": "new@box.example"}}}
    headers = {"Authorization": "Klaviyo-API-Key pk_sandbox_klaviyo", "revision": "2026-07-15"}
    path = f"{sandbox.url}/klaviyo/api/profiles/{outcomes[7].external_id}"
    requests.patch(path, json=moved, headers=headers, timeout=10).raise_for_status()
    leaver = row(7, "Came-7@box.example", outcomes[7].external_id)
    klaviyo.remove_members(audience, [leaver], match_key="email")
    there = set(klaviyo.read_back(audience))
    assert len(there) == 249
    assert not {"new@box.example", "came-7@box.example"} & there


def test_ids_are_read_only_where_some_are_not_known(klaviyo: Klaviyo) -> None:
    first = import_(klaviyo, [row(1, "once@box.example"), row(2, "bad@@example")])
    assert first[0].external_id
    assert first[1].external_id is None
    calls = klaviyo.calls
    again = import_(klaviyo, [row(1, "once@box.example", first[0].external_id, first_name="Ana")])
    assert (again[0].external_id, klaviyo.calls - calls) == (first[0].external_id, 2)


def test_of_many_only_those_ids_are_read_that_are_not_known(klaviyo: Klaviyo) -> None:
    emails = [f"some-{number}@box.example" for number in range(120)]
    first = import_(klaviyo, [row(number, email) for number, email in enumerate(emails)])
    ids = [outcome.external_id for outcome in first]
    calls = klaviyo.calls
    again = import_(klaviyo, [row(n, email, ids[n] if n else None) for n, email in enumerate(emails)])
    assert [outcome.external_id for outcome in again] == ids
    assert klaviyo.calls - calls == 2 + 1, "not the two pages of all"


def test_malformed_rows_are_left_out_before_they_spoil_the_job(sandbox: Sandbox) -> None:
    klaviyo = connect(sandbox, job_ids="false")
    calls = klaviyo.calls
    rows = [
        row(1, "good-1@box.example"),
        row(2, "bad@@example"),
        row(3, "good-2@box.example", phone_number="555"),
        row(4, "good-3@box.example", phone_number="+14155550143"),
    ]
    outcomes = import_(klaviyo, rows)
    assert statuses(outcomes) == [
        ("accepted", None),
        ("rejected", "invalid"),
        ("rejected", "invalid"),
        ("accepted", None),
    ]
    assert "bad@@example" not in str(outcomes[1].reason)
    assert klaviyo.calls - calls == 2


def test_a_job_that_is_refused_for_some_goes_without_them(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    rows = [row(number, f"p{number}@box.example") for number in range(4)]
    place = "/data/attributes/profiles/data/{}/attributes/email"
    faults = [
        fault("invalid", "p1@box.example is not deliverable.", place.format(1)),
        fault("duplicate", "again", place.format(3)),
    ]
    first = alone.post(JOBS, status=400, json={"errors": faults})
    again = alone.post(JOBS, status=202, json=job_of("queued"))
    alone.get(f"{JOBS}/J1", json=job_of())
    outcomes = import_(offline, rows)
    assert statuses(outcomes) == [
        ("accepted", None),
        ("rejected", "invalid"),
        ("accepted", None),
        ("rejected", "duplicate"),
    ]
    assert "p1@box.example" not in str(outcomes[1].reason)
    assert [len(sent(tried.calls[0])["data"]["attributes"]["profiles"]["data"]) for tried in (first, again)] == [4, 2]


def test_a_job_that_is_refused_over_and_over_is_left_to_the_engine(
    offline: Klaviyo, alone: responses.RequestsMock
) -> None:
    one = fault("invalid", "no", "/data/attributes/profiles/data/0/attributes/email")
    alone.post(JOBS, status=400, json={"errors": [one]})
    with pytest.raises(RefusedError):
        import_(offline, [row(number, f"p{number}@box.example") for number in range(50)])
    assert offline.calls == 5


def test_a_list_that_is_gone_stops_the_sync(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    gone = fault("not_found", "A list with id L9 does not exist.", "/data/relationships/lists/data/0/id")
    alone.post(JOBS, status=400, json={"errors": [gone]})
    with pytest.raises(NotFoundError, match="L9"):
        import_(offline, [row(1, "ana@box.example")], audience="L9")


def test_import_errors_find_their_rows(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    """By the pointer, by what the vendor repeats of the row, and over all pages."""
    pointed = {"attributes": fault("invalid", "phone", "/data/attributes/profiles/data/0/attributes/phone_number")}
    repeated = fault("duplicate", "p2@box.example is taken", "") | {"original_payload": {"email": "P2@box.example"}}
    alone.post(JOBS, status=202, json=job_of("queued"))
    alone.get(f"{JOBS}/J1", json=job_of(failed=2))
    more = {"next": "https://a.klaviyo.com/api/elsewhere?page%5Bcursor%5D=c2"}
    errors = f"{JOBS}/J1/import-errors"
    first = {"page[size]": "100"}
    alone.get(errors, match=[matchers.query_param_matcher(first)], json={"data": [pointed], "links": more})
    alone.get(
        errors,
        match=[matchers.query_param_matcher({**first, "page[cursor]": "c2"})],
        json={"data": [{"attributes": repeated}], "links": {"next": None}},
    )
    outcomes = import_(offline, [row(number, f"p{number}@box.example") for number in range(3)])
    assert statuses(outcomes) == [("rejected", "invalid"), ("accepted", None), ("rejected", "duplicate")]
    assert "p2@box.example" not in str(outcomes[2].reason).lower()


@pytest.mark.parametrize("named", [True, False])
def test_failures_that_name_no_row_are_told_from_what_was_imported(
    offline: Klaviyo, alone: responses.RequestsMock, named: bool
) -> None:
    errors = [{"attributes": fault("internal", "something", "")}] if named else []
    alone.post(JOBS, status=202, json=job_of("queued"))
    alone.get(f"{JOBS}/J1", json=job_of(failed=1))
    alone.get(f"{JOBS}/J1/import-errors", json={"data": errors, "links": {}})
    there = [{"id": f"K{number}", "attributes": {"email": f"P{number}@box.example"}} for number in (0, 2)]
    alone.get(f"{JOBS}/J1/profiles", json={"data": there, "links": {}})
    outcomes = import_(offline, [row(number, f"p{number}@box.example") for number in range(3)])
    code = "internal" if named else "not_imported"
    assert statuses(outcomes) == [("accepted", None), ("rejected", code), ("accepted", None)]


def test_a_cancelled_job_is_tried_again_and_a_forgotten_one_is_refused(
    offline: Klaviyo, alone: responses.RequestsMock
) -> None:
    alone.post(JOBS, status=202, json=job_of("queued"))
    alone.get(f"{JOBS}/J1", json=job_of("cancelled", failed=None))
    assert statuses(import_(offline, [row(1, "ana@box.example")])) == [("retry_later", "job_cancelled")]
    alone.get(f"{JOBS}/J2", status=404, json={"errors": [fault("not_found", "no job", "/data")]})
    with pytest.raises(RefusedError, match="no longer knows"):
        offline.poll_job(str(JobId(id="J2", match_key="email")))


def test_a_job_of_mode_update_knows_people_by_id_and_creates_nobody(sandbox: Sandbox, klaviyo: Klaviyo) -> None:
    [ana] = klaviyo.upsert([row(1, "job-update@box.example", first_name="Ana")], match_key="email")
    rows = [
        row(1, "job-update@box.example", city="Turin"),
        row(2, "job-nobody@box.example", city="Turin"),
        row(3, "job-renamed@box.example", ana.external_id, last_name="Li"),
    ]
    outcomes = import_(klaviyo, rows[:2], creates=False, operation=Operation.UPDATE)
    assert statuses(outcomes) == [("accepted", None), ("rejected", "not_found")]
    assert statuses(import_(klaviyo, rows[2:], creates=False)) == [("accepted", None)]
    assert statuses(import_(klaviyo, rows[1:2], creates=False)) == [("rejected", "not_found")]
    held = people(sandbox)
    assert (held["job-update@box.example"]["fields"]["last_name"], "job-renamed@box.example" in held) == ("Li", False)


def test_a_job_id_keeps_who_was_left_out_in_few_letters() -> None:
    refused = Outcome(status=Status.REJECTED, code="invalid", reason="email: no", fault="data")
    job = JobId(id="J1", match_key="email", left_out=dict.fromkeys(range(0, 10_000, 3), refused))
    assert JobId.parse(str(job)) == job
    assert len(str(job)) < 2_500


# Lists


def test_a_list_is_found_by_its_exact_name(klaviyo: Klaviyo) -> None:
    name = 'Gold "50 %" \\ Ärger, (a)'
    made = klaviyo.ensure_audience(name)
    assert klaviyo.ensure_audience(name) == made
    assert klaviyo.ensure_audience("Gold") != made


def test_of_lists_made_at_once_everybody_takes_the_oldest(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    alone.get(f"{ROOT}/lists", json={"data": []})
    alone.post(f"{ROOT}/lists", status=201, json={"data": {"id": "mine"}})
    alone.get(f"{ROOT}/lists", json={"data": [{"id": "theirs"}, {"id": "mine"}]})
    assert offline.ensure_audience("VIP") == "theirs"


def test_a_profile_that_is_gone_does_not_keep_the_others_out(klaviyo: Klaviyo) -> None:
    audience = klaviyo.ensure_audience("Some gone")
    [ana] = klaviyo.upsert([row(1, "there@box.example")], match_key="email")
    rows = [row(1, "there@box.example", ana.external_id), row(2, "gone@box.example", "01GONE")]
    rows.append(row(3, "stranger@box.example"))
    added = klaviyo.add_members(audience, rows, match_key="email")
    gone = ("rejected", "record_missing")
    assert statuses(added) == [("accepted", None), gone, gone]
    assert list(klaviyo.read_back(audience)) == ["there@box.example"]
    assert statuses(klaviyo.remove_members(audience, rows, match_key="email")) == [("accepted", None)] * 3
    assert list(klaviyo.read_back(audience)) == []


def test_who_was_merged_is_taken_out_by_the_address(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    gone = {"errors": [fault("not_found", "A profile with id OLD does not exist.", "/data/0/id")]}
    alone.delete(MEMBERS, status=404, json=gone)
    alone.get(f"{ROOT}/profiles", json={"data": [], "links": {}})
    merged = {"id": "NEW", "attributes": {"email": "Ana@box.example"}}
    alone.get(f"{ROOT}/profiles", json={"data": [merged], "links": {}})
    out = alone.delete(MEMBERS, status=204)
    rows = [row(1, "ana@box.example", "OLD")]
    assert statuses(offline.remove_members("L1", rows, match_key="email")) == [("accepted", None)]
    assert sent(out.calls[0]) == {"data": [{"type": "profile", "id": "NEW"}]}


def test_who_was_merged_is_changed_by_the_address(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    alone.patch(f"{ROOT}/profiles/OLD", status=404, json={"errors": [fault("not_found", "gone", "/data")]})
    found = {"data": [{"id": "NEW", "attributes": {"email": "ana@box.example"}}], "links": {}}
    alone.get(f"{ROOT}/profiles", json=found)
    alone.patch(f"{ROOT}/profiles/NEW", json={"data": {}})
    [outcome] = offline.update([row(1, "ana@box.example", "OLD", title="Dr")], match_key="email")
    assert (outcome.status, outcome.external_id) == (Status.ACCEPTED, "NEW")


# Erasure


def test_an_erased_person_is_gone_with_the_address_and_the_profile(sandbox: Sandbox, klaviyo: Klaviyo) -> None:
    rows = [row(1, "erase-1@box.example"), row(2, "erase-2@box.example"), row(3, "erase-never@box.example")]
    made = klaviyo.upsert(rows[:2], match_key="email")
    renamed = row(2, "erase-before@box.example", made[1].external_id)
    outcomes = klaviyo.erase([rows[0], renamed, rows[2]], match_key="email")
    assert {outcome.status for outcome in outcomes} == {Status.ACCEPTED_ASYNC}
    assert not {one.match_value for one in rows} & set(people(sandbox))


def test_one_identifier_goes_with_each_erasure(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    found = {"data": [{"id": "P1", "attributes": {"email": "ana@box.example"}}], "links": {}}
    alone.get(f"{ROOT}/profiles", json=found)
    job = alone.post(f"{ROOT}/data-privacy-deletion-jobs", status=202)
    offline.erase([row(1, "ana@box.example", "P1")], match_key="email")
    person = {"type": "profile", "attributes": {"email": "ana@box.example"}}
    assert [sent(call)["data"]["attributes"]["profile"]["data"] for call in job.calls] == [person]


# Errors of the account


@pytest.mark.parametrize(
    ("key", "error"), [("pk_wrong", AuthenticationError), ("pk_sandbox_klaviyo_read", PermissionDeniedError)]
)
def test_a_key_that_may_not_write_is_named(sandbox: Sandbox, key: str, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        connect(sandbox, key).upsert([row(1, "ana@box.example")], match_key="email")
    assert getattr(raised.value, "remedy", None)
    assert key not in str(raised.value)


def test_a_revision_that_ended_is_named(offline: Klaviyo, alone: responses.RequestsMock) -> None:
    ended = {"code": "revision_retired", "detail": "This revision was retired."}
    alone.get(f"{ROOT}/accounts", status=410, json={"errors": [ended]})
    with pytest.raises(ConfigurationError, match="retired") as raised:
        offline.probe()
    assert "revision" in str(raised.value.remedy)


def test_a_refused_person_is_told_why_without_the_address(klaviyo: Klaviyo) -> None:
    [outcome] = klaviyo.upsert([row(1, "bad@@example")], match_key="email")
    assert (outcome.status, outcome.code) == (Status.REJECTED, "invalid")
    assert "email" in str(outcome.reason)
    assert "bad@@example" not in str(outcome.reason)
