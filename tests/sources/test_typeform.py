"""Typeform: documented shapes and odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
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
from millstream.sources.contract import Row
from millstream.sources.pull import Pull
from millstream.sources.testing import Pulled, SandboxStandIn
from millstream.sources.typeform import Typeform, TypeformSettings
from millstream.sources.typeform.definitions import field_rows
from millstream.state.errors import IncompleteError, NotFoundError, PermissionDeniedError
from tests.sources.loading import Loads, loads, pull_of, read

ROOT = "https://typeform.test"
TOKEN = SecretStr("tfp-test")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NPS = {"id": "f1", "ref": "score", "type": "opinion_scale"}
MAIL = {"id": "f2", "ref": "mail", "type": "email"}
PHONE = {"id": "f3", "ref": "phone", "type": "phone_number"}
NEWS = {"id": "f4", "ref": "news", "type": "yes_no"}
DEFINITION = {
    "fields": [
        {"id": "f1", "ref": "score", "title": "Recommend us?", "type": "opinion_scale"}
        | {"properties": {"steps": 11, "start_at_one": False}},
        {"id": "f2", "ref": "mail", "title": "Address?", "type": "email"},
        {
            "id": "f5",
            "ref": "who",
            "title": "Who are you?",
            "type": "contact_info",
            "properties": {
                "fields": [
                    {"id": "f6", "ref": "a1", "title": "First", "type": "short_text", "subfield_key": "first_name"}
                ]
            },
        },
    ],
    "hidden": ["crm_id"],
}


def typeform(base_url: str = ROOT, **settings: Any) -> Typeform:
    facts = {"access_token": TOKEN, "requests_per_second": 1000, **settings}
    return Typeform(TypeformSettings(base_url=base_url, **facts))


def a_response(number: int, at: datetime = NOON, *answers: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "token": f"t{number}",
        "landed_at": _text(at - timedelta(minutes=2)),
        "submitted_at": _text(at),
        "metadata": {
            "referer": "https://acme.typeform.com/to/aa?mail=ann%40box.example#crm_id=7",
            "network_id": "9a8b",
        },
        "hidden": {},
        "calculated": {"score": 0},
        "answers": list(answers),
    } | more


def an_email(address: str, field: Mapping[str, Any] = MAIL) -> dict[str, Any]:
    return {"field": field, "type": "email", "email": address}


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Account:
    """A made-up account behind the documented endpoints."""

    def __init__(self, vendor: responses.RequestsMock) -> None:
        self.forms = {"aa": "2026-02-01T08:00:00Z"}
        self.definition: dict[str, Any] = DEFINITION
        self.responses: dict[str, list[dict[str, Any]]] = {"aa": [a_response(1)]}
        self.refused: set[str] = set()
        self.hidden_from_pages: set[str] = set()
        self.after_page: Callable[[], None] = lambda: None
        self.calls: list[tuple[str, dict[str, str]]] = []
        vendor.add_callback("GET", re.compile(rf"{re.escape(ROOT)}/forms"), self._answer)

    def asked(self, path: str) -> list[dict[str, str]]:
        """Parameters of the requests to a path."""
        return [query for called, query in self.calls if called == path]

    def _answer(self, request: Any) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(request.url)
        path = parts.path.strip("/").split("/")
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.calls.append(("/".join(path), query))
        if len(path) > 1 and path[1] in self.refused:
            return (
                403,
                {},
                orjson.dumps({"code": "AUTHENTICATION_FAILED", "description": "No access to the workspace."}),
            )
        if len(path) > 1 and path[1] not in self.forms:
            return 404, {}, orjson.dumps({"code": "FORM_NOT_FOUND", "description": "No such form."})
        if len(path) == 1:
            items = [{"id": form, "title": form.upper(), "last_updated_at": at} for form, at in self.forms.items()]
            return 200, {}, orjson.dumps({"items": items, "page_count": 1, "total_items": len(items)})
        if len(path) == 2:
            return 200, {}, orjson.dumps(self.definition)
        answer = self._page(path[1], query)
        self.after_page()
        return answer

    def _page(self, form: str, query: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        kind = query.get("response_type", "completed")
        time = "submitted_at" if kind == "completed" else "landed_at"
        rows = [row for row in self.responses.get(form, []) if row.get("response_type", "completed") == kind]
        rows.sort(key=lambda row: str(row[time]), reverse=True)
        rows = [row for row in rows if query.get("since", "") <= row[time].rstrip("Z") <= query.get("until", "9")]
        total = len(rows)
        if before := query.get("before"):
            tokens = [row["token"] for row in rows]
            if before not in tokens:
                return 400, {}, orjson.dumps({"code": "INVALID_TOKEN", "description": "No such token."})
            rows = rows[tokens.index(before) + 1 :]
        rows = [row for row in rows if row["token"] not in self.hidden_from_pages]
        body = {"items": rows[: int(query["page_size"])], "total_items": total, "page_count": 9}
        return 200, {}, orjson.dumps(body)


@pytest.fixture
def account() -> Iterator[Account]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Account(mock)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millstream.sources.typeform.walk.RESPONSES_A_REQUEST", 2)


@pytest.fixture
def store(tmp_path: Path) -> Loads:
    return loads(tmp_path, "typeform")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def _reading(pull: Pull) -> Iterator[Row]:
    assert pull.stream.read is not None
    for page in pull.stream.read(pull):
        assert isinstance(page, list)
        yield from page


def rows_of(account: Account, *found: dict[str, Any], stream: str = "responses", **settings: Any) -> list[Row]:
    account.responses["aa"] = list(found)
    return read(pull_of(typeform(**settings), stream))


class TestWhoResponded:
    def test_the_first_address_and_number_answered_identify_the_person(self, account: Account) -> None:
        phone = {"field": PHONE, "type": "phone_number", "phone_number": "+34600100200"}
        (row,) = rows_of(account, a_response(1, NOON, an_email("Ann@Box.example"), phone, an_email("b@box.example")))
        assert (row["email"], row["phone"]) == ("Ann@Box.example", "+34600100200")

    def test_a_question_about_somebody_else_names_nobody(self, account: Account) -> None:
        friend = an_email("friend@box.example", {"id": "f9", "ref": "friends-mail", "type": "email"})
        found = a_response(1, NOON, friend, an_email("ann@box.example"))
        assert rows_of(account, found, others=("friends-mail",))[0]["email"] == "ann@box.example"

    def test_long_texts_are_the_comment_and_short_ones_or_those_about_others_are_not(self, account: Account) -> None:
        texts = [("why", "long_text", " Quick "), ("name", "short_text", "Ann"), ("more", "long_text", "Cheap")]
        answers = [
            {"field": {"id": ref, "ref": ref, "type": kind}, "type": "text", "text": text} for ref, kind, text in texts
        ]
        assert rows_of(account, a_response(1, NOON, *answers))[0]["comment"] == "Quick\nCheap"
        assert rows_of(account, a_response(1, NOON, *answers), others=("more",))[0]["comment"] == "Quick"
        assert rows_of(account, a_response(1, NOON))[0]["comment"] is None

    def test_hidden_fields_become_identifiers_of_the_kind_that_is_set(self, account: Account) -> None:
        source = typeform(identifiers={"crm_id": "hubspot_contact_id"})
        account.responses["aa"] = [a_response(1, hidden={"crm_id": "C-17"})]
        pull = pull_of(source, "responses")
        (row,) = read(pull)
        assert pull.stream.people is not None
        assert {one.kind: row[one.column] for one in pull.stream.people.identifiers}["hubspot_contact_id"] == "C-17"

    @pytest.mark.parametrize("value", ["", "  ", "xxxxx", None])
    def test_a_hidden_field_that_nobody_filled_in_names_nobody(self, account: Account, value: str | None) -> None:
        found = a_response(1, hidden={"crm_id": value})
        assert rows_of(account, found, identifiers={"crm_id": "user_id"})[0]["hidden_crm_id"] is None

    def test_names_are_traits_by_ref_and_by_their_key_in_a_contact_question(self, account: Account) -> None:
        by_key = {"field": {"id": "f6", "ref": "a1", "type": "short_text"}, "type": "text", "text": "Ann"}
        by_ref = {"field": {"id": "f8", "ref": "last-name", "type": "short_text"}, "type": "text", "text": "Ochoa"}
        (row,) = rows_of(account, a_response(1, NOON, by_key, by_ref))
        assert (row["trait_first_name"], row["trait_last_name"]) == ("Ann", "Ochoa")

    def test_what_stands_in_the_address_of_the_page_is_not_kept(self, account: Account) -> None:
        (row,) = rows_of(account, a_response(1))
        assert row["referer"] == "https://acme.typeform.com/to/aa"
        assert "9a8b" not in str(row)


class TestConsent:
    YES: Mapping[str, Any] = {"field": NEWS, "type": "boolean", "boolean": True}
    ASKED: Mapping[str, Any] = {"news": {"channel": "email", "topic": "newsletter"}}

    def test_a_yes_says_nothing_unless_the_question_is_set_as_one_for_consent(self, account: Account) -> None:
        source = typeform()
        people = pull_of(source, "responses").stream.people
        assert people is not None
        assert people.consents == ()
        assert "consent_news" not in rows_of(account, a_response(1, NOON, self.YES))[0]

    @pytest.mark.parametrize(("answer", "status"), [(True, "granted"), (False, "denied")])
    def test_yes_and_no_are_granted_and_denied(self, account: Account, answer: bool, status: str) -> None:
        source = typeform(consents=self.ASKED)
        account.responses["aa"] = [a_response(1, NOON, {**self.YES, "boolean": answer})]
        pull = pull_of(source, "responses")
        (row,) = read(pull)
        assert pull.stream.people is not None
        (consent,) = pull.stream.people.consents
        assert (consent.channel, consent.topic) == ("email", "newsletter")
        assert consent.statuses[row[consent.column]] == status

    def test_a_yes_in_a_form_that_was_not_sent_is_none(self, account: Account) -> None:
        left = a_response(1, NOON, self.YES, response_type="partial", submitted_at="0001-01-01T00:00:00Z")
        (row,) = rows_of(account, left, consents=self.ASKED, response_types=("partial",))
        assert (row["consent_news"], row["is_finished"], row["submitted_at"]) == (None, False, None)

    def test_two_questions_with_one_column_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="tell it from the others"):
            typeform(consents={"news-letter": {"channel": "email"}, "news_letter": {"channel": "sms"}})


class TestAnswers:
    def test_a_row_an_answer_with_the_question_and_the_answer_in_words(self, account: Account) -> None:
        choice = {"id": "f7", "ref": "topic", "type": "multiple_choice"}
        rows = rows_of(
            account,
            a_response(
                1,
                NOON,
                {"field": NPS, "type": "number", "number": 9},
                {"field": choice, "type": "choice", "choice": {"id": "c1", "label": "A return"}},
                {
                    "field": {**choice, "id": "f8"},
                    "type": "choices",
                    "choices": {"labels": ["A", "B"], "other": "mine"},
                },
                {"field": {**choice, "id": "f9"}, "type": "payment", "payment": {"amount": "9.00", "last4": "1234"}},
            ),
            stream="answers",
        )
        assert [(row["field_id"], row["text"]) for row in rows] == [
            ("f1", "9"),
            ("f7", "A return"),
            ("f8", "A, B, mine"),
            ("f9", "9.00"),
        ]
        assert rows[0]["question"] == "Recommend us?"
        assert (rows[1]["choice_ids"], rows[2]["choices"]) == (["c1"], ["A", "B", "mine"])
        assert "1234" not in str(rows)

    def test_a_response_without_answers_has_no_rows(self, account: Account) -> None:
        found = a_response(1)
        del found["answers"]
        assert rows_of(account, found, stream="answers") == []

    @pytest.mark.parametrize(
        ("field", "score"),
        [
            (NPS, 9),
            ({"id": "gone", "ref": "x", "type": "nps"}, 9),
            ({"id": "gone", "ref": "x", "type": "opinion_scale"}, None),
            ({"id": "f9", "ref": "x", "type": "number"}, None),
        ],
    )
    def test_only_a_scale_from_0_to_10_is_a_recommendation(
        self, account: Account, field: Mapping[str, Any], score: int | None
    ) -> None:
        (row,) = rows_of(account, a_response(1, NOON, {"field": field, "type": "number", "number": 9}))
        assert row["nps_score"] == score

    def test_they_cost_no_request_where_the_responses_were_just_read(self, account: Account, store: Loads) -> None:
        account.responses["aa"] = [a_response(1, NOON, an_email("ann@box.example"))]
        store.run(typeform())
        assert len(account.asked("forms/aa/responses")) == 1
        store.run(typeform())
        assert len(account.asked("forms/aa/responses")) == 2
        assert store.sql("SELECT response_token, text FROM answers") == [("t1", "ann@box.example")]


class TestFields:
    def test_questions_inside_another_follow_it(self) -> None:
        rows = list(field_rows("aa", DEFINITION["fields"]))  # type: ignore[arg-type]
        assert [(row["id"], row["parent_id"], row["key"], row["is_nps"]) for row in rows] == [
            ("f1", None, None, True),
            ("f2", None, None, False),
            ("f5", None, None, False),
            ("f6", "f5", "first_name", False),
        ]

    def test_a_definition_is_fetched_once_a_version_and_a_field_taken_out_stays(
        self, account: Account, store: Loads
    ) -> None:
        store.run(typeform())
        store.run(typeform())
        assert len(account.asked("forms/aa")) == 1
        account.forms["aa"] = "2026-02-02T08:00:00Z"
        account.definition = {"fields": DEFINITION["fields"][1:], "hidden": []}  # type: ignore[index]
        store.run(typeform())
        assert len(account.asked("forms/aa")) == 2
        assert store.sql("SELECT id, title, is_current FROM fields ORDER BY id")[:2] == [
            ("f1", "Recommend us?", False),
            ("f2", "Address?", True),
        ]
        assert store.sql("SELECT field_count, CAST(hidden AS TEXT) FROM forms") == [(3, "[]")]


@pytest.mark.usefixtures("small_pages")
class TestReading:
    def test_pages_go_back_from_the_newest_and_end_where_nothing_is_left(self, account: Account) -> None:
        rows = rows_of(account, *(a_response(n, NOON + timedelta(minutes=n)) for n in range(5)))
        assert [row["token"] for row in rows] == ["t4", "t3", "t2", "t1", "t0"]
        assert [query.get("before") for query in account.asked("forms/aa/responses")] == [None, "t3", "t1"]

    def test_a_later_pull_starts_before_the_newest_of_each_form(self, account: Account) -> None:
        account.forms["bb"] = account.forms["aa"]
        account.responses["bb"] = [a_response(7, NOON - timedelta(days=9))]
        state: dict[str, Any] = {}
        read(pull_of(typeform(), "responses", state=state))
        account.calls.clear()
        late = a_response(2, NOON - timedelta(minutes=29))
        account.responses["aa"].append(late)
        rows = read(pull_of(typeform(), "responses", state=state))
        assert {row["token"] for row in rows} == {"t1", "t2", "t7"}
        assert account.asked("forms/aa/responses")[0]["since"] == "2026-03-01T10:30:00"
        assert account.asked("forms/bb/responses")[0]["since"] == "2026-02-20T10:30:00"

    def test_a_pull_that_was_ended_goes_on_below_its_place_and_then_takes_what_is_new(self, account: Account) -> None:
        account.responses["aa"] = [a_response(n, NOON + timedelta(days=n)) for n in range(6)]
        state: dict[str, Any] = {}
        reading = _reading(pull_of(typeform(), "responses", state=state))
        assert [next(reading)["token"] for _ in range(2)] == ["t5", "t4"]
        kept = orjson.loads(orjson.dumps(state))
        account.responses["aa"].append(a_response(6, NOON + timedelta(days=6)))
        tokens = [row["token"] for row in read(pull_of(typeform(), "responses", state=kept))]
        assert tokens == ["t4", "t3", "t2", "t1", "t0", "t6", "t5"]
        assert kept["places"]["aa"]["completed"]["at"] == (NOON + timedelta(days=6)).isoformat()
        assert "walk" not in kept["places"]["aa"]["completed"]

    def test_parts_load_what_one_load_does(self, account: Account, tmp_path: Path) -> None:
        account.forms["bb"] = account.forms["aa"]
        for form in account.forms:
            found = [a_response(n, NOON + timedelta(days=n), an_email("ann@box.example")) for n in range(7)]
            account.responses[form] = [row | {"token": f"{form}{row['token']}"} for row in found]
        parts, whole = Pulled(tmp_path / "parts"), Pulled(tmp_path / "whole")
        assert parts.pull(typeform(), part_rows=3).ok
        assert whole.pull(typeform()).ok
        assert parts.everything(typeform()) == whole.everything(typeform())
        assert len(parts.rows(typeform(), "answers")) == 14

    def test_a_response_deleted_while_we_read_loses_none_of_the_older_ones(self, account: Account) -> None:
        account.responses["aa"] = [a_response(n, NOON + timedelta(minutes=n)) for n in range(5)]
        account.after_page = lambda: account.responses.update(
            aa=[row for row in account.responses["aa"] if row["token"] != "t3"]
        )
        tokens = [row["token"] for row in read(pull_of(typeform(), "responses"))]
        assert tokens == ["t4", "t3", "t2", "t1", "t0"]

    def test_fewer_than_announced_fails_after_the_other_forms_and_keeps_the_place(self, account: Account) -> None:
        account.forms["bb"] = account.forms["aa"]
        account.responses = {"aa": [a_response(n) for n in range(4)], "bb": [a_response(9)]}
        account.hidden_from_pages = {"t2", "t3"}
        state: dict[str, Any] = {}
        seen: list[Row] = []
        with pytest.raises(IncompleteError, match="announced 4 responses and 2 came"):
            seen.extend(_reading(pull_of(typeform(), "responses", state=state)))
        assert [row["token"] for row in seen] == ["t0", "t1", "t9"]
        assert "at" not in state["places"]["aa"]["completed"]
        assert len(read(pull_of(typeform(check_totals=False), "responses"))) == 3

    def test_a_backfill_ends_before_its_last_moment_since_the_vendor_counts_it_in(self, account: Account) -> None:
        account.responses["aa"] = [a_response(1), a_response(2, NOON + timedelta(hours=1))]
        pull = pull_of(typeform(), "responses", since=NOON, until=NOON + timedelta(hours=1))
        assert [row["token"] for row in read(pull)] == ["t1"]

    def test_a_started_response_that_is_submitted_meanwhile_counts_as_submitted(
        self, account: Account, store: Loads
    ) -> None:
        account.responses["aa"] = [a_response(1, response_type="started", submitted_at="0001-01-01T00:00:00Z")]
        account.after_page = lambda: account.responses.update(aa=[a_response(1)])
        assert store.run(typeform(response_types=("started", "completed")))["responses"].status == "complete"
        assert store.sql("SELECT response_type, is_finished FROM responses") == [("completed", True)]

    def test_a_closed_or_deleted_form_is_left_out_with_a_warning(self, account: Account, store: Loads) -> None:
        account.forms |= dict.fromkeys(("bb", "cc"), account.forms["aa"])
        account.refused = {"bb"}
        report = store.run(typeform())["responses"]
        assert (report.status, report.rows) == ("complete", 1)
        assert ["bb" in text for text in report.warnings] == [True]
        assert [result.ok for result in check_source(typeform(forms=("bb", "aa")), name="typeform")] == [True] * 5

    def test_a_token_that_may_read_no_form_at_all_skips_the_stream(self, account: Account, store: Loads) -> None:
        account.refused = {"aa"}
        report = store.run(typeform(streams=("responses",)))["responses"]
        assert report.status == "skipped"
        assert isinstance(report.error, PermissionDeniedError)
        assert "responses:read" in str(report.error)

    def test_a_form_that_is_gone_is_named(self, account: Account) -> None:
        with pytest.raises(NotFoundError, match="FORM_NOT_FOUND: No such form"):
            pull_of(typeform(), "forms").get("forms/zz")


class TestSweep:
    def test_a_deleted_response_is_marked_when_its_form_is_read_whole(self, account: Account, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        account.responses["aa"] = [a_response(n, NOON - timedelta(days=n)) for n in range(3)]
        assert pulled.pull(typeform(sweep_days=7)).ok
        account.responses["aa"].pop(1)
        later = datetime.now(UTC) + timedelta(days=6)
        assert pulled.pull(typeform(sweep_days=7), pulled_at=later).ok
        assert _deleted(pulled) == []
        assert pulled.pull(typeform(sweep_days=7), pulled_at=later + timedelta(days=2)).ok
        assert _deleted(pulled) == ["t1"]

    def test_a_form_that_seems_to_have_lost_everything_loses_nothing(self, account: Account, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        assert pulled.pull(typeform(sweep_days=7)).ok
        account.responses["aa"] = []
        later = datetime.now(UTC) + timedelta(days=8)
        report = pulled.pull(typeform(sweep_days=7), pulled_at=later)
        assert ["--accept-empty" in str(error) for error in report.errors] == [True]
        assert _deleted(pulled) == []
        assert pulled.pull(typeform(sweep_days=7), pulled_at=later, accept_empty=True).ok
        assert _deleted(pulled) == ["t1"]


def _deleted(pulled: Pulled) -> list[str]:
    with pulled.store.open() as connection:
        rows = connection.execute("SELECT token FROM raw_typeform.responses WHERE deleted ORDER BY token").fetchall()
    return [row[0] for row in rows]


class TestSandbox:
    OAUTH: Mapping[str, Any] = {
        "access_token": None,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
        "refresh_token": "sandbox-refresh",
    }

    def test_the_newest_refresh_token_is_kept_and_an_expired_access_token_renewed(
        self, sandbox: Sandbox, tmp_path: Path
    ) -> None:
        url = sandbox.system_url("typeform")
        stand_in = SandboxStandIn(sandbox.url, "typeform")
        facts = {**self.OAUTH, "refresh_token_file": tmp_path / "typeform.json"}
        pulled = Pulled(tmp_path)
        assert pulled.pull(typeform(url, **facts)).ok
        stand_in.expire_token()
        assert pulled.pull(typeform(url, **facts)).ok
        stand_in.clear()

    def test_the_file_of_the_token_lies_by_the_project_wherever_it_is_run(self, tmp_path: Path) -> None:
        facts = {**self.OAUTH, "refresh_token_file": "typeform.json"}
        made = TypeformSettings.model_validate(facts, context={"root": tmp_path})
        assert made.refresh_token_file == tmp_path / "typeform.json"

    def test_a_token_without_the_scope_for_responses_says_which_one(self, sandbox: Sandbox) -> None:
        source = typeform(sandbox.system_url("typeform"), access_token="tfp_sandbox_no_responses")
        results = {result.name: result for result in check_source(source, name="typeform")}
        assert {name: result.ok for name, result in results.items()} == {
            "typeform": True,
            "typeform.forms": True,
            "typeform.fields": True,
            "typeform.responses": False,
            "typeform.answers": False,
        }
        assert "responses:read" in (results["typeform.responses"].remedy or "")

    def test_everybody_who_answered_is_there_once(self, sandbox: Sandbox, store: Loads) -> None:
        url = sandbox.system_url("typeform")
        settings = {"identifiers": {"customer_id": "user_id"}, "response_types": ("completed", "partial")}
        store.run(typeform(url, access_token="tfp_sandbox", **settings))
        for kind in ("completed", "partial"):
            headers = {"Authorization": "Bearer tfp_sandbox"}
            found = {
                item["token"]
                for form in requests.get(f"{url}/forms", headers=headers).json()["items"]
                for item in requests.get(
                    f"{url}/forms/{form['id']}/responses",
                    params={"page_size": 1000, "response_type": kind},
                    headers=headers,
                ).json()["items"]
            }
            assert found
            assert {row[0] for row in store.sql(f"SELECT token FROM responses WHERE response_type = '{kind}'")} == found
        ((named, scored),) = store.sql("SELECT count(hidden_customer_id), count(nps_score) FROM responses")
        assert named > 0
        assert scored > 0
