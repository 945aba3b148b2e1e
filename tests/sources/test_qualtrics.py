"""Qualtrics: documented shapes and odd answers by themselves, and whole pulls against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import requests
import responses
from pydantic import SecretStr, ValidationError

from millstream.sandbox import Sandbox
from millstream.sources.check import check_source
from millstream.sources.contract import Row
from millstream.sources.pull import Pull, Window
from millstream.sources.qualtrics import Qualtrics, QualtricsSettings
from millstream.sources.qualtrics.definitions import question_row
from millstream.sources.stored import StoredRows
from millstream.sources.testing import Pulled, SandboxStandIn
from millstream.state.errors import (
    ConfigurationError,
    IncompleteError,
    MalformedAnswerError,
    PermissionDeniedError,
    QuotaExhaustedError,
    SchemaError,
)
from millstream.state.identity import IdentityRules
from millstream.state.model.build import build_model
from millstream.state.model.tracking_plan import TrackingPlan
from millstream.state.store import DuckDBStore
from tests.sources.loading import pull_of, read
from tests.sources.qualtrics_brand import NPS, ROOT, SURVEY, Brand, a_contact, a_response, zipped

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def qualtrics(base_url: str = ROOT, **settings: Any) -> Qualtrics:
    facts = {"api_token": SecretStr("token-test"), "poll_seconds": 0.01, "exports_per_minute": 10_000, **settings}
    return Qualtrics(QualtricsSettings(base_url=base_url, **facts))


@pytest.fixture
def brand() -> Iterator[Brand]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield Brand(mock)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(people=200, limits=False) as running:
        yield running


def rows_of(brand: Brand, *found: dict[str, Any], **settings: Any) -> list[Row]:
    brand.surveys[SURVEY] = list(found)
    return read(pull_of(qualtrics(**settings), "responses"))


def windows(brand: Brand) -> list[tuple[str | None, str | None]]:
    return [(body.get("startDate"), body.get("endDate")) for _, body in brand.started]


class TestRows:
    @pytest.mark.parametrize("beside", [False, True])
    def test_metadata_are_found_among_the_answers_and_beside_them(self, brand: Brand, beside: bool) -> None:
        found = a_response(1, NOON, beside=beside, recipientEmail="ann@box.example", QID1=9, plan="plus")
        (row,) = rows_of(brand, found)
        assert (row["id"], row["survey_id"], row["survey_title"]) == ("R_1", SURVEY, "sv_1")
        assert (row["recorded_at"], row["email"], row["is_finished"]) == (NOON, "ann@box.example", True)
        assert row["embedded_data"] == {"plan": "plus"}
        assert "203.0.113.9" not in str(row)

    def test_the_score_is_the_label_where_values_were_recoded(self, brand: Brand) -> None:
        plain = a_response(1, NOON, QID1=10, QID1_NPS_GROUP=3)
        recoded = a_response(2, NOON, QID1=3, labels={"QID1": "10"})
        other = a_response(3, NOON, QID2=7)
        assert [row["nps_score"] for row in rows_of(brand, plain, recoded, other)] == [10, 10, None]

    def test_open_questions_of_several_lines_are_the_comment(self, brand: Brand) -> None:
        brand.questions = {
            key: {"QuestionText": "?", "QuestionType": kind, "Selector": selector}
            for key, kind, selector in (
                ("QID2", "TE", "ML"), ("QID3", "TE", "SL"), ("QID4", "TE", "ESTB"), ("QID5", "MC", "ML"),
            )
        }  # fmt: skip
        said = {"QID2_TEXT": " Quick ", "QID3_TEXT": "Ann", "QID4_TEXT": "Cheap", "QID5_TEXT": "Else"}
        both, none = rows_of(brand, a_response(1, NOON, **said), a_response(2, NOON))
        assert (both["comment"], none["comment"]) == ("Quick\nCheap", None)

    def test_answers_stand_with_their_questions(self, brand: Brand) -> None:
        brand.questions = {
            "QID3": {"QuestionText": "Rate", "QuestionType": "Matrix", "Choices": {"1": {"Display": "Speed"}}}
        }
        (row,) = rows_of(brand, a_response(1, NOON, QID3_1=4, QID9_TEXT="new", labels={"QID3_1": "Good"}))
        assert [(one["question"], one["part"], one["value"], one["label"]) for one in row["answers"]] == [
            ("Rate", "Speed", 4, "Good"),
            (None, None, "new", None),
        ]

    def test_embedded_data_and_answers_identify_by_the_names_in_the_settings(self, brand: Brand) -> None:
        brand.questions["QID2"] = {"DataExportTag": "E-Mail", "QuestionText": "Address?", "QuestionType": "TE"}
        settings: dict[str, Any] = {
            "identifiers": {"crmID": "hubspot_contact_id", "e_mail": "email"},
            "traits": {"Plan": "plan"},
        }
        source = qualtrics(**settings, external_reference="user_id")
        people = next(stream.people for stream in source.streams() if stream.name == "responses")
        assert people is not None
        kinds = {one.column: one.kind for one in people.identifiers}
        said = {"said_crm_id": "hubspot_contact_id", "said_e_mail": "email"}
        assert kinds == {"email": "email", "external_reference": "user_id", **said}
        found = a_response(1, NOON, QID2_TEXT="ann@box.example", crmID="7", plan="plus")
        (row,) = rows_of(brand, found, **settings)
        assert (row["said_crm_id"], row["said_e_mail"], row["trait_plan"]) == ("7", "ann@box.example", "plus")

    @pytest.mark.parametrize("facts", [{"status": 1}, {"status": 8}, {"finished": 0}, {"finished": False}])
    def test_previews_spam_and_what_was_left_half_way_are_no_event(self, brand: Brand, facts: dict[str, Any]) -> None:
        (row,) = rows_of(brand, a_response(1, NOON, **facts))
        assert row["is_finished"] is False

    def test_a_response_without_its_date_is_named(self, brand: Brand) -> None:
        found = a_response(1, NOON)
        del found["values"]["recordedDate"]
        with pytest.raises(SchemaError, match="recordedDate"):
            rows_of(brand, found)

    def test_questions_are_plain_text_and_lists_of_choices_are_counted_from_nought(self) -> None:
        row = question_row(SURVEY, "QID1", {**NPS, "Choices": [{"Display": "0 &amp; less"}, {"Display": "1"}]})
        assert (row["text"], row["choices"], row["is_nps"]) == ("Recommend us ?", {"0": "0 & less", "1": "1"}, True)

    def test_a_survey_without_questions_has_none(self, brand: Brand) -> None:
        brand.questions = []
        assert read(pull_of(qualtrics(), "questions")) == []


class TestExports:
    def test_a_later_pull_asks_for_what_changed_since_an_hour_before_the_last(self, brand: Brand) -> None:
        state: dict[str, Any] = {}
        read(pull_of(qualtrics(), "responses", state=state, pulled_at=NOON))
        read(pull_of(qualtrics(), "responses", state=state, pulled_at=NOON + timedelta(days=1)))
        assert windows(brand) == [
            (None, "2026-03-01T12:00:00Z"),
            ("2026-03-01T11:00:00Z", "2026-03-02T12:00:00Z"),
        ]
        assert all(body["sortByLastModifiedDate"] is True for _, body in brand.started)

    def test_a_job_is_not_done_before_it_says_so(self, brand: Brand) -> None:
        brand.trouble = lambda number, body: (
            {"status": "inProgress", "percentComplete": 100.0, "fileId": None} if len(brand.looked_at) < 3 else None
        )
        assert len(rows_of(brand, a_response(1, NOON))) == 1
        assert brand.looked_at == ["ES_0"] * 3

    def test_an_export_that_is_too_large_is_cut_into_halves(self, brand: Brand) -> None:
        def trouble(number: int, body: Mapping[str, Any]) -> dict[str, Any] | None:
            since = datetime.fromisoformat(body.get("startDate", "2025-01-01T00:00:00Z"))
            if datetime.fromisoformat(body["endDate"]) - since <= timedelta(days=120):
                return None
            error = {"errorCode": "EX_1", "errorMessage": "File size exceeds the limit of 1.8 GB"}
            return {"status": "failed", "percentComplete": 30.0, "error": error}

        brand.trouble = trouble
        found = [a_response(n, datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=10 * n)) for n in range(40)]
        brand.surveys[SURVEY] = found
        state: dict[str, Any] = {}
        rows = read(pull_of(qualtrics(), "responses", state=state, pulled_at=NOON))
        assert sorted(row["id"] for row in rows) == sorted(one["responseId"] for one in found)
        made = [
            window for number, window in enumerate(windows(brand)) if trouble(number, brand.started[number][1]) is None
        ]
        assert [start for start, _ in made[1:]] == [end for _, end in made[:-1]]
        assert (made[0][0], made[-1][1]) == ("2025-01-01T00:00:00Z", "2026-03-01T12:00:00Z")
        assert state["places"][SURVEY]["at"] == NOON.isoformat()

    def test_a_moment_with_too_many_responses_is_named(self, brand: Brand) -> None:
        brand.trouble = lambda number, body: {"status": "failed", "error": "The file is too large"}
        with pytest.raises(IncompleteError, match="too many responses"):
            rows_of(brand, start_date=(datetime.now(UTC)).date())

    def test_a_failed_or_lost_job_is_made_once_more(self, brand: Brand) -> None:
        brand.trouble = lambda number, body: 404 if number == 0 else None
        assert len(rows_of(brand, a_response(1, NOON))) == 1
        brand.trouble = lambda number, body: {"status": "failed"}
        with pytest.raises(IncompleteError, match="could not export"):
            rows_of(brand, a_response(1, NOON))
        assert len(brand.started) == 4

    def test_one_survey_that_fails_keeps_no_other_one_from_being_read(self, brand: Brand) -> None:
        brand.surveys = {name: [a_response(number, NOON)] for number, name in enumerate(("SV_1", "SV_2", "SV_3"))}
        brand.trouble = lambda number, body: {"status": "failed"} if brand.started[number][0] == "SV_1" else None
        brand.refused = {"SV_2"}
        pull = pull_of(qualtrics(), "responses")
        with pytest.raises(IncompleteError):
            read(pull)
        assert pull.state["places"]["SV_3"]["newest"] == NOON.isoformat()
        assert pull.state["places"]["SV_1"].get("newest") is None

    def test_a_token_that_may_read_no_survey_says_so(self, brand: Brand) -> None:
        brand.refused = {SURVEY}
        with pytest.raises(PermissionDeniedError, match="lacks the permission"):
            rows_of(brand)

    def test_a_file_that_is_cut_short_is_fetched_again(self, brand: Brand) -> None:
        files = [zipped([a_response(1, NOON)])[:40], zipped([a_response(1, NOON)])]
        brand.file = lambda found: files.pop(0)
        assert len(rows_of(brand, a_response(1, NOON))) == 1

    def test_a_web_page_in_place_of_a_file_is_named(self, brand: Brand) -> None:
        brand.file = lambda found: b"<html>Please sign in.</html>"
        with pytest.raises(MalformedAnswerError, match="neither an archive nor JSON"):
            rows_of(brand)

    @pytest.mark.parametrize("whole", [False, True])
    def test_files_need_not_be_packed_and_may_be_one_document(self, brand: Brand, whole: bool) -> None:
        brand.file = lambda found: orjson.dumps({"responses": found}) if whole else b"\n".join(map(orjson.dumps, found))
        assert len(rows_of(brand, a_response(1, NOON), a_response(2, NOON))) == 2

    def test_a_closed_survey_is_looked_at_once_a_day(self, brand: Brand) -> None:
        brand.active = False
        state: dict[str, Any] = {}
        for hours in (0, 23, 25):
            read(pull_of(qualtrics(), "responses", state=state, pulled_at=NOON + timedelta(hours=hours)))
        assert len(brand.started) == 2

    def test_a_backfill_asks_for_its_window_alone(self, brand: Brand) -> None:
        read(pull_of(qualtrics(), "responses", since=NOON - timedelta(days=2), until=NOON))
        assert windows(brand) == [("2026-02-27T12:00:00Z", "2026-03-01T12:00:00Z")]


class TestContinuation:
    def test_pulls_go_on_by_the_vendors_token(self, brand: Brand) -> None:
        state: dict[str, Any] = {}
        source: dict[str, Any] = {"continuation": True}
        brand.surveys[SURVEY] = [a_response(1, NOON)]
        read(pull_of(qualtrics(**source), "responses", state=state, pulled_at=NOON))
        brand.surveys[SURVEY].append(a_response(2, NOON))
        rows = read(pull_of(qualtrics(**source), "responses", state=state, pulled_at=NOON + timedelta(days=1)))
        assert [row["id"] for row in rows] == ["R_2"]
        (_, first), (_, second) = brand.started
        assert (first["allowContinuation"], first.get("endDate")) == (True, None)
        assert second == {"format": "ndjson", "compress": True, "continuationToken": "SV_1:1"}

    @pytest.mark.parametrize(("days", "refused"), [(1, True), (7, False)])
    def test_an_expired_token_gives_way_to_the_time_of_the_last_change(
        self, brand: Brand, days: int, refused: bool
    ) -> None:
        state: dict[str, Any] = {}
        read(pull_of(qualtrics(continuation=True), "responses", state=state, pulled_at=NOON))
        brand.expired = {"SV_1:0"} if refused else set()
        read(pull_of(qualtrics(continuation=True), "responses", state=state, pulled_at=NOON + timedelta(days=days)))
        assert windows(brand)[1:] == [("2026-03-01T11:00:00Z", None)]


class TestKilled:
    def test_a_killed_pull_goes_on_with_the_same_export_and_then_takes_what_is_new(
        self, brand: Brand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pulled = Pulled(tmp_path)
        brand.surveys[SURVEY] = [a_response(1, datetime.now(UTC) - timedelta(days=1))]
        brand.trouble = lambda number, body: {"status": "inProgress", "percentComplete": 1.0}

        def killed(pull: Pull, seconds: float) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Pull, "wait", killed)
            with pytest.raises(SchemaError, match="KeyboardInterrupt"):
                pulled.pull(qualtrics(streams=("responses",)))
        assert len(brand.started) == 1
        brand.trouble = lambda number, body: None
        assert pulled.pull(qualtrics(streams=("responses",))).ok
        assert brand.looked_at == ["ES_0", "ES_0", "ES_1"]
        assert [row[0] for row in pulled.rows(qualtrics(), "responses")] == ["R_1"]
        assert brand.started[1][1]["startDate"] < brand.started[0][1]["endDate"] <= brand.started[1][1]["endDate"]

    def test_exports_that_are_not_ready_in_time_are_kept_for_the_next_pull(self, brand: Brand) -> None:
        state: dict[str, Any] = {}
        brand.trouble = lambda number, body: {"status": "inProgress", "percentComplete": 1.0}
        with pytest.raises(QuotaExhaustedError, match="not ready"):
            read(pull_of(qualtrics(export_wait_minutes=0.0005), "responses", state=state))
        assert state["places"][SURVEY]["job"] == "ES_0"

    def test_several_exports_are_in_the_making_at_once(self, brand: Brand) -> None:
        brand.surveys = {f"SV_{number}": [a_response(number, NOON)] for number in range(5)}
        rows = read(pull_of(qualtrics(exports_at_once=3), "responses"))
        assert sorted(row["id"] for row in rows) == [f"R_{number}" for number in range(5)]
        jobs = [path for path, _ in brand.asked if "export-responses" in path]
        assert [path.count("/") for path in jobs[:3]] == [2, 2, 2]


class TestSweep:
    @pytest.fixture
    def stored(self, tmp_path: Path) -> StoredRows:
        """Three responses that were loaded before, one of which was found missing."""
        store = DuckDBStore(tmp_path / "store.duckdb")
        with store.open() as connection:
            connection.execute("CREATE SCHEMA raw_qualtrics")
            connection.execute(
                f"""
                CREATE TABLE raw_qualtrics.responses AS
                SELECT 'R_' || n AS id, '{SURVEY}' AS survey_id, TIMESTAMPTZ '2026-03-01' AS recorded_at,
                    n = 0 AS deleted
                FROM range(3) AS numbers(n)
                """
            )
        return StoredRows(store, "qualtrics")

    def sweep(self, stored: StoredRows, *, accept_empty: bool = False) -> list[str]:
        """What a pull 30 days after the last sweep finds deleted."""
        state = {"places": {SURVEY: {"at": NOON.isoformat(), "swept": NOON.isoformat()}}}
        source, later = qualtrics(), NOON + timedelta(days=30)
        pull = pull_of(source, "responses", state=state, pulled_at=later)
        pull.stored, pull.accept_empty = stored, accept_empty
        assert pull.stream.read is not None
        tables = [page for page in pull.stream.read(pull) if isinstance(page, pa.Table)]
        assert state["places"][SURVEY]["swept"] == later.isoformat()
        return [row["id"] for table in tables for row in table.to_pylist() if row["deleted"]]

    def test_a_response_missing_from_a_whole_export_is_marked(self, brand: Brand, stored: StoredRows) -> None:
        brand.surveys[SURVEY] = [a_response(2, NOON), a_response(3, NOON)]
        assert self.sweep(stored) == ["R_1"]
        assert windows(brand) == [(None, "2026-03-31T12:00:00Z")]

    def test_a_survey_that_seems_to_have_lost_everything_loses_nothing(self, brand: Brand, stored: StoredRows) -> None:
        with pytest.raises(IncompleteError) as refused:
            self.sweep(stored)
        assert "--accept-empty" in str(refused.value)
        assert self.sweep(stored, accept_empty=True) == ["R_1", "R_2"]

    def test_it_is_done_every_so_many_days(self, brand: Brand, stored: StoredRows) -> None:
        brand.surveys[SURVEY] = [a_response(number, NOON) for number in range(3)]
        state: dict[str, Any] = {}
        for days in (0, 6, 8):
            pull = pull_of(qualtrics(sweep_days=7), "responses", state=state, pulled_at=NOON + timedelta(days=days))
            pull.stored = stored
            read(pull)
        assert [since is None for since, _ in windows(brand)] == [True, False, True]


def _ask(pulled: Pulled, query: str) -> list[tuple[Any, ...]]:
    with pulled.store.open() as connection:
        return connection.execute(query).fetchall()


class TestDirectory:
    @pytest.fixture(autouse=True)
    def five_contacts(self, brand: Brand) -> None:
        brand.contacts = {one["contactId"]: one for one in map(a_contact, range(5))}

    def test_pages_follow_each_other_on_our_own_host(self, brand: Brand) -> None:
        rows = read(pull_of(qualtrics(), "contacts"))
        assert [row["contact_id"] for row in rows] == list(brand.contacts)
        assert [query.get("skipToken") for path, query in brand.asked if path.endswith("contacts")] == [None, "2", "4"]

    def test_a_listing_that_was_killed_goes_on_and_tells_no_deletions(self, brand: Brand) -> None:
        state: dict[str, Any] = {}
        pull = pull_of(qualtrics(), "contacts", state=state)
        assert pull.stream.read is not None
        first = next(iter(pull.stream.read(pull)))
        assert [row["contact_id"] for row in first] == ["CID_0", "CID_1"]
        kept = orjson.loads(orjson.dumps(state))
        rows = read(pull_of(qualtrics(), "contacts", state=kept))
        assert [row["contact_id"] for row in rows] == ["CID_2", "CID_3", "CID_4"]
        assert "walk" not in kept

    def test_they_are_listed_once_a_day(self, brand: Brand) -> None:
        state: dict[str, Any] = {}
        for hours, expected in ((0, 5), (23, 0), (25, 5)):
            at = NOON + timedelta(hours=hours)
            assert len(read(pull_of(qualtrics(), "contacts", state=state, pulled_at=at))) == expected

    def test_who_comes_back_is_told_from_who_was_deleted(self, brand: Brand, tmp_path: Path) -> None:
        pulled, source = Pulled(tmp_path), dict[str, Any]({"streams": ("opt_outs",)})
        brand.opted_out = {"CID_1", "CID_2", "CID_3"}
        assert pulled.pull(qualtrics(**source)).ok
        brand.opted_out = {"CID_1"}
        del brand.contacts["CID_2"]
        for _ in range(2):
            assert pulled.pull(qualtrics(**source)).ok
        rows = _ask(pulled, "SELECT contact_id, opted_out, deleted FROM raw_qualtrics.opt_outs ORDER BY ALL")
        assert rows == [("CID_1", True, False), ("CID_2", True, True), ("CID_3", False, False)]
        assert [path for path, _ in brand.asked].count("directories/POOL_1/contacts/CID_2") == 1

    def test_a_directory_that_seems_empty_loses_nothing(self, brand: Brand, tmp_path: Path) -> None:
        pulled, source = Pulled(tmp_path), dict[str, Any]({"streams": ("contacts",), "contacts_hours": 0})
        assert pulled.pull(qualtrics(**source)).ok
        brand.contacts = {}
        assert ["--accept-empty" in str(error) for error in pulled.pull(qualtrics(**source)).errors] == [True]
        assert pulled.pull(qualtrics(**source), accept_empty=True).ok
        assert _ask(pulled, "SELECT count(*) FROM raw_qualtrics.contacts WHERE deleted") == [(5,)]


class TestSettings:
    @pytest.mark.parametrize("url", [ROOT, f"{ROOT}/", f"{ROOT}/API/v3", f"{ROOT}/API/v3/"])
    def test_a_host_is_enough_of_an_address(self, url: str) -> None:
        assert qualtrics(url).settings.base_url == f"{ROOT}/API/v3"

    @pytest.mark.parametrize(
        "facts",
        [
            {"api_token": None},
            {"client_id": "a"},
            {"api_token": None, "client_id": "a"},
            {"client_id": "a", "client_secret": "b"},
        ],
    )
    def test_one_whole_credential_is_needed(self, facts: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="give api_token, or client_id and client_secret"):
            qualtrics(**facts)

    def test_names_that_cannot_be_told_apart_are_refused(self) -> None:
        with pytest.raises(ValidationError, match="tell it from the others"):
            qualtrics(identifiers={"crm-id": "a", "crm_id": "b"})

    def test_a_survey_that_is_not_there_is_named(self, brand: Brand) -> None:
        with pytest.raises(ConfigurationError, match="SV_9"):
            rows_of(brand, surveys=("SV_9",))


class TestSandbox:
    OAUTH: Mapping[str, Any] = {"api_token": None, "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    TOKEN = SecretStr("sandbox-qualtrics")

    def test_an_oauth_client_is_renewed_in_the_middle(self, sandbox: Sandbox, tmp_path: Path) -> None:
        url = sandbox.system_url("qualtrics")
        stand_in = SandboxStandIn(sandbox.url, "qualtrics")
        stand_in.expire_token()
        assert Pulled(tmp_path).pull(qualtrics(url, **self.OAUTH, streams=("surveys", "contacts"))).ok
        stand_in.clear()

    def test_a_token_without_the_directory_says_what_it_lacks(self, sandbox: Sandbox) -> None:
        source = qualtrics(sandbox.system_url("qualtrics"), api_token="sandbox-qualtrics-surveys")
        results = {result.name: result for result in check_source(source, name="qualtrics")}
        refused = {name.removeprefix("qualtrics.") for name, result in results.items() if not result.ok}
        assert refused == {"directories", "contacts", "opt_outs"}
        assert "permission" in (results["qualtrics.contacts"].remedy or "")

    def test_contacts_are_stored_where_they_changed_and_marked_where_they_are_gone(self, tmp_path: Path) -> None:
        with Sandbox(people=200, limits=False) as sandbox:
            url, pulled = sandbox.system_url("qualtrics"), Pulled(tmp_path)
            settings = {"api_token": self.TOKEN, "contacts_hours": 0, "streams": ("contacts", "opt_outs")}
            first = {one.stream: one.rows for one in pulled.pull(qualtrics(url, **settings)).streams}
            before = _listed(url), _listed(url, "/optedOutContacts")
            requests.post(f"{sandbox.url}/_sandbox/advance", json={"share": 0.5}, timeout=10).raise_for_status()
            after = _listed(url), _listed(url, "/optedOutContacts")
            report = {one.stream: one for one in pulled.pull(qualtrics(url, **settings)).streams}
        assert first == {"contacts": len(before[0]), "opt_outs": len(before[1])}
        gone, no_longer = (set(was) - set(now) for was, now in zip(before, after, strict=True))
        changed = sum(before[0].get(key) != one for key, one in after[0].items())
        assert report["contacts"].rows == changed + len(gone)
        assert len(gone) > 0
        marked = _ask(pulled, "SELECT contact_id FROM raw_qualtrics.contacts WHERE deleted")
        assert {row[0] for row in marked} == gone
        for condition, expected in (
            ("NOT opted_out", no_longer & set(after[0])),
            ("opted_out AND deleted", no_longer - set(after[0])),
        ):
            found = _ask(pulled, f"SELECT contact_id FROM raw_qualtrics.opt_outs WHERE {condition}")
            assert {row[0] for row in found} == expected

    def test_what_it_says_about_people(self, sandbox: Sandbox, tmp_path: Path) -> None:
        pulled = Pulled(tmp_path)
        settings = {
            "identifiers": {"customer_id": "user_id"},
            "external_reference": "user_id",
            "traits": {"city": "city"},
        }
        source = qualtrics(sandbox.system_url("qualtrics"), api_token=self.TOKEN, **settings)
        assert pulled.pull(source).ok
        with pulled.store.open() as connection:
            now = datetime.now(UTC)
            plan, rules = TrackingPlan(), IdentityRules()
            build_model(connection, "qualtrics", source.streams(), plan=plan, rules=rules, now=now)
        events = _ask(pulled, "SELECT DISTINCT name FROM customers.events")
        assert events == [("Survey Responded",)]
        denied = _ask(pulled, "SELECT record_id FROM customers.consents WHERE status = 'denied' AND topic = 'surveys'")
        opted_out = set(_listed(sandbox.system_url("qualtrics"), "/optedOutContacts"))
        assert {row[0].rpartition(":")[2] for row in denied} == opted_out
        owners = {sandbox.truth(index)["customer_id"] for index in range(sandbox.company.people)}
        said = _ask(pulled, "SELECT DISTINCT original FROM customers.identifiers WHERE kind = 'user_id'")
        assert len(said) > 20
        assert {row[0] for row in said} <= owners

    def test_a_backfill_leaves_contacts_alone(self, sandbox: Sandbox, tmp_path: Path) -> None:
        source = qualtrics(sandbox.system_url("qualtrics"), api_token=self.TOKEN, streams=("contacts", "opt_outs"))
        end = datetime.now(UTC)
        assert Pulled(tmp_path).pull(source, window=Window(end - timedelta(days=2), end)).rows == 0


def _listed(url: str, below: str = "") -> dict[str, Any]:
    link = f"{url}/API/v3/directories/POOL_sandbox00000001/contacts{below}"
    found: dict[str, Any] = {}
    params: dict[str, str] | None = None if below else {"includeEmbedded": "true"}
    while link:
        body = requests.get(link, params=params, headers={"X-API-TOKEN": "sandbox-qualtrics"}, timeout=10).json()
        found |= {one["contactId"]: one for one in body["result"]["elements"]}
        link, params = body["result"]["nextPage"], None
    return found
