"""Adobe Analytics: odd answers by themselves, and whole pulls of a report suite."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
import yaml
from pydantic import ValidationError

from millstream.sandbox import Sandbox
from millstream.sandbox.adobe_analytics import write_feed
from millstream.sources.adobe_analytics import AdobeAnalyticsSettings
from millstream.sources.check import check_source
from millstream.sources.files import Files, FilesSettings
from millstream.sources.testing import Pulled
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    RateLimitedError,
    RefusedError,
    SchemaError,
    UnavailableError,
)
from millstream.state.http import Answer
from tests.sources.adobe_report_suite import REPORTS, ROOT, SUITE, TOKEN, ReportSuite, adobe, item_id
from tests.sources.loading import pull_of, read

DOCS = Path(__file__).parents[2] / "docs" / "sources" / "adobe_analytics.md"
TODAY = datetime(2026, 3, 5, 10, 30, tzinfo=UTC)
YESTERDAY = date(2026, 3, 4)
TRAFFIC = {"name": "traffic", "metrics": ["visits", "metrics/orders"]}
PAGES = {"name": "pages", "dimensions": ["variables/page"], "metrics": ["visits"]}
DEVICES = {"name": "devices", "dimensions": ["mobiledevicetype", "page"], "metrics": ["visits", "orders"]}
CUSTOMERS = {
    "name": "customers",
    "dimensions": ["evar5", "evar7"],
    "metrics": ["visits", "revenue"],
    "columns": {"evar5": "customer_id"},
    "identifiers": {"evar5": "user_id"},
    "traits": {"evar7": "plan"},
    "event": "Website Visited",
    "value": "revenue",
}


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def suite(vendor: responses.RequestsMock) -> ReportSuite:
    return ReportSuite(vendor)


def rows_of(report: dict[str, Any], *, state: Any = None, at: datetime = TODAY, **settings: Any) -> list[Any]:
    """The rows of one report; of yesterday, if the settings say nothing else."""
    source = adobe(report, **{"first_days": 1, **settings})
    return read(pull_of(source, report["name"], state=state, pulled_at=at))


def days_asked(suite: ReportSuite) -> list[str]:
    return [one["globalFilters"][0]["dateRange"] for one in suite.asked]


class TestDays:
    def test_a_day_is_asked_for_in_the_suites_own_time(self, suite: ReportSuite) -> None:
        (row,) = rows_of(TRAFFIC)
        assert days_asked(suite) == ["2026-03-04T00:00:00.000/2026-03-05T00:00:00.000"]
        assert row["date"] == YESTERDAY
        assert row["day_starts_at"].isoformat() == "2026-03-04T00:00:00+01:00"

    @pytest.mark.parametrize(
        ("zone", "last"), [("Europe/Berlin", "2026-03-05"), ("UTC", "2026-03-04"), ("US/Pacific", "2026-03-04")]
    )
    def test_the_last_day_is_yesterday_there(self, suite: ReportSuite, zone: str, last: str) -> None:
        rows_of(TRAFFIC, at=datetime(2026, 3, 5, 23, 30, tzinfo=UTC), timezone=zone)
        assert days_asked(suite)[-1].startswith(last)

    def test_the_next_pull_reads_the_lookback_again(self, suite: ReportSuite) -> None:
        state: dict[str, Any] = {}
        rows_of(TRAFFIC, state=state, first_days=5)
        assert state == {"read": "2026-03-04"}
        suite.asked.clear()
        rows_of(TRAFFIC, state=state, at=TODAY + timedelta(days=1), lookback_days=2)
        assert [day[:10] for day in days_asked(suite)] == ["2026-03-03", "2026-03-04", "2026-03-05"]

    def test_the_first_pull_begins_with_the_start_date(self, suite: ReportSuite) -> None:
        assert len(rows_of(TRAFFIC, start_date="2026-02-27")) == 6

    def test_a_backfill_reads_its_days_and_leaves_the_place(self, suite: ReportSuite) -> None:
        state = {"read": "2026-03-01"}
        pull = pull_of(
            adobe(TRAFFIC),
            "traffic",
            state=state,
            since=datetime(2026, 2, 1, tzinfo=UTC),
            until=datetime(2026, 2, 4, tzinfo=UTC),
            pulled_at=TODAY,
        )
        assert [str(row["date"]) for row in read(pull)] == ["2026-02-01", "2026-02-02", "2026-02-03"]
        assert state == {"read": "2026-03-01"}

    def test_the_place_is_in_step_with_each_day(self, suite: ReportSuite) -> None:
        state: dict[str, Any] = {}
        pull = pull_of(adobe(TRAFFIC, first_days=3), "traffic", state=state, pulled_at=TODAY)
        assert pull.stream.read is not None
        assert [state["read"] for _ in pull.stream.read(pull)] == ["2026-03-02", "2026-03-03", "2026-03-04"]


class TestReports:
    def test_totals_need_no_dimension(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {("home",): 3.0, ("cart",): 2.0}
        (row,) = rows_of(TRAFFIC)
        assert (row["visits"], row["orders"]) == (5.0, 5.0)
        assert "dimension" not in suite.asked[0]

    def test_pages_of_items_are_all_read_in_an_order_that_stays(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {(f"page {number}",): float(number) for number in range(7)}
        rows = rows_of(PAGES, page_size=3)
        assert sorted(row["page"] for row in rows) == [f"page {number}" for number in range(7)]
        assert len({row["row_key"] for row in rows}) == 7
        assert [one["settings"]["page"] for one in suite.asked] == [0, 1, 2]
        assert {one["settings"]["dimensionSort"] for one in suite.asked} == {"asc"}

    def test_fewer_items_than_announced_are_missed(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {("home",): 1.0}
        suite.more = 1
        state: dict[str, Any] = {}
        with pytest.raises(IncompleteError, match="announced 2 items of page and gave 1"):
            rows_of(PAGES, state=state)
        assert state == {}

    def test_each_item_is_broken_down_by_the_next_dimension(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {("Phone", "home"): 3.0, ("Phone", "cart"): 1.0, ("Tablet", "home"): 2.0}
        rows = rows_of({**DEVICES, "segments": ["s1"]})
        found = [(row["mobiledevicetype"], row["page"], row["visits"], row["orders"]) for row in rows]
        assert found == [("Phone", "cart", 1.0, 1.0), ("Phone", "home", 3.0, 3.0), ("Tablet", "home", 2.0, 2.0)]
        first, *others = suite.asked
        assert first["dimension"] == "variables/mobiledevicetype"
        assert {one["dimension"] for one in others} == {"variables/page"}
        container = next(
            one["metricContainer"]
            for one in others
            if one["metricContainer"]["metricFilters"][0]["itemId"] == item_id("Phone")
        )
        assert container["metricFilters"][0]["dimension"] == "variables/mobiledevicetype"
        assert [metric["filters"] for metric in container["metrics"]] == [["0"], ["0"]]
        assert all(one["globalFilters"][1] == {"type": "segment", "segmentId": "s1"} for one in suite.asked)

    def test_three_dimensions_are_asked_for_level_by_level(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {("a", "b", "c"): 1.0, ("a", "b", "d"): 2.0, ("a", "e", "c"): 4.0}
        report = {"name": "deep", "dimensions": ["x", "y", "z"], "metrics": ["visits"]}
        found = [(row["y"], row["z"], row["visits"]) for row in rows_of(report)]
        assert found == [("e", "c", 4.0), ("b", "c", 1.0), ("b", "d", 2.0)], "the largest is broken down first"
        assert len(suite.asked) == 4
        assert len(suite.asked[-1]["metricContainer"]["metricFilters"]) == 2

    def test_only_the_largest_items_are_broken_down_and_the_rest_is_told(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {(f"device {number}", "home"): float(number) for number in range(6)}
        source = adobe({**DEVICES, "most_items": 4}, first_days=1, page_size=3)
        pull = pull_of(source, "devices", pulled_at=TODAY)
        assert [row["mobiledevicetype"] for row in read(pull)] == [f"device {number}" for number in (5, 4, 3, 2)]
        assert suite.asked[0]["metricContainer"]["metrics"][0]["sort"] == "desc"
        assert "2 items were not broken down" in pull.warnings[0]

    def test_numbers_go_with_the_columns_that_the_answer_names(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh", "expires_in": 10})
        answer = {"columns": {"columnIds": ["1", "0"]}, "summaryData": {"totals": [7.0, "NaN"]}}
        vendor.post(REPORTS, json=answer)
        (row,) = rows_of(TRAFFIC)
        assert (row["visits"], row["orders"]) == (None, 7.0)

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            ({"columns": {"columnIds": ["0"]}, "summaryData": {"totals": [1.0, 2.0]}}, SchemaError),
            ({"columns": {"columnIds": ["0", "7"]}, "summaryData": {"totals": [1.0, 2.0]}}, SchemaError),
            ({"columns": {"columnIds": ["0", "1"]}}, SchemaError),
            ({"summaryData": {}}, MalformedAnswerError),
            ([], MalformedAnswerError),
        ],
    )
    def test_an_answer_of_another_shape_is_a_changed_api(self, vendor: Any, answer: Any, error: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.post(REPORTS, json=answer)
        with pytest.raises(error):
            rows_of(TRAFFIC)

    @pytest.mark.parametrize("row", [{"value": "home", "data": [1.0]}, {"itemId": "1", "data": [1.0]}])
    def test_a_row_without_its_item_is_a_changed_api(self, vendor: Any, row: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.post(REPORTS, json={"columns": {"columnIds": ["0"]}, "rows": [row], "lastPage": True})
        with pytest.raises(SchemaError, match="itemId"):
            rows_of(PAGES)

    def test_a_metric_that_fails_alone_fails_the_report(self, vendor: Any) -> None:
        error = {"columnId": "1", "errorCode": "unauthorized_metric", "errorDescription": "No access"}
        vendor.post(TOKEN, json={"access_token": "fresh"})
        body = {"columns": {"columnIds": ["0"], "columnErrors": [error]}, "summaryData": {"totals": [1.0]}}
        vendor.post(REPORTS, status=206, json=body)
        with pytest.raises(RefusedError, match=r"no metrics/orders: unauthorized_metric - No access"):
            rows_of(TRAFFIC)

    def test_a_report_that_takes_long_says_when_it_ends(self, suite: ReportSuite) -> None:
        source = adobe(TRAFFIC, start_date="2016-01-01", requests_per_minute=10)
        pull = pull_of(source, "traffic", pulled_at=TODAY)
        assert pull.stream.read is not None
        next(iter(pull.stream.read(pull)))
        assert "3716 requests at 10 a minute" in pull.warnings[0]


class TestPeople:
    def test_a_dimension_with_ids_names_people(self, suite: ReportSuite) -> None:
        suite.days[YESTERDAY] = {("C-1", "pro"): 2.0, ("Low Traffic", "free"): 9.0}
        rows = rows_of(CUSTOMERS)
        columns = ("customer_id", "customer_id_named", "is_low_traffic", "names_nobody")
        assert [tuple(row[name] for name in columns) for row in rows] == [
            ("Low Traffic", None, True, True),
            ("C-1", "C-1", False, False),
        ]
        assert suite.asked[0]["settings"]["nonesBehavior"] == "exclude-nones"
        assert suite.asked[1]["settings"]["nonesBehavior"] == "return-nones"

    def test_it_says_who_they_are_what_they_have_and_that_they_came(self) -> None:
        people = adobe(CUSTOMERS).streams()[0].people
        assert people is not None
        assert [(one.kind, one.column) for one in people.identifiers] == [("user_id", "customer_id_named")]
        assert [(one.name, one.column) for one in people.traits] == [("plan", "evar7")]
        (event,) = people.events
        assert (event.name, event.value, event.properties) == (
            "Website Visited",
            "revenue",
            ("date", "visits", "revenue"),
        )

    def test_days_of_one_person_are_one_record_unless_they_say_what_is_true(self) -> None:
        without = {name: value for name, value in CUSTOMERS.items() if name != "traits"}
        people = [adobe(report).streams()[0].people for report in (CUSTOMERS, without)]
        assert [one.record for one in people if one] == ["row", "subject"]

    def test_other_reports_say_nothing_about_people(self) -> None:
        assert all(stream.people is None for stream in adobe(TRAFFIC, PAGES).streams())


class TestSettings:
    @pytest.mark.parametrize(
        ("report", "why"),
        [
            ({**PAGES, "columns": {"nothing": "x"}}, "no dimension or metric"),
            ({**PAGES, "columns": {"page": "visits"}}, "two columns named 'visits'"),
            ({**PAGES, "columns": {"page": "date"}}, "two columns named 'date'"),
            ({**PAGES, "identifiers": {"visits": "user_id"}}, "are dimensions"),
            ({**PAGES, "traits": {"page": "x"}}, "need identifiers"),
            ({**PAGES, "event": "Seen"}, "need identifiers"),
            ({**CUSTOMERS, "value": "orders"}, "one of the metrics"),
            ({**PAGES, "metrics": []}, "at least 1"),
            ({**PAGES, "name": "segments"}, "name is taken"),
        ],
    )
    def test_a_report_that_does_not_hold_together_is_refused(self, report: Any, why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            adobe(report)

    def test_a_time_zone_is_a_known_one(self) -> None:
        with pytest.raises(ValidationError, match="no time zone"):
            adobe(TRAFFIC, timezone="Mars/Olympus")

    def test_there_are_reports_without_any_setting(self) -> None:
        settings = AdobeAnalyticsSettings(client_id="x", client_secret="y", rsid="shop")
        assert [report.name for report in settings.reports] == ["traffic", "traffic_by_channel", "pages"]


class TestCompany:
    def discovered(self, vendor: Any, *companies: str) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        found = [{"globalCompanyId": one} for one in companies]
        vendor.get(f"{ROOT}/discovery/me", json={"imsOrgs": [{"imsOrgId": "o", "companies": found}]})

    def test_the_only_company_needs_no_name(self, vendor: Any, suite: ReportSuite) -> None:
        self.discovered(vendor, "acme0")
        assert len(rows_of(TRAFFIC, global_company_id=None)) == 1
        headers = vendor.calls[-1].request.headers
        sent = [headers[name] for name in ("x-api-key", "x-proxy-global-company-id", "Authorization")]
        assert sent == ["an-id", "acme0", "Bearer fresh"]

    def test_of_several_the_settings_name_one(self, vendor: Any) -> None:
        self.discovered(vendor, "acme0", "other1")
        with pytest.raises(ConfigurationError, match="several companies") as caught:
            rows_of(TRAFFIC, global_company_id=None)
        assert caught.value.allowed == ("acme0", "other1")

    def test_without_any_the_product_profile_is_missing(self, vendor: Any) -> None:
        self.discovered(vendor)
        with pytest.raises(PermissionDeniedError, match="product profile"):
            rows_of(TRAFFIC, global_company_id=None)

    def test_the_suite_says_its_time_zone_once(self, vendor: Any, suite: ReportSuite) -> None:
        vendor.get(SUITE, json={"rsid": "shop", "timezoneZoneinfo": "US/Pacific"})
        source = adobe(TRAFFIC, PAGES, timezone=None, first_days=1)
        at = datetime(2026, 3, 5, 7, 30, tzinfo=UTC)
        for report in ("traffic", "pages"):
            read(pull_of(source, report, pulled_at=at))
        assert {day[:10] for day in days_asked(suite)} == {"2026-03-03"}
        assert [call.request.url for call in vendor.calls].count(SUITE) == 1

    def test_a_time_zone_that_is_unknown_here_is_asked_for(self, vendor: Any, suite: ReportSuite) -> None:
        vendor.get(SUITE, json={"rsid": "shop", "timezoneZoneinfo": "Mars/Olympus"})
        with pytest.raises(ConfigurationError, match="Mars/Olympus"):
            rows_of(TRAFFIC, timezone=None)


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "body", "error", "words"),
        [
            (401, {"error_code": "401013", "message": "Oauth token is not valid"}, AuthenticationError, "not valid"),
            (403, {"errorCode": "insufficient_access", "errorDescription": "No"}, PermissionDeniedError, "profile"),
            (400, {"errorCode": "insufficient_access", "errorDescription": "No"}, PermissionDeniedError, "profile"),
            (400, {"errorCode": "invalid_dimension_access", "errorDescription": "No"}, RefusedError, "dimensions"),
        ],
    )
    def test_a_refusal_comes_in_adobes_words(self, vendor: Any, status: int, body: Any, error: Any, words: str) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.post(REPORTS, status=status, json=body)
        with pytest.raises(error, match=words):
            rows_of(TRAFFIC)

    def test_too_many_requests_wait_for_the_next_six_seconds(self) -> None:
        found = adobe(TRAFFIC).classify(_answered(429, b'{"error_code":"429050","message":"Too many requests"}'))
        assert isinstance(found, RateLimitedError)
        assert found.retry_after == 6.0

    def test_a_request_that_took_too_long_says_what_to_make_smaller(self) -> None:
        found = adobe(TRAFFIC).classify(_answered(504, b"<html>"))
        assert isinstance(found, UnavailableError)
        assert "page_size" in str(found)

    def test_an_answer_without_words_still_has_its_status(self) -> None:
        found = adobe(TRAFFIC).classify(_answered(403, b"<html>"))
        assert isinstance(found, PermissionDeniedError)

    def test_discovery_that_answers_something_else_is_no_success(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.get(f"{ROOT}/discovery/me", json={"message": "hello"})
        (result,) = check_source(adobe(TRAFFIC), name="adobe")
        assert not result.ok


class TestCatalogues:
    def test_ids_are_those_of_reports(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        metrics = [{"id": "metrics/visits", "name": "Visits"}, {"id": "cm1", "name": "Mine"}]
        vendor.get(f"{ROOT}/api/acme0/metrics", json=metrics)
        assert [row["id"] for row in read(pull_of(adobe(TRAFFIC), "metrics"))] == ["visits", "cm1"]

    def test_something_else_than_a_list_is_a_changed_api(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.get(f"{ROOT}/api/acme0/dimensions", json={"content": []})
        with pytest.raises(MalformedAnswerError):
            read(pull_of(adobe(TRAFFIC), "dimensions"))

    def test_segments_come_in_pages(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        for number, last in ((1, False), (2, True)):
            page = {"content": [{"id": f"s{number}", "name": "Mine"}], "lastPage": last}
            vendor.get(f"{ROOT}/api/acme0/segments", json=page)
        assert [row["id"] for row in read(pull_of(adobe(TRAFFIC), "segments"))] == ["s1", "s2"]

    def test_more_segments_that_do_not_come_are_missed(self, vendor: Any) -> None:
        vendor.post(TOKEN, json={"access_token": "fresh"})
        vendor.get(f"{ROOT}/api/acme0/segments", json={"content": [], "lastPage": False})
        with pytest.raises(IncompleteError):
            read(pull_of(adobe(TRAFFIC), "segments"))


class TestStored:
    def test_rows_that_adobe_took_back_are_marked(self, suite: ReportSuite, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        suite.days[YESTERDAY] = {("home",): 3.0, ("cart",): 2.0}
        pulled.pull(adobe(PAGES, first_days=1, streams=("pages",)), pulled_at=TODAY)
        suite.days[YESTERDAY] = {("home",): 5.0}
        report = pulled.pull(adobe(PAGES, streams=("pages",)), pulled_at=TODAY + timedelta(hours=1))
        assert [str(error) for error in report.errors] == []
        with pulled.store.open() as connection:
            rows = connection.execute(
                "SELECT page, visits, deleted FROM raw_adobe_analytics.pages ORDER BY page"
            ).fetchall()
        assert rows == [("cart", 2.0, True), ("home", 5.0, False)]

    def test_items_that_are_only_left_out_are_not(self, suite: ReportSuite, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        report = {**DEVICES, "most_items": 1}
        suite.days[YESTERDAY] = {("Phone", "home"): 3.0, ("Tablet", "home"): 2.0}
        pulled.pull(adobe(report, first_days=1, streams=("devices",)), pulled_at=TODAY)
        suite.days[YESTERDAY] = {("Phone", "home"): 3.0, ("Tablet", "home"): 4.0}
        pulled.pull(adobe(report, streams=("devices",)), pulled_at=TODAY + timedelta(hours=1))
        with pulled.store.open() as connection:
            found = connection.execute("SELECT count(*), bool_or(deleted) FROM raw_adobe_analytics.devices").fetchall()
        assert found == [(2, False)]

    def test_a_pull_that_is_killed_goes_on_with_the_next_day(
        self, suite: ReportSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("millstream.sources.adobe_analytics.reports.REQUESTS_A_PART", 4)
        pulled = Pulled(tmp_path)
        for back in range(12):
            suite.days[YESTERDAY - timedelta(days=back)] = {("home",): 1.0}

        class Killed(BaseException):
            pass

        def kill(stream: str, rows: int) -> None:
            if rows >= 6:
                raise Killed

        facts: dict[str, Any] = {"first_days": 12, "streams": ("pages",), "lookback_days": 0}
        with pytest.raises(Killed):
            pulled.pull(adobe(PAGES, **facts), progress=kill, pulled_at=TODAY)
        suite.asked.clear()
        pulled.pull(adobe(PAGES, **facts), pulled_at=TODAY)
        assert [day[:10] for day in days_asked(suite)] == [
            str(YESTERDAY - timedelta(days=back)) for back in range(7, -1, -1)
        ]
        assert len(pulled.rows(adobe(PAGES), "pages")) == 12


class TestDataFeed:
    def test_the_documented_sample_reads_it(self, tmp_path: Path) -> None:
        samples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(), re.DOTALL)
        facts = yaml.safe_load(samples[-1])["sources"]["adobe_feed"]["streams"]["hits"]
        company, feed = Sandbox(people=60, today=date(2026, 11, 20)).company, tmp_path / "feed"
        feed.mkdir()
        write_feed(company, feed, date(2026, 11, 18))
        [lookups] = feed.glob("*lookup_data.tar.gz")
        with tarfile.open(lookups) as archive:
            headers = archive.extractfile("column_headers.tsv")
            assert headers is not None
            header = headers.read().decode().split()
        settings = FilesSettings(url=str(feed), settle_seconds=0, streams={"hits": facts | {"header": header}})
        pulled = Pulled(tmp_path)
        report = pulled.pull(Files(settings))
        assert [str(error) for error in report.errors] == []
        manifest = next(feed.glob("*.txt")).read_text()
        announced = re.search(r"Total-Records: (\d+)", manifest)
        assert announced is not None
        with pulled.store.open() as connection:
            found = connection.execute(
                "SELECT count(*), count(DISTINCT mcvisid) > 1, count(hit_time_gmt) FROM raw_files.hits"
            ).fetchone()
        assert found == (int(announced[1]), True, int(announced[1]))


def _answered(status: int, body: bytes) -> Answer:
    answer = Answer()
    answer.status_code = status
    answer._content = body
    return answer
