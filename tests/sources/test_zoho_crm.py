"""Zoho CRM: odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.dlt_source import SourcePull
from millstream.sources.ingest import ingest
from millstream.sources.pull import Pull, Window
from millstream.sources.testing import Pulled
from millstream.sources.zoho_crm import ZohoCrm, ZohoCrmSettings
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    SchemaError,
    UnavailableError,
)
from tests.sources.loading import QUICK, pull_of, read

API = "https://www.zohoapis.com"
TOKENS = "https://accounts.zoho.com/oauth/v2/token"
CONTACTS, DELETED = f"{API}/crm/v8/Contacts", f"{API}/crm/v8/Contacts/deleted"
FIELDS, BULK = f"{API}/crm/v8/settings/fields", f"{API}/crm/bulk/v8/read"
LOADED = {"since": "2026-01-02T00:00:00+00:00", "deleted_since": "2026-01-02T00:00:00+00:00"}
NAMES = ("Owner", "Created_Time", "Modified_Time", "Email", "Last_Name", "Email_Opt_Out", "Account_Name")
OAUTH = {"client_id": "a-client", "client_secret": SecretStr("a-secret"), "refresh_token": SecretStr("a-token")}


def zoho(**settings: Any) -> ZohoCrm:
    return ZohoCrm(ZohoCrmSettings(**{"poll_seconds": 0.01, **OAUTH, **settings}))


def a_contact(number: int, second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": str(5_725_767_000_000_411_000 + number),
        "Email": f"ada{number}@box.example",
        "Last_Name": "Example",
        "Email_Opt_Out": False,
        "Account_Name": {"id": "57257999", "name": "Acme"},
        "Owner": {"id": "57257001", "name": "Rep", "email": "rep@box.example"},
        "Created_Time": "2026-01-01T10:00:00+02:00",
        "Modified_Time": f"2026-01-03T10:{second // 60:02d}:{second % 60:02d}+02:00",
    } | more


def listed(rows: list[Any], *, more: bool = False, token: str | None = None) -> dict[str, Any]:
    return {"data": rows, "info": {"count": len(rows), "more_records": more, "next_page_token": token}}


def asked(vendor: responses.RequestsMock, url: str) -> list[dict[str, Any]]:
    """The parameters of each request to a path so far, with its If-Modified-Since."""
    found = []
    for call in vendor.calls:
        parts = urlsplit(str(call.request.url))
        if f"{parts.scheme}://{parts.netloc}{parts.path}" == url:
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            found.append({**query, "since": call.request.headers.get("If-Modified-Since")})
    return found


def bodies(vendor: responses.RequestsMock) -> list[Any]:
    """The queries of the bulk jobs begun so far."""
    return [orjson.loads(call.request.body or b"")["query"] for call in vendor.calls if call.request.url == BULK]


def a_file(*lines: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("job.csv", "\r\n".join(lines))
    return packed.getvalue()


HEADER = "Id," + ",".join(
    ("Modified_Time", "Created_Time", "Owner", "Email", "Last_Name", "Email_Opt_Out", "Account_Name")
)
LINE = (
    "5725767000000411001,2026-01-03T10:00:00+02:00,2026-01-01T10:00:00+02:00,"
    "57257001,ada1@box.example,Example,false,57257999"
)


def job(state: str = "COMPLETED", **result: Any) -> Any:
    known = {"page": 1, "per_page": 200_000, "more_records": False, "next_page_token": None}
    return {"data": [{"id": "700", "state": state, **({"result": known | result} if state == "COMPLETED" else {})}]}


def begun(number: str = "700") -> Any:
    details = {"id": number, "state": "ADDED", "created_time": "2026-01-04T10:00:00+02:00"}
    return {"data": [{"status": "success", "code": "ADDED_SUCCESSFULLY", "details": details}], "info": {}}


@pytest.fixture
def silent() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def vendor(silent: responses.RequestsMock) -> responses.RequestsMock:
    """A vendor that gives tokens, names the fields of modules, and has deleted nothing."""
    silent.post(TOKENS, json={"access_token": "good", "expires_in": 3600, "api_domain": API})
    silent.get(FIELDS, json={"fields": [{"api_name": name} for name in NAMES]})
    silent.get(DELETED, status=304)
    return silent


def later(source: ZohoCrm | None = None, stream: str = "contacts", **notes: Any) -> Pull:
    """A pull that is not the first one."""
    return pull_of(source or zoho(), stream, state={**LOADED, **notes})


class TestCredentials:
    def test_requests_carry_zohos_own_scheme(self, vendor: Any) -> None:
        vendor.get(CONTACTS, status=304)
        read(later())
        form = parse_qs(str(vendor.calls[0].request.body))
        assert form["grant_type"] == ["refresh_token"]
        assert vendor.calls[1].request.headers["Authorization"] == "Zoho-oauthtoken good"

    def test_the_host_is_the_one_that_the_tokens_answer_names(self, silent: Any) -> None:
        other = "https://sandbox.zohoapis.com"
        silent.post(TOKENS, json={"access_token": "good", "api_domain": other})
        silent.get(f"{other}/crm/v8/settings/fields", json={"fields": [{"api_name": "Modified_Time"}]})
        zoho().probe(pull_of(zoho(), "contacts"))
        assert str(silent.calls[-1].request.url).startswith(other)

    def test_a_root_that_the_settings_name_is_kept(self, silent: Any) -> None:
        silent.post(TOKENS, json={"access_token": "good", "api_domain": API})
        silent.get("https://proxy.test/crm/v8/settings/fields", json={"fields": [{"api_name": "Modified_Time"}]})
        source = zoho(base_url="https://proxy.test")
        source.probe(pull_of(source, "contacts"))

    def test_each_data_center_has_its_own_hosts(self, silent: Any) -> None:
        silent.post("https://accounts.zohocloud.ca/oauth/v2/token", json={"access_token": "good"})
        silent.get("https://www.zohoapis.ca/crm/v8/settings/fields", json={"fields": []})
        source = zoho(data_center="ca")
        source.probe(pull_of(source, "contacts"))

    @pytest.mark.parametrize("error", ["invalid_code", "invalid_client"])
    def test_a_refusal_under_status_200_is_a_refusal(self, silent: Any, error: str) -> None:
        silent.post(TOKENS, json={"error": error})
        with pytest.raises(AuthenticationError, match=error) as caught:
            read(later())
        assert "data_center" in str(caught.value)
        assert len(silent.calls) == 2

    def test_too_many_tokens_are_waited_for(self, silent: Any) -> None:
        text = {"error": "Access Denied", "error_description": "You have made too many requests continuously."}
        silent.post(TOKENS, status=400, json=text)
        pull = later()
        waited: list[float] = []
        pull.client.session.pacer.pause = waited.append  # type: ignore[attr-defined]
        with pytest.raises(RateLimitedError, match="ten in ten minutes"):
            read(pull)
        assert set(waited) == {120.0}

    def test_an_expired_token_is_renewed_once(self, vendor: Any) -> None:
        vendor.get(CONTACTS, status=401, json={"code": "INVALID_TOKEN", "message": "invalid oauth token"})
        vendor.get(CONTACTS, status=304)
        assert read(later()) == []


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "code", "words"),
        [
            (401, "OAUTH_SCOPE_MISMATCH", r"ZohoCRM\.modules\.contacts\.READ"),
            (403, "NO_PERMISSION", "profile"),
            (400, "INVALID_MODULE", "leave the stream out"),
        ],
    )
    def test_what_may_not_be_read_is_skipped_with_the_reason(
        self, vendor: Any, status: int, code: str, words: str
    ) -> None:
        vendor.get(CONTACTS, status=status, json={"code": code, "message": "no", "status": "error"})
        with pytest.raises(PermissionDeniedError) as caught:
            read(later())
        assert words.replace("\\", "") in str(caught.value)

    def test_used_up_credits_are_told_from_too_many_requests(self, vendor: Any) -> None:
        body = {"code": "TOO_MANY_REQUESTS", "message": "too many"}
        vendor.get(CONTACTS, status=429, json=body)
        vendor.get(CONTACTS, status=429, json=body, headers={"X-API-CREDITS-REMAINING": "0"})
        with pytest.raises(QuotaExhaustedError, match="credits"):
            read(later())

    def test_the_budget_of_the_settings_ends_a_pull(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(1)], more=True, token="t1"))
        vendor.get(CONTACTS, json=listed([a_contact(2)], more=True, token="t2"))
        pull = later(zoho(credits_per_day=3))
        assert pull.stream.read is not None
        pages = iter(pull.stream.read(pull))
        assert [len(next(pages)), len(next(pages))] == [1, 1]
        with pytest.raises(QuotaExhaustedError):
            next(pages)

    @pytest.mark.parametrize(
        "settings", [{"identifiers": {"Customer ID": "user_id"}}, {"data_center": "uk"}, {"first_load": "coql"}]
    )
    def test_settings_that_cannot_be_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            zoho(**settings)


class TestChanges:
    def test_they_are_asked_for_in_the_order_of_their_change(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(1, 5)]))
        pull = later()
        (row,) = read(pull)
        (request,) = asked(vendor, CONTACTS)
        assert (request["sort_by"], request["sort_order"], request["per_page"]) == ("Modified_Time", "asc", "200")
        assert request["since"] == "2026-01-01T23:55:00+00:00"
        assert "converted" not in request
        assert pull.state["since"] == "2026-01-03T08:00:05+00:00"
        assert row["id"] == "5725767000000411001"

    def test_a_page_begins_where_the_last_one_ended_in_time(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(1, 5), a_contact(2, 60)], more=True, token="t1"))
        vendor.get(CONTACTS, json=listed([a_contact(2, 60), a_contact(3, 61)]))
        read(later())
        first, second = asked(vendor, CONTACTS)
        assert second["since"] == "2026-01-03T08:00:59+00:00"
        assert not {"page", "page_token"} & (first.keys() | second.keys())

    def test_within_one_second_the_token_leads_on_and_never_beside_a_number(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(1, 5)], more=True, token="t1"))
        vendor.get(CONTACTS, json=listed([a_contact(2, 5)], more=True, token="t2"))
        vendor.get(CONTACTS, json=listed([a_contact(3, 5)], more=True, token="t3"))
        vendor.get(CONTACTS, json=listed([a_contact(4, 5)]))
        assert len(read(later())) == 4
        requests_made = asked(vendor, CONTACTS)
        assert [request.get("page_token") for request in requests_made] == [None, None, "t2", "t3"]
        assert {request["since"] for request in requests_made[1:]} == {"2026-01-03T08:00:04+00:00"}
        assert not any("page" in request for request in requests_made)

    def test_without_a_token_numbers_lead_on_as_far_as_they_may(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(1, 5)], more=True))
        with pytest.raises(IncompleteError, match="not where"):
            read(later())
        assert [request.get("page") for request in asked(vendor, CONTACTS)][-1] == "10"

    def test_a_token_that_comes_again_is_no_way_on(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(2, 60), a_contact(1, 5)], more=True, token="t1"))
        with pytest.raises(IncompleteError, match="not where"):
            read(later())
        assert len(asked(vendor, CONTACTS)) == 2

    def test_a_list_in_another_order_is_read_whole_before_the_place_moves(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json=listed([a_contact(2, 60), a_contact(1, 5)], more=True, token="t1"))
        vendor.get(CONTACTS, json=listed([a_contact(3, 30)]))
        pull = later()
        places = []
        assert pull.stream.read is not None
        for page in pull.stream.read(pull):
            places.append((len(page), pull.state["since"]))
        assert places == [(2, LOADED["since"]), (1, "2026-01-03T08:01:00+00:00")]
        assert asked(vendor, CONTACTS)[1]["page_token"] == "t1"

    @pytest.mark.parametrize("status", [204, 304])
    def test_nothing_new_is_no_error(self, vendor: Any, status: int) -> None:
        vendor.get(CONTACTS, status=status)
        pull = later()
        assert read(pull) == []
        assert pull.state == LOADED

    def test_an_answer_that_does_not_say_whether_there_is_more_is_a_changed_api(self, vendor: Any) -> None:
        vendor.get(CONTACTS, json={"data": [a_contact(1)], "info": {}})
        with pytest.raises(SchemaError, match="more_records"):
            read(later())

    def test_fields_beyond_fifty_are_asked_for_by_id(self, silent: Any) -> None:
        extra = [f"Field_{number:02d}" for number in range(60)]
        silent.post(TOKENS, json={"access_token": "good"})
        silent.get(FIELDS, json={"fields": [{"api_name": name} for name in (*NAMES, *extra)]})
        silent.get(DELETED, status=304)
        silent.get(CONTACTS, json=listed([a_contact(1, Field_00="early"), a_contact(2)]))
        silent.get(CONTACTS, json=listed([{"id": a_contact(2)["id"], "Field_59": "late"}]))
        source = zoho(traits={name: name.lower() for name in extra})
        one, two = read(later(source))
        assert (one["field_field_00"], two["field_field_59"]) == ("early", "late")
        first, second = asked(silent, CONTACTS)
        assert len(first["fields"].split(",")) == 50
        assert second["ids"] == f"{a_contact(1)['id']},{a_contact(2)['id']}"
        assert not set(first["fields"].split(",")) & set(second["fields"].split(","))

    def test_fields_of_converted_leads_beyond_fifty_are_asked_for_as_well(self, silent: Any) -> None:
        leads, extra = f"{API}/crm/v8/Leads", [f"Field_{number:02d}" for number in range(60)]
        silent.post(TOKENS, json={"access_token": "good"})
        silent.get(FIELDS, json={"fields": [{"api_name": name} for name in (*NAMES, *extra)]})
        silent.get(f"{leads}/deleted", status=304)
        silent.get(leads, json=listed([a_contact(1)]))
        read(later(zoho(traits={name: name.lower() for name in extra}), "leads"))
        assert [request["converted"] for request in asked(silent, leads)] == ["both", "both"]

    def test_a_backfill_ends_with_its_window_and_leaves_the_place_alone(self, vendor: Any) -> None:
        rows = [a_contact(1, 5), a_contact(2, 500)]
        vendor.get(CONTACTS, json=listed(rows, more=True, token="t1"))
        since = datetime(2026, 1, 3, 8, 0, tzinfo=UTC)
        pull = pull_of(zoho(), "contacts", state={}, since=since, until=since + timedelta(minutes=1))
        assert [row["id"] for row in read(pull)] == [rows[0]["id"]]
        assert pull.state == {}


class TestDeletions:
    GONE = {"id": "99", "display_name": None, "type": "permanent", "deleted_time": "2026-01-05T10:00:00+02:00"}

    def test_a_deleted_record_is_an_empty_row(self, vendor: Any) -> None:
        vendor.get(CONTACTS, status=304)
        vendor.replace(responses.GET, DELETED, json={"data": [self.GONE], "info": {"more_records": False}})
        pull = later()
        (row,) = read(pull)
        assert (row["id"], row["deleted"], row["email"]) == ("99", True, None)
        assert {column.name for column in pull.stream.columns} == set(row)
        assert pull.state["deleted_since"] == "2026-01-05T08:00:00+00:00"
        assert asked(vendor, DELETED)[0]["since"] == "2026-01-01T23:55:00+00:00"
        assert asked(vendor, DELETED)[0]["type"] == "all"

    def test_a_refusal_outlives_its_record(self, vendor: Any, tmp_path: Path) -> None:
        pulled, source = Pulled(tmp_path), zoho(first_load="list", streams=("contacts",))
        vendor.get(f"{CONTACTS}/actions/count", json={"count": 2})
        vendor.get(CONTACTS, json=listed([a_contact(1, Email_Opt_Out=True), a_contact(2)]))
        # The second one is deleted while the first pull is under way, the first one later.
        vendor.replace(responses.GET, DELETED, json=listed([self.GONE | {"id": a_contact(2)["id"]}]))
        assert pulled.pull(source).ok
        vendor.replace(responses.GET, CONTACTS, status=304)
        gone = [self.GONE | {"id": a_contact(1)["id"]}, self.GONE]
        vendor.replace(responses.GET, DELETED, json=listed(gone))
        assert pulled.pull(source).ok
        with pulled.store.open() as connection:
            rows = connection.execute(
                "SELECT email, email_opted_out, deleted FROM raw_zoho_crm.contacts ORDER BY email NULLS LAST"
            ).fetchall()
        assert rows == [
            ("ada1@box.example", True, True),
            ("ada2@box.example", False, True),
            (None, None, True),
        ]

    def test_pages_are_read_until_there_are_no_more(self, vendor: Any) -> None:
        vendor.get(CONTACTS, status=304)
        vendor.replace(responses.GET, DELETED, json={"data": [self.GONE], "info": {"more_records": True}})
        vendor.get(DELETED, json={"data": [self.GONE | {"id": "98"}], "info": {"more_records": False}})
        assert [row["id"] for row in read(later())] == ["99", "98"]
        assert [request["page"] for request in asked(vendor, DELETED)] == ["1", "2"]

    def test_a_deleted_deal_is_no_event(self, vendor: Any) -> None:
        deals = f"{API}/crm/v8/Deals"
        vendor.get(deals, status=304)
        vendor.get(f"{deals}/deleted", json={"data": [self.GONE], "info": {"more_records": False}})
        (row,) = read(later(stream="deals"))
        assert row["outcome"] == "deleted"


class TestBulk:
    def first(self, vendor: Any, *, more: bool = False, **notes: Any) -> tuple[Pull, Iterator[Any]]:
        vendor.get(CONTACTS, status=304)
        pull = pull_of(zoho(), "contacts", state=dict(notes))
        assert pull.stream.read is not None
        return pull, iter(pull.stream.read(pull))

    def test_the_job_is_kept_before_it_is_waited_for(self, vendor: Any) -> None:
        vendor.post(BULK, status=201, json=begun())
        pull, pages = self.first(vendor)
        assert next(pages) == []
        assert pull.wants_load
        assert pull.state["load"]["job"] == "700"
        assert bodies(vendor) == [
            {
                "module": {"api_name": "Contacts"},
                "fields": [name for name in HEADER.split(",") if name != "Id"],
                "page": 1,
            }
        ]

    def test_a_kept_job_is_waited_for_and_not_begun_again(self, vendor: Any) -> None:
        vendor.get(f"{BULK}/700", json=job("IN PROGRESS"))
        vendor.get(f"{BULK}/700", json=job(count=1))
        vendor.get(f"{BULK}/700/result", body=a_file(HEADER, LINE), content_type="application/x-download")
        pull, pages = self.first(vendor, load={"job": "700", "page": 1, "began": "2026-01-04T10:00:00+02:00"})
        (row,) = [row for page in pages for row in page]
        assert bodies(vendor) == []
        assert (row["id"], row["email_opted_out"], row["owner_id"]) == ("5725767000000411001", "false", "57257001")
        assert pull.state == {"since": "2026-01-04T08:00:00+00:00", "deleted_since": "2026-01-04T08:00:00+00:00"}
        assert asked(vendor, CONTACTS)[0]["since"] == "2026-01-04T07:55:00+00:00"

    def test_a_line_and_a_listed_record_are_the_same_row(self, vendor: Any) -> None:
        module = zoho().streams()[1]
        vendor.get(f"{BULK}/700", json=job(count=1))
        vendor.get(f"{BULK}/700/result", body=a_file(HEADER, LINE))
        _, pages = self.first(vendor, load={"job": "700", "began": "2026-01-04T10:00:00+02:00"})
        (line,) = [row for page in pages for row in page]
        vendor.replace(responses.GET, CONTACTS, json=listed([a_contact(1)]))
        (record,) = read(later())
        assert {**record, "email_opted_out": "false"} == line
        assert set(line) <= {column.name for column in module.columns}

    def test_the_next_page_is_asked_for_by_token(self, vendor: Any) -> None:
        vendor.post(BULK, status=201, json=begun())
        vendor.post(BULK, status=201, json=begun("701"))
        vendor.get(f"{BULK}/700", json=job(count=1, more_records=True, next_page_token="p2"))
        vendor.get(f"{BULK}/701", json=job(count=1))
        for number in ("700", "701"):
            vendor.get(f"{BULK}/{number}/result", body=a_file(HEADER, LINE))
        _, pages = self.first(vendor)
        assert len([row for page in pages for row in page]) == 2
        first, second = bodies(vendor)
        assert (first.get("page"), second.get("page"), second.get("page_token")) == (1, None, "p2")

    def test_without_a_token_the_next_page_has_a_number(self, vendor: Any) -> None:
        vendor.post(BULK, status=201, json=begun())
        vendor.get(f"{BULK}/700", json=job(count=1, more_records=True))
        vendor.get(f"{BULK}/700/result", body=a_file(HEADER, LINE))
        pull, pages = self.first(vendor)
        for _ in pages:
            if len(bodies(vendor)) == 2:
                break
        assert bodies(vendor)[1]["page"] == pull.state["load"]["page"] == 2

    def test_a_job_that_fails_is_begun_again_by_the_next_run(self, vendor: Any) -> None:
        vendor.get(f"{BULK}/700", json=job("FAILURE"))
        pull, pages = self.first(vendor, load={"job": "700", "page": 3, "began": "2026-01-04T10:00:00+02:00"})
        with pytest.raises(UnavailableError, match="FAILURE"):
            list(pages)
        assert pull.state["load"] == {"page": 3, "began": "2026-01-04T10:00:00+02:00"}

    def test_a_job_that_takes_too_long_is_kept_for_the_next_run(self, vendor: Any) -> None:
        vendor.get(f"{BULK}/700", json=job("IN PROGRESS"))
        pull = pull_of(zoho(patience_minutes=0), "contacts", state={"load": {"job": "700"}})
        with pytest.raises(UnavailableError, match="job is kept"):
            read(pull)
        assert pull.state["load"]["job"] == "700"

    def test_a_job_that_the_vendor_has_forgotten_is_replaced_once(self, vendor: Any) -> None:
        gone = {"code": "RESOURCE_NOT_FOUND", "message": "the resource does not exist"}
        vendor.get(f"{BULK}/600", status=404, json=gone)
        vendor.post(BULK, status=201, json=begun())
        vendor.get(f"{BULK}/700", status=404, json=gone)
        pull, pages = self.first(vendor, load={"job": "600", "began": "2026-01-04T10:00:00+02:00"})
        with pytest.raises(NotFoundError):
            list(pages)
        assert "anew" in pull.warnings[0]
        assert len(bodies(vendor)) == 1

    @pytest.mark.parametrize(
        ("content", "error", "words"),
        [
            (b"<html></html>", MalformedAnswerError, "no zip"),
            (a_file("Id,Email", "1,ada@box.example"), IncompleteError, "lacks"),
            (a_file(HEADER, LINE), IncompleteError, "counts 2"),
        ],
    )
    def test_a_file_that_cannot_be_all_moves_no_place(
        self, vendor: Any, content: bytes, error: type[Exception], words: str
    ) -> None:
        vendor.get(f"{BULK}/700", json=job(count=2))
        vendor.get(f"{BULK}/700/result", body=content)
        pull, pages = self.first(vendor, load={"job": "700"})
        with pytest.raises(error, match=words):
            list(pages)
        assert pull.state["load"]["job"] == "700"

    def test_a_field_that_files_cannot_have_is_left_out_aloud(self, vendor: Any) -> None:
        refusal = {"code": "INVALID_DATA", "details": {"api_name": "Account_Name"}, "message": "no", "status": "error"}
        vendor.post(BULK, status=400, json={"data": [refusal]})
        vendor.post(BULK, status=201, json=begun())
        vendor.get(f"{BULK}/700", json=job(count=1))
        lines = (line.rpartition(",")[0] for line in (HEADER, LINE))
        vendor.get(f"{BULK}/700/result", body=a_file(*lines))
        pull, pages = self.first(vendor)
        (row,) = [row for page in pages for row in page]
        assert "account_id" not in row
        assert "Account_Name" in pull.warnings[0]
        assert [("Account_Name" in query["fields"]) for query in bodies(vendor)] == [True, False]

    def test_another_refusal_of_a_job_stays_one(self, vendor: Any) -> None:
        vendor.post(BULK, status=400, json={"code": "INVALID_DATA", "details": {"api_name": "module"}})
        _, pages = self.first(vendor)
        with pytest.raises(RefusedError):
            next(pages)

    def test_a_start_date_narrows_the_job(self, vendor: Any) -> None:
        vendor.post(BULK, status=201, json=begun())
        pull = pull_of(zoho(start_date="2026-01-01"), "contacts")
        assert pull.stream.read is not None
        next(iter(pull.stream.read(pull)))
        (query,) = bodies(vendor)
        assert query["criteria"] == {
            "field": {"api_name": "Modified_Time"},
            "comparator": "greater_equal",
            "value": "2026-01-01T00:00:00+00:00",
        }

    def test_converted_leads_are_listed_since_no_file_is_known_to_have_them(self, vendor: Any) -> None:
        leads = f"{API}/crm/v8/Leads"
        vendor.get(f"{BULK}/700", json=job(count=0))
        vendor.get(f"{BULK}/700/result", body=a_file(HEADER))
        vendor.get(leads, json=listed([a_contact(7, Converted__s=True, Converted_Contact={"id": "5"})]))
        vendor.get(leads, status=304)
        vendor.get(f"{leads}/deleted", status=304)
        state: dict[str, Any] = {"load": {"job": "700", "began": "2026-01-04T10:00:00+02:00"}}
        (row,) = read(pull_of(zoho(), "leads", state=state))
        assert (row["converted"], row["contact_id"]) == (True, "5")
        assert [request["converted"] for request in asked(vendor, leads)] == ["true", "both"]

    def test_a_first_load_by_lists_says_how_many_days_it_takes(self, vendor: Any) -> None:
        vendor.get(f"{CONTACTS}/actions/count", json={"count": 100_000})
        vendor.get(CONTACTS, json=listed([a_contact(1)]))
        moment = datetime(2026, 1, 10, tzinfo=UTC)
        pull = pull_of(zoho(first_load="list", credits_per_day=100), "contacts", pulled_at=moment)
        assert len(read(pull)) == 1
        assert "500 requests" in pull.warnings[0]
        assert "2026-01-15" in pull.warnings[0]
        assert pull.state["since"] == "2026-01-03T08:00:00+00:00"


class TestPeople:
    def test_fields_of_the_settings_become_identifiers_and_traits(self, silent: Any) -> None:
        silent.post(TOKENS, json={"access_token": "good"})
        silent.get(FIELDS, json={"fields": [{"api_name": name} for name in (*NAMES, "Customer_ID", "LTV", "Hobbies")]})
        silent.get(DELETED, status=304)
        record = a_contact(1, Customer_ID="C-1", LTV=12.5, Hobbies=["Tea", "Go"])
        silent.get(CONTACTS, json=listed([record]))
        source = zoho(
            identifiers={"Customer_ID": "user_id"},
            traits={"LTV": {"name": "lifetime_value", "type": "number"}, "Hobbies": "hobbies"},
        )
        pull = later(source)
        (row,) = read(pull)
        assert (row["field_customer_id"], row["field_ltv"], row["field_hobbies"]) == ("C-1", 12.5, "Tea;Go")
        people = pull.stream.people
        assert people is not None
        assert ("user_id", "field_customer_id") in {(one.kind, one.column) for one in people.identifiers}
        assert ("lifetime_value", "number") in {(one.name, one.type) for one in people.traits}

    def test_opting_out_is_a_denial_and_an_empty_box_is_nothing(self) -> None:
        for stream in zoho().streams()[1:3]:
            assert stream.people is not None
            (consent,) = stream.people.consents
            assert (consent.channel, consent.column, consent.statuses) == (
                "email",
                "email_opted_out",
                {"true": "denied"},
            )

    def test_a_field_that_nobody_has_is_named(self, vendor: Any) -> None:
        with pytest.raises(ConfigurationError, match="Last_Nam'") as caught:
            read(later(zoho(traits={"Last_Nam": "name"})))
        assert caught.value.allowed == ("Last_Name",)

    def test_a_converted_lead_names_its_contact(self) -> None:
        contacts, leads = (one.people for one in zoho().streams()[1:3])
        assert contacts is not None
        assert leads is not None
        assert ("zoho_contact_id", "id") in {(one.kind, one.column) for one in contacts.identifiers}
        assert ("zoho_contact_id", "contact_id") in {(one.kind, one.column) for one in leads.identifiers}

    @pytest.mark.parametrize(
        ("stage", "outcome", "currency"),
        [("Closed Won", "won", "USD"), ("Closed Lost", "lost", None), ("Needs Analysis", "open", "USD")],
    )
    def test_a_deals_outcome_is_that_of_its_stage(
        self, vendor: Any, stage: str, outcome: str, currency: str | None
    ) -> None:
        deals = f"{API}/crm/v8/Deals"
        fields = ("Stage", "Currency", "Closing_Date", "Contact_Name")
        vendor.replace(responses.GET, FIELDS, json={"fields": [{"api_name": name} for name in (*NAMES, *fields)]})
        row = a_contact(1, Stage=stage, Currency=currency, Contact_Name={"id": "5", "name": "Ada"}, Closing_Date=None)
        vendor.get(deals, json=listed([row]))
        vendor.get(f"{deals}/deleted", status=304)
        (deal,) = read(later(zoho(currency="EUR"), "deals"))
        assert (deal["outcome"], deal["contact_id"]) == (outcome, "5")
        assert deal["currency"] == (currency or "EUR")
        assert (deal["closed_at"] is None) == (outcome == "open")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=120, limits=False) as sandbox:
        yield sandbox


class TestSandbox:
    def source(self, sandbox: Sandbox, **settings: Any) -> ZohoCrm:
        url = sandbox.system_url("zoho_crm")
        given = {
            "base_url": url,
            "token_url": f"{url}/oauth/v2/token",
            "client_id": "sandbox-client",
            "client_secret": SecretStr("sandbox-secret"),
            "refresh_token": SecretStr("sandbox-refresh"),
            "identifiers": {"Customer_ID": "user_id"},
            "poll_seconds": 0.05,
        }
        return ZohoCrm(ZohoCrmSettings(**{**given, **settings}))

    def test_lists_give_what_bulk_jobs_do_which_are_all_begun_before_one_is_waited_for(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        bulk, by_list = Pulled(tmp_path / "bulk"), Pulled(tmp_path / "list")
        some = {"streams": ("leads", "deals")}
        requests.delete(f"{sandbox.url}/_sandbox/requests")
        for pulled, way in ((bulk, "bulk"), (by_list, "list")):
            assert pulled.pull(self.source(sandbox, **some, first_load=way)).ok
        seen = requests.get(f"{sandbox.url}/_sandbox/requests", params={"detail": 1}).json()["recent"]
        jobs = [one["method"] for one in seen if "/bulk/" in one["path"]]
        assert (jobs[:3], jobs.count("POST")) == (["POST", "POST", "GET"], 2)
        assert bulk.everything(self.source(sandbox, **some)) == by_list.everything(self.source(sandbox, **some))

    def test_what_changed_arrives_and_what_was_deleted_is_gone(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled, anew, some = Pulled(tmp_path), Pulled(tmp_path / "anew"), ("contacts", "leads")
        first = pulled.pull(self.source(sandbox, streams=some))
        requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.5, "seed": 3})
        second = pulled.pull(self.source(sandbox, streams=some))
        assert second.ok
        assert 0 < second.rows < first.rows
        anew.pull(self.source(sandbox, streams=some, first_load="list"))
        for stream in some:
            assert _living(pulled, stream) == _living(anew, stream)
        gone = "SELECT count(*) FROM raw_zoho_crm.contacts WHERE deleted"
        before = _one(pulled, gone)
        assert before > 0
        assert pulled.pull(self.source(sandbox, streams=("contacts",), first_load="list"), full=True).ok
        assert _one(pulled, gone) > before, "what is stored may have been deleted long ago"
        requests.post(f"{sandbox.url}/_sandbox/reset")

    def test_records_are_of_the_people_that_the_truth_names(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        pulled.pull(self.source(sandbox, streams=("contacts", "leads"), first_load="list"))
        owner: dict[Any, int] = {}
        for index in range(sandbox.company.people):
            said: Any = sandbox.truth(index)["zoho_crm"]
            ids = [one for part in said.values() for one in (part if isinstance(part, list) else [part])]
            owner |= dict.fromkeys(map(str, filter(None, ids)), index)
        with pulled.store.open() as connection:
            converted = connection.execute("SELECT id, contact_id FROM raw_zoho_crm.leads WHERE converted").fetchall()
            refused = connection.execute("SELECT id FROM raw_zoho_crm.contacts WHERE email_opted_out").fetchall()
        assert converted
        assert all(owner[lead] == owner[contact] for lead, contact in converted)
        assert refused
        assert {sandbox.company.person(owner[one]).subscription for (one,) in refused} == {"UNSUBSCRIBED"}

    def test_a_first_load_that_is_killed_goes_on_with_its_job(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        requests.delete(f"{sandbox.url}/_sandbox/requests")

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if stream == "contacts" and rows:
                raise Killed

        source = self.source(sandbox, streams=("contacts",))
        pull = SourcePull(source, retries=QUICK, progress=kill)
        with pytest.raises(Killed):
            ingest(pull, pulled.store, name="zoho_crm", pipelines=tmp_path / "dlt")
        assert pulled.pull(self.source(sandbox, streams=("contacts",))).ok
        counted = requests.get(f"{sandbox.url}/_sandbox/requests").json()["systems"]["zoho_crm"]
        (begun,) = [one["count"] for one in counted if one["method"] == "POST" and one["route"].endswith("/read")]
        assert begun == 1

    def test_a_credential_for_contacts_alone_is_told_what_it_lacks(self, sandbox: Sandbox) -> None:
        few = SecretStr("sandbox-refresh-contacts-only")
        results = check_source(self.source(sandbox, refresh_token=few, first_load="list"), name="zoho")
        lacking = {result.name: str(result.remedy) for result in results if not result.ok}
        assert set(lacking) == {"zoho.accounts", "zoho.leads", "zoho.deals"}
        assert "ZohoCRM.modules.leads.READ" in lacking["zoho.leads"]
        (contacts,) = [
            result
            for result in check_source(self.source(sandbox, refresh_token=few, streams=("contacts",)), name="zoho")
            if not result.ok
        ]
        assert "ZohoCRM.bulk.READ" in str(contacts.remedy)
        assert "first_load: list" in str(contacts.remedy)

    def test_a_backfill_of_days_reads_those_days(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        end = datetime.now(UTC) - timedelta(days=60)
        assert pulled.pull(
            self.source(sandbox, streams=("deals",), first_load="list"), window=Window(end - timedelta(days=200), end)
        ).ok
        assert _one(pulled, "SELECT count(*) FROM raw_zoho_crm.deals") > 0
        assert _one(pulled, "SELECT max(modified_at) FROM raw_zoho_crm.deals") < end


def _living(pulled: Pulled, stream: str) -> list[tuple[Any, ...]]:
    with pulled.store.open() as connection:
        return connection.execute(
            f"SELECT id, modified_at FROM raw_zoho_crm.{stream} WHERE NOT deleted ORDER BY id"
        ).fetchall()


def _one(pulled: Pulled, query: str) -> Any:
    with pulled.store.open() as connection:
        row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
