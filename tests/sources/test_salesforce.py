"""Salesforce: odd answers by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
import responses
from pydantic import SecretStr, ValidationError

from millstream.sources.salesforce import SalesforceSettings, reading
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RefusedError,
    SchemaError,
)
from tests.sources.loading import pull_of, read
from tests.sources.salesforce_org import (
    CONTACT,
    DATA,
    OPPORTUNITY,
    ROLE,
    ROOT,
    TYPES,
    a_job,
    a_record,
    described,
    page,
    queries,
    refused,
    results,
    salesforce,
)

CONTACTS = f"{DATA}/sobjects/Contact/describe"
QUERY = f"{DATA}/queryAll"
JOBS = f"{DATA}/jobs/query"


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.get(CONTACTS, json=described(CONTACT))
        yield mock


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["id"][3:15]) for row in rows]


class TestQueries:
    def test_pages_are_followed_and_the_place_is_the_last_change(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1), a_record(2), total=3, more="01g-2"))
        vendor.get(f"{DATA}/query/01g-2", json=page(a_record(3), total=3))
        state: dict[str, Any] = {}
        assert ids(read(pull_of(salesforce(), "contacts", state=state))) == [1, 2, 3]
        assert state["reached"] == "2026-01-03T11:00:03+00:00"
        [soql] = queries(vendor)
        assert soql.endswith(" FROM Contact ORDER BY SystemModstamp, Id")

    def test_the_next_pull_asks_for_what_changed_since_less_the_lookback(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page())
        state = {"reached": "2026-01-03T11:00:03+00:00"}
        read(pull_of(salesforce(), "contacts", state=state, pulled_at=datetime(2026, 1, 4, tzinfo=UTC)))
        assert "WHERE SystemModstamp >= 2026-01-03T10:50:03Z ORDER" in queries(vendor)[0]
        assert state["reached"] == "2026-01-03T11:00:03+00:00"

    def test_a_backfill_has_both_ends_and_keeps_no_place(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1)))
        pull = pull_of(
            salesforce(),
            "contacts",
            since=datetime(2026, 1, 1, tzinfo=UTC),
            until=datetime(2026, 1, 8, 0, 0, 0, 5, tzinfo=UTC),
        )
        assert ids(read(pull)) == [1]
        assert (
            "WHERE SystemModstamp >= 2026-01-01T00:00:00Z AND SystemModstamp < 2026-01-08T00:00:01Z"
            in queries(vendor)[0]
        )
        assert pull.state == {}

    def test_the_first_pull_may_start_at_a_day(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page())
        read(pull_of(salesforce(start_date=date(2026, 1, 1)), "contacts"))
        assert "WHERE SystemModstamp >= 2026-01-01T00:00:00Z" in queries(vendor)[0]

    def test_a_lost_place_between_pages_is_found_again_by_time(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1), a_record(2), total=3, more="01g-2"))
        vendor.get(f"{DATA}/query/01g-2", status=400, json=refused("INVALID_QUERY_LOCATOR"))
        vendor.get(QUERY, json=page(a_record(2), a_record(3)))
        assert ids(read(pull_of(salesforce(), "contacts"))) == [1, 2, 2, 3]
        assert "SystemModstamp >= 2026-01-03T11:00:02Z" in queries(vendor)[-1]

    def test_fewer_records_than_announced_fail(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1), total=2))
        with pytest.raises(IncompleteError, match="announced 2 records of Contact and gave 1"):
            read(pull_of(salesforce(), "contacts"))

    def test_a_record_without_its_time_is_noticed(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page({"Id": "003000000000001AAA"}))
        with pytest.raises(SchemaError, match="SystemModstamp"):
            read(pull_of(salesforce(), "contacts"))

    def test_only_fields_that_the_user_may_see_are_asked_for(self, vendor: Any) -> None:
        seen = {name: kind for name, kind in CONTACT.items() if name != "HasOptedOutOfEmail"}
        vendor.replace(responses.GET, CONTACTS, json=described(seen))
        vendor.get(QUERY, json=page(a_record(1, seen)))
        pull = pull_of(salesforce(fields={"Contact": {"kept": ["Shoe_Size__c"]}}), "contacts")
        [row] = read(pull)
        assert row["email_opted_out"] is None
        assert "HasOptedOutOfEmail" not in queries(vendor)[0]
        assert "MailingAddress" not in queries(vendor)[0]
        assert "HasOptedOutOfEmail, Shoe_Size__c of Contact" in pull.warnings[0]


class TestBulkJobs:
    def test_many_rows_are_exported_and_the_place_is_when_the_job_began(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1), total=3, more="01g-1"))
        vendor.post(JOBS, json=a_job(1, "UploadComplete"))
        vendor.get(f"{JOBS}/7501", json=a_job(1, "InProgress"))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=3))
        results(vendor, 1, [a_record(3), a_record(1, Email="ada@box.example")], then="MTA")
        results(vendor, 1, [a_record(2, HasOptedOutOfEmail=True)])
        state: dict[str, Any] = {}
        rows = read(pull_of(salesforce(bulk_from_rows=2), "contacts", state=state))
        assert ids(rows) == [3, 1, 2]
        assert [row["email"] for row in rows] == [None, "ada@box.example", None]
        assert (state["reached"], "job" in state) == ("2026-01-03T12:00:00+00:00", False)
        order = orjson.loads(next(call.request.body for call in vendor.calls if call.request.method == "POST"))
        assert (order["operation"], order["contentType"]) == ("queryAll", "CSV")
        assert "ORDER BY" not in order["query"]
        asked = [call.request for call in vendor.calls if "/results" in call.request.url]
        assert [one.headers["Accept"] for one in asked] == ["text/csv"] * 2
        assert ["locator=MTA" in one.url for one in asked] == [False, True]

    def test_the_job_is_noted_before_it_is_looked_at(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1, "UploadComplete"))
        source, state = salesforce(bulk_from_rows=0), dict[str, Any]()
        pull = pull_of(source, "contacts", state=state)
        assert pull.stream.read is not None
        assert next(iter(pull.stream.read(pull))) == []
        assert pull.wants_load
        assert state["job"]["id"] == "7501"
        assert not [call for call in vendor.calls if call.request.url.endswith("7501")]

    def test_a_later_pull_goes_on_with_the_same_job(self, vendor: Any) -> None:
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=5))
        results(vendor, 1, [a_record(2)])
        fields = [one for one in _asked_fields() if one in CONTACT]
        job = {"id": "7501", "at": "2026-01-03T12:00:00+00:00", "fields": fields, "rows": 4, "locator": "MTA"}
        state: dict[str, Any] = {"job": job}
        assert ids(read(pull_of(salesforce(), "contacts", state=state))) == [2]
        assert (state["reached"], "job" in state) == ("2026-01-03T12:00:00+00:00", False)

    def test_a_job_with_other_fields_is_left_alone(self, vendor: Any) -> None:
        vendor.get(QUERY, json=page(a_record(1)))
        state: dict[str, Any] = {"job": {"id": "7501", "at": "", "fields": ["Id"], "rows": 0}}
        assert ids(read(pull_of(salesforce(), "contacts", state=state))) == [1]
        assert "job" not in state

    def test_a_job_that_is_gone_gives_way_to_a_new_one(self, vendor: Any) -> None:
        vendor.get(f"{JOBS}/7501", status=404, json=refused("NOT_FOUND"))
        vendor.get(QUERY, json=page(a_record(1)))
        fields = [one for one in _asked_fields() if one in CONTACT]
        state: dict[str, Any] = {"job": {"id": "7501", "at": "", "fields": fields, "rows": 0}}
        pull = pull_of(salesforce(), "contacts", state=state)
        assert ids(read(pull)) == [1]
        assert "no longer has the bulk job" in pull.warnings[0]

    @pytest.mark.parametrize(
        ("job", "words"),
        [
            (a_job(1, "Failed", errorMessage="InvalidBatch"), "Failed: InvalidBatch"),
            (a_job(1, "Aborted"), "Aborted"),
            (a_job(1, rows=9), "announced 9 rows and gave 1"),
        ],
    )
    def test_a_job_that_failed_is_told_and_forgotten(self, vendor: Any, job: dict[str, Any], words: str) -> None:
        vendor.post(JOBS, json=a_job(1, "UploadComplete"))
        vendor.get(f"{JOBS}/7501", json=job)
        results(vendor, 1, [a_record(1)])
        state: dict[str, Any] = {}
        with pytest.raises(IncompleteError, match=words):
            read(pull_of(salesforce(bulk_from_rows=0), "contacts", state=state))
        assert state == {}

    def test_a_job_that_takes_too_long_is_kept_for_the_next_pull(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1, "UploadComplete"))
        vendor.get(f"{JOBS}/7501", json=a_job(1, "InProgress"))
        state: dict[str, Any] = {}
        with pytest.raises(IncompleteError, match="the same job"):
            read(pull_of(salesforce(bulk_from_rows=0, bulk_patience_minutes=0.005), "contacts", state=state))
        assert state["job"]["id"] == "7501"

    def test_something_else_than_csv_is_named(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=1))
        vendor.get(f"{JOBS}/7501/results", body="<html>", content_type="text/html")
        with pytest.raises(MalformedAnswerError, match="no CSV but text/html"):
            read(pull_of(salesforce(bulk_from_rows=0), "contacts"))

    def test_a_result_that_does_not_say_so_is_utf_8_all_the_same(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=1))
        body = (
            "Id,LastName,CreatedDate,SystemModstamp\n1,Müller-Łoś,2026-01-01T00:00:00.000Z,2026-01-01T00:00:00.000Z\n"
        )
        headers = {"Sforce-Locator": "null", "Content-Type": "text/csv"}
        vendor.add_callback("GET", f"{JOBS}/7501/results", lambda _: (200, headers, body.encode()), content_type=None)
        assert [row["last_name"] for row in read(pull_of(salesforce(bulk_from_rows=0), "contacts"))] == ["Müller-Łoś"]

    def test_a_result_in_no_readable_encoding_is_named(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=1))
        vendor.get(f"{JOBS}/7501/results", body=b"Id\nM\xfcller\n", content_type="text/csv")
        with pytest.raises(MalformedAnswerError, match="not in UTF-8"):
            read(pull_of(salesforce(bulk_from_rows=0), "contacts"))

    def test_a_job_tells_how_far_its_result_has_been_read(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=4))
        results(vendor, 1, [a_record(1), a_record(2)], then="next")
        pull = pull_of(salesforce(bulk_from_rows=0), "contacts")
        assert pull.stream.read is not None
        pages = iter(pull.stream.read(pull))
        left = pull.forecast(len(next(pages)) + len(next(pages)))
        assert "2 of 4 rows read" in str(left)

    def test_a_result_that_is_cut_short_is_noticed(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=2))
        headers = {"Sforce-Locator": "null", "Sforce-NumberOfRecords": "2"}
        vendor.get(f"{JOBS}/7501/results", body='"Id"\n"1"\n', content_type="text/csv", headers=headers)
        state: dict[str, Any] = {}
        with pytest.raises(IncompleteError, match="1 rows and not 2"):
            read(pull_of(salesforce(bulk_from_rows=0), "contacts", state=state))
        assert state["job"]["rows"] == 0

    @pytest.mark.parametrize("code", ["QUERY_TIMEOUT", "OPERATION_TOO_LARGE"])
    def test_a_query_that_is_too_much_for_rest_becomes_a_job(self, vendor: Any, code: str) -> None:
        vendor.get(QUERY, status=400, json=refused(code))
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=1))
        results(vendor, 1, [a_record(1)])
        assert ids(read(pull_of(salesforce(), "contacts"))) == [1]

    def test_a_query_too_long_for_an_address_becomes_a_job(self, vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reading, "LONGEST_QUERY", 50)
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=1))
        results(vendor, 1, [a_record(1)])
        assert ids(read(pull_of(salesforce(), "contacts"))) == [1]
        assert queries(vendor) == []


def _asked_fields() -> list[str]:
    from millstream.sources.salesforce.people import contacts

    return [one.name for one in contacts(salesforce().settings).fields]


class TestRecords:
    def test_a_merged_contact_leads_to_the_one_that_stayed_and_its_values_count_as_old(self, vendor: Any) -> None:
        loser = a_record(1, IsDeleted=True, MasterRecordId="003000000000002AAA", HasOptedOutOfEmail=True)
        vendor.get(QUERY, json=page(loser, a_record(2), a_record(3, IsDeleted=True)))
        merged, kept, deleted = read(pull_of(salesforce(), "contacts"))
        assert (merged["gone"], merged["master_id"]) == (False, "003000000000002AAA")
        assert merged["described_at"] == loser["CreatedDate"]
        assert (kept["gone"], kept["described_at"]) == (False, "2026-01-03T11:00:02.000+0000")
        assert deleted["gone"] is True

    def test_an_opportunity_is_of_its_primary_contact(self, vendor: Any) -> None:
        vendor.get(f"{DATA}/sobjects/OpportunityContactRole/describe", json=described(ROLE))
        vendor.get(f"{DATA}/sobjects/Opportunity/describe", json=described(OPPORTUNITY))
        roles = [
            a_record(number, ROLE, OpportunityId=opportunity, ContactId=f"c{number}", IsPrimary=primary, **more)
            for number, opportunity, primary, more in (
                (1, "won", False, {}),
                (2, "won", True, {}),
                (3, "lost", True, {"IsDeleted": True}),
            )
        ]
        source = salesforce(default_currency="EUR")
        vendor.get(QUERY, json=page(*roles))
        read(pull_of(source, "opportunity_contact_roles"))
        closed = {"IsClosed": True, "CloseDate": "2026-01-03", "Amount": 12.5}
        vendor.get(
            QUERY,
            json=page(
                a_record(1, OPPORTUNITY, Id="won", IsWon=True, **closed),
                a_record(2, OPPORTUNITY, Id="lost", **closed),
                a_record(3, OPPORTUNITY, Id="open"),
                a_record(4, OPPORTUNITY, Id="deleted", IsDeleted=True),
            ),
        )
        rows = {row["id"]: row for row in read(pull_of(source, "opportunities"))}
        assert {name: row["outcome"] for name, row in rows.items()} == {name: name for name in rows}
        assert rows["won"]["contact_id"] == "c2"
        assert rows["lost"]["contact_id"] is None
        assert rows["won"]["currency"] == "EUR"

    def test_an_opportunity_comes_again_when_only_its_contact_changed(self, vendor: Any) -> None:
        vendor.get(f"{DATA}/sobjects/OpportunityContactRole/describe", json=described(ROLE))
        vendor.get(f"{DATA}/sobjects/Opportunity/describe", json=described(OPPORTUNITY))
        vendor.get(QUERY, json=page(a_record(1, ROLE, OpportunityId="old", ContactId="c1", IsPrimary=True)))
        vendor.get(QUERY, json=page(a_record(2, OPPORTUNITY, Id="new")))
        vendor.get(QUERY, json=page(a_record(1, OPPORTUNITY, Id="old")))
        state = {"reached": "2026-01-03T11:00:00+00:00"}
        rows = read(pull_of(salesforce(), "opportunities", state=state))
        assert {row["id"]: row["contact_id"] for row in rows} == {"new": None, "old": "c1"}
        assert queries(vendor)[-1].endswith("FROM Opportunity WHERE Id IN ('old')")

    def test_a_task_tells_contacts_from_leads_and_what_was_done(self, vendor: Any) -> None:
        types = TYPES | {"WhoId": "reference", "IsClosed": "boolean", "TaskSubtype": "picklist", "ActivityDate": "date"}
        vendor.get(f"{DATA}/sobjects/Task/describe", json=described(types))
        vendor.get(
            QUERY,
            json=page(
                a_record(1, types, WhoId="003A", IsClosed=True, TaskSubtype="Call", ActivityDate="2026-01-01"),
                a_record(2, types, WhoId="00QA", IsClosed=True),
                a_record(3, types, WhoId=None, ActivityDate="2027-01-01"),
            ),
        )
        call, done, planned = read(pull_of(salesforce(), "tasks"))
        assert (call["contact_id"], call["lead_id"], call["interaction"]) == ("003A", None, "call")
        assert call["done_at"] == "2026-01-01"
        assert (done["contact_id"], done["lead_id"], done["interaction"]) == (None, "00QA", "task")
        assert (planned["interaction"], planned["done_at"]) == (None, None)

    def test_another_object_comes_with_all_its_fields_as_typed_as_they_are(self, vendor: Any) -> None:
        types = TYPES | {"Total__c": "currency", "Contact__c": "reference", "Where__c": "location", "Placed__c": "date"}
        vendor.get(f"{DATA}/sobjects/Order__c/describe", json=described(types))
        vendor.get(
            QUERY,
            json=page(
                a_record(1, types, Total__c=12, Contact__c="003A", Placed__c="2026-01-02"),
                a_record(2, types, IsDeleted=True),
            ),
        )
        people = {
            "record": "subject",
            "identifiers": {"Contact__c": "salesforce_contact_id"},
            "events": [{"name": "Order Completed", "at": "Placed__c", "value": "Total__c"}],
        }
        source = salesforce(objects={"Order__c": {"people": people}})
        pull = pull_of(source, "order_c")
        assert pull.stream.read is not None
        [table] = pull.stream.read(pull)
        assert isinstance(table, pa.Table)
        assert table.schema.field("total_c").type == pa.float64()
        assert table.schema.field("placed_c").type == pa.timestamp("us", tz="UTC")
        assert table["contact_c"].to_pylist() == ["003A", None]
        assert table["_deleted"].to_pylist() == [False, True]
        assert "where_c" not in table.column_names
        assert pull.stream.people is not None
        assert pull.stream.people.deleted == "_deleted"

    def test_values_of_another_object_that_do_not_fit_are_told(self, vendor: Any) -> None:
        types = TYPES | {"Contact__c": "reference", "Placed__c": "string"}
        vendor.get(f"{DATA}/sobjects/Order__c/describe", json=described(types))
        placed = ("2026-01-02", "next week", None)
        rows = [a_record(number, types, Placed__c=at) for number, at in enumerate(placed)]
        vendor.get(QUERY, json=page(*rows))
        people = {
            "record": "subject",
            "identifiers": {"Contact__c": "salesforce_contact_id"},
            "events": [{"name": "Order Completed", "at": "Placed__c"}],
        }
        pull = pull_of(salesforce(objects={"Order__c": {"people": people}}), "order_c")
        assert pull.stream.read is not None
        [table] = pull.stream.read(pull)
        assert isinstance(table, pa.Table)
        assert table["placed_c"].null_count == 2
        assert pull.warnings == [
            "1 values of Placed__c (no timestamp) of Order__c were left empty: name another field, or another type."
        ]

    def test_fields_of_another_object_that_are_not_there_are_told(self, vendor: Any) -> None:
        vendor.get(f"{DATA}/sobjects/Order__c/describe", json=described(TYPES | {"Total__c": "currency"}))
        vendor.get(QUERY, json=page(a_record(1, TYPES, Total__c=1)))
        people = {"record": "subject", "identifiers": {"Contact__c": "salesforce_contact_id"}}
        source = salesforce(objects={"Order__c": {"fields": ["Total__c", "Paid__c"], "people": people}})
        pull = pull_of(source, "order_c")
        assert pull.stream.read is not None
        [table] = pull.stream.read(pull)
        assert isinstance(table, pa.Table)
        assert "total_c" in table.column_names
        assert "Paid__c, contact_c of Order__c" in pull.warnings[0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "code", "words", "kind"),
        [
            (401, "INVALID_SESSION_ID", "Session expired", AuthenticationError),
            (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.", QuotaExhaustedError),
            (403, "API_DISABLED_FOR_ORG", "API is not enabled", PermissionDeniedError),
            (400, "INVALID_TYPE", "sObject type 'Contact' is not supported", PermissionDeniedError),
            (400, "INVALID_FIELD", "No such column", RefusedError),
        ],
    )
    def test_codes_say_what_to_do(self, vendor: Any, status: int, code: str, words: str, kind: type[Exception]) -> None:
        vendor.get(QUERY, status=status, json=refused(code, words))
        with pytest.raises(kind, match=words) as caught:
            read(pull_of(salesforce(), "contacts"))
        assert kind is RefusedError or "What to do" in str(caught.value)

    @pytest.mark.parametrize(
        ("status", "body"),
        [(406, []), (403, refused("REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit"))],
    )
    def test_passing_troubles_are_tried_again(self, vendor: Any, status: int, body: Any) -> None:
        vendor.get(QUERY, status=status, json=body)
        vendor.get(QUERY, json=page(a_record(1)))
        assert ids(read(pull_of(salesforce(), "contacts"))) == [1]

    def test_a_hidden_object_is_told_from_a_wrong_address(self, vendor: Any) -> None:
        vendor.replace(responses.GET, CONTACTS, status=404, json=refused("NOT_FOUND"))
        with pytest.raises(PermissionDeniedError, match="no object Contact"):
            read(pull_of(salesforce(), "contacts"))

    @pytest.mark.parametrize(
        ("error", "words", "remedy"),
        [
            ("invalid_grant", "user hasn't approved this consumer", "pre-authorized"),
            ("invalid_grant", "audience is invalid", "test.salesforce.com"),
            ("invalid_grant", "expired access/refresh token", "refresh_token_file"),
            ("invalid_grant", "request not supported on this domain", "My Domain"),
            ("invalid_client_id", "client identifier invalid", "consumer key"),
            ("invalid_client", "invalid client credentials", "client_secret"),
            ("something_new", "", "consumer key and secret"),
        ],
    )
    def test_a_sign_in_that_is_refused_says_why(self, vendor: Any, error: str, words: str, remedy: str) -> None:
        vendor.post(f"{ROOT}/services/oauth2/token", status=400, json={"error": error, "error_description": words})
        source = salesforce(client_id="a-key", client_secret=SecretStr("a-secret"))
        with pytest.raises(AuthenticationError, match=error) as caught:
            read(pull_of(source, "contacts"))
        assert remedy in str(caught.value.remedy)
        assert "a-secret" not in str(caught.value)

    def test_a_pull_ends_at_its_share_of_the_day_and_says_when_it_can_go_on(self, vendor: Any) -> None:
        usage = {"Sforce-Limit-Info": "api-usage=80/100"}
        vendor.get(QUERY, json=page(a_record(1), total=200, more="01g-1"), headers=usage)
        state: dict[str, Any] = {}
        with pytest.raises(QuotaExhaustedError, match=r"80 of the organization's 100 .* 199 rows .* in 3 days"):
            read(pull_of(salesforce(), "contacts", state=state))
        assert state["reached"] == "2026-01-03T11:00:01+00:00"

    def test_a_pull_does_not_begin_when_the_share_is_used(self, vendor: Any) -> None:
        usage = {"Sforce-Limit-Info": "api-usage=90/100, per-app-api-usage=1/5(appName=shop)"}
        vendor.replace(responses.GET, CONTACTS, json=described(CONTACT), headers=usage)
        with pytest.raises(QuotaExhaustedError, match="90 of the organization's 100"):
            read(pull_of(salesforce(), "contacts"))
        vendor.get(QUERY, json=page(a_record(1)))
        assert ids(read(pull_of(salesforce(quota_share=1), "contacts"))) == [1]

    def test_the_result_of_a_job_counts_too_and_its_place_is_kept(self, vendor: Any) -> None:
        vendor.post(JOBS, json=a_job(1))
        vendor.get(f"{JOBS}/7501", json=a_job(1, rows=9), headers={"Sforce-Limit-Info": "api-usage=80/100"})
        state: dict[str, Any] = {}
        with pytest.raises(QuotaExhaustedError, match="9 rows are left, which need 1 requests"):
            read(pull_of(salesforce(bulk_from_rows=0), "contacts", state=state))
        assert state["job"]["id"] == "7501"


class TestSettings:
    def test_one_credential(self) -> None:
        for wrong in (
            {},
            {"client_id": "a"},
            {"client_id": "a", "username": "b"},
            {"client_id": "a", "client_secret": "b", "access_token": "c"},
        ):
            with pytest.raises(ValidationError, match="give client_id with client_secret"):
                SalesforceSettings(base_url=ROOT, **wrong)

    def test_identifiers_are_for_people_and_other_objects_are_others(self) -> None:
        with pytest.raises(ValidationError, match="Account is nobody"):
            salesforce(fields={"Account": {"identifiers": {"Vat__c": "vat"}}})
        with pytest.raises(ValidationError, match="Lead is read anyway"):
            salesforce(objects={"Lead": {}})

    def test_two_objects_cannot_be_one_stream(self) -> None:
        source = salesforce(objects={"Task__c": {"stream": "tasks"}})
        with pytest.raises(ConfigurationError, match="'tasks'"):
            source.streams()

    def test_a_key_that_is_none_is_told_without_showing_it(self) -> None:
        source = salesforce(client_id="a", username="b@box.example", private_key=SecretStr("not a key"))
        with pytest.raises(ConfigurationError, match="PEM") as caught:
            source.auth()
        assert "not a key" not in str(caught.value)

    def test_more_fields_become_columns_that_say_something(self, vendor: Any) -> None:
        types = CONTACT | {"Customer_Id__c": "string", "Points__c": "double"}
        vendor.replace(responses.GET, CONTACTS, json=described(types))
        vendor.get(QUERY, json=page(a_record(1, types, Customer_Id__c="C-1", Points__c=3)))
        more = {
            "identifiers": {"Customer_Id__c": "user_id"},
            "traits": {"Points__c": {"name": "loyalty_points", "type": "number"}},
        }
        pull = pull_of(salesforce(fields={"Contact": more}), "contacts")
        [row] = read(pull)
        assert (row["customer_id_c"], row["points_c"]) == ("C-1", 3)
        people = pull.stream.people
        assert people is not None
        assert ("user_id", "customer_id_c") in {(one.kind, one.column) for one in people.identifiers}
        assert ("loyalty_points", "number") in {(one.name, one.type) for one in people.traits}
        assert {column.name: column.type for column in pull.stream.columns}["points_c"] == "double"
