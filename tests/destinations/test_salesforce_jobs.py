"""Salesforce's jobs: files of people that are worked off only once we know the job, and what became of each row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import requests
import responses

from millstream.destinations.contract import DeliveryRow, JobProgress
from millstream.destinations.delivery import Delivery
from millstream.destinations.modes import Leaving, Operation
from millstream.destinations.preview import Look
from millstream.destinations.salesforce import Salesforce
from millstream.destinations.salesforce.fields import JsonValue
from millstream.destinations.salesforce.jobs import JobId, as_csv
from millstream.destinations.sending import jobs
from millstream.destinations.sync import Sync
from millstream.sandbox import Sandbox
from millstream.sandbox.salesforce.org import Salesforce as Organization
from millstream.state.errors import ConfigurationError, RefusedError, UnavailableError
from millstream.state.ledger.journal import Journal
from millstream.state.store import DuckDBStore
from tests.destinations.memory import Killed
from tests.destinations.salesforce_org import (
    COLLECTIONS,
    CONTACT,
    JOBS,
    OTHER,
    QUERY,
    UPSERT,
    ask,
    connect,
    described,
    fields_of,
    found,
    offline,
    people,
    row,
    sent,
    statuses,
    taken,
)

JOB = f"{JOBS}/7501"
SYSTEM = "salesforce"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=100, limits=False) as running:
        yield running


@pytest.fixture
def organization(sandbox: Sandbox) -> Organization:
    """The stand-in itself, whose jobs take no time unless a test says so."""
    made = sandbox.systems["salesforce"]
    assert isinstance(made, Organization)
    made.ingest.seconds = 0.0
    return made


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as made:
        yield made


def submit(
    salesforce: Salesforce,
    rows: Sequence[DeliveryRow],
    *,
    operation: Operation = Operation.UPDATE,
    audience_id: str | None = None,
    creates: bool = True,
) -> str:
    return salesforce.submit_job(
        operation, rows, match_key="external_id", audience_id=audience_id, creates=creates, label="plan"
    )


def done(
    salesforce: Salesforce, job_id: str, rows: Sequence[DeliveryRow], operation: Operation = Operation.UPDATE
) -> list[tuple[str, str | None]]:
    """What became of the rows of a job that takes no time."""
    for _ in range(100):
        if salesforce.poll_job(job_id).done:
            return statuses(salesforce.job_outcomes(job_id, operation, rows))
    raise AssertionError("the job does not end")


def uploaded(vendor: responses.RequestsMock) -> list[dict[str, str]]:
    (body,) = [call.request.body for call in vendor.calls if call.request.method == "PUT"]
    assert isinstance(body, bytes)
    return list(csv.DictReader(io.StringIO(body.decode())))


# What is uploaded


def test_cells_clear_keep_and_quote() -> None:
    rows: list[dict[str, JsonValue]] = [
        {"Id": "1", "Name": 'A "B", C\nD', "Vip__c": True},
        {"Id": "2", "Points__c": 1.5, "Name": None},
    ]
    assert as_csv(rows).decode() == 'Id,Name,Vip__c,Points__c\n1,"A ""B"", C\nD",true,\n2,#N/A,,1.5\n'


def test_a_file_holds_each_person_once_with_the_fields_of_the_row(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.post(JOBS, json={"id": "7501", "state": "Open"})
    vendor.put(f"{JOB}/batches", status=201)
    rows = [
        row(1, "c-1", FirstName="Old"),
        row(2, "c-2", FirstName=None, LastName="Li"),
        row(3, "C-1", FirstName="New"),
        row(4, "c-4", Vip__c="perhaps"),
    ]
    salesforce = offline(audience_as="checkbox")
    assert submit(salesforce, rows, operation=Operation.ADD, audience_id="Vip__c") == "7501:upsert:Vip__c"
    assert sent(vendor, "POST") == [
        {
            "object": "Contact",
            "contentType": "CSV",
            "lineEnding": "LF",
            "columnDelimiter": "COMMA",
            "operation": "upsert",
            "externalIdFieldName": "Customer_Id__c",
        }
    ]
    assert uploaded(vendor) == [
        {"Customer_Id__c": "C-1", "FirstName": "New", "Vip__c": "true", "LastName": ""},
        {"Customer_Id__c": "c-2", "FirstName": "#N/A", "Vip__c": "true", "LastName": "Li"},
    ]


def test_a_change_of_somebody_in_the_audience_leaves_the_checkbox_alone(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.post(JOBS, json={"id": "7501", "state": "Open"})
    vendor.put(f"{JOB}/batches", status=201)
    submit(offline(audience_as="checkbox"), [row(1, "c-1", FirstName="A")], audience_id="Vip__c")
    assert uploaded(vendor) == [{"Customer_Id__c": "c-1", "FirstName": "A"}]


def test_who_may_not_be_created_is_changed_by_record_id(vendor: responses.RequestsMock) -> None:
    described(vendor)
    vendor.get(QUERY, json=found({"Id": OTHER, "Customer_Id__c": "c-2"}))
    vendor.post(JOBS, json={"id": "7501", "state": "Open"})
    vendor.put(f"{JOB}/batches", status=201)
    rows = [row(1, "c-1", CONTACT, FirstName="A"), row(2, "c-2", FirstName="B"), row(3, "c-3", FirstName="C")]
    assert submit(offline(), rows, creates=False) == "7501:update:"
    assert sent(vendor, "POST")[0]["operation"] == "update"
    assert uploaded(vendor) == [{"Id": CONTACT, "FirstName": "A"}, {"Id": OTHER, "FirstName": "B"}]


def test_what_is_kept_of_a_job_can_be_read_again() -> None:
    for kept in (JobId(vendor_id="7501", creates=True, audience_id="A:B;C"), JobId(vendor_id="7501", creates=False)):
        assert JobId.parse(str(kept)) == kept


# Nothing runs unknown


def test_a_job_is_started_by_the_first_look(sandbox: Sandbox, organization: Organization) -> None:
    organization.ingest.seconds = 3600
    salesforce = connect(sandbox)
    rows = [row(1, "started-1", LastName="Li")]
    job_id = submit(salesforce, rows)
    assert state_of(sandbox, job_id) == "Open"
    for _ in range(2):
        assert salesforce.poll_job(job_id) == JobProgress(done=False)
        assert state_of(sandbox, job_id) in ("UploadComplete", "InProgress")


@pytest.mark.parametrize("creates", [True, False])
def test_a_text_that_would_clear_in_a_file_is_written(
    sandbox: Sandbox, organization: Organization, creates: bool
) -> None:
    salesforce = connect(sandbox)
    rows = [row(number, f"na-{creates}-{number}", FirstName="Ann", LastName="Li") for number in (1, 2)]
    salesforce.upsert(rows, match_key="external_id")
    rows = [row(1, rows[0].match_value, FirstName="#N/A"), row(2, rows[1].match_value, FirstName="Bea")]
    job_id = submit(salesforce, rows, creates=creates)
    assert done(salesforce, job_id, rows) == [("accepted", None)] * 2
    names = {one["match"]["external_id"]: one["fields"].get("FirstName") for one in people(sandbox).values()}
    assert [names[one.match_value] for one in rows] == ["#N/A", "Bea"]


def state_of(sandbox: Sandbox, job_id: str) -> str:
    return str(ask(sandbox, "GET", f"jobs/ingest/{JobId.parse(job_id).vendor_id}", None)["state"])


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_upload_whose_answer_is_lost_is_given_up_before_it_runs(
    sandbox: Sandbox, organization: Organization, faults: Any, when: str
) -> None:
    salesforce = connect(sandbox)
    rows = [row(1, f"lost-{when}", LastName="Li")]
    faults(kind="reset", when=when, method="PUT", times=1)
    with pytest.raises(UnavailableError, match="not started"):
        submit(salesforce, rows)
    assert ask(sandbox, "GET", "jobs/ingest", None)["records"][-1]["state"] == "Aborted"
    assert done(salesforce, submit(salesforce, rows), rows) == [("accepted", None)]
    assert len([one for one in people(sandbox).values() if one["match"]["external_id"] == f"lost-{when}"]) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_start_whose_answer_is_lost_starts_the_job_once(
    sandbox: Sandbox, organization: Organization, faults: Any, when: str
) -> None:
    salesforce = connect(sandbox)
    rows = [row(1, f"begun-{when}", LastName="Li")]
    job_id = submit(salesforce, rows)
    faults(kind="reset", when=when, method="PATCH", path="/jobs/ingest", times=1)
    assert done(salesforce, job_id, rows) == [("accepted", None)]


def test_a_job_that_salesforce_forgot_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(RefusedError, match="no longer knows"):
        connect(sandbox).poll_job("7505g0000000zzzAAA:upsert:")


def test_a_field_that_is_not_there_stops_before_the_job(sandbox: Sandbox) -> None:
    salesforce = connect(sandbox)
    with pytest.raises(ConfigurationError, match="Shoe__c"):
        submit(salesforce, [row(1, "c-1", Shoe__c="43")])
    assert salesforce.calls == 1


# Outcomes


def test_each_row_gets_its_own_outcome(sandbox: Sandbox, organization: Organization) -> None:
    salesforce = connect(sandbox, placeholder="[unknown]")
    salesforce.upsert([row(1, "job-known", LastName="Li", FirstName="Old")], match_key="external_id")
    rows = [
        row(1, "job-known", FirstName="Ana", Vip__c=True),
        row(2, "job-new", LastName="Bo"),
        row(3, "job-bad", LastName="Bo", Email="bad@@example"),
        row(4, "job-nameless", FirstName="Cem"),
        row(5, "JOB-NEW ", LastName="Lee"),
        row(6, "job-odd", Vip__c="perhaps"),
    ]
    job_id = submit(salesforce, rows)
    expected = [
        ("accepted", None),
        ("accepted", None),
        ("rejected", "invalid_email_address"),
        ("accepted", None),
        ("accepted", None),
        ("rejected", "invalid_value"),
    ]
    assert done(salesforce, job_id, rows) == expected == done(connect(sandbox, placeholder="?"), job_id, rows)
    assert fields_of(sandbox, "job-known")["LastName"] == "Li"
    assert fields_of(sandbox, "job-nameless")["LastName"] == "[unknown]"
    assert fields_of(sandbox, "JOB-NEW")["LastName"] == "Lee"
    ids = {one["match"]["external_id"]: key for key, one in people(sandbox).items()}
    assert salesforce.job_outcomes(job_id, Operation.UPDATE, rows)[0].external_id == ids["job-known"]


def test_a_job_of_the_mode_update_creates_nobody(sandbox: Sandbox, organization: Organization) -> None:
    salesforce = connect(sandbox)
    (made,) = salesforce.upsert([row(1, "updated-1", LastName="Li")], match_key="external_id")
    before = len(people(sandbox))
    rows = [row(1, "updated-1", made.external_id, FirstName="Ana"), row(2, "nobody-1", LastName="Li")]
    job_id = submit(salesforce, rows, creates=False)
    assert done(salesforce, job_id, rows) == [("accepted", None), ("rejected", "not_found")]
    assert len(people(sandbox)) == before


def ended(vendor: responses.RequestsMock, good: str, failed: str | None = None, **job: Any) -> None:
    """A job that has ended, with its results."""
    facts = {"id": "7501", "state": "JobComplete", "numberRecordsFailed": int(failed is not None)}
    vendor.get(JOB, json={**facts, **job})
    vendor.get(f"{JOB}/successfulResults", body=good, content_type="text/csv")
    if failed is not None:
        vendor.get(f"{JOB}/failedResults", body=failed, content_type="text/csv")


GOOD = '"sf__Id","sf__Created","Customer_Id__c"\n'
FAILED = '"sf__Id","sf__Error","Customer_Id__c"\n'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("UNABLE_TO_LOCK_ROW:unable to obtain exclusive access:--", ("retry_later", "unable_to_lock_row")),
        ("INVALID_EMAIL_ADDRESS:Email: invalid: c-2:Email --", ("rejected", "invalid_email_address")),
        ("REQUIRED_FIELD_MISSING:missing: [LastName, X__c]:LastName X__c --", ("rejected", "required_field_missing")),
        ("InternalError", ("rejected", "refused")),
    ],
)
def test_an_error_of_a_job_is_read(
    vendor: responses.RequestsMock, error: str, expected: tuple[str, str | None]
) -> None:
    described(vendor)
    ended(vendor, f'{GOOD}"{OTHER}","false","c-1"\n', f'{FAILED}"","{error}","c-2"\n')
    rows = [row(1, "c-1", FirstName="A"), row(2, "c-2", FirstName="B"), row(3, "c-3", FirstName="C")]
    outcomes = offline().job_outcomes("7501:upsert:", Operation.UPDATE, rows)
    assert statuses(outcomes) == [("accepted", None), expected, ("retry_later", "not_in_results")]
    assert "c-2" not in str(outcomes[1].reason)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"state": "Aborted"}, ("retry_later", "job_failed")),
        ({"state": "Failed", "errorMessage": "TooManyRetries"}, ("retry_later", "job_failed")),
        (
            {"state": "Failed", "errorMessage": "InvalidBatch : Field name not found : X__c"},
            ("rejected", "invalid_batch"),
        ),
    ],
    ids=["aborted", "gave up", "not read"],
)
def test_rows_that_a_job_did_not_come_to(
    vendor: responses.RequestsMock, job: dict[str, Any], expected: tuple[str, str]
) -> None:
    described(vendor)
    ended(vendor, f'{GOOD}"{OTHER}","false","C-1"\n', **job)
    rows = [row(1, "c-1", FirstName="A"), row(2, "c-2", FirstName="B")]
    salesforce = offline()
    assert salesforce.poll_job("7501:upsert:").done
    outcomes = salesforce.job_outcomes("7501:upsert:", Operation.UPDATE, rows)
    assert statuses(outcomes) == [("accepted", None), expected]


def test_a_job_that_gives_up_leaves_the_rest_for_later(sandbox: Sandbox, organization: Organization) -> None:
    salesforce = connect(sandbox)
    rows = [row(number, f"half-{number}", LastName="Li") for number in range(10)]
    organization.ingest.fails_after = 4
    try:
        outcomes = done(salesforce, submit(salesforce, rows), rows)
    finally:
        organization.ingest.fails_after = None
    assert outcomes == [("accepted", None)] * 4 + [("retry_later", "job_failed")] * 6


# Audiences


def test_who_is_added_by_a_job_goes_into_the_campaign_when_it_has_ended(
    sandbox: Sandbox, organization: Organization
) -> None:
    salesforce = connect(sandbox)
    campaign = salesforce.ensure_audience("By job")
    rows = [row(number, f"member-{number}", LastName="Li") for number in range(250)]
    rows.append(row(250, "member-bad", LastName="Li", Email="bad@@"))
    job_id = submit(salesforce, rows, operation=Operation.ADD, audience_id=campaign)
    for _ in range(2):
        outcomes = done(connect(sandbox), job_id, rows, Operation.ADD)
        assert outcomes == [("accepted", None)] * 250 + [("rejected", "invalid_email_address")]
    assert set(salesforce.read_back(campaign)) == {f"member-{number}" for number in range(250)}


def test_a_picklist_keeps_its_other_values_in_a_job(sandbox: Sandbox, organization: Organization) -> None:
    salesforce = connect(sandbox, audience_as="picklist", picklist_field="Audiences__c")
    salesforce.upsert([row(1, "pick-1", LastName="Li", Audiences__c="Newsletter")], match_key="external_id")
    rows = [row(1, "pick-1", FirstName="Ana"), row(2, "pick-2", LastName="Bo")]
    job_id = submit(salesforce, rows, operation=Operation.ADD, audience_id="VIP")
    assert done(salesforce, job_id, rows, Operation.ADD) == [("accepted", None)] * 2
    assert set(fields_of(sandbox, "pick-1")["Audiences__c"].split(";")) == {"VIP", "Newsletter"}
    assert fields_of(sandbox, "pick-2")["Audiences__c"] == "VIP"


def test_somebody_nameless_is_ticked_too(vendor: responses.RequestsMock) -> None:
    described(vendor)
    ended(vendor, GOOD, f'{FAILED}"","REQUIRED_FIELD_MISSING:missing: [LastName]:LastName --","c-1"\n')
    missing = {"statusCode": "REQUIRED_FIELD_MISSING", "message": "missing", "fields": ["LastName"]}
    vendor.patch(UPSERT, json=[{"success": False, "errors": [missing]}])
    vendor.patch(UPSERT, json=[taken()])
    salesforce = offline(audience_as="checkbox", placeholder="[unknown]")
    outcomes = salesforce.job_outcomes("7501:upsert:Vip__c", Operation.ADD, [row(1, "c-1", FirstName="A")])
    assert statuses(outcomes) == [("accepted", None)]
    body = sent(vendor, "PATCH")[1]["records"][0]
    assert (body["LastName"], body["Vip__c"]) == ("[unknown]", True)


@pytest.mark.parametrize(
    ("facts", "operation", "leaving", "expected"),
    [
        ({}, Operation.ADD, Leaving.LEAVE_AUDIENCE, 7 + 10),
        ({"audience_as": "checkbox"}, Operation.ADD, Leaving.LEAVE_AUDIENCE, 7),
        ({"audience_as": "picklist", "picklist_field": "A__c"}, Operation.ADD, Leaving.LEAVE_AUDIENCE, 7 + 20),
        ({}, Operation.UPDATE, Leaving.LEAVE_AUDIENCE, 7),
        ({}, Operation.REMOVE, Leaving.LEAVE_AUDIENCE, 20),
        ({}, Operation.REMOVE, Leaving.DELETE, 40),
        ({"audience_as": "checkbox"}, Operation.REMOVE, Leaving.CLEAR_FIELDS, 20),
    ],
)
def test_what_two_thousand_people_cost(
    facts: dict[str, object], operation: Operation, leaving: Leaving, expected: int
) -> None:
    assert offline(**facts).requests_for(operation, 2_000, in_audience=True, leaving=leaving) == expected


# A whole sync


def made_by(connector: type[Salesforce], sandbox: Sandbox) -> Any:
    """Makes the connector, as delivery wants it."""
    return lambda: connector(connect(sandbox).settings)


def a_sync(sandbox: Sandbox, folder: Path, **changes: object) -> Delivery:
    facts = {
        "destination": "salesforce",
        "table": "crm.wanted",
        "mode": "mirror",
        "into": "Whole",
        "match": {"external_id": "customer_id"},
        "consent": "not_needed",
        "fields": {"LastName": {"column": "name", "required": True}, "FirstName": "first"},
        "guards": {"largest_removal_share": 1.0},
    }
    return Delivery(
        name="sync",
        sync=Sync.model_validate({**facts, **changes}),
        destination=made_by(Salesforce, sandbox),
        store=DuckDBStore(folder / "store.duckdb"),
        journal=Journal("sqlite:///journal.sqlite", root=folder),
        plans=folder / "plans",
    )


def want(delivery: Delivery, first: str, *, people: int = 40) -> None:
    with delivery.store.open() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS crm")
        connection.execute(
            "CREATE OR REPLACE TABLE crm.wanted AS SELECT 'whole-' || i AS customer_id, 'Li' AS name, "
            f"'{first}' AS first FROM range({people}) AS numbers(i)"
        )


class Mortal(Salesforce):
    """Dies between the answer to a submission and the journal."""

    def submit_job(self, *given: Any, **facts: Any) -> str:
        super().submit_job(*given, **facts)
        raise Killed


def test_a_sync_by_jobs_keeps_a_campaign_in_step_and_survives_a_death(
    sandbox: Sandbox, organization: Organization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(Salesforce, "job_from", 10)
    delivery = a_sync(sandbox, tmp_path)
    want(delivery, "Old")
    # What was uploaded by a run that died never runs, and so cannot overtake what comes after it.
    delivery.destination = made_by(Mortal, sandbox)
    with pytest.raises(Killed):
        delivery.activate("run 1")
    want(delivery, "New")
    delivery.destination = made_by(Salesforce, sandbox)
    report = delivery.activate("run 2")
    assert (report.status, report.accepted, report.rejected) == ("completed", 40, 0)
    campaign = connect(sandbox).ensure_audience("Whole")
    assert set(connect(sandbox).read_back(campaign)) == {f"whole-{number}" for number in range(40)}
    assert {one["fields"]["FirstName"] for one in whole(sandbox)} == {"New"}
    want(delivery, "Newer", people=30)
    preview = delivery.plan("look", Look(requests=True))
    assert preview.forecast is not None
    assert preview.forecast.requests == 7 + 2
    report = delivery.activate("run 3")
    assert (report.status, report.accepted) == ("completed", 40)
    assert len(set(connect(sandbox).read_back(campaign))) == 30
    report = delivery.activate("run 4")
    assert report.planned is not None
    assert report.planned.operations == 0
    delivery.journal.close()


def whole(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [one for one in people(sandbox).values() if str(one["match"]["external_id"]).startswith("whole-")]


def test_who_leaves_can_be_deleted(sandbox: Sandbox, tmp_path: Path) -> None:
    delivery = a_sync(sandbox, tmp_path, on_leave="delete")
    want(delivery, "Ana", people=12)
    assert delivery.activate("run 1").accepted == 12
    want(delivery, "Ana", people=10)
    assert delivery.activate("run 2").accepted == 2
    deleted = {one["match"]["external_id"] for one in whole(sandbox) if one["standing"] == "deleted"}
    assert deleted == {"whole-10", "whole-11"}
    delivery.journal.close()


def test_bodies_are_those_of_the_snapshot(vendor: responses.RequestsMock) -> None:
    """Requests for one small sync, each as it went over the wire."""
    described(vendor)
    vendor.patch(UPSERT, json=[taken(), taken(OTHER)])
    vendor.post(COLLECTIONS, json=[taken("00v1"), taken("00v2")])
    vendor.get(QUERY, json=found({"Id": "00v1", "ContactId": CONTACT}))
    vendor.delete(COLLECTIONS, json=[taken("00v1")])
    salesforce = offline()
    rows = [row(1, "c-1", LastName="Li"), row(2, "c-2", LastName="Bo", FirstName=None)]
    outcomes = salesforce.upsert(rows, match_key="external_id")
    members = [row(one.number, one.match_value, out.external_id) for one, out in zip(rows, outcomes, strict=True)]
    salesforce.add_members("7011", members, match_key="external_id")
    salesforce.remove_members("7011", members[:1], match_key="external_id")
    seen = [
        (call.request.method, call.request.path_url.removeprefix("/services/data/v66.0"), body_of(call.request))
        for call in vendor.calls
    ]
    contact, member = {"attributes": {"type": "Contact"}}, {"attributes": {"type": "CampaignMember"}}
    upserted = [
        {**contact, "Customer_Id__c": "c-1", "LastName": "Li"},
        {**contact, "Customer_Id__c": "c-2", "LastName": "Bo", "FirstName": None},
    ]
    enrolled = [{**member, "CampaignId": "7011", "ContactId": one} for one in (CONTACT, OTHER)]
    asked = f"SELECT Id, ContactId FROM CampaignMember WHERE CampaignId = '7011' AND ContactId IN ('{CONTACT}')"
    assert seen == [
        ("GET", "/sobjects/Contact/describe", None),
        ("PATCH", "/composite/sobjects/Contact/Customer_Id__c", {"allOrNone": False, "records": upserted}),
        ("POST", "/composite/sobjects", {"allOrNone": False, "records": enrolled}),
        ("GET", f"/query?{requests.models.RequestEncodingMixin._encode_params({'q': asked})}", None),  # type: ignore[attr-defined]
        ("DELETE", "/composite/sobjects?ids=00v1&allOrNone=false", None),
    ]


def body_of(request: Any) -> object:
    return orjson.loads(request.body) if request.body else None
