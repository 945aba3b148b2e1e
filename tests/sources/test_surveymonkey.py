"""SurveyMonkey: documented shapes and odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import requests
import responses
from pydantic import SecretStr

from millstream.sandbox import Sandbox
from millstream.sources.pull import Window
from millstream.sources.surveymonkey import SurveyMonkey, SurveyMonkeySettings
from millstream.sources.surveymonkey.structure import question_rows, recommendation_scores
from millstream.sources.testing import SandboxStandIn, SourceContract, StandIn
from millstream.state.errors import (
    AuthenticationError,
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    QuotaExhaustedError,
)
from tests.sources.loading import Loads, loads, pull_of, read

ROOT = "https://surveymonkey.test/v3"
TOKEN = SecretStr("sandbox-surveymonkey")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def survey_monkey(base_url: str = ROOT, **settings: Any) -> SurveyMonkey:
    return SurveyMonkey(SurveyMonkeySettings(base_url=base_url, access_token=TOKEN, **settings))


def a_survey(survey_id: str = "105", responses: int = 1, modified: str = "2026-02-01T08:00:00") -> dict[str, Any]:
    return {
        "id": survey_id,
        "title": f"Survey {survey_id}",
        "response_count": responses,
        "date_created": "2026-01-01T08:00:00",
        "date_modified": modified,
    }


def a_response(number: int, at: datetime = NOON, **more: Any) -> dict[str, Any]:
    return {
        "id": str(900_000 + number),
        "survey_id": "105",
        "collector_id": "77",
        "recipient_id": "0",
        "response_status": "completed",
        "collection_mode": "default",
        "date_created": (at - timedelta(minutes=2)).isoformat(),
        "date_modified": at.isoformat(),
        "total_time": 120,
        "custom_value": "",
        "custom_variables": {},
        "metadata": {},
        "pages": [{"id": "11", "questions": [{"id": "201", "answers": [{"choice_id": "3009", "row_id": "40"}]}]}],
    } | more


DETAILS = {
    "id": "105",
    "pages": [
        {
            "id": "11",
            "questions": [
                {
                    "id": "201",
                    "position": 1,
                    "visible": True,
                    "family": "matrix",
                    "subtype": "rating",
                    "headings": [{"heading": "How likely are you to recommend us?"}],
                    "answers": {
                        "rows": [{"id": "40", "text": ""}],
                        "choices": [{"id": f"{3000 + n}", "text": str(n), "weight": n} for n in range(11)],
                    },
                },
                {
                    "id": "202",
                    "position": 2,
                    "visible": True,
                    "family": "open_ended",
                    "subtype": "essay",
                    "headings": [{"heading": "Why?"}],
                },
            ],
        }
    ],
}


class Account:
    """A made-up account behind the documented endpoints; the start of a window is inclusive or not, as set."""

    def __init__(self, vendor: responses.RequestsMock, *, inclusive: bool = True) -> None:
        self.surveys = [a_survey()]
        self.responses: dict[str, list[dict[str, Any]]] = {"105": [a_response(1)]}
        self.recipients: dict[str, str] = {}
        self.inclusive = inclusive
        self.calls: list[str] = []
        self.left = 500
        self.between_pages = lambda: None
        for path, answer in {
            r"surveys": self._surveys,
            r"surveys/\d+/details": lambda _, __: DETAILS,
            r"surveys/\d+/responses/bulk": self._bulk,
            r"collectors/\d+/recipients": self._recipients,
            r"collectors/\d+/recipients/\d+": self._recipient,
        }.items():
            self._answer(vendor, path, answer)

    def _answer(self, vendor: responses.RequestsMock, path: str, make: Any) -> None:
        import re

        def callback(request: Any) -> tuple[int, Mapping[str, str], bytes]:
            parts = urlsplit(request.url)
            self.calls.append(parts.path.removeprefix("/v3/"))
            self.left -= 1
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            body = make(parts.path.removeprefix("/v3/").split("/"), query)
            headers = {
                "X-Ratelimit-App-Global-Day-Remaining": str(self.left),
                "X-Ratelimit-App-Global-Day-Reset": "3600",
                "X-Ratelimit-App-Global-Minute-Remaining": "100",
                "X-Ratelimit-App-Global-Minute-Reset": "30",
            }
            if body is None:
                error = {"error": {"id": "1020", "name": "Resource Not Found", "http_status_code": 404}}
                return 404, headers, orjson.dumps(error)
            return 200, headers, orjson.dumps(body)

        vendor.add_callback("GET", re.compile(rf"{re.escape(ROOT)}/{path}(\?|$)"), callback)

    def _page(self, rows: list[Any], query: Mapping[str, str]) -> dict[str, Any]:
        page, size = int(query.get("page", 1)), int(query["per_page"])
        some = rows[(page - 1) * size : page * size]
        links = {"self": "https://elsewhere.test/"}
        if page * size < len(rows):
            rest = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
            links["next"] = f"https://elsewhere.test/anything?{rest}&page={page + 1}"
        return {"data": some, "page": page, "per_page": size, "total": len(rows), "links": links}

    def _surveys(self, _: list[str], query: Mapping[str, str]) -> dict[str, Any]:
        return self._page(self.surveys, query)

    def _bulk(self, path: list[str], query: Mapping[str, str]) -> dict[str, Any]:
        assert query["sort_by"] == "date_modified"
        assert query["sort_order"] == "ASC"
        rows = sorted(self.responses.get(path[1], []), key=lambda row: row["date_modified"])
        if start := query.get("start_modified_at"):
            first = datetime.fromisoformat(start).replace(tzinfo=UTC)
            rows = [r for r in rows if _moment(r) > first or (self.inclusive and _moment(r) == first)]
        page = self._page(rows, query)
        self.between_pages()
        return page

    def _recipients(self, _: list[str], query: Mapping[str, str]) -> dict[str, Any]:
        rows = [{"id": number, "email": email} for number, email in self.recipients.items()]
        return self._page(rows, query)

    def _recipient(self, path: list[str], _: Mapping[str, str]) -> dict[str, Any] | None:
        email = self.recipients.get(path[-1])
        return {"id": path[-1], "email": email} if email else None


def _moment(row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(row["date_modified"])


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


@pytest.fixture
def account(vendor: responses.RequestsMock) -> Account:
    return Account(vendor)


@pytest.fixture
def store(tmp_path: Path) -> Loads:
    return loads(tmp_path, "surveymonkey")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=400, limits=False) as running:
        yield running


class TestWhoResponded:
    def test_an_email_in_the_metadata_is_taken_in_either_shape(self, account: Account) -> None:
        account.responses["105"] = [
            a_response(1, metadata={"contact": {"email": "Ann@Box.example"}}),
            a_response(2, metadata={"contact": {"email": {"type": "string", "value": "bo@box.example"}}}),
        ]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert [row["email"] for row in rows] == ["Ann@Box.example", "bo@box.example"]

    def test_an_email_in_a_field_of_its_own_is_second_to_that_in_the_metadata(self, account: Account) -> None:
        bo = {"contact": {"email": {"type": "string", "value": "bo@box.example"}}}
        account.responses["105"] = [
            a_response(1, email_address="ann@box.example", metadata={"contact": {}}, recipient_id="501"),
            a_response(2, email_address="", metadata=bo),
            a_response(3, email_address=""),
        ]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert [row["email"] for row in rows] == ["ann@box.example", "bo@box.example", None]
        assert not [call for call in account.calls if "recipients" in call]

    def test_a_recipient_is_looked_up_once_and_only_where_no_email_is_known(self, account: Account) -> None:
        account.recipients = {"501": "cy@box.example"}
        account.responses["105"] = [
            a_response(1, recipient_id="501"),
            a_response(2, recipient_id="502", metadata={"contact": {"email": "di@box.example"}}),
        ]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert [row["email"] for row in rows] == ["cy@box.example", "di@box.example"]
        assert [row["recipient_id"] for row in rows] == ["501", "502"]
        assert [call for call in account.calls if "recipients" in call] == ["collectors/77/recipients/501"]

    def test_many_recipients_of_a_collector_are_looked_up_in_its_list(self, account: Account) -> None:
        account.recipients = {str(n): f"p{n}@box.example" for n in range(500, 650)}
        account.responses["105"] = [a_response(n, recipient_id=str(500 + n)) for n in range(90)]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert all(row["email"] == f"p{row['recipient_id']}@box.example" for row in rows)
        assert account.calls.count("collectors/77/recipients") == 1

    def test_a_recipient_who_was_deleted_leaves_the_response_without_an_email(self, account: Account) -> None:
        account.responses["105"] = [a_response(1, recipient_id="404")]
        assert read(pull_of(survey_monkey(), "responses"))[0]["email"] is None

    def test_custom_variables_become_identifiers_of_the_kind_that_is_set(self, account: Account) -> None:
        account.responses["105"] = [a_response(1, custom_variables={"crm_id": "C-17"}, custom_value="site-4")]
        source = survey_monkey(identifiers={"crm_id": "hubspot_contact_id", "custom_value": "user_id"})
        pull = pull_of(source, "responses")
        (row,) = read(pull)
        assert pull.stream.people is not None
        kinds = {one.kind: row[one.column] for one in pull.stream.people.identifiers}
        assert kinds == {
            "email": None,
            "hubspot_contact_id": "C-17",
            "user_id": "site-4",
            "surveymonkey_recipient_id": None,
        }


class TestScores:
    def test_the_score_is_read_from_the_weight_or_from_the_text(self) -> None:
        plain = [{"id": str(n), "text": "", "weight": n} for n in range(11)]
        ready_made = [
            {"id": str(n), "text": text, "weight": -100 if n < 7 else 0 if n < 9 else 100}
            for n, text in enumerate(["Not at all likely - 0", *map(str, range(1, 10)), "Extremely likely - 10"])
        ]
        expected = {str(n): n for n in range(11)}
        assert recommendation_scores(plain) == expected
        assert recommendation_scores(ready_made) == expected
        assert recommendation_scores([*plain, {"id": "x", "text": "N/A", "is_na": True}]) == expected

    @pytest.mark.parametrize("count", [5, 10, 12])
    def test_other_ratings_are_no_recommendation_scores(self, count: int) -> None:
        choices = [{"id": str(n), "text": str(n), "weight": n} for n in range(count)]
        assert recommendation_scores(choices) == {}

    def test_several_rows_are_no_recommendation_score(self) -> None:
        choices = [{"id": str(n), "text": str(n), "weight": n} for n in range(11)]
        assert recommendation_scores(choices, rows=2) == {}

    def test_a_response_carries_its_score_and_its_answers_carry_the_texts(self, store: Loads, account: Account) -> None:
        pages = [
            {
                "id": "11",
                "questions": [
                    {"id": "201", "answers": [{"choice_id": "3009", "row_id": "40"}]},
                    {"id": "202", "answers": [{"text": "Quick"}]},
                ],
            }
        ]
        account.responses["105"] = [a_response(1, pages=pages)]
        store.run(survey_monkey(streams=("surveys", "questions", "responses", "answers")))
        assert store.sql("SELECT nps_score FROM responses") == [(9,)]
        assert store.sql("SELECT question, choice_text, text, score FROM answers ORDER BY question_id") == [
            ("How likely are you to recommend us?", "9", None, 9),
            ("Why?", None, "Quick", None),
        ]

    def test_a_preview_is_not_finished(self, account: Account) -> None:
        account.responses["105"] = [a_response(1, collection_mode="preview"), a_response(2, response_status="partial")]
        assert [row["is_finished"] for row in read(pull_of(survey_monkey(), "responses"))] == [False, False]


class TestReadingOn:
    @pytest.mark.parametrize("inclusive", [True, False])
    def test_nothing_is_missed_whether_or_not_a_start_is_inclusive(
        self, vendor: responses.RequestsMock, inclusive: bool
    ) -> None:
        account = Account(vendor, inclusive=inclusive)
        # Three responses a second, so that every page ends in the middle of one.
        many = [a_response(n, NOON + timedelta(seconds=n // 3)) for n in range(350)]
        account.responses["105"] = many
        account.surveys = [a_survey(responses=350)]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert [row["id"] for row in rows] == [row["id"] for row in many]

    def test_more_responses_in_a_second_than_fit_a_page_are_all_read(self, account: Account) -> None:
        account.responses["105"] = [a_response(n) for n in range(250)]
        account.surveys = [a_survey(responses=250)]
        assert len({row["id"] for row in read(pull_of(survey_monkey(), "responses"))}) == 250

    def test_a_response_changed_between_two_pages_hides_no_other(self, account: Account) -> None:
        account.responses["105"] = [a_response(n, NOON + timedelta(seconds=5 * n)) for n in range(150)]
        account.surveys = [a_survey(responses=150)]

        def change_the_first() -> None:
            account.responses["105"][0] |= {"date_modified": (NOON + timedelta(hours=1)).isoformat()}

        account.between_pages = change_the_first
        read_ids = {row["id"] for row in read(pull_of(survey_monkey(), "responses"))}
        assert read_ids == {str(900_000 + n) for n in range(150)}

    def test_the_next_pull_reads_from_a_minute_before_the_last_change(self, store: Loads, account: Account) -> None:
        account.responses["105"] = [a_response(1), a_response(2, NOON + timedelta(minutes=10))]
        account.surveys = [a_survey(responses=2)]
        store.run(survey_monkey(streams=("responses", "answers")))
        account.responses["105"].append(a_response(3, NOON + timedelta(minutes=9, seconds=30)))
        account.surveys = [a_survey(responses=3)]
        report = store.run(survey_monkey(streams=("responses", "answers")))
        assert report["responses"].rows == 2
        assert store.sql("SELECT count(*) FROM responses") == [(3,)]
        assert store.sql("SELECT count(*) FROM answers") == [(3,)]

    def test_a_survey_without_new_responses_costs_no_request(self, store: Loads, account: Account) -> None:
        store.run(survey_monkey(streams=("questions", "responses", "answers")))
        account.calls.clear()
        store.run(survey_monkey(streams=("questions", "responses", "answers")))
        assert account.calls == ["surveys"]

    def test_an_edit_that_leaves_the_count_is_found_by_the_recheck(self, store: Loads, account: Account) -> None:
        store.run(survey_monkey(streams=("responses", "answers")))
        edited = {"id": "201", "answers": [{"choice_id": "3002", "row_id": "40"}]}
        account.responses["105"] = [
            a_response(1, NOON + timedelta(hours=2), pages=[{"id": "11", "questions": [edited]}])
        ]
        store.run(survey_monkey(streams=("responses", "answers")))
        assert store.sql("SELECT nps_score FROM responses") == [(9,)]
        store.run(survey_monkey(streams=("responses", "answers"), recheck_hours=0))
        assert store.sql("SELECT nps_score FROM responses") == [(2,)]
        assert store.sql("SELECT choice_text FROM answers") == [("2",)]

    def test_answers_wanted_later_are_read_from_the_beginning(self, store: Loads, account: Account) -> None:
        store.run(survey_monkey(streams=("responses",)))
        account.responses["105"].append(a_response(2, NOON + timedelta(hours=1)))
        account.surveys = [a_survey(responses=2)]
        store.run(survey_monkey(streams=("responses", "answers")))
        assert store.sql("SELECT count(*) FROM answers") == [(2,)]

    def test_a_structure_is_fetched_again_only_when_the_survey_has_changed(
        self, store: Loads, account: Account
    ) -> None:
        store.run(survey_monkey(streams=("questions",)))
        store.run(survey_monkey(streams=("questions",)))
        assert account.calls.count("surveys/105/details") == 1
        account.surveys = [a_survey(modified="2026-02-09T08:00:00")]
        store.run(survey_monkey(streams=("questions",)))
        assert account.calls.count("surveys/105/details") == 2

    def test_a_backfill_reads_its_window_and_moves_no_place(self, store: Loads, account: Account) -> None:
        store.run(survey_monkey(streams=("responses",)))
        before = list(account.calls)
        store.run(survey_monkey(streams=("responses",)), window=Window.of_days(NOON.date(), NOON.date()))
        assert "surveys/105/responses/bulk" in account.calls[len(before) :]
        account.calls.clear()
        store.run(survey_monkey(streams=("responses",)))
        assert account.calls == ["surveys"]


class TestBudget:
    @pytest.fixture
    def busy(self, account: Account) -> Account:
        account.surveys = [
            a_survey("105", 300, "2026-02-01T08:00:00"),
            a_survey("106", 300, "2026-02-05T08:00:00"),
        ]
        for survey, base in (("105", 0), ("106", 10_000)):
            account.responses[survey] = [
                a_response(base + n, NOON + timedelta(seconds=7 * n), survey_id=survey) for n in range(300)
            ]
        return account

    def test_a_used_up_day_keeps_what_was_read_and_the_next_day_goes_on(self, store: Loads, busy: Account) -> None:
        streams = ("surveys", "questions", "responses", "answers")
        busy.left = 6
        report = store.run(survey_monkey(streams=streams))
        assert report["responses"].status == "partial"
        assert isinstance(report["responses"].error, QuotaExhaustedError)
        # Listing and two structures took three; the other three went to the survey that changed last.
        assert busy.left == 0
        read = store.sql("SELECT survey_id, count(*) FROM responses GROUP BY 1")
        assert [survey for survey, _ in read] == ["106"]
        assert store.sql("SELECT count(*) FROM answers") == store.sql("SELECT count(*) FROM responses")

        busy.left = 500
        busy.calls.clear()
        report = store.run(survey_monkey(streams=streams))
        assert {one.status for one in report.values()} == {"complete"}
        assert store.sql("SELECT count(*), count(DISTINCT id) FROM responses") == [(600, 600)]
        assert store.sql("SELECT count(*), count(DISTINCT response_id) FROM answers") == [(600, 600)]
        assert len(busy.calls) <= 8, "what was read the day before is not read again"

    def test_an_own_cap_holds_over_all_pulls_of_the_day(self, store: Loads, busy: Account) -> None:
        for _ in range(3):
            report = store.run(survey_monkey(streams=("responses",), daily_budget=6))
            assert report["responses"].status == "partial"
        assert len(busy.calls) <= 6 + 2, "after the cap only the listing is asked for"

    def test_small_budgets_still_arrive_at_the_end(self, store: Loads, busy: Account) -> None:
        streams = ("responses", "answers")
        for _ in range(12):
            busy.left = 4
            report = store.run(survey_monkey(streams=streams))
            if {one.status for one in report.values()} == {"complete"}:
                break
        assert store.sql("SELECT count(DISTINCT id) FROM responses") == [(600,)]
        assert store.sql("SELECT count(DISTINCT response_id) FROM answers") == [(600,)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "error_id", "kind"),
        [
            (401, "1011", AuthenticationError),
            (401, "1013", AuthenticationError),
            (403, "1014", PermissionDeniedError),
            (403, "1015", PermissionDeniedError),
            (403, "1017", QuotaExhaustedError),
            (403, "1018", ConfigurationError),
            (410, "1053", AuthenticationError),
        ],
    )
    def test_one_status_means_several_things(
        self, vendor: responses.RequestsMock, status: int, error_id: str, kind: type[Exception]
    ) -> None:
        error = {"error": {"id": error_id, "name": "Refused", "message": "No.", "http_status_code": status}}
        vendor.get(f"{ROOT}/surveys", status=status, json=error)
        source = survey_monkey()
        with pytest.raises(kind, match=error_id):
            source.probe(pull_of(source, "surveys"))

    def test_the_region_is_named_as_the_remedy(self, vendor: responses.RequestsMock) -> None:
        vendor.get(f"{ROOT}/surveys", status=403, json={"error": {"id": "1018", "name": "Wrong region"}})
        source = survey_monkey()
        with pytest.raises(ConfigurationError, match=r"api\.eu\.surveymonkey\.com"):
            source.probe(pull_of(source, "surveys"))

    def test_recipients_out_of_scope_leave_the_responses_complete(
        self, vendor: responses.RequestsMock, account: Account
    ) -> None:
        vendor.get(
            f"{ROOT}/collectors/78/recipients/501", status=403, json={"error": {"id": "1014", "name": "No scope"}}
        )
        account.responses["105"] = [a_response(1, collector_id="78", recipient_id="501"), a_response(2)]
        rows = read(pull_of(survey_monkey(), "responses"))
        assert [row["email"] for row in rows] == [None, None]

    def test_an_empty_page_that_announces_rows_is_no_end(self, vendor: responses.RequestsMock) -> None:
        vendor.get(f"{ROOT}/surveys", json={"data": [a_survey(responses=3)], "total": 1, "links": {}})
        vendor.get(f"{ROOT}/surveys/105/responses/bulk", json={"data": [], "total": 3, "links": {}})
        with pytest.raises(IncompleteError, match="empty page"):
            read(pull_of(survey_monkey(), "responses"))

    def test_a_page_without_a_total_is_malformed(self, vendor: responses.RequestsMock) -> None:
        vendor.get(f"{ROOT}/surveys", json={"data": []})
        with pytest.raises(MalformedAnswerError, match="total"):
            read(pull_of(survey_monkey(), "surveys"))

    def test_a_survey_too_large_for_its_structure_still_gives_its_responses(
        self, vendor: responses.RequestsMock
    ) -> None:
        vendor.get(f"{ROOT}/surveys", json={"data": [a_survey()], "total": 1, "links": {}})
        vendor.get(f"{ROOT}/surveys/105/details", status=413, json={"error": {"id": "1030", "name": "Too large"}})
        vendor.get(f"{ROOT}/surveys/105/responses/bulk", json={"data": [a_response(1)], "total": 1, "links": {}})
        (row,) = read(pull_of(survey_monkey(), "responses"))
        assert row["nps_score"] is None


@pytest.mark.parametrize("other", [{"id": "9", "text": "Else"}, [{"id": "9", "text": "Else"}]])
def test_matrix_menus_and_other_texts_are_in_the_choices(other: Any) -> None:
    question = {
        "id": "7",
        "family": "matrix",
        "subtype": "menu",
        "headings": [{"heading": ""}, {"heading": "Second wording"}],
        "answers": {
            "rows": [{"id": "1", "text": "Mornings"}],
            "cols": [{"id": "2", "text": "Drink", "choices": [{"id": "3", "text": "Tea"}]}],
            "other": other,
        },
    }
    (row,) = question_rows("105", [{"id": "11", "questions": [question]}])
    assert row["heading"] == "Second wording"
    assert row["choices"] == {"3": "Tea", "9": "Else"}
    assert row["cols"] == {"2": "Drink"}


class TestContract(SourceContract):
    wrong_credential: ClassVar = {"access_token": SecretStr("wrong")}
    odd_field = ("responses", "date_modified")

    @pytest.fixture
    def make(self, sandbox: Sandbox) -> Callable[..., SurveyMonkey]:
        facts = {
            "base_url": f"{sandbox.url}/surveymonkey/v3",
            "access_token": TOKEN,
            "identifiers": {"crm_id": "hubspot_contact_id"},
            "requests_per_minute": 10_000,
        }
        return lambda **changes: SurveyMonkey(SurveyMonkeySettings(**{**facts, **changes}))

    @pytest.fixture
    def stand_in(self, sandbox: Sandbox) -> StandIn:
        return SandboxStandIn(sandbox.url, "surveymonkey")


class TestAgainstTheSandbox:
    @pytest.fixture
    def source(self, sandbox: Sandbox) -> SurveyMonkey:
        return survey_monkey(
            f"{sandbox.url}/surveymonkey/v3", identifiers={"crm_id": "hubspot_contact_id"}, requests_per_minute=10_000
        )

    @pytest.fixture
    def faults(self, sandbox: Sandbox) -> Iterator[Any]:
        def order(**facts: object) -> None:
            body = {"system": "surveymonkey", **facts}
            answer = requests.post(f"{sandbox.url}/_sandbox/faults", json=body, timeout=10)
            assert answer.ok, answer.text

        yield order
        requests.delete(f"{sandbox.url}/_sandbox/faults", timeout=10)

    def test_every_response_arrives_with_its_score_and_its_link(
        self, sandbox: Sandbox, source: SurveyMonkey, store: Loads
    ) -> None:
        report = store.run(source)
        assert {one.status for one in report.values()} == {"complete"}
        told = [answer for i in range(400) for answer in sandbox.company.survey_answers(i)]
        rows = store.sql("SELECT id, nps_score, comment, email, custom_crm_id, recipient_id FROM responses")
        found = {row[0]: row[1:] for row in rows}
        assert set(found) == {str(answer.response_id) for answer in told}
        for answer in told:
            score, comment, email, crm_id, recipient = found[str(answer.response_id)]
            assert score == (answer.score if answer.survey == "nps" else None)
            assert comment == answer.comment
            assert email == (answer.email if answer.link in ("email", "mailbox", "recipient") else None)
            assert crm_id == (str(answer.crm_id) if answer.link == "crm_id" else None)
            assert (recipient is not None) == (answer.link == "recipient")
        assert store.sql("SELECT count(DISTINCT response_id) FROM answers") == [(len(told),)]

    def test_it_is_an_ordinary_dlt_source_that_dlt_may_read_side_by_side(
        self, sandbox: Sandbox, source: SurveyMonkey, store: Loads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EXTRACT__NEXT_ITEM_MODE", "round_robin")
        for _ in range(2):
            report = store.run(source)
            assert {one.status for one in report.values()} == {"complete"}
        told = sum(len(sandbox.company.survey_answers(i)) for i in range(400))
        assert store.sql("SELECT count(*) FROM responses") == [(told,)]
        assert store.sql("SELECT count(DISTINCT response_id) FROM answers") == [(told,)]

    def test_opted_out_contacts_say_so(self, sandbox: Sandbox, source: SurveyMonkey, store: Loads) -> None:
        store.run(source)
        contacts = [one for i in range(400) if (one := sandbox.company.survey_contact(i))]
        assert store.sql("SELECT count(*) FROM contacts") == [(len(contacts),)]
        assert {status for (status,) in store.sql("SELECT DISTINCT status FROM contacts")} == {
            "active",
            "optout",
            "bounced",
        }

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "server_error", "every": 3, "times": 4},
            {"kind": "truncated", "every": 3, "times": 4},
            {"kind": "reset", "every": 3, "times": 4},
            {"kind": "short_page", "every": 2},
        ],
        ids=lambda fault: fault["kind"],
    )
    def test_faults_on_the_way_cost_no_row(
        self, source: SurveyMonkey, store: Loads, faults: Any, sandbox: Sandbox, fault: dict[str, Any]
    ) -> None:
        faults(**fault)
        report = store.run(source)
        assert {one.status for one in report.values()} == {"complete"}
        told = sum(len(sandbox.company.survey_answers(i)) for i in range(400))
        assert store.sql("SELECT count(*) FROM responses") == [(told,)]

    def test_a_token_without_details_skips_what_it_may_not_read(self, sandbox: Sandbox, store: Loads) -> None:
        settings = SurveyMonkeySettings(
            base_url=f"{sandbox.url}/surveymonkey/v3", access_token=SecretStr("sandbox-surveymonkey-no-details")
        )
        report = store.run(SurveyMonkey(settings))
        assert {name: one.status for name, one in report.items()} == {
            "surveys": "complete",
            "questions": "complete",
            "responses": "skipped",
            "answers": "skipped",
            "contacts": "complete",
        }

    def test_a_renamed_field_is_named(self, source: SurveyMonkey, store: Loads, faults: Any) -> None:
        faults(kind="rename_field", **{"from": "date_modified", "to": "changed_on"}, path="responses/bulk")
        report = store.run(source)
        assert report["responses"].status == "failed"
        assert "date_modified" in str(report["responses"].error)


def test_the_days_limit_of_the_sandbox_ends_a_pull_in_good_order(store: Loads) -> None:
    with Sandbox(people=300) as sandbox:
        source = survey_monkey(f"{sandbox.url}/surveymonkey/v3", daily_budget=4)
        report = store.run(source)
        assert report["responses"].status == "partial"
        assert report["answers"].status == "complete"
        report = store.run(survey_monkey(f"{sandbox.url}/surveymonkey/v3"))
        assert {one.status for one in report.values()} == {"complete"}
        told = sum(len(sandbox.company.survey_answers(i)) for i in range(300))
        assert store.sql("SELECT count(*) FROM responses") == [(told,)]
        assert store.sql("SELECT count(DISTINCT response_id) FROM answers") == [(told,)]
