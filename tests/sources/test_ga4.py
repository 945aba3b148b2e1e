"""Google Analytics 4: documented shapes and odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

import orjson
import pytest
import requests
import responses
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.ga4 import GoogleAnalytics4, GoogleAnalytics4Settings, Report, quota_error
from millstream.sources.ga4.reports import column_name
from millstream.sources.ga4.settings import DEFAULT_REPORTS
from millstream.sources.pull import Window
from millstream.sources.testing import Pulled, SandboxStandIn, SourceContract, StandIn
from millstream.state.errors import (
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedError,
    SchemaError,
)
from tests.sources.loading import Loads, loads, pull_of, read

ROOT = "https://analytics.test"
PROPERTY = f"{ROOT}/v1beta/properties/1"
AUDIENCES = f"{ROOT}/v1alpha/properties/1/audiences"
TOKEN_URL = "https://token.test/token"
USER = {"client_id": "c", "client_secret": SecretStr("s"), "refresh_token": SecretStr("r")}
CHANNELS = Report(name="channels", dimensions=("sessionDefaultChannelGroup",), metrics=("sessions", "totalRevenue"))
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


MakeSource = Callable[..., GoogleAnalytics4]


def analytics(**settings: Any) -> GoogleAnalytics4:
    given = {"base_url": ROOT, "token_url": TOKEN_URL, "property_id": "1", "reports": (CHANNELS,), **USER}
    return GoogleAnalytics4(GoogleAnalytics4Settings(**{**given, "export_poll_seconds": 0.001, **settings}))


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(TOKEN_URL, json={"access_token": "t", "expires_in": 3600})
        yield mock


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loads:
    return loads(tmp_path, "ga4")


class Property:
    """A made-up property behind the report methods: some rows a day, given in pages."""

    def __init__(self, vendor: responses.RequestsMock) -> None:
        self.rows_a_day = 1
        self.time_zone = "Europe/Berlin"
        self.tokens_left = 1_000
        self.page_limit = 250_000
        self.metadata: dict[str, Any] = {}
        self.server_errors_left = 10
        self.date_says: str | None = None
        self.sessions_type = "TYPE_INTEGER"
        self.asked: list[Mapping[str, Any]] = []
        vendor.add_callback("POST", f"{PROPERTY}:runReport", self._one)
        vendor.add_callback("POST", f"{PROPERTY}:batchRunReports", self._batch)

    @property
    def days(self) -> list[str]:
        """Days asked for, in order, of reports with dimensions."""
        return [body["dateRanges"][0]["startDate"] for body in self.asked if "dimensions" in body]

    def _one(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {}, orjson.dumps(self._report(orjson.loads(request.body)))

    def _batch(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        bodies = orjson.loads(request.body)["requests"]
        assert len(bodies) <= 5
        return 200, {}, orjson.dumps({"reports": [self._report(body) for body in bodies]})

    def _report(self, body: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(body)
        self.tokens_left -= 1
        report: dict[str, Any] = {
            "metadata": {"currencyCode": "EUR", "timeZone": self.time_zone, **self.metadata},
            "kind": "analyticsData#runReport",
        }
        if body.get("returnPropertyQuota"):
            # protobuf's JSON leaves a zero out.
            left = {"remaining": self.tokens_left} if self.tokens_left > 0 else {}
            report["propertyQuota"] = {
                "tokensPerDay": {"consumed": 1, **left},
                "serverErrorsPerProjectPerHour": {"remaining": self.server_errors_left},
            }
        if "dimensions" not in body or not self.rows_a_day:
            return report
        first = body.get("offset", 0)
        last = min(self.rows_a_day, first + min(body["limit"], self.page_limit))
        day = self.date_says or body["dateRanges"][0]["startDate"].replace("-", "")
        return report | {
            "dimensionHeaders": [{"name": d["name"]} for d in body["dimensions"]],
            "metricHeaders": [
                {"name": "sessions", "type": self.sessions_type},
                {"name": "totalRevenue", "type": "TYPE_CURRENCY"},
            ],
            "rows": [
                {
                    "dimensionValues": [{"value": day}, {"value": f"Channel {n}"}],
                    "metricValues": [{"value": str(n)}, {"value": f"{n}.5"}],
                }
                for n in range(first, last)
            ],
            "rowCount": self.rows_a_day,
        }


@pytest.fixture
def site(vendor: responses.RequestsMock) -> Property:
    return Property(vendor)


class TestCredentials:
    def test_a_service_account_signs_for_the_token_endpoint(self, vendor: responses.RequestsMock) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        account = {"client_email": "m@p.iam.example", "private_key": pem.decode(), "private_key_id": "k1"}
        vendor.get(f"{PROPERTY}/metadata", json={})
        source = analytics(
            service_account=SecretStr(orjson.dumps(account).decode()),
            client_id=None,
            client_secret=None,
            refresh_token=None,
        )
        source.probe(pull_of(source, "channels"))

        form = parse_qs(str(vendor.calls[0].request.body))
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        head, claims, signature = form["assertion"][0].split(".")
        key.public_key().verify(_decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        assert orjson.loads(_decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        told = orjson.loads(_decoded(claims))
        assert told["iss"] == "m@p.iam.example"
        assert told["aud"] == TOKEN_URL
        assert told["scope"].endswith("/analytics.readonly")
        assert 0 < told["exp"] - told["iat"] <= 3600
        assert vendor.calls[1].request.headers["Authorization"] == "Bearer t"

    @pytest.mark.parametrize("text", ["no json", "{}", '{"client_email": "a", "private_key": "b"}', "[]"])
    def test_a_key_that_cannot_be_read_is_not_quoted(self, text: str) -> None:
        source = analytics(service_account=SecretStr(text), client_id=None, client_secret=None, refresh_token=None)
        with pytest.raises(ConfigurationError, match="cannot be read") as caught:
            source.auth()
        assert text not in str(caught.value)

    @pytest.mark.parametrize(
        "settings",
        [
            {"client_id": None},
            {"client_id": None, "client_secret": None, "refresh_token": None},
            {"service_account": SecretStr("{}")},
            {"property_id": "G-ABC123"},
            {"reports": (CHANNELS, CHANNELS)},
            {"reports": ({"name": "audiences", "dimensions": [], "metrics": ["sessions"]},)},
        ],
        ids=["half a user", "no credential", "two credentials", "measurement id", "two of a name", "fixed name"],
    )
    def test_settings_that_cannot_work_are_refused(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            analytics(**settings)

    def test_the_admin_api_is_google_s_own_only_beside_google_s_data_api(self) -> None:
        assert analytics().settings.admin_root == ROOT
        google = analytics(base_url="https://analyticsdata.googleapis.com")
        assert google.settings.admin_root == "https://analyticsadmin.googleapis.com"
        assert analytics(admin_base_url="https://proxy.test/").settings.admin_root == "https://proxy.test"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestReports:
    def test_values_are_cast_by_their_headers_and_flags_are_kept(self, site: Property) -> None:
        site.metadata = {
            "subjectToThresholding": True,
            "samplingMetadatas": [{"samplesReadCount": "500", "samplingSpaceSize": "9000"}],
        }
        rows = read(pull_of(analytics(start_date="2026-03-09"), "channels", pulled_at=NOON))
        (row,) = rows
        assert row.pop("row_key")
        assert row == {
            "property_id": "1",
            "date": date(2026, 3, 9),
            "session_default_channel_group": "Channel 0",
            "sessions": 0,
            "total_revenue": 0.5,
            "currency_code": "EUR",
            "time_zone": "Europe/Berlin",
            "subject_to_thresholding": True,
            "data_loss_from_other_row": False,
            "is_other": False,
            "samples_read_count": 500,
            "sampling_space_size": 9000,
        }

    def test_thirty_days_are_read_at_first_and_never_today(self, site: Property) -> None:
        read(pull_of(analytics(), "channels", pulled_at=NOON))
        assert (site.days[0], site.days[-1], len(site.days)) == ("2026-02-08", "2026-03-09", 30)

    @pytest.mark.parametrize(
        ("zone", "yesterday"),
        [("Pacific/Auckland", "2026-03-10"), ("America/Los_Angeles", "2026-03-09"), ("Not/AZone", "2026-03-09")],
    )
    def test_yesterday_is_the_property_s_own(self, site: Property, zone: str, yesterday: str) -> None:
        site.time_zone = zone
        evening = datetime(2026, 3, 10, 14, tzinfo=UTC)
        read(pull_of(analytics(start_date="2026-03-07"), "channels", pulled_at=evening))
        assert site.days[-1] == yesterday

    def test_the_last_three_days_are_read_again_and_merged(self, store: Loads, site: Property) -> None:
        source = analytics(streams=("channels",), start_date="2026-03-01")
        store.run(source, pulled_at=NOON)
        site.asked.clear()
        site.rows_a_day = 2
        report = store.run(source, pulled_at=NOON + timedelta(days=1))
        assert site.days == ["2026-03-06", "2026-03-07", "2026-03-08", "2026-03-09", "2026-03-10"]
        assert report["channels"].rows == 10
        assert store.sql("SELECT count(*), count(DISTINCT row_key), max(date) FROM channels") == [
            (15, 15, date(2026, 3, 10))
        ]

    def test_a_day_of_many_rows_is_read_by_offset_to_its_row_count(self, site: Property) -> None:
        site.rows_a_day, site.page_limit = 25_000, 7_000
        pull = pull_of(analytics(start_date="2026-03-08"), "channels", pulled_at=NOON)
        rows = read(pull)
        assert len({row["row_key"] for row in rows}) == len(rows) == 50_000
        assert pull.expected == 50_000

    def test_a_page_that_stays_empty_leaves_rows_missing(self, store: Loads, vendor: responses.RequestsMock) -> None:
        site = Property(vendor)
        site.rows_a_day, site.page_limit = 20, 10
        vendor.replace("POST", f"{PROPERTY}:runReport", json={"rowCount": 20, "metadata": {"timeZone": "UTC"}})
        report = store.run(analytics(streams=("channels",), start_date="2026-03-09"), pulled_at=NOON)
        assert report["channels"].status == "failed"
        assert isinstance(report["channels"].error, IncompleteError)

    def test_days_without_rows_are_no_error(self, store: Loads, site: Property) -> None:
        site.rows_a_day = 0
        assert store.run(analytics(streams=("channels",)))["channels"].status == "complete"

    def test_a_date_that_says_other_keeps_the_day_that_was_asked(self, site: Property) -> None:
        site.date_says = "(other)"
        rows = read(pull_of(analytics(start_date="2026-03-08"), "channels", pulled_at=NOON))
        assert [(row["date"].isoformat(), row["is_other"]) for row in rows] == [
            ("2026-03-08", True),
            ("2026-03-09", True),
        ]
        assert len({row["row_key"] for row in rows}) == 2

    def test_a_backfill_reads_its_days_and_leaves_the_cursor(self, store: Loads, site: Property) -> None:
        source = analytics(streams=("channels",), start_date="2026-03-07")
        store.run(source, pulled_at=NOON)
        site.asked.clear()
        window = Window.of_days(date(2026, 1, 1), date(2026, 1, 3))
        store.run(source, window=window, pulled_at=NOON)
        assert site.days == ["2026-01-01", "2026-01-02", "2026-01-03"]
        site.asked.clear()
        store.run(source, pulled_at=NOON)
        assert site.days[0] == "2026-03-06"

    def test_a_metric_of_another_type_than_declared_is_named(self, site: Property) -> None:
        site.sessions_type = "TYPE_FLOAT"
        with pytest.raises(SchemaError, match="sessions"):
            read(pull_of(analytics(), "channels", pulled_at=NOON))

    def test_a_report_that_lacks_a_dimension_is_named(self, vendor: responses.RequestsMock, site: Property) -> None:
        answer = {"rows": [{}], "rowCount": 1, "dimensionHeaders": [{"name": "date"}]}
        vendor.replace("POST", f"{PROPERTY}:batchRunReports", json={"reports": [answer]})
        with pytest.raises(SchemaError, match="sessionDefaultChannelGroup"):
            read(pull_of(analytics(start_date="2026-03-09"), "channels", pulled_at=NOON))

    def test_fewer_reports_than_asked_for_are_malformed(self, vendor: responses.RequestsMock, site: Property) -> None:
        vendor.replace("POST", f"{PROPERTY}:batchRunReports", json={"reports": []})
        with pytest.raises(MalformedAnswerError, match="0 reports for 5"):
            read(pull_of(analytics(), "channels", pulled_at=NOON))

    @pytest.mark.parametrize(
        ("name", "column"),
        [
            ("sessionDefaultChannelGroup", "session_default_channel_group"),
            ("customEvent:plan_name", "custom_event_plan_name"),
            ("active7DayUsers", "active7_day_users"),
        ],
    )
    def test_columns_are_named_after_the_api_names(self, name: str, column: str) -> None:
        assert column_name(name) == column

    def test_two_names_for_one_column_are_refused(self) -> None:
        report = Report(name="r", dimensions=("pagePath", "page_path"), metrics=("sessions",))
        with pytest.raises(ConfigurationError, match="page_path"):
            analytics(reports=(report,)).streams()


class TestQuota:
    def test_when_the_days_tokens_are_gone_the_place_is_kept(self, store: Loads, site: Property) -> None:
        site.tokens_left = 11
        source = analytics(streams=("channels",), start_date="2026-02-20")
        report = store.run(source, pulled_at=NOON)
        assert report["channels"].status == "partial"
        assert isinstance(report["channels"].error, QuotaExhaustedError)
        assert store.sql("SELECT min(date), max(date), count(*) FROM channels") == [
            (date(2026, 2, 20), date(2026, 3, 1), 10)
        ]
        site.tokens_left = 1_000
        report = store.run(analytics(streams=("channels",), start_date="2026-02-20"), pulled_at=NOON)
        assert report["channels"].status == "complete"
        assert store.sql("SELECT count(DISTINCT date), max(date) FROM channels") == [(18, date(2026, 3, 9))]

    @pytest.mark.parametrize(
        ("message", "kind", "waits"),
        [
            ("Exhausted property tokens per day.", QuotaExhaustedError, None),
            ("Quota exceeded for limit 'Requests per day'. - RequestsPerDayPerProject", QuotaExhaustedError, None),
            ("Exhausted property tokens per hour. They return in under an hour.", RateLimitedError, True),
            ("Exhausted concurrent requests quota.", RateLimitedError, False),
            ("Quota exceeded for limit 'Requests per minute per user'.", RateLimitedError, True),
            ("Too many.", RateLimitedError, False),
        ],
    )
    def test_a_429_is_read_by_its_bucket(self, message: str, kind: type[Exception], waits: bool | None) -> None:
        error = quota_error(message)
        assert isinstance(error, kind)
        if isinstance(error, RateLimitedError):
            assert (error.retry_after is not None) == waits

    def test_server_errors_stop_before_google_blocks_the_project(
        self, vendor: responses.RequestsMock, site: Property
    ) -> None:
        vendor.replace("POST", f"{PROPERTY}:batchRunReports", status=500, json={"error": {"status": "INTERNAL"}})
        site.server_errors_left = 2
        with pytest.raises(QuotaExhaustedError, match="server errors"):
            read(pull_of(analytics(), "channels", pulled_at=NOON))
        assert len([call for call in vendor.calls if "batchRunReports" in str(call.request.url)]) == 2


class TestRefusals:
    @pytest.mark.parametrize(
        ("error", "remedy"),
        [
            ({"message": "User does not have sufficient permissions."}, "Viewer"),
            (
                {"message": "The API has not been used in project 1.", "details": [{"reason": "SERVICE_DISABLED"}]},
                "enable",
            ),
            ({"message": "Denied.", "details": [{"reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}, "scope"),
        ],
    )
    def test_a_403_says_what_to_do(self, vendor: responses.RequestsMock, error: dict[str, Any], remedy: str) -> None:
        body = {"error": {"code": 403, "status": "PERMISSION_DENIED", **error}}
        vendor.get(f"{PROPERTY}/metadata", status=403, json=body)
        source = analytics()
        with pytest.raises(PermissionDeniedError) as caught:
            source.probe(pull_of(source, "channels"))
        assert remedy in (caught.value.remedy or "")

    def test_a_refused_report_points_to_the_catalogue(self, vendor: responses.RequestsMock, site: Property) -> None:
        body = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Field sesions is not valid."}}
        vendor.replace("POST", f"{PROPERTY}:batchRunReports", status=400, json=body)
        with pytest.raises(RefusedError, match="sesions") as caught:
            read(pull_of(analytics(), "channels", pulled_at=NOON))
        assert "checkCompatibility" in (caught.value.remedy or "")


class Exports:
    """A made-up property with two audiences, whose exports take a number of looks to be made."""

    def __init__(self, vendor: responses.RequestsMock) -> None:
        import re

        self.looks = 2
        self.made: dict[str, dict[str, Any]] = {}
        self.fails = False
        self.unnamed = False
        self.page_limit = 100_000
        self.members = [("123.456", "C-1"), ("789.012", "(not set)"), ("345.678", "")]
        vendor.get(AUDIENCES, json={"audiences": [_an_audience("7", "Purchasers"), _an_audience("8", "All users")]})
        vendor.add_callback("POST", f"{PROPERTY}/audienceExports", self._create)
        vendor.add_callback("GET", f"{PROPERTY}/audienceExports", self._list)
        vendor.add_callback("GET", re.compile(re.escape(PROPERTY) + r"/audienceExports/\d+$"), self._look)
        vendor.add_callback("POST", re.compile(re.escape(PROPERTY) + r"/audienceExports/\d+:query$"), self._query)

    def _create(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        body = orjson.loads(request.body)
        name = f"properties/1/audienceExports/{len(self.made) + 1}"
        self.made[name] = {
            "name": name,
            "audience": body["audience"],
            "dimensions": body["dimensions"],
            "state": "CREATING",
            "beginCreatingTime": "2026-03-10T12:00:00.123456789Z",
            "looks": self.looks,
        }
        operation = {"name": f"operations/{len(self.made)}"}
        return 200, {}, orjson.dumps(operation if self.unnamed else {"response": self.made[name], **operation})

    def _list(self, _: Any) -> tuple[int, Mapping[str, str], bytes]:
        return 200, {}, orjson.dumps({"audienceExports": list(self.made.values())} if self.made else {})

    def _look(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        export = self.made[request.url.removeprefix(f"{ROOT}/v1beta/")]
        export["looks"] -= 1
        if export["looks"] <= 0:
            export["state"] = "FAILED" if self.fails else "ACTIVE"
            export |= {"errorMessage": "out of quota"} if self.fails else {"rowCount": len(self.members)}
        return 200, {}, orjson.dumps(export)

    def _query(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        body = orjson.loads(request.body)
        some = self.members[body["offset"] : body["offset"] + min(body["limit"], self.page_limit)]
        rows = [{"dimensionValues": [{"value": value} for value in member]} for member in some]
        return 200, {}, orjson.dumps({"audienceRows": rows, "rowCount": len(self.members)})


def _an_audience(number: str, name: str) -> dict[str, Any]:
    return {"name": f"properties/1/audiences/{number}", "displayName": name, "membershipDurationDays": 30}


@pytest.fixture
def exports(vendor: responses.RequestsMock) -> Exports:
    return Exports(vendor)


class TestAudiences:
    def test_the_catalogue_is_listed_from_the_admin_api(self, exports: Exports) -> None:
        rows = read(pull_of(analytics(), "audiences"))
        assert [(row["audience_id"], row["display_name"]) for row in rows] == [("7", "Purchasers"), ("8", "All users")]

    def test_members_come_with_the_time_of_their_snapshot(self, exports: Exports) -> None:
        pull = pull_of(analytics(audiences=("Purchasers",)), "audience_users", pulled_at=NOON)
        rows = read(pull)
        assert [(row["device_id"], row["user_id"]) for row in rows] == [
            ("123.456", "C-1"),
            ("789.012", None),
            ("345.678", None),
        ]
        assert {row["audience_name"] for row in rows} == {"Purchasers"}
        assert rows[0]["snapshot_at"] == datetime(2026, 3, 10, 12, 0, 0, 123456, UTC)
        assert pull.stream.people is not None
        assert {one.kind: one.column for one in pull.stream.people.identifiers} == {
            "device_id": "device_id",
            "user_id": "user_id",
        }

    def test_members_are_read_by_offset(self, exports: Exports) -> None:
        exports.page_limit = 2
        pull = pull_of(analytics(audiences=("7",)), "audience_users", pulled_at=NOON)
        assert len(read(pull)) == pull.expected == 3

    def test_a_second_pull_of_the_day_makes_no_second_export(self, store: Loads, exports: Exports) -> None:
        source = analytics(streams=("audience_users",))
        assert store.run(source, pulled_at=NOON)["audience_users"].rows == 6
        assert store.run(source, pulled_at=NOON + timedelta(hours=2))["audience_users"].rows == 0
        assert len(exports.made) == 2

    def test_lost_notes_find_todays_exports_in_the_list(self, store: Loads, exports: Exports) -> None:
        store.run(analytics(streams=("audience_users",)), pulled_at=NOON)
        store.run(analytics(streams=("audience_users",)), pulled_at=NOON, full=True)
        assert len(exports.made) == 2
        assert store.sql("SELECT count(*) FROM audience_users") == [(6,)]

    def test_the_next_day_makes_new_exports(self, exports: Exports) -> None:
        notes: dict[str, Any] = {}
        read(pull_of(analytics(), "audience_users", state=notes, pulled_at=NOON))
        read(pull_of(analytics(), "audience_users", state=notes, pulled_at=NOON + timedelta(days=1)))
        assert len(exports.made) == 4

    def test_an_export_that_takes_too_long_is_read_by_the_next_pull(self, store: Loads, exports: Exports) -> None:
        exports.looks = 4
        source = analytics(streams=("audience_users",), audiences=("Purchasers",), export_wait_minutes=0)
        report = store.run(source, pulled_at=NOON)
        assert report["audience_users"].status == "partial"
        assert "Purchasers" in str(report["audience_users"].error)
        exports.looks = 0
        next(iter(exports.made.values()))["looks"] = 0
        report = store.run(source, pulled_at=NOON)
        assert (report["audience_users"].status, report["audience_users"].rows) == ("complete", 3)
        assert len(exports.made) == 1

    def test_a_failed_export_is_reported_and_made_anew(self, store: Loads, exports: Exports) -> None:
        source = analytics(streams=("audience_users",), audiences=("Purchasers",))
        exports.fails = True
        report = store.run(source, pulled_at=NOON)
        assert report["audience_users"].status == "failed"
        assert "out of quota" in str(report["audience_users"].error)
        exports.fails = False
        assert store.run(source, pulled_at=NOON)["audience_users"].rows == 3

    def test_an_operation_that_names_no_export_is_looked_up(self, exports: Exports) -> None:
        exports.unnamed = True
        assert len(read(pull_of(analytics(), "audience_users", pulled_at=NOON))) == 6

    def test_no_answer_to_a_beginning_makes_no_second_export(
        self, vendor: responses.RequestsMock, exports: Exports
    ) -> None:
        def begin_and_break(request: Any) -> Any:
            exports._create(request)
            raise requests.exceptions.ReadTimeout

        vendor.remove("POST", f"{PROPERTY}/audienceExports")
        vendor.add_callback("POST", f"{PROPERTY}/audienceExports", begin_and_break)
        assert len(read(pull_of(analytics(audiences=("7",)), "audience_users", pulled_at=NOON))) == 3
        assert len(exports.made) == 1

    def test_an_audience_that_is_not_there_is_named(self, exports: Exports) -> None:
        with pytest.raises(ConfigurationError, match=r"Purchasors.*All users, Purchasers"):
            read(pull_of(analytics(audiences=("Purchasors",)), "audience_users", pulled_at=NOON))

    def test_a_backfill_makes_no_export(self, exports: Exports) -> None:
        past = pull_of(analytics(), "audience_users", since=NOON, until=NOON, pulled_at=NOON)
        assert read(past) == []
        assert not exports.made

    def test_only_a_refusal_of_ads_is_a_consent(self) -> None:
        source = analytics(audience_dimensions=("deviceId", "isAdsPersonalizationAllowed"))
        people = next(one.people for one in source.streams() if one.name == "audience_users")
        assert people is not None
        assert [dict(one.statuses) for one in people.consents] == [{"false": "denied"}]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=400, limits=False) as running:
        yield running


@pytest.fixture
def given(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "base_url": f"{sandbox.url}/ga4",
        "token_url": f"{sandbox.url}/ga4/token",
        "property_id": "350000001",
        "client_id": "sandbox-client",
        "client_secret": SecretStr("sandbox-secret"),
        "refresh_token": SecretStr("sandbox-refresh"),
        "export_poll_seconds": 0.2,
    }


@pytest.fixture
def fresh(sandbox: Sandbox) -> None:
    """The sandbox with its quotas as at its start: it counts server errors by the hour, as Google does."""
    requests.post(f"{sandbox.url}/_sandbox/reset", timeout=10).raise_for_status()


class TestContract(SourceContract):
    wrong_credential: ClassVar = {"client_secret": SecretStr("wrong")}
    renews_tokens = True
    odd_field = ("traffic_by_channel", "metricValues")

    @pytest.fixture
    def make(self, given: dict[str, Any]) -> MakeSource:
        # One report: the suite's faults for three would pass the ten server errors that Google allows in an hour.
        facts = {**given, "reports": DEFAULT_REPORTS[:1]}
        return lambda **changes: GoogleAnalytics4(GoogleAnalytics4Settings(**{**facts, **changes}))

    @pytest.fixture
    def begun(self, make: MakeSource, tmp_path: Path, steered: StandIn) -> Pulled:
        """Pulled by each test: the sandbox, which begins anew for each, has exports of another time."""
        begun = Pulled(tmp_path / "begun")
        begun.first = begun.pull(make())
        begun.first_requests = steered.requests_seen()
        steered.clear()
        return begun

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox, fresh: None) -> StandIn:
        return SandboxStandIn(sandbox.url, "ga4")


class TestAgainstTheSandbox:
    @pytest.fixture
    def source(self, given: dict[str, Any]) -> GoogleAnalytics4:
        return GoogleAnalytics4(GoogleAnalytics4Settings(**given))

    @pytest.fixture
    def faults(self, sandbox: Sandbox, fresh: None) -> Iterator[Any]:
        def order(**facts: object) -> None:
            answer = requests.post(f"{sandbox.url}/_sandbox/faults", json={"system": "ga4", **facts}, timeout=10)
            assert answer.ok, answer.text

        yield order
        requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)

    def test_reports_and_members_arrive_whole(self, sandbox: Sandbox, source: GoogleAnalytics4, store: Loads) -> None:
        report = store.run(source)
        assert {name: one.status for name, one in report.items()} == dict.fromkeys(report, "complete")
        assert store.sql("SELECT count(DISTINCT date) FROM traffic_by_channel") == [(30,)]
        members = set(store.sql("SELECT audience_name, device_id, user_id FROM audience_users"))
        people = range(400)
        devices = {(d.device_id, d.user_id) for i in people for d in sandbox.company.devices(i)}
        assert devices <= {member[1:] for member in members if member[0] == "All users"}
        expected = {
            (name, device.device_id, device.user_id)
            for i in people
            for name in sandbox.company.ga4_audiences(i)
            for device in sandbox.company.devices(i)
            if device.user_id is not None
        }
        assert expected <= members
        assert {member for member in members if member[2] is not None} == expected
        assert store.run(source)["audience_users"].rows == 0

    def test_a_service_account_is_accepted(self, sandbox: Sandbox, given: dict[str, Any]) -> None:
        account = requests.get(f"{sandbox.url}/_sandbox/credentials/ga4", timeout=10).json()
        user = {"client_id": None, "client_secret": None, "refresh_token": None}
        key = SecretStr(orjson.dumps(account.get("service_account", account)).decode())
        source = GoogleAnalytics4(GoogleAnalytics4Settings(**{**given, **user, "service_account": key}))
        source.probe(pull_of(source, "audiences"))

    def test_a_property_without_access_says_so(self, given: dict[str, Any]) -> None:
        source = GoogleAnalytics4(GoogleAnalytics4Settings(**{**given, "property_id": "350000002"}))
        with pytest.raises(PermissionDeniedError):
            source.probe(pull_of(source, "audiences"))

    @pytest.mark.parametrize("stream", ["traffic_by_channel", "audiences", "audience_users"])
    def test_each_stream_can_be_probed(self, source: GoogleAnalytics4, stream: str) -> None:
        source.probe_stream(pull_of(source, stream))

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "server_error", "every": 4, "times": 3},
            {"kind": "truncated", "every": 3, "times": 4},
            {"kind": "reset", "every": 3, "times": 4},
            {"kind": "short_page", "every": 2},
            {"kind": "expire_token", "times": 1},
        ],
        ids=lambda fault: fault["kind"],
    )
    def test_faults_on_the_way_cost_no_row(
        self, source: GoogleAnalytics4, store: Loads, faults: Any, fault: dict[str, Any], tmp_path: Path
    ) -> None:
        whole = loads_of(tmp_path / "whole")
        whole.run(source)
        faults(**fault)
        report = store.run(GoogleAnalytics4(source.settings))
        assert {name: one.status for name, one in report.items()} == dict.fromkeys(report, "complete")
        for table in ("traffic_by_channel", "pages", "events", "audience_users"):
            query = f"SELECT row_key FROM {table} ORDER BY 1"
            assert store.sql(query) == whole.sql(query)


def loads_of(folder: Path) -> Loads:
    folder.mkdir()
    return Loads(folder, "ga4")
